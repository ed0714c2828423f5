//! One end of a link by the rules H1 to H4, in ticks.
//!
//! It holds what a real end holds and no more. What the world does to it (a handler that is held, a
//! process that is stopped) is in here too, because that decides when it reads.

use std::fmt;

use crate::explore::Queue;
use crate::world::{Wording, World};

/// What travels. `Room` is the kernel's news that the peer has read a frame: no byte from the peer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Frame {
    /// A HELLO that carries this heartbeat-time, 0 = none; `None`: of a peer without that field.
    Hello(Option<u8>),
    Beat(u8),
    Data,
    Room,
}

impl Frame {
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Hello(None) => 0x1f,
            Self::Hello(Some(value)) => 0x10 | value,
            Self::Beat(value) => 0x20 | value,
            Self::Data => 0x30,
            Self::Room => 0x40,
        }
    }

    pub(crate) fn of(code: u8) -> Self {
        match (code >> 4, code & 0xf) {
            (1, 0xf) => Self::Hello(None),
            (1, value) => Self::Hello(Some(value)),
            (2, value) => Self::Beat(value),
            (3, _) => Self::Data,
            _ => Self::Room,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) enum Verdict {
    #[default]
    None,
    Silent,
    WriteStalled,
}

/// A limit that runs: for how long already, and what it will be judged by.
///
/// One that grows holds at once; one that shrinks holds from the next byte on.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Running {
    pub(crate) for_ticks: u8,
    /// 0 = no limit.
    pub(crate) limit: u8,
}

impl Running {
    fn from_now(limit: u8) -> Self {
        Self { for_ticks: 0, limit }
    }

    fn is_over(self) -> bool {
        self.limit > 0 && self.for_ticks >= self.limit
    }

    fn handle_limit(&mut self, before: u8, now: u8, wording: Wording) {
        if before == 0 {
            *self = Self::from_now(now);
        } else if now > before {
            self.limit = self.limit.max(now);
        } else if now < before {
            match wording {
                Wording::ShrinksFromTheChange => *self = Self::from_now(now),
                Wording::ShrinksAtOnce => self.limit = now,
                _ => {}
            }
        }
    }

    fn tick(&mut self) {
        self.for_ticks = (self.for_ticks + 1).min(LONG);
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct End {
    pub(crate) established: bool,
    pub(crate) verdict: Verdict,
    /// The value in force, 0 = none.
    pub(crate) value: u8,
    /// The smallest value that this side configured or set itself.
    pub(crate) own: u8,
    /// A value lowered here that the peer has not confirmed, and the promise until it does.
    pub(crate) unconfirmed: Option<u8>,
    /// The last value that the peer announced.
    pub(crate) heard: u8,
    pub(crate) slack: u8,
    pub(crate) silence: Running,
    /// The write that the kernel takes no byte of.
    pub(crate) stuck: Option<Running>,
    graced: bool,
    write_graced: bool,
    /// Ticks since the kernel last took a byte.
    idle: u8,
    announce: bool,
    pub(crate) announced: u8,
    /// The sending thread came a tick late, and comes now.
    pub(crate) sent_late: bool,
    /// The handler holds the reader for so many ticks.
    pub(crate) held: u8,
    /// The process is stopped for so many ticks.
    pub(crate) stopped: u8,
    /// It once was, so that the peer may rightly call it dead.
    pub(crate) was_stopped: bool,
    /// What the kernel holds for the reader.
    pub(crate) kernel: Queue,
    /// Frames that the kernel still takes.
    pub(crate) room: u8,
    /// Ticks since the last byte, or since the first limit came into being; and the largest limit
    /// since then. No rule reads them: the law of finding does.
    pub(crate) unheard: u8,
    pub(crate) greatest: u8,
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.for_ticks, self.limit)
    }
}

/// What decides, and no more: a path has a line of it for each side and tick.
impl fmt::Debug for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { value, slack, unconfirmed, silence, stuck, held, stopped, verdict, .. } = self;
        let kernel: Vec<_> = self.kernel.iter().map(Frame::of).collect();
        write!(f, "value {value} slack {slack} silent {silence:?} before {unconfirmed:?} ")?;
        write!(f, "stuck {stuck:?} held {held} stopped {stopped} kernel {kernel:?} {verdict:?}")
    }
}

impl End {
    pub(crate) fn new(world: &World, side: usize) -> Self {
        let value = world.value[side];
        let (slack, room) = (world.slack[side], world.room);
        Self { value, own: value, slack, room, ..Self::default() }
    }

    pub(crate) fn is_running(&self) -> bool {
        self.established && self.verdict == Verdict::None && self.stopped == 0
    }

    fn promise(&self, world: &World) -> u8 {
        match self.unconfirmed {
            Some(0) => world.first_promise,
            Some(before) => before,
            None => self.value,
        }
    }

    /// The limit of a silence, 0 = none.
    pub(crate) fn limit(&self, world: &World) -> u8 {
        match self.promise(world) {
            0 => 0,
            promise => promise + self.slack,
        }
    }

    fn write_limit(&self, world: &World) -> u8 {
        match (world.wording, self.value) {
            (Wording::WritesFollowTheValue, 0) => 0,
            (Wording::WritesFollowTheValue, value) => value + self.slack,
            _ => self.limit(world),
        }
    }

    /// Changes something that the limits depend on.
    fn change(&mut self, world: &World, change: impl FnOnce(&mut Self)) {
        let (before, write_before) = (self.limit(world), self.write_limit(world));
        change(self);
        let (now, write_now) = (self.limit(world), self.write_limit(world));
        self.silence.handle_limit(before, now, world.wording);
        if let Some(stuck) = &mut self.stuck {
            let wording = match world.wording {
                Wording::WritesFollowTheValue => Wording::ShrinksAtOnce,
                wording => wording,
            };
            stuck.handle_limit(write_before, write_now, wording);
        }
        if before == 0 && now > 0 {
            self.unheard = 0;
        }
        self.greatest = self.greatest.max(now);
    }

