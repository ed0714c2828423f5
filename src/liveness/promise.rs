//! The heartbeat-time that the peer must keep, and when it follows the value in force (rule H4).
//!
//! We send by the value in force. Limits are computed from the promise: the same value, except that
//! a value lowered by this side while connected binds the peer only once the peer has announced one
//! that is not larger. Both halves of a connection keep a promise and are given the same inputs, so
//! they expect the same of the peer.
//!
//! Invariant: a value in force only ever becomes smaller.

use std::time::Duration;

#[derive(Clone, Debug)]
pub(super) struct Promise {
    in_force: Option<Duration>,
    promised: Option<Duration>,
    /// The first value below the promise that this side set and the peer has not announced.
    unconfirmed: Option<Duration>,
    /// The smallest value that the peer has announced, as it came.
    announced: Option<Duration>,
    /// Settled by a foreign handshake: no value travels, so nothing moves the promise.
    is_fixed: bool,
}

impl Promise {
    /// Starts with the value in force, which is also the promise.
    pub(super) fn new(in_force: Option<Duration>) -> Self {
        let (unconfirmed, announced) = (None, None);
        Self { in_force, promised: in_force, unconfirmed, announced, is_fixed: false }
    }

    /// Starts with a promise of its own, which stays.
    pub(super) fn fixed(in_force: Option<Duration>, promised: Option<Duration>) -> Self {
        Self { promised, is_fixed: true, ..Self::new(in_force) }
    }

    /// The heartbeat-time in force.
    #[inline]
    pub(super) fn in_force(&self) -> Option<Duration> {
        self.in_force
    }

    /// The heartbeat-time that the peer must keep; `None` = none.
    #[inline]
    pub(super) fn promised(&self) -> Option<Duration> {
        self.promised
    }

    /// Takes over a value that the peer announced, and what the floor made of it; returns whether
    /// the value in force changed.
    pub(super) fn adopt(&mut self, announced: Duration, raised: Duration) -> bool {
        self.announced = Some(self.announced.map_or(announced, |least| least.min(announced)));
        let lowers = self.in_force.is_none_or(|held| raised < held);
        if lowers {
            self.in_force = Some(raised);
        }
        self.confirm();
        lowers
    }

    /// Lowers the value in force on this side's own account; returns whether it changed.
    pub(super) fn lower(&mut self, value: Duration) -> bool {
        let lowers = self.in_force.is_none_or(|held| value < held);
        if lowers {
            self.in_force = Some(value);
            if !self.is_fixed {
                self.promised.get_or_insert(FIRST_PROMISE);
                self.unconfirmed.get_or_insert(value);
                self.confirm();
            }
        }
        lowers
    }

    /// Moves the promise to the smallest of our values that the peer has confirmed.
    fn confirm(&mut self) {
        let has_announced =
            |value: &Duration| self.announced.is_some_and(|announced| announced <= *value);
        if self.is_fixed {
        } else if self.in_force.as_ref().is_some_and(has_announced) {
            (self.promised, self.unconfirmed) = (self.in_force, None);
        } else if self.unconfirmed.as_ref().is_some_and(has_announced) {
            (self.promised, self.unconfirmed) = (self.unconfirmed, self.in_force);
        }
    }
}

/// What holds when this side sets the very first value, until the peer has announced it.
const FIRST_PROMISE: Duration = Duration::from_secs(10);
