//! Packets that vanish, with no FIN and no reset: both ways, and one way.

use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use peerbeat::link::{DownReason, Link};
use peerbeat::protocol::Native;

use crate::mock::{Mock, tcp_pair};
use crate::network::{carry_to, drop_to, own_network};
use crate::rig::{Log, assert_soon, ms, notes, options, wait_for};

/// A link on a stream, and its port.
fn link(stream: TcpStream, heartbeat_ms: u64, slack_ms: u64) -> (Link, Log, u16) {
    let port = stream.local_addr().unwrap().port();
    let (notes, log) = notes(|_, _| {});
    let options = options(heartbeat_ms, slack_ms);
    (Link::start_with(stream, Native::default(), &options, notes).unwrap(), log, port)
}

/// Asserts a death by silence that was not early, and soon after the drop.
fn assert_silent(log: &Log, limit: Duration, dropped: Instant) {
    let (at, down) = log.down();
    assert_eq!(down.reason, DownReason::Silent, "{down:?}");
    assert!(down.silence >= limit, "{down:?}");
    assert_soon(dropped + limit, at, "the verdict");
}

#[test]
fn packets_dropped_both_ways_are_noticed_at_both_ends() {
    // lessons 30, 52
    if !own_network("drops::packets_dropped_both_ways_are_noticed_at_both_ends") {
        return;
    }
    let (one, two) = tcp_pair();
    let (_dialler, dialler_log, dialler_port) = link(one, 100, 300);
    let (_acceptor, acceptor_log, acceptor_port) = link(two, 100, 300);
    thread::sleep(ms(300));
    drop_to(dialler_port);
    drop_to(acceptor_port);
    let dropped = Instant::now();
    assert_silent(&dialler_log, ms(400), dropped);
    assert_silent(&acceptor_log, ms(400), dropped);
}

#[test]
fn packets_dropped_towards_us_are_noticed_though_ours_arrive() {
    if !own_network("drops::packets_dropped_towards_us_are_noticed_though_ours_arrive") {
        return;
    }
    let (ours, mut mock) = Mock::pair();
    let (_link, log, port) = link(ours, 100, 300);
    let _beating = mock.beat(100, ms(30));
    thread::sleep(ms(300));
    drop_to(port);
    assert_silent(&log, ms(400), Instant::now());
    // Our own heartbeats went on to the end.
    let frames = mock.listen(ms(50));
    assert!(frames.len() >= 4, "{} frames", frames.len());
}

#[test]
fn packets_dropped_from_us_are_noticed_by_the_peer_and_end_ours_too() {
    if !own_network("drops::packets_dropped_from_us_are_noticed_by_the_peer_and_end_ours_too") {
        return;
    }
    let (one, two) = tcp_pair();
    let (_ours, ours_log, _) = link(one, 100, 300);
    let (_theirs, theirs_log, theirs_port) = link(two, 100, 300);
    thread::sleep(ms(300));
    drop_to(theirs_port);
    let dropped = Instant::now();
    assert_silent(&theirs_log, ms(400), dropped);
    // What the peer sends still arrives, its end included, unless a retransmission holds it up.
    let (at, down) = ours_log.down();
    let word = down.reason.as_str();
    assert!(word == "eof" || word == "silent", "{down}");
    assert_soon(dropped + ms(800), at, "our end");
}

#[test]
fn a_publisher_into_a_black_hole_learns_it_at_the_limit() {
    // lesson 29
    if !own_network("drops::a_publisher_into_a_black_hole_learns_it_at_the_limit") {
        return;
    }
    let (one, two) = tcp_pair();
    let (publisher, log, port) = link(one, 100, 300);
    let (_subscriber, _, subscriber_port) = link(two, 100, 300);
    let sends = thread::spawn(move || {
        while publisher.send(&[0; 500]).is_ok() {
            thread::sleep(ms(1));
        }
    });
    thread::sleep(ms(300));
    drop_to(port);
    drop_to(subscriber_port);
    assert_silent(&log, ms(400), Instant::now());
    sends.join().unwrap();
}

#[test]
fn a_short_loss_kills_no_link() {
    if !own_network("drops::a_short_loss_kills_no_link") {
        return;
    }
    let (one, two) = tcp_pair();
    // The kernel sends again after 0.2, 0.6, 1.4 and 3 s, on a busy machine later: nothing that may
    // come in that time is worth a warning, so the slack is far more than what is lost, and what is
    // held back in it is less than ten heartbeats, which would be a flood.
    let (dialler, dialler_log, dialler_port) = link(one, 400, 20_000);
    let (acceptor, acceptor_log, acceptor_port) = link(two, 400, 20_000);
    thread::sleep(ms(200));
    drop_to(dialler_port);
    drop_to(acceptor_port);
    thread::sleep(ms(700));
    carry_to(dialler_port);
    carry_to(acceptor_port);
    for link in [&dialler, &acceptor] {
        let before = link.stats().heartbeats_received;
        let is_back = || link.stats().heartbeats_received > before + 2;
        wait_for("the retransmission", is_back);
        assert!(link.is_up());
    }
    assert_eq!((dialler_log.events(), acceptor_log.events()), (vec![], vec![]));
}

#[test]
fn a_connection_that_the_kernel_gives_up_is_io() {
    // Without a limit the kernel is what notices, and it reports that with a kind of error that
    // elsewhere means only that the time was up.
    if !own_network("drops::a_connection_that_the_kernel_gives_up_is_io") {
        return;
    }
    std::fs::write("/proc/sys/net/ipv4/tcp_retries2", "1").unwrap();
    let (ours, mock) = Mock::pair();
    let (link, log, port) = link(ours, 0, 300);
    drop_to(port);
    drop_to(mock.stream.local_addr().unwrap().port());
    link.send(b"into the void").unwrap();
    let down = log.down().1;
    assert_eq!(down.reason.as_str(), "io", "{down}");
    assert!(down.to_string().contains("timed out"), "{down}");
}
