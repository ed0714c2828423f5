//! Kernels, processes, the connections between them, and the virtual clock.
//!
//! What a net of programs and a net of nodes have in common. It knows no programs: its driver takes
//! the records and acts on them.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::connection::{DownReason, HeartbeatChange, SendError};
use crate::liveness::Time;
use crate::sim::end::{End, Phase, World};
use crate::sim::wire::{Path, Piece, Pipe};
use crate::sim::{Conditions, Host, LinkId, Op, Record, Rng, SimEvent, SimOptions};

/// Hosts and connections, without the programs.
pub(in crate::sim) struct Core {
    pub(super) now: Time,
    pub(super) rng: Rng,
    pub(super) hosts: Vec<Machine>,
    pub(super) links: Vec<Connection>,
    links_made: u64,
    conditions: Conditions,
    pub(super) paths: Vec<Path>,
    script: VecDeque<(Time, Op)>,
    pub(super) history: Vec<Record>,
    /// How much of the history was forgotten, and how much was handed to the programs.
    forgotten: usize,
    handed_on: usize,
    /// Connections that kernels have accepted and no node has taken.
    pub(super) accepted: Vec<(Host, LinkId)>,
    /// Hosts whose nodes must look at something, and those whose process has died.
    pub(super) ready: Vec<Host>,
    pub(super) died: Vec<Host>,
    /// What the links of nodes were made with.
    pub(super) made: BTreeMap<(LinkId, Host), SimOptions>,
}

