//! Every invariant can fail: honest records pass, and each of these changed ones is caught by its
//! invariant.

use std::time::Duration;

use super::{LEFT, RIGHT, downs, options};
use peerbeat::connection::{Cause, LinkEvent};
use peerbeat::liveness::Time;
use peerbeat::sim::{Invariant, Invariants, Op, Pair, Record, SimEvent, SimOptions, secs};

/// Its HELLO says no value: that is for the heartbeats.
fn quiet(heartbeat_time: f64) -> SimOptions {
    options(heartbeat_time, 1.0).says_value(false)
}

/// Thirty seconds: RIGHT learns 2 s from LEFT, talk every second for ten, silence, a cut at 21.3 s.
fn record() -> Vec<Record> {
    let mut pair = Pair::new(1, quiet(2.0), quiet(5.0));
    let second = Duration::from_secs(1);
    pair.at(secs(1.5), Op::Send { from: LEFT, to: RIGHT, size: 9, times: 10, every: second });
    pair.at(secs(21.3), Op::Cut { a: LEFT, b: RIGHT });
    pair.run_until(secs(30.0));
    assert_eq!(downs(&pair, LEFT).len(), 1);
    pair.history(0).to_vec()
}

fn judge(record: &[Record]) -> Result<(), (Invariant, Time)> {
    let (left, right): (SimOptions, SimOptions) = (quiet(2.0), quiet(5.0));
    let mut invariants = Invariants::new();
    let judged = record.iter().try_for_each(|seen| {
        invariants.judge(seen, if seen.host == LEFT { &left } else { &right })
    });
    judged
        .and_then(|()| invariants.pass(secs(30.0)))
        .map_err(|broken| (broken.invariant, broken.at))
}

fn law_of(record: &[Record]) -> Option<Invariant> {
    judge(record).err().map(|(invariant, _)| invariant)
}

fn find(record: &[Record], is_it: impl Fn(&Record) -> bool) -> usize {
    record.iter().position(is_it).expect("it is in the record")
}

fn is_beat(seen: &Record) -> bool {
    matches!(seen.event, SimEvent::Queued { heartbeat: Some(_), .. })
}

#[test]
fn an_honest_record_passes() {
    assert_eq!(judge(&record()), Ok(()));
}

#[test]
fn no_false_death() {
    let mut record = record();
    let death = find(&record, |seen| matches!(seen.event, SimEvent::Ending { .. }));
    record[death].at = Time::from_nanos(record[death].at.as_nanos() - 1);
    assert_eq!(law_of(&record), Some(Invariant::NoFalseDeath));
}

#[test]
fn death_in_time() {
    let mut record = record();
    let death = find(&record, |seen| matches!(seen.event, SimEvent::Ending { .. }));
    // One nanosecond late is late; what follows is not asked for.
    record.truncate(death + 1);
    assert_eq!(record[death].host, LEFT);
    record[death].at = record[death].at + Duration::from_nanos(1);
    assert_eq!(law_of(&record), Some(Invariant::DeathInTime));
    record.remove(death);
    assert_eq!(law_of(&record), Some(Invariant::DeathInTime));
}

#[test]
fn converges() {
    let honest = record();
    let change = find(&honest, |seen| {
        matches!(seen.event, SimEvent::Event(LinkEvent::HeartbeatTime { .. }))
    });
    let mut record = honest.clone();
    record.remove(change);
    assert_eq!(law_of(&record), Some(Invariant::Converges));
    let mut record = honest.clone();
    let (from, to) = (Some(Duration::from_secs(5)), Duration::from_secs(3));
    record[change].event =
        SimEvent::Event(LinkEvent::HeartbeatTime { from, to, cause: Cause::Peer });
    assert_eq!(law_of(&record), Some(Invariant::Converges));
    // A change that is never announced: RIGHT keeps the record of its first 0.9 ms.
    let mut record = honest.clone();
    record.retain(|seen| {
        let sends = matches!(seen.event, SimEvent::HeartbeatSent { .. } | SimEvent::Wrote { .. });
        seen.host == LEFT || seen.at < secs(0.0009) || !(sends || is_beat(seen))
    });
    assert_eq!(law_of(&record), Some(Invariant::Converges));
}

#[test]
fn gap_holds() {
    let mut record = record();
    record.retain(|seen| {
        let sends = is_beat(seen)
            || matches!(seen.event, SimEvent::Wrote { .. } | SimEvent::HeartbeatSent { .. });
        seen.host != LEFT || seen.at < secs(12.0) || !sends
    });
    assert_eq!(judge(&record).map_err(|(invariant, _)| invariant), Err(Invariant::GapHolds));
}

