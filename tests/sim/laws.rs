//! Every law can fail: honest records pass, and each of these changed ones is caught by its law.

use std::time::Duration;

use super::{LEFT, RIGHT, downs, options};
use peerbeat::connection::{Cause, Event};
use peerbeat::liveness::Time;
use peerbeat::sim::{Law, Laws, Op, Options, Pair, Seen, What, secs};

/// Its HELLO says no value: that is for the heartbeats.
fn quiet(heartbeat_time: f64) -> Options {
    Options { says_value: false, ..options(heartbeat_time, 1.0) }
}

/// Thirty seconds: RIGHT learns 2 s from LEFT, talk every second for ten, silence, a cut at 21.3 s.
fn record() -> Vec<Seen> {
    let mut pair = Pair::new(1, quiet(2.0), quiet(5.0));
    let second = Duration::from_secs(1);
    pair.at(secs(1.5), Op::Send { from: LEFT, to: RIGHT, size: 9, times: 10, every: second });
    pair.at(secs(21.3), Op::Cut { a: LEFT, b: RIGHT });
    pair.run_until(secs(30.0));
    assert_eq!(downs(&pair, LEFT).len(), 1);
    pair.history(0).to_vec()
}

fn judge(record: &[Seen]) -> Result<(), (Law, Time)> {
    let (left, right): (Options, Options) = (quiet(2.0), quiet(5.0));
    let mut laws = Laws::new();
    let judged = record
        .iter()
        .try_for_each(|seen| laws.judge(seen, if seen.host == LEFT { &left } else { &right }));
    judged.and_then(|()| laws.pass(secs(30.0))).map_err(|broken| (broken.law, broken.at))
}

fn law_of(record: &[Seen]) -> Option<Law> {
    judge(record).err().map(|(law, _)| law)
}

fn find(record: &[Seen], is_it: impl Fn(&Seen) -> bool) -> usize {
    record.iter().position(is_it).expect("it is in the record")
}

fn is_beat(seen: &Seen) -> bool {
    matches!(seen.what, What::Queued { heartbeat: Some(_), .. })
}

#[test]
fn an_honest_record_passes() {
    assert_eq!(judge(&record()), Ok(()));
}

#[test]
fn no_false_death() {
    let mut record = record();
    let down = find(&record, |seen| matches!(seen.what, What::Down { .. }));
    record[down].at = Time::from_nanos(record[down].at.as_nanos() - 1);
    assert_eq!(law_of(&record), Some(Law::NoFalseDeath));
}

#[test]
fn death_in_time() {
    let mut record = record();
    let down = find(&record, |seen| matches!(seen.what, What::Down { .. }));
    // One nanosecond late is late; what the peer sees afterwards is not asked for.
    record.truncate(down + 1);
    assert_eq!(record[down].host, LEFT);
    record[down].at = record[down].at + Duration::from_nanos(1);
    assert_eq!(law_of(&record), Some(Law::DeathInTime));
    record.remove(down);
    assert_eq!(law_of(&record), Some(Law::DeathInTime));
}

#[test]
fn converges() {
    let honest = record();
    let told = find(&honest, |seen| matches!(seen.what, What::Event(Event::HeartbeatTime { .. })));
    let mut record = honest.clone();
    record.remove(told);
    assert_eq!(law_of(&record), Some(Law::Converges));
    let mut record = honest.clone();
    let (from, to) = (Some(Duration::from_secs(5)), Duration::from_secs(3));
    record[told].what = What::Event(Event::HeartbeatTime { from, to, cause: Cause::Peer });
    assert_eq!(law_of(&record), Some(Law::Converges));
    // A change that is never announced: RIGHT keeps the record of its first 0.9 ms.
    let mut record = honest.clone();
    record.retain(|seen| {
        let sends = matches!(seen.what, What::HeartbeatSent { .. } | What::Wrote { .. });
        seen.host == LEFT || seen.at < secs(0.0009) || !(sends || is_beat(seen))
    });
    assert_eq!(law_of(&record), Some(Law::Converges));
}

