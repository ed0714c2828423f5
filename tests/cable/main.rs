//! The cable between two plain TCP programs: what each fault looks like to both.
//!
//! Every wait has a deadline far beyond what an idle machine needs; nothing is asserted to be fast.
//! That nothing arrives is asserted by what arrives next.

#![allow(clippy::unwrap_used)] // also in the helpers of tests, which Clippy does not know as such

#[path = "../common/accept.rs"]
mod accept;

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use accept::accept;
use peerbeat::cable::{Cable, CableEvent, Way};

const PATIENCE: Duration = Duration::from_secs(60);

/// A target, the cable to it, and one connection through it: the program that dialled, and the one
/// that accepted.
struct Rig {
    listener: TcpListener,
    cable: Cable,
}

impl Rig {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let cable = Cable::between(listener.local_addr().unwrap()).unwrap();
        Self { listener, cable }
    }

    fn dial(&self) -> TcpStream {
        let stream = TcpStream::connect(self.cable.addr()).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    fn connect(&self) -> [TcpStream; 2] {
        let near = self.dial();
        let far = accept(&self.listener);
        far.set_nodelay(true).unwrap();
        far.set_read_timeout(Some(PATIENCE)).unwrap();
        [near, far]
    }

    fn wait(&self, what: &str, is: impl Fn(&Self) -> bool) {
        let until = Instant::now() + PATIENCE;
        while !is(self) {
            assert!(Instant::now() < until, "never: {what}: {:?}", self.cable.status());
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

#[track_caller]
fn carries(mut from: &TcpStream, mut to: &TcpStream, text: &str) {
    from.write_all(text.as_bytes()).unwrap();
    let mut got = vec![0; text.len()];
    to.read_exact(&mut got).unwrap();
    assert_eq!(String::from_utf8_lossy(&got), text);
}

/// What a side reads when it reads on: nothing but an end.
#[track_caller]
fn ends(mut side: &TcpStream) -> Result<(), ErrorKind> {
    match side.read(&mut [0; 64]) {
        Ok(0) => Ok(()),
        Ok(count) => panic!("{count} bytes instead of an end"),
        Err(error) => Err(error.kind()),
    }
}

#[test]
fn bytes_and_ends_are_carried_both_ways() {
    let rig = Rig::new();
    let [near, far] = rig.connect();
    carries(&near, &far, "there");
    carries(&far, &near, "and back");
    near.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(ends(&far), Ok(()));
    // Half of it is closed, the other half still carries.
    carries(&far, &near, "more");
    drop(far);
    assert_eq!(ends(&near), Ok(()));
    rig.wait("the connection is forgotten", |rig| rig.cable.status().open == 0);
    let status = rig.cable.status();
    assert_eq!((status.opened, status.dropped, status.failed), (1, 0, 0));
    assert_eq!((status.passed_out, status.passed_in, status.vanished), (5, 12, 0));
}

#[test]
fn a_pulled_cable_swallows_everything_and_closes_nothing() {
    let rig = Rig::new();
    let [near, far] = rig.connect();
    carries(&near, &far, "before");
    rig.cable.pull();
    (&near).write_all(b"lost").unwrap();
    (&far).write_all(b"lost too").unwrap();
    rig.wait("12 bytes vanish", |rig| rig.cable.status().vanished == 12);
    // An end vanishes like bytes do: the other side reads nothing, not even that.
    near.shutdown(std::net::Shutdown::Write).unwrap();
    far.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let kind = (&far).read(&mut [0]).unwrap_err().kind();
    assert!(matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut), "{kind:?}");
    far.set_read_timeout(Some(PATIENCE)).unwrap();
    rig.cable.plug();
    assert_eq!(ends(&far), Ok(()), "it would go on with a hole in its stream");
    assert_eq!(ends(&near), Ok(()));
    let [near, far] = rig.connect();
    carries(&near, &far, "after");
}

#[test]
fn a_connection_that_lost_nothing_survives_the_pull() {
    let rig = Rig::new();
    let [near, far] = rig.connect();
    rig.cable.pull();
    rig.cable.plug();
    carries(&near, &far, "still here");
    carries(&far, &near, "so am I");
}

#[test]
fn a_dial_into_a_pulled_cable_reaches_no_one() {
    let rig = Rig::new();
    rig.cable.pull();
    let near = rig.dial();
    (&near).write_all(b"hello?").unwrap();
    rig.wait("6 bytes vanish", |rig| rig.cable.status().vanished == 6);
    rig.cable.plug();
    assert_eq!(ends(&near), Ok(()));
    // The first that the target hears of is the next one.
    let [near, far] = rig.connect();
    carries(&near, &far, "second");
}

#[test]
fn one_way_can_be_pulled_alone() {
    let rig = Rig::new();
    let [near, far] = rig.connect();
    rig.cable.change(Way::In, |line| line.pulled = true);
    carries(&near, &far, "the way out is whole");
    (&far).write_all(b"lost").unwrap();
    rig.wait("4 bytes vanish", |rig| rig.cable.status().vanished == 4);
    carries(&near, &far, "and still is");
    let status = rig.cable.status();
    assert!(status.way_in.pulled && !status.way_out.pulled);
}

#[test]
fn a_frozen_way_loses_nothing() {
    let rig = Rig::new();
    let [near, far] = rig.connect();
    rig.cable.freeze(Way::Out);
    (&near).write_all(b"wai").unwrap();
    (&near).write_all(b"ted").unwrap();
    carries(&far, &near, "the other way is free");
    assert_eq!(rig.cable.status().passed_out, 0);
    rig.cable.plug();
    let mut got = [0; 6];
    (&far).read_exact(&mut got).unwrap();
    assert_eq!(&got, b"waited");
}

#[test]
fn a_frozen_way_fills_and_the_sender_feels_it() {
    let rig = Rig::new();
    let [near, _far] = rig.connect();
    rig.cable.freeze(Way::Out);
    near.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
    let chunk = vec![0; 1 << 20];
    let most = 1 << 30;
    let mut written = 0;
    while written < most {
        match (&near).write(&chunk) {
            Ok(count) => written += count,
            Err(error) => {
                assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut));
                break;
            }
        }
    }
    assert!(written < most, "the cable takes without end");
}

