//! Links over TLS under every fault that links over plain TCP survive.

#[path = "../../common/accept.rs"]
mod accept;

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use accept::accept;
use peerbeat::cable::{Cable, Way};
use peerbeat::link::{Down, DownReason, Inbox, Link, Role, Stream, open};
use peerbeat_tls::{Authority, LONG, Tls, TlsStream, client_end, ends, options, server_end};
use rustls::{Connection, ServerConnection};

type TlsLink = (Link<TlsStream>, Inbox);

fn direct(addr: std::net::SocketAddr) -> (std::net::SocketAddr, ()) {
    (addr, ())
}

fn cable(addr: std::net::SocketAddr) -> (std::net::SocketAddr, Cable) {
    let cable = Cable::between(addr).expect("a cable");
    (cable.addr(), cable)
}

fn link(stream: &TlsStream, heartbeat_ms: u64, slack_ms: u64) -> TlsLink {
    let options = options(heartbeat_ms, slack_ms);
    open(stream.clone(), Role::NoHandshake, &options).expect("a link")
}

fn down(link: &Link<TlsStream>) -> Down {
    link.wait_down(LONG).expect("it ends")
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[test]
fn messages_of_all_lengths_arrive_both_ways_while_keys_are_renewed() {
    let authority = Authority::new();
    let (near, far, ()) = ends(&authority, direct);
    let (near_link, far_link) = (link(&near, 100, 60_000), link(&far, 100, 60_000));
    let lengths = [0, 1, 16_383, 16_384, 16_385, 262_144];
    let done = AtomicBool::new(false);
    let renewed = thread::scope(|scope| {
        let renews = scope.spawn(|| {
            let mut count = 0;
            while !done.load(Ordering::SeqCst) {
                for stream in [&near, &far] {
                    stream.with_layer(|tls| tls.0.refresh_traffic_keys()).expect("TLS 1.3");
                }
                count += 1;
                thread::sleep(ms(10));
            }
            count
        });
        let pairs = [(&near_link, &far_link), (&far_link, &near_link)];
        let sending: Vec<_> = pairs
            .into_iter()
            .map(|((from, _), (_, to))| {
                scope.spawn(move || {
                    for length in lengths.iter().cycle().take(600) {
                        from.send(&vec![7; *length]).expect("room");
                    }
                });
                scope.spawn(move || {
                    for length in lengths.iter().cycle().take(600) {
                        let message = to.recv(Some(LONG)).expect("a message");
                        assert!(*message == vec![7; *length]);
                    }
                })
            })
            .collect();
        let results: Vec<_> = sending.into_iter().map(|thread| thread.join()).collect();
        done.store(true, Ordering::SeqCst);
        results.into_iter().for_each(|result| result.expect("all arrived"));
        renews.join().expect("no panic")
    });
    assert!(renewed > 3, "{renewed}");
    assert!(near_link.0.is_up() && far_link.0.is_up());
}

#[test]
fn healthy_links_with_short_limits_stay_up_idle_and_busy() {
    let authority = Authority::new();
    let (near, far, ()) = ends(&authority, direct);
    let (near, far) = (link(&near, 50, 1000), link(&far, 50, 1000));
    let until = Instant::now() + ms(1500);
    while Instant::now() < until {
        near.0.send(&[1; 300]).expect("room");
        far.1.recv(Some(LONG)).expect("a message");
    }
    thread::sleep(ms(1500));
    assert!(near.0.is_up() && far.0.is_up());
    assert!(near.0.stats().heartbeats_sent >= 5 && far.0.stats().heartbeats_sent >= 5);
}

#[test]
fn a_pulled_cable_is_silent_and_never_early() {
    let authority = Authority::new();
    for _ in 0..3 {
        let (near, far, cable) = ends(&authority, cable);
        let (near, _far) = (link(&near, 100, 200), link(&far, 100, 60_000));
        thread::sleep(ms(150));
        let last = Instant::now();
        cable.pull();
        let down = down(&near.0);
        // The last byte came at most one heartbeat before the pull.
        assert!(last.elapsed() >= ms(200), "early: {:?}", last.elapsed());
        assert_eq!(down.reason, DownReason::Silent, "{down}");
        assert!(down.silence >= ms(300), "early: {down}");
        assert!(down.silence < ms(1500), "late: {down}");
    }
}

#[test]
fn a_peer_that_stops_reading_is_write_stalled() {
    let authority = Authority::new();
    let (near, far, cable) = ends(&authority, cable);
    let (near, _far) = (link(&near, 100, 300), link(&far, 100, 60_000));
    cable.freeze(Way::Out);
    let began = Instant::now();
    let message = vec![7; 262_144];
    while near.0.send(&message).is_ok() {}
    let down = down(&near.0);
    let DownReason::WriteStalled { .. } = down.reason else { panic!("{down}") };
    assert!(began.elapsed() >= ms(400), "{:?}", began.elapsed());
    assert!(down.unsent_frames > 0 && down.unsent_bytes > 0, "{down}");
}

#[test]
fn a_slow_line_is_no_silence_even_inside_a_record() {
    let authority = Authority::new();
    let (near, far, cable) = ends(&authority, cable);
    // A whole record takes twice the limit.
    cable.rate(16 << 10);
    let (near, far) = (link(&near, 100, 400), link(&far, 100, 400));
    near.0.send(&[7; 40_000]).expect("room");
    let message = far.1.recv(Some(LONG)).expect("a message");
    assert_eq!(message.len(), 40_000);
    assert!(near.0.is_up() && far.0.is_up());
}

#[test]
fn a_line_that_is_frozen_for_a_moment_or_sliced_loses_nothing() {
    let authority = Authority::new();
    let (near, far, cable) = ends(&authority, cable);
    let (near, far) = (link(&near, 100, 60_000), link(&far, 100, 60_000));
    cable.slice(7);
    for number in 0..50_u8 {
        near.0.send(&[number; 1000]).expect("room");
        if number == 20 {
            cable.freeze(Way::Out);
            thread::sleep(ms(300));
            cable.plug();
        }
    }
    for number in 0..50 {
        assert_eq!(*far.1.recv(Some(LONG)).expect("a message"), [number; 1000]);
    }
}

#[test]
fn a_close_under_load_delivers_what_was_accepted_and_says_goodbye() {
    let authority = Authority::new();
    for _ in 0..5 {
        let (near, far, ()) = ends(&authority, direct);
        let (near, far) = (link(&near, 100, 60_000), link(&far, 100, 60_000));
        let mut sent = 0;
        for _ in 0..500 {
            near.0.send(&[7; 5000]).expect("room");
            sent += 1;
        }
        near.0.close();
        let mut received = 0;
        while far.1.recv(Some(LONG)).is_ok() {
            received += 1;
        }
        assert_eq!(received, sent);
        assert_eq!(down(&far.0).reason.as_str(), "closed");
        let down = down(&near.0);
        assert_eq!((down.reason.as_str(), down.unsent_frames), ("local", 0), "{down}");
    }
}

#[test]
fn a_drain_sees_the_end_of_the_other_side() {
    let authority = Authority::new();
    for _ in 0..20 {
        let (near, far, ()) = ends(&authority, direct);
        let (near, far) = (link(&near, 100, 60_000), link(&far, 100, 60_000));
        near.0.send(&[7; 50_000]).expect("room");
        let is_whole = near.0.drain(LONG);
        assert!(is_whole, "{} / {}", down(&near.0), down(&far.0));
    }
}

#[test]
fn a_cut_line_is_io_and_a_reset_too() {
    let authority = Authority::new();
    for cuts in [true, false] {
        let (near, far, cable) = ends(&authority, cable);
        let (near, _far) = (link(&near, 50, 60_000), link(&far, 50, 60_000));
        match cuts {
            true => cable.cut(),
            false => cable.reset(),
        }
        let down = down(&near.0);
        assert_eq!(down.reason.as_str(), "io", "{down}");
        if cuts {
            assert!(down.to_string().contains("cut off, without a goodbye"), "{down}");
        }
    }
}

/// A link over TLS, and the socket of the other end, whose handshake is done.
fn against_bytes(authority: &Authority) -> (TlsLink, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let addr = listener.local_addr().expect("an address");
    thread::scope(|scope| {
        let far = scope.spawn(|| {
            let mut socket = accept(&listener);
            let tls = ServerConnection::new(authority.server("server")).expect("a server");
            let mut tls = Connection::from(tls);
            tls.complete_io(&mut socket).expect("a handshake");
            socket
        });
        let near = client_end(authority, TcpStream::connect(addr).expect("it listens"));
        (link(&near, 60_000, 60_000), far.join().expect("no panic"))
    })
}

#[test]
fn records_of_garbage_end_the_link_in_words() {
    let authority = Authority::new();
    let oversized = [&[23, 3, 3, 0xff, 0xff][..], &[7; 70_000]].concat();
    let forged = [&[23, 3, 3, 0, 100][..], &[7; 100]].concat();
    for bytes in [b"GET / HTTP/1.1\r\n\r\n".repeat(10), oversized, forged, vec![0; 100]] {
        let ((link, _inbox), mut far) = against_bytes(&authority);
        let _cut = far.write_all(&bytes);
        let down = down(&link);
        assert_eq!(down.reason.as_str(), "io", "{down}");
        assert!(link.send(b"late").is_err());
    }
}

#[test]
fn a_record_that_never_ends_is_life_while_it_drips_and_silent_when_it_stops() {
    let authority = Authority::new();
    let ((link, _inbox), far) = against_bytes(&authority);
    drop(link);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let addr = listener.local_addr().expect("an address");
    let (near, mut far_2) = thread::scope(|scope| {
        let far = scope.spawn(|| {
            let socket = accept(&listener);
            let end = server_end(&authority, socket.try_clone().expect("a handle"));
            (end, socket)
        });
        let near = client_end(&authority, TcpStream::connect(addr).expect("it listens"));
        let (end, socket) = far.join().expect("no panic");
        // The end must not say goodbye.
        std::mem::forget(end);
        (near, socket)
    });
    let (near, _inbox) = link_with_limit(&near);
    far_2.write_all(&[23, 3, 3, 0x40, 0]).expect("it reads");
    for _ in 0..60 {
        far_2.write_all(&[7]).expect("it reads");
        thread::sleep(ms(20));
    }
    assert!(near.is_up());
    let down = near.wait_down(LONG).expect("it ends");
    assert_eq!(down.reason, DownReason::Silent, "{down}");
    let _unused = far.write(b"x");
}

fn link_with_limit(stream: &TlsStream) -> TlsLink {
    link(stream, 200, 200)
}

#[test]
fn a_peer_that_renews_keys_without_end_and_does_not_read_does_not_fill_the_memory() {
    let authority = Authority::new();
    let (near, far, ()) = ends(&authority, direct);
    let (near, _inbox) = link(&near, 60_000, 60_000);
    // The far end has no link: no one reads.
    let layer = |tls: &mut Tls| tls.0.refresh_traffic_keys();
    for _ in 0..2000 {
        far.with_layer(layer).expect("TLS 1.3");
        if far.write_at_once(b"").is_err() {
            break;
        }
    }
    // It answered or it ended; either way it can still be asked.
    let _state = near.state();
    near.close();
    near.wait_down(LONG).expect("it ends");
}
