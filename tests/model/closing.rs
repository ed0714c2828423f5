//! The orderly close (H5) over something like TCP.
//!
//! A kernel takes so many frames that the peer has not read. A socket that is given back answers
//! bytes with a reset, and one that is given back with bytes unread resets at once; a reset
//! destroys what its receiver's kernel had under way.

use crate::explore::{Explored, Next, Queue, explore};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Wording {
    AsItIs,
    /// "Writes what was accepted, then reads."
    WritesFirst,
    /// "The close timeout counts from the call."
    TimeoutFromTheCall,
}

#[derive(Clone, Debug)]
struct World {
    wording: Wording,
    /// What each program has had accepted.
    accepted: [u8; 2],
    /// Frames that a kernel takes beyond those that were read.
    window: u8,
    close_timeout: u8,
    may_close: [bool; 2],
    /// What arrives at a closing side is handed on.
    drains: bool,
    /// The handler of this side may be held once for so many ticks.
    held: [u8; 2],
    /// The handler of this side sends, and waits while its queue is full.
    handler_sends: [bool; 2],
    /// A write of this side may fail.
    write_may_fail: [bool; 2],
    /// A reset also destroys what its receiver has not read.
    reset_takes_unread: bool,
}

impl Default for World {
    fn default() -> Self {
        Self {
            wording: Wording::AsItIs,
            accepted: [2, 2],
            window: 1,
            close_timeout: 9,
            may_close: [true, false],
            drains: false,
            held: [0, 0],
            handler_sends: [false; 2],
            write_may_fail: [false; 2],
            reset_takes_unread: false,
        }
    }
}

const DATA: u8 = 1;
const BEAT: u8 = 2;
const BYE: u8 = 3;
const END: u8 = 4;
const RESET: u8 = 5;

fn is_bytes(what: u8) -> bool {
    matches!(what, DATA | BEAT | BYE)
}

