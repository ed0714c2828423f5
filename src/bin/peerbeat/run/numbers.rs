//! The numbers of a peer in words.
//!
//! Counts run over all links that the peer had; measurements are those of the present link, and
//! left out while there is none.

use peerbeat::link::{Explanation, Percentiles, Stats};
use peerbeat::node::PeerStats;

use crate::text::{Count, Measured, Seconds};

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
        let mut link = Stats::default();
        (link.queued_messages, link.queued_bytes) = (1, 69);
        (link.round_trip, link.round_trip_min) = (Some(ms(4)), Some(ms(3)));
        (link.largest_silence, link.up) = (ms(1002), ms(60_000));
        let late = &mut link.peer_lateness;
        (late.count, late.p50, late.p99) = (3, ms(1), ms(2));
        (late.p999, late.max) = (ms(2), ms(2));
        let mut stats = PeerStats::default();
        (stats.link, stats.connects) = (Some(link), 2);
        (stats.total.messages_accepted, stats.total.heartbeats_suppressed) = (7, 5);
        stats.downs.silent = 1;
        stats
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
