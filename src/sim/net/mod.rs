//! Hosts, the connections between them, and the virtual clock that all of it runs on.
//!
//! Nothing happens between two steps: the clock jumps to the next instant at which a byte arrives,
//! a wait ends or the script says something, and everything of that instant is done there, in one
//! fixed order. It uses no thread and no real time, so a run is its seed and its script.

mod faults;

use std::collections::VecDeque;
use std::time::Duration;

use crate::connection::{DownReason, HeartbeatChange, SendError};
use crate::liveness::Time;
use crate::sim::end::{End, Phase, World};
use crate::sim::wire::{Path, Piece, Pipe};
use crate::sim::{Conditions, Context, Host, LinkId, Op, Record, Rng, SimEvent, SimOptions};

/// What a program is: it is called with everything that its side sees.
pub(in crate::sim) type Handler<'h> = Box<dyn FnMut(&mut Context<'_, 'h>, &SimEvent) + 'h>;

/// A virtual network of hosts with one program each.
pub struct Net<'h> {
    now: Time,
    rng: Rng,
    hosts: Vec<Machine<'h>>,
    links: Vec<Connection>,
    links_made: u64,
    conditions: Conditions,
    paths: Vec<Path>,
    script: VecDeque<(Time, Op)>,
    history: Vec<Record>,
    /// How much of the history was forgotten, and how much was handed to the programs.
    forgotten: usize,
    handed_on: usize,
}

struct Machine<'h> {
    options: SimOptions,
    process: Process,
    handler: Option<Handler<'h>>,
    alarms: Vec<(Time, Alarm)>,
    /// Whom it dials again.
    dials: Vec<Host>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Process {
    Runs,
    Stopped,
    /// Its kernel answers with resets.
    Dead,
    /// Nothing answers.
    Off,
}

#[derive(Clone, Copy, PartialEq)]
enum Alarm {
    Timer(u64),
    Dial(Host),
}

struct Connection {
    id: LinkId,
    /// Who dialled, who was dialled.
    ends: [End; 2],
    /// From each of them.
    pipes: [Pipe; 2],
}

impl<'h> Net<'h> {
    /// A net without hosts, at time zero. All that is left to chance follows from `seed`.
    pub fn new(seed: u64) -> Self {
        Self {
            now: Time::ZERO,
            rng: Rng::new(seed),
            hosts: Vec::new(),
            links: Vec::new(),
            links_made: 0,
            conditions: Conditions::default(),
            paths: Vec::new(),
            script: VecDeque::new(),
            history: Vec::new(),
            forgotten: 0,
            handed_on: 0,
        }
    }

    /// Adds a host whose program only answers.
    pub fn add(&mut self, options: SimOptions) -> Host {
        let (process, alarms) = (Process::Runs, Vec::new());
        self.hosts.push(Machine { options, process, handler: None, alarms, dials: Vec::new() });
        Host(self.hosts.len() - 1)
    }

    /// Gives a host its program: it is called with everything that its side sees from now on,
    /// and can send, close, connect, hold the reader and set timers through the [`Context`].
    pub fn on(&mut self, host: Host, handler: impl FnMut(&mut Context<'_, 'h>, &SimEvent) + 'h) {
        self.hosts[host.0].handler = Some(Box::new(handler));
    }

    /// What a host was told.
    pub fn options(&self, host: Host) -> &SimOptions {
        &self.hosts[host.0].options
    }

    /// Sets the conditions everywhere, for what is sent from now on.
    pub fn set_conditions(&mut self, conditions: Conditions) {
        self.conditions = conditions;
        for path in &mut self.paths {
            path.conditions = conditions;
        }
    }

    /// The virtual time.
    pub fn now(&self) -> Time {
        self.now
    }

    /// Writes `op` into the script: it happens at `time`, after what was written for that instant
    /// before; at once where that is past.
    pub fn at(&mut self, time: Time, op: Op) {
        let place = self.script.partition_point(|(at, _)| *at <= time);
        self.script.insert(place, (time, op));
    }

