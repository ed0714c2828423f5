//! Two ends over an arbitrary line, judged from the record of what was sent and heard.
//!
//! The laws are computed only from lists of instants, independently of how the rules are
//! implemented.

use std::time::Duration;

use super::line::{End, Line, Packet};
use super::{NS, at, ms};
use peerbeat::liveness::{Action, Mode, Settings, Time};
use proptest::collection::vec;
use proptest::prelude::*;

fn config() -> ProptestConfig {
    ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(if cfg!(miri) { 4 } else { 400 })
    }
}

const FLOOR: Duration = Duration::from_millis(50);

#[derive(Clone, Debug)]
enum Op {
    Run(u64),
    Data(usize),
    /// Data every so many milliseconds, so many times.
    Busy(usize, u64, u8),
    Delay(usize, u64),
    Stop(usize, u64),
    Lower(usize, u64),
    Cut(usize),
}

/// What a line may do without either end being to blame: delays under a third of the slack, stops
/// under a third.
fn fair(slack: u64) -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (0u64..3000).prop_map(Op::Run),
        2 => (0usize..2).prop_map(Op::Data),
        2 => (0usize..2, 1u64..400, 1u8..30).prop_map(|(end, gap, n)| Op::Busy(end, gap, n)),
        2 => (0usize..2, 0..=slack / 3).prop_map(|(end, delay)| Op::Delay(end, delay)),
        1 => (0usize..2, 0..=slack / 3).prop_map(|(end, stop)| Op::Stop(end, stop)),
        1 => (0usize..2, 50u64..3000).prop_map(|(end, value)| Op::Lower(end, value)),
    ]
}

fn any_op() -> impl Strategy<Value = Op> {
    prop_oneof![
        8 => fair(900),
        1 => (0usize..2, 0u64..10_000).prop_map(|(end, stop)| Op::Stop(end, stop)),
        1 => (0usize..2).prop_map(Op::Cut),
    ]
}

fn an_end() -> impl Strategy<Value = (Option<u64>, bool)> {
    let value = prop_oneof![1 => Just(None), 1 => Just(Some(0)), 4 => (50u64..3000).prop_map(Some)];
    (value, any::<bool>())
}

fn line(ends: [(Option<u64>, bool); 2], slack: u64) -> Line {
    let settings = ends.map(|(value, idle)| {
        Settings::default()
            .heartbeat_time(value.map(ms))
            .slack(ms(slack))
            .mode(if idle { Mode::Idle } else { Mode::Always })
            .heartbeat_time_min(FLOOR)
            .given(None)
    });
    // Never quite at once, or the record would not tell what came first at an instant.
    Line::new(settings).with_delay(NS)
}

fn apply(line: &mut Line, op: &Op) {
    match *op {
        Op::Run(time) => line.run(ms(time)),
        Op::Data(end) => line.send_data(end),
        Op::Busy(end, gap, times) => {
            for _ in 0..times {
                line.send_data(end);
                line.run(ms(gap));
            }
        }
        Op::Delay(end, delay) => line.delay[end] = ms(delay) + NS,
        Op::Stop(end, stop) => line.stop(end, ms(stop)),
        Op::Lower(end, value) => line.lower(end, ms(value)),
        Op::Cut(end) => line.cut[end] = true,
    }
}

/// The steps of an end's value in force for sending: from when, which. By definition the smallest
/// of what was configured, heard and lowered until then.
fn steps(end: &End) -> Vec<(Time, Duration)> {
    let configured = end.settings.heartbeat_time.filter(|value| !value.is_zero());
    let heard = end.heard.iter().filter_map(|(at, packet)| match packet {
        Packet::Heartbeat(value) if *value > 0 => Some((*at, ms((*value).into()).max(FLOOR))),
        _ => None,
    });
    let mut values: Vec<_> = configured.map(|value| (Time::ZERO, value)).into_iter().collect();
    values.extend(heard.chain(end.lowered.iter().copied()));
    values.sort();
    let mut steps: Vec<(Time, Duration)> = Vec::new();
    for (at, value) in values {
        if steps.last().is_none_or(|(_, held)| value < *held) {
            steps.push((at, value));
        }
    }
    steps
}

