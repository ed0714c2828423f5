//! One message to all peers, or to some, and what the report says of each.

use peerbeat::link::SendError;

use crate::common::*;

const TEXT: &str = "datasrc-name hub
    datasrc-interface 127.0.0.1
    datasrc-port auto
    node-queue-bytes 300000
    add-peer
        remote-name one
    end-peer
    add-peer
        remote-name two
    end-peer
    add-peer
        remote-name absent
    end-peer";

#[test]
fn a_message_reaches_every_peer_that_is_connected_in_order() {
    let (node, book) = start(TEXT);
    let mut mocks = ["one", "two"].map(|name| Mock::greet(addr(&node), name));
    for name in ["one", "two"] {
        book.wait_up(name, 1);
    }
    for tick in 0..1000u32 {
        let published = node.publish(&tick.to_be_bytes()).unwrap();
        assert_eq!((published.sent, published.not_connected.len()), (2, 1));
        assert_eq!(published.not_connected[0].name(), "absent");
        assert!(published.reached_all_connected());
    }
    let peer = node.peer("one").unwrap();
    assert_eq!(node.send_to_all(&[peer], b"to one").unwrap().sent, 1);
    node.publish(b"last").unwrap();
    for mock in &mut mocks {
        for tick in 0..1000u32 {
            assert_eq!(mock.expect_data(), tick.to_be_bytes());
        }
    }
    assert_eq!(mocks[0].expect_data(), b"to one");
    for mock in &mut mocks {
        assert_eq!(mock.expect_data(), b"last");
    }
    let unfit = node.publish(&vec![0; 17 << 20]);
    assert!(matches!(unfit, Err(SendError::Unfit(_))), "{unfit:?}");
}

#[test]
fn a_peer_that_reads_nothing_is_reported_as_full_within_the_budget_of_the_node() {
    let (node, book) = start(TEXT);
    let mut mocks = ["one", "two"].map(|name| Mock::greet(addr(&node), name));
    for name in ["one", "two"] {
        book.wait_up(name, 1);
    }
    let mut sent = 0;
    // What kernels hold comes first, and the one who reads has it all.
    let full = loop {
        let published = node.publish(&[7; 10_000]).unwrap();
        assert!(published.down.is_empty());
        sent += 1;
        assert_eq!(mocks[1].expect_data(), [7; 10_000]);
        if let [full] = &published.full[..] {
            break full.clone();
        }
        assert_eq!(published.sent, 2);
    };
    assert_eq!(full.name(), "one");
    let queued = |name: &str| node.peer(name).unwrap().stats().link.unwrap().queued_bytes;
    assert!(queued("one") <= 300_000, "{}", queued("one"));
    // A larger budget is in force at once.
    node.reload(config(&TEXT.replace("300000", "3000000"))).unwrap();
    assert!(node.publish(&[7; 10_000]).unwrap().full.is_empty());
    for _ in 0..sent {
        assert_eq!(mocks[0].expect_data(), [7; 10_000]);
    }
}
