//! The live layers of a node.
//!
//! Freeing the node interrupts handshakes that are under way, and waits for the last layer, after
//! which no function of the host is called.

use std::io;
use std::net::Shutdown;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Instant;

use super::handle::lock;
use crate::link::{Socket, Stream};
use crate::recover::Recover;

/// The layers of a node that there are.
#[derive(Debug, Default)]
pub(super) struct Alive {
    state: Mutex<State>,
    fewer: Condvar,
}

#[derive(Debug, Default)]
struct State {
    is_ending: bool,
    layers: usize,
    /// The sockets on which handshakes are under way.
    shaking: Vec<(u64, Socket)>,
    next_number: u64,
}

impl Alive {
    /// Interrupts handshakes; none begins any more.
    pub(super) fn end(&self) {
        let mut state = lock(&self.state);
        state.is_ending = true;
        for (_, socket) in &state.shaking {
            let _gone = Stream::shutdown(socket, Shutdown::Both);
        }
    }

    /// Waits until no handshake is under way, or until `deadline`; returns whether none is.
    pub(super) fn wait_shaken(&self, deadline: Option<Instant>) -> bool {
        self.wait(deadline, |state| state.shaking.is_empty())
    }

    /// Waits until there is no layer any more.
    pub(super) fn wait_gone(&self) {
        self.wait(None, |state| state.layers == 0);
    }

    fn wait(&self, deadline: Option<Instant>, is_over: impl Fn(&State) -> bool) -> bool {
        let mut state = lock(&self.state);
        while !is_over(&state) {
            let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
            state = match left {
                Some(left) if left.is_zero() => return false,
                Some(left) => {
                    let woken = self.fewer.wait_timeout(state, left);
                    woken.recover().0
                }
                None => self.fewer.wait(state).recover(),
            };
        }
        true
    }

    /// Enters a handshake, in which a layer is made.
    pub(super) fn begin(self: &Arc<Self>, socket: &Socket) -> io::Result<(Shaking<'_>, One)> {
        let mut state = lock(&self.state);
        if state.is_ending {
            return Err(io::Error::other("the node stops"));
        }
        let number = state.next_number;
        state.next_number += 1;
        state.layers += 1;
        state.shaking.push((number, socket.clone()));
        Ok((Shaking(self, number), One(Arc::clone(self))))
    }

    fn leave(&self, change: impl FnOnce(&mut State)) {
        change(&mut lock(&self.state));
        self.fewer.notify_all();
    }
}

/// Counts a layer while it exists.
#[derive(Debug)]
pub(super) struct One(Arc<Alive>);

impl Drop for One {
    fn drop(&mut self) {
        self.0.leave(|state| state.layers -= 1);
    }
}

/// A handshake that is under way.
pub(super) struct Shaking<'a>(&'a Alive, u64);

impl Drop for Shaking<'_> {
    fn drop(&mut self) {
        self.0.leave(|state| state.shaking.retain(|(number, _)| *number != self.1));
    }
}