fn value_at(steps: &[(Time, Duration)], now: Time) -> Option<Duration> {
    steps.iter().rev().find(|(at, _)| *at <= now).map(|(_, value)| *value)
}

/// If an end was stopped at this instant, when it went on. What was due at the instant of the stop
/// itself had been done.
fn awake_from(end: &End, now: Time) -> Time {
    let stop = end.stops.iter().find(|(from, until)| *from < now && now < *until);
    stop.map_or(now, |(_, until)| *until)
}

/// No gap between sends is longer than the value in force promises; a smaller value counts from the
/// instant at which it came into force.
fn check_gaps(end: &End, now: Time) -> Result<(), TestCaseError> {
    let steps = steps(end);
    let until = end.down.unwrap_or(now);
    let mut sends: Vec<Time> = match end.settings.mode {
        Mode::Idle => end.sent.iter().map(|(at, _)| *at).collect(),
        Mode::Always => end.beats().iter().map(|(at, _)| *at).collect(),
    };
    sends.insert(0, Time::ZERO);
    for (index, from) in sends.iter().enumerate() {
        let next = sends.get(index + 1).copied();
        let promised = steps.iter().map(|(at, value)| (*from + *value).max(*at)).min();
        let Some(promised) = promised.map(|promised| awake_from(end, promised)) else { continue };
        match next {
            Some(next) => prop_assert!(next <= promised, "sent {:?}, not {:?}", next, promised),
            None => prop_assert!(until <= promised, "nothing sent by {:?}", promised),
        }
    }
    Ok(())
}

/// A heartbeat is an announcement, or comes exactly when the line was idle for the value in force
/// (or as soon as we ran again); announcements but the first two are a floor apart.
fn check_beats(end: &End) -> Result<(), TestCaseError> {
    let steps = steps(end);
    let mut announced: Option<u32> = None;
    let mut last_change: Option<Time> = None;
    for (index, (at, packet)) in end.sent.iter().enumerate() {
        let Packet::Heartbeat(value) = packet else { continue };
        // If values changed at this very instant, the record does not tell which came first.
        let changes = steps.iter().any(|(changed, _)| changed == at);
        let in_force = value_at(&steps, *at);
        let said = Some(ms((*value).into()));
        prop_assert!(said == in_force || changes && said > in_force, "not in force: {:?}", said);
        let before = &end.sent[..index];
        let from = match end.settings.mode {
            Mode::Idle => before.last().map(|(at, _)| *at),
            Mode::Always => end.beats().iter().map(|(at, _)| *at).rfind(|b| b < at),
        };
        let due = from.unwrap_or(Time::ZERO) + ms((*value).into());
        if announced != Some(*value) {
            let changes = announced.is_some();
            let waited = last_change.is_none_or(|last| at.since(last) >= FLOOR);
            prop_assert!(waited || *at >= due, "an announcement too soon, at {:?}", at);
            last_change = if changes { Some(*at) } else { last_change };
        } else {
            prop_assert!(*at >= due, "a heartbeat at {:?}, due {:?}", at, due);
            prop_assert_eq!(*at, awake_from(end, due), "a heartbeat at its own time");
        }
        announced = Some(*value);
    }
    Ok(())
}

