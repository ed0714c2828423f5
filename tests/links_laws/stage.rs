//! Runs one connection of a script with real links, and writes down all that was seen of it.

use std::net::TcpStream;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use peerbeat::cable::Cable;
use peerbeat::link::{Down, Faults, HeartbeatChange, Link, LinkEvent, LinkHandler, LinkOptions};
use peerbeat::liveness::Settings;
use peerbeat::protocol::Native;

use crate::script::{Act, Op};
use crate::seen::{Notebook, Seen, WAYS};

/// All that was seen of one connection.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) ends: [End; 2],
    /// What each end sent.
    pub(crate) ways: [Seen; 2],
    pub(crate) is_fair: bool,
    pub(crate) closer: usize,
    /// When the script's ops were over and the ends were closed.
    pub(crate) closed_at: Instant,
}

/// What was seen of one end.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) settings: Settings,
    /// The link's own clock began between these two.
    pub(crate) origin: (Instant, Instant),
    pub(crate) notes: Notes,
    /// The first 16 bytes of all messages that were accepted.
    pub(crate) accepted: Vec<Vec<u8>>,
    /// Smaller values of its own: when they were set.
    pub(crate) lowered: Vec<(Instant, Duration)>,
    /// When and until when its way was frozen, or the end kept from reading or writing.
    pub(crate) disturbed: Vec<(Instant, Instant)>,
    pub(crate) closed: Option<Instant>,
    /// What the handle said of the end.
    pub(crate) down: Option<Down>,
    /// The value in force when all was calm, just before the close.
    pub(crate) in_force: Option<Duration>,
}

/// The calls of a handler, and when they came.
#[derive(Clone, Debug, Default)]
pub(crate) struct Notes {
    pub(crate) messages: Vec<Vec<u8>>,
    pub(crate) events: Vec<(Instant, LinkEvent)>,
    pub(crate) downs: Vec<(Instant, Down)>,
    /// The handler was called after the end.
    pub(crate) after_end: bool,
}

#[derive(Clone, Debug, Default)]
struct Book(Arc<(Mutex<Notes>, Condvar)>);

impl End {
    /// The value that this end comes to if all that is sent arrives: the smallest that was
    /// configured or set at either end, the other's no smaller than our floor.
    pub(crate) fn meets(&self, peer: &Self) -> Option<Duration> {
        let floor = |end: &Self| end.settings.heartbeat_time_min;
        let own = |end: &Self| {
            let lowered = end.lowered.iter().map(|(_, value)| *value);
            lowered.chain(end.settings.heartbeat_time).min()
        };
        let theirs = own(peer).map(|value| value.max(floor(self)));
        [own(self), theirs].into_iter().flatten().min()
    }
}

impl Book {
    fn notes(&self) -> MutexGuard<'_, Notes> {
        let mut notes = self.0.0.lock().unwrap();
        notes.after_end |= !notes.downs.is_empty();
        notes
    }

    /// Waits until the end was reported, no longer than until `until`.
    fn wait_down(&self, until: Instant) -> bool {
        let left = until.saturating_duration_since(Instant::now());
        let is_up = |notes: &mut Notes| notes.downs.is_empty();
        let notes = self.0.0.lock().unwrap();
        !self.0.1.wait_timeout_while(notes, left, is_up).unwrap().1.timed_out()
    }
}

impl LinkHandler for Book {
    fn on_message(&mut self, _: &Link, payload: &[u8]) {
        self.notes().messages.push(payload[..16].to_vec());
    }

    fn on_event(&mut self, _: &Link, event: &LinkEvent) {
        if let LinkEvent::Down(down) = event {
            self.notes().downs.push((Instant::now(), down.clone()));
            self.0.1.notify_all();
            return;
        }
        self.notes().events.push((Instant::now(), event.clone()));
    }
}

/// One end while it is on the stage.
struct Actor {
    link: Link,
    faults: Faults,
    book: Book,
    end: End,
    disturbed_since: Option<Instant>,
}

