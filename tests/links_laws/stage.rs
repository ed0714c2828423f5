//! Runs one connection of a script with real links, and writes down all that was seen of it.

use std::net::TcpStream;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use peerbeat::cable::Cable;
use peerbeat::link::{
    Down, DownReason, Faults, HeartbeatChange, Link, LinkEvent, LinkHandler, LinkOptions,
};
use peerbeat::liveness::{Settings, Time};
use peerbeat::protocol::{Bye, ByeCode, Native};
use peerbeat::sim::{Host, LinkRecord, Pair, SimEvent, SimOptions};

use crate::script::{Act, Op};
use crate::seen::{Notebook, Seen, WAYS};

/// All that was seen of one connection.
#[derive(Debug)]
pub(crate) struct Record {
    /// What the links wrote themselves, and what their programs saw.
    pub(crate) links: LinkRecord,
    pub(crate) ends: [End; 2],
    /// What each end sent, as the cable saw it.
    pub(crate) ways: [Seen; 2],
    pub(crate) is_fair: bool,
    pub(crate) closer: usize,
    /// When all was over.
    pub(crate) over: Time,
}

/// What was seen of one end.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) settings: Settings,
    /// Before the link's own clock began.
    pub(crate) origin: Instant,
    /// The changes of the heartbeat-time that were reported to its program.
    pub(crate) told: Vec<LinkEvent>,
    /// The account of its end that its program was given, and what the handle said of it.
    pub(crate) downs: [Option<Down>; 2],
    /// Smaller values of its own that were set.
    pub(crate) lowered: Vec<Duration>,
    /// The value in force when all was calm, just before the close.
    pub(crate) in_force: Option<Duration>,
}

/// The hosts of the record, in the order of the ends.
pub(crate) const HOSTS: [Host; 2] = [Pair::LEFT, Pair::RIGHT];

/// What a handler was called with, for those who wait, and for the record.
#[derive(Clone, Debug)]
struct Book {
    links: LinkRecord,
    end: usize,
    origin: Instant,
    told: Arc<(Mutex<Told>, Condvar)>,
}

#[derive(Clone, Debug, Default)]
struct Told {
    changes: Vec<LinkEvent>,
    down: Option<Down>,
}

impl End {
    /// The value that this end comes to if all that is sent arrives: the smallest that was
    /// configured or set at either end, the other's no smaller than our floor.
    pub(crate) fn meets(&self, peer: &Self) -> Option<Duration> {
        let floor = |end: &Self| end.settings.heartbeat_time_min;
        let own = |end: &Self| end.lowered.iter().copied().chain(end.settings.heartbeat_time).min();
        let theirs = own(peer).map(|value| value.max(floor(self)));
        [own(self), theirs].into_iter().flatten().min()
    }

    /// What the link was given, for the laws.
    pub(crate) fn options(&self) -> SimOptions {
        SimOptions::default().liveness(self.settings).granularity(TOLERANCE)
    }
}

impl Book {
    /// By a clock that began before the link's: never earlier than it.
    fn now(&self) -> Time {
        Time::between(self.origin, Instant::now())
    }

    fn tell(&self, event: SimEvent) {
        self.links.tell(HOSTS[self.end], self.now(), event);
    }

    /// Waits until the end was reported, no longer than until `until`.
    fn wait_down(&self, until: Instant) -> bool {
        let left = until.saturating_duration_since(Instant::now());
        let told = self.told.0.lock().unwrap();
        let is_up = |told: &mut Told| told.down.is_none();
        !self.told.1.wait_timeout_while(told, left, is_up).unwrap().1.timed_out()
    }
}

impl LinkHandler for Book {
    fn on_message(&mut self, _: &Link, payload: &[u8]) {
        self.tell(SimEvent::Message(payload.to_vec()));
    }

    fn on_event(&mut self, _: &Link, event: &LinkEvent) {
        let mut told = self.told.0.lock().unwrap();
        match event {
            LinkEvent::Down(down) => {
                let peer = HOSTS[1 - self.end];
                self.tell(SimEvent::Down { peer, down: down.clone() });
                told.down = Some(down.clone());
                self.told.1.notify_all();
            }
            LinkEvent::HeartbeatTime { .. } => told.changes.push(event.clone()),
            _ => {}
        }
    }
}

