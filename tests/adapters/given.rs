//! Values that were given and not negotiated, and framings that break their contract.

use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use peerbeat::link::{DownReason, Faults, HeartbeatChange, Link, LinkOptions};
use peerbeat::liveness::{Action, FixedIntervals, Liveness, Mode, Settings, Time};
use peerbeat::protocol::{Decoded, Frame, Framing, Heartbeat, ProtocolError};

use crate::mock::{PATIENCE, ms, peer, recorder};

fn given(send: Option<u64>, expect: Option<u64>) -> Settings {
    let given = Some(FixedIntervals { send: send.map(ms), expect: expect.map(ms) });
    Settings::default().given(given).slack(ms(20)).heartbeat_time(Some(ms(7)))
}

/// Two hosts on a virtual clock that pass each other heartbeats until `until`; returns how many
/// each sent, and the first verdict.
fn run(sides: [Settings; 2], mute: bool, until: Time) -> ([u32; 2], Option<(usize, Time)>) {
    let mut hosts = sides.map(|settings| Liveness::new(&settings, Time::ZERO));
    let (mut now, mut sent) = (Time::ZERO, [0; 2]);
    while now < until {
        let mut next = until;
        for side in 0..2 {
            match hosts[side].poll(now) {
                Action::SendHeartbeat { value_ms } => {
                    sent[side] += 1;
                    hosts[side].handle_heartbeat_sent(value_ms, now);
                    if !(mute && side == 0) {
                        hosts[1 - side].handle_received(now);
                        // A value that the framing should have left out changes nothing either.
                        hosts[1 - side].handle_heartbeat(1, now);
                    }
                    next = now;
                }
                Action::Silent { .. } => return (sent, Some((side, now))),
                Action::Wait { until } => next = next.min(until),
                _ => next = now,
            }
        }
        now = next;
    }
    (sent, None)
}

// lesson 6
#[test]
fn all_four_ways_to_enable_two_directions_hold_for_a_hundred_intervals() {
    let until = Time::ZERO + 100 * ms(100) + ms(1);
    for (a, b) in [(true, true), (true, false), (false, true), (false, false)] {
        let value = |on: bool| on.then_some(100);
        let sides = [given(value(a), value(b)), given(value(b), value(a))];
        let (sent, verdict) = run(sides, false, until);
        assert_eq!(verdict, None, "{a} {b}");
        // Never early, none announced, and not one missing.
        assert_eq!(sent, [if a { 100 } else { 0 }, if b { 100 } else { 0 }], "{a} {b}");
    }
}

#[test]
fn each_direction_has_its_own_limit() {
    let sides = [given(Some(300), Some(1000)), given(Some(1000), Some(300))];
    let (_, verdict) = run(sides, true, Time::ZERO + ms(100_000));
    assert_eq!(verdict, Some((1, Time::ZERO + ms(320))));
}

#[test]
fn zero_is_none() {
    for settings in [given(Some(0), Some(0)), given(None, None)] {
        let mut host = Liveness::new(&settings, Time::ZERO);
        assert_eq!(host.poll(Time::ZERO + ms(1 << 40)), Action::Wait { until: Time::NEVER });
    }
}

#[test]
fn mode_always_beats_whether_data_flows_or_not() {
    let settings = given(Some(100), None).mode(Mode::Always);
    let mut host = Liveness::new(&settings, Time::ZERO);
    let mut beats = 0;
    for at in 0..1000 {
        let now = Time::ZERO + ms(at);
        host.handle_sent(now);
        if let Action::SendHeartbeat { value_ms } = host.poll(now) {
            beats += 1;
            host.handle_heartbeat_sent(value_ms, now);
        }
    }
    assert_eq!(beats, 9);
}

#[test]
fn a_value_that_is_lowered_later_changes_our_sending_alone() {
    let (addr, other) = peer(|peer| {
        let began = Instant::now();
        while peer.at - began < ms(700) {
            peer.expect(b".");
        }
        peer.send(b"x");
        peer.wait_for_end();
    });
    let (recorder, seens) = recorder();
    let stream = TcpStream::connect(addr).unwrap();
    let liveness = given(Some(60_000), Some(60_000));
    let link = Link::start_with(stream, Bytes::default(), &options(liveness), recorder).unwrap();
    assert_eq!(link.set_heartbeat_time(ms(50)), Ok(HeartbeatChange::InForce));
    assert_eq!(seens.message(), b"x", "our beats come, and its silence of 700 ms is allowed");
    link.close();
    let down = seens.down();
    assert_eq!(down.limit, Some(ms(60_020)), "what was given for its direction");
    other.join().unwrap();
}

/// A byte a frame: `.` is a heartbeat, `!` is misread as the number says, the rest is data.
#[derive(Default)]
struct Bytes {
    misread_as: usize,
    has_no_heartbeats: bool,
    asked: Arc<AtomicUsize>,
}

impl Framing for Bytes {
    const NEGOTIATES: bool = false;

