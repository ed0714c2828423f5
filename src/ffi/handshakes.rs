//! Handshakes of accepted connections, side by side, so that a silent client delays no other.
//!
//! Each has a thread. Its result waits here until it is taken. At the limit, the oldest makes room.
//!
//! Invariant: after `end` no thread runs and nothing waits here.

use std::collections::VecDeque;
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::fault::{E_CLOSED, E_IO, Fault};
use super::handle::lock;
use super::link::PeerbeatLink;
use super::notify::Notifier;
use super::open::open;
use super::options::{Checked, Handshake};
use super::signals::SignalsBlocked;
use crate::link::threads;

/// The handshakes of a listener.
#[derive(Debug)]
pub(super) struct Handshakes {
    state: Mutex<State>,
    /// Readable when something is done, or the end has begun.
    pub(super) done: Notifier,
}

#[derive(Debug, Default)]
struct State {
    is_ending: bool,
    /// The oldest first.
    running: Vec<Running>,
    /// Threads that have left their result.
    left: Vec<JoinHandle<()>>,
    results: VecDeque<Result<Opened, Fault>>,
    next_number: u64,
}

#[derive(Debug)]
struct Running {
    number: u64,
    stream: TcpStream,
    thread: JoinHandle<()>,
}

/// A link that has not been taken yet.
#[derive(Debug)]
pub(super) struct Opened(pub(super) *mut PeerbeatLink);

// SAFETY: a handle may be used from any thread.
unsafe impl Send for Opened {}

impl Handshakes {
    pub(super) fn new() -> std::io::Result<Self> {
        Ok(Self { state: Mutex::default(), done: Notifier::new()? })
    }

    /// The result that has waited longest.
    pub(super) fn take(&self) -> Option<Result<Opened, Fault>> {
        let mut state = lock(&self.state);
        let result = state.results.pop_front();
        if state.results.is_empty() && !state.is_ending {
            self.done.clear();
        }
        let left = std::mem::take(&mut state.left);
        drop(state);
        join(left);
        result
    }

    /// Begins one with a connection that was accepted.
    pub(super) fn begin(
        self: &Arc<Self>,
        stream: TcpStream,
        options: Checked,
    ) -> Result<(), Fault> {
        let refused = |error| Fault::io(E_IO, "cannot accept", &error);
        let copy = stream.try_clone().map_err(refused)?;
        let mut state = lock(&self.state);
        if state.is_ending {
            return Err(Fault::new(E_CLOSED, "the listener is being freed"));
        }
        if state.running.len() >= RUNNING_MAX {
            let _gone = state.running[0].stream.shutdown(Shutdown::Both);
        }
        let number = state.next_number;
        state.next_number += 1;
        let (all, stack_size) = (Arc::clone(self), options.link.stack_size);
        let _blocked = SignalsBlocked::begin();
        let thread = threads::spawn("pb-handshake", stack_size, move || {
            let opened = open(stream, &options, Handshake::Accept, c"").map(Opened);
            all.leave(number, opened);
        });
        let thread = thread.map_err(|error| Fault::thread(&error))?;
        state.running.push(Running { number, stream: copy, thread });
        Ok(())
    }

    /// A thread leaves its result. Its entry is there: `begin` holds the lock until it is.
    fn leave(&self, number: u64, result: Result<Opened, Fault>) {
        let mut state = lock(&self.state);
        if let Some(at) = state.running.iter().position(|running| running.number == number) {
            let running = state.running.remove(at);
            state.left.push(running.thread);
        }
        state.results.push_back(result);
        self.done.set();
    }

    /// Has those who wait look at the end.
    pub(super) fn begin_end(&self) {
        let mut state = lock(&self.state);
        state.is_ending = true;
        for running in &state.running {
            let _gone = running.stream.shutdown(Shutdown::Both);
        }
        self.done.set();
    }

    /// Waits for the threads, and returns the links that were not taken.
    pub(super) fn end(&self) -> Vec<*mut PeerbeatLink> {
        self.begin_end();
        loop {
            let mut state = lock(&self.state);
            let left = std::mem::take(&mut state.left);
            let is_over = state.running.is_empty();
            drop(state);
            join(left);
            if is_over {
                break;
            }
            thread::sleep(Duration::from_millis(1));
        }
        let results = std::mem::take(&mut lock(&self.state).results);
        results.into_iter().filter_map(|result| Some(result.ok()?.0)).collect()
    }
}

fn join(threads: Vec<JoinHandle<()>>) {
    for thread in threads {
        // A panic was reported on stderr; it left no result.
        let _panicked = thread.join();
    }
}

/// How many may be under way.
const RUNNING_MAX: usize = 64;
