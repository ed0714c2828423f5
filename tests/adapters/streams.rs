//! Links over streams that are not TCP. The documentation of `Stream` shows how a host writes one.

use std::os::unix::net::UnixStream;

use peerbeat::link::{DownReason, Faults, Link, LinkEvent, LinkOptions};
use peerbeat::liveness::Settings;
use peerbeat::protocol::{ByeCode, Native};

use crate::mock::{Seen, Seens, ms, recorder};

fn start(
    stream: UnixStream,
    heartbeat_time: Option<u64>,
    faults: &Faults,
) -> (Link<UnixStream>, Seens) {
    let heartbeat_time = heartbeat_time.map(ms);
    let liveness = Settings::default().heartbeat_time(heartbeat_time).slack(ms(2000));
    let options = LinkOptions::default().liveness(liveness).faults(Some(faults.clone()));
    let (recorder, seens) = recorder();
    (Link::start_with(stream, Native::default(), &options, recorder).unwrap(), seens)
}

#[test]
fn a_unix_socket_carries_messages_and_a_negotiated_value() {
    let (here, there) = UnixStream::pair().unwrap();
    let none = Faults::default();
    let (here, _) = start(here, Some(10_000), &none);
    let (there, seens) = start(there, None, &none);
    assert!(
        matches!(seens.next(), Seen::Event(LinkEvent::HeartbeatTime { to, .. }) if to == ms(10_000))
    );
    let large: Vec<u8> = (0..3_000_000_u32).map(|n| n as u8).collect();
    here.send(&large).unwrap();
    here.send(b"tick").unwrap();
    assert!(seens.message() == large);
    assert_eq!(seens.message(), b"tick");
    assert_eq!(there.heartbeat_time(), Some(ms(10_000)));
    here.close();
    assert_eq!(
        seens.down().reason,
        DownReason::Closed { code: ByeCode::CLOSE, text: String::new() }
    );
}

#[test]
fn a_silent_unix_peer_is_noticed_without_peeking_and_never_early() {
    let (here, there) = UnixStream::pair().unwrap();
    let (_here, seens) = start(here, Some(100), &Faults::default());
    let faults = Faults::default();
    let (_there, _) = start(there, None, &faults);
    assert!(seens.0.recv_timeout(ms(500)).is_err(), "all is well");
    faults.hold_heartbeats(true);
    let down = seens.down();
    assert_eq!(down.reason, DownReason::Silent);
    assert!(down.silence >= ms(2100), "{down:?}");
}

#[test]
fn a_unix_peer_that_dies_is_an_eof() {
    let (here, there) = UnixStream::pair().unwrap();
    let (link, seens) = start(here, Some(100), &Faults::default());
    drop(there);
    assert!(matches!(seens.down().reason, DownReason::Eof | DownReason::Io { .. }));
    assert!(link.send(b"tick").is_err());
}