struct Stage {
    actors: [Actor; 2],
    cable: Cable,
    /// Of each way: so much was sent that it would take too long in small pieces.
    is_flooded: [bool; 2],
    /// What the messages of this connection begin with.
    nonce: u32,
}

/// Runs one connection to its end.
pub(crate) fn run(settings: [Settings; 2], act: &Act, nonce: u32) -> Record {
    let notebook = Notebook::default();
    let (cable, [left, right]) = notebook.lay();
    let actors = [Actor::new(left, settings[0]), Actor::new(right, settings[1])];
    let mut stage = Stage { actors, cable, is_flooded: [false; 2], nonce };
    let began = Instant::now();
    for (at, op) in &act.ops {
        sleep_until(began + Duration::from_millis(*at));
        stage.apply(*op);
    }
    sleep_until(began + Duration::from_millis(act.length));
    stage.settle(act);
    let closed_at = Instant::now();
    stage.close(act.closer);
    let Stage { actors, cable, .. } = stage;
    drop(cable);
    let ways = notebook.take();
    let ends = actors.map(Actor::finish);
    Record { ends, ways, is_fair: act.is_fair, closer: act.closer, closed_at }
}

impl Actor {
    fn new(socket: TcpStream, settings: Settings) -> Self {
        let (faults, book) = (Faults::default(), Book::default());
        let options = LinkOptions::default().liveness(settings).faults(Some(faults.clone()));
        let before = Instant::now();
        let link = Link::start_with(socket, Native::default(), &options, book.clone()).unwrap();
        let end = End {
            settings,
            origin: (before, Instant::now()),
            notes: Notes::default(),
            accepted: vec![],
            lowered: vec![],
            disturbed: vec![],
            closed: None,
            down: None,
            in_force: None,
        };
        Self { link, faults, book, end, disturbed_since: None }
    }

    fn disturb(&mut self, on: bool) {
        match self.disturbed_since.take() {
            Some(since) => self.end.disturbed.push((since, Instant::now())),
            None if !on => return,
            None => {}
        }
        self.disturbed_since = on.then(Instant::now);
    }

    fn finish(mut self) -> End {
        self.disturb(false);
        self.end.notes = self.book.0.0.lock().unwrap().clone();
        self.end.down = self.link.down();
        self.end
    }
}

impl Stage {
    fn apply(&mut self, op: Op) {
        match op {
            Op::Send { from, size } => self.send(from, size),
            Op::Round { ticks, size } => {
                for _ in 0..ticks {
                    self.send(0, size);
                    self.send(1, size);
                }
            }
            Op::Lower { end, value } => {
                let (now, value) = (Instant::now(), Duration::from_millis(value));
                let actor = &mut self.actors[end];
                if let Ok(HeartbeatChange::InForce) = actor.link.set_heartbeat_time(value) {
                    actor.end.lowered.push((now, value));
                }
            }
            Op::Delay { way, by } => {
                self.cable.change(WAYS[way], |line| line.delay = Duration::from_millis(by));
            }
            Op::Split { way, bytes } => {
                let bytes = if self.is_flooded[way] { 0 } else { bytes };
                self.cable.change(WAYS[way], |line| line.slice = bytes);
            }
            Op::Freeze { way, on } => {
                self.actors[way].disturb(on);
                self.cable.change(WAYS[way], |line| line.frozen = on);
            }
            Op::Cut { way } => self.cable.change(WAYS[way], |line| line.pulled = true),
            Op::Drop => self.drop_both(),
            Op::Close { end } => self.close_one(end),
            Op::HoldHeartbeats { end, on } => {
                self.actors[end].disturb(on);
                self.actors[end].faults.hold_heartbeats(on);
            }
            Op::StallReader { end, on } => {
                self.actors[end].disturb(on);
                self.actors[end].faults.stall_reader(on);
            }
            Op::StallWriter { end, on } => {
                self.actors[end].disturb(on);
                self.actors[end].faults.stall_writer(on);
            }
        }
    }