fn bytes(queue: &Queue) -> u8 {
    queue.iter().filter(|what| is_bytes(*what)).count() as u8
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
enum Phase {
    #[default]
    Open,
    /// Writes what was accepted, and the BYE.
    Writing,
    /// The sending direction is shut.
    Ended,
    /// The socket is given back.
    Gone,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
struct Side {
    phase: Phase,
    /// Its program called for the close, before the peer's goodbye came.
    closed: bool,
    unwritten: u8,
    unread: Queue,
    held: u8,
    /// Ticks since the close timeout began.
    waited: u8,
    handed_on: u8,
    dropped: u8,
    write_failed: bool,
    gave_up: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct State {
    sides: [Side; 2],
    /// Under way from each side, and how much of it has been for a tick.
    wires: [Queue; 2],
    old: [u8; 2],
    may_hold: bool,
    may_fail: bool,
}

fn run(world: &World) -> Explored {
    let side = |side: usize| Side { unwritten: world.accepted[side], ..Side::default() };
    let (sides, wires) = ([side(0), side(1)], [Queue::default(); 2]);
    let start = State { sides, wires, old: [0; 2], may_hold: true, may_fail: true };
    explore(start, |state, next| state.choices(world, next))
}

impl State {
    fn choices(&self, world: &World, next: &mut dyn FnMut(Next<Self>)) {
        for first in self.old[0]..=self.wires[0].len() {
            for second in self.old[1]..=self.wires[1].len() {
                let mut state = *self;
                state.deliver(world, [first, second]);
                state.act(world, next);
            }
        }
    }

    fn deliver(&mut self, world: &World, counts: [u8; 2]) {
        // What a reset destroys or adds is not what was chosen from.
        let chosen = self.wires;
        self.wires = [Queue::default(); 2];
        for (from, wire) in chosen.iter().enumerate() {
            for (index, what) in wire.iter().enumerate() {
                if index >= counts[from].into() {
                    self.wires[from].push(what);
                }
            }
        }
        self.old = self.wires.map(|wire| wire.len());
        for (from, wire) in chosen.iter().enumerate() {
            for what in wire.iter().take(counts[from].into()) {
                self.arrive(world, 1 - from, what);
            }
        }
    }

    fn arrive(&mut self, world: &World, side: usize, what: u8) {
        if self.sides[side].phase == Phase::Gone {
            if is_bytes(what) {
                self.put(side, RESET);
            }
            return;
        }
        if what == RESET {
            self.wires[side].clear();
            self.old[side] = 0;
            self.sides[side].write_failed = true;
            if world.reset_takes_unread {
                self.sides[side].unread.clear();
            }
        }
        self.sides[side].unread.push(what);
    }

    /// Puts something on the wire; of ends and resets one is enough.
    fn put(&mut self, from: usize, what: u8) {
        if is_bytes(what) || !self.wires[from].iter().any(|on_its_way| on_its_way == what) {
            self.wires[from].push(what);
        }
    }

    fn act(self, world: &World, next: &mut dyn FnMut(Next<Self>)) {
        let is_open = |side: usize| self.sides[side].phase == Phase::Open;
        for choice in 0..64 {
            let chosen = |bit: usize| choice & 1 << bit != 0;
            let mut state = self;
            let mut is_allowed = true;
            for side in 0..2 {
                if chosen(side) {
                    is_allowed &= world.may_close[side] && is_open(side);
                    (state.sides[side].phase, state.sides[side].closed) = (Phase::Writing, true);
                }
                if chosen(2 + side) {
                    let ticks = world.held[side];
                    is_allowed &= state.may_hold && ticks > 0 && is_open(side);
                    (state.sides[side].held, state.may_hold) = (ticks + 1, false);
                }
                if chosen(4 + side) {
                    is_allowed &= state.may_fail && world.write_may_fail[side];
                    (state.sides[side].write_failed, state.may_fail) = (true, false);
                }
            }
            if is_allowed {
                state.tick(world, next);
            }
        }
    }

    fn tick(mut self, world: &World, next: &mut dyn FnMut(Next<Self>)) {
        (0..2).for_each(|side| self.read(world, side));
        (0..2).for_each(|side| self.write(world, side));
        for side in 0..2 {
            let this = &mut self.sides[side];
            this.held = this.held.saturating_sub(1);
            if matches!(this.phase, Phase::Writing | Phase::Ended) {
                this.waited += 1;
                if this.waited > world.close_timeout {
                    this.gave_up = true;
                    self.give_back(side);
                }
            }
        }
        match self.broken(world) {
            Some(law) => next(Next::Broken(law, self)),
            None if self.sides.iter().all(|side| side.phase == Phase::Gone) => {}
            None => next(Next::State(self)),
        }
    }

    fn read(&mut self, world: &World, side: usize) {
        let this = &mut self.sides[side];
        let is_open = this.phase == Phase::Open;
        let is_waiting = world.handler_sends[side] && this.unwritten > 0 && !this.write_failed;
        let writes_first = world.wording == Wording::WritesFirst && this.phase == Phase::Writing;
        if this.phase == Phase::Gone || is_open && (this.held > 0 || is_waiting) || writes_first {
            return;
        }
        while let Some(what) = this.unread.pop() {
            let is_end = match what {
                DATA if is_open || world.drains => {
                    this.handed_on += 1;
                    false
                }
                DATA => {
                    this.dropped += 1;
                    false
                }
                BYE => is_open,
                END => this.phase != Phase::Writing,
                RESET => true,
                _ => false,
            };
            if is_end {
                return self.give_back(side);
            }
        }
    }

    fn give_back(&mut self, side: usize) {
        let this = &mut self.sides[side];
        this.phase = Phase::Gone;
        let is_reset = bytes(&this.unread) > 0;
        this.unread.clear();
        if is_reset {
            self.wires[side].clear();
            self.old[side] = 0;
        }
        self.put(side, if is_reset { RESET } else { END });
    }

    fn write(&mut self, world: &World, side: usize) {
        let this = self.sides[side];
        if matches!(this.phase, Phase::Ended | Phase::Gone) {
            return;
        }
        let is_closing = this.phase == Phase::Writing;
        if this.write_failed {
            if is_closing {
                self.sides[side].phase = Phase::Ended;
                self.put(side, END);
            }
            return;
        }
        let mut wrote = false;
        while bytes(&self.wires[side]) + bytes(&self.sides[1 - side].unread) < world.window {
            let this = &mut self.sides[side];
            let what = match this.unwritten {
                0 if is_closing => BYE,
                0 if wrote => break,
                0 => BEAT,
                _ => DATA,
            };
            this.unwritten -= u8::from(what == DATA);
            wrote = true;
            self.put(side, what);
            if what == BYE {
                self.sides[side].phase = Phase::Ended;
                self.put(side, END);
                break;
            }
        }
        if wrote && is_closing && world.wording != Wording::TimeoutFromTheCall {
            self.sides[side].waited = 0;
        }
    }

    fn broken(&self, world: &World) -> Option<&'static str> {
        // A handler held beyond the timeout is no living peer.
        let patient = world.held.iter().all(|held| *held < world.close_timeout / 2);
        if patient && self.sides.iter().any(|side| side.gave_up) {
            return Some("a close gave up on a living peer");
        }
        let [first, second] = &self.sides;
        if !patient || first.phase != Phase::Gone || second.phase != Phase::Gone {
            return None;
        }
        let is_lost = |side: usize| {
            let there = &self.sides[1 - side];
            let counted =
                if world.drains { there.handed_on } else { there.handed_on + there.dropped };
            self.sides[side].closed && !world.write_may_fail[side] && counted < world.accepted[side]
        };
        (is_lost(0) || is_lost(1)).then_some("what the closing side had accepted was lost")
    }
}

#[track_caller]
fn hold(world: World) {
    let explored = run(&world);
    if let Some((law, path)) = explored.broken {
        panic!("{law}\n{path}\nin {world:?}");
    }
    println!("{} states", explored.states);
    assert!(explored.states > 10);
}

#[track_caller]
fn breaks(world: World, law: &str) {
    let (broken, path) = run(&world).broken.expect("nothing was found");
    println!("{broken}\n{path}");
    assert_eq!(broken, law);
}

#[test]
fn one_closes_and_all_of_it_arrives() {
    for reset_takes_unread in [false, true] {
        let world = World { reset_takes_unread, ..World::default() };
        hold(World { accepted: [4, 4], window: 2, ..world.clone() });
        hold(World { held: [0, 4], ..world.clone() });
        hold(world);
    }
}

#[test]
fn a_handler_that_sends_is_no_reason_to_lose() {
    hold(World { accepted: [3, 3], handler_sends: [false, true], ..World::default() });
}

#[test]
fn two_close_at_once_and_all_of_it_is_handed_on_or_counted() {
    hold(World { may_close: [true; 2], ..World::default() });
    hold(World { may_close: [true; 2], accepted: [3, 3], window: 2, ..World::default() });
}

#[test]
fn two_drains_hand_on_everything() {
    hold(World { may_close: [true; 2], drains: true, ..World::default() });
    hold(World {
        may_close: [true; 2],
        accepted: [3, 3],
        window: 2,
        drains: true,
        ..World::default()
    });
}

#[test]
fn a_failed_write_of_the_side_that_does_not_close_changes_nothing() {
    hold(World { write_may_fail: [false, true], ..World::default() });
}

#[test]
fn a_slow_reader_that_goes_on_reading_gets_everything() {
    hold(World { accepted: [10, 0], ..World::default() });
}

/// No call can wait for a peer that does not read for longer than the close timeout.
#[test]
fn a_peer_that_does_not_read_is_given_up() {
    let world = World { held: [0, 14], ..World::default() };
    let mut gave_up = 0;
    let side = |side: usize| Side { unwritten: world.accepted[side], ..Side::default() };
    let (sides, wires) = ([side(0), side(1)], [Queue::default(); 2]);
    let start = State { sides, wires, old: [0; 2], may_hold: true, may_fail: true };
    let explored = explore(start, |state, next| {
        gave_up += usize::from(state.sides[0].gave_up);
        state.choices(&world, next);
    });
    assert!(explored.broken.is_none() && gave_up > 0);
}

/// Both have a full window that is not read.
#[test]
fn two_closes_that_write_first_and_read_after_wait_for_each_other() {
    let (may_close, accepted) = ([true; 2], [3, 3]);
    hold(World { may_close, accepted, ..World::default() });
    let wording = Wording::WritesFirst;
    breaks(
        World { may_close, accepted, wording, ..World::default() },
        "a close gave up on a living peer",
    );
}

#[test]
fn a_timeout_from_the_call_loses_what_a_slow_reader_would_have_read() {
    let world =
        World { accepted: [10, 0], wording: Wording::TimeoutFromTheCall, ..World::default() };
    breaks(world, "a close gave up on a living peer");
}
