//! One peer in detail: its values in force and why, its silences, ends, and what to make of it.
//!
//! It puts the journal's `stats` into words and adds nothing.

use std::time::Duration;

use super::frame::{Size, cut, head, painted, state, time_of_day};
use super::model::{Model, PeerRow};
use super::units::{amount, long, span};
use crate::text::{Escaped, Seconds, wrapped};

/// The picture of one peer, one line less than the screen has.
pub(crate) fn frame(
    model: &Model,
    name: &str,
    peer: &PeerRow,
    size: Size,
    now: Duration,
    (colours, has_keys): (bool, bool),
) -> Vec<String> {
    let mut lines = vec![head(model, now).remove(0), String::new()];
    let title = format!("{}  {}", Escaped(name), state(peer, now));
    lines.push(painted(title, peer.state, colours));
    lines.extend(body(peer, now).iter().flat_map(|line| {
        let text = wrapped(line, size.columns, INDENT);
        text.lines().map(str::to_owned).collect::<Vec<_>>()
    }));
    let keys = if has_keys { "[esc] all peers  [up] [down] another  [q]uit" } else { "" };
    // The last events of the peer, as far as there is room.
    let room = size.lines.saturating_sub(1 + lines.len() + 2);
    let own = model.events.iter().rev().filter(|event| event.peer == name).take(room.min(6));
    let events: Vec<String> =
        own.map(|event| format!("  {}  {}", time_of_day(event.at), event.text)).collect();
    lines.push(String::new());
    lines.extend(events.into_iter().rev());
    lines.truncate(size.lines.saturating_sub(2).max(1));
    lines.push(keys.to_owned());
    lines.iter().map(|line| cut(line, size.columns)).collect()
}

/// The lines about one peer; `label` is in the first columns.
pub(crate) fn body(peer: &PeerRow, now: Duration) -> Vec<String> {
    let numbers = &peer.numbers;
    let mut lines = Vec::new();
    let mut say = |label: &str, text: String| lines.push(format!("  {label:<15} {text}"));
    if !peer.addr.is_empty() {
        let name = match &*peer.remote_name {
            "" => String::new(),
            name => format!(", calls itself \"{}\"", Escaped(name)),
        };
        let direction = if peer.direction.is_empty() { "" } else { ", " };
        let addr = Escaped(&peer.addr);
        say("address", format!("{addr}{direction}{}{name}", Escaped(&peer.direction)));
    }
    if !peer.dialling.is_empty() {
        say("dialling", Escaped(&peer.dialling).to_string());
    }
    match (peer.silence_at(now), numbers.limit) {
        (Some(silence), Some(limit)) => {
            let mut text = format!("{} of {}, then it is down", span(silence), Seconds(limit));
            if let Some(longest) = numbers.largest_silence {
                text += &format!("; longest so far {}", span(longest));
            }
            say("silent", text);
        }
        (Some(silence), None) => say("silent", format!("{}, and there is no limit", span(silence))),
        (None, _) => {}
    }
    if let Some(beat) = numbers.beat {
        say("heartbeat-time", explained(beat, peer));
    }
    if !peer.silences.is_empty() {
        say("silences", strip(peer));
        say("", "each against the limit: . under 1/5, : - = and # over 4/5".to_owned());
    }
    let late = |[p50, p99, p999, max]: [Duration; 4]| {
        let [p50, p99, p999, max] = [p50, p99, p999, max].map(span);
        format!("{p50} (p50)  {p99} (p99)  {p999} (p99.9)  {max} (max)")
    };
    if let Some(lateness) = numbers.peer_lateness {
        say("it was late by", late(lateness));
    }
    if let Some(lateness) = numbers.own_lateness {
        say("we were late by", late(lateness));
    }
    if let (Some(last), Some(least)) = (numbers.round_trip, numbers.round_trip_min) {
        say("round trip", format!("{} last, {} least", span(last), span(least)));
    }
    let count = |messages: u64, bytes: u64| {
        format!("{} messages, {}B", amount(messages as f64), amount(bytes as f64))
    };
    let received = count(numbers.messages_in, numbers.bytes_in);
    let sent = count(numbers.messages_out, numbers.bytes_out);
    say(
        "traffic",
        format!("in {received}; out {sent}; {} queued", amount_bytes(numbers.queued_bytes)),
    );
    let ends: Vec<String> =
        peer.ends.iter().map(|(reason, count)| format!("{} {count}", Escaped(reason))).collect();
    let ends = if ends.is_empty() { "none".to_owned() } else { ends.join("  ") };
    say("ends", format!("{ends}; failed dials {}", numbers.dial_failures));
    for advice in &numbers.advice {
        say("advice", Escaped(advice).to_string());
    }
    lines
}

fn amount_bytes(bytes: u64) -> String {
    format!("{}B", amount(bytes as f64))
}

/// The value in force and why, as far as the journal contains it.
fn explained(beat: Duration, peer: &PeerRow) -> String {
    let numbers = &peer.numbers;
    let why = match numbers.source.as_deref() {
        Some("configured") => ", configured here",
        Some("peer") => ", the peer asked for it",
        Some("set") => ", set here while the link was up",
        Some("given") => ", settled by the handshake",
        _ => "",
    };
    let or_none =
        |time: Option<Duration>| time.map_or("none".to_owned(), |t| Seconds(t).to_string());
    let mut text = format!("{}{why}", Seconds(beat));
    if let Some(slack) = numbers.slack {
        text += &format!(" + slack {}", Seconds(slack));
        let (own, peer) = (or_none(numbers.configured), or_none(numbers.received));
        text += &format!(" (configured {own}, the peer asked for {peer})");
    }
    text
}

/// The last silences, one character each.
fn strip(peer: &PeerRow) -> String {
    let shown = |part: &f64| match part {
        part if *part < 0.2 => '.',
        part if *part < 0.4 => ':',
        part if *part < 0.6 => '-',
        part if *part < 0.8 => '=',
        _ => '#',
    };
    peer.silences.iter().map(shown).collect()
}

/// All peers and totals, without a screen: the report of a journal.
pub(crate) fn totals(model: &Model) -> Vec<String> {
    let sum = |number: fn(&PeerRow) -> u64| model.peers.values().map(number).sum::<u64>() as f64;
    let time = model.first.map_or(Duration::ZERO, |first| model.last.saturating_sub(first));
    let connects = sum(|peer| peer.numbers.connects);
    let ends = sum(|peer| peer.ends.values().sum());
    let mut lines = vec![
        String::new(),
        format!(
            "totals of {}: {} ups, {} ends, {} failed dials",
            long(time),
            amount(connects),
            amount(ends),
            amount(sum(|peer| peer.numbers.dial_failures)),
        ),
        format!(
            "in {} messages, {}B; out {} messages, {}B",
            amount(sum(|peer| peer.numbers.messages_in)),
            amount(sum(|peer| peer.numbers.bytes_in)),
            amount(sum(|peer| peer.numbers.messages_out)),
            amount(sum(|peer| peer.numbers.bytes_out)),
        ),
    ];
    if model.skipped > 0 {
        lines.push(format!("{} lines were no records, and skipped", model.skipped));
    }
    lines
}

const INDENT: usize = 18;
