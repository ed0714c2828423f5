//! The names of items: which are ours, which are upstream's and skipped, and which is meant.
//!
//! Global items that are not in the table belong to others and are skipped without a word. In
//! `add-peer`, which is ours, an unknown one is a warning.

/// The global items that mean something here.
pub(super) fn is_global(name: &str) -> bool {
    GLOBAL.contains(&name)
}

/// What an item of `add-peer` is to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PeerItem {
    /// Ours to read.
    Ours,
    /// Upstream's, skipped without a word.
    Skipped,
    /// `queue-size`, skipped with a warning.
    QueueSize,
    /// It asks for something that plain TCP does not give.
    BeyondTcp,
    /// Nobody's.
    Unknown,
}

/// What the item of that name is to us inside `add-peer`.
pub(super) fn peer_item(name: &str) -> PeerItem {
    match name {
        "ssl" | "websocket" | "apikey" => PeerItem::BeyondTcp,
        "queue-size" => PeerItem::QueueSize,
        name if PEER.contains(&name) => PeerItem::Ours,
        name if PEER_SKIPPED.contains(&name) => PeerItem::Skipped,
        name if name.starts_with("ssl") || name.starts_with("websocket") => PeerItem::Skipped,
        _ => PeerItem::Unknown,
    }
}

/// The known item of `add-peer` that is spelt most like `name`, if one is near enough to be meant.
pub(super) fn nearest(name: &str) -> Option<&'static str> {
    let name = name.to_ascii_lowercase();
    // Besides mistypings: the global spelling of an item, used inside the group.
    let name = name.strip_prefix("datasrc-").unwrap_or(&name);
    if name.len() > LONGEST_GUESS {
        return None;
    }
    let known = PEER.iter().chain(&PEER_SKIPPED).chain(&["queue-size", "ssl", "websocket"]);
    let distances = known.map(|known| (distance(name, known), *known));
    let near = distances.filter(|(distance, known)| *distance <= 2.max(known.len() / 3));
    near.min().map(|(_, known)| known)
}

/// Levenshtein: how many bytes must be put in, taken out or changed.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, byte) in a.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, other) in b.bytes().enumerate() {
            let change = diagonal + usize::from(byte != other);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

const LONGEST_GUESS: usize = 40;

const GLOBAL: [&str; 15] = [
    "datasrc-name",
    "datasrc-local-label",
    "datasrc-id",
    "datasrc-interface",
    "datasrc-port",
    "datasrc-heartbeat-time",
    "datasrc-heartbeat-slack-time",
    "datasrc-reject-new-peers",
    "datasrc-tcp-nodelay-off",
    "peer-accept-wait-time",
    "heartbeat-mode",
    "heartbeat-time-min",
    "send-queue-bytes",
    "reconnect-time-min",
    "reconnect-time-max",
];

const PEER: [&str; 16] = [
    "addr",
    "port",
    "remote-name",
    "remote-label",
    "remote-id",
    "local-name",
    "local-label",
    "local-id",
    "heartbeat-time",
    "heartbeat-slack-time",
    "connect-timeout",
    "heartbeat-mode",
    "heartbeat-time-min",
    "send-queue-bytes",
    "reconnect-time-min",
    "reconnect-time-max",
];

const PEER_SKIPPED: [&str; 9] = [
    "local-flags",
    "local-type",
    "remote-flags",
    "remote-type",
    "thread-name",
    "request-timeout",
    "monitor-interval",
    "local-handshake-data",
    "label",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_the_one_that_was_meant() {
        let cases = [
            ("hearbeat-time", Some("heartbeat-time")),
            ("heartbeat-slack", Some("heartbeat-slack-time")),
            ("datasrc-heartbeat-time", Some("heartbeat-time")),
            ("Addr", Some("addr")),
            ("prot", Some("port")),
            ("something-else-entirely", None),
        ];
        for (written, meant) in cases {
            assert_eq!(nearest(written), meant, "{written}");
        }
    }
}
