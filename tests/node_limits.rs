//! The system resources that a node holds: threads and descriptors, counted for the whole process.
//!
//! One test at a time, in a separate binary: anything that runs in parallel would be counted too.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

mod common;
#[path = "common/held.rs"]
#[expect(dead_code, reason = "the soak uses all of it")]
mod held;

use std::fs;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use common::*;
use held::{Held, held};
use peerbeat::node::{Node, NodeEvent, NodeOptions, RefusedReason};

static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits until the process holds no more than `most`: the system takes a moment to clear away.
#[track_caller]
fn assert_falls_to(most: Held) -> Held {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let now = held();
        if now.threads <= most.threads && now.descriptors <= most.descriptors {
            return now;
        }
        assert!(Instant::now() < deadline, "{now:?} are held, at most {most:?} should be");
        std::thread::sleep(Duration::from_millis(5));
    }
}

const SERVER: &str = "
    datasrc-name server
    datasrc-port auto
    datasrc-interface 127.0.0.1
    add-peer
        remote-name client
    end-peer";

fn client(port: u16) -> String {
    format!(
        "datasrc-name client
        reconnect-time-min 0.01
        reconnect-time-max 0.01
        add-peer
            remote-name server
            addr 127.0.0.1
            port {port}
        end-peer"
    )
}

// lesson 43
#[test]
fn reconnects_hold_no_thread_and_no_descriptor() {
    reconnect(200);
}

#[test]
#[ignore = "the test above for longer"]
fn a_thousand_reconnects_hold_no_thread_and_no_descriptor() {
    reconnect(1000);
}

fn reconnect(rounds: usize) {
    let _alone = alone();
    let before = held();
    let (server, server_book) = start(SERVER);
    let (dialler, book) = start(&client(addr(&server).port()));
    let mut first = None;
    for round in 1..=rounds {
        book.wait_up("server", round);
        server_book.wait_up("client", round);
        // Both ends may lose it: by turns it is closed here, there, and by a goodbye of both.
        match round % 3 {
            0 => server.peer("client").unwrap().close(),
            1 => dialler.peer("server").unwrap().close(),
            _ => {
                server.peer("client").unwrap().close();
                dialler.peer("server").unwrap().close();
            }
        }
        book.wait_down("server", round);
        server_book.wait_down("client", round);
        if round == 50 {
            book.wait_up("server", round + 1);
            server_book.wait_up("client", round + 1);
            first = Some(held());
        }
    }
    book.wait_up("server", rounds + 1);
    server_book.wait_up("client", rounds + 1);
    let last = assert_falls_to(first.unwrap());
    println!("held before {before:?}, after 50 reconnects {first:?}, after {rounds} {last:?}");
    dialler.shutdown();
    server.shutdown();
    assert!(dialler.join() && server.join());
    assert_falls_to(before);
    book.assert_ordered();
    server_book.assert_ordered();
}

#[test]
fn a_thousand_silent_connections_do_not_touch_a_live_link() {
    let _alone = alone();
    let before = held();
    let text =
        SERVER.replace("add-peer", "peer-accept-wait-time 1\ndatasrc-heartbeat-time 0.2\nadd-peer");
    let (server, server_book) = start(&text);
    let (dialler, book) = start(&client(addr(&server).port()));
    book.wait_up("server", 1);
    server_book.wait_up("client", 1);

    // Both ends of each are ours.
    let limit = fs::read_to_string("/proc/self/limits").unwrap();
    let line = limit.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let descriptors: usize = line.split_whitespace().nth(3).unwrap().parse().unwrap();
    let count = 1000.min((descriptors - 200) / 2);
    let dial = |number| {
        // The kernel's queue is short: one that finds it full is dialled again after a second.
        if number % 50 == 0 {
            std::thread::sleep(Duration::from_millis(10));
        }
        Mock::dial(addr(&server))
    };
    let silent: Vec<_> = (0..count).map(dial).collect();

    let peer = dialler.peer("server").unwrap();
    for number in 0..20_u8 {
        peer.send(&[number]).unwrap();
        server_book.wait_count("message", usize::from(number) + 1, |seen| {
            matches!(seen.what, What::Message(_))
        });
    }
    let now = held();
    // The node's own ends of what it has not turned away yet, and no more.
    assert!(now.threads <= before.threads + 64 + 10, "{now:?}, before {before:?}");
    server_book.wait_refused(count);
    assert_eq!(server.stats().refusals, count as u64);
    // The oldest made room for those that came after them; the last had the time of a handshake.
    for (index, mut mock) in silent.into_iter().enumerate() {
        let code = mock.expect_bye().0;
        // On a busy machine dialling takes longer than a handshake may.
        let is_fine = code == 5 || (code == 7 && index < count - 64);
        assert!(is_fine, "connection {index} of {count}: {code}");
    }
    peer.send(b"after").unwrap();
    server_book.wait_count("message", 21, |seen| matches!(seen.what, What::Message(_)));
    for book in [&book, &server_book] {
        assert_eq!(book.count(|seen| seen.down().is_some()), 0);
        assert_eq!(book.count(Seen::is_up), 1);
    }
    drop((dialler, server));
    assert_falls_to(before);
}

#[test]
fn a_node_that_cannot_start_leaves_nothing_behind() {
    let _alone = alone();
    let before = held();
    let (taken, port) = listener();
    for _ in 0..10 {
        let text = client(1).replace(
            "datasrc-name client",
            &format!("datasrc-port {port}\ndatasrc-interface 127.0.0.2 127.0.0.1"),
        );
        let book = Recorder::default();
        assert!(peerbeat::node::Node::start(config(&text), book.clone()).is_err());
        assert_eq!(book.all(), []);
    }
    drop(taken);
    assert_falls_to(before);
}