    /// A message says which one it is of which connection, and when it was sent at the latest
    /// before.
    fn send(&mut self, from: usize, size: usize) {
        if size > FLOOD {
            self.is_flooded[from] = true;
            self.cable.change(WAYS[from], |line| line.slice = 0);
        }
        let actor = &mut self.actors[from];
        let stamp = actor.end.origin.1.elapsed().as_micros() as u64;
        let mut message = self.nonce.to_be_bytes().to_vec();
        message.extend((actor.end.accepted.len() as u32).to_be_bytes());
        message.extend(stamp.to_be_bytes());
        let head = message.clone();
        message.resize(size, 0);
        if actor.link.try_send(&message).is_ok() {
            actor.end.accepted.push(head);
        }
    }

    /// Ends the connection: with a reset if bytes are unread, else in order.
    fn drop_both(&self) {
        let status = self.cable.status();
        match status.way_out.frozen || status.way_in.frozen {
            true => self.cable.reset(),
            false => self.cable.cut(),
        }
    }

    /// Lets what must happen happen: both ends of a fair connection come to one value, and a
    /// silence lasts until it is death.
    fn settle(&mut self, act: &Act) {
        let until = Instant::now() + SETTLE;
        if act.is_fair {
            for way in [0, 1] {
                self.cable.change(WAYS[way], |line| {
                    (line.frozen, line.delay, line.slice) = (false, Duration::ZERO, 0);
                });
                self.actors[way].disturb(false);
            }
            let floor = self.actors.iter().map(|actor| actor.end.settings.heartbeat_time_min).max();
            thread::sleep(floor.unwrap_or_default() * 2 + Duration::from_millis(50));
            // What takes long on a busy machine gets the time.
            while !self.agrees() && Instant::now() < until + PATIENCE {
                thread::sleep(Duration::from_millis(10));
            }
        } else if act.is_deadly() {
            for actor in &self.actors {
                actor.book.wait_down(until);
            }
        }
        for actor in &mut self.actors {
            actor.end.in_force = actor.link.heartbeat_time();
        }
    }

    /// Both ends hold what they must come to.
    fn agrees(&self) -> bool {
        let [a, b] = &self.actors;
        let holds = |actor: &Actor, peer: &Actor| {
            !actor.link.is_up() || actor.link.heartbeat_time() == actor.end.meets(&peer.end)
        };
        holds(a, b) && holds(b, a)
    }

    fn close_one(&mut self, end: usize) {
        let actor = &mut self.actors[end];
        if actor.link.is_up() && actor.end.closed.is_none() {
            actor.end.closed = Some(Instant::now());
            actor.link.close();
        }
    }

    /// Closes what is up, and waits for both ends.
    fn close(&mut self, closer: usize) {
        for (end, op) in [0, 1].map(|end| (end, Op::StallReader { end, on: false })) {
            self.apply(op);
            self.actors[end].faults.hold_heartbeats(false);
            self.actors[end].faults.stall_writer(false);
        }
        self.close_one(closer);
        // If the goodbye cannot pass, the other end is up for as long as its limit is, if it has
        // one.
        let is_over = self.actors[1 - closer].book.wait_down(Instant::now() + SETTLE);
        if !is_over {
            self.cable.cut();
        }
        for actor in &self.actors {
            assert!(actor.book.wait_down(Instant::now() + PATIENCE), "a link does not end");
        }
    }
}

fn sleep_until(at: Instant) {
    thread::sleep(at.saturating_duration_since(Instant::now()));
}

/// Longer than any limit of a script, with room to see it passed.
const SETTLE: Duration = Duration::from_millis(2200);
/// Messages larger than this are not sent in small pieces.
const FLOOD: usize = 100_000;
/// For what must come.
const PATIENCE: Duration = Duration::from_secs(30);
