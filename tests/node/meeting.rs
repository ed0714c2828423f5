//! Two nodes that share only their configurations.

use std::time::Duration;

use peerbeat::link::{DownReason, LinkEvent, SendError};
use peerbeat::node::{Direction, Node, NodeEvent, NodeOptions, StartError};

use crate::common::*;

const SERVER: &str = "
    datasrc-name transformer1
    datasrc-port auto
    datasrc-interface 127.0.0.1
    add-peer
        remote-name    PricingAdapter1
        remote-label   PricingAdapter1
        heartbeat-time 1
    end-peer";

fn adapter(ports: &str) -> String {
    format!(
        "datasrc-name PricingAdapter1-myhost
        datasrc-local-label PricingAdapter1
        reconnect-time-min 0.05
        reconnect-time-max 0.2
        add-peer
            remote-name    transformer1
            addr           127.0.0.1
            port           {ports}
            heartbeat-time 0
        end-peer"
    )
}

#[test]
fn an_adapter_and_a_server_meet_and_exchange_both_ways() {
    let (server, server_book) = start(SERVER);
    let port = addr(&server).port();
    let (client, client_book) = start(&adapter(&port.to_string()));
    server_book.wait_up("PricingAdapter1", 1);
    client_book.wait_up("transformer1", 1);

    let up = server_book.all().into_iter().find(Seen::is_up).unwrap();
    let Some(NodeEvent::Up { direction, remote_name, remote_label, .. }) = up.event() else {
        panic!()
    };
    assert_eq!(*direction, Direction::Accepted);
    assert_eq!(
        (remote_name.as_str(), remote_label.as_str()),
        ("PricingAdapter1-myhost", "PricingAdapter1")
    );

    let adapter = server.peer("PricingAdapter1").unwrap();
    let transformer = client.peer("transformer1").unwrap();
    assert!(adapter.is_up() && transformer.is_up());
    adapter.send(b"to the adapter").unwrap();
    transformer.try_send(b"").unwrap();
    transformer.send_timeout(b"to the server", Duration::from_secs(1)).unwrap();
    client_book.wait_for("message", |book| {
        book.iter().find(|s| s.what == What::Message(b"to the adapter".to_vec())).map(drop)
    });
    server_book.wait_count("messages", 2, |seen| matches!(seen.what, What::Message(_)));

    // One configured side is enough: the adapter begins with nothing and hears of one second.
    let to = client_book.wait_for("heartbeat-time", |book| {
        book.iter().find_map(|seen| match seen.event() {
            Some(NodeEvent::Link(LinkEvent::HeartbeatTime { from: None, to, .. })) => Some(*to),
            _ => None,
        })
    });
    assert_eq!(to, Duration::from_secs(1));
    assert_eq!(transformer.heartbeat_time(), Some(Duration::from_secs(1)));

    client.shutdown();
    assert!(client.join());
    let down = server_book.wait_down("PricingAdapter1", 1);
    assert!(matches!(down.reason, DownReason::Closed { code, .. } if code.0 == 0), "{down}");
    assert!(!adapter.is_up());
    drop(server);
    assert!(matches!(adapter.send(b"late"), Err(SendError::NotConnected)));
    server_book.assert_ordered();
    client_book.assert_ordered();
    assert_eq!(client_book.all().last().unwrap().event(), Some(&NodeEvent::Stopped));
    let local = client_book.wait_down("transformer1", 1);
    assert!(matches!(local.reason, DownReason::Local { .. }), "{local}");
}

// lesson 67
#[test]
fn a_dead_address_is_passed_over_for_the_next() {
    let (server, server_book) = start(SERVER);
    let port = addr(&server).port();
    let dead = { listener().1 };
    let (client, book) = start(&adapter(&format!("{dead} {port}")));
    book.wait_up("transformer1", 1);
    server_book.wait_up("PricingAdapter1", 1);
    let events: Vec<_> = book.all().iter().filter_map(|seen| seen.event().cloned()).collect();
    assert!(
        matches!(&events[0], NodeEvent::Dialling { addr } if addr.ends_with(&format!(":{dead}")))
    );
    let NodeEvent::DialFailed { addr, reason, detail } = &events[1] else { panic!("{events:?}") };
    assert_eq!((addr.as_str(), reason.as_str()), (format!("127.0.0.1:{dead}").as_str(), "connect"));
    assert!(detail.contains("refused"), "{detail}");
    assert!(
        matches!(&events[2], NodeEvent::Dialling { addr } if addr.ends_with(&format!(":{port}")))
    );
    drop(client);
    book.assert_ordered();
}

