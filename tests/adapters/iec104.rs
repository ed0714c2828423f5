//! IEC 104 against a scripted station with shortened timeouts, and against lib60870 if it is
//! installed.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use peerbeat::link::{DownReason, Link, LinkEvent, LinkHandler, LinkOptions};

use crate::examples::iec104::greeting::Greeted;
use crate::examples::iec104::{
    INTERROGATION, Iec104, IecLink, Parameters, Session, keep_times, send, start,
};
use crate::mock::{PATIENCE, Peer, Recorder, Seen, Seens, ms, peer, recorder};
use crate::skip::say_skipped;

const STARTDT_ACT: &[u8] = b"\x68\x04\x07\0\0\0";
const STARTDT_CON: &[u8] = b"\x68\x04\x0b\0\0\0";
const TESTFR_ACT: &[u8] = b"\x68\x04\x43\0\0\0";
const TESTFR_CON: &[u8] = b"\x68\x04\x83\0\0\0";

/// An I frame with its numbers.
fn i_frame(sent: u16, received: u16, asdu: &[u8]) -> Vec<u8> {
    let head = [0x68, 4 + asdu.len() as u8];
    [&head, &(sent << 1).to_le_bytes()[..], &(received << 1).to_le_bytes(), asdu].concat()
}

fn s_frame(received: u16) -> Vec<u8> {
    [&[0x68, 4, 1, 0][..], &(received << 1).to_le_bytes()].concat()
}

/// The session of the example, with a record of what it is given.
struct Recorded(Session<fn(&IecLink, &[u8])>, Recorder);

impl LinkHandler<std::net::TcpStream, Arc<Iec104>> for Recorded {
    fn on_message(&mut self, link: &IecLink, frame: &[u8]) {
        self.0.on_message(link, frame);
        self.1.on_message(link, frame);
    }
    fn on_event(&mut self, link: &IecLink, event: &LinkEvent) {
        self.0.on_event(link, event);
        self.1.on_event(link, event);
    }
}

fn begin(addr: SocketAddr, parameters: Parameters) -> (IecLink, Arc<Iec104>, Seens) {
    let iec = Arc::new(Iec104::default());
    let handshake = Parameters { t1: PATIENCE, ..parameters };
    let Greeted { stream, received, .. } = start(addr, &iec, &handshake).unwrap();
    let liveness = parameters.settings();
    let options = LinkOptions::default().liveness(liveness).received(received);
    let (recorder, seens) = recorder();
    let handler = Recorded(Session(parameters, Arc::clone(&iec), |_, _| {}), recorder);
    let link = Link::start_with(stream, Arc::clone(&iec), &options, handler).unwrap();
    keep_times(link.clone(), Arc::clone(&iec), parameters);
    (link, iec, seens)
}

fn accept(station: &mut Peer) {
    station.expect(STARTDT_ACT);
    station.send(STARTDT_CON);
}

/// Nothing of the link level falls due in a test that is not about it.
fn patient() -> Parameters {
    Parameters { t1: PATIENCE, t2: PATIENCE / 2, t3: 2 * PATIENCE, ..Parameters::standard() }
}

#[test]
fn frames_are_numbered_and_confirmed_after_w_of_them() {
    let (addr, station) = peer(|station| {
        accept(station);
        station.expect(&i_frame(0, 0, INTERROGATION));
        for number in 0..8 {
            station.send(&i_frame(number, 1, b"\x01\x01\x03\0\x01\0"));
        }
        station.expect(&s_frame(8));
        // What is sent next carries the confirmation.
        station.send(&i_frame(8, 1, b"\x01\x01\x03\0\x01\0"));
        station.expect(&i_frame(1, 9, INTERROGATION));
        station.send(TESTFR_ACT);
        station.expect(TESTFR_CON);
        station.send(&i_frame(10, 2, b"\x01\x01\x03\0\x01\0"));
        station.wait_for_end();
    });
    let (link, iec, seens) = begin(addr, patient());
    send(&link, &iec, 12, INTERROGATION).unwrap();
    for _ in 0..9 {
        assert_eq!(seens.message()[6..], *b"\x01\x01\x03\0\x01\0");
    }
    send(&link, &iec, 12, INTERROGATION).unwrap();
    let DownReason::Protocol(error) = seens.down().reason else { panic!("protocol") };
    assert_eq!(error.to_string(), "N(S) 10 (allowed: 9)");
    assert!(link.send(&[7; 250]).is_err(), "no ASDU is that long");
    station.join().unwrap();
}

