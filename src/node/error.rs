//! Why a node did not start, in words that say what to do.
//!
//! Nothing of a node that did not start is left behind: no thread, no open port.

use std::error::Error;
use std::fmt;
use std::io;

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
            Self::Thread { advice, .. } => write!(f, "cannot start: {advice}"),
        }
    }
}

impl Error for StartError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Listen { error, .. } | Self::Thread { error, .. } => Some(error),
        }
    }
}
