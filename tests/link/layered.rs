//! Links over a layer that makes records: as on a plain socket, whatever the layer does.
//!
//! The layer is a toy with the essentials of TLS: records that must be complete, answers of its
//! own, a goodbye. TLS itself is in tests/tls.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use peerbeat::link::{DownReason, Layer, Layered, Link, LinkOptions, Opened, Stream};
use peerbeat::liveness::Mode;
use peerbeat::protocol::Native;

use crate::accept::accept;
use crate::mock::{DATA, LONG, frame, heartbeat};
use crate::rig::{Log, Narrow, Seen, assert_soon, ms, notes, options};

const PLAIN: u8 = 1;
const GOODBYE: u8 = 2;
const PING: u8 = 3;
const PONG: u8 = 4;
const PANIC: u8 = 5;
const LIE: u8 = 6;
const ALERT: u8 = 7;

/// Records of a kind, a length and bytes, each turned by what came before it.
#[derive(Default)]
struct Records {
    seals: u8,
    opens: u8,
    /// Opened, and there was no room for it.
    rest: Vec<u8>,
    /// Nothing is sealed until this is true.
    waits_for: Option<Arc<AtomicBool>>,
    is_never_ready: bool,
}

fn record(kind: u8, turn: u8, plain: &[u8]) -> Vec<u8> {
    let mut record = vec![kind];
    record.extend(u16::try_from(plain.len()).unwrap().to_be_bytes());
    record.extend(plain.iter().map(|byte| byte.wrapping_add(turn)));
    record
}

impl Layer for Records {
    fn seal(&mut self, plain: &[u8], sealed: &mut Vec<u8>) -> io::Result<usize> {
        if self.waits_for.as_ref().is_some_and(|flag| !flag.load(Ordering::SeqCst)) {
            return Ok(0);
        }
        for piece in plain.chunks(5000) {
            sealed.extend(record(PLAIN, self.seals, piece));
            self.seals = self.seals.wrapping_add(1);
        }
        Ok(plain.len())
    }

    fn open(
        &mut self,
        sealed: &[u8],
        plain: &mut [u8],
        replies: &mut Vec<u8>,
    ) -> io::Result<Opened> {
        if !self.rest.is_empty() {
            let count = plain.len().min(self.rest.len());
            plain[..count].copy_from_slice(&self.rest[..count]);
            self.rest.drain(..count);
            return Ok(Opened::new(0, count));
        }
        let (Some(kind), Some(length)) = (sealed.first(), sealed.get(1..3)) else {
            return Ok(Opened::default());
        };
        let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
        let Some(bytes) = sealed.get(3..3 + length) else { return Ok(Opened::default()) };
        match *kind {
            PLAIN => {
                let opened = bytes.iter().map(|byte| byte.wrapping_sub(self.opens));
                self.rest.extend(opened);
                self.opens = self.opens.wrapping_add(1);
                if let Some(flag) = &self.waits_for {
                    flag.store(true, Ordering::SeqCst);
                }
                Ok(Opened::new(3 + length, 0))
            }
            GOODBYE => Ok(Opened::new(3, 0).ended()),
            PING => {
                replies.extend(record(PONG, 0, b"pong"));
                Ok(Opened::new(3 + length, 0))
            }
            PONG => Ok(Opened::new(3 + length, 0)),
            PANIC => panic!("a mistake of the layer's"),
            LIE => Ok(Opened::new(usize::MAX, 0)),
            ALERT => {
                replies.extend(record(GOODBYE, 0, b""));
                Err(io::Error::other("an alert"))
            }
            kind => Err(io::Error::new(io::ErrorKind::InvalidData, format!("kind {kind}"))),
        }
    }

    fn close(&mut self, sealed: &mut Vec<u8>) -> io::Result<()> {
        sealed.extend(record(GOODBYE, 0, b""));
        Ok(())
    }

    fn is_ready(&self) -> bool {
        !self.is_never_ready
    }
}

fn sockets() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let far = accept(&listener);
    far.set_nodelay(true).unwrap();
    (near, far)
}

fn layered<S: Stream>(stream: S) -> Layered<S, Records> {
    Layered::open(stream, Records::default(), Instant::now() + LONG).unwrap()
}

fn start<S: Stream>(stream: S, options: &LinkOptions) -> (Link<S>, Log) {
    let (handler, log) = notes(|_: &Link<S>, _| {});
    (Link::start_with(stream, Native::default(), options, handler).unwrap(), log)
}