/// No end is called silent before the limit after the last byte, nor later than that or one slack
/// after a stop; late is reported once a silence, and so is its end.
fn check_verdicts(end: &End, now: Time) -> Result<(), TestCaseError> {
    let heard: Vec<Time> = end.heard.iter().map(|(at, _)| *at).collect();
    let lates: Vec<Time> =
        end.actions.iter().filter(|(_, a)| is_late(a)).map(|(at, _)| *at).collect();
    for pair in lates.windows(2) {
        let between = heard.iter().any(|at| pair[0] <= *at && *at <= pair[1]);
        prop_assert!(between, "late said twice in one silence");
    }
    let closed = lates.iter().filter(|late| heard.iter().any(|at| at > late)).count();
    prop_assert_eq!(end.recovered.len(), closed);
    let last = heard.last().copied().unwrap_or(Time::ZERO);
    let slack = end.settings.slack;
    if let Some(down) = end.down {
        let Some((at, Action::Silent { silence, limit })) = end.actions.last().copied() else {
            return Err(TestCaseError::fail("down without a verdict"));
        };
        prop_assert_eq!((at, silence), (down, down.since(last)));
        let value = end.liveness.silence_timer().promise().expect("a limit");
        prop_assert_eq!(limit, value + slack);
        prop_assert!(down >= last + limit, "dead {:?} early", (last + limit).since(down));
    }
    // Values of its own choice hold later, and a first one counts from when it was set.
    let (mut last, mut value) = (last, value_at(&steps(end), now));
    if let Some((set, _)) = end.lowered.last() {
        (last, value) = (last.max(*set), end.liveness.silence_timer().promise());
    }
    let Some(value) = value else { return Ok(()) };
    let woke = end.stops.iter().map(|(_, until)| *until).filter(|u| *u <= end.down.unwrap_or(now));
    let grace = woke.max().map_or(Time::ZERO, |woke| woke + slack);
    let latest = awake_from(end, (last + value + slack).max(grace));
    prop_assert!(
        end.down.unwrap_or(now) <= latest,
        "dead only at {:?}, not {:?}",
        end.down,
        latest
    );
    if end.stops.is_empty() && end.lowered.is_empty() && end.down.is_some() {
        prop_assert_eq!(end.down, Some(last + value + slack), "not exactly at the limit");
    }
    Ok(())
}

fn is_late(action: &Action) -> bool {
    matches!(action, Action::Late { .. })
}

fn check_all(line: &Line) -> Result<(), TestCaseError> {
    for end in &line.ends {
        check_gaps(end, line.now)?;
        check_beats(end)?;
        check_verdicts(end, line.now)?;
    }
    Ok(())
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn whatever_happens_the_laws_hold(
        left in an_end(),
        right in an_end(),
        slack in prop_oneof![Just(0u64), 0u64..2500],
        ops in vec(any_op(), 1..50),
    ) {
        let mut line = line([left, right], slack);
        for op in &ops {
            apply(&mut line, op);
        }
        line.run(ms(25_000));
        check_all(&line)?;
    }

    #[test]
    fn on_a_fair_line_both_ends_live_and_meet_at_the_smaller_value(
        left in an_end(),
        right in an_end(),
        ops in vec(fair(900), 1..50),
    ) {
        let mut line = line([left, right], 900);
        for op in &ops {
            apply(&mut line, op);
        }
        // Enough for the last change to be throttled, travel, and be held to.
        line.run(ms(20_000));
        check_all(&line)?;
        let values = line.ends.iter().filter_map(|end| end.settings.heartbeat_time);
        let lowered = line.ends.iter().flat_map(|end| end.lowered.iter().map(|(_, value)| *value));
        let smaller = values.filter(|value| !value.is_zero()).chain(lowered).min();
        for end in &line.ends {
            prop_assert_eq!(end.down, None, "a false death: {:?}", end.actions.last());
            prop_assert_eq!(end.in_force(), [smaller; 2]);
        }
    }

    #[test]
    fn a_cut_line_is_noticed_by_both_ends_exactly_at_the_limit(
        left in 50u64..3000,
        right in an_end(),
        slack in 3u64..2500,
        before in vec(fair(3), 0..20),
        after in vec((0usize..2, 1u64..200), 0..40),
    ) {
        let mut line = line([(Some(left), true), right], slack);
        for op in before.iter().filter(|op| !matches!(op, Op::Stop(..) | Op::Lower(..))) {
            apply(&mut line, op);
        }
        line.cut = [true; 2];
        // Everything sent into the void postpones nothing.
        for (end, gap) in after {
            line.send_data(end);
            line.run(ms(gap));
        }
        line.run(ms(25_000));
        check_all(&line)?;
        for end in line.ends.iter().filter(|end| !steps(end).is_empty()) {
            prop_assert!(end.down.is_some(), "death was missed");
        }
        prop_assert!(line.ends[0].down.is_some_and(|down| down > at(0)));
    }
}
