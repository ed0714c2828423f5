//! What is asked of an ownership and what it answers, and what it needs of a link and of a
//! connection on which HELLO is out.
//!
//! The latter are traits, so that the rules of ownership are tested with a flag and a number in
//! place of a link and a socket.

use std::net::{Shutdown, TcpStream};
use std::sync::Arc;

use crate::link::{DownReason, Link};
use crate::protocol::{Bye, ByeCode};

/// What a lease holds once it is up, as far as ownership matters; tests put a number in its place.
pub(super) trait Held: Clone {
    /// Whether it lives.
    fn is_up(&self) -> bool;
    /// Ends it because the peer connected again.
    fn replace(&self);
}

impl Held for Link {
    fn is_up(&self) -> bool {
        Link::is_up(self)
    }

    fn replace(&self) {
        let bye = Bye { code: ByeCode::CLOSE, text: "replaced by a newer connection" };
        self.end(DownReason::Replaced, Some(&bye));
    }
}

/// A connection of ours on which HELLO is out; its thread can be woken.
pub(super) trait Greeted: Clone {
    /// Wakes the thread that waits for the answer.
    fn interrupt(&self);
}

impl Greeted for Arc<TcpStream> {
    fn interrupt(&self) {
        // Only reading ends: the thread that wakes may still have a BYE to write. Where the socket
        // is dead already, the thread is awake already.
        let _ = self.shutdown(Shutdown::Read);
    }
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
pub(super) enum ClaimRefused {
    /// The peer is connected, or about to be; in words.
    Connected(&'static str),
    /// The program has paused the peer.
    Paused,
    /// The node stops.
    Stopping,
}

/// What the dialling thread does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Dial.
    Dial,
    /// A link of the peer's, dialled or accepted, has ended: wait before the next dial.
    Wait {
        /// Whether it had been stable.
        stable: bool,
    },
    /// The node stops.
    Stop,
}

/// Whether a round of dials goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// Nobody has the peer, and nobody had it meanwhile.
    GoOn,
    /// The peer has come by itself, or is not dialled any more.
    Over,
    /// The node stops.
    Stop,
}

/// Whether our HELLO may go out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HelloStart {
    /// Yes; the number names this greeting.
    Go(u64),
    /// No: the peer has reached us.
    Taken,
    /// No: the node stops.
    Stop,
}

/// What a claim has come to.
#[derive(Debug, PartialEq)]
pub(super) enum Step<L, S> {
    /// It has the lease; the greeting of ours that it displaced is to be interrupted.
    Granted(Option<S>),
    Refused(ClaimRefused),
    /// This link is to be ended.
    Replace(L),
    /// Somebody else is still at it.
    Wait,
}

/// A claim that is not granted, because of a link that is there or about to be.
pub(super) fn refused<L, S>(why: &'static str) -> Step<L, S> {
    Step::Refused(ClaimRefused::Connected(why))
}
