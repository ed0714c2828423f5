//! A run as a value: two ends, and what happens on each of their two connections.
//!
//! A seed draws a script, always the same one. Times are in milliseconds from the beginning of the
//! connection. The second connection has the same ends and is independent of the first.

use std::time::Duration;

use peerbeat::liveness::{Mode, Settings};
use peerbeat::sim::Rng;

/// Two ends and their two connections.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    pub(crate) ends: [Settings; 2],
    pub(crate) acts: [Act; 2],
}

/// What happens on one connection.
#[derive(Clone, Debug)]
pub(crate) struct Act {
    /// Nothing happens that a healthy link may die of, and at its end it is closed in order.
    pub(crate) is_fair: bool,
    pub(crate) ops: Vec<(u64, Op)>,
    /// How long it lasts at least, in milliseconds.
    pub(crate) length: u64,
    /// Which end closes.
    pub(crate) closer: usize,
}

/// What happens at one instant. An end is 0 or 1; a way is the end that it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    Send {
        from: usize,
        size: usize,
    },
    /// A thread goes round both links so often without a rest.
    Round {
        ticks: usize,
        size: usize,
    },
    Lower {
        end: usize,
        value: u64,
    },
    Delay {
        way: usize,
        by: u64,
    },
    /// So many bytes at a time; 0 = as they come.
    Split {
        way: usize,
        bytes: usize,
    },
    /// Nothing is taken and nothing passed on, until it thaws.
    Freeze {
        way: usize,
        on: bool,
    },
    /// Bytes vanish from now on.
    Cut {
        way: usize,
    },
    /// Both connections are dropped; if bytes are unread that is a reset.
    Drop,
    Close {
        end: usize,
    },
    /// Ended with a goodbye, and what waits is dropped.
    End {
        end: usize,
    },
    HoldHeartbeats {
        end: usize,
        on: bool,
    },
    StallReader {
        end: usize,
        on: bool,
    },
    StallWriter {
        end: usize,
        on: bool,
    },
}

impl Act {
    /// Something cannot be undone: an end may have to die of it.
    pub(crate) fn is_deadly(&self) -> bool {
        let is_deadly =
            |op: &Op| matches!(op, Op::Cut { .. } | Op::Drop | Op::Close { .. } | Op::End { .. });
        self.ops.iter().any(|(_, op)| is_deadly(op))
    }
}

impl Script {
    /// Draws a script whose ops begin within `length` milliseconds of their connection.
    pub(crate) fn random(seed: u64, length: u64) -> Self {
        let mut rng = Rng::new(seed);
        let ends = [(); 2].map(|()| settings(&mut rng));
        let slack = ends[0].slack.min(ends[1].slack).as_millis() as u64;
        let acts = [(); 2].map(|()| act(&mut rng, slack, length));
        Self { ends, acts }
    }
}

fn settings(rng: &mut Rng) -> Settings {
    let ms = Duration::from_millis;
    Settings::default()
        .heartbeat_time(rng.pick(&[None, Some(200), Some(300), Some(500), Some(800)]).map(ms))
        .slack(ms(rng.pick(&[250, 400, 600])))
        .mode(rng.pick(&[Mode::Idle, Mode::Idle, Mode::Always]))
        .heartbeat_time_min(ms(rng.pick(&[50, 100, 250])))
}

fn act(rng: &mut Rng, slack: u64, length: u64) -> Act {
    let is_fair = rng.one_in(2);
    let mut ops = Vec::new();
    for _ in 0..2 + rng.below(6) {
        let at = rng.below(length);
        harmless(rng, at, slack, &mut ops);
    }
    ops.retain(|(at, op)| *at < length || !matches!(op, Op::Send { .. } | Op::Round { .. }));
    if !is_fair {
        for _ in 0..1 + rng.below(2) {
            let at = rng.below(length);
            harmful(rng, at, &mut ops);
        }
    }
    ops.sort_by_key(|(at, _)| *at);
    Act { is_fair, ops, length, closer: end(rng) }
}

fn end(rng: &mut Rng) -> usize {
    rng.below(2) as usize
}