/// A link over the toy, and the other end's bare socket.
fn against_bytes(options: &LinkOptions) -> (Link<Layered<TcpStream, Records>>, Log, TcpStream) {
    let (near, far) = sockets();
    let (link, log) = start(layered(near), options);
    (link, log, far)
}

#[test]
fn messages_of_all_lengths_arrive_in_order_both_ways() {
    let (near, far) = sockets();
    let options = options(100, 60_000);
    let ((near, near_log), (far, far_log)) =
        (start(layered(near), &options), start(layered(far), &options));
    let lengths = [0, 1, 4999, 5000, 5001, 70_000, 300_000];
    for (link, log) in [(&near, &far_log), (&far, &near_log)] {
        thread::scope(|scope| {
            scope.spawn(|| {
                for length in lengths.iter().cycle().take(200) {
                    link.send(&vec![7; *length]).unwrap();
                }
            });
            for length in lengths.iter().cycle().take(200) {
                assert_eq!(log.message(), vec![7; *length]);
            }
        });
    }
    near.close();
    assert_eq!(far_log.down().1.reason.as_str(), "closed");
    assert_eq!(near_log.down().1.reason.as_str(), "local");
}

#[test]
fn a_heartbeat_never_goes_into_what_is_sealed_already() {
    let (near, far) = sockets();
    // The door lets a part of the first record through, again and again.
    let (near, door) = Narrow::new(near, 1000);
    let mut always = options(100, 60_000);
    // One that only fills an idle line would yield to the data.
    always.liveness.mode = Mode::Always;
    let (near, _log) = start(layered(near), &always);
    let (_far, far_log) = start(layered(far), &options(60_000, 60_000));
    for number in 0..20_u8 {
        near.send(&vec![number; 3000]).unwrap();
    }
    // The first one goes out, and a part of the batch behind it; then heartbeats fall due.
    let passes = AtomicU32::new(10);
    let pass = move || {
        let less = |left: u32| left.checked_sub(1);
        passes.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less).is_ok()
    };
    door.open_when(pass, 700);
    thread::sleep(ms(400));
    door.open();
    for number in 0..20 {
        assert_eq!(far_log.message(), vec![number; 3000]);
    }
    // What had gone into sealed bytes would be lost, and shift what follows.
    near.send(b"last").unwrap();
    assert_eq!(far_log.message(), b"last");
    assert!(near.stats().heartbeats_sent >= 2, "{:?}", near.stats());
    assert!(near.is_up());
}

#[test]
fn a_peer_that_stops_reading_is_write_stalled_at_the_limit_and_what_is_sealed_counts_as_unsent() {
    let (near, mut far) = sockets();
    let (near, _door) = Narrow::new(near, 10_000);
    let (near, log) = start(layered(near), &options(200, 1000));
    // It lives, and does not read. The limit is long: a busy machine must not make it silent.
    let beats = thread::spawn(move || {
        for number in 0.. {
            if far.write_all(&record(PLAIN, number, &heartbeat(200))).is_err() {
                return;
            }
            thread::sleep(ms(50));
        }
    });
    let began = Instant::now();
    for _ in 0..10 {
        near.send(&[7; 3000]).unwrap();
    }
    let (at, down) = log.down();
    let DownReason::WriteStalled { .. } = down.reason else { panic!("{down}") };
    assert!(at - began >= ms(1200), "early by {:?}", ms(1200) - (at - began));
    assert_soon(began + ms(1200), at, "the verdict");
    // 10,000 sealed bytes passed: three messages, of the fourth a part.
    assert_eq!(down.unsent_frames, 7, "{down}");
    assert!((20_000..=21_100).contains(&down.unsent_bytes), "{down}");
    beats.join().unwrap();
}

#[test]
fn parts_of_a_record_are_life_and_silence_counts_from_the_last_of_them() {
    let (link, log, mut far) = against_bytes(&options(200, 100));
    let bytes = record(PLAIN, 0, &frame(DATA, &[7; 60]));
    let (last, rest) = bytes.split_last().unwrap();
    for byte in rest {
        far.write_all(&[*byte]).unwrap();
        thread::sleep(ms(20));
    }
    assert!(link.is_up(), "{} ms of parts", 20 * rest.len());
    let sent = Instant::now();
    far.write_all(&[*last]).unwrap();
    assert_eq!(log.message(), [7; 60]);
    let (at, down) = log.down();
    let DownReason::Silent = down.reason else { panic!("{down}") };
    assert!(at - sent >= ms(300), "early: {:?}", at - sent);
    assert_soon(sent + ms(300), at, "the verdict");
}

