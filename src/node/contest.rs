//! Detects two programs with one name that keep taking the link from each other.
//!
//! Each sees its own link replaced and dials again; usually one configuration was started twice. A
//! single replacement is a peer that came back; several within a minute are reported, once a
//! minute, with the addresses of both.

use std::collections::VecDeque;
use std::time::Duration;

use super::endpoint::Endpoint;
use crate::liveness::Time;

/// Who has replaced whom lately, of one peer.
#[derive(Debug, Default)]
pub(super) struct Contest {
    last: Option<Endpoint>,
    replaced: VecDeque<Time>,
    reported: Option<Time>,
}

impl Contest {
    /// Records a link that comes up; returns what to warn of.
    pub(super) fn add(&mut self, replaced: bool, addr: Endpoint, now: Time) -> Option<String> {
        let before = self.last.replace(addr.clone());
        let before = before.filter(|_| replaced)?;
        self.replaced.push_back(now);
        if self.replaced.len() > REPLACEMENTS_MAX {
            self.replaced.pop_front();
        }
        let recent = |at: &Time| now.since(*at) < REPLACEMENTS_WINDOW;
        if self.replaced.len() < REPLACEMENTS_MAX
            || !self.replaced.iter().all(recent)
            || self.reported.as_ref().is_some_and(recent)
        {
            return None;
        }
        self.reported = Some(now);
        Some(format!(
            "contested: {before} and {addr} take this link from each other again and again; two \
             programs seem to use one name"
        ))
    }
}

/// How many replacements within a minute are no coincidence.
const REPLACEMENTS_MAX: usize = 3;
const REPLACEMENTS_WINDOW: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    #[test]
    fn the_third_replacement_within_a_minute_is_reported_and_the_next_a_minute_later() {
        let start = Time::ZERO;
        let mut contest = Contest::default();
        let addr = |port: u64| Endpoint::from(SocketAddr::from(([10, 0, 0, 1], port as u16)));
        let mut warned = Vec::new();
        for second in 0..130 {
            let now = start + Duration::from_secs(second);
            warned.extend(contest.add(second > 0, addr(second), now).map(|text| (second, text)));
        }
        let seconds: Vec<u64> = warned.iter().map(|(second, _)| *second).collect();
        assert_eq!(seconds, [3, 63, 123]);
        assert!(warned[0].1.contains("10.0.0.1:2 and 10.0.0.1:3"), "{}", warned[0].1);
    }

    #[test]
    fn a_peer_that_comes_back_now_and_then_is_not() {
        let start = Time::ZERO;
        let mut contest = Contest::default();
        for minute in 0..20 {
            let now = start + Duration::from_secs(31 * minute);
            assert_eq!(
                contest.add(true, Endpoint::from(SocketAddr::from(([10, 0, 0, 1], 1))), now),
                None
            );
        }
        for _ in 0..20 {
            assert_eq!(
                contest.add(false, Endpoint::from(SocketAddr::from(([10, 0, 0, 1], 1))), start),
                None
            );
        }
    }
}
