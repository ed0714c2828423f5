//! The summary of a run: a few words for each peer.
//!
//! Counts are taken after the node has stopped; measurements and advice just before, because they
//! vanish with the links.

use std::time::Duration;

use peerbeat::link::Advice;
use peerbeat::node::Node;

use crate::text::{COLUMNS, Count, Escaped, Measured, Seconds, wrapped};

/// What a peer's last link had measured.
#[derive(Default)]
pub(super) struct Last {
    longest: Option<Duration>,
    slack: Option<Duration>,
}

/// Asks for what is gone once the links are.
pub(super) fn before(node: &Node) -> Vec<(String, Last)> {
    let last = |peer: &peerbeat::node::Peer| {
        let advice = peer.explain().map(|explained| explained.advice).unwrap_or_default();
        let slack = advice.iter().find_map(|advice| match advice {
            Advice::MoreSlack { least } => Some(*least),
            _ => None,
        });
        let longest = peer.stats().link.map(|link| link.largest_silence);
        Last { longest: longest.filter(|longest| !longest.is_zero()), slack }
    };
    node.peers().iter().map(|peer| (peer.name().to_owned(), last(peer))).collect()
}

/// A line for each peer, two if it does not fit.
pub(super) fn of(node: &Node, before: &[(String, Last)]) -> String {
    let peers = node.peers();
    let width = peers.iter().map(|peer| Escaped(peer.name()).to_string().chars().count()).max();
    let width = width.unwrap_or_default().min(WIDTH_MAX);
    let mut lines = vec!["-- summary".to_owned()];
    for peer in &peers {
        let stats = peer.stats();
        let ends: Vec<String> = (stats.downs.by_reason().iter().filter(|(_, n)| *n > 0))
            .map(|(reason, count)| format!("{reason} {count}"))
            .collect();
        let mut text = format!(
            "{:width$}  up {}",
            Escaped(peer.name()).to_string(),
            Count(stats.connects, "time")
        );
        if !ends.is_empty() {
            text += &format!(", ended: {}", ends.join(" "));
        }
        if stats.dial_failures > 0 {
            text += &format!("; {}", Count(stats.dial_failures, "failed dial"));
        }
        let total = &stats.total;
        text +=
            &format!("; messages {} in {} out", total.messages_received, total.messages_accepted);
        let last = before.iter().find(|(name, _)| name == peer.name());
        if let Some((_, last)) = last {
            if let Some(longest) = last.longest {
                text += &format!("; longest silence {}", Measured(longest));
            }
            if let Some(slack) = last.slack {
                text += &format!("; set a slack of at least {}", Seconds(slack));
            }
        }
        lines.push(wrapped(&text, COLUMNS, width + 2));
    }
    if peers.is_empty() {
        lines.push("no peers".to_owned());
    }
    lines.join("\n")
}

/// Names longer than this only spoil the columns.
const WIDTH_MAX: usize = 24;
