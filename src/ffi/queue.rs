//! Events of a node for hosts that ask for them, with a descriptor that is readable while there are
//! some.
//!
//! Without a handler, messages are queued here as well and nothing is dropped: a thread that adds
//! one waits for room, as it would for a callback. With a handler, the oldest events are dropped,
//! and their number is reported.

use std::collections::VecDeque;
use std::ffi::c_int;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock};
use std::time::{Duration, Instant};

use super::event::CEvent;
use super::fault::{E_DOWN, E_TIMEOUT, Fault};
use super::handle::lock;
use super::notify::Notifier;
use crate::node::NodeEvent;
use crate::recover::Recover;

/// What waits to be asked for.
#[derive(Debug, Default)]
pub(super) struct EventQueue {
    /// Whether events are put here.
    pub(super) takes_events: AtomicBool,
    /// Whether the node has no handler: messages are put here, and nothing is dropped.
    pub(super) takes_all: AtomicBool,
    state: Mutex<State>,
    changed: Condvar,
    notifier: OnceLock<Notifier>,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<CEvent>,
    /// Of the messages in it.
    bytes: usize,
    dropped: u64,
    /// The one that the host has: its texts live until it asks for the next.
    current: Option<CEvent>,
    /// Nothing is put here any more.
    is_over: bool,
    /// The host frees the node: no one will ask.
    is_abandoned: bool,
}

impl EventQueue {
    /// Puts an event in.
    pub(super) fn put(&self, event: CEvent) {
        let mut state = lock(&self.state);
        let takes_all = self.takes_all.load(Ordering::Relaxed);
        let is_full = |state: &State| {
            state.waiting.len() >= EVENTS_MAX
                || state.bytes > 0 && state.bytes + event.data_len() > BYTES_MAX
        };
        while takes_all && is_full(&state) && !state.is_abandoned {
            state = self.wait(state, WAKE_POLL);
        }
        if state.is_abandoned && event.data_len() > 0 {
            return;
        }
        if state.waiting.len() >= EVENTS_MAX {
            state.waiting.pop_front();
            state.dropped += 1;
        }
        state.bytes += event.data_len();
        state.waiting.push_back(event);
        self.tell();
    }

    /// Lends the next event to `read`, until the next call.
    pub(super) fn next<T>(
        &self,
        timeout: Option<Duration>,
        read: impl FnOnce(&CEvent) -> T,
    ) -> Result<T, Fault> {
        let until = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let mut state = lock(&self.state);
        loop {
            let dropped = std::mem::take(&mut state.dropped);
            let next = match dropped {
                0 => state.waiting.pop_front(),
                count => {
                    let detail = format!("{count} events were not asked for in time: dropped");
                    Some(CEvent::new(c"", &NodeEvent::Warning { detail }))
                }
            };
            if let Some(next) = next {
                state.bytes -= next.data_len();
                if state.waiting.is_empty() && !state.is_over {
                    self.notifier.get().inspect(|notifier| notifier.clear());
                }
                self.changed.notify_all();
                return Ok(read(state.current.insert(next)));
            }
            if state.is_over {
                return Err(Fault::new(E_DOWN, "the node has stopped"));
            }
            let left =
                until.map_or(WAKE_POLL, |until| until.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return Err(Fault::new(E_TIMEOUT, "nothing happened in time"));
            }
            state = self.wait(state, left.min(WAKE_POLL));
        }
    }

    /// The descriptor that is readable while something waits, or nothing will come any more.
    pub(super) fn fd(&self) -> io::Result<c_int> {
        let state = lock(&self.state);
        if self.notifier.get().is_none() {
            let _first = self.notifier.set(Notifier::new()?);
        }
        self.takes_events.store(true, Ordering::Relaxed);
        if !state.waiting.is_empty() || state.is_over {
            self.tell();
        }
        Ok(self.notifier.get().map_or(-1, Notifier::fd))
    }

    /// Nothing comes any more.
    pub(super) fn end(&self) {
        lock(&self.state).is_over = true;
        self.tell();
    }

    /// No one will ask any more: threads that wait for room go on.
    pub(super) fn abandon(&self) {
        lock(&self.state).is_abandoned = true;
        self.changed.notify_all();
    }

    fn tell(&self) {
        self.notifier.get().inspect(|notifier| notifier.set());
        self.changed.notify_all();
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>, time: Duration) -> MutexGuard<'a, State> {
        self.changed.wait_timeout(state, time).recover().0
    }
}

/// How many events may wait.
const EVENTS_MAX: usize = 1024;
/// How many bytes of messages may wait, unless it is one.
const BYTES_MAX: usize = 1 << 20;
/// How long a wait lasts before it looks again: a wake that was missed costs no more.
const WAKE_POLL: Duration = Duration::from_millis(100);
