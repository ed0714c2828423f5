//! How often one thing is reported: at once while it is rare, then at a bounded rate.
//!
//! A peer on the edge of its limit, a load balancer that probes the port, or a peer that changes
//! its value with every heartbeat would otherwise fill a log with the same line. What is held back
//! is counted, and the latest of it is reported once its time has come, so that no state sticks.
//! Nothing here reads a clock.
//!
//! Invariant: at most [`BURST_MAX`] reports lie within [`BURST_WINDOW`], but for one every
//! [`REPORT_EVERY`].

use std::collections::VecDeque;
use std::time::Duration;

use crate::liveness::Time;

/// Decides which of many reports of one kind are made.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rate {
    /// When the last reports were made, [`BURST_MAX`] of them at most.
    reported: VecDeque<Time>,
    /// How many were held back since the last one.
    held_back: u64,
}

impl Rate {
    /// Asks whether something that happened at `now` is reported now: `Some(count)` = yes, and it
    /// represents so many; `None` = it is held back, and replaces what was.
    pub(crate) fn admit(&mut self, now: Time) -> Option<u64> {
        if self.next_at().is_some_and(|next| now < next) {
            self.held_back += 1;
            return None;
        }
        Some(self.report(now) + 1)
    }

    /// Holds back `count` that were admitted and cannot be reported after all.
    pub(crate) fn hold_back(&mut self, count: u64) {
        self.held_back += count;
    }

    /// When the latest of what is held back is to be reported; `None` = nothing is.
    pub(crate) fn due(&self) -> Option<Time> {
        (self.held_back > 0).then(|| self.next_at().unwrap_or(Time::ZERO))
    }

    /// Reports what is held back at any time, and how many it represents.
    pub(crate) fn report(&mut self, now: Time) -> u64 {
        if self.reported.len() >= BURST_MAX {
            self.reported.pop_front();
        }
        self.reported.push_back(now);
        std::mem::take(&mut self.held_back)
    }

    /// Whether nothing of it has to be remembered at `now`.
    pub(crate) fn is_idle(&self, now: Time) -> bool {
        let quiet = self.reported.back().is_none_or(|last| now.since(*last) >= BURST_WINDOW);
        quiet && self.held_back == 0
    }

    /// The next instant at which one may be reported; `None` = any.
    fn next_at(&self) -> Option<Time> {
        if self.reported.len() < BURST_MAX {
            return None;
        }
        let (first, last) = (*self.reported.front()?, *self.reported.back()?);
        Some((first + BURST_WINDOW).min(last + REPORT_EVERY))
    }
}

/// How many are reported as they happen.
const BURST_MAX: usize = 10;
/// Within what time.
const BURST_WINDOW: Duration = Duration::from_secs(10);
/// How often one is reported beyond that.
const REPORT_EVERY: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Time {
        Time::ZERO + Duration::from_millis(millis)
    }

    // lesson 72
    #[test]
    fn ten_are_reported_as_they_happen_and_then_one_a_second_with_their_number() {
        let mut rate = Rate::default();
        for millis in 0..10 {
            assert_eq!(rate.admit(at(millis)), Some(1), "{millis} ms");
        }
        assert_eq!((rate.admit(at(10)), rate.admit(at(1008))), (None, None));
        assert_eq!(rate.due(), Some(at(1009)));
        assert_eq!(rate.admit(at(1009)), Some(3));
        assert_eq!(rate.due(), None);
        assert_eq!(rate.admit(at(1010)), None);
        assert_eq!(rate.due(), Some(at(2009)));
        assert_eq!(rate.report(at(2009)), 1);
    }

    #[test]
    fn a_flood_of_a_minute_is_ten_reports_and_one_a_second() {
        let mut rate = Rate::default();
        let counts: Vec<u64> = (0..60_000).filter_map(|millis| rate.admit(at(millis))).collect();
        assert!((68..=70).contains(&counts.len()), "{}", counts.len());
        let left = rate.held_back;
        assert_eq!(counts.iter().sum::<u64>() + left, 60_000, "every one is counted");
    }

    #[test]
    fn what_is_seldom_is_always_reported_and_forgotten_after_the_window() {
        let mut rate = Rate::default();
        for round in 0..100 {
            assert_eq!(rate.admit(at(round * 1000)), Some(1), "round {round}");
        }
        assert!(!rate.is_idle(at(99_000 + 9_999)));
        assert!(rate.is_idle(at(99_000 + 10_000)));
    }
}
