//! One connection as a value: what leaves it, what arrives, and how it ends.
//!
//! A link drives it with two threads, the simulator with a virtual clock, and a host with a loop of
//! its own as a [`Connection`]. It never reads a clock, locks or does I/O.
//!
//! The two halves belong to the writing and the reading side: `outgoing` holds the queue, the
//! buffer that is being written, the phase and the account of the end, `incoming` what arrives and
//! the verdict on silence. A value that is set on one half is taken over (`change`) by the other.

mod budget;
mod change;
mod down;
mod echo;
mod event;
mod fill;
mod found;
mod histogram;
mod incoming;
mod outgoing;
mod phase;
mod rate;
mod send_error;
mod stats;
mod trace;
mod unreported;
mod whole;
mod write_buffer;

pub use budget::QueueBudget;
pub use change::HeartbeatChange;
pub use down::{Down, DownReason};
pub use event::{Cause, Level, LinkEvent};
pub use histogram::{Histogram, Percentiles};
pub(crate) use incoming::{Incoming, Input};
pub(crate) use outgoing::Outgoing;
pub(crate) use phase::{Close, Phase};
pub(crate) use rate::Rate;
pub use send_error::SendError;
pub use stats::Stats;
pub(crate) use trace::{Step, Trace};
pub(crate) use unreported::Unreported;
pub(crate) use whole::{CLOSE_MAX, CLOSE_TIMEOUT, QUEUE_BYTES};
pub use whole::{Connection, Output};
pub(crate) use write_buffer::WriteBuffer;