#[test]
fn no_more_than_k_frames_are_under_way_and_a_confirmation_makes_room() {
    let (addr, station) = peer(|station| {
        accept(station);
        station.expect(&i_frame(0, 0, INTERROGATION));
        station.expect(&i_frame(1, 0, INTERROGATION));
        assert!(station.bytes.is_empty(), "a third frame came before there was room");
        station.send(&s_frame(1));
        station.expect(&i_frame(2, 0, INTERROGATION));
        station.send(&s_frame(7));
        station.wait_for_end();
    });
    let (link, iec, seens) = begin(addr, patient());
    for _ in 0..3 {
        send(&link, &iec, 2, INTERROGATION).unwrap();
    }
    let DownReason::Protocol(error) = seens.down().reason else { panic!("protocol") };
    assert_eq!(error.to_string(), "N(R) 7 (our next is 3)");
    assert!(send(&link, &iec, 2, INTERROGATION).is_err(), "it returns at once");
    station.join().unwrap();
}

#[test]
fn a_test_frame_goes_out_after_t3_and_the_end_comes_t1_later() {
    let (addr, station) = peer(|station| {
        accept(station);
        let silent = station.at;
        station.expect(TESTFR_ACT);
        assert!(station.at - silent >= ms(2300), "not before t3: {:?}", station.at - silent);
        let answered = Instant::now();
        station.send(TESTFR_CON);
        station.expect(TESTFR_ACT);
        assert!(station.at - answered >= ms(2300), "not before t3: {:?}", station.at - answered);
        assert_eq!(station.wait_for_end(), b"", "one test frame a silence");
    });
    let (t1, t2, t3) = (ms(2000), ms(500), ms(2300));
    let (_link, _iec, seens) = begin(addr, Parameters { t1, t2, t3, ..Parameters::standard() });
    assert!(matches!(seens.next(), Seen::Event(LinkEvent::Late { .. })));
    assert!(matches!(seens.next(), Seen::Event(LinkEvent::Recovered { .. })));
    let down = seens.down();
    assert_eq!((down.reason.as_str(), down.limit), ("silent", Some(t1 + t3)));
    assert!(down.silence >= t1 + t3, "{down:?}");
    station.join().unwrap();
}

#[test]
fn what_is_received_is_confirmed_within_t2_and_what_is_not_confirmed_ends_the_link_after_t1() {
    let (confirmed, is_confirmed) = channel();
    let (addr, station) = peer(move |station| {
        accept(station);
        station.send(&i_frame(0, 0, b"\x01\x01\x03\0\x01\0"));
        // A frame of its own, because nothing is sent that could carry it.
        station.expect(&s_frame(1));
        confirmed.send(()).unwrap();
        station.expect(&i_frame(0, 1, INTERROGATION));
        let sent = station.at;
        // It is alive, but does not confirm.
        while station.try_send(TESTFR_CON) && sent.elapsed() < PATIENCE {
            std::thread::sleep(ms(20));
        }
        sent.elapsed()
    });
    let (t1, t2, t3) = (ms(1500), ms(400), ms(2000));
    let (link, iec, seens) = begin(addr, Parameters { t1, t2, t3, ..Parameters::standard() });
    seens.message();
    is_confirmed.recv_timeout(PATIENCE).unwrap();
    let began = Instant::now();
    send(&link, &iec, 12, INTERROGATION).unwrap();
    let down = seens.down();
    let detail = "an I frame was not confirmed within 1.5s".to_owned();
    assert_eq!(down.reason, DownReason::Local { detail });
    assert!(began.elapsed() >= t1, "{:?}", began.elapsed());
    assert!(station.join().unwrap() < PATIENCE);
}

