//! The requests to an ownership and its answers, and what it needs of a link and of a connection
//! whose HELLO has been sent.
//!
//! The latter are traits, so that the rules of ownership are tested with a flag and a number in
//! place of a link and a socket.

use crate::liveness::Time;

/// What a lease holds once it is up, as far as ownership matters; tests put a number in its place.
pub(crate) trait Held: Clone {
    /// Whether it lives.
    fn is_up(&self) -> bool;
    /// Ends it because the peer connected again.
    fn replace(&self);
}

/// A connection that we made and on which HELLO is out; its thread can be woken.
pub(crate) trait Greeted: Clone {
    /// Wakes the thread that waits for the answer.
    fn interrupt(&self);
}

/// What an accepted connection claims a peer with.
#[derive(Clone, Copy, Debug)]
pub(super) struct ClaimRules {
    /// Of two links that both sides dialled, ours stays.
    pub(super) ours_first: bool,
    /// A connected peer keeps its link.
    pub(super) reject_new: bool,
}

/// Why a claim was not granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClaimRefused {
    /// The peer is connected, or about to be; in words.
    Connected(&'static str),
    /// The program has paused the peer.
    Paused,
    /// The node stops.
    Stopping,
}

/// A claim that is under way.
#[derive(Debug, Default)]
pub(super) struct Claim {
    /// Names it, from its first look on.
    pub(super) number: Option<u64>,
    /// Whether it has ended a link that lived.
    pub(super) replaced: bool,
}

/// What the dialling side does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DialTurn {
    /// Dial.
    Dial,
    /// A link of the peer, dialled or accepted, has ended: wait before the next dial.
    Lost {
        /// Whether it had been stable.
        stable: bool,
    },
    /// The next dial is not due.
    Wait {
        /// When it is.
        until: Time,
    },
    /// Nothing, until something changes.
    Rest,
    /// The node stops.
    Stop,
}

/// How one of our greetings ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum HelloEnd<T> {
    /// It is still ours, and with a welcome the lease is as well.
    Ours(Option<T>),
    /// The peer's own connection took its place.
    Abandoned,
    /// The node stops.
    Stopped,
}

/// Whether a round of dials goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// No connection has the peer, and none had it meanwhile.
    GoOn,
    /// The peer has come by itself, or is not dialled any more.
    Over,
    /// The node stops.
    Stop,
}

/// Whether our HELLO may go out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HelloStart {
    /// Yes; the number names this greeting.
    Go(u64),
    /// No: the peer has reached us.
    Taken,
    /// No: the node stops.
    Stop,
}

/// The state of a claim.
#[derive(Debug, PartialEq)]
pub(super) enum Step<L, S> {
    /// It has the lease; our greeting that it displaced is to be interrupted.
    Granted {
        number: u64,
        abandoned: Option<S>,
    },
    Refused(ClaimRefused),
    /// This link is to be ended.
    Replace(L),
    /// Another connection is still at it.
    Wait,
}

/// A claim that is not granted, because of a link that is there or about to be.
pub(super) fn refused<L, S>(why: &'static str) -> Step<L, S> {
    Step::Refused(ClaimRefused::Connected(why))
}
