//! A link with its mock, and a handler that records its calls.

use std::net::TcpStream;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::{Duration, Instant};

use peerbeat::link::{Down, Link, LinkEvent, LinkHandler, LinkOptions, SendError, Stream};
use peerbeat::liveness::Settings;
use peerbeat::protocol::Native;

pub(crate) use crate::basics::{ms, wait_for};
use crate::mock::{LONG, Mock};
use narrow::Door;
pub(crate) use narrow::Narrow;

#[path = "../common/narrow.rs"]
mod narrow;

/// One call of a link's handler.
#[derive(Clone, Debug)]
pub(crate) enum Seen {
    Message(Vec<u8>),
    Event(LinkEvent),
    Down(Down),
}

/// What a test does at each call of the handler.
type Act<S> = Box<dyn FnMut(&Link<S>, &Seen) + Send>;

/// A handler that records each call and its time, and then acts.
pub(crate) struct Notes<S: Stream> {
    to: Sender<(Instant, Seen)>,
    act: Act<S>,
}

/// Reads the notes.
#[derive(Debug)]
pub(crate) struct Log(Receiver<(Instant, Seen)>);

/// A handler and its log; `act` is called after each note.
pub(crate) fn notes<S: Stream>(
    act: impl FnMut(&Link<S>, &Seen) + Send + 'static,
) -> (Notes<S>, Log) {
    let (to, from) = mpsc::channel();
    (Notes { to, act: Box::new(act) }, Log(from))
}

impl<S: Stream> Notes<S> {
    fn note(&mut self, link: &Link<S>, seen: Seen) {
        let _log_is_gone = self.to.send((Instant::now(), seen.clone()));
        (self.act)(link, &seen);
    }
}

impl<S: Stream> LinkHandler<S, Native> for Notes<S> {
    fn on_message(&mut self, link: &Link<S>, payload: &[u8]) {
        self.note(link, Seen::Message(payload.to_vec()));
    }

    fn on_event(&mut self, link: &Link<S>, event: &LinkEvent) {
        if let LinkEvent::Down(down) = event {
            self.note(link, Seen::Down(down.clone()));
            return;
        }
        self.note(link, Seen::Event(event.clone()));
    }
}

impl Log {
    /// The end, which must come; what came before is dropped.
    pub(crate) fn down(&self) -> (Instant, Down) {
        self.find(|seen| match seen {
            Seen::Down(down) => Some(down.clone()),
            _ => None,
        })
    }

    /// The next message, which must come; events before it are dropped.
    pub(crate) fn message(&self) -> Vec<u8> {
        let found = self.find(|seen| match seen {
            Seen::Message(bytes) => Some(bytes.clone()),
            Seen::Down(down) => panic!("down: {down}"),
            Seen::Event(_) => None,
        });
        found.1
    }

    /// The next event of a kind, which must come; what came before is dropped.
    pub(crate) fn event<T>(&self, pick: impl Fn(&LinkEvent) -> Option<T>) -> (Instant, T) {
        self.find(|seen| match seen {
            Seen::Event(event) => pick(event),
            Seen::Down(down) => panic!("down: {down}"),
            Seen::Message(_) => None,
        })
    }

    /// All calls so far.
    pub(crate) fn so_far(&self) -> Vec<Seen> {
        self.0.try_iter().map(|(_, seen)| seen).collect()
    }

    /// The events so far.
    pub(crate) fn events(&self) -> Vec<LinkEvent> {
        let events = self.so_far().into_iter().filter_map(|seen| match seen {
            Seen::Event(event) => Some(event),
            _ => None,
        });
        events.collect()
    }

    /// All calls up to the end.
    pub(crate) fn until_down(&self) -> (Vec<Seen>, Down) {
        let (seen, down, _) = self.until_down_at(LONG);
        (seen, down)
    }

    /// All calls up to the end, and when that was; nothing may take longer than `patience`.
    pub(crate) fn until_down_at(&self, patience: Duration) -> (Vec<Seen>, Down, Instant) {
        let mut all = Vec::new();
        loop {
            match self.0.recv_timeout(patience).expect("the link ends") {
                (at, Seen::Down(down)) => return (all, down, at),
                (_, seen) => all.push(seen),
            }
        }
    }

    fn find<T>(&self, pick: impl Fn(&Seen) -> Option<T>) -> (Instant, T) {
        loop {
            let (at, seen) = self.0.recv_timeout(LONG).expect("the handler is called");
            if let Some(found) = pick(&seen) {
                return (at, found);
            }
        }
    }
}

