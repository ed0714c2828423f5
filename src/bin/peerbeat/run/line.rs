//! Events in plain words, one line each.
//!
//! A person who knows nothing of this program reads what happened, with numbers and their units,
//! and for an end what it means and what to look at. Text of a peer is escaped.

use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use peerbeat::node::NodeEvent;

use crate::clock;
use crate::text::{COLUMNS, Count, Escaped, wrapped};

/// Lines of one layout: when, which peer, what.
pub(super) struct Lines {
    /// Columns that the peers' names take.
    width: usize,
    /// The day of the last line; a new one gets a line of its own.
    day: Mutex<String>,
}

impl Lines {
    /// A layout for peers of these names.
    pub(super) fn new<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        let width = names.map(|name| Escaped(name).to_string().chars().count()).max();
        let width = width.unwrap_or_default().clamp(1, WIDTH_MAX);
        Self { width, day: Mutex::default() }
    }

    /// What happened at a time, in lines of 80 columns; the first of a day has the date.
    pub(super) fn of(&self, at: SystemTime, peer: Option<&str>, what: &str) -> String {
        let at = clock::written(at);
        let (day, time) = (&at[..10], &at[11..23]);
        let peer = Escaped(peer.unwrap_or("-")).to_string();
        let text = format!("{time}  {peer:width$}  {what}", width = self.width);
        let text = wrapped(&text, COLUMNS, INDENT);
        let mut last = self.day.lock().unwrap_or_else(PoisonError::into_inner);
        if *last == day {
            return text;
        }
        day.clone_into(&mut last);
        format!("-- {day} UTC\n{text}")
    }
}

/// What happened, and of an end what it usually means.
pub(super) fn event(event: &NodeEvent) -> String {
    match event {
        NodeEvent::Down(down) => format!("{event}; {}", down.reason.hint()),
        _ => event.to_string(),
    }
}

/// A message arrived.
pub(super) fn data(bytes: u64) -> String {
    format!("data: {}", Count(bytes, "byte"))
}

/// Names longer than this are shown whole and only spoil the columns.
const WIDTH_MAX: usize = 24;
/// Further lines of an event begin under the peer's name.
const INDENT: usize = 14;

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn text_of_peers_is_escaped_and_names_make_a_column() {
        let lines = Lines::new(["p\n", "abcd"].into_iter());
        let at = SystemTime::UNIX_EPOCH + Duration::from_millis(1_500);
        let warning = NodeEvent::Warning { detail: "\u{1b}]0;x\u{7}".into() };
        assert_eq!(
            lines.of(at, Some("p\n"), &event(&warning)),
            "-- 1970-01-01 UTC\n00:00:01.500  p\\n   warning: \\u{1b}]0;x\\u{7}"
        );
        assert_eq!(lines.of(at, None, &event(&NodeEvent::Stopped)), "00:00:01.500  -     stopped");
        let day = Duration::from_secs(86_400);
        let next = lines.of(at + day, None, &"word ".repeat(30));
        assert!(next.starts_with("-- 1970-01-02 UTC\n00:00:01.500  -     word"), "{next}");
        assert!(next.lines().all(|line| line.chars().count() <= COLUMNS), "{next}");
        assert!(next.lines().nth(2).is_some_and(|line| line.starts_with("              word")));
    }
}