#[test]
fn gap_holds() {
    let mut record = record();
    record.retain(|seen| {
        let sends =
            is_beat(seen) || matches!(seen.what, What::Wrote { .. } | What::HeartbeatSent { .. });
        seen.host != LEFT || seen.at < secs(12.0) || !sends
    });
    assert_eq!(judge(&record).map_err(|(law, _)| law), Err(Law::GapHolds));
}

#[test]
fn quiet_when_busy() {
    let mut record = record();
    let beat = find(&record, is_beat);
    let later = find(&record, |seen| seen.at > secs(8.7));
    let queued = Seen { at: secs(8.7), ..record[beat].clone() };
    record.insert(later, Seen { host: LEFT, what: with_value(2), ..queued });
    assert_eq!(law_of(&record), Some(Law::QuietWhenBusy));
}

fn with_value(seconds: u64) -> What {
    What::Queued { bytes: 33, heartbeat: Some(Duration::from_secs(seconds)) }
}

#[test]
fn never_closer() {
    let mut record = record();
    let beat = find(&record, |seen| is_beat(seen) && seen.host == LEFT && seen.at > secs(14.0));
    let sent = beat + 2;
    assert!(matches!(record[sent].what, What::HeartbeatSent { .. }));
    let again: Vec<Seen> = record[beat..=sent].to_vec();
    record.splice(sent + 1..sent + 1, again);
    assert_eq!(law_of(&record), Some(Law::NeverCloser));
}

#[test]
fn one_reason() {
    let honest = record();
    let down = find(&honest, |seen| matches!(seen.what, What::Down { .. }));
    let mut record = honest.clone();
    record.insert(down + 1, honest[down].clone());
    assert_eq!(law_of(&record), Some(Law::OneReason));
    let up = find(&honest, |seen| matches!(seen.what, What::Up { .. }));
    let mut record = honest.clone();
    record.insert(up + 1, honest[up].clone());
    assert_eq!(law_of(&record), Some(Law::OneReason));
}

#[test]
fn nothing_leaks() {
    let honest = record();
    let message = find(&honest, |seen| matches!(seen.what, What::Message(_)));
    let mut record = honest.clone();
    record[message].what = What::Message(b"of another connection".to_vec());
    assert_eq!(law_of(&record), Some(Law::NothingLeaks));
    let mut record = honest.clone();
    record.insert(message + 1, honest[message].clone());
    assert_eq!(law_of(&record), Some(Law::NothingLeaks));
    let mut record = honest.clone();
    let down = find(&record, |seen| matches!(seen.what, What::Down { .. }));
    if let What::Down { down, .. } = &mut record[down].what {
        down.silence += Duration::from_secs(1);
    }
    assert_eq!(law_of(&record), Some(Law::NothingLeaks));
}

#[test]
fn a_violation_shows_what_led_to_it() {
    // Two seconds of one pair, and then of another that never heard of the first.
    let [mut quiet, mut other] =
        [2.0, 0.7].map(|value| Pair::new(1, options(value, 1.0), options(value, 1.0)));
    let mut laws = Laws::new();
    quiet.run_until(secs(2.0));
    assert_eq!(laws.check(&quiet), Ok(()));
    other.run_until(secs(9.0));
    let broken = laws.check(&other).unwrap_err();
    assert_eq!((broken.law, broken.host), (Law::Converges, RIGHT));
    let led = &other.history(0)[..broken.history.len()];
    assert_eq!(broken.history, led, "up to the breaking one, which is the last");
    assert_eq!((led.last().unwrap().at, led.last().unwrap().host), (broken.at, RIGHT));
    let text = broken.to_string();
    assert!(text.contains("HeartbeatSent") && !text.contains("Down"), "{text}");
    assert!(text.ends_with("heartbeat with 700ms, in force Some(2s)"), "{text}");
}
