//! Why a node did not start or did not take another configuration, and what to do about it.
//!
//! Nothing of a node that did not start is left behind: no thread, no open port. Nothing of a
//! configuration that was not taken is in force.

use std::error::Error;
use std::fmt;
use std::io;

use crate::protocol::Escaped;

/// Why a node did not start: nothing of it runs.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// Listening failed.
    Listen {
        /// Where, as configured (`datasrc-interface` and `datasrc-port`).
        addr: String,
        /// Why.
        error: io::Error,
        /// The limit of the system behind it and what to do, in words.
        advice: String,
    },
    /// An address that cannot be dialled on this system.
    Address {
        /// The peer that has it.
        peer: String,
        /// The address, as `unix:/path`.
        addr: String,
    },
    /// A thread could not be made.
    Thread {
        /// Why.
        error: io::Error,
        /// The limit of the system behind it and what to do, in words.
        advice: String,
    },
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listen { addr, advice, .. } => write!(f, "cannot listen on {addr}: {advice}"),
            Self::Address { peer, addr } => write!(f, "cannot start: {}", not_dialled(peer, addr)),
            Self::Thread { advice, .. } => write!(f, "cannot start: {advice}"),
        }
    }
}

impl Error for StartError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Listen { error, .. } | Self::Thread { error, .. } => Some(error),
            Self::Address { .. } => None,
        }
    }
}

/// Why a configuration was not taken: nothing has changed.
#[derive(Debug)]
#[non_exhaustive]
pub enum ReloadError {
    /// It listens elsewhere. Sockets that listen stay as they are while a node runs: start another
    /// node for it.
    Listen {
        /// The item that differs: `datasrc-port` or `datasrc-interface`.
        item: &'static str,
        /// What the node runs with.
        running: String,
        /// What was asked for.
        asked: String,
    },
    /// An address that cannot be dialled on this system.
    Address {
        /// The peer that has it.
        peer: String,
        /// The address, as `unix:/path`.
        addr: String,
    },
    /// A thread could not be made.
    Thread {
        /// Why.
        error: io::Error,
        /// The limit of the system behind it and what to do, in words.
        advice: String,
    },
    /// The node stops or has stopped, or belongs to the parent of a forked child.
    NotRunning,
}

impl fmt::Display for ReloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listen { item, running, asked } => write!(
                f,
                "{item}: found {asked}, allowed: {running}, which the running node listens with; \
                 nothing was changed; stop the node and start another"
            ),
            Self::Address { peer, addr } => {
                write!(f, "nothing was changed: {}", not_dialled(peer, addr))
            }
            Self::Thread { advice, .. } => write!(f, "nothing was changed: {advice}"),
            Self::NotRunning => f.write_str("the node is not running"),
        }
    }
}

impl Error for ReloadError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Thread { error, .. } => Some(error),
            _ => None,
        }
    }
}

fn not_dialled(peer: &str, addr: &str) -> String {
    let (peer, addr) = (Escaped(peer), Escaped(addr));
    format!("peer \"{peer}\" has the address {addr}, which this system cannot dial; remove it")
}