#[test]
fn what_is_wrong_with_a_layer_ends_the_link_in_words() {
    for (bytes, words) in [
        (record(9, 0, b"x"), "kind 9"),
        (record(PANIC, 0, b""), "the layer panicked"),
        (record(LIE, 0, b""), "the layer counts bytes that it was not given"),
        // Longer than all that is kept for it.
        ([&[PLAIN, 0xff, 0xff][..], &[0; 70_000]].concat(), "the layer makes nothing of 64 KiB"),
    ] {
        let (link, log, mut far) = against_bytes(&options(60_000, 60_000));
        let _cut = far.write_all(&bytes);
        let (_, down) = log.down();
        let DownReason::Io { .. } = down.reason else { panic!("{down}") };
        assert!(down.to_string().contains(words), "{down} does not say {words}");
        assert!(link.send(b"late").is_err());
    }
}

#[test]
fn an_end_in_order_is_eof_and_one_without_goodbye_is_cut_off() {
    let (_link, log, mut far) = against_bytes(&options(60_000, 60_000));
    far.write_all(&record(GOODBYE, 0, b"")).unwrap();
    assert_eq!(log.down().1.reason.as_str(), "eof");

    let (_link, log, far) = against_bytes(&options(60_000, 60_000));
    far.shutdown(Shutdown::Write).unwrap();
    let (_, down) = log.down();
    assert_eq!(down.reason.as_str(), "io");
    assert!(down.to_string().contains("cut off, without a goodbye"), "{down}");

    // Ours says goodbye behind its BYE.
    let (link, _log, mut far) = against_bytes(&options(0, 60_000));
    link.close();
    let mut bytes = Vec::new();
    far.set_read_timeout(Some(LONG)).unwrap();
    far.read_to_end(&mut bytes).unwrap();
    assert!(bytes.ends_with(&record(GOODBYE, 0, b"")), "{bytes:?}");
    assert_eq!(bytes.iter().filter(|byte| **byte == PLAIN).count(), 1);
}

/// Gives all that has arrived, and the end with it.
struct Last;

impl Layer for Last {
    fn seal(&mut self, _: &[u8], _: &mut Vec<u8>) -> io::Result<usize> {
        Ok(0)
    }

    fn open(&mut self, sealed: &[u8], plain: &mut [u8], _: &mut Vec<u8>) -> io::Result<Opened> {
        plain[..sealed.len()].copy_from_slice(sealed);
        let opened = Opened::new(sealed.len(), sealed.len());
        Ok(if sealed.is_empty() { opened } else { opened.ended() })
    }

