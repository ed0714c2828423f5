//! SoupBinTCP against a scripted server, a second being 100 ms.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use peerbeat::link::{DownReason, Link, LinkOptions};
use peerbeat::protocol::ByeCode;

use crate::examples::soupbintcp::greeting::Greeted;
use crate::examples::soupbintcp::{Login, Sequence, Soup, login, settings};
use crate::mock::{PATIENCE, Peer, ms, peer, recorder};

const SECOND: Duration = ms(100);

fn log_in(addr: SocketAddr) -> Greeted<(String, u64)> {
    let who = Login { user: "user", password: "secret", session: "", next: 7 };
    login(addr, &who, PATIENCE).unwrap()
}

fn accept(server: &mut Peer) {
    server.expect(b"\0\x2fLuser  secret                                 7");
    server.send(b"\0\x1fA  SESSION1                   7");
}

fn options() -> LinkOptions {
    LinkOptions::default().liveness(settings(SECOND))
}

#[test]
fn messages_are_numbered_from_where_the_login_says() {
    let (addr, server) = peer(|server| {
        accept(server);
        server.send(b"\0\x04Sone\0\x05+note\0\x04Uaha\0\x01H\0\x04Stwo");
        server.expect(b"\0\x05Ubuy!");
        server.send(b"\0\x01Z");
    });
    let Greeted { stream, received, answer: (session, next) } = log_in(addr);
    assert_eq!((session.as_str(), next), ("SESSION1", 7));
    let handled = Arc::new(Mutex::new(Vec::new()));
    let take = {
        let handled = Arc::clone(&handled);
        move |number, message: &[u8]| handled.lock().unwrap().push((number, message.to_vec()))
    };
    let options = options().received(received);
    let link = Link::start_with(stream, Soup, &options, Sequence { next, take }).unwrap();
    link.send(b"buy!").unwrap();
    let down = link.wait_down(PATIENCE).unwrap();
    let text = "end of session".to_owned();
    assert_eq!(down.reason, DownReason::Closed { code: ByeCode::CLOSE, text });
    let message = |number, text: &[u8]| (number, text.to_vec());
    let expected = [message(Some(7), b"one"), message(None, b"aha"), message(Some(8), b"two")];
    assert_eq!(*handled.lock().unwrap(), expected);
    server.join().unwrap();
}

#[test]
fn a_refused_login_says_so() {
    let (addr, server) = peer(|server| {
        server.read_until(|bytes| (bytes.len() == 49).then_some((49, ())));
        server.send(b"\0\x02JA");
    });
    let who = Login { user: "user", password: "wrong", session: "", next: 0 };
    assert_eq!(login(addr, &who, PATIENCE).unwrap_err().to_string(), "login refused: JA");
    server.join().unwrap();
}

#[test]
fn heartbeats_go_out_every_second_and_silence_lasts_fifteen() {
    let (addr, server) = peer(|server| {
        accept(server);
        let asked = server.at;
        let mut last = asked;
        for beat in 1..=20 {
            server.expect(b"\0\x01R");
            assert!(server.at - asked >= beat * SECOND, "beat {beat} early");
            last = Instant::now();
            server.send(b"\0\x01H");
        }
        let rest = server.wait_for_end();
        (last.elapsed(), rest)
    });
    let Greeted { stream, received, .. } = log_in(addr);
    let (recorder, seens) = recorder();
    let _link = Link::start_with(stream, Soup, &options().received(received), recorder).unwrap();
    let down = seens.down();
    assert_eq!((&down.reason, down.limit), (&DownReason::Silent, Some(15 * SECOND)));
    assert!(down.silence >= 15 * SECOND, "{down:?}");
    let (silence, rest) = server.join().unwrap();
    assert!(silence >= 15 * SECOND, "{silence:?}");
    assert_eq!(rest.len() % 3, 0, "whole heartbeats to the end");
}

#[test]
fn an_orderly_close_logs_out() {
    let (addr, server) = peer(|server| {
        accept(server);
        server.wait_for_end()
    });
    let Greeted { stream, received, .. } = log_in(addr);
    let (recorder, seens) = recorder();
    let link = Link::start_with(stream, Soup, &options().received(received), recorder).unwrap();
    link.send(b"x").unwrap();
    assert!(link.send(&[0; 65_535]).is_err(), "too long for a packet");
    link.close();
    assert_eq!(seens.down().unsent_frames, 0);
    assert_eq!(server.join().unwrap(), b"\0\x02Ux\0\x01O");
}
