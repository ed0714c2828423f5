//! One established stream between two ends: the reader, the sender thread, and what they share.
//!
//! # Why this design
//!
//! *Two threads.* The reader blocks in timed reads, which guarantee the verdict on a silent peer
//! whatever else is stuck. The sender thread waits on a condition variable, which makes heartbeats
//! and verdicts punctual, and writes what the program's threads did not write themselves.
//!
//! *Sending adapts.* A program's thread that finds the link idle writes its own frame: no other
//! thread has to wake up. While somebody writes, frames are appended to one buffer that goes out in
//! one write, so a busy link makes few system calls. After a run of direct writes in quick
//! succession the sender takes over until it finds nothing to do. The lock is never held during a
//! write, and one buffer is written contiguously: `writev` is slower here and raises SIGPIPE.
//!
//! *Receiving does not copy.* Messages are handed to the [`Handler`] as slices of one buffer, on the
//! reader's thread.
//!
//! *Death*, from whichever thread: the first reason stays, both directions are shut, everybody is
//! woken. No thread outlives its link, and nothing of an old link can touch a new one.

mod clock;
mod event;
mod flight;
mod handle;
mod inbox;
mod lowering;
mod options;
mod reader;
mod sender;
mod shared;
mod stream;

pub use event::{Cause, Down, DownReason, Event};
pub use handle::{Handler, Link};
pub use inbox::{Inbox, InboxStats, Message, RecvError};
pub use lowering::HeartbeatChange;
pub use options::{Options, SendError, Stats};
pub use reader::Reader;
pub use stream::Stream;