    fn close(&mut self, _: &mut Vec<u8>) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn an_end_that_is_given_with_the_last_bytes_is_an_end() {
    let (near, mut far) = sockets();
    far.write_all(b"last").unwrap();
    drop(far);
    let stream = Layered::open(near, Last, Instant::now() + LONG).unwrap();
    let mut buffer = [0; 8];
    assert_eq!(Stream::read(&stream, &mut buffer).unwrap(), 4);
    assert_eq!(Stream::read(&stream, &mut buffer).unwrap(), 0);
}

#[test]
fn answers_of_the_layer_go_out_by_themselves() {
    let (_link, _log, mut far) = against_bytes(&options(0, 60_000));
    far.set_read_timeout(Some(LONG)).unwrap();
    for _ in 0..3 {
        far.write_all(&record(PING, 0, b"")).unwrap();
        let mut answer = [0; 7];
        far.read_exact(&mut answer).unwrap();
        assert_eq!(answer[..], record(PONG, 0, b"pong"));
    }
}

#[test]
fn a_peer_that_has_us_answer_and_does_not_read_is_cut_off_not_remembered() {
    let (near, far) = sockets();
    let (near, _door) = Narrow::new(near, 0);
    let (_link, log) = start(layered(near), &options(0, 60_000));
    let pings = record(PING, 0, b"").repeat(10_000);
    let _cut = (&far).write_all(&pings);
    let (_, down) = log.down();
    assert!(down.to_string().contains("does not read the answers"), "{down}");
}

#[test]
fn bytes_that_the_layer_does_not_take_yet_wait_for_the_other_side() {
    let (near, mut far) = sockets();
    let flag = Arc::new(AtomicBool::new(false));
    let layer = Records { waits_for: Some(Arc::clone(&flag)), ..Records::default() };
    let near = Layered::open(near, layer, Instant::now() + LONG).unwrap();
    let (link, _log) = start(near, &options(0, 60_000));
    link.send(b"first").unwrap();
    far.set_read_timeout(Some(ms(100))).unwrap();
    assert!(far.read(&mut [0]).is_err(), "nothing is taken");
    // No heartbeat: our own, which may go before what waits, would answer it.
    far.write_all(&record(PLAIN, 0, &frame(DATA, b"go on"))).unwrap();
    far.set_read_timeout(Some(LONG)).unwrap();
    let mut answer = vec![0; 13];
    far.read_exact(&mut answer).unwrap();
    assert_eq!(answer, record(PLAIN, 0, &frame(DATA, b"first")));
}

#[test]
fn a_handshake_that_drips_ends_at_its_deadline() {
    let (near, far) = sockets();
    let layer = Records { is_never_ready: true, ..Records::default() };
    let (began, deadline) = (Instant::now(), Instant::now() + ms(300));
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let drips = thread::spawn(move || {
        while !stopped.load(Ordering::SeqCst) {
            let _gone = (&far).write_all(&record(PONG, 0, b""));
            thread::sleep(ms(10));
        }
    });
    let error = Layered::open(near, layer, deadline).map(drop).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    assert!(began.elapsed() >= ms(300));
    stop.store(true, Ordering::SeqCst);
    drips.join().unwrap();

    let (near, far) = sockets();
    drop(far);
    let layer = Records { is_never_ready: true, ..Records::default() };
    let later = Instant::now() + Duration::from_secs(60);
    let error = Layered::open(near, layer, later).map(drop).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
}

#[test]
fn the_other_side_learns_why_a_handshake_failed() {
    let (near, mut far) = sockets();
    far.write_all(&record(ALERT, 0, b"")).unwrap();
    let layer = Records { is_never_ready: true, ..Records::default() };
    let error = Layered::open(near, layer, Instant::now() + LONG).map(drop).unwrap_err();
    assert_eq!(error.to_string(), "an alert");
    let mut said = Vec::new();
    far.set_read_timeout(Some(LONG)).unwrap();
    far.read_to_end(&mut said).unwrap();
    assert_eq!(said, record(GOODBYE, 0, b""));
}

/// Fails to begin, as one with settings that do not fit.
struct Broken;

impl Layer for Broken {
    fn seal(&mut self, _: &[u8], sealed: &mut Vec<u8>) -> io::Result<usize> {
        sealed.extend(b"alert");
        Err(io::Error::other("no settings"))
    }

    fn open(&mut self, _: &[u8], _: &mut [u8], _: &mut Vec<u8>) -> io::Result<Opened> {
        panic!("opens after it failed")
    }

    fn close(&mut self, _: &mut Vec<u8>) -> io::Result<()> {
        Ok(())
    }

    fn is_ready(&self) -> bool {
        panic!("is asked after it failed")
    }
}

#[test]
fn a_layer_that_fails_to_begin_is_asked_nothing_more_and_the_other_side_learns_why() {
    let (near, mut far) = sockets();
    let error = Layered::open(near, Broken, Instant::now() + LONG).map(drop).unwrap_err();
    assert_eq!(error.to_string(), "no settings");
    let mut said = Vec::new();
    far.set_read_timeout(Some(LONG)).unwrap();
    far.read_to_end(&mut said).unwrap();
    assert_eq!(said, b"alert");
}

#[test]
fn a_handler_may_send_and_close_from_inside() {
    let (near, far) = sockets();
    let (handler, near_log) = notes(|link: &Link<_>, seen: &Seen| {
        if let Seen::Message(bytes) = seen {
            link.send(bytes).unwrap();
            link.close();
        }
    });
    let options = options(100, 60_000);
    let _near = Link::start_with(layered(near), Native::default(), &options, handler).unwrap();
    let (far, far_log) = start(layered(far), &options);
    far.send(b"echo").unwrap();
    assert_eq!(far_log.message(), b"echo");
    assert_eq!(far_log.down().1.reason.as_str(), "closed");
    near_log.down();
}
