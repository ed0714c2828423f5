//! Only the rules, in an event loop of the host: one thread, many sockets.

use std::collections::HashMap;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use peerbeat::link::{Faults, Link, LinkOptions};
use peerbeat::liveness::Settings;
use peerbeat::protocol::Native;

use crate::examples::poll::{Host, PeerEvent, Why};
use crate::mock::{PATIENCE, Seens, ms, recorder};

const PEERS: usize = 48;
const FROZEN: usize = 8;

struct Client {
    link: Link,
    seens: Seens,
    faults: Faults,
    addr: SocketAddr,
}

fn client(host: SocketAddr) -> Client {
    let stream = TcpStream::connect(host).unwrap();
    let addr = stream.local_addr().unwrap();
    let faults = Faults::default();
    // The value comes from the host's heartbeats.
    let liveness = Settings::default().heartbeat_time(None).slack(Duration::from_secs(10));
    let options = LinkOptions::default().liveness(liveness).faults(Some(faults.clone()));
    let (recorder, seens) = recorder();
    let link = Link::start_with(stream, Native::default(), &options, recorder).unwrap();
    Client { link, seens, faults, addr }
}

/// Turns the loop until `done`, and lists what each peer's life brought and when.
fn turn_until(
    host: &mut Host,
    log: &mut Vec<(SocketAddr, PeerEvent, Instant)>,
    done: impl Fn(&[(SocketAddr, PeerEvent, Instant)]) -> bool,
) {
    let until = Instant::now() + PATIENCE;
    while !done(log) {
        assert!(Instant::now() < until, "{log:?}");
        host.turn(ms(20), &mut |addr, event| log.push((addr, event, Instant::now()))).unwrap();
    }
}

fn count(log: &[(SocketAddr, PeerEvent, Instant)], wanted: fn(&PeerEvent) -> bool) -> usize {
    log.iter().filter(|(_, event, _)| wanted(event)).count()
}

#[test]
fn one_thread_keeps_many_peers_and_finds_the_silent_ones() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let settings = Settings::default().heartbeat_time(Some(ms(200))).slack(ms(1000));
    let mut host = Host::new(listener, settings).unwrap();
    let clients: Vec<Client> = (0..PEERS).map(|_| client(addr)).collect();
    let mut log = Vec::new();
    turn_until(&mut host, &mut log, |log| count(log, |event| *event == PeerEvent::Up) == PEERS);

    // Everyone is answered.
    for (number, client) in clients.iter().enumerate() {
        client.link.send(format!("tick {number}").as_bytes()).unwrap();
    }
    turn_until(&mut host, &mut log, |log| {
        count(log, |event| matches!(event, PeerEvent::Message(_))) == PEERS
    });
    for (number, client) in clients.iter().enumerate() {
        assert_eq!(client.seens.message(), format!("tick {number}").as_bytes());
    }

    // Idle for ten heartbeat times: no peer is given up, and the loop sleeps.
    let (began, wakeups) = (Instant::now(), host.wakeups);
    turn_until(&mut host, &mut log, |_| began.elapsed() >= ms(2000));
    assert_eq!(count(&log, |event| matches!(event, PeerEvent::Down(_))), 0);
    // A heartbeat each way an interval, two wakeups for a deadline, and the 20 ms of this test.
    let allowed = 4 * PEERS as u64 * (2000 / 200 + 1) + 2000 / 20;
    assert!(host.wakeups - wakeups <= allowed, "{} > {allowed}", host.wakeups - wakeups);

    for client in &clients[..FROZEN] {
        client.faults.hold_heartbeats(true);
    }
    let down = |event: &PeerEvent| matches!(event, PeerEvent::Down(_));
    turn_until(&mut host, &mut log, |log| count(log, down) == FROZEN);
    turn_until(&mut host, &mut log, |log| log.last().unwrap().2.elapsed() >= ms(1000));
    let downs: HashMap<_, _> = log
        .iter()
        .filter_map(|(addr, event, _)| match event {
            PeerEvent::Down(why) => Some((*addr, why)),
            _ => None,
        })
        .collect();
    assert_eq!(downs.len(), FROZEN, "the others live on");
    for client in &clients[..FROZEN] {
        let Why::Silent { silence, limit } = downs[&client.addr] else { panic!("{downs:?}") };
        assert_eq!(*limit, ms(1200));
        assert!(silence >= limit, "never early: {silence:?}");
        assert_eq!(client.seens.down().reason.as_str(), "eof");
    }

    // An orderly close is not a silence.
    clients[FROZEN].link.close();
    turn_until(&mut host, &mut log, |log| count(log, down) == FROZEN + 1);
    let (_, event, _) = log.iter().rfind(|(_, event, _)| down(event)).unwrap();
    assert_eq!(*event, PeerEvent::Down(Why::Ended("orderly close".to_owned())));
}

#[test]
fn a_loop_that_was_held_up_does_not_blame_its_peers() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let settings = Settings::default().heartbeat_time(Some(ms(100))).slack(ms(300));
    let mut host = Host::new(listener, settings).unwrap();
    let client = client(addr);
    let mut log = Vec::new();
    turn_until(&mut host, &mut log, |log| count(log, |event| *event == PeerEvent::Up) == 1);
    turn_until(&mut host, &mut log, |_| client.link.heartbeat_time() == Some(ms(100)));
    // The host does something else for much longer than the limit; its peer beats on.
    thread::sleep(ms(1500));
    let began = Instant::now();
    turn_until(&mut host, &mut log, |_| began.elapsed() >= ms(600));
    assert_eq!(count(&log, |event| matches!(event, PeerEvent::Down(_))), 0, "{log:?}");
    assert!(client.link.is_up());
}
