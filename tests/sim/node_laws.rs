//! Every invariant of nodes can fail: honest records pass, and each of these changed ones is caught
//! by its invariant.
//!
//! The records are of an adapter whose server dies and comes back.

use std::time::Duration;

use peerbeat::node::NodeEvent;
use peerbeat::sim::{NodeInvariant, NodeInvariants, NodeRecord, Nodes, Op, Seen, secs};

use super::nodes::{ADAPTER, Adapter, SERVER, config};

/// What the adapter reported until it had stopped.
fn honest() -> Vec<NodeRecord> {
    let mut nodes = Nodes::new(3);
    let echo = |peer: &peerbeat::node::Peer, payload: &[u8]| drop(peer.try_send(payload));
    let server = nodes.start("first", config(SERVER), echo).expect("it starts");
    let adapter = nodes.start("adapter", config(ADAPTER), Adapter).expect("it starts");
    nodes.at(secs(5.0), Op::Kill { host: server });
    nodes.at(secs(30.0), Op::Start { host: server });
    nodes.run_until(secs(60.0));
    nodes.node(adapter).expect("it runs").shutdown();
    nodes.run_until(secs(70.0));
    nodes.take_records().into_iter().filter(|record| record.node == 1).collect()
}

fn broken(records: &[NodeRecord]) -> Option<NodeInvariant> {
    let mut laws = NodeInvariants::new();
    laws.configure(1, &config(ADAPTER));
    laws.judge_all(records).err().map(|violation| violation.invariant)
}

fn find(records: &[NodeRecord], word: &str) -> usize {
    records.iter().position(|record| record.seen.is(word)).expect("it is in the records")
}

#[test]
fn honest_records_pass() {
    let records = honest();
    assert_eq!(broken(&records), None);
    for word in ["up", "down", "retry", "dial-failed", "stopped"] {
        find(&records, word);
    }
}

#[test]
fn an_up_or_a_down_too_many_or_too_few_is_seen() {
    for word in ["up", "down"] {
        let mut twice = honest();
        let index = find(&twice, word);
        twice.insert(index, twice[index].clone());
        assert_eq!(broken(&twice), Some(NodeInvariant::UpThenDown), "{word}");
    }
    let mut without = honest();
    without.remove(find(&without, "down"));
    assert_eq!(broken(&without), Some(NodeInvariant::UpThenDown));
}

#[test]
fn a_message_after_the_end_is_seen() {
    let mut records = honest();
    let is_message = |record: &NodeRecord| matches!(record.seen, Seen::Message(_));
    let message = records.iter().position(is_message).expect("the server echoes");
    let message = records.remove(message);
    let down = find(&records, "down");
    records.insert(down + 1, message);
    assert_eq!(broken(&records), Some(NodeInvariant::MessagesBetween));
}

#[test]
fn a_wait_that_is_too_long_and_a_dial_that_is_too_early_are_seen() {
    let mut long = honest();
    let index = find(&long, "retry");
    long[index].seen = Seen::Event(NodeEvent::Retry { wait: Duration::from_millis(501) });
    assert_eq!(broken(&long), Some(NodeInvariant::WaitsWithinBounds));

    let mut early = honest();
    let retry = find(&early, "retry");
    let dial = retry + find(&early[retry..], "dialling");
    early[dial].at = early[dial].at - Duration::from_nanos(1);
    assert_eq!(broken(&early), Some(NodeInvariant::WaitsAreKept));
}

#[test]
fn what_comes_after_stopped_and_a_peer_that_is_still_up_then_are_seen() {
    let mut records = honest();
    let last = records.len() - 1;
    assert_eq!(find(&records, "stopped"), last);
    records.swap(last - 1, last);
    assert_eq!(broken(&records), Some(NodeInvariant::StoppedIsLast), "it was up");
    let mut records = honest();
    records.push(records[0].clone());
    assert_eq!(broken(&records), Some(NodeInvariant::StoppedIsLast));
}