/// A station of lib60870, which the Python package c104 brings.
struct Station(Child);

impl Station {
    /// `None` = it is not installed, which is said.
    fn start() -> Option<(Self, SocketAddr)> {
        let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".to_owned());
        let packages = concat!(env!("CARGO_MANIFEST_DIR"), "/target/python");
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/adapters/station.py");
        let mut command = Command::new(python);
        if std::env::var_os("PYTHONPATH").is_none() {
            command.env("PYTHONPATH", packages);
        }
        command.arg(script).stdin(Stdio::piped());
        let skip = |why: &str| {
            say_skipped("IEC 104 against lib60870", why);
            None
        };
        let spawned = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let Ok(mut child) = spawned else { return skip("there is no python3") };
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let station = Self(child);
        match lines.next().and_then(Result::ok).as_deref().map(|line| line.split_at(5)) {
            Some(("port ", port)) => {
                let port: u16 = port.parse().unwrap();
                Some((station, ([127, 0, 0, 1], port).into()))
            }
            _ => skip("Python has no package c104 (pip install c104 --target target/python)"),
        }
    }

    fn signal(&self, name: &str) {
        let pid = self.0.id().to_string();
        let status = Command::new("sh").args(["-c", "kill -$0 $1", name, &pid]).status().unwrap();
        assert!(status.success(), "kill -{name} {pid}");
    }
}

impl Drop for Station {
    fn drop(&mut self) {
        let _ended_already = self.0.kill();
        let _ended_already = self.0.wait();
    }
}

#[test]
fn a_session_with_lib60870_holds_and_notices_a_freeze() {
    let Some((mut station, addr)) = Station::start() else { return };
    // Its t1, t2 and t3 are 15, 10 and 20 s: ours are those that are seen here.
    let (t1, t2, t3) = (Duration::from_secs(2), Duration::from_secs(1), Duration::from_secs(3));
    let parameters = Parameters { t1, t2, t3, ..Parameters::standard() };
    let (link, iec, seens) = begin(addr, parameters);
    send(&link, &iec, parameters.k, INTERROGATION).unwrap();
    // Confirmed, the points that it has, and the end of it: types and causes of the standard.
    let mut answers = Vec::new();
    while answers.last() != Some(&(100, 10)) {
        let frame = seens.message();
        answers.push((frame[6], frame[8] & 0x3f));
    }
    assert_eq!(answers.first(), Some(&(100, 7)), "{answers:?}");
    let points = answers.iter().filter(|(kind, cause)| (*kind, *cause) == (13, 20)).count();
    assert!(points >= 1, "{answers:?}");

    // More than k of what it sends and of what we send, so that both confirm in between.
    for _ in 0..20 {
        send(&link, &iec, parameters.k, INTERROGATION).unwrap();
    }
    for _ in 0..20 {
        while !matches!(seens.message()[..], [_, _, _, _, _, _, 100, _, 10, ..]) {}
    }
    // Idle, it answers test frames.
    let mut recovered = 0;
    while recovered < 2 {
        match seens.next() {
            Seen::Event(LinkEvent::Recovered { .. }) => recovered += 1,
            Seen::Down(down) => panic!("{down:?}"),
            _ => {}
        }
    }
    station.signal("STOP");
    let down = seens.down();
    assert_eq!((down.reason.as_str(), down.limit), ("silent", Some(t1 + t3)));
    station.signal("CONT");
    let _it_may_have_ended = writeln!(station.0.stdin.as_mut().unwrap());
}
