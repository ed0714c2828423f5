//! Faults that a test puts into a real link of its own process.
//!
//! A link dies of faults in the network and at the peer, which a test cannot cause on a real socket
//! without another machine. These three make a living process behave like a broken one at its other
//! end. Without them in [`LinkOptions`](super::LinkOptions) they cost a link one comparison per
//! write, per read and per turn of its sender thread, and nothing per message.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// Switches for the faults of one link, or of all links that were given a clone of it.
///
/// A switch acts within 10 ms, in both directions. What it stops is not lost: it goes on when the
/// switch is turned back, if the link still lives.
///
/// ```
/// use peerbeat::link::{Down, DownReason, Faults, Link, LinkEvent, LinkHandler, LinkOptions};
/// use peerbeat::liveness::Settings;
/// use peerbeat::protocol::Native;
/// use std::net::{TcpListener, TcpStream};
/// use std::sync::mpsc::{Sender, channel};
/// use std::time::Duration;
///
/// /// The program under test: here it only reports which link it lost.
/// struct Program(Sender<Down>);
///
/// impl LinkHandler for Program {
///     fn on_message(&mut self, _: &Link, _: &[u8]) {}
///     fn on_event(&mut self, _: &Link, event: &LinkEvent) {
///         if let LinkEvent::Down(down) = event {
///             let _test_is_over = self.0.send(down.clone());
///         }
///     }
/// }
///
/// let listener = TcpListener::bind("127.0.0.1:0")?;
/// let here = TcpStream::connect(listener.local_addr()?)?;
/// let there = listener.accept()?.0;
/// let (beat, slack) = (Duration::from_millis(100), Duration::from_millis(500));
/// let liveness = Settings::default().heartbeat_time(beat).slack(slack);
/// let options = LinkOptions::default().liveness(liveness);
/// let (report, reports) = channel();
/// let _link = Link::start_with(here, Native::default(), &options, Program(report))?;
///
/// // The peer is a link of this process too, and falls silent on request.
/// let faults = Faults::default();
/// let of_peer = options.faults(Some(faults.clone()));
/// let ignore = |_: &Link, _: &[u8]| {};
/// let _peer = Link::start_with(there, Native::default(), &of_peer, ignore)?;
/// assert!(reports.recv_timeout(Duration::from_millis(500)).is_err(), "all is well");
/// faults.hold_heartbeats(true);
/// assert_eq!(reports.recv().unwrap().reason, DownReason::Silent);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Faults(Arc<Switches>);

#[derive(Debug, Default)]
struct Switches {
    hold_heartbeats: AtomicBool,
    stall_reader: AtomicBool,
    stall_writer: AtomicBool,
}

impl Faults {
    /// Sends no heartbeats; data still goes. The peer of an idle link sees a silence, as of a
    /// process that was stopped.
    pub fn hold_heartbeats(&self, on: bool) {
        self.0.hold_heartbeats.store(on, Ordering::Relaxed);
    }

    /// Reads nothing after what the next read brings, which is kept back as well: a program whose
    /// handler is stuck. The peer's writes stall in the end; its silence does not count here.
    pub fn stall_reader(&self, on: bool) {
        self.0.stall_reader.store(on, Ordering::Relaxed);
    }

    /// Gets no byte written, as if the peer had stopped reading: messages queue up, `send` waits
    /// and gives up, and the link ends `write-stalled`. The peer sees a silence.
    pub fn stall_writer(&self, on: bool) {
        self.0.stall_writer.store(on, Ordering::Relaxed);
    }

    pub(super) fn holds_heartbeats(&self) -> bool {
        self.0.hold_heartbeats.load(Ordering::Relaxed)
    }

    pub(super) fn stalls_writer(&self) -> bool {
        self.0.stall_writer.load(Ordering::Relaxed)
    }

    pub(super) fn stalls_reader(&self) -> bool {
        self.0.stall_reader.load(Ordering::Relaxed)
    }

    /// Keeps the reader's thread while it is to stall and `is_needed` returns true: while there is
    /// a link.
    pub(super) fn keep_reader(&self, is_needed: impl Fn() -> bool) {
        while self.stalls_reader() && is_needed() {
            thread::sleep(STEP);
        }
    }
}

/// Two are the same if they are switched together.
impl PartialEq for Faults {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Faults {}

/// How soon a switch acts.
pub(super) const STEP: Duration = Duration::from_millis(10);
