//! Another configuration for a running node: what changed is applied, what did not is not touched,
//! what is gone is closed, what is new starts. Lesson 8.

use peerbeat::config::{Config, ConfigOptions, PeerBuilder, Port};
use peerbeat::link::{DownReason, HeartbeatChange, LinkEvent, SendError};
use peerbeat::node::{Node, NodeEvent, NodeHandler, Peer, PeerOutcome, ReloadError};

use crate::common::*;

/// A hub with these peers: name and items.
fn hub(peers: &[(&str, &str)]) -> String {
    let mut text = "datasrc-name hub\ndatasrc-port auto\ndatasrc-interface 127.0.0.1\n".to_owned();
    for (name, items) in peers {
        text += &format!("add-peer\nremote-name {name}\n{items}\nend-peer\n");
    }
    text
}

fn adapter(name: &str, port: u16) -> (Node, Recorder) {
    start(&format!(
        "datasrc-name {name}
        add-peer
            remote-name hub
            addr 127.0.0.1
            port {port}
            heartbeat-time 0
            reconnect-time-min 0.02
            reconnect-time-max 0.05
        end-peer"
    ))
}

fn outcome(peers: &[(String, PeerOutcome)], name: &str) -> PeerOutcome {
    peers.iter().find(|(peer, _)| peer == name).map(|(_, outcome)| outcome.clone()).unwrap()
}

fn changed(applied: &[&'static str], next_connection: &[&'static str]) -> PeerOutcome {
    PeerOutcome::Changed { applied: applied.to_vec(), next_connection: next_connection.to_vec() }
}

// lesson 8
/// Waits until the other end's heartbeat-time is known.
fn wait_first_value(book: &Recorder) {
    let heard = |seen: &Seen| {
        matches!(seen.event(), Some(NodeEvent::Link(LinkEvent::HeartbeatTime { .. })))
    };
    book.wait_for("the first value", |seen| seen.iter().any(heard).then_some(()));
}

#[test]
fn one_stays_one_changes_one_goes_and_one_comes_at_once() {
    let time = "heartbeat-time 2";
    let (node, book) = start(&hub(&[("stays", time), ("changes", time), ("goes", time)]));
    let port = addr(&node).port();
    let (stays, stays_book) = adapter("stays", port);
    let (changes, changes_book) = adapter("changes", port);
    let (goes, goes_book) = adapter("goes", port);
    for name in ["stays", "changes", "goes"] {
        book.wait_up(name, 1);
    }
    let [of_stays, of_changes, of_goes] =
        ["stays", "changes", "goes"].map(|name| node.peer(name).unwrap());
    wait_first_value(&changes_book);
    let other = "heartbeat-time 0.5\nheartbeat-slack-time 3\nsend-queue-bytes 1000000";
    let text = hub(&[("comes", time), ("changes", other), ("stays", time)]);
    let report = node.reload(config(&text)).unwrap();
    let names: Vec<&str> = report.peers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["comes", "changes", "stays", "goes"]);
    assert_eq!(outcome(&report.peers, "comes"), PeerOutcome::Started);
    assert_eq!(outcome(&report.peers, "stays"), PeerOutcome::Unchanged);
    assert_eq!(outcome(&report.peers, "goes"), PeerOutcome::Closed);
    assert_eq!(
        outcome(&report.peers, "changes"),
        changed(&["heartbeat-time", "heartbeat-slack-time"], &["send-queue-bytes"])
    );
    assert_eq!(
        report.to_string(),
        "comes: started\nchanges: applied heartbeat-time, heartbeat-slack-time; from the next \
         connection on send-queue-bytes\nstays: unchanged\ngoes: closed\n"
    );

    // Gone, in order; it comes back and is not known any more.
    let down = book.wait_down("goes", 1);
    assert!(matches!(down.reason, DownReason::Local { .. }), "{down}");
    let down = goes_book.wait_down("hub", 1);
    assert!(matches!(down.reason, DownReason::Closed { code, .. } if code.0 == 0), "{down}");
    assert_eq!(book.wait_refused(1).0.as_str(), "unknown-peer");
    assert!(matches!(of_goes.send(b"x"), Err(SendError::NotConnected)));
    assert!(!of_goes.is_up() && node.peer("goes").is_none() && of_goes.name() == "goes");

    // The new one may come.
    let (comes, _comes_book) = adapter("comes", port);
    book.wait_up("comes", 1);

    // The changed one learns of its value on the link that it has.
    let to = changes_book.wait_for("half a second", |seen| {
        seen.iter().find_map(|seen| match seen.event() {
            Some(NodeEvent::Link(LinkEvent::HeartbeatTime { from: Some(_), to, .. })) => Some(*to),
            _ => None,
        })
    });
    assert_eq!((to, of_changes.explain().unwrap().slack), (ms(500), ms(3000)));
    assert_eq!(of_changes.config().send_queue_bytes(), 1_000_000);

    // Handles still lead to their peers, and past the old and the new limit all are up.
    of_stays.send(b"to stays").unwrap();
    of_changes.send(b"to changes").unwrap();
    std::thread::sleep(ms(4300));
    for (book, name) in [(&book, "stays"), (&book, "changes"), (&stays_book, "hub")] {
        assert_eq!(book.count(|seen| seen.peer == name && seen.down().is_some()), 0, "{name}");
    }
    assert_eq!(changes_book.count(|seen| seen.down().is_some()), 0);
    assert!(of_stays.is_up() && of_changes.is_up());
    let (stats, all) = (of_stays.stats(), node.stats());
    assert_eq!((stats.connects, stats.downs.total(), stats.total.messages_accepted), (1, 0, 1));
    assert_eq!((all.peers, all.peers_up, all.connects), (3, 3, 3));
    drop((stays, changes, goes, comes));
    drop(node);
    book.assert_ordered();
}

