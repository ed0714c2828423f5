//! How far a connection is: up, ending, ended. The first reason for an end stays.
//!
//! A failed write does not end a connection: what the peer sent before it is still in the kernel,
//! so sending stops and reading goes on until it finds the true reason. An orderly close writes
//! what was accepted and a goodbye, and reads all the while, so that nothing unread turns the close
//! into a reset, which would destroy what is still under way to the peer.
//!
//! Invariant: a phase is only ever left for a later one.

use std::time::Duration;

use super::down::{Down, DownReason};
use crate::liveness::Time;

/// How far a connection is.
#[derive(Debug)]
pub(crate) enum Phase {
    Up,
    /// A write failed: nothing is sent any more. The reading side knows better why, once it is
    /// through with what has arrived.
    Broken(DownReason),
    Closing(Box<Closing>),
    /// Both directions are to be shut.
    Ended {
        reason: DownReason,
        at: Time,
    },
    /// The account has been drawn up.
    Down {
        down: Box<Down>,
        at: Time,
    },
}

impl Phase {
    #[inline]
    pub(crate) fn is_up(&self) -> bool {
        matches!(self, Self::Up)
    }

    /// Why nothing is accepted for sending any more.
    pub(crate) fn refusal(&self) -> Option<&DownReason> {
        match self {
            Self::Broken(reason) => Some(reason),
            _ => self.reason(),
        }
    }

    /// Why the connection ends.
    pub(crate) fn reason(&self) -> Option<&DownReason> {
        match self {
            Self::Up | Self::Broken(_) => None,
            Self::Closing(closing) => Some(&closing.reason),
            Self::Ended { reason, .. } => Some(reason),
            Self::Down { down, .. } => Some(&down.reason),
        }
    }

    /// When the end began.
    pub(crate) fn ended_at(&self) -> Option<Time> {
        match self {
            Self::Up | Self::Broken(_) => None,
            Self::Closing(closing) => Some(closing.began),
            Self::Ended { at, .. } | Self::Down { at, .. } => Some(*at),
        }
    }

    /// Whether what arrives is still handed on.
    pub(crate) fn hands_on(&self) -> bool {
        match self {
            Self::Up | Self::Broken(_) => true,
            Self::Closing(closing) => closing.close.hands_on,
            Self::Ended { .. } | Self::Down { .. } => false,
        }
    }
}

/// How a connection is to be closed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Close {
    /// What was accepted is written first; else it is dropped and counted.
    pub(crate) flush: bool,
    /// What arrives meanwhile is handed on; else it is dropped and counted.
    pub(crate) hands_on: bool,
    /// How long the kernel may take no byte, and the peer not end its stream after the last one.
    pub(crate) timeout: Duration,
    /// How long it may take in all.
    pub(crate) max: Duration,
}

impl Close {
    /// In order: what was accepted is written first.
    pub(crate) fn in_order(hands_on: bool, timeout: Duration, max: Duration) -> Self {
        Self { flush: true, hands_on, timeout, max }
    }

    /// A goodbye and no more: what was accepted and not written is dropped.
    pub(crate) fn goodbye() -> Self {
        Self { flush: false, hands_on: false, timeout: GOODBYE_MAX, max: GOODBYE_MAX }
    }
}

/// A close that is under way.
#[derive(Debug)]
pub(crate) struct Closing {
    pub(super) reason: DownReason,
    pub(super) close: Close,
    pub(super) began: Time,
    /// The goodbye, encoded, until it is behind what is written.
    pub(super) bye: Option<Vec<u8>>,
    /// When the kernel last took a byte, or the close began.
    pub(super) moved: Time,
    pub(super) writing: Writing,
    /// A write that had the goodbye in hand came back with some of it left.
    pub(super) is_left: bool,
    /// The peer has ended its stream.
    pub(super) peer_ended: bool,
    /// The peer is closing on its own, or has ended its stream before our goodbye was out: it may
    /// drop what we send.
    pub(super) peer_closes: bool,
}

/// How far the writing of a close is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Writing {
    UnderWay,
    /// All of it is out, goodbye included: our direction is to be shut.
    Out,
    Failed,
}

impl Closing {
    pub(super) fn new(reason: DownReason, close: Close, bye: Vec<u8>, now: Time) -> Self {
        Self {
            reason,
            close,
            began: now,
            bye: Some(bye),
            moved: now,
            writing: Writing::UnderWay,
            is_left: false,
            peer_ended: false,
            peer_closes: false,
        }
    }

    /// When it is given up.
    pub(super) fn until(&self) -> Time {
        (self.moved + self.close.timeout).min(self.began + self.close.max)
    }

    /// Nothing is left to be done but to shut.
    pub(super) fn is_done(&self) -> bool {
        self.peer_ended && self.writing != Writing::UnderWay
    }

    /// The peer has read all that we sent: it ended its stream on our goodbye.
    pub(super) fn is_confirmed(&self) -> bool {
        self.peer_ended && self.writing == Writing::Out && !self.peer_closes
    }
}

/// How long a goodbye may take if nothing is written before it, until the peer has ended its
/// stream.
const GOODBYE_MAX: Duration = Duration::from_millis(70);
