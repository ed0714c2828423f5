//! A FIX session against a scripted acceptor.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use peerbeat::link::{DownReason, Link, LinkEvent, LinkHandler, LinkOptions};
use peerbeat::liveness::{Mode, Settings};
use peerbeat::protocol::{Bye, ByeCode, Framing, Heartbeat};

use crate::examples::fix::greeting::Greeted;
use crate::examples::fix::{Fix, FixLink, Session, field, logon, settings};
use crate::mock::{PATIENCE, Peer, Recorder, Seen, Seens, ms, peer, recorder};

/// The acceptor's side: its numbers, and the number of the next message that it wants.
struct Acceptor {
    fix: Fix,
    wanted: u64,
}

impl Acceptor {
    fn new() -> Self {
        Self { fix: Fix::new("THEM", "US"), wanted: 1 }
    }

    /// Takes the next message and checks its number.
    fn take(&mut self, peer: &mut Peer) -> Vec<u8> {
        let message = peer.read_until(|bytes| {
            let end = bytes.windows(4).position(|window| window == b"\x0110=")? + 8;
            (bytes.len() >= end).then(|| (end, bytes[..end].to_vec()))
        });
        assert_eq!(field(&message, "34"), Some(self.wanted.to_string().as_str()));
        self.wanted += 1;
        message
    }

    fn take_kind(&mut self, peer: &mut Peer, kind: &str) -> Vec<u8> {
        let message = self.take(peer);
        assert_eq!(field(&message, "35"), Some(kind), "{}", message.escape_ascii());
        message
    }

    /// Takes the next message that is no heartbeat of the sender's own; `beat` is called with the
    /// time of each of these.
    fn take_past_heartbeats(
        &mut self,
        peer: &mut Peer,
        kind: &str,
        mut beat: impl FnMut(Instant),
    ) -> Vec<u8> {
        loop {
            let message = self.take(peer);
            if (field(&message, "35"), field(&message, "112")) == (Some("0"), None) {
                beat(peer.at);
                continue;
            }
            assert_eq!(field(&message, "35"), Some(kind), "{}", message.escape_ascii());
            return message;
        }
    }

    fn send(&self, peer: &mut Peer, message: &str) {
        let mut bytes = Vec::new();
        self.fix.encode_data(message.replace('|', "\x01").as_bytes(), &mut bytes).unwrap();
        peer.send(&bytes);
    }

    fn accept(peer: &mut Peer) -> Self {
        let mut this = Self::new();
        let logon = this.take_kind(peer, "A");
        assert_eq!((field(&logon, "108"), field(&logon, "141")), (Some("30"), Some("Y")));
        assert_eq!((field(&logon, "49"), field(&logon, "56")), (Some("US"), Some("THEM")));
        assert_eq!(field(&logon, "52").map(str::len), Some("20240229-23:59:59".len()));
        this.send(peer, "35=A|98=0|108=30|141=Y|");
        this
    }
}

/// The session of the example, with a record of what it is given.
struct Recorded(Session<fn(&FixLink, &[u8])>, Recorder);

impl LinkHandler<TcpStream, Arc<Fix>> for Recorded {
    fn on_message(&mut self, link: &FixLink, body: &[u8]) {
        self.0.on_message(link, body);
        self.1.on_message(link, body);
    }
    fn on_event(&mut self, link: &FixLink, event: &LinkEvent) {
        self.0.on_event(link, event);
        self.1.on_event(link, event);
    }
}

fn start(addr: SocketAddr, liveness: Settings) -> (FixLink, Seens) {
    start_with(addr, &LinkOptions::default().liveness(liveness))
}

fn start_with(addr: SocketAddr, options: &LinkOptions) -> (FixLink, Seens) {
    let fix = Arc::new(Fix::new("US", "THEM"));
    let Greeted { stream, received, answer } = logon(&addr.to_string(), &fix, 30).unwrap();
    assert_eq!(answer, 30);
    let (recorder, seens) = recorder();
    let handler = Recorded(Session(|_, _| {}), recorder);
    let options = options.clone().received(received);
    (Link::start_with(stream, fix, &options, handler).unwrap(), seens)
}

#[test]
fn a_test_request_is_answered_and_heartbeats_are_numbered_with_the_rest() {
    let (addr, acceptor) = peer(|peer| {
        let mut this = Acceptor::accept(peer);
        // The logon came before its answer, and the link begins with that.
        let began = peer.at;
        this.send(peer, "35=1|112=who is there|");
        let mut beats = 0;
        let mut count = |at| {
            beats += 1;
            assert!(at - began >= beats * ms(100), "never early: {beats} in {:?}", at - began);
        };
        let answer = this.take_past_heartbeats(peer, "0", &mut count);
        assert_eq!(field(&answer, "112"), Some("who is there"));
        this.take_past_heartbeats(peer, "D", &mut count);
        assert!(beats >= 3, "{beats} heartbeats");
        this.send(peer, "35=8|11=1|");
        this.take_past_heartbeats(peer, "5", |_| {});
    });
    let (link, seens) = start(addr, settings(ms(100)).slack(PATIENCE));
    assert_eq!(field(&seens.message(), "35"), Some("1"));
    // The order goes out somewhere between heartbeats, and has the number of its place.
    thread::sleep(ms(350));
    while link.stats().heartbeats_sent < 3 {
        assert!(link.is_up(), "{:?}", link.down());
        thread::sleep(ms(1));
    }
    let Err(error) = link.send(b"34=1\x01") else { panic!("no message type") };
    assert!(error.to_string().contains("35="));
    link.send(b"35=D\x0111=1\x01").unwrap();
    let report = seens.message();
    assert_eq!((field(&report, "35"), field(&report, "11")), (Some("8"), Some("1")));
    link.close();
    acceptor.join().unwrap();
}

