//! One established stream between two ends: the reader, the sender thread, and what they share.
//!
//! # Why this design
//!
//! *Two threads.* The reader blocks in timed reads, which guarantee the verdict on a silent peer
//! whatever else is stuck. The sender thread waits on a condition variable, which makes heartbeats
//! and verdicts punctual, and writes what the program's threads did not write themselves.
//!
//! *Sending adapts.* A program's thread that finds the link idle writes its own frame: no other
//! thread has to wake up. While a write is under way, frames are appended to one buffer that goes
//! out in one write. A run of direct writes in quick succession, with nothing received in between,
//! is a stream: messages are queued, the caller that fills 60 KiB writes it (256 KiB of long ones;
//! the buffers stay in the cache, and a stream needs no second thread), and the sender thread looks
//! in every 0.1 to 0.4 ms for what is left, until a look finds nothing. After a stream a burst is
//! likely: its first message wakes the sender, which writes what has gathered by then, and a
//! wake-up that brings fewer than 16 messages makes sending direct again. A thread that goes round
//! many links without a rest is helped by one more, which goes round as well and writes what is
//! queued by then: see [one publisher, many peers](crate::publishing). On 2 cores, 64-byte messages
//! from one thread: 0.46 M/s when each is written, 18 M/s when the sender thread writes all
//! batches, 22 M/s this way; a round trip takes an eighth longer than a bare socket's. The lock is
//! never held during a write, and one buffer is written contiguously: `writev` is slower here and
//! raises SIGPIPE.
//!
//! *Receiving does not copy.* Messages are handed to the [`LinkHandler`] as slices of one buffer,
//! on the reader's thread.
//!
//! *Idle is cheap.* Nothing polls: an idle link's two threads wake up at most six times a
//! heartbeat-time together, usually twice. A thousand links with a heartbeat-time of 2 s take 1.5 %
//! of one core.
//!
//! *Numbers cost nothing on the way of a message.* [`Link::stats`] counts what was counted anyway;
//! lateness and silence are measured once a write, a read or a heartbeat, in [`Histogram`]s of
//! bounded size, and [`Link::explain`] says what to make of them.
//!
//! *Death*, from whichever thread: the first reason stays, both directions are shut, every waiter
//! is woken. No thread outlives its link, and nothing of an old link can touch a new one.

mod allowance;
mod batch;
mod clock;
mod control;
mod direct;
mod explain;
mod fan;
mod faults;
pub(crate) mod forked;
mod handle;
pub mod handshake;
mod inbox;
mod layer;
mod layer_buffers;
mod layer_guard;
mod layered;
mod limits;
mod open;
mod options;
mod pace;
mod reader;
mod sender;
mod shared;
mod socket;
mod start;
mod stream;
mod tcp;
pub(crate) mod threads;
mod until;

pub use crate::connection::{
    Cause, Down, DownReason, HeartbeatChange, Histogram, Level, LinkEvent, Percentiles,
    QueueBudget, SendError, Stats,
};
pub use batch::{Batch, SendAllError};
pub use control::LinkState;
pub use explain::{Advice, Explanation, Source};
pub use faults::Faults;
pub use handle::{Link, LinkHandler};
pub use inbox::{Inbox, InboxStats, Message, RecvError};
pub use layer::{Layer, Opened};
pub use layered::Layered;
pub(crate) use limits::{SystemLimits, is_out_of_descriptors};
pub(crate) use open::dial;
pub use open::{OpenError, Role, accept, connect, connect_with, open, open_with};
pub use options::LinkOptions;
pub use reader::Reader;
pub use socket::Socket;
pub use stream::Stream;
pub(crate) use stream::step;
pub use until::Until;
