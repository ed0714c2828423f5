//! The receiving half by definition.
//!
//! The verdict follows from all instants at which bytes came, from what held the reader, from our
//! own stalls, and from all values that were ever configured, heard or set.

use std::time::Duration;

use super::{NS, floor, ms, raise, travels};
use peerbeat::liveness::{Settings, SilenceTimer, Time, Verdict};

/// What happens to a receiving side.
#[derive(Clone, Debug)]
pub(crate) enum Hear {
    Pass(Duration),
    /// To so many nanoseconds before or after the next instant that the watch names.
    PassToNext(i8),
    Bytes,
    Heartbeat(u32),
    /// Our handler holds the reader for so long.
    Held(Duration),
    /// A wait that should have ended so long ago ended now.
    Waited(Duration),
    /// A smaller limit of our own, in so long.
    Lower(Duration, Duration),
    Slack(Duration),
}

/// All that a receiving side heard and was told.
pub(crate) struct Receiver {
    pub(crate) settings: Settings,
    pub(crate) bytes: Vec<Time>,
    /// From when until when our handler held the reader.
    pub(crate) held: Vec<(Time, Time)>,
    /// Values in force: what was configured and what was raised from heartbeats.
    pub(crate) values: Vec<Duration>,
    pub(crate) beats: Vec<Time>,
    /// Smaller limits of our own: when asked for, the value, from when on.
    pub(crate) lowered: Vec<(Time, Duration, Time)>,
    /// The slack that this silence began with, and those that were set in it.
    pub(crate) slacks: Vec<Duration>,
    /// When a stall ended, where the verdict stood then, and the slack.
    pub(crate) stalls: Vec<(Time, Time, Duration)>,
    pub(crate) lates: Vec<Time>,
    pub(crate) clamps: usize,
    pub(crate) floods: usize,
}

impl Receiver {
    pub(crate) fn new(settings: Settings) -> Self {
        let starts = settings.given.map_or(settings.heartbeat_time, |given| given.expect);
        Self {
            settings,
            bytes: vec![],
            held: vec![],
            values: starts.and_then(travels).into_iter().collect(),
            beats: vec![],
            lowered: vec![],
            slacks: vec![settings.slack],
            stalls: vec![],
            lates: vec![],
            clamps: 0,
            floods: 0,
        }
    }

    pub(crate) fn in_force(&self, now: Time) -> Option<Duration> {
        let mut values = self.values.clone();
        let mut waiting: Option<(Duration, Time)> = None;
        for (asked, value, from) in &self.lowered {
            if let Some((old, _)) = waiting.filter(|(_, from)| from <= asked) {
                values.push(old);
                waiting = None;
            }
            if waiting.is_none_or(|(old, _)| *value < old) {
                waiting = Some((*value, *from));
            }
        }
        values.extend(waiting.filter(|(_, from)| *from <= now).map(|(value, _)| value));
        values.into_iter().min()
    }

    /// Never less than this silence began with.
    pub(crate) fn slack(&self) -> Duration {
        self.slacks.iter().copied().max().unwrap_or_default()
    }

    pub(crate) fn last_byte(&self) -> Time {
        self.bytes.last().copied().unwrap_or(Time::ZERO)
    }

    pub(crate) fn counted_from(&self) -> Time {
        let in_silence = self.held.iter().filter(|(from, _)| *from >= self.last_byte());
        let held: Duration = in_silence.map(|(from, until)| until.since(*from)).sum();
        self.last_byte() + held
    }

    pub(crate) fn silent_at(&self, now: Time) -> Time {
        let Some(in_force) = self.in_force(now) else { return Time::NEVER };
        // Of the stalls of this silence, the first one that had something to grant.
        let in_silence = self.stalls.iter().filter(|(at, ..)| *at >= self.last_byte());
        let mut granted = in_silence.filter(|(at, verdict, slack)| *at + *slack > *verdict);
        // What our handler holds after that is not the grace's time either.
        let grace = granted.next().map_or(Time::ZERO, |(at, _, slack)| {
            let after = self.held.iter().filter(|(from, _)| from >= at);
            *at + *slack + after.map(|(from, until)| until.since(*from)).sum()
        });
        (self.counted_from() + in_force + self.slack()).max(grace)
    }

    pub(crate) fn late_at(&self, now: Time) -> Time {
        let Some(in_force) = self.in_force(now) else { return Time::NEVER };
        self.counted_from() + in_force + self.slack() / 2
    }

    /// Bytes came.
    pub(crate) fn hear(&mut self, now: Time) {
        self.bytes.push(now);
        // What belonged to the old silence is over, also where it ended this instant.
        self.stalls.clear();
        self.slacks.drain(..self.slacks.len() - 1);
        self.held.clear();
        self.lates.clear();
    }

