//! Nodes in the simulator: real configurations and handlers, and exactly what the handlers see.
//!
//! Nothing here depends on a machine: the same seed makes the same records, to the nanosecond.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use peerbeat::link::SendError;
use peerbeat::node::{DialFailedReason, NodeEvent, NodeHandler, Peer};
use peerbeat::sim::{Conditions, Host, NodeRecord, Nodes, Op, Seen, hold, secs};

pub(crate) use crate::basics::config;

/// An adapter: it subscribes at whichever server it reaches.
pub(crate) struct Adapter;

impl NodeHandler for Adapter {
    fn on_message(&self, _peer: &Peer, _payload: &[u8]) {}

    fn on_event(&self, peer: Option<&Peer>, event: &NodeEvent) {
        if let (Some(peer), NodeEvent::Up { .. }) = (peer, event) {
            peer.send(b"subscribe").expect("it is up");
        }
    }
}

/// A server that writes down what it is asked for.
#[derive(Clone, Default)]
struct Server(Arc<Mutex<Vec<Vec<u8>>>>);

impl Server {
    fn asked(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

impl NodeHandler for Server {
    fn on_message(&self, _peer: &Peer, payload: &[u8]) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(payload.to_vec());
    }
}

/// A handler that takes what comes.
fn quiet(_peer: &Peer, _payload: &[u8]) {}

pub(crate) const ADAPTER: &str = "
    datasrc-name  adapter
    add-peer
        remote-name           servers
        addr                  first
        port                  25000
        addr                  second
        port                  25000
        heartbeat-time        1
        heartbeat-slack-time  1
        connect-timeout       1
        reconnect-time-min    0.5
        reconnect-time-max    2
    end-peer";

pub(crate) const SERVER: &str = "
    datasrc-name  servers
    datasrc-port  25000
    peer-accept-wait-time  5
    add-peer
        remote-name  adapter
    end-peer";

/// An adapter with two servers, each with its handler.
fn trio(seed: u64) -> (Nodes, [Host; 3], [Server; 2]) {
    let mut nodes = Nodes::new(seed);
    let servers = [Server::default(), Server::default()];
    let first = nodes.start("first", config(SERVER), servers[0].clone()).expect("it starts");
    let second = nodes.start("second", config(SERVER), servers[1].clone()).expect("it starts");
    let adapter = nodes.start("adapter", config(ADAPTER), Adapter).expect("it starts");
    (nodes, [adapter, first, second], servers)
}

/// What a node reported of its peers, as lines, without what happened on living links.
fn seen_by(nodes: &Nodes, node: usize) -> Vec<String> {
    let shown = |record: &NodeRecord| match &record.seen {
        Seen::Event(NodeEvent::Link(_)) => None,
        Seen::Event(event) => {
            let at = record.at.as_nanos() / 1_000_000;
            Some(format!("{at} {}", event.as_str()))
        }
        Seen::Message(bytes) => Some(format!("{} bytes", bytes.len())),
    };
    nodes.records().iter().filter(|record| record.node == node).filter_map(shown).collect()
}

fn events(nodes: &Nodes, host: usize, word: &str) -> Vec<NodeEvent> {
    let is_it = |record: NodeRecord| match record.seen {
        Seen::Event(event) if record.node == host && event.as_str() == word => Some(event),
        _ => None,
    };
    nodes.records().into_iter().filter_map(is_it).collect()
}

#[test]
fn an_adapter_fails_over_to_its_second_server() {
    let (mut nodes, [adapter, first, _], [one, two]) = trio(1);
    nodes.at(secs(3.0), Op::Stop { host: first });
    nodes.at(secs(60.0), Op::Resume { host: first });
    nodes.run_until(secs(6.2));
    assert_eq!((one.asked(), two.asked()), (1, 1));
    nodes.run_until(secs(100.0));
    assert!(nodes.is_up(adapter, "servers"));
    assert_eq!(two.asked(), 1, "the first coming back disturbs nothing");
}

#[test]
fn times_are_exact_and_a_seed_replays() {
    let run = |seed| {
        let (mut nodes, [_, first, _], _) = trio(seed);
        nodes.at(secs(3.0), Op::Stop { host: first });
        nodes.run_until(secs(20.0));
        nodes.records()
    };
    assert_eq!(run(7), run(7));
    assert_ne!(run(7), run(8), "the waits between dials are drawn");
    let is_down = |record: &&NodeRecord| matches!(record.seen, Seen::Event(NodeEvent::Down(_)));
    // Heard last at 2.002 s, when its HELLO came; 1 s + 1 s.
    let down = run(7).iter().find(is_down).map(|record| (record.node, record.at));
    assert_eq!(down.map(|(node, _)| node), Some(2));
}

#[test]
fn a_port_that_refuses_and_a_host_that_is_gone_are_distinguished() {
    let (mut nodes, [adapter, first, second], _) = trio(1);
    nodes.apply(Op::Refuse { host: first, refuses: true });
    nodes.apply(Op::PowerOff { host: second });
    nodes.run_until(secs(1.2));
    let reasons: Vec<_> = events(&nodes, 2, "dial-failed")
        .into_iter()
        .map(|event| match event {
            NodeEvent::DialFailed { addr, reason, .. } => (addr, reason),
            other => panic!("{other}"),
        })
        .collect();
    let expected = [
        ("first:25000".to_owned(), DialFailedReason::Connect),
        ("second:25000".to_owned(), DialFailedReason::Timeout),
    ];
    assert_eq!(reasons, expected);
    nodes.apply(Op::Refuse { host: first, refuses: false });
    nodes.run_until(secs(10.0));
    assert!(nodes.is_up(adapter, "servers"));
}

#[test]
fn a_resolver_that_hangs_costs_the_connect_timeout_and_no_more() {
    let (mut nodes, [adapter, ..], _) = trio(1);
    nodes.apply(Op::Resolver { host: adapter, hangs: true });
    nodes.run_until(secs(2.5));
    let failed = events(&nodes, 2, "dial-failed");
    assert_eq!(failed.len(), 2, "one second for each address");
    assert!(failed.iter().all(|event| event.to_string().contains("timeout")), "{failed:?}");
    nodes.apply(Op::Resolver { host: adapter, hangs: false });
    nodes.run_until(secs(5.0));
    assert!(nodes.is_up(adapter, "servers"));
}

#[test]
fn a_name_that_does_not_exist_is_reported_as_such() {
    let mut nodes = Nodes::new(1);
    let text = ADAPTER.replace("first", "nowhere").replace("second", "10.9.9.9");
    nodes.start("adapter", config(&text), Adapter).expect("it starts");
    nodes.run_until(secs(1.1));
    let failed = events(&nodes, 0, "dial-failed");
    let shown: Vec<_> = failed.iter().map(ToString::to_string).collect();
    assert!(shown[0].contains("resolve"), "{shown:?}");
    assert!(shown[1].contains("timeout"), "{shown:?}");
}

#[test]
fn a_process_that_restarts_at_one_instant_begins_another_life() {
    let (mut nodes, [adapter, first, second], [one, _]) = trio(1);
    nodes.apply(Op::Kill { host: second });
    nodes.run_until(secs(3.0));
    nodes.apply(Op::Kill { host: first });
    nodes.apply(Op::Start { host: first });
    nodes.run_until(secs(20.0));
    assert!(nodes.is_up(adapter, "servers") && nodes.is_up(first, "adapter"));
    assert_eq!(one.asked(), 2);
    let records = nodes.records();
    let lives = records.iter().filter(|it| it.node == 0 && it.seen.is("listening"));
    assert_eq!(lives.map(|it| it.life).collect::<Vec<_>>(), [0, 1]);
}

#[test]
fn a_step_first_does_what_the_program_has_asked_for() {
    let (mut nodes, [_, first, _], _) = trio(1);
    nodes.run_until(secs(3.3));
    nodes.node(first).expect("it runs").shutdown();
    // The goodbye arrives next, and not the heartbeat that was due.
    assert!(nodes.step().expect("it says goodbye") < secs(3.4));
}

#[test]
fn a_process_that_dies_begins_another_life_and_is_dialled_again() {
    let (mut nodes, [adapter, first, second], [one, _]) = trio(1);
    nodes.at(secs(3.0), Op::Kill { host: first });
    nodes.apply(Op::Kill { host: second });
    nodes.at(secs(4.0), Op::Start { host: first });
    nodes.run_until(secs(3.5));
    assert!(nodes.node(first).is_none() && !nodes.is_up(adapter, "servers"));
    nodes.run_until(secs(20.0));
    assert!(nodes.is_up(adapter, "servers") && nodes.is_up(first, "adapter"));
    assert_eq!(one.asked(), 2);
    let lives: Vec<_> = nodes
        .records()
        .iter()
        .filter(|record| record.node == 0 && record.seen.is("listening"))
        .map(|record| record.life)
        .collect();
    assert_eq!(lives, [0, 1]);
}

#[test]
fn two_nodes_that_dial_each_other_settle_on_one_link() {
    for seed in 0..50 {
        let mut nodes = Nodes::new(seed);
        let text = |own: &str, other: &str| {
            config(&format!(
                "datasrc-name {own}\ndatasrc-port 25000\nadd-peer\nremote-name {other}\n\
                 addr {other}\nport 25000\nend-peer\n"
            ))
        };
        let jitter = Duration::from_millis(5);
        nodes.set_conditions(Conditions::default().jitter(jitter));
        let a = nodes.start("a", text("a", "b"), quiet).expect("it starts");
        let b = nodes.start("b", text("b", "a"), quiet).expect("it starts");
        nodes.run_until(secs(10.0));
        assert!(nodes.is_up(a, "b") && nodes.is_up(b, "a"), "{seed}: {:?}", seen_by(&nodes, 0));
        for node in [0, 1] {
            assert_eq!(events(&nodes, node, "up").len(), 1, "{seed}: {:?}", seen_by(&nodes, node));
        }
    }
}

#[test]
fn a_reload_takes_a_peer_out_and_brings_it_back() {
    let (mut nodes, [adapter, first, _], [one, _]) = trio(1);
    nodes.run_until(secs(3.0));
    let node = nodes.node(first).expect("it runs");
    let without = SERVER.replace("remote-name  adapter", "remote-name  other");
    node.reload(config(&without)).expect("the port is the same");
    nodes.run_until(secs(6.0));
    assert!(node.peer("adapter").is_none());
    let shown = seen_by(&nodes, 0);
    let words: Vec<_> = shown.iter().filter_map(|line| line.strip_prefix("300")).collect();
    assert_eq!(words, ["1 down"], "{shown:?}");
    assert!(shown.last().is_some_and(|line| line.ends_with("refused")), "{shown:?}");
    node.reload(config(SERVER)).expect("the port is the same");
    nodes.run_until(secs(20.0));
    assert!(nodes.is_up(adapter, "servers"));
    assert!(one.asked() <= 2);
}

#[test]
fn a_shutdown_says_goodbye_and_stopped_comes_last() {
    let (mut nodes, [adapter, first, _], _) = trio(1);
    nodes.run_until(secs(3.0));
    let node = nodes.node(adapter).expect("it runs");
    node.shutdown();
    assert!(!node.join(), "nothing waits here");
    nodes.run_until(secs(4.0));
    let shown = seen_by(&nodes, 2);
    assert_eq!(shown[shown.len() - 2..], ["3001 down", "3001 stopped"]);
    assert!(!nodes.is_up(first, "adapter"));
    assert!(node.reload(config(ADAPTER)).is_err());
}

#[test]
fn a_panic_in_a_handler_ends_the_link_and_nothing_else() {
    struct Panics;
    impl NodeHandler for Panics {
        fn on_message(&self, _peer: &Peer, _payload: &[u8]) {
            panic!("on purpose");
        }
    }
    let mut nodes = Nodes::new(1);
    nodes.start("first", config(SERVER), Panics).expect("it starts");
    let adapter = nodes.start("adapter", config(ADAPTER), Adapter).expect("it starts");
    nodes.run_until(secs(30.0));
    let downs = events(&nodes, 0, "down");
    assert!(downs.len() > 3 && downs.iter().all(|down| down.to_string().contains("panicked")));
    assert!(nodes.node(adapter).is_some());
}

#[test]
fn a_handler_that_takes_its_time_holds_the_reader_and_blames_no_peer() {
    let mut nodes = Nodes::new(1);
    let slow = |_: &Peer, _: &[u8]| hold(Duration::from_secs(30));
    let first = nodes.start("first", config(SERVER), slow).expect("it starts");
    let adapter = nodes.start("adapter", config(ADAPTER), Adapter).expect("it starts");
    nodes.run_until(secs(20.0));
    let state = nodes.node(first).and_then(|node| node.peer("adapter")).map(|peer| peer.state());
    let held = state.and_then(|state| state.link).map(|link| link.handler_held);
    assert!(held.is_some_and(|held| held > Duration::from_secs(19)), "{held:?}");
    nodes.run_until(secs(40.0));
    assert!(nodes.is_up(first, "adapter") && nodes.is_up(adapter, "servers"));
    let busy = nodes.records().into_iter().filter(|record| record.seen.is("handler-busy"));
    assert_eq!(busy.count(), 1);
}

#[test]
fn calls_of_a_peer_behave_as_in_its_handler() {
    let (mut nodes, [adapter, first, _], _) = trio(1);
    let node = nodes.node(adapter).expect("it runs");
    let peer = node.peer("servers").expect("it is configured");
    assert_eq!(peer.send(b"x"), Err(SendError::NotConnected));
    assert!(!peer.wait_up(None) && !node.wait_up(Some(Duration::from_secs(9))));
    nodes.run_until(secs(2.0));
    assert!(peer.wait_up(None));
    nodes.apply(Op::Cut { a: adapter, b: first });
    while peer.try_send(&[0; 1 << 20]).is_ok() {}
    assert_eq!(peer.send(&[0; 1 << 20]), Err(SendError::Full));
    assert_eq!(peer.wait_room(1 << 20, Duration::from_secs(9)), Err(SendError::Full));
    assert!(peer.stats().link.is_some_and(|link| link.queued_bytes > 0));
    assert!(peer.explain().is_some() && peer.heartbeat_time() == Some(Duration::from_secs(1)));
    assert_eq!(peer.set_slack(Duration::from_secs(5)), peerbeat::link::HeartbeatChange::InForce);
    nodes.run_until(secs(60.0));
    assert!(events(&nodes, 2, "down")[0].to_string().contains("slack"));
    peer.pause();
    nodes.run_until(secs(100.0));
    assert!(!peer.is_up() && peer.state().is_paused);
    peer.resume();
    nodes.run_until(secs(102.0));
    assert!(peer.is_up());
    peer.drain(Duration::from_secs(1));
    nodes.run_until(secs(102.1));
    assert!(!peer.is_up());
}

#[test]
fn a_reload_with_an_error_is_refused_as_a_node_does_and_changes_nothing() {
    let (mut nodes, [adapter, first, _], _) = trio(1);
    nodes.run_until(secs(2.0));
    let node = nodes.node(first).expect("it runs");
    let elsewhere = SERVER.replace("25000", "25001");
    let error = node.reload(config(&elsewhere)).expect_err("it listens there");
    assert!(error.to_string().contains("datasrc-port"), "{error}");
    nodes.run_until(secs(9.0));
    assert!(nodes.is_up(adapter, "servers") && events(&nodes, 2, "down").is_empty());
}

#[test]
fn a_drain_of_a_node_in_a_handler_loses_nothing() {
    struct Drains;
    impl NodeHandler for Drains {
        fn on_message(&self, peer: &Peer, _payload: &[u8]) {
            for _ in 0..30 {
                peer.send(&[7; 50_000]).expect("there is room");
            }
            assert!(!peer.node().drain(Duration::from_secs(20)), "it does not wait here");
        }
    }
    let mut nodes = Nodes::new(1);
    nodes.set_conditions(Conditions::default().bandwidth(Some(500_000)));
    nodes.start("first", config(SERVER), Drains).expect("it starts");
    nodes.start("adapter", config(ADAPTER), Adapter).expect("it starts");
    nodes.run_until(secs(20.0));
    let records = nodes.records();
    let got = records.iter().filter(|it| it.node == 1 && matches!(it.seen, Seen::Message(_)));
    assert_eq!(got.count(), 30);
    assert_eq!(records.iter().filter(|it| it.node == 0 && it.seen.is("stopped")).count(), 1);
}

#[test]
fn what_is_published_reaches_every_peer_that_is_connected() {
    let (mut nodes, [adapter, first, _], _) = trio(1);
    nodes.run_until(secs(2.0));
    let node = nodes.node(first).expect("it runs");
    let published = node.publish(b"tick").expect("it fits");
    assert_eq!((published.sent, published.not_connected.len()), (1, 0));
    nodes.run_until(secs(2.1));
    let tick = Seen::Message(b"tick".to_vec());
    assert!(nodes.records().iter().any(|record| record.node == 2 && record.seen == tick));
    nodes.apply(Op::Cut { a: adapter, b: first });
    while node.publish(&[0; 1 << 20]).expect("it fits").reached_all_connected() {}
    let full = node.publish(&[0; 1 << 20]).expect("it fits").full;
    assert_eq!(full.iter().map(Peer::name).collect::<Vec<_>>(), ["adapter"]);
}

#[test]
fn a_unix_socket_and_an_address_of_one_machine_are_dialled_too() {
    for (listens, dials) in [
        #[cfg(unix)]
        ("datasrc-interface unix:/run/servers", "addr unix:/run/servers\n"),
        ("datasrc-interface 127.0.0.1\ndatasrc-port 25001", "addr 127.0.0.1\nport 25001\n"),
        ("datasrc-interface 192.0.2.7\ndatasrc-port 25002", "addr 192.0.2.7\nport 25002\n"),
    ] {
        let mut nodes = Nodes::new(1);
        let server = format!("datasrc-name s\n{listens}\nadd-peer\nremote-name c\nend-peer\n");
        let client = format!("datasrc-name c\nadd-peer\nremote-name s\n{dials}end-peer\n");
        nodes.start("s", config(&server), quiet).expect("it starts");
        let client = nodes.start("c", config(&client), quiet).expect("it starts");
        nodes.run_until(secs(1.0));
        assert!(nodes.is_up(client, "s"), "{listens}: {:?}", seen_by(&nodes, 1));
    }
}