/// A link, the mock at its other end, and what the link reports.
#[derive(Debug)]
pub(crate) struct Rig<S: Stream = TcpStream> {
    /// Before the link existed.
    pub(crate) before: Instant,
    pub(crate) link: Link<S>,
    pub(crate) mock: Mock,
    pub(crate) log: Log,
}

impl Rig {
    pub(crate) fn new(options: &LinkOptions) -> Self {
        Self::with(options, Native::default(), |_, _| {})
    }

    /// With a handler that acts at each call.
    pub(crate) fn acting(
        options: &LinkOptions,
        act: impl FnMut(&Link<TcpStream>, &Seen) + Send + 'static,
    ) -> Self {
        Self::with(options, Native::default(), act)
    }

    pub(crate) fn with(
        options: &LinkOptions,
        framing: Native,
        act: impl FnMut(&Link<TcpStream>, &Seen) + Send + 'static,
    ) -> Self {
        let (stream, mock) = Mock::pair();
        let (notes, log) = notes(act);
        let before = Instant::now();
        let link = Link::start_with(stream, framing, options, notes).unwrap();
        Self { before, link, mock, log }
    }
}

impl Rig<Narrow> {
    /// With a stream that lets [`PASSES`] bytes through and is stuck then until its door is opened.
    pub(crate) fn narrow(options: &LinkOptions) -> (Self, Door) {
        let (stream, mock) = Mock::pair();
        let (stream, door) = Narrow::new(stream, PASSES);
        let (notes, log) = notes(|_, _| {});
        let before = Instant::now();
        let link = Link::start_with(stream, Native::default(), options, notes).unwrap();
        (Self { before, link, mock, log }, door)
    }
}

/// What a narrow rig's stream lets through before it is stuck: one large frame and some more.
pub(crate) const PASSES: usize = 101_000;

/// Options with a heartbeat-time, 0 for none, and a slack.
pub(crate) fn options(heartbeat_time_ms: u64, slack_ms: u64) -> LinkOptions {
    // A mock reads the goodbye and keeps its end open.
    LinkOptions::default()
        .liveness(
            Settings::default()
                .heartbeat_time(Some(ms(heartbeat_time_ms)))
                .slack(ms(slack_ms))
                .heartbeat_time_min(ms(20)),
        )
        .close_timeout(ms(50))
}

/// What a busy machine takes for what takes no time; all that could be waited for in its place by
/// mistake takes longer.
pub(crate) const SOON: Duration = Duration::from_secs(5);

/// Not late, asserted as loosely as a busy machine needs.
pub(crate) fn assert_soon(began: Instant, at: Instant, what: &str) {
    let took = at.saturating_duration_since(began);
    assert!(took < SOON, "{what} took {took:?}");
}

/// Fills the stream and the queue until there is no room; returns the messages taken, each of
/// `size` bytes that name its place. A kernel may find more room right after, a [`Narrow`] stream
/// does not.
pub(crate) fn fill<S: Stream>(link: &Link<S>, size: usize) -> Vec<Vec<u8>> {
    let mut taken = Vec::new();
    fill_more(link, size, &mut taken);
    taken
}

/// Fills like [`fill`] a link whose stream lets [`PASSES`] bytes through, and waits until these are
/// out and the next write is stuck.
pub(crate) fn fill_narrow(link: &Link<Narrow>, size: usize) -> Vec<Vec<u8>> {
    let mut taken = fill(link, size);
    wait_for("the stream is stuck", || {
        // The queue may hold less than passes, and what went out left room in it.
        fill_more(link, size, &mut taken);
        link.stats().bytes_sent == PASSES as u64
    });
    fill_more(link, size, &mut taken);
    taken
}

fn fill_more<S: Stream>(link: &Link<S>, size: usize, taken: &mut Vec<Vec<u8>>) {
    loop {
        let message = numbered(taken.len(), size);
        match link.try_send(&message) {
            Ok(()) => taken.push(message),
            Err(SendError::Full) => return,
            Err(e) => panic!("{e}"),
        }
    }
}

/// A message that names its place in the first four bytes and repeats it to its end.
pub(crate) fn numbered(place: usize, size: usize) -> Vec<u8> {
    let word = u32::try_from(place).unwrap().to_be_bytes();
    word.iter().copied().cycle().take(size).collect()
}
