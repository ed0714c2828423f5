//! Two ends, two wires, and all that may happen to them in a tick.

use crate::ends::{End, Frame, Verdict};
use crate::explore::{Explored, Next, Queue, explore};

/// The rules as they are, or one of the wordings that were believed right once.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Wording {
    #[default]
    AsItIs,
    /// "A limit that shrinks counts from the change."
    ShrinksFromTheChange,
    /// "A limit that shrinks holds at once."
    ShrinksAtOnce,
    /// "A value that the program lowers binds the peer at once."
    LoweredBindsAtOnce,
    /// "A pending write has the value in force + slack, at once."
    WritesFollowTheValue,
}

/// What is given. Side 0 dials, side 1 accepts. Times are ticks.
#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) wording: Wording,
    /// The least and the largest delay of a wire.
    pub(crate) delay: (u8, u8),
    /// Configured heartbeat-times, 0 = none.
    pub(crate) value: [u8; 2],
    pub(crate) slack: [u8; 2],
    pub(crate) floor: [u8; 2],
    pub(crate) tells_in_hello: [bool; 2],
    /// The counterpart of the 10 s by which a first value is promised.
    pub(crate) first_promise: u8,
    /// A stop of our own counts as one if it goes beyond the limit by more than this.
    pub(crate) grace_above: u8,
    /// The program of this side always has a frame to send.
    pub(crate) streams: [bool; 2],
    /// Frames that a kernel takes before the peer has read one.
    pub(crate) room: u8,
    /// How many things may happen in all.
    pub(crate) acts: u8,
    pub(crate) may: May,
}

/// What may happen, each whenever it likes.
#[derive(Clone, Debug)]
pub(crate) struct May {
    /// To which side.
    pub(crate) sides: [bool; 2],
    pub(crate) lower_to: Vec<u8>,
    pub(crate) slack_to: Vec<u8>,
    pub(crate) hold_handler: Vec<u8>,
    pub(crate) stop_process: Vec<u8>,
    /// A stop takes the kernel with it: the machine is paused.
    pub(crate) stops_are_pauses: bool,
    pub(crate) send_data: bool,
    /// The sending thread comes a tick late.
    pub(crate) send_late: bool,
    /// Values and slacks change only while a write of that side is stuck before a held handler.
    pub(crate) change_only_while_stuck: bool,
    pub(crate) cut: bool,
}

