//! How a program holds a peer's connections up: a pause, a dial at once, a wait until it is up.
//!
//! The rules of ownership's lock hold here too: while locked, no user code and no I/O.

use std::time::Instant;

use super::held::{Greeted, Held};
use super::ownership::{Dial, Ownership};

impl<L: Held, S: Greeted> Ownership<L, S> {
    /// Says that the dialling thread goes into a call that nothing interrupts; `false` = it must
    /// stop.
    pub(super) fn enter_blocked(&self) -> bool {
        let mut state = self.lock();
        if !state.stopping {
            state.dial = Dial::Blocked;
        }
        !state.stopping
    }

    /// Says that the call is over; `false` = the thread must end and touch nothing: the node may be
    /// gone.
    pub(super) fn leave_blocked(&self) -> bool {
        let mut state = self.lock();
        state.dial = Dial::Idle;
        let goes_on = !state.stopping;
        drop(state);
        self.changed.notify_all();
        goes_on
    }

    /// Waits until no call of the dialling thread's is blocked; `false` = at `deadline` it still
    /// is.
    pub(super) fn wait_unblocked(&self, deadline: Instant) -> bool {
        let mut state = self.lock();
        while matches!(state.dial, Dial::Blocked) {
            if Instant::now() >= deadline {
                return false;
            }
            state = self.wait_until(state, Some(deadline));
        }
        true
    }

    /// Says whether the peer is dialled at all: without addresses its dialling thread waits.
    pub(super) fn set_dialled(&self, dials: bool) {
        self.lock().dials = dials;
        self.changed.notify_all();
    }

    /// Keeps the peer from being connected, by either side, until it is resumed; returns the link
    /// to close.
    pub(super) fn pause(&self) -> Option<L> {
        self.interrupt(|state| state.paused = true)
    }

    /// Ends a pause; a peer that is dialled is dialled at once.
    pub(super) fn resume(&self) {
        let mut state = self.lock();
        state.hurries |= state.paused;
        state.paused = false;
        drop(state);
        self.changed.notify_all();
    }

    pub(super) fn is_paused(&self) -> bool {
        self.lock().paused
    }

    /// Waits until there is a living link; `false` = there is none at `deadline`, or the node
    /// stops.
    pub(super) fn wait_up(&self, deadline: Option<Instant>) -> bool {
        let mut state = self.lock();
        loop {
            let link = state.holder.as_ref().and_then(|holder| holder.link.as_ref());
            if link.is_some_and(|(link, _)| link.is_up()) {
                return true;
            }
            if state.stopping || deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return false;
            }
            state = self.wait_until(state, deadline);
        }
    }
}
