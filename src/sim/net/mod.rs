//! Hosts with a program each, and the virtual clock that all of it runs on.
//!
//! Nothing happens between two steps: the clock jumps to the next instant at which a byte arrives,
//! a wait ends or the script says something, and everything of that instant is done there, in one
//! fixed order. It uses no thread and no real time, so a run is its seed and its script.

mod core;
mod faults;
mod raw;

use std::time::Duration;

pub(in crate::sim) use self::core::Core;
use crate::connection::{DownReason, HeartbeatChange, SendError};
use crate::liveness::Time;
use crate::sim::{Conditions, Context, Host, LinkId, Op, Record, SimEvent, SimOptions};

/// What a program is: it is called with everything that its side sees.
pub(in crate::sim) type Handler<'h> = Box<dyn FnMut(&mut Context<'_, 'h>, &SimEvent) + 'h>;

/// A virtual network of hosts with one program each.
///
/// ```
/// use peerbeat::sim::{Net, Op, SimEvent, SimOptions, secs};
///
/// let mut net = Net::new(1);
/// let [here, there] = [(); 2].map(|()| net.add(SimOptions::default()));
/// net.connect(here, there);
/// net.at(secs(3.0), Op::Stop { host: there }); // as by SIGSTOP
/// net.run_until(secs(20.0));
/// let down = net.seen_by(here).find(|it| matches!(it.event, SimEvent::Down { .. }));
/// assert!(down.is_some_and(|it| it.at <= secs(10.0))); // 5 s and 2 s of slack
/// ```
pub struct Net<'h> {
    core: Core,
    programs: Vec<Option<Handler<'h>>>,
}

impl<'h> Net<'h> {
    /// A net without hosts, at time zero. All that is left to chance follows from `seed`.
    pub fn new(seed: u64) -> Self {
        Self { core: Core::new(seed), programs: Vec::new() }
    }

    /// Adds a host whose program only answers.
    pub fn add(&mut self, options: SimOptions) -> Host {
        self.programs.push(None);
        self.core.add(options)
    }

    /// Gives a host its program: it is called with everything that its side sees from now on,
    /// and can send, close, connect, hold the reader and set timers through the [`Context`].
    pub fn on(&mut self, host: Host, handler: impl FnMut(&mut Context<'_, 'h>, &SimEvent) + 'h) {
        self.programs[host.0] = Some(Box::new(handler));
    }

    /// What a host was given.
    pub fn options(&self, host: Host) -> &SimOptions {
        self.core.options(host)
    }

    /// Sets the conditions everywhere, for what is sent from now on.
    pub fn set_conditions(&mut self, conditions: Conditions) {
        self.core.set_conditions(conditions);
    }

    /// The virtual time.
    pub fn now(&self) -> Time {
        self.core.now()
    }

    /// Writes `op` into the script: it happens at `time`, after what was written for that instant
    /// before; at once if that is past.
    pub fn at(&mut self, time: Time, op: Op) {
        self.core.at(time, op);
    }

    /// Does `op` now.
    pub fn apply(&mut self, op: Op) {
        self.core.apply(op);
    }

    /// Dials `to` from the program of `from`; `None` if that does not run.
    ///
    /// # Panics
    /// If both are the same host.
    pub fn connect(&mut self, from: Host, to: Host) -> Option<LinkId> {
        self.core.connect(from, to)
    }

    /// Sends a message from one program to another on their link.
    ///
    /// # Errors
    /// [`SendError::NotConnected`] if there is no link or the program of `from` does not run,
    /// [`SendError::Down`] if the link is ending, [`SendError::Full`] if there is no room,
    /// [`SendError::Unfit`] for a message that no frame can carry.
    pub fn send(&mut self, from: Host, to: Host, payload: &[u8]) -> Result<(), SendError> {
        self.core.send(from, to, payload)
    }

    /// Closes the link of `from` to `to` in order.
    pub fn close(&mut self, from: Host, to: Host) {
        self.core.close(from, to);
    }

    /// Closes the link of `from` to `to` in order, and hands on what arrives meanwhile.
    pub fn drain(&mut self, from: Host, to: Host) {
        self.core.drain(from, to);
    }

