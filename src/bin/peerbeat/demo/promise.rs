//! What was promised and what was measured.
//!
//! A verdict is never early: a nanosecond before its limit breaks the promise. How much later it
//! may come is [`TOLERANCE`], wide enough for a busy machine; on an idle one 1 ms or so is usual.

use std::time::Duration;

use peerbeat::text::{Measured, Seconds};

use super::stage::Stage;
use crate::output::complain;

/// How much later than promised is still held.
pub(super) const TOLERANCE: Duration = Duration::from_millis(250);

/// All promises of the story, in its order.
#[derive(Default)]
pub(super) struct Promises {
    all: Vec<Promise>,
    /// How much later than its limit the latest verdict came.
    latest: Duration,
}

struct Promise {
    what: String,
    promised: String,
    measured: String,
    held: bool,
}

impl Promises {
    /// A count or a text that must match.
    pub(super) fn add(&mut self, what: &str, promised: &str, measured: &str, held: bool) {
        let (what, promised, measured) = (what.into(), promised.into(), measured.into());
        self.all.push(Promise { what, promised, measured, held });
    }

    /// Something that must happen within a time; `None` = it did not happen.
    pub(super) fn within(&mut self, what: &str, limit: Duration, measured: Option<Duration>) {
        let held = measured.is_some_and(|measured| measured <= limit + TOLERANCE);
        self.add(what, &format!("within {}", Seconds(limit)), &shown(measured), held);
    }

    /// A verdict: [`not_before`](Self::not_before), and the latest of them is shown at the end.
    pub(super) fn verdict(&mut self, what: &str, limit: Duration, measured: Option<Duration>) {
        let late = measured.unwrap_or_default().saturating_sub(limit);
        self.latest = self.latest.max(late);
        self.not_before(what, limit, measured);
    }

    /// Something that must happen at a given time: not earlier, and as soon as possible after it.
    pub(super) fn not_before(&mut self, what: &str, limit: Duration, measured: Option<Duration>) {
        let held = measured.is_some_and(|m| m >= limit && m <= limit + TOLERANCE);
        self.add(what, &format!("after {}", Seconds(limit)), &shown(measured), held);
    }

    /// Whether all were held.
    pub(super) fn are_held(&self) -> bool {
        self.all.iter().all(|promise| promise.held)
    }

    /// The table, and the broken ones on stderr.
    pub(super) fn show(&self, stage: &mut Stage) {
        stage.head("What was promised, what was measured");
        stage.say(&row("promise", "promised", "measured", ""));
        for promise in &self.all {
            let held = match promise.held {
                true => stage.paint("32", "held"),
                false => stage.paint("1;31", "BROKEN"),
            };
            stage.say(&row(&promise.what, &promise.promised, &promise.measured, &held));
        }
        for promise in self.all.iter().filter(|promise| !promise.held) {
            complain(&format_args!(
                "BROKEN PROMISE: {}: promised {}, measured {}",
                promise.what, promise.promised, promise.measured
            ));
        }
    }

    /// The closing line.
    pub(super) fn summary(&self) -> String {
        let held = self.all.iter().filter(|promise| promise.held).count();
        let count = self.all.len();
        match held == count {
            true => format!(
                "All {count} promises held. No verdict was early, the latest came {:.1} ms after \
                 its limit.",
                self.latest.as_secs_f64() * 1000.0
            ),
            false => format!("{} of {count} promises BROKEN.", count - held),
        }
    }
}

fn shown(measured: Option<Duration>) -> String {
    measured.map_or("never".to_owned(), |measured| Measured(measured).to_string())
}

fn row(what: &str, promised: &str, measured: &str, held: &str) -> String {
    let line = format!("  {what:<41} {promised:<12} {measured:<12} {held}");
    line.trim_end().to_owned()
}