    /// Dials `to` from the program of `from`; `None` where that does not run.
    ///
    /// # Panics
    /// Where both are the same host.
    pub fn connect(&mut self, from: Host, to: Host) -> Option<LinkId> {
        assert_ne!(from, to, "a host does not dial itself");
        if self.hosts[from.0].process != Process::Runs {
            return None;
        }
        self.links_made += 1;
        let id = LinkId(self.links_made);
        let (dialler, dialled) = (&self.hosts[from.0].options, &self.hosts[to.0].options);
        let end = |host: Host, peer, dials, options| {
            End::new(host, peer, &format!("host-{}", host.0), dials, options, self.now)
        };
        let ends = [end(from, to, true, dialler), end(to, from, false, dialled)];
        let room = dialler.socket_bytes.min(dialled.socket_bytes).max(SOCKET_BYTES_MIN);
        let pipes = [(from, to), (to, from)].map(|(a, b)| Pipe::new(self.path(a, b), room));
        self.links.push(Connection { id, ends, pipes });
        self.with_end(self.links.len() - 1, 0, End::open);
        let dials = &mut self.hosts[from.0].dials;
        if !dials.contains(&to) {
            dials.push(to);
        }
        Some(id)
    }

    /// Sends a message from one program to another on their link.
    ///
    /// # Errors
    /// Where it was not accepted; a program that does not run sends nothing.
    pub fn send(&mut self, from: Host, to: Host, payload: &[u8]) -> Result<(), SendError> {
        let runs = self.hosts[from.0].process == Process::Runs;
        let found = self.find(from, to).filter(|_| runs);
        let (link, which) = found.ok_or(SendError::NotConnected)?;
        self.with_end(link, which, |end, world| end.send(world, payload))
    }

    /// Closes the link of `from` to `to` in order.
    pub fn close(&mut self, from: Host, to: Host) {
        let runs = self.hosts[from.0].process == Process::Runs;
        if let Some((link, which)) = self.find(from, to).filter(|_| runs) {
            self.with_end(link, which, |end, world| end.close(world, false));
        }
    }

    /// Closes the link of `from` to `to` in order, and hands on what arrives meanwhile.
    pub fn drain(&mut self, from: Host, to: Host) {
        let runs = self.hosts[from.0].process == Process::Runs;
        if let Some((link, which)) = self.find(from, to).filter(|_| runs) {
            self.with_end(link, which, |end, world| end.close(world, true));
        }
    }

    /// Sets the heartbeat-time of the living link of `from` to `to`; `None` if there is none.
    pub fn set_heartbeat_time(
        &mut self,
        from: Host,
        to: Host,
        value: Duration,
    ) -> Option<Result<HeartbeatChange, DownReason>> {
        let runs = self.hosts[from.0].process == Process::Runs;
        let (link, which) = self.find(from, to).filter(|_| runs)?;
        Some(self.with_end(link, which, |end, world| end.set_heartbeat_time(world, value)))
    }

    /// Sets the slack of the living link of `from` to `to`; `None` if there is none.
    pub fn set_slack(
        &mut self,
        from: Host,
        to: Host,
        slack: Duration,
    ) -> Option<Result<(), DownReason>> {
        let runs = self.hosts[from.0].process == Process::Runs;
        let (link, which) = self.find(from, to).filter(|_| runs)?;
        Some(self.with_end(link, which, |end, world| end.set_slack(world, slack)))
    }

    /// Whether `from` has a living link to `to`, as it sees it.
    pub fn is_up(&self, from: Host, to: Host) -> bool {
        self.find(from, to).is_some()
    }

    /// Goes on to the next instant at which something happens and does all that happens there;
    /// returns it, or `None` where nothing will ever happen.
    ///
    /// # Panics
    /// Where something at one instant never ends.
    pub fn step(&mut self) -> Option<Time> {
        let next = self.next();
        if next == Time::NEVER {
            return None;
        }
        self.now = self.now.max(next);
        while self.script.front().is_some_and(|(at, _)| *at <= self.now) {
            if let Some((_, op)) = self.script.pop_front() {
                self.apply(op);
            }
        }
        self.ring_alarms();
        self.deliver();
        self.work();
        self.links.retain(|link| !link.is_gone());
        Some(self.now)
    }

    /// Runs until `time`, what happens at that instant included.
    pub fn run_until(&mut self, time: Time) {
        self.work();
        while self.next() <= time && self.step().is_some() {}
        self.now = self.now.max(time);
    }

    /// Runs for `time`.
    pub fn run_for(&mut self, time: Duration) {
        self.run_until(self.now + time);
    }

    /// Runs until no byte is on its way, at most for `within`, and says whether that came about.
    /// What a cut holds back does not count.
    pub fn settle(&mut self, within: Duration) -> bool {
        let until = self.now + within;
        self.work();
        loop {
            let arrival = self.next_arrival();
            if arrival > until {
                return arrival == Time::NEVER;
            }
            self.run_until(arrival);
        }
    }

    /// What the sides saw, in order, as their programs see it.
    pub fn seen(&self) -> impl Iterator<Item = &Record> {
        self.history.iter().filter(|record| !record.event.is_raw())
    }