#[test]
fn delayed_bytes_are_never_early_and_stay_in_order() {
    let rig = Rig::new();
    let [near, far] = rig.connect();
    let by = Duration::from_millis(300);
    rig.cable.delay(by);
    let sent = Instant::now();
    carries(&near, &far, "late");
    assert!(sent.elapsed() >= by, "{:?}", sent.elapsed());
    // What comes later with a smaller delay does not overtake.
    (&near).write_all(b"a").unwrap();
    rig.cable.delay(Duration::ZERO);
    (&near).write_all(b"b").unwrap();
    let mut got = [0; 2];
    (&far).read_exact(&mut got).unwrap();
    assert_eq!(&got, b"ab");
}

#[test]
fn a_sliced_line_hands_on_small_pieces() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let pieces = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&pieces);
    let target = listener.local_addr().unwrap();
    let cable = Cable::tapped("127.0.0.1:0", target, move |_, event| {
        if let CableEvent::Passed { bytes, .. } = event {
            seen.lock().unwrap().push(bytes.to_vec());
        }
    });
    let rig = Rig { listener, cable: cable.unwrap() };
    let [near, far] = rig.connect();
    rig.cable.slice(2);
    carries(&near, &far, "abcdefg");
    // The tap is called behind the write.
    rig.wait("all is seen", |_| pieces.lock().unwrap().concat().len() == 7);
    let pieces = pieces.lock().unwrap();
    assert!(pieces.iter().all(|piece| piece.len() <= 2), "{pieces:?}");
    assert_eq!(pieces.concat(), b"abcdefg");
}

#[test]
fn a_narrow_line_takes_its_time() {
    let rig = Rig::new();
    let [near, far] = rig.connect();
    rig.cable.rate(100_000);
    let started = Instant::now();
    carries(&near, &far, &"x".repeat(50_000));
    // The first piece of a fiftieth of a second is free.
    assert!(started.elapsed() >= Duration::from_millis(470), "{:?}", started.elapsed());
}

#[test]
fn a_cut_is_an_end_of_stream_at_both_sides() {
    let rig = Rig::new();
    let [near, far] = rig.connect();
    (&near).write_all(b"perhaps").unwrap();
    rig.wait("it passes", |rig| rig.cable.status().passed_out == 7);
    rig.cable.cut();
    assert_eq!(ends(&near), Ok(()));
    let mut got = Vec::new();
    (&far).read_to_end(&mut got).unwrap();
    assert_eq!(got, b"perhaps");
    let [near, far] = rig.connect();
    carries(&near, &far, "a new one");
}

#[test]
fn after_a_reset_the_next_byte_is_answered_with_one() {
    let rig = Rig::new();
    let [near, far] = rig.connect();
    carries(&near, &far, "before");
    rig.cable.reset();
    for side in [&near, &far] {
        let mut side = side;
        side.write_all(b"x").unwrap();
        let kind = ends(side);
        assert_eq!(kind, Err(ErrorKind::ConnectionReset));
    }
    let [near, far] = rig.connect();
    carries(&near, &far, "a new one");
}

#[test]
fn a_reset_that_was_not_noticed_can_become_a_cut() {
    let rig = Rig::new();
    let [near, far] = rig.connect();
    rig.cable.reset();
    rig.cable.cut();
    assert_eq!(ends(&near), Ok(()));
    assert_eq!(ends(&far), Ok(()));
}

#[test]
fn new_connections_can_be_dropped_while_the_old_ones_live() {
    let rig = Rig::new();
    let [near, far] = rig.connect();
    rig.cable.drop_new(true);
    assert_eq!(ends(&rig.dial()), Ok(()));
    carries(&near, &far, "untouched");
    assert_eq!(rig.cable.status().dropped, 1);
    rig.cable.plug();
    let [near, far] = rig.connect();
    carries(&near, &far, "welcome again");
}

#[test]
fn a_target_that_is_not_there_is_seen() {
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (failed, failures) = channel();
    let failed = Mutex::new(failed);
    let cable = Cable::tapped("127.0.0.1:0", gone, move |_, event| {
        if let CableEvent::Failed { error } = event {
            failed.lock().unwrap().send(error.kind()).unwrap();
        }
    });
    let cable = cable.unwrap();
    let near = TcpStream::connect(cable.addr()).unwrap();
    assert_eq!(failures.recv_timeout(PATIENCE).unwrap(), ErrorKind::ConnectionRefused);
    near.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(ends(&near), Ok(()));
}

#[test]
fn a_dropped_cable_takes_everything_with_it() {
    let Rig { listener, cable } = Rig::new();
    let addr = cable.addr();
    let rig = Rig { listener, cable };
    let [near, far] = rig.connect();
    carries(&near, &far, "alive");
    drop(rig.cable);
    assert_eq!(ends(&near), Ok(()));
    assert_eq!(ends(&far), Ok(()));
    assert!(TcpStream::connect(addr).is_err(), "it still listens");
}
