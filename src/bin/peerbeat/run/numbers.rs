//! The numbers of a peer, as a record and as a line.
//!
//! Counts run over all links that the peer had; what was measured is of the present link, and null
//! or left out while there is none. Fields may be added at the end and are never renamed.

use peerbeat::link::{Explanation, Percentiles, Stats};
use peerbeat::node::PeerStats;
use peerbeat::text::{Count, Measured, Seconds};

use crate::json::Object;

/// The record of a peer's numbers.
pub(super) fn record(
    at: &str,
    peer: &str,
    stats: &PeerStats,
    explained: Option<&Explanation>,
) -> String {
    let (link, total) = (stats.link.as_ref(), &stats.total);
    let object = Object::new()
        .string("at", at)
        .string("event", "stats")
        .string("peer", peer)
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
        .number("stalls", total.stalls)
        .ms("longest_stall_ms", link.map(|link| link.longest_stall));
    let object = spread(object, "own_lateness", link.map(|link| &link.own_lateness));
    let object = spread(object, "peer_lateness", link.map(|link| &link.peer_lateness));
    spread(object, "round_trip", link.map(|link| &link.round_trips))
        .ms("round_trip_last_ms", link.and_then(|link| link.round_trip))
        .ms("round_trip_min_ms", link.and_then(|link| link.round_trip_min))
        .finish()
}

/// An object of its own, null where nothing was measured.
fn spread(object: Object, key: &str, spread: Option<&Percentiles>) -> Object {
    match spread.filter(|spread| spread.count > 0) {
        None => object.null(key),
        Some(spread) => {
            let json = Object::new()
                .number("count", spread.count)
                .ms("p50_ms", spread.p50)
                .ms("p99_ms", spread.p99)
                .ms("p999_ms", spread.p999)
                .ms("max_ms", spread.max);
            object.raw(key, &json.finish())
        }
    }
}

/// The numbers in words.
pub(super) fn line(stats: &PeerStats, explained: Option<&Explanation>) -> String {
    let total = &stats.total;
    let mut text = format!(
        "stats: sent {} ({}), {} and {} needless; received {} ({}), {}",
        Count(total.messages_accepted, "message"),
        Count(total.bytes_sent, "byte"),
        Count(total.heartbeats_sent, "heartbeat"),
        total.heartbeats_suppressed,
        Count(total.messages_received, "message"),
        Count(total.bytes_received, "byte"),
        Count(total.heartbeats_received, "heartbeat"),
    );
    match &stats.link {
        Some(link) => text += &of_link(link),
        None => text += "; not connected",
    }
    let ends: Vec<String> = (stats.downs.by_reason().iter().filter(|(_, n)| *n > 0))
        .map(|(word, count)| format!("{word} {count}"))
        .collect();
    text += &format!("; came up {}", Count(stats.connects, "time"));
    if !ends.is_empty() {
        text += &format!(", went down: {}", ends.join(", "));
    }
    if stats.dial_failures + stats.refusals > 0 {
        text += &format!(
            "; {}, {}",
            Count(stats.dial_failures, "failed dial"),
            Count(stats.refusals, "refusal")
        );
    }
    if let Some(explained) = explained {
        if let Some(value) = explained.in_force {
            let slack = Seconds(explained.slack);
            text += &format!("; heartbeat-time {} + slack {slack}", Seconds(value));
        }
        if let Some(advice) = explained.advice.first() {
            text += &format!("; advice: {advice}");
        }
    }
    text
}

fn of_link(link: &Stats) -> String {
    let late = |spread: &Percentiles| {
        let Percentiles { p50, p999, max, .. } = spread;
        format!("{p50:.1?} (p50), {p999:.1?} (p99.9), {max:.1?} (max)")
    };
    let mut text = format!("; up for {}", Measured(link.up));
    if link.peer_lateness.count > 0 {
        text += &format!("; the peer was late by {}", late(&link.peer_lateness));
    }
    if link.own_lateness.count > 0 {
        text += &format!("; we by {}", late(&link.own_lateness));
    }
    text += &format!("; longest silence {}", Measured(link.largest_silence));
    if let (Some(last), Some(least)) = (link.round_trip, link.round_trip_min) {
        text += &format!("; round trip {last:.1?}, least {least:.1?}");
    }
    if link.queued_bytes > 0 {
        let bytes = Count(link.queued_bytes as u64, "byte");
        text += &format!("; {bytes} wait to be sent");
    }
    if link.stalls > 0 {
        let (times, longest) = (Count(link.stalls, "time"), Measured(link.longest_stall));
        text += &format!("; this process was stopped {times}, up to {longest}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn stats() -> PeerStats {
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
        stats
    }

    #[test]
    fn a_record_has_exactly_its_fields() {
        let record = record("T", "p", &stats(), None).replace('"', "'");
        assert_eq!(
            record,
            "{'at':'T','event':'stats','peer':'p','connected':true,'up_ms':60000,\
             'messages_sent':7,'bytes_sent':0,'heartbeats_sent':0,'heartbeats_suppressed':5,\
             'messages_received':0,'bytes_received':0,'heartbeats_received':0,\
             'queued_messages':1,'queued_bytes':69,'connects':2,\
             'downs':{'silent':1,'write-stalled':0,'closed':0,'eof':0,'io':0,'protocol':0,\
             'replaced':0,'local':0},'dial_failures':0,'refusals':0,'heartbeat_time_ms':null,\
             'slack_ms':null,'limit_ms':null,'smallest_slack_ms':null,\
             'largest_silence_ms':1002,'own_late':0,'stalls':0,'longest_stall_ms':0,\
             'own_lateness':null,\
             'peer_lateness':{'count':3,'p50_ms':1,'p99_ms':2,'p999_ms':2,'max_ms':2},\
             'round_trip':null,'round_trip_last_ms':4,'round_trip_min_ms':3}"
        );
    }

    #[test]
    fn a_line_says_what_there_is_with_units() {
        assert_eq!(
            line(&stats(), None),
            "stats: sent 7 messages (0 bytes), 0 heartbeats and 5 needless; received 0 messages \
             (0 bytes), 0 heartbeats; up for 60.0000 s; the peer was late by 1.0ms (p50), \
             2.0ms (p99.9), 2.0ms (max); longest silence 1.0020 s; round trip 4.0ms, least \
             3.0ms; 69 bytes wait to be sent; came up 2 times, went down: silent 1"
        );
        let none = PeerStats::default();
        assert!(line(&none, None).ends_with("; not connected; came up 0 times"));
    }
}
