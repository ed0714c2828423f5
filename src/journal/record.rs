//! Events as JSON, one object each.
//!
//! The fields are an interface that scripts rely on: they may be added to and are never renamed.
//! Times are milliseconds with up to three decimals, null if there is none.

use super::json::Object;
use crate::link::{Down, Level, LinkEvent};
use crate::node::NodeEvent;

/// The record of an event; `peer` is `None` if it is about no peer.
pub(super) fn event(at: &str, node: &str, peer: Option<&str>, event: &NodeEvent) -> String {
    let begin = |word| begin(at, node, word, event.level(), peer);
    let object = match event {
        NodeEvent::Listening { addr } => begin("listening").string("addr", &addr.to_string()),
        NodeEvent::Dialling { addr } => begin("dialling").string("addr", addr),
        NodeEvent::Up { addr, direction, remote_name, remote_label } => begin("up")
            .string("addr", &addr.to_string())
            .string("direction", direction.as_str())
            .string("remote_name", remote_name)
            .string("remote_label", remote_label),
        NodeEvent::Link(event) => self::link(begin(event.as_str()), event),
        NodeEvent::Down(down) => fill_down(begin("down"), down),
        // About a stranger who may only claim to be the peer: it is named as it introduces itself.
        NodeEvent::Refused { addr, name, reason, count, .. } => {
            self::begin(at, node, "refused", event.level(), None)
                .string("addr", &addr.to_string())
                .string("name", name)
                .string("reason", reason.as_str())
                .number("count", *count)
        }
        NodeEvent::DialFailed { addr, reason, detail } => begin("dial-failed")
            .string("addr", addr)
            .string("reason", reason.as_str())
            .string("detail", detail),
        NodeEvent::Retry { wait } => begin("retry").ms("in_ms", *wait),
        NodeEvent::Warning { detail } => begin("warning").string("detail", detail),
        NodeEvent::Stopped => self::begin(at, node, "stopped", event.level(), None),
    };
    object.finish()
}

/// The record of a message.
pub(super) fn data(at: &str, node: &str, peer: &str, bytes: u64) -> String {
    begin(at, node, "data", Level::Debug, Some(peer)).number("bytes", bytes).finish()
}

/// The record of lines that could not be written.
pub(super) fn lost(at: &str, node: &str, lines: u64) -> String {
    begin(at, node, "lost", Level::Error, None).number("lines", lines).finish()
}

/// What every record begins with.
pub(super) fn begin(at: &str, node: &str, word: &str, level: Level, peer: Option<&str>) -> Object {
    let object = Object::new()
        .number("v", 1_u64)
        .string("at", at)
        .string("node", node)
        .string("event", word)
        .string("level", level.as_str());
    match peer {
        Some(peer) => object.string("peer", peer),
        None => object,
    }
}

/// The fields of what happened on a living link.
fn link(object: Object, event: &LinkEvent) -> Object {
    match event {
        LinkEvent::HeartbeatTime { from, to, cause } => {
            object.ms("from_ms", *from).ms("to_ms", *to).string("cause", cause.as_str())
        }
        LinkEvent::Late { silence, count } | LinkEvent::Recovered { silence, count } => {
            object.ms("silent_ms", *silence).number("count", *count)
        }
        LinkEvent::QueueHigh { bytes, count } | LinkEvent::QueueLow { bytes, count } => {
            object.number("queued_bytes", *bytes as u64).number("count", *count)
        }
        LinkEvent::Stalled { late } => object.ms("late_ms", *late),
        LinkEvent::HandlerBusy { held } => object.ms("held_ms", *held),
        LinkEvent::NotReading { behind } => object.ms("behind_ms", *behind),
        LinkEvent::Clamped { asked, floor } => object.ms("asked_ms", *asked).ms("floor_ms", *floor),
        other => {
            let text = other.to_string();
            object.string("detail", text.split_once(": ").map_or(&*text, |(_, detail)| detail))
        }
    }
}

