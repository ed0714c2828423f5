//! STOMP heart-beats against a scripted broker.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Instant;

use peerbeat::link::{DownReason, Link, LinkEvent, LinkOptions};
use peerbeat::liveness::{FixedIntervals, Settings};
use peerbeat::protocol::ByeCode;

use crate::examples::stomp::greeting::Greeted;
use crate::examples::stomp::{Stomp, connect, frame, header, settle};
use crate::mock::{PATIENCE, Peer, Seen, Seens, ms, peer, recorder};

/// Takes a frame, NUL included.
fn take_frame(broker: &mut Peer) -> Vec<u8> {
    broker.read_until(|bytes| {
        let eols = bytes.iter().take_while(|&&byte| byte == b'\n').count();
        let end = bytes.iter().position(|&byte| byte == 0)? + 1;
        Some((end, bytes[eols..end].to_vec()))
    })
}

fn welcome(broker: &mut Peer, heart_beat: &str) -> Vec<u8> {
    let connect = take_frame(broker);
    assert!(connect.starts_with(b"CONNECT\n"), "{}", connect.escape_ascii());
    broker.send(&frame("CONNECTED", &[("version", "1.2"), ("heart-beat", heart_beat)], b""));
    connect
}

fn start(addr: SocketAddr, heart_beat: (u64, u64), slack: u64) -> (Link<TcpStream, Stomp>, Seens) {
    let heart_beat = (ms(heart_beat.0), ms(heart_beat.1));
    let Greeted { stream, received, answer } = connect(addr, heart_beat, PATIENCE).unwrap();
    let liveness = Settings::default().given(Some(answer)).slack(ms(slack));
    let options = LinkOptions::default().liveness(liveness).received(received);
    let (recorder, seens) = recorder();
    (Link::start_with(stream, Stomp, &options, recorder).unwrap(), seens)
}

#[test]
fn heart_beats_are_settled_as_the_specification_says() {
    let settled = |ours: (u64, u64), theirs| {
        let given: Option<FixedIntervals> = settle((ms(ours.0), ms(ours.1)), theirs);
        given.map(|FixedIntervals { send, expect }| (send, expect))
    };
    assert_eq!(settled((1000, 2000), "3000,4000"), Some((Some(ms(3000)), Some(ms(3000)))));
    assert_eq!(settled((1000, 2000), "500,400"), Some((Some(ms(750)), Some(ms(2000)))));
    // Zero: cannot, or does not want to; one end's zero is enough, and only for its direction.
    assert_eq!(settled((1000, 2000), "0,0"), Some((None, None)));
    assert_eq!(settled((0, 2000), "1000,1000"), Some((None, Some(ms(2000)))));
    assert_eq!(settled((1000, 0), "1000,1000"), Some((Some(ms(750)), None)));
    assert_eq!(settled((1000, 2000), "1000,0"), Some((None, Some(ms(2000)))));
    for bad in ["", "1000", "a,b", "-1,5", "1,2,3"] {
        assert_eq!(settled((1, 1), bad), None, "{bad:?}");
    }
}

#[test]
fn an_idle_link_beats_in_time_and_never_early() {
    let (addr, broker) = peer(|broker| {
        let connect = welcome(broker, "400,200");
        assert_eq!(header(&connect, "heart-beat"), Some("200,300"));
        let asked = broker.at;
        // 200 ms were settled and 150 ms are kept to; what comes is an EOL each.
        for _ in 0..5 {
            broker.expect(b"\n");
            broker.send(b"\n");
        }
        assert!(broker.at - asked >= 5 * ms(150), "{:?}", broker.at - asked);
        broker.send(&frame("MESSAGE", &[("message-id", "1")], b"tick"));
        take_frame(broker)
    });
    let (link, seens) = start(addr, (200, 300), 5000);
    assert_eq!(link.heartbeat_time(), Some(ms(150)));
    assert!(seens.message().ends_with(b"\n\ntick\0"));
    link.close();
    assert_eq!(broker.join().unwrap(), b"DISCONNECT\n\n\0");
    assert_eq!(seens.down().reason.as_str(), "local");
}

#[test]
fn a_silent_broker_is_noticed_in_the_time_settled_for_its_direction() {
    let (addr, broker) = peer(|broker| {
        welcome(broker, "100,60000");
        broker.wait_for_end()
    });
    // A second lies between what is late and what is dead: a reader that wakes past both says only
    // the latter.
    let (_link, seens) = start(addr, (60_000, 100), 2000);
    assert!(matches!(seens.next(), Seen::Event(LinkEvent::Late { .. })));
    let down = seens.down();
    assert_eq!((&down.reason, down.limit), (&DownReason::Silent, Some(ms(2100))));
    assert!(down.silence >= ms(2100), "{down:?}");
    assert_eq!(broker.join().unwrap(), b"", "ours are due in 45 s");
}

#[test]
fn an_error_of_the_brokers_is_the_reason_of_the_end() {
    let (addr, broker) = peer(|broker| {
        welcome(broker, "0,0");
        broker.send(b"ERROR\nmessage:no such topic\ncontent-length:4\n\nmore\0\n");
    });
    let (_link, seens) = start(addr, (200, 200), 300);
    let text = "no such topic".to_owned();
    assert_eq!(seens.down().reason, DownReason::Closed { code: ByeCode::PROTOCOL, text });
    broker.join().unwrap();
}

#[test]
fn a_handshake_is_refused_or_given_up_with_the_reason() {
    let (addr, broker) = peer(|broker| {
        take_frame(broker);
        broker.send(b"ERROR\nmessage:Bad CONNECT\n\n\0");
    });
    let refused = connect(addr, (ms(1), ms(1)), PATIENCE).unwrap_err();
    assert_eq!(refused.to_string(), "Bad CONNECT");
    broker.join().unwrap();

    // A byte now and then does not lengthen the deadline.
    let (addr, broker) = peer(|broker| {
        while broker.bytes.len() < 1000 {
            thread::sleep(ms(20));
            if !broker.try_send(b"\n") {
                return;
            }
        }
    });
    let began = Instant::now();
    let slow = connect(addr, (ms(1), ms(1)), ms(200)).unwrap_err();
    assert_eq!(slow.kind(), ErrorKind::TimedOut);
    assert!(began.elapsed() >= ms(200));
    broker.join().unwrap();
}

#[test]
fn the_eols_behind_frames_are_no_flood_of_heart_beats() {
    let (addr, broker) = peer(|broker| {
        welcome(broker, "0,0");
        let message = [frame("MESSAGE", &[], b"tick"), b"\n".to_vec()].concat();
        broker.send(&message.repeat(1000));
        broker.wait_for_end();
    });
    let (link, seens) = start(addr, (0, 0), 300);
    for _ in 0..1000 {
        assert!(matches!(seens.next(), Seen::Message(_)));
    }
    assert!(link.stats().heartbeats_received < 100, "{:?}", link.stats());
    link.end(DownReason::Replaced, None);
    broker.join().unwrap();
}
