//! One connection as a value: what leaves it, what arrives, and how it ends.
//!
//! A link drives it with two threads, the simulator with a virtual clock. It never reads a clock,
//! locks or does I/O.

mod event;

pub use event::{Cause, Down, DownReason, Event, Level, SendError};
