//! Real links under the invariants: what two links did, recorded like a run of the simulator.
//!
//! The connection of a link records itself as a simulated one does, with the times of the link's
//! own clock. What its program sees, and what a kernel held, is added by the driver of the two. It
//! owns nothing but the record, and decides nothing.

use std::sync::{Arc, Mutex, MutexGuard};

use super::invariants::{Invariants, Violation};
use super::op::SimOptions;
use super::pair::Pair;
use super::record::{Host, LinkId, Record, SimEvent};
use crate::connection::{SendError, Step, Trace};
use crate::link::{Link, LinkOptions, Stream};
use crate::liveness::Time;
use crate::protocol::Framing;
use crate::recover::Recover;

/// The record of two real links that are each other's peers, for the [`Invariants`].
///
/// The two are [`Pair::LEFT`] and [`Pair::RIGHT`]. Their clocks begin within an instant of each
/// other; only "too late" depends on that, and on how busy the machine is:
/// [`SimOptions::granularity`] allows for both.
///
/// ```
/// use peerbeat::link::{Link, LinkEvent, LinkOptions};
/// use peerbeat::liveness::Time;
/// use peerbeat::protocol::Native;
/// use peerbeat::sim::{LinkRecord, Pair, SimEvent, SimOptions};
/// use std::net::{TcpListener, TcpStream};
/// use std::time::{Duration, Instant};
///
/// let listener = TcpListener::bind("127.0.0.1:0")?;
/// let left = TcpStream::connect(listener.local_addr()?)?;
/// let right = listener.accept()?.0;
/// let (record, began) = (LinkRecord::new(), Instant::now());
/// let now = move || Time::between(began, Instant::now());
/// let start = |socket, host, peer| {
///     let options = record.watch(host, LinkOptions::default());
///     let (messages, ends) = (record.clone(), record.clone());
///     let on_message = move |_: &Link, payload: &[u8]| {
///         messages.tell(host, now(), SimEvent::Message(payload.to_vec()));
///     };
///     let on_event = move |_: &Link, event: &LinkEvent| {
///         if let LinkEvent::Down(down) = event {
///             ends.tell(host, now(), SimEvent::Down { peer, down: down.clone() });
///         }
///     };
///     Link::start_with(socket, Native::default(), &options, (on_message, on_event))
/// };
/// let left = start(left, Pair::LEFT, Pair::RIGHT)?;
/// let right = start(right, Pair::RIGHT, Pair::LEFT)?;
/// record.try_send(Pair::LEFT, now(), &left, b"tick")?;
/// left.drain(Duration::from_secs(5));
/// right.wait_down(Duration::from_secs(5));
/// let options = SimOptions::default().granularity(Duration::from_secs(1));
/// record.check(&[options, options], now())?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct LinkRecord(Arc<Mutex<Vec<Record>>>);

impl LinkRecord {
    /// Of two links that do not live yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Options with which a link records what its connection sees and does.
    #[must_use]
    pub fn watch(&self, host: Host, mut options: LinkOptions) -> LinkOptions {
        let (record, peer) = (self.clone(), peer_of(host));
        options.trace = Trace::to(move |at, step| {
            let mut records = record.lock();
            let before = match &step {
                Step::Up => Some(SimEvent::Opened { peer }),
                // What was read has arrived; only what was not read must be added.
                Step::Read { bytes } => Some(SimEvent::Arrived { bytes: *bytes }),
                _ => None,
            };
            let events = before.into_iter().chain([SimEvent::of(step, peer)]);
            records.extend(events.map(|event| at_link(host, at, event)));
        });
        options
    }

    /// Sends on the link, and records it if the message is accepted.
    ///
    /// # Errors
    /// [`SendError::Full`] if there is no room now; [`SendError::Unfit`] for a message that no
    /// frame can carry; [`SendError::Down`] once the link ends or a write has failed.
    pub fn try_send<S: Stream, F: Framing>(
        &self,
        host: Host,
        now: Time,
        link: &Link<S, F>,
        payload: &[u8],
    ) -> Result<(), SendError> {
        // Before it is sent: the peer may have it before this thread comes back.
        self.tell(host, now, SimEvent::Sent(payload.to_vec()));
        let sent = link.try_send(payload);
        if sent.is_err() {
            let mut records = self.lock();
            let is_it =
                |seen: &Record| seen.host == host && matches!(seen.event, SimEvent::Sent(_));
            if let Some(at) = records.iter().rposition(is_it) {
                records.remove(at);
            }
        }
        sent
    }

    /// Records what the program of a link saw, such as [`SimEvent::Message`] and
    /// [`SimEvent::Down`], or that its faults keep it from sending, as [`SimEvent::Stopped`] and
    /// [`SimEvent::Resumed`].
    pub fn tell(&self, host: Host, now: Time, event: SimEvent) {
        let of_host = matches!(event, SimEvent::Stopped | SimEvent::Resumed);
        let record = at_link(host, now, event);
        self.lock().push(Record { link: record.link.filter(|_| !of_host), ..record });
    }

    /// Records that the kernel held so many bytes that the link had not read when it ended.
    pub fn tell_unread(&self, host: Host, bytes: usize) {
        let mut records = self.lock();
        let is_end =
            |seen: &Record| seen.host == host && matches!(seen.event, SimEvent::Ending { .. });
        if let Some(index) = records.iter().position(is_end) {
            let record = at_link(host, records[index].at, SimEvent::Arrived { bytes });
            records.insert(index, record);
        }
    }

    /// All that was recorded until now.
    pub fn history(&self) -> Vec<Record> {
        self.lock().clone()
    }

    /// Judges all of it, and that it is `now`. The options of the two say what their links were
    /// given.
    ///
    /// # Errors
    /// The first [`Invariant`](super::Invariant) that was broken, such as
    /// [`Invariant::NoFalseDeath`](super::Invariant::NoFalseDeath).
    pub fn check(&self, options: &[SimOptions; 2], now: Time) -> Result<(), Box<Violation>> {
        let records = self.history();
        let of = |record: &Record| &options[usize::from(record.host == Pair::RIGHT)];
        Invariants::new().check_history(|from| &records[from..], now, of)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Record>> {
        self.0.lock().recover()
    }
}

fn peer_of(host: Host) -> Host {
    if host == Pair::LEFT { Pair::RIGHT } else { Pair::LEFT }
}

fn at_link(host: Host, at: Time, event: SimEvent) -> Record {
    Record { at, host, link: Some(LinkId(0)), event }
}
