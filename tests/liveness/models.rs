//! Each half against a model that keeps everything that happened and computes by definition.

use std::time::Duration;

use super::{EDGES, NS, ms};
use peerbeat::liveness::{Beat, Given, Mode, Pulse, Settings, Time, Verdict, Watch};
use proptest::collection::vec;
use proptest::prelude::*;

fn config() -> ProptestConfig {
    ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(if cfg!(miri) { 4 } else { 1000 })
    }
}

fn some_settings() -> impl Strategy<Value = Settings> {
    let heartbeat_time = prop_oneof![
        Just(None),
        Just(Some(ms(0))),
        (1u64..8000).prop_map(|value| Some(ms(value))),
        (1u64..8_000_000).prop_map(|value| Some(Duration::from_micros(value))),
    ];
    let slack = prop_oneof![Just(ms(0)), Just(NS), (0u64..4000).prop_map(ms)];
    let floor =
        prop_oneof![Just(ms(0)), Just(ms(100)), (0u64..300_000).prop_map(Duration::from_micros)];
    let given = prop_oneof![
        3 => Just(None),
        1 => (0u64..6000, 0u64..6000).prop_map(|(send, expect)| {
            Some(Given { send: Some(ms(send)), expect: Some(ms(expect)) })
        }),
    ];
    (heartbeat_time, slack, floor, any::<bool>(), given).prop_map(
        |(heartbeat_time, slack, floor, idle, given)| {
            let mode = if idle { Mode::Idle } else { Mode::Always };
            Settings { heartbeat_time, slack, mode, heartbeat_time_min: floor, given }
        },
    )
}

fn some_value() -> impl Strategy<Value = u32> {
    prop_oneof![1 => prop::sample::select(EDGES.to_vec()), 2 => 0u32..8000]
}

/// Whole milliseconds from 1, or nothing for zero.
fn travels(value: Duration) -> Option<Duration> {
    let millis = value.as_millis().min(u32::MAX.into()) as u64;
    (value > Duration::ZERO).then(|| ms(millis.max(1)))
}

fn floor(settings: &Settings) -> Duration {
    let mut floor = ms(settings.heartbeat_time_min.as_millis() as u64);
    if floor < settings.heartbeat_time_min {
        floor += ms(1);
    }
    floor.max(ms(1))
}

fn raise(settings: &Settings, received: u32) -> Option<Duration> {
    let is_taken = received > 0 && settings.given.is_none();
    is_taken.then(|| ms(received.into()).max(floor(settings)))
}

#[derive(Clone, Debug)]
enum Send {
    Pass(Duration),
    /// To so many nanoseconds before or after the instant at which the next heartbeat is due.
    PassToDue(i8),
    Bytes,
    /// The heartbeat that is due, if one is.
    Beat,
    /// A heartbeat that was made before, reported only now.
    Stale(u32),
    Adopt(u32),
    Lower(Duration),
}

fn some_send() -> impl Strategy<Value = Send> {
    prop_oneof![
        2 => (0u64..6000).prop_map(|millis| Send::Pass(ms(millis))),
        4 => (-1i8..=1).prop_map(Send::PassToDue),
        2 => Just(Send::Bytes),
        6 => Just(Send::Beat),
        1 => some_value().prop_map(Send::Stale),
        2 => some_value().prop_map(Send::Adopt),
        1 => (0u64..8_000_000).prop_map(|micros| Send::Lower(Duration::from_micros(micros))),
    ]
}

/// All that a sending side did.
struct Sender {
    settings: Settings,
    bytes: Vec<Time>,
    beats: Vec<(Time, Duration)>,
    values: Vec<Duration>,
}

impl Sender {
    fn in_force(&self) -> Option<Duration> {
        self.values.iter().copied().min()
    }

    fn last_byte(&self) -> Time {
        let beats = self.beats.iter().map(|(at, _)| *at);
        self.bytes.iter().copied().chain(beats).max().unwrap_or(Time::ZERO)
    }

    /// From when on an announcement may go out, where there is something to announce.
    fn announces_from(&self) -> Option<Time> {
        let last = self.beats.last().map(|(_, value)| *value);
        if self.in_force() == last || self.settings.given.is_some() {
            return None;
        }
        let mut changes = self.beats.windows(2).filter(|pair| pair[0].1 != pair[1].1);
        Some(changes.next_back().map_or(Time::ZERO, |pair| pair[1].0 + floor(&self.settings)))
    }

    fn due(&self) -> Time {
        let Some(in_force) = self.in_force() else { return Time::NEVER };
        let from = match self.settings.mode {
            Mode::Idle => self.last_byte(),
            Mode::Always => self.beats.last().map_or(Time::ZERO, |(at, _)| *at),
        };
        (from + in_force).min(self.announces_from().unwrap_or(Time::NEVER))
    }