pub(super) struct Machine {
    pub(super) options: SimOptions,
    pub(super) process: Process,
    pub(super) alarms: Vec<(Time, Alarm)>,
    /// Whom it dials again.
    pub(super) dials: Vec<Host>,
    /// What its node listens on, if one runs here.
    pub(in crate::sim) port: Option<u16>,
    /// Its kernel refuses connections, even if a program listens.
    pub(super) refuses: bool,
    /// Its resolver does not answer.
    pub(in crate::sim) hangs: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::sim) enum Process {
    Runs,
    Stopped,
    /// Its kernel answers with resets.
    Dead,
    /// Nothing answers.
    Off,
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Alarm {
    Timer(u64),
    Dial(Host),
}

pub(super) struct Connection {
    pub(super) id: LinkId,
    /// Who dialled, who was dialled.
    pub(super) ends: [End; 2],
    /// From each of them.
    pub(super) pipes: [Pipe; 2],
    /// The port that was dialled, of a connection between nodes.
    port: Option<u16>,
    /// Which ends must look whether there is something to do.
    pub(super) touched: [bool; 2],
}

impl Core {
    /// A net without hosts, at time zero. All that is left to chance follows from `seed`.
    pub(in crate::sim) fn new(seed: u64) -> Self {
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
            accepted: Vec::new(),
            ready: Vec::new(),
            died: Vec::new(),
            made: BTreeMap::new(),
        }
    }

    /// Adds a host whose program only answers.
    pub(in crate::sim) fn add(&mut self, options: SimOptions) -> Host {
        let (process, alarms) = (Process::Runs, Vec::new());
        self.hosts.push(Machine {
            options,
            process,
            alarms,
            dials: Vec::new(),
            port: None,
            refuses: false,
            hangs: false,
        });
        Host(self.hosts.len() - 1)
    }

    /// What a host was given.
    pub(in crate::sim) fn options(&self, host: Host) -> &SimOptions {
        &self.hosts[host.0].options
    }

    /// Sets the conditions everywhere, for what is sent from now on.
    pub(in crate::sim) fn set_conditions(&mut self, conditions: Conditions) {
        self.conditions = conditions;
        for path in &mut self.paths {
            path.conditions = conditions;
        }
    }

    /// The virtual time.
    pub(in crate::sim) fn now(&self) -> Time {
        self.now
    }

    /// Writes `op` into the script: it happens at `time`, after what was written for that instant
    /// before; at once if that is past.
    pub(in crate::sim) fn at(&mut self, time: Time, op: Op) {
        let place = self.script.partition_point(|(at, _)| *at <= time);
        self.script.insert(place, (time, op));
    }

    /// Dials `to` from the program of `from`; `None` if that does not run.
    ///
    /// # Panics
    /// If both are the same host.
    pub(in crate::sim) fn connect(&mut self, from: Host, to: Host) -> Option<LinkId> {
        assert_ne!(from, to, "a host does not dial itself");
        if self.hosts[from.0].process != Process::Runs {
            return None;
        }
        let id = self.add_link(from, to, None);
        self.with_end(self.links.len() - 1, 0, End::open);
        let dials = &mut self.hosts[from.0].dials;
        if !dials.contains(&to) {
            dials.push(to);
        }
        Some(id)
    }

    /// Makes a connection of which neither end has heard.
    pub(super) fn add_link(&mut self, from: Host, to: Host, port: Option<u16>) -> LinkId {
        self.links_made += 1;
        let id = LinkId(self.links_made);
        let (dialler, dialled) = (&self.hosts[from.0].options, &self.hosts[to.0].options);
        let end = |host: Host, peer, dials, options| {
            End::new(host, peer, &format!("host-{}", host.0), dials, options, self.now)
        };
        let ends = [end(from, to, true, dialler), end(to, from, false, dialled)];
        let room = dialler.socket_bytes.min(dialled.socket_bytes).max(SOCKET_BYTES_MIN);
        let pipes = [(from, to), (to, from)].map(|(a, b)| Pipe::new(self.path(a, b), room));
        self.links.push(Connection { id, ends, pipes, port, touched: [true; 2] });
        id
    }

    /// Sends a message from one program to another on their link.
    ///
    /// # Errors
    /// If it was not accepted; a program that does not run sends nothing.
    pub(in crate::sim) fn send(
        &mut self,
        from: Host,
        to: Host,
        payload: &[u8],
    ) -> Result<(), SendError> {
        let runs = self.hosts[from.0].process == Process::Runs;
        let found = self.find(from, to).filter(|_| runs);
        let (link, which) = found.ok_or(SendError::NotConnected)?;
        self.with_end(link, which, |end, world| end.send(world, payload))
    }

    /// Closes the link of `from` to `to` in order.
    pub(in crate::sim) fn close(&mut self, from: Host, to: Host) {
        let runs = self.hosts[from.0].process == Process::Runs;
        if let Some((link, which)) = self.find(from, to).filter(|_| runs) {
            self.with_end(link, which, |end, world| end.close(world, false));
        }
    }

    /// Closes the link of `from` to `to` in order, and hands on what arrives meanwhile.
    pub(in crate::sim) fn drain(&mut self, from: Host, to: Host) {
        let runs = self.hosts[from.0].process == Process::Runs;
        if let Some((link, which)) = self.find(from, to).filter(|_| runs) {
            self.with_end(link, which, |end, world| end.close(world, true));
        }
    }

    /// Sets the heartbeat-time of the living link of `from` to `to`; `None` if there is none.
    pub(in crate::sim) fn set_heartbeat_time(
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
    pub(in crate::sim) fn set_slack(
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
    pub(in crate::sim) fn is_up(&self, from: Host, to: Host) -> bool {
        self.find(from, to).is_some()
    }

    /// Goes on to the next instant at which something happens, and does what networks and clocks
    /// do there; `false` = nothing will ever happen.
    pub(in crate::sim) fn begin_step(&mut self) -> bool {
        let next = self.next();
        if next != Time::NEVER {
            self.pass_to(next);
        }
        next != Time::NEVER
    }

    /// Goes on to an instant before which nothing happens, and does what networks and clocks do
    /// there.
    pub(in crate::sim) fn pass_to(&mut self, next: Time) {
        self.now = self.now.max(next);
        while self.script.front().is_some_and(|(at, _)| *at <= self.now) {
            if let Some((_, op)) = self.script.pop_front() {
                self.apply(op);
            }
        }
        self.ring_alarms();
        self.deliver();
    }

    /// Forgets the connections of which nothing can be seen any more.
    pub(in crate::sim) fn end_step(&mut self) {
        self.links.retain(|link| !link.is_gone());
    }

    /// Moves the clock to an instant before which nothing happens.
    pub(in crate::sim) fn pass(&mut self, time: Time) {
        self.now = self.now.max(time);
    }

    /// All that happened from the record number `from` on, raw records included; records count from
    /// the beginning of the run, forgotten ones too.
    pub(in crate::sim) fn history(&self, from: usize) -> &[Record] {
        &self.history[from.saturating_sub(self.forgotten).min(self.history.len())..]
    }

    /// Forgets what happened but for the last few records, so that a long run takes no memory.
    pub(in crate::sim) fn forget(&mut self) {
        let count = (self.handed_on - self.forgotten).saturating_sub(RECORDS_KEPT);
        self.history.drain(..count);
        self.forgotten += count;
        self.forget_made();
    }

    pub(in crate::sim) fn set_timer(&mut self, host: Host, at: Time, tag: u64) {
        self.hosts[host.0].alarms.push((at, Alarm::Timer(tag)));
    }

    pub(in crate::sim) fn hold(&mut self, host: Host, link: LinkId, time: Duration) {
        self.with_link(link, host, |end, world| end.hold(world, time));
    }

    pub(in crate::sim) fn next(&self) -> Time {
        let scripted = self.script.front().map_or(Time::NEVER, |(at, _)| *at);
        let waits = self.hosts.iter().filter(|host| host.process == Process::Runs);
        let alarms = waits.flat_map(|host| &host.alarms).map(|(at, _)| *at);
        let ends = self.links.iter().flat_map(|link| &link.ends);
        let waits = ends.filter(|end| self.hosts[end.host.0].process == Process::Runs);
        let first = alarms.chain(waits.map(End::next)).min().unwrap_or(Time::NEVER);
        first.min(scripted).min(self.next_arrival())
    }

    pub(in crate::sim) fn next_arrival(&self) -> Time {
        let pipes = self.links.iter().flat_map(|link| &link.pipes);
        let arrivals = pipes.map(|pipe| pipe.next_arrival(&self.paths[pipe.path]));
        arrivals.min().unwrap_or(Time::NEVER)
    }

    /// Lets every end whose process runs do one thing; returns whether one did.
    pub(in crate::sim) fn turn_ends(&mut self) -> bool {
        let mut worked = false;
        for link in 0..self.links.len() {
            for which in [0, 1] {
                let Connection { ends, touched, .. } = &self.links[link];
                let end = &ends[which];
                let looks = touched[which] || end.next() <= self.now;
                if looks && self.runs(end.host) {
                    let works = self.with_end(link, which, End::turn);
                    // What one end reads makes room for the other.
                    self.links[link].touched[1 - which] |= works;
                    self.links[link].touched[which] = works;
                    worked |= works;
                }
            }
        }
        worked
    }

    /// Goes on to the next record for a program, and returns whose; a host that dials again does
    /// so after it.
    pub(in crate::sim) fn next_record(&mut self) -> Option<Host> {
        loop {
            let Record { host, event, .. } = self.history.get(self.handed_on - self.forgotten)?;
            self.handed_on += 1;
            let (host, is_raw) = (*host, event.is_raw());
            let over = match event {
                SimEvent::Down { peer, .. } | SimEvent::DialFailed { peer, .. } => Some(*peer),
                _ => None,
            };
            let machine = &mut self.hosts[host.0];
            let over = over.filter(|peer| machine.dials.contains(peer));
            if let (Some(peer), Some(pause)) = (over, machine.options.redial) {
                machine.alarms.push((self.now + pause, Alarm::Dial(peer)));
            }
            if !is_raw {
                return Some(host);
            }
        }
    }

    /// The record that [`next_record`](Self::next_record) went on to.
    pub(in crate::sim) fn record(&self) -> Option<&Record> {
        self.history.get((self.handed_on - self.forgotten).checked_sub(1)?)
    }

    pub(in crate::sim) fn runs(&self, host: Host) -> bool {
        self.hosts[host.0].process == Process::Runs
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
                Piece::Made | Piece::Fin | Piece::Reset => {}
            }
            return;
        }
        if let (Piece::Syn, Some(port)) = (&piece, self.links[link].port) {
            return self.receive_syn(link, host, port);
        }
        self.links[link].touched[1 - from] = true;
        if matches!(piece, Piece::Reset) {
            self.links[link].pipes[1 - from].destroy();
        }
        let is_raw = self.links[link].ends[1 - from].is_raw();
        if let Piece::Bytes(bytes) = &mut piece {
            let path = self.links[link].pipes[from].path;
            if std::mem::take(&mut self.paths[path].corrupts) {
                let place = self.rng.below(bytes.len() as u64) as usize;
                bytes[place] ^= 1 << self.rng.below(8);
                self.corrupt(link, 1 - from);
            }
            if !is_raw {
                self.tell(host, Some(id), SimEvent::Arrived { bytes: bytes.len() });
            }
        }
        if is_raw {
            self.ready.push(host);
        }
        self.links[link].pipes[from].arrived.push_back(piece);
    }

    pub(super) fn push(&mut self, link: usize, from: usize, piece: Piece) {
        let pipe = &mut self.links[link].pipes[from];
        let path = &mut self.paths[pipe.path];
        pipe.push(piece, path, &mut self.rng, self.now);
    }

    /// The newest living link of `from` to `to`.
    pub(super) fn find(&self, from: Host, to: Host) -> Option<(usize, usize)> {
        self.links.iter().enumerate().rev().find_map(|(index, link)| {
            let is_it = |end: &End| (end.host, end.peer, end.is_up()) == (from, to, true);
            link.ends.iter().position(is_it).map(|which| (index, which))
        })
    }

    pub(super) fn path(&mut self, from: Host, to: Host) -> usize {
        let is_it = |path: &Path| (path.from, path.to) == (from.0, to.0);
        self.paths.iter().position(is_it).unwrap_or_else(|| {
            self.paths.push(Path::new(from.0, to.0, self.conditions));
            self.paths.len() - 1
        })
    }

    pub(super) fn with_end<R>(
        &mut self,
        link: usize,
        which: usize,
        act: impl FnOnce(&mut End, &mut World<'_>) -> R,
    ) -> R {
        let Connection { id, ends, pipes: [first, second], touched, .. } = &mut self.links[link];
        touched[which] = true;
        let (out, inward) = if which == 0 { (first, second) } else { (second, first) };
        let path = &mut self.paths[out.path];
        let (now, rng, log) = (self.now, &mut self.rng, &mut self.history);
        act(&mut ends[which], &mut World { now, link: *id, rng, out, path, inward, log })
    }

    pub(super) fn tell(&mut self, host: Host, link: Option<LinkId>, event: SimEvent) {
        self.history.push(Record { at: self.now, host, link, event });
    }
}

impl Connection {
    pub(super) fn id(&self) -> LinkId {
        self.id
    }

    /// Nothing of it can be seen any more.
    fn is_gone(&self) -> bool {
        let [dialler, dialled] = &self.ends;
        // If the dialling kernel has given up before the other one heard of it, that is all.
        let over = |end: &End| end.phase == Phase::Over;
        over(dialler)
            && match dialled.phase {
                Phase::Over => !self.pipes.iter().any(Pipe::is_flying),
                Phase::Unknown => self.pipes[0].arrived.is_empty(),
                _ => false,
            }
    }
}

/// What holds a HELLO of any name.
const SOCKET_BYTES_MIN: usize = 1024;
/// How many records are always kept, to be shown with a violation.
const RECORDS_KEPT: usize = 100;