fn harmless(rng: &mut Rng, at: u64, slack: u64, ops: &mut Vec<(u64, Op)>) {
    let (from, way, end) = (end(rng), end(rng), end(rng));
    match rng.below(10) {
        0 => ops.push((at, Op::Delay { way, by: rng.below(slack / 4) })),
        1 => ops.push((at, Op::Split { way, bytes: rng.pick(&[0, 1, 3, 100]) })),
        2 => {
            ops.push((at, Op::Freeze { way, on: true }));
            ops.push((at + rng.below(slack / 4), Op::Freeze { way, on: false }));
        }
        3 => ops.push((at, Op::Lower { end, value: rng.pick(&[40, 120, 250, 400]) })),
        4 => ops.push((at, Op::Send { from, size: rng.pick(&[16, 300, 5000]) })),
        5 | 6 => {
            let (ticks, size) = (rng.pick(&[30, 400, 1500]), rng.pick(&[16, 40, 100]));
            ops.push((at, Op::Round { ticks, size }));
        }
        _ => {
            // A busy link: gaps below and above what a heartbeat-time may be.
            let (gap, size) = (rng.pick(&[15, 60, 150, 350]), rng.pick(&[16, 100, 2000]));
            for index in 0..5 + rng.below(25) {
                ops.push((at + index * gap, Op::Send { from, size }));
            }
        }
    }
}

fn harmful(rng: &mut Rng, at: u64, ops: &mut Vec<(u64, Op)>) {
    let (way, end) = (end(rng), end(rng));
    let until = at + 100 + rng.below(1800);
    match rng.below(11) {
        0 => ops.push((at, Op::Cut { way })),
        1 => ops.extend([(at, Op::Cut { way: 0 }), (at, Op::Cut { way: 1 })]),
        2 => {
            ops.extend([(at, Op::Freeze { way, on: true }), (until, Op::Freeze { way, on: false })])
        }
        3 => {
            flood(way, at, ops);
            ops.push((until + 1500, Op::Freeze { way, on: false }));
        }
        4 => ops.push((at, Op::Drop)),
        5 => {
            ops.extend((0..2).map(|way| (at, Op::Freeze { way, on: true })));
            ops.extend((0..2).map(|from| (at + 1, Op::Send { from, size: 16 })));
            ops.push((at + 10, Op::Drop));
        }
        6 => ops.push((at, Op::Close { end })),
        9 => {
            // It cannot write all before its time is up, or drops what waits behind the frame that
            // it has begun, and has just the time to end that one. In between the line lets through
            // the first message, which was written alone: the others are taken as one.
            flood(way, at, ops);
            if rng.one_in(2) {
                ops.push((at + 20, Op::Close { end: way }));
                ops.push((until, Op::Freeze { way, on: false }));
            } else {
                ops.push((at + 100, Op::Freeze { way, on: false }));
                ops.push((at + 103, Op::Freeze { way, on: true }));
                ops.push((at + 160, Op::End { end: way }));
                ops.push((at + 190, Op::Freeze { way, on: false }));
            }
        }
        10 => {
            // A backlog that goes out in the end, and heartbeats that must pass it.
            flood(way, at, ops);
            ops.push((at + 20, Op::Lower { end: way, value: 120 }));
            ops.push((at + 100, Op::Freeze { way, on: false }));
        }
        7 => {
            ops.push((at, Op::HoldHeartbeats { end, on: true }));
            ops.push((until, Op::HoldHeartbeats { end, on: false }));
        }
        _ => {
            let op = |on| match way {
                0 => Op::StallReader { end, on },
                _ => Op::StallWriter { end, on },
            };
            ops.extend([(at, op(true)), (until, op(false))]);
        }
    }
}

/// More than the kernels hold: the write is stuck.
fn flood(way: usize, at: u64, ops: &mut Vec<(u64, Op)>) {
    ops.push((at, Op::Freeze { way, on: true }));
    ops.extend((0..24).map(|_| (at + 1, Op::Send { from: way, size: 512 << 10 })));
}
