//! Two ends and the line between them, on a virtual clock.
//!
//! Each end is a host as [`Liveness`] wants it: it reads before it asks, and acts at once. A line
//! delays, may lose everything in a direction, and may have an end stopped for a while; what was
//! sent and heard is written down, so that a law can be checked from the record alone.

use std::collections::VecDeque;
use std::time::Duration;

use peerbeat::liveness::{Action, Change, Liveness, Settings, Time};

/// What travels: some bytes, or a heartbeat with its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packet {
    Bytes,
    Heartbeat(u32),
}

/// One end, with the record of all that it did.
#[derive(Clone, Debug)]
pub(super) struct End {
    pub(super) liveness: Liveness,
    pub(super) settings: Settings,
    pub(super) sent: Vec<(Time, Packet)>,
    pub(super) heard: Vec<(Time, Packet)>,
    pub(super) adopted: Vec<(Time, Change)>,
    /// Late, stalled and the verdict.
    pub(super) actions: Vec<(Time, Action)>,
    pub(super) recovered: Vec<(Time, Duration)>,
    pub(super) down: Option<Time>,
    pub(super) polls: usize,
    /// When it lowered its own value, and to what.
    pub(super) lowered: Vec<(Time, Duration)>,
    /// From when and until when it was stopped.
    pub(super) stops: Vec<(Time, Time)>,
    wakes: Time,
    coming: VecDeque<(Time, Packet)>,
}

pub(super) struct Line {
    pub(super) now: Time,
    pub(super) ends: [End; 2],
    /// How long a packet travels towards each end.
    pub(super) delay: [Duration; 2],
    /// Whether what travels towards each end is lost.
    pub(super) cut: [bool; 2],
}

impl Line {
    pub(super) fn new(settings: [Settings; 2]) -> Self {
        let ends = settings.map(|settings| End {
            liveness: Liveness::new(&settings, Time::ZERO),
            settings,
            sent: Vec::new(),
            heard: Vec::new(),
            adopted: Vec::new(),
            actions: Vec::new(),
            recovered: Vec::new(),
            down: None,
            polls: 0,
            lowered: Vec::new(),
            stops: Vec::new(),
            wakes: Time::ZERO,
            coming: VecDeque::new(),
        });
        Self { now: Time::ZERO, ends, delay: [Duration::ZERO; 2], cut: [false; 2] }
    }

    pub(super) fn with_delay(mut self, delay: Duration) -> Self {
        self.delay = [delay; 2];
        self
    }

    /// Lets time pass, and both ends do what they must.
    pub(super) fn run(&mut self, duration: Duration) {
        let end = self.now + duration;
        self.step();
        while let Some(next) = self.next().filter(|next| *next <= end) {
            assert!(next > self.now, "an end spins at {next:?}");
            self.now = next;
            self.step();
        }
        self.now = end;
    }

    /// The application of an end sends some bytes.
    pub(super) fn send_data(&mut self, end: usize) {
        if self.is_awake(end) && self.ends[end].down.is_none() {
            self.send(end, Packet::Bytes);
            self.ends[end].liveness.handle_sent(self.now);
            self.ask(end);
        }
    }

    /// An end lowers its own heartbeat-time.
    pub(super) fn lower(&mut self, end: usize, value: Duration) {
        if self.is_awake(end) && self.ends[end].down.is_none() {
            if self.ends[end].liveness.lower(value, self.now) {
                self.ends[end].lowered.push((self.now, value));
            }
            self.ask(end);
        }
    }

    /// Stops an end, as SIGSTOP does, from now on for `duration`.
    pub(super) fn stop(&mut self, end: usize, duration: Duration) {
        if self.is_awake(end) {
            self.ends[end].stops.push((self.now, self.now + duration));
        }
    }

    fn is_awake(&self, end: usize) -> bool {
        self.ends[end].stops.last().is_none_or(|(_, until)| *until <= self.now)
    }

    /// The next instant at which anything happens by itself.
    fn next(&self) -> Option<Time> {
        let living = self.ends.iter().filter(|end| end.down.is_none());
        living.map(End::next).min().filter(|next| *next != Time::NEVER)
    }

    fn step(&mut self) {
        // Twice, since what one end sends without delay reaches the other at the same instant.
        for end in [0, 1, 0, 1] {
            let due = self.ends[end].next() <= self.now;
            if due && self.is_awake(end) && self.ends[end].down.is_none() {
                self.ends[end].read(self.now);
                self.ask(end);
            }
        }
    }

    /// Asks an end what is due until it has to wait.
    fn ask(&mut self, end: usize) {
        for _ in 0..6 {
            let now = self.now;
            let this = &mut self.ends[end];
            this.polls += 1;
            match this.liveness.poll(now) {
                Action::Wait { until } => {
                    this.wakes = until;
                    return;
                }
                Action::SendHeartbeat { value_ms } => {
                    this.liveness.handle_heartbeat_sent(value_ms, now);
                    self.send(end, Packet::Heartbeat(value_ms));
                }
                action => {
                    this.actions.push((now, action));
                    if let Action::Silent { .. } = action {
                        this.down = Some(now);
                        return;
                    }
                }
            }
        }
        panic!("end {end} spins at {:?}", self.now);
    }

    fn send(&mut self, from: usize, packet: Packet) {
        let to = 1 - from;
        self.ends[from].sent.push((self.now, packet));
        if !self.cut[to] {
            let arrives = self.now + self.delay[to];
            // A stream keeps its order, whatever its delay does.
            let last = self.ends[to].coming.back().map_or(Time::ZERO, |(at, _)| *at);
            self.ends[to].coming.push_back((arrives.max(last), packet));
        }
    }
}

impl End {
    /// The values of the heartbeats it sent.
    pub(super) fn beats(&self) -> Vec<(Time, u32)> {
        let beat = |(at, packet): &(Time, Packet)| match packet {
            Packet::Heartbeat(value) => Some((*at, *value)),
            Packet::Bytes => None,
        };
        self.sent.iter().filter_map(beat).collect()
    }

    pub(super) fn in_force(&self) -> [Option<Duration>; 2] {
        [self.liveness.heartbeat_timer().in_force(), self.liveness.silence_timer().in_force()]
    }

    fn next(&self) -> Time {
        let arrives = self.coming.front().map_or(Time::NEVER, |(at, _)| *at);
        let stopped = self.stops.last().map_or(Time::ZERO, |(_, until)| *until);
        arrives.min(self.wakes).max(stopped)
    }

    fn read(&mut self, now: Time) {
        while let Some((_, packet)) = self.coming.front().copied().filter(|(at, _)| *at <= now) {
            self.coming.pop_front();
            self.heard.push((now, packet));
            if let Some(silence) = self.liveness.handle_received(now) {
                self.recovered.push((now, silence));
            }
            if let Packet::Heartbeat(value) = packet {
                let heard = self.liveness.handle_heartbeat(value, now);
                self.adopted.extend(heard.adopted.map(|adopted| (now, adopted)));
            }
        }
    }
}
