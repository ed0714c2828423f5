//! Events in plain words, one line each.
//!
//! A person who knows nothing of this program reads what happened, with numbers and their units,
//! and for an end what it means and what to look at. Text of a peer's is escaped.

use peerbeat::node::Event;
use peerbeat::protocol::Escaped;
use peerbeat::text::Count;

/// A whole line: when, which peer, what. `width` is what the peers' names take.
pub(super) fn of(at: &str, width: usize, peer: Option<&str>, what: &str) -> String {
    let peer = Escaped(peer.unwrap_or("-")).to_string();
    format!("{at}  {peer:width$}  {what}")
}

/// What happened, and of an end what it usually means.
pub(super) fn event(event: &Event) -> String {
    match event {
        Event::Down(down) => format!("{event}; {}", down.reason.hint()),
        _ => event.to_string(),
    }
}

/// A message arrived.
pub(super) fn data(bytes: u64) -> String {
    format!("data: {}", Count(bytes, "byte"))
}

#[cfg(test)]
mod tests {
    use super::*;

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