/// Heartbeats fall due all the time while threads send and the other side reads in jerks: a
/// heartbeat that overtook a message already numbered would show as a gap.
#[test]
fn no_heartbeat_overtakes_a_message_that_was_numbered_before_it() {
    const MESSAGES: usize = 3000;
    let (addr, acceptor) = peer(|peer| {
        let mut this = Acceptor::accept(peer);
        let (mut orders, mut beats) = (0, 0);
        while orders < 4 * MESSAGES {
            if (orders + beats) % 500 == 0 {
                thread::sleep(ms(30));
            }
            match field(&this.take(peer), "35") {
                Some("D") => orders += 1,
                _ => beats += 1,
            }
        }
        beats
    });
    let liveness = settings(ms(2)).mode(Mode::Always).slack(6 * PATIENCE);
    let options = LinkOptions::default().liveness(liveness).queue_bytes(64 << 10);
    let (link, _seens) = start_with(addr, &options);
    let order = [b"35=D\x0158=".to_vec(), vec![b'x'; 2000], b"\x01".to_vec()].concat();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..MESSAGES).for_each(|_| link.send(&order).unwrap()));
        }
    });
    let beats = acceptor.join().unwrap();
    assert!(beats > 10, "{beats} heartbeats in between, {:?}", link.stats());
    link.close();
}

#[test]
fn a_late_side_is_asked_and_its_answer_saves_it() {
    let (addr, acceptor) = peer(|peer| {
        let mut this = Acceptor::accept(peer);
        let silent = peer.at;
        let asked = loop {
            let message = this.take(peer);
            if field(&message, "35") == Some("1") {
                break message;
            }
        };
        assert!(peer.at - silent >= ms(300) + PATIENCE / 20, "not before half of the slack");
        let mut heartbeat = Vec::new();
        assert!(field(&asked, "112").is_some());
        this.fix.encode_heartbeat(&Heartbeat::default(), &mut heartbeat);
        peer.send(&heartbeat);
        let mut bye = Vec::new();
        this.fix.encode_bye(&Bye { code: ByeCode::CLOSE, text: "" }, &mut bye);
        peer.send(&bye);
    });
    let (_link, seens) = start(addr, settings(ms(300)).slack(PATIENCE / 10));
    assert!(matches!(seens.next(), Seen::Event(LinkEvent::Late { .. })));
    assert!(matches!(seens.next(), Seen::Event(LinkEvent::Recovered { .. })));
    let text = "orderly close".to_owned();
    assert_eq!(seens.down().reason, DownReason::Closed { code: ByeCode::CLOSE, text });
    acceptor.join().unwrap();
}

#[test]
fn a_side_that_does_not_answer_is_given_up() {
    let (addr, acceptor) = peer(|peer| {
        let mut this = Acceptor::accept(peer);
        while field(&this.take(peer), "35") != Some("1") {}
        peer.wait_for_end();
    });
    // A second lies between what is late and what is dead: a reader that wakes past both sends no
    // TestRequest.
    let (_link, seens) = start(addr, settings(ms(300)).slack(ms(2000)));
    let down = seens.down();
    assert_eq!(down.reason, DownReason::Silent);
    assert!(down.silence >= ms(2300) && down.limit == Some(ms(2300)), "{down:?}");
    acceptor.join().unwrap();
}

#[test]
fn a_gap_ends_the_link_with_a_logout() {
    let (addr, acceptor) = peer(|peer| {
        let mut this = Acceptor::accept(peer);
        this.fix.encode_heartbeat(&Heartbeat::default(), &mut Vec::new());
        this.send(peer, "35=8|11=1|");
        field(&this.take_kind(peer, "5"), "58").map(str::to_owned)
    });
    let (_link, seens) = start(addr, settings(Duration::from_secs(30)));
    let DownReason::Protocol(error) = seens.down().reason else { panic!("protocol") };
    assert_eq!(error.to_string(), "MsgSeqNum 3 (allowed: 2)");
    assert_eq!(acceptor.join().unwrap().as_deref(), Some("protocol error"));
}

#[test]
fn a_request_to_resend_ends_the_link_in_words() {
    let (addr, acceptor) = peer(|peer| {
        let mut this = Acceptor::accept(peer);
        this.send(peer, "35=2|7=1|16=0|");
        this.take_kind(peer, "5");
    });
    let (_link, seens) = start(addr, settings(Duration::from_secs(30)));
    let detail = "it wants messages again".to_owned();
    assert_eq!(seens.down().reason, DownReason::Local { detail });
    acceptor.join().unwrap();
}
