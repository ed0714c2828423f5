//! Events in plain words, one line each.
//!
//! A person who knows nothing of this program reads what happened, with numbers and their units,
//! and for an end what it means and what to look at. Text of a peer's is escaped.

use peerbeat::link::{Cause, Down, DownReason};
use peerbeat::node::Event;
use peerbeat::protocol::ByeCode;

use crate::text::{Count, Escaped, Measured, Seconds};

/// A whole line: when, which peer, what. `width` is what the peers' names take.
pub(super) fn of(at: &str, width: usize, peer: Option<&str>, what: &str) -> String {
    let peer = Escaped(peer.unwrap_or("-")).to_string();
    format!("{at}  {peer:width$}  {what}")
}

/// What happened.
pub(super) fn event(event: &Event) -> String {
    match event {
        Event::Listening { addr } => format!("listening on {addr}"),
        Event::Dialling { addr } => format!("dialling {}", Escaped(addr)),
        Event::Up { addr, direction, remote_name, remote_label } => {
            let name = Escaped(remote_name);
            let up = format!("up: {} {addr}, which calls itself \"{name}\"", direction.as_str());
            match &**remote_label {
                "" => up,
                label => format!("{up}, label \"{}\"", Escaped(label)),
            }
        }
        Event::HeartbeatTime { from, to, cause } => heartbeat_time(*from, *to, *cause),
        Event::Late { silence } => format!(
            "late: nothing arrived for {}; a warning, the link is still up",
            Measured(*silence)
        ),
        Event::Recovered { silence } => {
            format!("recovered: it was silent for {} and speaks again", Measured(*silence))
        }
        Event::Stalled { late } => format!(
            "stalled: this process itself was stopped or starved (a wait ended {} late); the peer \
             is not blamed and gets one more slack",
            Measured(*late)
        ),
        Event::Clamped { asked, floor } => format!(
            "clamped: the peer asked for heartbeat-time {}, it gets {} (heartbeat-time-min)",
            Seconds(*asked),
            Seconds(*floor)
        ),
        Event::Down(down) => self::down(down),
        Event::Refused { addr, name, reason, detail } => format!(
            "refused: a connection from {addr}, name \"{}\": {}: {}",
            Escaped(name),
            reason.as_str(),
            Escaped(detail)
        ),
        Event::DialFailed { addr, reason, detail } => {
            format!("dial failed: {}: {}: {}", Escaped(addr), reason.as_str(), Escaped(detail))
        }
        Event::Retry { wait } => format!("retry: the next dial begins in {}", Measured(*wait)),
        Event::Warning { detail } => format!("warning: {}", Escaped(detail)),
        Event::Stopped => "stopped".to_owned(),
        other => format!("{other:?}"),
    }
}

/// A message arrived.
pub(super) fn data(bytes: u64) -> String {
    format!("data: {}", Count(bytes, "byte"))
}

fn heartbeat_time(
    from: Option<std::time::Duration>,
    to: std::time::Duration,
    cause: Cause,
) -> String {
    let before = from.map_or("none".to_owned(), |from| Seconds(from).to_string());
    let who = match cause {
        Cause::Peer => "the peer asked for it",
        Cause::Local => "this side asked for it",
    };
    format!("heartbeat-time: {}, before: {before}; {who}", Seconds(to))
}

fn down(down: &Down) -> String {
    let mut text = format!(
        "down: {}: {}. {}. Silent for {}, ",
        down.reason.as_str(),
        Escaped(&down.reason.to_string()),
        meaning(&down.reason),
        Measured(down.silence)
    );
    text += &match (down.limit, down.heartbeat_time) {
        (Some(limit), Some(time)) => format!(
            "limit {} (heartbeat-time {} + slack {})",
            Seconds(limit),
            Seconds(time),
            Seconds(down.slack)
        ),
        _ => "no limit (no heartbeat-time in force)".to_owned(),
    };
    text += &format!("; was up for {}", Measured(down.up));
    if down.unsent_frames > 0 {
        let messages = Count(down.unsent_frames, "message");
        text += &format!("; {messages} ({}) not sent", Count(down.unsent_bytes, "byte"));
    }
    text
}

/// What an end means for whoever has to act on it.
fn meaning(reason: &DownReason) -> &'static str {
    match reason {
        DownReason::Silent => {
            "The peer, its machine or the network between is gone, and nobody closed the connection"
        }
        DownReason::WriteStalled { .. } => {
            "The peer's program hangs or is too slow: it reads nothing of what is sent to it"
        }
        DownReason::Closed { code: ByeCode::CLOSE | ByeCode::SHUTTING_DOWN, .. } => {
            "The peer ended it on purpose"
        }
        DownReason::Closed { .. } => "The peer did not want this connection: see its log",
        DownReason::Eof => {
            "The peer's process ended without a goodbye, or something between cut the connection"
        }
        DownReason::Io { .. } => {
            "The system reports the connection broken, by the peer's machine or something between"
        }
        DownReason::Protocol(_) => {
            "What runs at the other end does not speak this protocol, or the bytes were damaged"
        }
        DownReason::Replaced => "Nothing is lost but what was under way",
        DownReason::Local { .. } => "This side ended it on purpose",
        _ => "See the README",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn an_end_is_told_with_its_meaning_and_numbers() {
        let mut end = Down {
            reason: DownReason::Silent,
            silence: Duration::from_micros(7_000_300),
            limit: Some(Duration::from_secs(7)),
            heartbeat_time: Some(Duration::from_secs(5)),
            slack: Duration::from_secs(2),
            last_sent_age: Duration::ZERO,
            unsent_frames: 1,
            unsent_bytes: 69,
            up: Duration::from_millis(90_500),
        };
        assert_eq!(
            event(&Event::Down(end.clone())),
            "down: silent: no byte arrived for the limit. The peer, its machine or the network \
             between is gone, and nobody closed the connection. Silent for 7.0003 s, limit 7 s \
             (heartbeat-time 5 s + slack 2 s); was up for 90.5000 s; 1 message (69 bytes) not sent"
        );
        end.reason =
            DownReason::Closed { code: ByeCode::UNKNOWN_PEER, text: "\u{1b}[2J who?".into() };
        (end.limit, end.heartbeat_time, end.unsent_frames) = (None, None, 0);
        assert_eq!(
            event(&Event::Down(end)),
            "down: closed: refused: peer not known here: \\u{1b}[2J who?. The peer did not want \
             this connection: see its log. Silent for 7.0003 s, no limit (no heartbeat-time in \
             force); was up for 90.5000 s"
        );
    }

    #[test]
    fn text_of_peers_is_escaped_and_names_make_a_column() {
        let warning = Event::Warning { detail: "\u{1b}]0;x\u{7}".into() };
        assert_eq!(
            of("T", 4, Some("p\n"), &event(&warning)),
            "T  p\\n   warning: \\u{1b}]0;x\\u{7}"
        );
        assert_eq!(of("T", 0, None, &event(&Event::Stopped)), "T  -  stopped");
    }
}
