//! Nothing of a link is left when it has ended.

use std::sync::Arc;
use std::thread;

use peerbeat::link::{DownReason, Link};
use peerbeat::protocol::Native;

use crate::alone::alone;
use crate::mock::{LONG, Mock, heartbeat, tcp_pair};
use crate::rig::{ms, notes, options, wait_for};

/// Threads and descriptors of this process.
fn held() -> (usize, usize) {
    (std::fs::read_dir("/proc/self/task").unwrap().count(), descriptors())
}

/// Descriptors of this process. A joined thread may remain in /proc for a moment longer than it
/// ran, so what must be true at once is asked of these.
fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

#[test]
fn shutdown_while_8_threads_send_and_one_reads_leaves_nothing() {
    // lesson 43
    if !alone("leaks::shutdown_while_8_threads_send_and_one_reads_leaves_nothing") {
        return;
    }
    let before = held();
    for round in 0..200u64 {
        let (stream, mock) = Mock::pair();
        let peer = Arc::new(mock);
        let (notes, log) = notes(|_, _| {});
        let link = Link::start_with(stream, Native::default(), &options(50, 5000), notes).unwrap();
        thread::scope(|scope| {
            for name in 0..8u8 {
                let link = link.clone();
                scope.spawn(move || while link.send(&[name; 3000]).is_ok() {});
            }
            let reads = Arc::clone(&peer);
            scope.spawn(move || {
                let _either = std::io::copy(&mut &reads.stream, &mut std::io::sink());
            });
            peer.say(&heartbeat(50));
            thread::sleep(std::time::Duration::from_micros(round * 37 % 3000));
            match round % 3 {
                0 => link.close(),
                1 => link.end(DownReason::Replaced, None),
                _ => peer.stream.shutdown(std::net::Shutdown::Both).unwrap(),
            }
        });
        let down = log.down().1;
        assert_eq!(link.wait_down(LONG), Some(down));
    }
    wait_for("the last threads and descriptors to go", || held() == before);
}

#[test]
fn a_forgotten_handle_holds_no_socket_and_no_thread() {
    if !alone("leaks::a_forgotten_handle_holds_no_socket_and_no_thread") {
        return;
    }
    let before = held();
    let mut handles = Vec::new();
    for _ in 0..50 {
        let (stream, mock) = Mock::pair();
        let (notes, log) = notes(|_, _| {});
        let link = Link::start_with(stream, Native::default(), &options(50, 50), notes).unwrap();
        handles.push(link);
        drop(mock);
        log.down();
    }
    wait_for("sockets and threads to go", || held() == before);
    assert!(handles.iter().all(|link| !link.is_up() && link.down().is_some()));
}

#[test]
fn a_verdict_leaves_nothing_though_the_peer_still_holds_its_end() {
    // lesson 42
    if !alone("leaks::a_verdict_leaves_nothing_though_the_peer_still_holds_its_end") {
        return;
    }
    let before = held();
    let (mut handles, mut mocks) = (Vec::new(), Vec::new());
    for _ in 0..8 {
        let (stream, mock) = Mock::pair();
        let (notes, log) = notes(|_, _| {});
        let link = Link::start_with(stream, Native::default(), &options(50, 150), notes).unwrap();
        while link.try_send(&[0; 100_000]).is_ok() {}
        let word = log.down().1.reason.as_str();
        assert!(["silent", "write-stalled"].contains(&word), "{word}");
        mocks.push(mock);
        handles.push(link);
    }
    let left = (before.0, before.1 + mocks.len());
    wait_for("sockets and threads of the links to go", || held() == left);
}

#[test]
fn an_unrun_reader_leaves_nothing() {
    if !alone("leaks::an_unrun_reader_leaves_nothing") {
        return;
    }
    let before = held();
    for _ in 0..50 {
        let (one, two) = tcp_pair();
        let (link, reader) = Link::establish(one, Native::default(), &options(50, 50)).unwrap();
        assert!(link.is_up());
        drop((two, reader));
        // The sender thread is joined and its socket closed when the drop is done.
        assert_eq!(descriptors(), before.1);
    }
    wait_for("the threads to go", || held() == before);
}

#[test]
fn when_run_returns_thread_and_socket_are_gone() {
    if !alone("leaks::when_run_returns_thread_and_socket_are_gone") {
        return;
    }
    let before = held();
    for round in 0..50 {
        let (stream, mock) = Mock::pair();
        let (link, reader) =
            Link::establish(stream, Native::default(), &options(50, 5000)).unwrap();
        let ends = link.clone();
        thread::scope(|scope| {
            scope.spawn(move || {
                thread::sleep(ms(round % 4));
                ends.end(DownReason::Replaced, None);
            });
            reader.run(&mut |_: &Link, _: &[u8]| {});
        });
        drop(mock);
        assert_eq!(descriptors(), before.1, "round {round}");
        assert!(link.down().is_some());
    }
    wait_for("the threads to go", || held() == before);
}

#[test]
fn memory_of_a_burst_is_given_back_by_the_end() {
    // A handle on an ended link holds no buffers.
    if !alone("leaks::memory_of_a_burst_is_given_back_by_the_end") {
        return;
    }
    let mut handles = Vec::new();
    let before = resident_kib();
    for _ in 0..6 {
        let (rig, _door) = crate::rig::Rig::narrow(&options(0, 50));
        crate::rig::fill_narrow(&rig.link, 500_000);
        rig.link.end(DownReason::Replaced, None);
        assert!(rig.log.down().1.unsent_bytes > 4 << 20);
        handles.push(rig.link);
    }
    let grown = resident_kib().saturating_sub(before);
    assert!(grown < 30 << 10, "{grown} KiB held by 6 ended links that had 8 MiB queued each");
}

/// The resident memory of this process.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
#[ignore = "takes half a minute: buffers are given back after 30 s of quiet"]
fn memory_of_a_burst_is_given_back_after_quiet() {
    if !alone("leaks::memory_of_a_burst_is_given_back_after_quiet") {
        return;
    }
    let before = resident_kib();
    let mut links = Vec::new();
    for _ in 0..8 {
        let (stream, mut mock) = Mock::pair();
        let (notes, _log) = notes(|_, _| {});
        let link = Link::start_with(stream, Native::default(), &options(1000, 60_000), notes);
        let link = link.unwrap();
        mock.say(&crate::mock::frame(3, &[1; 4 << 20]));
        let sent = crate::rig::fill(&link, 500_000);
        for _ in &sent {
            mock.no_heartbeat();
        }
        // The mock's own buffer is not what is measured.
        links.push((link, mock.stream));
    }
    let full = resident_kib() - before;
    assert!(full > 20 << 10, "only {full} KiB grown");
    thread::sleep(ms(33_000));
    let left = resident_kib().saturating_sub(before);
    println!("{full} KiB grown, {left} KiB left after quiet");
    assert!(left < full / 4, "{full} KiB grown, {left} KiB left after quiet");
}
