//! The fault points: what each does to the link that has it, and to the link at its other end.

use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Instant;

use peerbeat::link::{Down, DownReason, Faults, Link, LinkOptions, SendError};
use peerbeat::liveness::Settings;
use peerbeat::protocol::Native;

use crate::accept::accept;
use crate::mock::{PATIENCE, Seens, ms, recorder};

struct Pair {
    broken: (Link, Seens),
    whole: (Link, Seens),
    faults: Faults,
}

/// Two links with a heartbeat-time of 100 ms and a slack each, the first of them with faults.
fn pair(slack_of_broken: u64, slack_of_whole: u64) -> Pair {
    pair_with(100, slack_of_broken, slack_of_whole)
}

fn pair_with(heartbeat_ms: u64, slack_of_broken: u64, slack_of_whole: u64) -> Pair {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let here = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let there = accept(&listener);
    let faults = Faults::default();
    let start = |stream, slack, faults| {
        let heartbeat_time = Some(ms(heartbeat_ms));
        let liveness = Settings::default().heartbeat_time(heartbeat_time).slack(ms(slack));
        let send_timeout = ms(100);
        let queue_bytes = 1 << 20;
        let options = LinkOptions::default()
            .liveness(liveness)
            .queue_bytes(queue_bytes)
            .send_timeout(send_timeout)
            .faults(faults);
        let (recorder, seens) = recorder();
        (Link::start_with(stream, Native::default(), &options, recorder).unwrap(), seens)
    };
    let broken = start(here, slack_of_broken, Some(faults.clone()));
    Pair { broken, whole: start(there, slack_of_whole, None), faults }
}

fn is_silent(down: &Down) -> bool {
    down.reason == DownReason::Silent && down.silence >= down.limit.unwrap()
}

#[test]
fn held_heartbeats_are_a_silence_that_data_breaks() {
    let Pair { broken, whole, faults } = pair(400, 400);
    faults.hold_heartbeats(true);
    for _ in 0..8 {
        broken.0.send(b"tick").unwrap();
        thread::sleep(ms(100));
    }
    assert!(whole.0.is_up(), "data is life as well");
    let held = broken.0.stats().heartbeats_sent;
    let down = whole.1.down();
    assert!(is_silent(&down), "{down:?}");
    assert_eq!(broken.0.stats().heartbeats_sent, held);
}

#[test]
fn a_fault_that_is_taken_back_in_time_leaves_no_trace() {
    let Pair { broken, whole, faults } = pair(2000, 2000);
    for _ in 0..2 {
        faults.hold_heartbeats(true);
        faults.stall_writer(true);
        faults.stall_reader(true);
        broken.0.try_send(b"out").unwrap();
        whole.0.send(b"in").unwrap();
        thread::sleep(ms(300));
        faults.hold_heartbeats(false);
        faults.stall_writer(false);
        faults.stall_reader(false);
        assert_eq!((whole.1.message(), broken.1.message()), (b"out".to_vec(), b"in".to_vec()));
    }
    let before = broken.0.stats().heartbeats_sent;
    thread::sleep(ms(500));
    assert!(broken.0.stats().heartbeats_sent > before);
    assert!(broken.0.is_up() && whole.0.is_up());
}

#[test]
fn a_stalled_writer_is_write_stalled_here_and_silence_there() {
    let Pair { broken, whole, faults } = pair_with(1000, 400, 10_000);
    // Its silence must not begin after our write is stuck: what was announced has been read, and
    // nothing more is due for a second.
    let began = Instant::now();
    while whole.0.stats().heartbeats_received == 0 {
        assert!(began.elapsed() < PATIENCE, "nothing was announced");
        thread::sleep(ms(1));
    }
    faults.stall_writer(true);
    let refused = loop {
        if let Err(error) = broken.0.send(&[0; 100_000]) {
            break error;
        }
    };
    assert!(matches!(refused, SendError::TimedOut | SendError::Down(_)), "{refused}");
    let down = broken.1.down();
    assert!(matches!(down.reason, DownReason::WriteStalled { .. }), "{down:?}");
    assert!(down.unsent_frames > 5, "{down:?}");
    assert!(whole.1.down().silence >= down.limit.unwrap(), "it heard nothing in all that time");
}

#[test]
fn a_stalled_reader_stalls_the_other_end_and_blames_no_peer() {
    let Pair { broken, whole, faults } = pair(10_000, 400);
    faults.stall_reader(true);
    let mut accepted = 0;
    while whole.0.send(&[0; 100_000]).is_ok() {
        accepted += 1;
    }
    let down = whole.1.down();
    assert!(matches!(down.reason, DownReason::WriteStalled { .. }), "{down:?}");
    assert!(down.unsent_frames > 0 && down.unsent_frames <= accepted, "{down:?}");
    assert!(broken.0.is_up(), "its own reader is stuck, not the peer");
    faults.stall_reader(false);
    assert!(!is_silent(&broken.1.down()));
}

#[test]
fn a_stalled_link_still_closes_in_time() {
    for stall in [Faults::stall_reader, Faults::stall_writer] {
        let Pair { broken, whole, faults } = pair(10_000, 10_000);
        stall(&faults, true);
        whole.0.send(b"tick").unwrap();
        thread::sleep(ms(50));
        broken.0.close();
        assert_eq!(broken.1.down().reason.as_str(), "local");
    }
}