    /// What one side saw, in order.
    pub fn seen_by(&self, host: Host) -> impl Iterator<Item = &Record> {
        self.seen().filter(move |record| record.host == host)
    }

    /// All that happened from the record number `from` on, raw records included; records count from
    /// the beginning of the run, forgotten ones too.
    pub fn history(&self, from: usize) -> &[Record] {
        &self.history[from.saturating_sub(self.forgotten).min(self.history.len())..]
    }

    /// Forgets what happened but for the last few records, so that a long run takes no memory.
    pub fn forget(&mut self) {
        let count = (self.handed_on - self.forgotten).saturating_sub(KEPT);
        self.history.drain(..count);
        self.forgotten += count;
    }

    pub(in crate::sim) fn set_timer(&mut self, host: Host, at: Time, tag: u64) {
        self.hosts[host.0].alarms.push((at, Alarm::Timer(tag)));
    }

    pub(in crate::sim) fn hold(&mut self, host: Host, link: LinkId, time: Duration) {
        let found = self.links.iter().position(|candidate| candidate.id == link);
        let Some(index) = found else { return };
        let which = usize::from(self.links[index].ends[0].host != host);
        self.with_end(index, which, |end, world| end.hold(world, time));
    }

    fn next(&self) -> Time {
        let scripted = self.script.front().map_or(Time::NEVER, |(at, _)| *at);
        let waits = self.hosts.iter().filter(|host| host.process == Process::Runs);
        let alarms = waits.flat_map(|host| &host.alarms).map(|(at, _)| *at);
        let ends = self.links.iter().flat_map(|link| &link.ends);
        let waits = ends.filter(|end| self.hosts[end.host.0].process == Process::Runs);
        let first = alarms.chain(waits.map(End::next)).min().unwrap_or(Time::NEVER);
        first.min(scripted).min(self.next_arrival())
    }

    fn next_arrival(&self) -> Time {
        let pipes = self.links.iter().flat_map(|link| &link.pipes);
        let arrivals = pipes.map(|pipe| pipe.next_arrival(&self.paths[pipe.path]));
        arrivals.min().unwrap_or(Time::NEVER)
    }

    /// Does what can be done at this instant, until nothing more can.
    fn work(&mut self) {
        for _ in 0..TURNS_MAX {
            let mut worked = self.hand_on();
            for link in 0..self.links.len() {
                for which in [0, 1] {
                    if self.hosts[self.links[link].ends[which].host.0].process == Process::Runs {
                        worked |= self.with_end(link, which, End::turn);
                    }
                }
            }
            if !worked {
                return;
            }
        }
        panic!("the net does not come to rest at {:?}: something asks again and again", self.now);
    }

    /// Hands what was seen to the programs; what they do may be seen in turn.
    fn hand_on(&mut self) -> bool {
        let begin = self.handed_on;
        while let Some(record) = self.history.get(self.handed_on - self.forgotten) {
            let index = self.handed_on - self.forgotten;
            self.handed_on += 1;
            let host = record.host;
            let over = match &record.event {
                SimEvent::Down { peer, .. } => Some(*peer),
                SimEvent::DialFailed { peer, .. } => Some(*peer),
                _ => None,
            };
            let machine = &mut self.hosts[host.0];
            let over = over.filter(|peer| machine.dials.contains(peer));
            if let (Some(peer), Some(pause)) = (over, machine.options.redial) {
                machine.alarms.push((self.now + pause, Alarm::Dial(peer)));
            }
            if record.event.is_raw() {
                continue;
            }
            let runs = machine.process == Process::Runs;
            if let Some(mut handler) = machine.handler.take_if(|_| runs) {
                let Record { link, event, .. } = self.history[index].clone();
                handler(&mut Context::new(self, host, link), &event);
                self.hosts[host.0].handler.get_or_insert(handler);
            }
        }
        begin != self.handed_on
    }

    fn ring_alarms(&mut self) {
        for index in 0..self.hosts.len() {
            let (now, machine) = (self.now, &mut self.hosts[index]);
            if machine.alarms.is_empty() || machine.process != Process::Runs {
                continue;
            }
            let due: Vec<_> = machine.alarms.iter().copied().filter(|(at, _)| *at <= now).collect();
            machine.alarms.retain(|(at, _)| *at > now);
            for (_, alarm) in due {
                match alarm {
                    Alarm::Timer(tag) => self.tell(Host(index), None, SimEvent::Timer(tag)),
                    Alarm::Dial(peer) => drop(self.connect(Host(index), peer)),
                }
            }
        }
    }