impl Default for World {
    fn default() -> Self {
        let may = May {
            sides: [true; 2],
            lower_to: Vec::new(),
            slack_to: Vec::new(),
            hold_handler: Vec::new(),
            stop_process: Vec::new(),
            stops_are_pauses: false,
            send_data: false,
            send_late: false,
            change_only_while_stuck: false,
            cut: false,
        };
        Self {
            wording: Wording::AsItIs,
            delay: (1, 2),
            value: [4, 4],
            slack: [1, 1],
            floor: [0, 0],
            tells_in_hello: [true; 2],
            first_promise: 10,
            grace_above: 0,
            streams: [false; 2],
            room: 1,
            acts: 0,
            may,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Act {
    Nothing,
    Lower(u8),
    Slack(u8),
    Hold(u8),
    Stop(u8),
    Data,
    Late,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
struct Wire {
    frames: Queue,
    ages: Queue,
}

impl Wire {
    fn push(&mut self, frame: Frame) {
        self.frames.push(frame.code());
        self.ages.push(0);
    }

    fn pop(&mut self) -> Option<Frame> {
        self.ages.pop();
        self.frames.pop().map(Frame::of)
    }

    fn clear(&mut self) {
        self.frames.clear();
        self.ages.clear();
    }

    /// How many frames may arrive now: at least those that are due, at most those old enough.
    fn arrivals(&self, (least, greatest): (u8, u8)) -> std::ops::RangeInclusive<u8> {
        let older = |than| self.ages.iter().filter(|age| *age >= than).count() as u8;
        older(greatest)..=older(least)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct State {
    ends: [End; 2],
    /// From side 0 and from side 1.
    wires: [Wire; 2],
    cut: bool,
    acts_left: u8,
    sets: u8,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let frames = |wire: &Wire| {
            let frames = wire.frames.iter().zip(wire.ages.iter());
            frames.map(|(code, age)| format!("{:?}+{age}", Frame::of(code))).collect::<Vec<_>>()
        };
        let wires = self.wires.each_ref().map(frames);
        write!(f, "cut {} wires {wires:?}\n  {:?}\n  {:?}", self.cut, self.ends[0], self.ends[1])
    }
}

/// What was seen besides broken laws.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// The longest silence until a verdict, a side.
    pub(crate) found_after: [u8; 2],
    /// This side had no limit and could not find out.
    pub(crate) never_found: [bool; 2],
    /// The most announcements beyond two for each change by a program.
    pub(crate) announced: i16,
}

pub(crate) fn run(world: &World) -> (Explored, Seen) {
    let mut seen = Seen { announced: i16::MIN, ..Seen::default() };
    let mut start = State {
        ends: [End::new(world, 0), End::new(world, 1)],
        wires: [Wire::default(); 2],
        cut: false,
        acts_left: world.acts,
        sets: 0,
    };
    // The accepting side has heard HELLO: its own is under way, and its heartbeat behind it.
    let hello = |side: usize| world.tells_in_hello[side].then_some(world.value[side]);
    start.ends[1].establish(world, 1, hello(0));
    start.wires[1].push(Frame::Hello(hello(1)));
    start.send(world, 1, Act::Nothing);
    start.tick(world);
    let explored = explore(start, |state, next| state.choices(world, &mut seen, next));
    (explored, seen)
}

impl State {
    fn choices(&self, world: &World, seen: &mut Seen, next: &mut dyn FnMut(Next<Self>)) {
        for first in self.arrivals(world, 0) {
            for second in self.arrivals(world, 1) {
                let mut state = *self;
                state.deliver(0, first);
                state.deliver(1, second);
                state.read(world, seen, next);
            }
        }
        if world.may.cut && !self.cut && self.acts_left > 0 {
            let mut state = *self;
            (state.cut, state.acts_left) = (true, self.acts_left - 1);
            state.wires.iter_mut().for_each(Wire::clear);
            state.read(world, seen, next);
        }
    }

    /// A paused machine takes nothing off its wire.
    fn arrivals(&self, world: &World, from: usize) -> std::ops::RangeInclusive<u8> {
        match world.may.stops_are_pauses && self.ends[1 - from].stopped > 1 {
            true => 0..=0,
            false => self.wires[from].arrivals(world.delay),
        }
    }

    fn deliver(&mut self, from: usize, count: u8) {
        for _ in 0..count {
            match self.wires[from].pop().unwrap() {
                Frame::Room => self.ends[1 - from].room += 1,
                frame => self.ends[1 - from].kernel.push(frame.code()),
            }
        }
    }

    /// Both sides read and judge.
    fn read(mut self, world: &World, seen: &mut Seen, next: &mut dyn FnMut(Next<Self>)) {
        let before = self.ends.map(|end| end.verdict);
        for side in 0..2 {
            let end = &mut self.ends[side];
            let woke = end.stopped == 1;
            end.stopped -= u8::from(woke);
            let frames = end.read(world, side, woke);
            if world.streams[1 - side] && !self.cut {
                (0..frames).for_each(|_| self.wires[side].push(Frame::Room));
            }
        }
        let mut ended = false;
        for side in 0..2 {
            let (end, peer) = (&self.ends[side], &self.ends[1 - side]);
            if end.verdict != before[side] {
                ended = true;
                seen.found_after[side] = seen.found_after[side].max(end.unheard);
                if !self.cut && !peer.was_stopped && before[1 - side] == Verdict::None {
                    return next(Next::Broken("a living peer was called dead", self));
                }
            }
            seen.never_found[side] |= self.cut && end.established && end.greatest == 0;
            let overdue = end.is_running() && end.held == 0 && end.greatest > 0;
            if overdue && end.unheard >= end.greatest && end.verdict == Verdict::None {
                return next(Next::Broken("a dead peer was not found in time", self));
            }
        }
        if self.is_over(ended) {
            return;
        }
        for first in self.acts(world, 0) {
            for second in self.acts(world, 1) {
                let acts = [first, second];
                let cost = acts.iter().filter(|act| **act != Act::Nothing).count() as u8;
                if cost <= self.acts_left {
                    self.act(world, acts, cost, seen, next);
                }
            }
        }
    }

    /// What comes after a verdict on a link that is not cut is a reset; on one that is, the other
    /// side must still find out.
    fn is_over(&self, ended: bool) -> bool {
        let dead = self.ends.iter().filter(|end| end.verdict != Verdict::None).count();
        dead == 2 || ended && !self.cut
    }

    fn acts(&self, world: &World, side: usize) -> Vec<Act> {
        let (end, may) = (&self.ends[side], &world.may);
        let mut acts = vec![Act::Nothing];
        if !end.is_running() || !may.sides[side] || self.acts_left == 0 {
            return acts;
        }
        let is_stuck = end.stuck.is_some() && self.ends[1 - side].held > 0;
        if !may.change_only_while_stuck || is_stuck {
            let lower = may.lower_to.iter().filter(|to| end.value == 0 || **to < end.value);
            acts.extend(lower.map(|to| Act::Lower(*to)));
            let slack = may.slack_to.iter().filter(|to| **to != end.slack);
            acts.extend(slack.map(|to| Act::Slack(*to)));
        }
        if end.held == 0 {
            acts.extend(may.hold_handler.iter().map(|ticks| Act::Hold(*ticks)));
            acts.extend(may.stop_process.iter().map(|ticks| Act::Stop(*ticks)));
        }
        acts.extend(may.send_data.then_some(Act::Data));
        acts.extend((may.send_late && !end.sent_late).then_some(Act::Late));
        acts
    }

    fn act(
        mut self,
        world: &World,
        acts: [Act; 2],
        cost: u8,
        seen: &mut Seen,
        next: &mut dyn FnMut(Next<Self>),
    ) {
        self.acts_left -= cost;
        for (side, act) in acts.into_iter().enumerate() {
            let end = &mut self.ends[side];
            match act {
                Act::Lower(value) => {
                    end.lower(world, value);
                    self.sets += 1;
                }
                Act::Slack(slack) => end.set_slack(world, slack),
                Act::Hold(ticks) => end.held = ticks,
                Act::Stop(ticks) => (end.stopped, end.was_stopped) = (ticks + 1, true),
                Act::Nothing | Act::Data | Act::Late => {}
            }
            self.send(world, side, act);
        }
        let announced: i16 = self.ends.iter().map(|end| i16::from(end.announced)).sum();
        seen.announced = seen.announced.max(announced - 2 * i16::from(self.sets));
        if !self.is_settled(world) {
            return next(Next::Broken("the values did not settle at the smaller one", self));
        }
        self.tick(world);
        next(Next::State(self));
    }

    fn send(&mut self, world: &World, side: usize, act: Act) {
        let end = &mut self.ends[side];
        end.sent_late = act == Act::Late;
        if !end.is_running() || end.sent_late {
            return;
        }
        for frame in end.poll_send(world, side, act == Act::Data).into_iter().flatten() {
            if !self.cut {
                self.wires[side].push(frame);
            }
        }
    }

    /// When nothing is under way any more each side has the smaller of its own smallest value and
    /// the peer's, which its floor may raise.
    fn is_settled(&self, world: &World) -> bool {
        let is_quiet = self.ends.iter().all(End::is_quiet);
        if !is_quiet || self.cut || self.wires.iter().any(|wire| wire.frames.len() > 0) {
            return true;
        }
        (0..2).all(|side| {
            let (own, theirs) = (self.ends[side].own, self.ends[1 - side].own);
            let raised = if theirs > 0 { theirs.max(world.floor[side]) } else { 0 };
            let expected = [own, raised].into_iter().filter(|value| *value > 0).min();
            self.ends[side].value == expected.unwrap_or(0)
        })
    }

    fn tick(&mut self, world: &World) {
        for side in 0..2 {
            let paused = world.may.stops_are_pauses && self.ends[1 - side].stopped > 1;
            if !paused {
                self.wires[side].ages.age();
            }
        }
        for end in &mut self.ends {
            end.tick();
            end.stopped -= u8::from(end.stopped > 1);
        }
    }
}