#[test]
fn the_same_again_changes_nothing_wherever_it_is_in_the_file() {
    let (node, book) = start(&hub(&[("a", "heartbeat-time 1"), ("b", "heartbeat-time 1")]));
    let (a, _) = adapter("a", addr(&node).port());
    book.wait_up("a", 1);
    // What the program set stays, because the file says nothing new.
    let peer = node.peer("a").unwrap();
    assert_eq!(peer.set_slack(ms(7000)), HeartbeatChange::InForce);
    let text = hub(&[("b", "# moved\nheartbeat-time 1.0"), ("a", "heartbeat-time 1")]);
    let report = node.reload(config(&text)).unwrap();
    assert!(report.peers.iter().all(|(_, outcome)| *outcome == PeerOutcome::Unchanged));
    assert!(report.node.is_empty());
    assert_eq!(node.peers()[0].name(), "b");
    assert_eq!(peer.explain().unwrap().slack, ms(7000));
    assert_eq!(book.count(|seen| seen.down().is_some()), 0);
    drop(a);
}

#[test]
fn a_larger_heartbeat_time_and_a_peer_that_is_down_wait_for_the_next_connection() {
    let (node, book) = start(&hub(&[("a", "heartbeat-time 1"), ("b", "heartbeat-time 1")]));
    let (a, a_book) = adapter("a", addr(&node).port());
    book.wait_up("a", 1);
    let items = "heartbeat-time 3\nheartbeat-slack-time 1";
    let text = hub(&[("a", items), ("b", items)]) + "datasrc-reject-new-peers\n";
    let report = node.reload(config(&text)).unwrap();
    assert_eq!(report.node, ["datasrc-reject-new-peers"]);
    let expected = changed(&["heartbeat-slack-time"], &["heartbeat-time"]);
    assert_eq!(outcome(&report.peers, "a"), expected);
    let expected = changed(&[], &["heartbeat-time", "heartbeat-slack-time"]);
    assert_eq!(outcome(&report.peers, "b"), expected);
    let peer = node.peer("a").unwrap();
    assert_eq!(peer.heartbeat_time(), Some(ms(1000)));
    peer.close();
    book.wait_up("a", 2);
    assert_eq!(peer.heartbeat_time(), Some(ms(3000)));
    drop(a);
    a_book.assert_ordered();
}

#[test]
fn what_is_set_on_a_peer_holds_for_its_next_connections_too() {
    let (node, book) = start(&hub(&[("a", "heartbeat-time 1")]));
    let peer = node.peer("a").unwrap();
    assert_eq!(peer.set_heartbeat_time(ms(4000)), HeartbeatChange::NextConnection);
    assert_eq!(peer.set_slack(ms(9000)), HeartbeatChange::NextConnection);
    assert!(peer.explain().is_none() && peer.stats().link.is_none());
    let (a, _) = adapter("a", addr(&node).port());
    book.wait_up("a", 1);
    assert_eq!(peer.heartbeat_time(), Some(ms(4000)));
    assert_eq!(peer.set_heartbeat_time(ms(800)), HeartbeatChange::InForce);
    peer.close();
    book.wait_up("a", 2);
    let explained = peer.explain().unwrap();
    assert_eq!((explained.in_force, explained.slack), (Some(ms(800)), ms(9000)));
    // The announcement of the second link may still be on its way, and the end may have come before
    // that of the first.
    book.wait_for("two heartbeats", |_| (peer.stats().total.heartbeats_sent >= 2).then_some(()));
    let stats = peer.stats();
    assert_eq!((stats.connects, stats.downs.local, stats.downs.total()), (2, 1, 1));
    assert!(stats.total.up > stats.link.unwrap().up);
    drop(a);
}