#[test]
fn queue_alternates() {
    let mut record = record();
    let beat = find(&record, is_beat);
    let mut crossing = record[beat].clone();
    let high = LinkEvent::QueueHigh { bytes: 9, count: 1 };
    crossing.event = SimEvent::Event(high);
    record.insert(beat, crossing.clone());
    assert_eq!(law_of(&record), None);
    record.insert(beat, crossing.clone());
    assert_eq!(law_of(&record), Some(Invariant::QueueAlternates));
    crossing.event = SimEvent::Event(LinkEvent::QueueLow { bytes: 1, count: 1 });
    record[beat] = crossing;
    assert_eq!(law_of(&record), Some(Invariant::QueueAlternates));
}

#[test]
fn quiet_when_busy() {
    let mut record = record();
    let beat = find(&record, is_beat);
    let later = find(&record, |seen| seen.at > secs(8.7));
    let mut queued = record[beat].clone();
    queued.at = secs(8.7);
    (queued.host, queued.event) = (LEFT, with_value(2));
    record.insert(later, queued);
    assert_eq!(law_of(&record), Some(Invariant::QuietWhenBusy));
}

fn with_value(seconds: u64) -> SimEvent {
    SimEvent::Queued { bytes: 33, heartbeat: Some(Duration::from_secs(seconds)) }
}

#[test]
fn never_closer() {
    let mut record = record();
    let beat = find(&record, |seen| is_beat(seen) && seen.host == LEFT && seen.at > secs(14.0));
    let sent = beat + 2;
    assert!(matches!(record[sent].event, SimEvent::HeartbeatSent { .. }));
    let again: Vec<Record> = record[beat..=sent].to_vec();
    record.splice(sent + 1..sent + 1, again);
    assert_eq!(law_of(&record), Some(Invariant::NeverCloser));
}

#[test]
fn one_reason() {
    let honest = record();
    let down = find(&honest, |seen| matches!(seen.event, SimEvent::Down { .. }));
    let mut record = honest.clone();
    record.insert(down + 1, honest[down].clone());
    assert_eq!(law_of(&record), Some(Invariant::OneReason));
    let up = find(&honest, |seen| matches!(seen.event, SimEvent::Up { .. }));
    let mut record = honest.clone();
    record.insert(up + 1, honest[up].clone());
    assert_eq!(law_of(&record), Some(Invariant::OneReason));
}

#[test]
fn nothing_leaks() {
    let honest = record();
    let message = find(&honest, |seen| matches!(seen.event, SimEvent::Message(_)));
    let mut record = honest.clone();
    record[message].event = SimEvent::Message(b"of another connection".to_vec());
    assert_eq!(law_of(&record), Some(Invariant::NothingLeaks));
    let mut record = honest.clone();
    record.insert(message + 1, honest[message].clone());
    assert_eq!(law_of(&record), Some(Invariant::NothingLeaks));
    let mut record = honest.clone();
    let down = find(&record, |seen| matches!(seen.event, SimEvent::Down { .. }));
    if let SimEvent::Down { down, .. } = &mut record[down].event {
        down.silence += Duration::from_secs(1);
    }
    assert_eq!(law_of(&record), Some(Invariant::NothingLeaks));
}

#[test]
fn a_violation_shows_what_led_to_it() {
    // Two seconds of one pair, and then of another that never heard of the first.
    let [mut quiet, mut other] =
        [2.0, 0.7].map(|value| Pair::new(1, options(value, 1.0), options(value, 1.0)));
    let mut invariants = Invariants::new();
    quiet.run_until(secs(2.0));
    assert_eq!(invariants.check(&quiet), Ok(()));
    other.run_until(secs(9.0));
    let broken = invariants.check(&other).unwrap_err();
    assert_eq!((broken.invariant, broken.host), (Invariant::Converges, RIGHT));
    let led = &other.history(0)[..broken.history.len()];
    assert_eq!(broken.history, led, "up to the breaking one, which is the last");
    assert_eq!((led.last().unwrap().at, led.last().unwrap().host), (broken.at, RIGHT));
    let text = broken.to_string();
    assert!(text.contains("HeartbeatSent") && !text.contains("Down"), "{text}");
    assert!(text.ends_with("heartbeat with 700ms, in force Some(2s)"), "{text}");
}
