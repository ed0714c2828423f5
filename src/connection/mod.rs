//! One connection as a value: what leaves it, what arrives, and how it ends.
//!
//! A link drives it with two threads, the simulator with a virtual clock. It never reads a clock,
//! locks or does I/O.

mod event;
mod rate;

pub(crate) use rate::Rate;

pub use event::{Cause, Down, DownReason, Event, Level, SendError};
