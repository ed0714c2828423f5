//! A whole run as a value: two hosts, the conditions, and what happens when.
//!
//! A script can be drawn from a seed, run under the invariants, printed, and made smaller while it
//! still fails. The same script always makes the same run.

use std::ops::AddAssign;
use std::time::Duration;

use super::{Conditions, Host, Invariants, Op, Pair, Rng, SimEvent, SimOptions, Violation};
use crate::liveness::{Mode, Settings, Time};

/// Two hosts and what happens to them.
///
/// ```
/// use peerbeat::sim::Script;
/// use std::time::Duration;
///
/// for seed in 0..5 {
///     let script = Script::random(seed, Duration::from_secs(60));
///     if let Err(violation) = script.run() {
///         let smallest = script.reduce(|script| script.run().is_err());
///         panic!("{violation}\n{smallest:#?}");
///     }
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// What decides all that is left to chance in the run.
    pub seed: u64,
    /// The host that dials.
    pub left: SimOptions,
    /// The host that is dialled.
    pub right: SimOptions,
    /// The conditions between them at the beginning.
    pub conditions: Conditions,
    /// What happens, and when.
    pub ops: Vec<(Time, Op)>,
    /// How long the run is.
    pub length: Duration,
}

/// The result of a run that broke no invariant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outcome {
    /// Records, raw ones included.
    pub records: usize,
    /// Links that went up, counted at each side.
    pub ups: usize,
    /// Links that went down.
    pub downs: usize,
    /// Those of them that died by a limit: silent, write-stalled.
    pub deaths: usize,
    /// Heartbeats sent.
    pub heartbeats: usize,
}

impl Script {
    /// Draws a script from `seed`: settings, conditions and up to two dozen faults of a few kinds,
    /// within `length`. It repairs what it breaks, so that one run sees many links.
    pub fn random(seed: u64, length: Duration) -> Self {
        let mut rng = Rng::new(seed);
        // Hours of a heartbeat every few milliseconds show no more than minutes of it.
        let least = Duration::from_millis(if length > LONG_RUN_MIN { 500 } else { 1 });
        let (left, right) = (random_options(&mut rng, least), random_options(&mut rng, least));
        let left = SimOptions { redial: Some(rng.duration(Duration::from_secs(3))), ..left };
        let conditions = random_conditions(&mut rng);
        // Few kinds a script: what only the third stop brings to light needs three stops.
        let mut kinds: Vec<u64> = (0..=rng.below(4)).map(|_| rng.below(KINDS)).collect();
        kinds.push(SENDS);
        if rng.one_in(3) {
            kinds.push(BACKLOG);
        }
        let mut ops = Vec::new();
        for _ in 0..rng.below(24) {
            let at = Time::ZERO + rng.duration(length);
            // Often about as long as a limit is, sometimes much longer.
            let most = rng.pick(&[1, 3, 10, 60]);
            let lasts = rng.duration(Duration::from_secs(most));
            let kind = rng.pick(&kinds);
            random_ops(&mut rng, kind, at, lasts, &mut ops);
        }
        ops.sort_by_key(|(at, _)| *at);
        Self { seed, left, right, conditions, ops, length }
    }

    /// Runs the script under the [invariants](Invariants), judged after every step.
    ///
    /// # Errors
    /// The first [`Invariant`](super::Invariant) that was broken, such as
    /// [`Invariant::NoFalseDeath`](super::Invariant::NoFalseDeath) or
    /// [`Invariant::DeathInTime`](super::Invariant::DeathInTime).
    pub fn run(&self) -> Result<Outcome, Box<Violation>> {
        let mut pair = Pair::new(self.seed, self.left, self.right);
        pair.set_conditions(self.conditions);
        for (at, op) in &self.ops {
            pair.at(*at, *op);
        }
        let (mut invariants, mut outcome) = (Invariants::new(), Outcome::default());
        let end = Time::ZERO + self.length;
        let mut counted = 0;
        while pair.step().is_some_and(|now| now <= end) {
            invariants.check(&pair)?;
            for record in pair.history(counted) {
                counted += 1;
                outcome.count(&record.event);
            }
            if counted % 1024 == 0 {
                pair.forget();
            }
        }
        Ok(outcome)
    }

    /// Makes a failing script smaller: drops one op after the other, and what else is not needed,
    /// while `fails` returns true.
    pub fn reduce(mut self, fails: impl Fn(&Self) -> bool) -> Self {
        loop {
            let before = self.ops.len();
            let mut index = self.ops.len();
            while index > 0 {
                index -= 1;
                let mut smaller = self.clone();
                smaller.ops.remove(index);
                if fails(&smaller) {
                    self = smaller;
                }
            }
            if self.ops.len() == before {
                break;
            }
        }
        let calm = Self { conditions: Conditions::default(), ..self.clone() };
        if fails(&calm) { calm } else { self }
    }
}

impl AddAssign for Outcome {
    fn add_assign(&mut self, other: Self) {
        self.records += other.records;
        self.ups += other.ups;
        self.downs += other.downs;
        self.deaths += other.deaths;
        self.heartbeats += other.heartbeats;
    }
}

impl Outcome {
    fn count(&mut self, event: &SimEvent) {
        self.records += 1;
        match event {
            SimEvent::Up { .. } => self.ups += 1,
            SimEvent::HeartbeatSent { .. } => self.heartbeats += 1,
            SimEvent::Down { down, .. } => {
                self.downs += 1;
                self.deaths +=
                    usize::from(["silent", "write-stalled"].contains(&down.reason.as_str()));
            }
            _ => {}
        }
    }
}