#[test]
fn names_and_handles_lead_to_the_peers() {
    let (server, _book) = start(SERVER);
    assert!(server.peer("nobody").is_none());
    let peer = server.peer("PricingAdapter1").unwrap();
    assert_eq!(peer.name(), server.peers()[0].name());
    assert_eq!(peer.config().remote_label(), Some("PricingAdapter1"));
    assert!(!peer.is_up());
    assert_eq!(peer.send(b"x"), Err(SendError::NotConnected));
    peer.close();
    assert_eq!(peer.node().local_addrs(), server.local_addrs());
    assert!(format!("{peer:?} {server:?}").contains("PricingAdapter1"));
}

#[test]
fn a_port_in_use_is_named_and_nothing_is_left_behind() {
    let (taken, port) = listener();
    let book = Recorder::default();
    let text = format!("datasrc-interface 127.0.0.1\ndatasrc-port {port}\n{}", adapter("1"));
    let error = Node::start(config(&text), book.clone()).unwrap_err();
    assert!(matches!(&error, StartError::Listen { .. }));
    let text = error.to_string();
    assert!(text.starts_with(&format!("cannot listen on 127.0.0.1:{port}: ")), "{text}");
    assert!(text.contains(&format!("port {port}")) && text.contains("datasrc-port"), "{text}");
    assert_eq!(book.all(), []);
    drop(taken);
}

// lesson 67
#[test]
fn every_interface_is_reached_over_ipv4_and_ipv6() {
    let (server, book) = start(
        "datasrc-port auto
        add-peer
            remote-name four
        end-peer
        add-peer
            remote-name six
        end-peer",
    );
    let port = addr(&server).port();
    let _four = Mock::greet(([127, 0, 0, 1], port).into(), "four");
    book.wait_up("four", 1);
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        skip::say_skipped("every interface over IPv6", "there is none here");
        return;
    }
    let _six = Mock::greet(([0, 0, 0, 0, 0, 0, 0, 1], port).into(), "six");
    book.wait_up("six", 1);
    let listening = book.count(|seen| matches!(seen.event(), Some(NodeEvent::Listening { .. })));
    assert_eq!(listening, server.local_addrs().len());
}

#[test]
fn several_interfaces_share_the_port_and_repeats_do_no_harm() {
    let (server, _book) = start(
        "datasrc-port auto
        datasrc-interface 127.0.0.1 127.0.0.2 127.0.0.1",
    );
    let addrs = server.local_addrs();
    assert_eq!(addrs.len(), 2);
    assert_eq!(addrs[0].port(), addrs[1].port());
    let error =
        Node::start(config("datasrc-port auto\ndatasrc-interface 192.0.2.1"), Recorder::default());
    let text = error.unwrap_err().to_string();
    assert!(text.contains("192.0.2.1") && text.contains("datasrc-interface"), "{text}");
}

#[test]
fn a_node_without_threads_does_not_start_and_names_the_limit() {
    let mut options = NodeOptions::default();
    // More than any machine can address, an emulated one on a larger one included.
    options.stack_size = usize::try_from(1u64 << 61).unwrap_or(usize::MAX / 4 * 3);
    let book = Recorder::default();
    let error = Node::start_with(config(SERVER), book.clone(), options).unwrap_err();
    assert!(matches!(&error, StartError::Thread { .. }));
    let text = error.to_string();
    assert!(text.starts_with("cannot start: no thread left"), "{text}");
    assert!(text.contains("ulimit -u"), "{text}");
    assert_eq!(book.all(), []);
}