    fn beat_at(&self, now: Time) -> Option<Beat> {
        let value = self.in_force().filter(|_| now >= self.due())?;
        let announces = self.announces_from().is_some_and(|from| now >= from);
        Some(Beat { value, even_busy: announces || self.settings.mode == Mode::Always })
    }
}

#[derive(Clone, Debug)]
enum Hear {
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

fn some_hear() -> impl Strategy<Value = Hear> {
    let pause = (0u64..6000).prop_map(ms);
    prop_oneof![
        2 => pause.clone().prop_map(Hear::Pass),
        6 => (-1i8..=1).prop_map(Hear::PassToNext),
        2 => Just(Hear::Bytes),
        2 => some_value().prop_map(Hear::Heartbeat),
        1 => pause.clone().prop_map(Hear::Held),
        2 => pause.clone().prop_map(Hear::Waited),
        1 => ((0u64..8_000_000).prop_map(Duration::from_micros), pause)
            .prop_map(|(value, wait)| Hear::Lower(value, wait)),
        1 => (0u64..4000).prop_map(|slack| Hear::Slack(ms(slack))),
    ]
}

/// All that a receiving side heard and was told.
struct Receiver {
    settings: Settings,
    bytes: Vec<Time>,
    /// From when until when our handler held the reader.
    held: Vec<(Time, Time)>,
    /// Values in force: what was configured and what was raised from heartbeats.
    values: Vec<Duration>,
    beats: Vec<Time>,
    /// Smaller limits of our own: when asked for, the value, from when on.
    lowered: Vec<(Time, Duration, Time)>,
    /// The slack that this silence began with, and those that were set in it.
    slacks: Vec<Duration>,
    /// When a stall ended, where the verdict stood then, and the slack.
    stalls: Vec<(Time, Time, Duration)>,
    lates: Vec<Time>,
    clamps: usize,
    floods: usize,
}

impl Receiver {
    fn new(settings: Settings) -> Self {
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

    fn in_force(&self, now: Time) -> Option<Duration> {
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
    fn slack(&self) -> Duration {
        self.slacks.iter().copied().max().unwrap_or_default()
    }

    fn last_byte(&self) -> Time {
        self.bytes.last().copied().unwrap_or(Time::ZERO)
    }

    fn counted_from(&self) -> Time {
        let in_silence = self.held.iter().filter(|(from, _)| *from >= self.last_byte());
        let held: Duration = in_silence.map(|(from, until)| until.since(*from)).sum();
        self.last_byte() + held
    }

    fn silent_at(&self, now: Time) -> Time {
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

    fn late_at(&self, now: Time) -> Time {
        let Some(in_force) = self.in_force(now) else { return Time::NEVER };
        self.counted_from() + in_force + self.slack() / 2
    }

    fn is_late_said(&self) -> bool {
        self.lates.last().is_some_and(|at| *at >= self.last_byte())
    }
}

/// Checks one answer of the watch against the definitions, and that the instant it names for the
/// next change is neither early nor late.
fn check_poll(watch: &mut Watch, model: &mut Receiver, now: Time) -> Result<Time, TestCaseError> {
    let verdict = watch.poll(now);
    prop_assert_eq!(watch.in_force(), model.in_force(now));
    prop_assert_eq!(watch.silent_at(), model.silent_at(now));
    let silence = now.since(model.last_byte());
    match verdict {
        Verdict::Silent { silence: told, limit } => {
            prop_assert!(now >= model.silent_at(now), "{:?} is early", now);
            prop_assert!(silence >= limit, "dead before its limit");
            prop_assert_eq!(Some(limit), model.in_force(now).map(|v| v + model.slack()));
            prop_assert_eq!(told, silence);
            Ok(Time::NEVER)
        }
        Verdict::Late { silence: told } => {
            prop_assert!(now >= model.late_at(now) && now < model.silent_at(now));
            prop_assert!(!model.is_late_said(), "said twice");
            prop_assert_eq!(told, silence);
            model.lates.push(now);
            check_poll(watch, model, now)
        }
        Verdict::Wait { next } => {
            prop_assert!(now < model.silent_at(now), "a death was missed");
            prop_assert!(now < model.late_at(now) || model.is_late_said(), "lateness was missed");
            prop_assert!(next > now, "told to wait for the past");
            let just_before = watch.clone().poll(next - NS);
            if next < Time::NEVER {
                prop_assert_eq!(just_before, verdict, "something happens before {:?}", next);
                let mut then = watch.clone();
                let changes = then.poll(next) != verdict || then.in_force() != watch.in_force();
                prop_assert!(changes, "nothing happens at {:?}", next);
            }
            Ok(next)
        }
    }
}

fn check_heartbeat(
    watch: &mut Watch,
    model: &mut Receiver,
    value: u32,
    now: Time,
) -> Result<(), TestCaseError> {
    let held = model.in_force(now);
    let heard = watch.handle_heartbeat(value, now);
    let raised = raise(&model.settings, value);
    let adopts = raised.filter(|raised| held.is_none_or(|held| *raised < held));
    prop_assert_eq!(
        heard.adopted.map(|adopted| (adopted.from, adopted.to)),
        adopts.map(|to| (held, to))
    );
    model.values.extend(raised);
    if let Some(asked) = heard.clamped {
        prop_assert_eq!(asked, ms(value.into()));
        prop_assert!(asked < floor(&model.settings));
        model.clamps += 1;
    }
    model.beats.push(now);
    if heard.flooding {
        let interval = floor(&model.settings);
        let recent = model.beats.iter().filter(|at| now.since(**at) < interval).count();
        prop_assert!(recent > 10, "{} heartbeats are no flood", recent);
        model.floods += 1;
    }
    prop_assert!(model.clamps <= 1 && model.floods <= 1, "reported twice");
    Ok(())
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn pulse_does_what_the_definitions_say(
        settings in some_settings(),
        steps in vec(some_send(), 1..60),
    ) {
        let mut pulse = Pulse::new(&settings, Time::ZERO);
        let starts = settings.given.map_or(settings.heartbeat_time, |given| given.send);
        let values = starts.and_then(travels).into_iter().collect();
        let mut model = Sender { settings, bytes: vec![], beats: vec![], values };
        let mut now = Time::ZERO;
        for step in steps {
            match step {
                Send::Pass(time) => now = now + time,
                Send::PassToDue(off) => {
                    let due = model.due();
                    if due < Time::NEVER {
                        let shifted = due.as_nanos().saturating_add_signed(off.into());
                        now = now.max(Time::from_nanos(shifted));
                    }
                }
                Send::Bytes => {
                    pulse.handle_sent(now);
                    model.bytes.push(now);
                }
                Send::Beat => {
                    if let Some(beat) = pulse.poll(now) {
                        pulse.handle_beat_sent(beat.value, now);
                        model.beats.push((now, beat.value));
                    }
                }
                Send::Stale(value) => {
                    let value = ms(value.max(1).into());
                    pulse.handle_beat_sent(value, now);
                    model.beats.push((now, value));
                }
                Send::Adopt(value) => {
                    let before = model.in_force();
                    model.values.extend(raise(&settings, value));
                    prop_assert_eq!(pulse.adopt(value), model.in_force() != before);
                }
                Send::Lower(value) => {
                    let before = model.in_force();
                    model.values.extend(travels(value));
                    prop_assert_eq!(pulse.lower(value), model.in_force() != before);
                }
            }
            prop_assert_eq!(pulse.in_force(), model.in_force());
            prop_assert_eq!(pulse.last_sent(), model.last_byte());
            prop_assert_eq!(pulse.due(), model.due());
            for moment in [now, model.due() - NS, model.due()] {
                prop_assert_eq!(pulse.poll(moment), model.beat_at(moment));
            }
        }
    }

    #[test]
    fn watch_does_what_the_definitions_say(
        settings in some_settings(),
        steps in vec(some_hear(), 1..60),
    ) {
        let mut watch = Watch::new(&settings, Time::ZERO);
        let mut model = Receiver::new(settings);
        let mut now = Time::ZERO;
        let mut next = check_poll(&mut watch, &mut model, now)?;
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
                    prop_assert_eq!(watch.handle_received(now), said);
                    model.bytes.push(now);
                    // What belonged to the old silence is over, also where it ended this instant.
                    model.stalls.clear();
                    model.slacks.drain(..model.slacks.len() - 1);
                    model.held.clear();
                    model.lates.clear();
                }
                Hear::Heartbeat(value) => check_heartbeat(&mut watch, &mut model, value, now)?,
                Hear::Held(time) => {
                    watch.handle_held(time);
                    model.held.push((now, now + time));
                    now = now + time;
                }
                Hear::Waited(late) => {
                    let until = now - late;
                    let tolerance = (model.slack() / 2).max(ms(250));
                    let expected = Some(now.since(until)).filter(|late| *late > tolerance);
                    let stands = model.silent_at(now);
                    prop_assert_eq!(watch.handle_waited(until, now), expected);
                    if expected.is_some() {
                        model.stalls.push((now, stands, model.slack()));
                    }
                }
                Hear::Slack(slack) => {
                    watch.set_slack(slack);
                    model.slacks.push(slack);
                }
                Hear::Lower(value, wait) => {
                    watch.lower_from(value, now + wait);
                    let value = travels(value).filter(|_| settings.given.is_none());
                    model.lowered.extend(value.map(|value| (now, value, now + wait)));
                }
            }
            next = check_poll(&mut watch, &mut model, now)?;
            if matches!(watch.poll(now), Verdict::Silent { .. }) {
                break;
            }
        }
    }
}