    /// Sets the heartbeat-time of the living link of `from` to `to`; `None` if there is none.
    pub fn set_heartbeat_time(
        &mut self,
        from: Host,
        to: Host,
        value: Duration,
    ) -> Option<Result<HeartbeatChange, DownReason>> {
        self.core.set_heartbeat_time(from, to, value)
    }

    /// Sets the slack of the living link of `from` to `to`; `None` if there is none.
    pub fn set_slack(
        &mut self,
        from: Host,
        to: Host,
        slack: Duration,
    ) -> Option<Result<(), DownReason>> {
        self.core.set_slack(from, to, slack)
    }

    /// Whether `from` has a living link to `to`, as it sees it.
    pub fn is_up(&self, from: Host, to: Host) -> bool {
        self.core.is_up(from, to)
    }

    /// Goes on to the next instant at which something happens and does all that happens there;
    /// returns it, or `None` if nothing will ever happen.
    ///
    /// # Panics
    /// If something at one instant never ends.
    pub fn step(&mut self) -> Option<Time> {
        if !self.core.begin_step() {
            return None;
        }
        self.work();
        self.core.end_step();
        Some(self.core.now())
    }

    /// Runs until `time`, what happens at that instant included.
    pub fn run_until(&mut self, time: Time) {
        self.work();
        while self.core.next() <= time && self.step().is_some() {}
        self.core.pass(time);
    }

    /// Runs for `time`.
    pub fn run_for(&mut self, time: Duration) {
        self.run_until(self.now() + time);
    }

    /// Runs until no byte is on its way, at most for `within`, and returns whether that came about.
    /// What a cut holds back does not count.
    pub fn settle(&mut self, within: Duration) -> bool {
        let until = self.now() + within;
        self.work();
        loop {
            let arrival = self.core.next_arrival();
            if arrival > until {
                return arrival == Time::NEVER;
            }
            self.run_until(arrival);
        }
    }

    /// What the sides saw, in order, as their programs see it.
    pub fn seen(&self) -> impl Iterator<Item = &Record> {
        self.core.history(0).iter().filter(|record| !record.event.is_raw())
    }

    /// What one side saw, in order.
    pub fn seen_by(&self, host: Host) -> impl Iterator<Item = &Record> {
        self.seen().filter(move |record| record.host == host)
    }

    /// All that happened from the record number `from` on, raw records included; records count from
    /// the beginning of the run, forgotten ones too.
    pub fn history(&self, from: usize) -> &[Record] {
        self.core.history(from)
    }

    /// Forgets what happened but for the last few records, so that a long run takes no memory.
    pub fn forget(&mut self) {
        self.core.forget();
    }

    pub(in crate::sim) fn set_timer(&mut self, host: Host, at: Time, tag: u64) {
        self.core.set_timer(host, at, tag);
    }

    pub(in crate::sim) fn hold(&mut self, host: Host, link: LinkId, time: Duration) {
        self.core.hold(host, link, time);
    }

    /// Does what can be done at this instant, until nothing more can.
    fn work(&mut self) {
        for _ in 0..TURNS_MAX {
            let handed_on = self.hand_on();
            if !self.core.turn_ends() && !handed_on {
                return;
            }
        }
        panic!("the net does not come to rest at {:?}: something asks again and again", self.now());
    }

    /// Hands what was seen to the programs; what they do may be seen in turn.
    fn hand_on(&mut self) -> bool {
        let mut handed_on = false;
        while let Some(host) = self.core.next_record() {
            handed_on = true;
            let mut program = self.programs[host.0].take_if(|_| self.core.runs(host));
            if let (Some(program), Some(record)) = (&mut program, self.core.record()) {
                let Record { link, event, .. } = record.clone();
                program(&mut Context::new(self, host, link), &event);
            }
            if program.is_some() {
                self.programs[host.0] = self.programs[host.0].take().or(program);
            }
        }
        handed_on
    }
}

/// What no instant needs, unless the rules ask for something without end.
pub(in crate::sim) const TURNS_MAX: u32 = 10_000_000;