    fn decode<'a>(&self, bytes: &'a [u8]) -> Result<Decoded<'a>, ProtocolError> {
        Ok(match bytes.first() {
            None => Decoded::Partial,
            Some(b'.') => {
                // A value that a careless framing leaves in is not adopted.
                let heartbeat = Heartbeat { heartbeat_time_ms: 1, timing: None };
                Decoded::Whole { length: 1, frame: Frame::Heartbeat(heartbeat) }
            }
            Some(b'!') => Decoded::Whole { length: self.misread_as, frame: Frame::Data(b"") },
            Some(_) => Decoded::Whole { length: 1, frame: Frame::Data(&bytes[..1]) },
        })
    }

    fn encode_data(&self, payload: &[u8], out: &mut Vec<u8>) -> Result<(), ProtocolError> {
        out.extend_from_slice(payload);
        Ok(())
    }

    fn encode_heartbeat(&self, _: &Heartbeat, out: &mut Vec<u8>) {
        self.asked.fetch_add(1, Ordering::Relaxed);
        if !self.has_no_heartbeats {
            out.push(b'.');
        }
    }
}

fn options(liveness: Settings) -> LinkOptions {
    LinkOptions::default().liveness(liveness)
}

#[test]
fn a_link_without_negotiation_announces_and_adopts_nothing() {
    let (addr, other) = peer(|peer| {
        peer.send(b"..");
        peer.expect(b".");
        peer.at
    });
    let liveness = Settings::default().heartbeat_time(Some(ms(300)));
    let stream = TcpStream::connect(addr).unwrap();
    let (recorder, seens) = recorder();
    let began = Instant::now();
    let options = options(liveness).received(b".".to_vec());
    let link = Link::start_with(stream, Bytes::default(), &options, recorder).unwrap();
    assert!(other.join().unwrap() - began >= ms(300), "no heartbeat before the first is due");
    let down = seens.down();
    assert_eq!(down.heartbeat_time, Some(ms(300)), "given in both directions");
    assert_eq!(link.stats().heartbeats_received, 3);
}

#[test]
fn a_framing_with_nothing_to_send_is_asked_once_an_interval() {
    let (addr, other) = peer(|peer| peer.wait_for_end());
    let framing = Bytes { has_no_heartbeats: true, ..Bytes::default() };
    let asked = Arc::clone(&framing.asked);
    let stream = TcpStream::connect(addr).unwrap();
    let liveness = given(Some(50), None);
    let began = Instant::now();
    let link = Link::start_with(stream, framing, &options(liveness), |_: &_, _: &[u8]| {}).unwrap();
    thread::sleep(ms(500));
    while asked.load(Ordering::Relaxed) == 0 {
        assert!(began.elapsed() < PATIENCE, "never asked");
        thread::sleep(ms(1));
    }
    let (asked, took) = (asked.load(Ordering::Relaxed), began.elapsed());
    assert!(asked as u128 <= took.as_millis() / 50, "{asked} times in {took:?}");
    assert_eq!(link.stats().heartbeats_sent, 0);
    link.close();
    assert_eq!(other.join().unwrap(), b"");
}

#[test]
fn a_framing_that_takes_nothing_or_too_much_ends_the_link() {
    for misread_as in [0, 3, usize::MAX] {
        let (addr, other) = peer(|peer| {
            peer.send(b"a!");
            peer.wait_for_end();
        });
        let framing = Bytes { misread_as, ..Bytes::default() };
        let stream = TcpStream::connect(addr).unwrap();
        let (recorder, seens) = recorder();
        let _link =
            Link::start_with(stream, framing, &options(given(None, None)), recorder).unwrap();
        assert_eq!(seens.message(), b"a");
        let DownReason::Protocol(error) = seens.down().reason else { panic!("protocol") };
        assert!(error.to_string().starts_with("the framing called"), "{error}");
        other.join().unwrap();
    }
}

#[test]
fn a_stuck_write_has_the_greater_limit_of_two_given_values() {
    thread::scope(|scope| {
        scope.spawn(|| assert_stalls_after_770_ms(given(None, Some(750))));
        scope.spawn(|| assert_stalls_after_770_ms(given(Some(750), None)));
        scope.spawn(|| assert_stalls_after_770_ms(given(Some(10), Some(750))));
    });
}

fn assert_stalls_after_770_ms(liveness: Settings) {
    // The peer beats until the other end is gone: it is never silent for as long as the limit.
    let (addr, other) = peer(|peer| {
        let began = Instant::now();
        while peer.try_send(b".") {
            assert!(began.elapsed() < PATIENCE, "the link did not end");
            thread::sleep(ms(5));
        }
    });
    let faults = Faults::default();
    faults.stall_writer(true);
    let options = options(liveness).faults(Some(faults));
    let (recorder, seens) = recorder();
    let stream = TcpStream::connect(addr).unwrap();
    let link = Link::start_with(stream, Bytes::default(), &options, recorder).unwrap();
    link.send(b"x").unwrap();
    let down = seens.down();
    let DownReason::WriteStalled { pending } = down.reason else { panic!("{down:?}") };
    assert!(pending >= ms(770), "{down:?}");
    other.join().unwrap();
}