    /// How much too late a wait until `until` has ended at `now`, where that is a stall of ours;
    /// what it grants is kept.
    pub(crate) fn wait_ended(&mut self, until: Time, now: Time) -> Option<Duration> {
        let tolerance = (self.slack() / 2).max(ms(250));
        let late = Some(now.since(until)).filter(|late| *late > tolerance)?;
        self.stalls.push((now, self.silent_at(now), self.slack()));
        Some(late)
    }

    pub(crate) fn lower(&mut self, value: Duration, now: Time, from: Time) {
        let value = travels(value).filter(|_| self.settings.given.is_none());
        self.lowered.extend(value.map(|value| (now, value, from)));
    }

    pub(crate) fn is_late_said(&self) -> bool {
        self.lates.last().is_some_and(|at| *at >= self.last_byte())
    }
}

/// Checks one answer of the watch against the definitions, and that the instant it names for the
/// next change is neither early nor late.
fn check_poll(watch: &mut SilenceTimer, model: &mut Receiver, now: Time) -> Time {
    let verdict = watch.poll(now);
    assert_eq!(watch.in_force(), model.in_force(now));
    assert_eq!(watch.silent_at(), model.silent_at(now));
    let silence = now.since(model.last_byte());
    match verdict {
        Verdict::Silent { silence: told, limit } => {
            assert!(now >= model.silent_at(now), "{:?} is early", now);
            assert!(silence >= limit, "dead before its limit");
            assert_eq!(Some(limit), model.in_force(now).map(|v| v + model.slack()));
            assert_eq!(told, silence);
            Time::NEVER
        }
        Verdict::Late { silence: told } => {
            assert!(now >= model.late_at(now) && now < model.silent_at(now));
            assert!(!model.is_late_said(), "said twice");
            assert_eq!(told, silence);
            model.lates.push(now);
            check_poll(watch, model, now)
        }
        Verdict::Wait { next } => {
            assert!(now < model.silent_at(now), "a death was missed");
            assert!(now < model.late_at(now) || model.is_late_said(), "lateness was missed");
            assert!(next > now, "told to wait for the past");
            let just_before = watch.clone().poll(next - NS);
            if next < Time::NEVER {
                assert_eq!(just_before, verdict, "something happens before {:?}", next);
                let mut then = watch.clone();
                let changes = then.poll(next) != verdict || then.in_force() != watch.in_force();
                assert!(changes, "nothing happens at {:?}", next);
            }
            next
        }
    }
}

fn check_heartbeat(watch: &mut SilenceTimer, model: &mut Receiver, value: u32, now: Time) {
    let held = model.in_force(now);
    let heard = watch.handle_heartbeat(value, now);
    let raised = raise(&model.settings, value);
    let adopts = raised.filter(|raised| held.is_none_or(|held| *raised < held));
    assert_eq!(
        heard.adopted.map(|adopted| (adopted.from, adopted.to)),
        adopts.map(|to| (held, to))
    );
    model.values.extend(raised);
    if let Some(asked) = heard.clamped {
        assert_eq!(asked, ms(value.into()));
        assert!(asked < floor(&model.settings));
        model.clamps += 1;
    }
    model.beats.push(now);
    if heard.flooding {
        let interval = floor(&model.settings);
        let recent = model.beats.iter().filter(|at| now.since(**at) < interval).count();
        assert!(recent > 10, "{} heartbeats are no flood", recent);
        model.floods += 1;
    }
    assert!(model.clamps <= 1 && model.floods <= 1, "reported twice");
}

/// Runs the code and the model side by side.
pub(crate) fn run_watch(settings: Settings, steps: Vec<Hear>) {
    let mut watch = SilenceTimer::new(&settings, Time::ZERO);
    let mut model = Receiver::new(settings);
    let mut now = Time::ZERO;
    let mut next = check_poll(&mut watch, &mut model, now);
    for step in steps {
        match step {
            Hear::Pass(time) => now = now + time,
            Hear::PassToNext(off) => {
                if next < Time::NEVER {
                    let shifted = next.as_nanos().saturating_add_signed(off.into());
                    now = now.max(Time::from_nanos(shifted));
                }
            }
            Hear::Bytes => {
                let said = model.is_late_said().then(|| now.since(model.last_byte()));
                assert_eq!(watch.handle_received(now), said);
                model.hear(now);
            }
            Hear::Heartbeat(value) => check_heartbeat(&mut watch, &mut model, value, now),
            Hear::Held(time) => {
                watch.handle_held(time);
                model.held.push((now, now + time));
                now = now + time;
            }
            Hear::Waited(late) => {
                let until = now - late;
                let expected = model.wait_ended(until, now);
                assert_eq!(watch.handle_waited(until, now), expected);
            }
            Hear::Slack(slack) => {
                watch.set_slack(slack);
                model.slacks.push(slack);
            }
            Hear::Lower(value, wait) => {
                watch.lower_from(value, now + wait);
                model.lower(value, now, now + wait);
            }
        }
        next = check_poll(&mut watch, &mut model, now);
        if matches!(watch.poll(now), Verdict::Silent { .. }) {
            break;
        }
    }
}