fn fill_down(object: Object, down: &Down) -> Object {
    let object = object
        .string("reason", down.reason.as_str())
        .string("detail", &down.reason.to_string())
        .ms("silent_ms", down.silence)
        .ms("limit_ms", down.limit)
        .ms("heartbeat_time_ms", down.heartbeat_time)
        .ms("slack_ms", down.slack)
        .number("unsent_frames", down.unsent_frames)
        .number("unsent_bytes", down.unsent_bytes);
    let object = match down.unconfirmed_bytes {
        Some(bytes) => object.number("unconfirmed_bytes", bytes),
        None => object.null("unconfirmed_bytes"),
    };
    object.number("undelivered_frames", down.undelivered_frames).ms("up_ms", down.up)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::{Cause, DownReason};
    use crate::node::{DialFailedReason, Direction, Endpoint, RefusedReason};
    use crate::protocol::ByeCode;
    use std::time::Duration;

    fn down(reason: DownReason, heartbeat_time: Option<Duration>) -> NodeEvent {
        let slack = Duration::from_millis(500);
        NodeEvent::Down(Down {
            reason,
            silence: Duration::from_nanos(1_500_000_999),
            limit: heartbeat_time.map(|time| time + slack),
            heartbeat_time,
            slack,
            last_sent_age: Duration::ZERO,
            unsent_frames: 2,
            unsent_bytes: 30,
            unconfirmed_bytes: Some(0),
            undelivered_frames: 0,
            up: Duration::from_micros(61_000_250),
        })
    }

    /// What is particular to the record, with ' for ".
    fn recorded(peer: Option<&str>, event: &NodeEvent) -> String {
        let record = super::event("T", "n", peer, event).replace('"', "'");
        let rest = record.strip_prefix("{'v':1,'at':'T','node':'n','event':");
        let rest = rest.expect("what all have is first");
        let (word, rest) = rest.split_once(",'level':'").expect("then the level");
        let (level, rest) = rest.split_once('\'').expect("a word");
        assert!(["debug", "info", "warn", "error"].contains(&level), "{level}");
        format!("{word}{rest}")
    }

    const NUMBERS: &str = "'silent_ms':1500,'limit_ms':1500,'heartbeat_time_ms':1000,\
        'slack_ms':500,'unsent_frames':2,'unsent_bytes':30,\
        'unconfirmed_bytes':0,'undelivered_frames':0,'up_ms':61000.25}";
    const NO_LIMIT: &str = "'silent_ms':1500,'limit_ms':null,'heartbeat_time_ms':null,\
        'slack_ms':500,'unsent_frames':2,'unsent_bytes':30,\
        'unconfirmed_bytes':0,'undelivered_frames':0,'up_ms':61000.25}";

    #[test]
    fn events_of_the_living_have_exactly_their_fields() {
        let ms = Duration::from_millis;
        let link = NodeEvent::Link;
        let addr = Endpoint::Tcp(ADDR.parse().expect("an address"));
        let up = NodeEvent::Up {
            addr,
            direction: Direction::Accepted,
            remote_name: "n\u{1b}".into(),
            remote_label: String::new(),
        };
        let time = |from, to, cause| link(LinkEvent::HeartbeatTime { from, to, cause });
        let table = [
            (NodeEvent::Dialling { addr: "h:1".into() }, "'dialling','peer':'p','addr':'h:1'}"),
            (
                up,
                "'up','peer':'p','addr':'127.0.0.1:25001','direction':'accepted',\
                 'remote_name':'n\\u001b','remote_label':''}",
            ),
            (
                time(None, ms(1000), Cause::Peer),
                "'heartbeat-time','peer':'p','from_ms':null,'to_ms':1000,'cause':'peer'}",
            ),
            (
                time(Some(ms(5000)), ms(1), Cause::Local),
                "'heartbeat-time','peer':'p','from_ms':5000,'to_ms':1,'cause':'local'}",
            ),
            (
                link(LinkEvent::Late { silence: ms(6), count: 1 }),
                "'late','peer':'p','silent_ms':6,'count':1}",
            ),
            (
                link(LinkEvent::Recovered { silence: ms(7), count: 31 }),
                "'recovered','peer':'p','silent_ms':7,'count':31}",
            ),
            (link(LinkEvent::Stalled { late: ms(8) }), "'stalled','peer':'p','late_ms':8}"),
            (
                link(LinkEvent::Clamped { asked: ms(1), floor: ms(100) }),
                "'clamped','peer':'p','asked_ms':1,'floor_ms':100}",
            ),
            (
                link(LinkEvent::HandlerBusy { held: ms(9) }),
                "'handler-busy','peer':'p','held_ms':9}",
            ),
            (
                link(LinkEvent::NotReading { behind: ms(10) }),
                "'not-reading','peer':'p','behind_ms':10}",
            ),
            (
                link(LinkEvent::QueueHigh { bytes: 11, count: 1 }),
                "'queue-high','peer':'p','queued_bytes':11,'count':1}",
            ),
            (
                NodeEvent::Retry { wait: Duration::from_micros(1_234_567) },
                "'retry','peer':'p','in_ms':1234.567}",
            ),
            (NodeEvent::Warning { detail: "d".into() }, "'warning','peer':'p','detail':'d'}"),
        ];
        for (event, json) in table {
            assert_eq!(recorded(Some("p"), &event), json);
        }
        let data = data("T", "n", "p", 64).replace('"', "'");
        let expected =
            "{'v':1,'at':'T','node':'n','event':'data','level':'debug','peer':'p','bytes':64}";
        assert_eq!(data, expected);
    }

    #[test]
    fn ends_and_failures_have_exactly_their_fields() {
        let addr = Endpoint::Tcp(ADDR.parse().expect("an address"));
        let silent = down(DownReason::Silent, Some(Duration::from_secs(1)));
        assert_eq!(
            recorded(Some("p"), &silent),
            "'down','peer':'p','reason':'silent','detail':'no byte arrived within the limit',"
                .to_owned()
                + NUMBERS
        );
        let closed = down(DownReason::Closed { code: ByeCode(0), text: String::new() }, None);
        assert_eq!(
            recorded(Some("p"), &closed),
            "'down','peer':'p','reason':'closed','detail':'orderly close',".to_owned() + NO_LIMIT
        );
        let refused = NodeEvent::Refused {
            addr: addr.clone(),
            name: "\\".into(),
            reason: RefusedReason::UnknownPeer,
            detail: "d".into(),
            count: 3,
        };
        assert_eq!(
            recorded(Some("p"), &refused),
            "'refused','addr':'127.0.0.1:25001','name':'\\\\','reason':'unknown-peer','count':3}"
        );
        let failed = NodeEvent::DialFailed {
            addr: "h:1".into(),
            reason: DialFailedReason::Timeout,
            detail: "d".into(),
        };
        assert_eq!(
            recorded(Some("p"), &failed),
            "'dial-failed','peer':'p','addr':'h:1','reason':'timeout','detail':'d'}"
        );
        let listening = "'listening','addr':'127.0.0.1:25001'}";
        assert_eq!(recorded(None, &NodeEvent::Listening { addr }), listening);
        assert_eq!(recorded(None, &NodeEvent::Stopped), "'stopped'}");
    }

    const ADDR: &str = "127.0.0.1:25001";
}
