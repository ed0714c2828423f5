//! Queries on what was reported and on what passed through the cable.
//!
//! Each answer is taken from the reports alone, so that asking twice gives the same.

use std::time::{Duration, Instant};

use peerbeat::link::LinkEvent;
use peerbeat::node::NodeEvent;

use super::stage::{Report, Seen, Side};
use super::watch::Passed;

/// When `side` first reported such an event.
pub(super) fn at_of(seen: &[Seen], side: Side, is: fn(&NodeEvent) -> bool) -> Option<Instant> {
    seen.iter().find(|seen| seen.event_of(side).is_some_and(is)).map(|seen| seen.at)
}

/// When each side first reported such an event; sides that did not are missing.
pub(super) fn each(seen: &[Seen], is: fn(&NodeEvent) -> bool) -> Vec<Instant> {
    [Side::Feed, Side::Hub].into_iter().filter_map(|side| at_of(seen, side, is)).collect()
}

pub(super) fn is_up(event: &NodeEvent) -> bool {
    matches!(event, NodeEvent::Up { .. })
}

pub(super) fn is_late(event: &NodeEvent) -> bool {
    matches!(event, NodeEvent::Link(LinkEvent::Late { .. }))
}

pub(super) fn is_down(event: &NodeEvent) -> bool {
    matches!(event, NodeEvent::Down(_))
}

/// The reason with which `side` reported the other gone.
pub(super) fn reason(seen: &Seen, side: Side) -> Option<&'static str> {
    match seen.event_of(side)? {
        NodeEvent::Down(down) => Some(down.reason.as_str()),
        _ => None,
    }
}

/// How long the other had been silent when `side` took it for gone, by its own measure.
pub(super) fn silence(seen: &Seen, side: Side) -> Option<Duration> {
    match seen.event_of(side)? {
        NodeEvent::Down(down) => Some(down.silence),
        _ => None,
    }
}

/// The heartbeat-time that the hub, having none, took over.
pub(super) fn learnt(seen: &[Seen]) -> Option<Duration> {
    seen.iter().find_map(|seen| match seen.event_of(Side::Hub)? {
        NodeEvent::Link(LinkEvent::HeartbeatTime { from: None, to, .. }) => Some(*to),
        _ => None,
    })
}

/// The messages that reached the hub.
pub(super) fn messages(seen: &[Seen]) -> Vec<&[u8]> {
    let to_hub = seen.iter().filter(|seen| seen.side == Side::Hub);
    to_hub
        .filter_map(|seen| match &seen.report {
            Report::Message(payload) => Some(payload.as_slice()),
            Report::Event(_) => None,
        })
        .collect()
}

/// The times between one frame of `side` and the next, if the next passed after `from`.
pub(super) fn gaps_after(passed: &[Passed], side: Side, from: Instant) -> Vec<Duration> {
    let times: Vec<Instant> = passed.iter().filter(|f| f.from == side).map(|f| f.at).collect();
    let pairs = times.windows(2).filter(|pair| pair[1] > from);
    pairs.map(|pair| pair[1].saturating_duration_since(pair[0])).collect()
}