fn random_options(rng: &mut Rng, least: Duration) -> SimOptions {
    let ms = Duration::from_millis;
    let heartbeat_time = match rng.below(8) {
        0 => None,
        1 => Some(Duration::ZERO),
        2 => Some(rng.duration(ms(300)).max(least)),
        3 => Some(rng.duration(ms(60_000)).max(least)),
        _ => Some(ms(rng.pick(&[500, 1000, 2500, 5000, 15_000]))),
    };
    let liveness = Settings {
        heartbeat_time,
        slack: rng.pick(&[ms(100), ms(500), ms(2000), ms(2000), ms(10_000)]),
        mode: rng.pick(&[Mode::Idle, Mode::Idle, Mode::Always]),
        heartbeat_time_min: rng.pick(&[ms(1), ms(100), ms(100), ms(1000)]),
        given: None,
    };
    SimOptions {
        liveness,
        granularity: rng.pick(&[Duration::ZERO, ms(1), ms(12), ms(200)]),
        socket_bytes: rng.pick(&[1024, 8192, 256 << 10]),
        queue_bytes: rng.pick(&[10_000, 8 << 20]),
        says_value: !rng.one_in(4),
        message_time: rng.pick(&[Duration::ZERO, Duration::ZERO, ms(2), ms(700)]),
        ..SimOptions::default()
    }
}

fn random_conditions(rng: &mut Rng) -> Conditions {
    let us = Duration::from_micros;
    let delay = rng.pick(&[us(1), us(500), us(40_000), us(300_000)]);
    Conditions {
        delay,
        jitter: rng.pick(&[Duration::ZERO, delay / 2, us(1_500_000)]),
        bandwidth: rng.pick(&[None, None, Some(20), Some(3000), Some(1 << 20)]),
        split: rng.pick(&[None, None, None, None, Some(1), Some(100)]),
    }
}

/// A fault of one kind at `at`, and its end after `lasts`.
fn random_ops(rng: &mut Rng, kind: u64, at: Time, lasts: Duration, ops: &mut Vec<(Time, Op)>) {
    let mut hosts = [Pair::LEFT, Pair::RIGHT];
    hosts.rotate_left(rng.below(2) as usize);
    let [a, b]: [Host; 2] = hosts;
    let (from, to, host) = (a, b, a);
    let until = at + lasts;
    match kind {
        0 => ops.extend([(at, Op::Cut { a, b }), (until, Op::Heal { a, b })]),
        1 => ops.extend([(at, Op::CutOneWay { from, to }), (until, Op::Heal { a, b })]),
        2 => ops.extend([(at, Op::Stop { host }), (until, Op::Resume { host })]),
        4 => {
            let each = rng.pick(&[Duration::MAX, Duration::from_millis(300), lasts]);
            ops.push((at, Op::SlowReader { host, each }));
            ops.push((until, Op::SlowReader { host, each: Duration::ZERO }));
        }
        3 => ops.push((at, Op::Corrupt { from, to })),
        5 => ops.push((at, Op::Reset { a, b })),
        6 => ops.extend([(at, Op::Kill { host }), (until, Op::Start { host })]),
        7 => ops.extend([(at, Op::PowerOff { host }), (until, Op::Start { host })]),
        8 => ops.push((at, Op::Conditions { from, to, conditions: random_conditions(rng) })),
        9 => ops.push((at, rng.pick(&[Op::Close { from, to }, Op::Drain { from, to }]))),
        10 => {
            let most = rng.pick(&[1, 10, 60]);
            let value = rng.duration(Duration::from_secs(most)).max(Duration::from_millis(20));
            ops.push((at, Op::SetHeartbeatTime { from, to, value }));
        }
        11 => {
            let slack = rng.pick(&[100, 500, 2000, 10_000].map(Duration::from_millis));
            ops.push((at, Op::SetSlack { from, to, slack }));
        }
        BACKLOG => {
            // A queue that takes a while, and what must not wait for it, or cuts it off.
            let (size, times) = (rng.pick(&[300, 500, 3000]), 20 + rng.below(60) as u32);
            let busy = Duration::from_millis(rng.pick(&[0, 50, 300]));
            ops.push((at, Op::SlowReader { host: to, each: busy }));
            ops.push((at, Op::Send { from, to, size, times, every: Duration::ZERO }));
            ops.push((until, Op::SlowReader { host: to, each: Duration::ZERO }));
            let soon = at + rng.duration(Duration::from_millis(300));
            match rng.below(5) {
                0 => {
                    // Something arrives soon, because news are announced at once.
                    let value = rng.duration(Duration::from_secs(1)).max(Duration::from_millis(20));
                    ops.push((soon, Op::Corrupt { from: to, to: from }));
                    ops.push((soon, Op::SetHeartbeatTime { from: to, to: from, value }));
                }
                1 => {
                    let value = rng.duration(Duration::from_secs(1)).max(Duration::from_millis(20));
                    ops.push((soon, Op::SetHeartbeatTime { from, to, value }));
                }
                2 | 3 => ops.push((soon, Op::End { from, to })),
                _ => {}
            }
        }
        _ => {
            let (size, most) = rng.pick(&[(0, 40), (10, 40), (500, 20), (3000, 5), (20_000, 1)]);
            let times = 1 + rng.below(most) as u32;
            let every = rng.duration(lasts / 4);
            ops.push((at, Op::Send { from, to, size, times, every }));
        }
    }
}

/// Scripts above this length are long.
const LONG_RUN_MIN: Duration = Duration::from_secs(3600);
/// How many kinds of faults there are; the one that is no fault but traffic, and the one of which
/// there is a queue.
const KINDS: u64 = 14;
const SENDS: u64 = KINDS - 1;
const BACKLOG: u64 = KINDS - 2;
