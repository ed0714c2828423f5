//! The numbers of a peer as a record.
//!
//! Counts run over all links that the peer had; measurements are those of the present link, and
//! null while there is none. Fields may be added and are never renamed.

use std::time::Duration;

use super::json::{Object, quoted};
use super::record::begin;
use crate::link::{Explanation, Level, Percentiles};
use crate::node::{Peer, PeerStats};

/// What there is to know of a peer at one moment.
pub(super) struct Numbers {
    stats: PeerStats,
    explained: Option<Explanation>,
    silence: Option<Duration>,
}

impl Numbers {
    pub(super) fn of(peer: &Peer) -> Self {
        let silence = peer.state().link.map(|state| state.silence);
        Self { stats: peer.stats(), explained: peer.explain(), silence }
    }
}

/// The record of a peer's numbers.
pub(super) fn record(at: &str, node: &str, peer: &str, numbers: &Numbers) -> String {
    let Numbers { stats, explained, silence } = numbers;
    let (link, total, explained) = (stats.link.as_ref(), &stats.total, explained.as_ref());
    let object = begin(at, node, "stats", Level::Debug, Some(peer))
        .bool("connected", link.is_some())
        .ms("up_ms", link.map(|link| link.up))
        .number("messages_sent", total.messages_accepted)
        .number("bytes_sent", total.bytes_sent)
        .number("heartbeats_sent", total.heartbeats_sent)
        .number("heartbeats_suppressed", total.heartbeats_suppressed)
        .number("messages_received", total.messages_received)
        .number("bytes_received", total.bytes_received)
        .number("heartbeats_received", total.heartbeats_received)
        .number("queued_messages", link.map_or(0, |link| link.queued_messages))
        .number("queued_bytes", link.map_or(0, |link| link.queued_bytes as u64))
        .number("connects", stats.connects);
    let words = stats.downs.by_reason();
    let downs = words.iter().fold(Object::new(), |object, (word, n)| object.number(word, *n));
    let object = object
        .raw("downs", &downs.finish())
        .number("dial_failures", stats.dial_failures)
        .number("refusals", stats.refusals)
        .ms("heartbeat_time_ms", explained.and_then(|explained| explained.in_force))
        .ms("slack_ms", explained.map(|explained| explained.slack))
        .ms("limit_ms", explained.and_then(|explained| explained.limit))
        .ms("smallest_slack_ms", explained.and_then(|explained| explained.smallest_slack))
        .ms("largest_silence_ms", link.map(|link| link.largest_silence))
        .number("own_late", total.own_late)
        .number("peer_late", total.peer_late)
        .number("stalls", total.stalls)
        .ms("longest_stall_ms", link.map(|link| link.longest_stall));
    let object = percentiles(object, "own_lateness", link.map(|link| &link.own_lateness));
    let object = percentiles(object, "peer_lateness", link.map(|link| &link.peer_lateness));
    let object = percentiles(object, "round_trip", link.map(|link| &link.round_trips))
        .ms("round_trip_last_ms", link.and_then(|link| link.round_trip))
        .ms("round_trip_min_ms", link.and_then(|link| link.round_trip_min));
    explanation(object.ms("silent_ms", *silence), explained).finish()
}

/// Where the values come from, and what they mean.
fn explanation(object: Object, explained: Option<&Explanation>) -> Object {
    let object = match explained {
        Some(explained) => object.string("source", explained.source.as_str()),
        None => object.null("source"),
    };
    let advice = explained.map_or(&[][..], |explained| &explained.advice);
    let advice: Vec<String> = advice.iter().map(quoted).collect();
    object
        .ms("configured_ms", explained.and_then(|explained| explained.configured))
        .ms("received_ms", explained.and_then(|explained| explained.received))
        .raw("advice", &format!("[{}]", advice.join(",")))
}

/// An object of its own, null if nothing was measured.
fn percentiles(object: Object, key: &str, measured: Option<&Percentiles>) -> Object {
    match measured.filter(|measured| measured.count > 0) {
        None => object.null(key),
        Some(measured) => {
            let json = Object::new()
                .number("count", measured.count)
                .ms("p50_ms", measured.p50)
                .ms("p99_ms", measured.p99)
                .ms("p999_ms", measured.p999)
                .ms("max_ms", measured.max);
            object.raw(key, &json.finish())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::Stats;

    #[test]
    fn a_record_has_exactly_its_fields() {
        let ms = Duration::from_millis;
        let spread = Percentiles { count: 3, p50: ms(1), p99: ms(2), p999: ms(2), max: ms(2) };
        let link = Stats {
            queued_messages: 1,
            queued_bytes: 69,
            round_trip: Some(ms(4)),
            round_trip_min: Some(ms(3)),
            peer_lateness: spread,
            largest_silence: ms(1002),
            up: ms(60_000),
            ..Stats::default()
        };
        let mut stats = PeerStats { link: Some(link), connects: 2, ..PeerStats::default() };
        (stats.total.messages_accepted, stats.total.heartbeats_suppressed) = (7, 5);
        stats.downs.silent = 1;
        let record =
            record("T", "n", "p", &Numbers { stats, explained: None, silence: Some(ms(9)) })
                .replace('"', "'");
        assert_eq!(
            record,
            "{'v':1,'at':'T','node':'n','event':'stats','level':'debug','peer':'p',\
             'connected':true,'up_ms':60000,\
             'messages_sent':7,'bytes_sent':0,'heartbeats_sent':0,'heartbeats_suppressed':5,\
             'messages_received':0,'bytes_received':0,'heartbeats_received':0,\
             'queued_messages':1,'queued_bytes':69,'connects':2,\
             'downs':{'silent':1,'write-stalled':0,'closed':0,'eof':0,'io':0,'protocol':0,\
             'replaced':0,'local':0},'dial_failures':0,'refusals':0,'heartbeat_time_ms':null,\
             'slack_ms':null,'limit_ms':null,'smallest_slack_ms':null,\
             'largest_silence_ms':1002,'own_late':0,'peer_late':0,'stalls':0,'longest_stall_ms':0,\
             'own_lateness':null,\
             'peer_lateness':{'count':3,'p50_ms':1,'p99_ms':2,'p999_ms':2,'max_ms':2},\
             'round_trip':null,'round_trip_last_ms':4,'round_trip_min_ms':3,\
             'silent_ms':9,'source':null,'configured_ms':null,'received_ms':null,'advice':[]}"
        );
    }
}