    /// HELLO has been heard.
    pub(crate) fn establish(&mut self, world: &World, side: usize, theirs: Option<u8>) {
        self.established = true;
        if let Some(value) = theirs.filter(|_| world.tells_in_hello[side]) {
            self.adopt(world, side, value, false);
        }
        self.announce = self.value > 0;
        self.idle = 0;
        self.handle_byte(world);
    }

    /// H2.
    fn adopt(&mut self, world: &World, side: usize, value: u8, announce: bool) {
        if value == 0 {
            return;
        }
        self.change(world, |this| {
            let raised = value.max(world.floor[side]);
            if this.value == 0 || this.value > raised {
                this.value = raised;
                this.announce |= announce;
            }
            this.heard = value;
            this.confirm();
        });
    }

    /// A lowered value binds the peer once it has announced one that is not larger.
    fn confirm(&mut self) {
        if self.heard > 0 && self.heard <= self.value {
            self.unconfirmed = None;
        }
    }

    /// The program sets a smaller value, or the first.
    pub(crate) fn lower(&mut self, world: &World, value: u8) {
        self.change(world, |this| {
            let before = this.value;
            this.value = value;
            this.own = value;
            this.announce = true;
            if world.wording != Wording::LoweredBindsAtOnce {
                this.unconfirmed.get_or_insert(before);
                this.confirm();
            }
        });
    }

    pub(crate) fn set_slack(&mut self, world: &World, slack: u8) {
        self.change(world, |this| this.slack = slack);
    }

    fn handle_byte(&mut self, world: &World) {
        self.silence = Running::from_now(self.limit(world));
        self.graced = false;
        self.unheard = 0;
        self.greatest = self.silence.limit;
    }

    /// Reads what the kernel holds, then passes the verdict. Returns how many frames were read.
    pub(crate) fn read(&mut self, world: &World, side: usize, woke: bool) -> u8 {
        if self.stopped > 0 || self.verdict != Verdict::None {
            return 0;
        }
        if !self.established {
            match self.kernel.first().map(Frame::of) {
                Some(Frame::Hello(theirs)) => self.establish(world, side, theirs),
                _ => return 0,
            }
            self.kernel.pop();
        }
        let mut frames = 0;
        if self.held == 0 {
            while let Some(code) = self.kernel.pop() {
                frames += 1;
                self.handle_byte(world);
                if let Frame::Beat(value) = Frame::of(code) {
                    self.adopt(world, side, value, true);
                }
            }
            if frames > 0 {
                self.handle_byte(world);
            }
            // A wait of our own that ended late: one more slack, once a silence.
            let over = self.silence.for_ticks.saturating_sub(self.silence.limit);
            if woke && self.silence.is_over() && !self.graced && over > world.grace_above {
                self.graced = true;
                self.silence.limit = self.silence.for_ticks + self.slack;
                self.greatest = self.silence.limit;
            }
            if self.silence.is_over() {
                self.verdict = Verdict::Silent;
            }
        }
        self.judge_write(woke);
        frames
    }

    fn judge_write(&mut self, woke: bool) {
        if self.room > 0 {
            (self.stuck, self.write_graced) = (None, false);
        }
        let (slack, graced) = (self.slack, self.write_graced);
        if let Some(stuck) = self.stuck.as_mut().filter(|stuck| stuck.is_over()) {
            if woke && !graced {
                self.write_graced = true;
                stuck.limit = stuck.for_ticks + slack;
            } else {
                self.verdict = Verdict::WriteStalled;
            }
        }
    }

    /// H1 and H3: what this end hands to its kernel in this tick.
    pub(crate) fn poll_send(
        &mut self,
        world: &World,
        side: usize,
        data: bool,
    ) -> [Option<Frame>; 2] {
        if world.streams[side] {
            return [self.poll_stream(world), None];
        }
        let due = self.announce || self.value > 0 && self.idle >= self.value && !data;
        self.announced += u8::from(self.announce);
        self.announce = false;
        if due || data {
            self.idle = 0;
        }
        [due.then_some(Frame::Beat(self.value)), data.then_some(Frame::Data)]
    }

    /// A program that always has a frame: an announcement waits behind one that is stuck (H6).
    fn poll_stream(&mut self, world: &World) -> Option<Frame> {
        if self.room == 0 {
            let limit = self.write_limit(world);
            self.stuck.get_or_insert(Running::from_now(limit));
            return None;
        }
        self.room -= 1;
        self.idle = 0;
        if !std::mem::take(&mut self.announce) {
            return Some(Frame::Data);
        }
        self.announced += 1;
        Some(Frame::Beat(self.value))
    }

    /// Whether nothing is left to say or to hear.
    pub(crate) fn is_quiet(&self) -> bool {
        self.is_running() && !self.announce && self.held == 0 && self.kernel.len() == 0
    }

    pub(crate) fn tick(&mut self) {
        if !self.established || self.verdict != Verdict::None {
            return;
        }
        self.idle = (self.idle + 1).min(LONG);
        if self.held == 0 {
            self.silence.tick();
            self.unheard = (self.unheard + 1).min(LONG);
        }
        if let Some(stuck) = &mut self.stuck {
            stuck.tick();
        }
        self.held = self.held.saturating_sub(1);
    }
}

/// Times beyond this are all alike.
const LONG: u8 = 60;