    /// Brings to the kernels what has reached them.
    fn deliver(&mut self) {
        for link in 0..self.links.len() {
            for which in [0, 1] {
                while {
                    let pipe = &self.links[link].pipes[which];
                    pipe.next_arrival(&self.paths[pipe.path]) <= self.now
                } {
                    if let Some(piece) = self.links[link].pipes[which].arrive() {
                        self.receive(link, which, piece);
                    }
                }
            }
        }
    }

    /// A piece from the end `from` reaches the other one's kernel.
    fn receive(&mut self, link: usize, from: usize, mut piece: Piece) {
        let (id, host) = (self.links[link].id, self.links[link].ends[1 - from].host);
        let process = self.hosts[host.0].process;
        let knows = self.links[link].ends[1 - from].phase != Phase::Over;
        if process == Process::Off {
            return;
        }
        if process == Process::Dead || !knows {
            // Whatever this kernel still holds of a connection that it does not know is lost.
            match piece {
                Piece::Syn => self.push(link, 1 - from, Piece::Reset),
                Piece::Bytes(_) => self.reset_pipe(link, 1 - from),
                Piece::Fin | Piece::Reset => {}
            }
            return;
        }
        if matches!(piece, Piece::Reset) {
            self.links[link].pipes[1 - from].destroy();
        }
        if let Piece::Bytes(bytes) = &mut piece {
            let path = self.links[link].pipes[from].path;
            if std::mem::take(&mut self.paths[path].corrupts) {
                let place = self.rng.below(bytes.len() as u64) as usize;
                bytes[place] ^= 1 << self.rng.below(8);
                self.tell(host, Some(id), SimEvent::Corrupted);
            }
            self.tell(host, Some(id), SimEvent::Arrived { bytes: bytes.len() });
        }
        self.links[link].pipes[from].arrived.push_back(piece);
    }

    fn push(&mut self, link: usize, from: usize, piece: Piece) {
        let pipe = &mut self.links[link].pipes[from];
        let path = &mut self.paths[pipe.path];
        pipe.push(piece, path, &mut self.rng, self.now);
    }

    fn reset_pipe(&mut self, link: usize, from: usize) {
        let pipe = &mut self.links[link].pipes[from];
        let path = &mut self.paths[pipe.path];
        pipe.reset(path, &mut self.rng, self.now);
    }

    /// The newest living link of `from` to `to`.
    fn find(&self, from: Host, to: Host) -> Option<(usize, usize)> {
        self.links.iter().enumerate().rev().find_map(|(index, link)| {
            let is_it = |end: &End| (end.host, end.peer, end.is_up()) == (from, to, true);
            link.ends.iter().position(is_it).map(|which| (index, which))
        })
    }

    fn path(&mut self, from: Host, to: Host) -> usize {
        let is_it = |path: &Path| (path.from, path.to) == (from.0, to.0);
        self.paths.iter().position(is_it).unwrap_or_else(|| {
            self.paths.push(Path::new(from.0, to.0, self.conditions));
            self.paths.len() - 1
        })
    }

    fn with_end<R>(
        &mut self,
        link: usize,
        which: usize,
        act: impl FnOnce(&mut End, &mut World<'_>) -> R,
    ) -> R {
        let Connection { id, ends, pipes: [first, second] } = &mut self.links[link];
        let (out, inward) = if which == 0 { (first, second) } else { (second, first) };
        let path = &mut self.paths[out.path];
        let (now, rng, log) = (self.now, &mut self.rng, &mut self.history);
        act(&mut ends[which], &mut World { now, link: *id, rng, out, path, inward, log })
    }

    fn tell(&mut self, host: Host, link: Option<LinkId>, event: SimEvent) {
        self.history.push(Record { at: self.now, host, link, event });
    }
}

impl Connection {
    /// Nothing of it can be seen any more.
    fn is_gone(&self) -> bool {
        let [dialler, dialled] = &self.ends;
        // Where the dialling kernel has given up before the other one heard of it, that is all.
        let over = |end: &End| end.phase == Phase::Over;
        over(dialler)
            && match dialled.phase {
                Phase::Over => !self.pipes.iter().any(Pipe::is_flying),
                Phase::Unknown => self.pipes[0].arrived.is_empty(),
                _ => false,
            }
    }
}

/// What no instant needs, unless the rules ask for something without end.
const TURNS_MAX: u32 = 10_000_000;
/// What holds a HELLO of any name.
const SOCKET_BYTES_MIN: usize = 1024;
/// How many records are never forgotten: what a violation shows.
const KEPT: usize = 100;