#[test]
fn other_addresses_count_from_the_next_dial_and_a_peer_without_any_is_not_dialled() {
    let (first, first_port) = listener();
    let (second, second_port) = listener();
    let dialler = |items: &str| {
        format!(
            "datasrc-name dialler
            reconnect-time-min 0.02
            reconnect-time-max 0.02
            add-peer
                remote-name x
                {items}
            end-peer"
        )
    };
    let at = |port: u16| format!("addr 127.0.0.1\nport {port}");
    // It dials no peer at first, so a reload has to make the thread.
    let (node, book) = start(&dialler(""));
    let peer = node.peer("x").unwrap();
    let report = node.reload(config(&dialler(&at(first_port)))).unwrap();
    assert_eq!(outcome(&report.peers, "x"), changed(&[], &["addr"]));
    let mock = Mock::welcome(&first, "x");
    book.wait_up("x", 1);
    node.reload(config(&dialler(&at(second_port)))).unwrap();
    assert!(peer.is_up(), "the link stays");
    mock.cut();
    let mock = Mock::welcome(&second, "x");
    book.wait_up("x", 2);
    node.reload(config(&dialler(""))).unwrap();
    mock.cut();
    book.wait_down("x", 2);
    let dials = |seen: &Seen| matches!(seen.event(), Some(NodeEvent::Dialling { .. }));
    let before = book.count(dials);
    std::thread::sleep(ms(200));
    assert_eq!(book.count(dials), before);
    // And again, with the thread that waits.
    node.reload(config(&dialler(&at(first_port)))).unwrap();
    let _mock = Mock::welcome(&first, "x");
    book.wait_up("x", 3);
    // A peer that is taken out while it is dialled ends its thread with the node.
    node.reload(config("datasrc-name dialler")).unwrap();
    book.wait_down("x", 3);
    assert!(node.peers().is_empty());
    drop(node);
    book.assert_ordered();
}

#[test]
fn another_listening_socket_is_refused_and_nothing_changes() {
    let (node, _book) = start(&hub(&[("a", "heartbeat-time 1")]));
    let text = hub(&[("b", "")]);
    let port = text.replace("datasrc-port auto", "datasrc-port 1234");
    let error = node.reload(config(&port)).unwrap_err();
    let ReloadError::Listen { item, ref running, ref asked } = error else { panic!("{error}") };
    assert_eq!((item, running.as_str(), asked.as_str()), ("datasrc-port", "auto", "1234"));
    assert!(error.to_string().contains("nothing was changed"), "{error}");
    let error = node.reload(config(&text.replace("127.0.0.1", "127.0.0.2"))).unwrap_err();
    assert!(error.to_string().starts_with("datasrc-interface: found 127.0.0.2"), "{error}");
    assert_eq!(node.peers()[0].name(), "a");
    assert_eq!(node.config().peers()[0].name(), "a");
    node.shutdown();
    let error = node.reload(config(&text)).unwrap_err();
    assert!(matches!(error, ReloadError::NotRunning), "{error}");
}

#[test]
fn peers_come_and_go_in_code() {
    let config = Config::builder().name("hub").interface("127.0.0.1").port(Port::Auto).build();
    let book = Recorder::default();
    let node = Node::start(config.unwrap(), book.clone()).unwrap();
    let feed = || PeerBuilder::new("feed").heartbeat_time(ms(2000));
    let report = node.reload(node.config().with_peer(feed()).unwrap()).unwrap();
    assert_eq!(report.to_string(), "feed: started\n");
    let dialled = PeerBuilder::new("hub").addr("127.0.0.1", addr(&node).port());
    let dialled = dialled.reconnect_time_min(ms(20)).reconnect_time_max(ms(50));
    let config = Config::builder().name("feed").peer(dialled).build().unwrap();
    let other = Node::start(config, Recorder::default()).unwrap();
    book.wait_up("feed", 1);

    // Taken out and put back in one step it has changed, and its link stays.
    let without = node.config().without_peer("feed").unwrap();
    let report = node.reload(without.with_peer(feed().slack(ms(9000))).unwrap()).unwrap();
    assert_eq!(outcome(&report.peers, "feed"), changed(&["heartbeat-slack-time"], &[]));
    assert!(node.peer("feed").unwrap().is_up());

    let report = node.reload(node.config().without_peer("feed").unwrap()).unwrap();
    assert_eq!(report.to_string(), "feed: closed\n");
    let down = book.wait_down("feed", 1);
    assert!(matches!(down.reason, DownReason::Local { .. }), "{down}");
    assert_eq!((node.peers().len(), book.count(|seen| seen.down().is_some())), (0, 1));
    drop(other);
}

/// Takes its own peer out as soon as it is up.
struct Suicidal(Recorder);

impl NodeHandler for Suicidal {
    fn on_message(&self, _: &Peer, _: &[u8]) {}

    fn on_event(&self, peer: Option<&Peer>, event: &NodeEvent) {
        self.0.on_event(peer, event);
        if let (Some(peer), NodeEvent::Up { .. }) = (peer, event) {
            let config = Config::parse(&hub(&[]), &ConfigOptions::default()).unwrap();
            let report = peer.node().reload(config).unwrap();
            assert_eq!(report.peers, [("a".to_owned(), PeerOutcome::Closed)]);
        }
    }
}

// lesson 46
#[test]
fn a_handler_may_reload_its_own_node_and_take_itself_out() {
    let book = Recorder::default();
    let handler = Suicidal(book.clone());
    let node = Node::start(config(&hub(&[("a", "")])), handler).unwrap();
    let (_a, _) = adapter("a", addr(&node).port());
    book.wait_down("a", 1);
    drop(node);
    book.assert_ordered();
}
