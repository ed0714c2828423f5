//! What a connection records of itself on its way into the log of a run.
//!
//! The connection writes it, as that of a real link does; here it is kept until its end has the log
//! in hand. Invariant: it comes into the log before anything that happens later.

use std::sync::{Arc, Mutex};

use crate::connection::{Step, Trace};
use crate::liveness::Time;
use crate::recover::Recover;

#[derive(Debug, Default)]
pub(super) struct Steps(Arc<Mutex<Vec<(Time, Step)>>>);

impl Steps {
    /// Where the connection is to record.
    pub(super) fn trace(&self) -> Trace {
        let steps = Arc::clone(&self.0);
        Trace::to(move |at, step| steps.lock().recover().push((at, step)))
    }

    pub(super) fn take(&self) -> Vec<(Time, Step)> {
        std::mem::take(&mut self.0.lock().recover())
    }
}