/// Hosts without descriptors go on with what they have, and serve again when there are some.
#[test]
fn without_descriptors_what_runs_goes_on_and_the_limit_is_named() {
    let _alone = alone();
    let before = held();
    let (server, server_book) = start(SERVER);
    let (dialler, book) = start(&client(addr(&server).port()));
    book.wait_up("server", 1);
    server_book.wait_up("client", 1);
    let stranger = Mock::dial(addr(&server));

    let mut hoard = Vec::new();
    while let Ok(file) = fs::File::open("/dev/null") {
        hoard.push(file);
        if hoard.len() == 200_000 {
            skip::say_skipped("a host without descriptors", "no limit of them is in reach");
            return;
        }
    }
    // One is left for the test's own end of a connection that cannot be accepted.
    hoard.pop();
    let late = Mock::dial(addr(&server));
    let detail = server_book.wait_for("warning", |book| {
        book.iter().find_map(|seen| match seen.event() {
            Some(NodeEvent::Warning { detail }) => Some(detail.clone()),
            _ => None,
        })
    });
    assert!(detail.contains("no file descriptor left (limit "), "{detail}");
    assert!(detail.contains("ulimit -n"), "{detail}");
    dialler.peer("server").unwrap().send(b"still here").unwrap();
    server_book.wait_count("message", 1, |seen| matches!(seen.what, What::Message(_)));
    // Reported once, however often it was tried.
    std::thread::sleep(Duration::from_millis(500));
    let warnings =
        server_book.count(|seen| matches!(seen.event(), Some(NodeEvent::Warning { .. })));
    assert_eq!(warnings, 1);
    drop(hoard);
    late.stream.shutdown(std::net::Shutdown::Both).unwrap();
    server_book.wait_refused(1);
    drop((stranger, late));
    for book in [&book, &server_book] {
        assert_eq!(book.count(|seen| seen.down().is_some()), 0);
    }
    drop((dialler, server));
    assert_falls_to(before);
}

/// Set for the test below if it runs in a process that runs out of threads.
const FEW_THREADS: &str = "PEERBEAT_FEW_THREADS";

/// Runs the test below in a process that may not have much memory: threads run out there.
#[test]
fn without_threads_what_runs_goes_on_and_the_limit_is_named() {
    let _alone = alone();
    let binary = std::env::current_exe().unwrap();
    let output = std::process::Command::new("sh")
        .args(["-c", "ulimit -v 2000000 && exec \"$0\" \"$@\""])
        .arg(binary)
        .args(["--ignored", "--exact", "in_a_process_with_few_threads", "--nocapture"])
        .env("MALLOC_ARENA_MAX", "1")
        .env(FEW_THREADS, "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{output:?}");
}

/// Peers that need more threads than there are.
fn assert_reload_changes_nothing(node: &Node) {
    let dialled = (0..64).map(|n| format!("add-peer\nremote-name new{n}\nport 1\nend-peer\n"));
    let before = held();
    let text = SERVER.replace("client", "another") + "\n" + &dialled.collect::<String>();
    let error = node.reload(config(&text)).unwrap_err().to_string();
    assert!(error.starts_with("nothing was changed: no thread left (limit "), "{error}");
    let names: Vec<_> = node.peers().iter().map(|peer| peer.name().to_owned()).collect();
    assert_eq!(names, ["client", "other"]);
    assert!(node.peer("client").unwrap().is_up());
    assert_falls_to(before);
}

#[test]
#[ignore = "run by the test above, with a limit of memory"]
fn in_a_process_with_few_threads() {
    if std::env::var_os(FEW_THREADS).is_none() {
        return;
    }
    let book = Recorder::default();
    let mut options = NodeOptions::default();
    // So large that stacks run out long before everything else does.
    options.stack_size = 128 << 20;
    let text = format!("{SERVER}\nadd-peer\n remote-name other\nend-peer");
    let node = Node::start_with(config(&text), book.clone(), options).unwrap();
    let mut friend = Mock::greet(addr(&node), "client");
    book.wait_up("client", 1);
    let mut silent = Vec::new();
    while book.count(|seen| seen.refused().is_some()) < 3 {
        assert!(silent.len() < 64, "threads never run out");
        silent.push(Mock::dial(addr(&node)));
        std::thread::sleep(Duration::from_millis(10));
    }
    let (reason, detail) = book.wait_refused(1);
    assert_eq!((reason, detail.as_str()), (RefusedReason::TooMany, "no thread left"));
    let refused = silent.len() - 3;
    assert_eq!(silent[refused].expect_bye(), (7, "no thread left".to_owned()));
    let warnings: Vec<_> = book.all().iter().filter_map(|seen| seen.event().cloned()).collect();
    let warnings = warnings.iter().filter_map(|event| match event {
        NodeEvent::Warning { detail } => Some(detail.as_str()),
        _ => None,
    });
    let warnings: Vec<_> = warnings.collect();
    assert!(
        matches!(warnings[..], [one] if one.contains("no thread left (limit ")),
        "{warnings:?}"
    );
    assert_reload_changes_nothing(&node);
    friend.say(&data(b"still here"));
    book.wait_count("message", 1, |seen| matches!(seen.what, What::Message(_)));
    // When there is room again, others are served.
    drop(silent);
    book.wait_refused(refused + 3);
    let deadline = Instant::now() + PATIENCE;
    let of = |peer| move |seen: &Seen| seen.peer == peer && (seen.is_up() || seen.down().is_some());
    while book.count(of("other")) == 0 {
        // The threads of the silent ones may just be ending.
        assert!(Instant::now() < deadline, "no connection is served any more: {:#?}", book.all());
        let mut other = Mock::dial(addr(&node));
        other.say(&hello("other", "", 0));
        other.frame();
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(book.count(of("client")), 1);
}
