//! Nodes over Unix sockets: dialled and listened on as configured, and what happens to the socket
//! files.

use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use peerbeat::node::{DialFailedReason, Endpoint, Node, NodeEvent, Peer, StartError};

use crate::common::*;

/// A folder of its own, which goes with it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("pb-{name}-{}", std::process::id()));
        let _old = fs::remove_dir_all(&path);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn socket(&self) -> PathBuf {
        self.0.join("hub.sock")
    }

    fn hub(&self) -> String {
        format!(
            "datasrc-name hub\ndatasrc-interface unix:{}\nadd-peer\nremote-name feed\nend-peer",
            self.socket().display()
        )
    }

    fn feed(&self) -> String {
        let path = self.socket();
        let path = path.display();
        format!(
            "datasrc-name feed\nadd-peer\nremote-name hub\naddr unix:{path}\n\
             heartbeat-time 1\nreconnect-time-min 0.1\nreconnect-time-max 0.1\nend-peer"
        )
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _gone = fs::remove_dir_all(&self.0);
    }
}

fn ignore() -> impl Fn(&Peer, &[u8]) + Send + Sync + 'static {
    |_: &Peer, _: &[u8]| {}
}

#[test]
fn two_nodes_meet_at_a_socket_file_that_goes_with_its_node() {
    let folder = Folder::new("meet");
    let (hub, hub_book) = start(&folder.hub());
    assert!(hub.local_addrs().is_empty());
    let there = format!("unix:{}", folder.socket().display());
    assert_eq!(hub.endpoints()[0].to_string(), there);
    let (feed, feed_book) = start(&folder.feed());
    hub_book.wait_up("feed", 1);
    feed_book.wait_up("hub", 1);
    feed.peer("hub").unwrap().send(b"tick").unwrap();
    hub_book.wait_count("message", 1, |seen| seen.what == What::Message(b"tick".to_vec()));
    for (node, peer) in [(&hub, "feed"), (&feed, "hub")] {
        let addr = node.peer(peer).unwrap().state().addr;
        assert_eq!(addr, Some(Endpoint::Unix(folder.socket().as_path().into())));
    }
    drop(hub);
    assert_eq!(feed_book.wait_down("hub", 1).reason.as_str(), "closed");
    assert!(!folder.socket().exists());
    // It comes back, and the feed with it.
    let (_hub, hub_book) = start(&folder.hub());
    hub_book.wait_up("feed", 1);
}

#[test]
fn a_file_that_a_killed_program_left_is_replaced_and_others_are_not() {
    let folder = Folder::new("stale");
    drop(UnixListener::bind(folder.socket()).unwrap());
    assert!(fs::symlink_metadata(folder.socket()).unwrap().file_type().is_socket());
    let (node, _book) = start(&folder.hub());
    UnixStream::connect(folder.socket()).unwrap();

    let start = || Node::start(config(&folder.hub()), ignore()).map(drop).unwrap_err();
    let error = start();
    assert!(matches!(error, StartError::Listen { .. }), "{error}");
    assert!(error.to_string().contains("another program listens there"), "{error}");
    UnixStream::connect(folder.socket()).unwrap();
    drop(node);

    fs::write(folder.socket(), "precious").unwrap();
    let error = start();
    assert!(error.to_string().contains("a file that is not a socket has this name"), "{error}");
    assert_eq!(fs::read(folder.socket()).unwrap(), b"precious");
}

#[test]
fn of_nodes_that_start_at_once_on_an_old_file_one_has_it() {
    let folder = Folder::new("race");
    for _ in 0..30 {
        drop(UnixListener::bind(folder.socket()).unwrap());
        let go = std::sync::Barrier::new(6);
        let start = || {
            go.wait();
            Node::start(config(&folder.hub()), ignore())
        };
        let started: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..6).map(|_| scope.spawn(start)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let running: Vec<Node> = started.into_iter().filter_map(Result::ok).collect();
        assert_eq!(running.len(), 1);
        UnixStream::connect(folder.socket()).unwrap();
        drop(running);
        assert!(!folder.socket().exists(), "the file is its node's");
    }
}

#[test]
fn a_node_leaves_the_socket_of_another_program_alone() {
    let folder = Folder::new("taken");
    let (node, _book) = start(&folder.hub());
    fs::remove_file(folder.socket()).unwrap();
    let _theirs = UnixListener::bind(folder.socket()).unwrap();
    drop(node);
    assert!(folder.socket().exists());
}

#[test]
fn a_socket_that_no_one_accepts_on_costs_a_dial_its_time() {
    let folder = Folder::new("full");
    let _full = UnixListener::bind(folder.socket()).unwrap();
    // The queue of a listener that does not accept fills up; std asks for one of at least 128.
    let (tell, filled) = std::sync::mpsc::channel();
    let path = folder.socket();
    std::thread::spawn(move || {
        let mut open = Vec::new();
        while let Ok(stream) = UnixStream::connect(&path) {
            open.push(stream);
            let _gone = tell.send(());
        }
    });
    while filled.recv_timeout(Duration::from_millis(500)).is_ok() {}
    let began = Instant::now();
    let (node, book) = start(
        &format!("{}\n", folder.feed())
            .replace("heartbeat-time 1", "heartbeat-time 1\nconnect-timeout 0.5"),
    );
    let failed = |seen: &Seen| {
        let timeout = DialFailedReason::Timeout;
        matches!(seen.event(), Some(NodeEvent::DialFailed { reason, .. }) if *reason == timeout)
    };
    book.wait_count("dial-failed", 2, failed);
    assert!(began.elapsed() >= Duration::from_millis(1000));
    node.shutdown();
    node.join();
}

#[test]
fn tcp_and_unix_are_listened_on_side_by_side() {
    let folder = Folder::new("both");
    let path = folder.socket();
    for (interfaces, tcp) in [("*", 1), ("127.0.0.1", 1), ("", 0)] {
        let text =
            format!("datasrc-port auto\ndatasrc-interface unix:{} {interfaces}", path.display());
        let (node, _book) = start(&text);
        assert!(node.local_addrs().len() >= tcp, "{interfaces}");
        assert_eq!(node.local_addrs().is_empty(), tcp == 0, "{interfaces}");
        UnixStream::connect(&path).unwrap();
    }
}