/// One end while it is on the stage.
struct Actor {
    link: Link,
    faults: Faults,
    book: Book,
    end: End,
    messages: u32,
    is_closed: bool,
    holds: bool,
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
    let links = LinkRecord::new();
    let actors =
        [(left, 0), (right, 1)].map(|(socket, end)| Actor::new(socket, settings[end], &links, end));
    let mut stage = Stage { actors, cable, is_flooded: [false; 2], nonce };
    let began = Instant::now();
    for (at, op) in &act.ops {
        sleep_until(began + Duration::from_millis(*at));
        stage.apply(*op);
    }
    sleep_until(began + Duration::from_millis(act.length));
    stage.settle(act);
    stage.close(act.closer);
    let Stage { actors, cable, .. } = stage;
    drop(cable);
    let ways = notebook.take();
    let over = actors[0].book.now();
    let ends = actors.map(Actor::finish);
    Record { links, ends, ways, is_fair: act.is_fair, closer: act.closer, over }
}

impl Actor {
    fn new(socket: TcpStream, settings: Settings, links: &LinkRecord, end: usize) -> Self {
        let (faults, origin) = (Faults::default(), Instant::now());
        let told = Arc::default();
        let book = Book { links: links.clone(), end, origin, told };
        let options = LinkOptions::default()
            .liveness(settings)
            .close_timeout(CLOSE_TIMEOUT)
            .faults(Some(faults.clone()));
        let options = links.watch(HOSTS[end], options);
        let link = Link::start_with(socket, Native::default(), &options, book.clone()).unwrap();
        let end = End {
            settings,
            origin,
            told: vec![],
            downs: [None, None],
            lowered: vec![],
            in_force: None,
        };
        Self { link, faults, book, end, messages: 0, is_closed: false, holds: false }
    }

    fn finish(mut self) -> End {
        let told = self.book.told.0.lock().unwrap();
        (self.end.told, self.end.downs) =
            (told.changes.clone(), [told.down.clone(), self.link.down()]);
        drop(told);
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
                let value = Duration::from_millis(value);
                let actor = &mut self.actors[end];
                if let Ok(HeartbeatChange::InForce) = actor.link.set_heartbeat_time(value) {
                    actor.end.lowered.push(value);
                }
            }
            Op::Delay { way, by } => {
                self.cable.change(WAYS[way], |line| line.delay = Duration::from_millis(by));
            }
            Op::Split { way, bytes } => {
                let bytes = if self.is_flooded[way] { 0 } else { bytes };
                self.cable.change(WAYS[way], |line| line.slice = bytes);
            }
            Op::Freeze { way, on } => self.cable.change(WAYS[way], |line| line.frozen = on),
            Op::Cut { way } => self.cable.change(WAYS[way], |line| line.pulled = true),
            Op::Drop => self.drop_both(),
            Op::Close { end } => self.close_one(end),
            Op::End { end } => {
                let reason = DownReason::Local { detail: "ended".to_owned() };
                let bye = Bye { code: ByeCode::CLOSE, text: "" };
                self.actors[end].link.end(reason, Some(&bye));
            }
            Op::HoldHeartbeats { end, on } => self.hold_heartbeats(end, on),
            Op::StallReader { end, on } => self.actors[end].faults.stall_reader(on),
            Op::StallWriter { end, on } => self.actors[end].faults.stall_writer(on),
        }
    }

    /// An end that keeps its heartbeats back is to the laws what a process is that was stopped.
    fn hold_heartbeats(&mut self, end: usize, on: bool) {
        let actor = &mut self.actors[end];
        if std::mem::replace(&mut actor.holds, on) == on {
            return;
        }
        if on {
            actor.book.tell(SimEvent::Stopped);
        }
        actor.faults.hold_heartbeats(on);
        if !on {
            actor.book.tell(SimEvent::Resumed);
        }
    }

    /// A message says which one it is of which connection.
    fn send(&mut self, from: usize, size: usize) {
        if size > FLOOD {
            self.is_flooded[from] = true;
            self.cable.change(WAYS[from], |line| line.slice = 0);
        }
        let actor = &mut self.actors[from];
        let mut message = self.nonce.to_be_bytes().to_vec();
        message.extend(actor.messages.to_be_bytes());
        message.resize(size, 0);
        actor.messages += 1;
        let book = &actor.book;
        // A queue may be full, and a link may have ended.
        let _may = book.links.try_send(HOSTS[from], book.now(), &actor.link, &message);
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
        if actor.link.is_up() && !std::mem::replace(&mut actor.is_closed, true) {
            actor.link.close();
        }
    }

    /// Closes what is up, and waits for both ends.
    fn close(&mut self, closer: usize) {
        for (end, op) in [0, 1].map(|end| (end, Op::StallReader { end, on: false })) {
            self.apply(op);
            self.hold_heartbeats(end, false);
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
/// How late anything may be on a machine that is not starved.
const TOLERANCE: Duration = Duration::from_millis(700);
const CLOSE_TIMEOUT: Duration = Duration::from_millis(600);
