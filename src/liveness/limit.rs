//! A running limit: counted from the last byte, by the largest limit since then (rule H4).
//!
//! Silence and a pending write are judged by the same rule, which is only in this file. A limit
//! that grows applies at once; one that shrinks applies from the next byte on, so that nothing
//! pending is judged by less than it began with, and no change moves a verdict beyond the largest
//! limit since the last byte. If there was no limit before, a new one counts from that moment.

use std::time::Duration;

use super::Time;

/// The limit of one silence, or of one pending write.
#[derive(Clone, Debug)]
pub(super) struct Limit {
    counts_from: Time,
    judged_by: Option<Parts>,
    /// No verdict before this instant: we were stopped and are catching up. Once a silence, or a
    /// pending write.
    grace: Option<Time>,
}

/// What a limit is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Parts {
    pub(super) promise: Duration,
    pub(super) slack: Duration,
}

impl Parts {
    #[inline]
    pub(super) fn sum(self) -> Duration {
        self.promise.saturating_add(self.slack)
    }
}

impl Limit {
    pub(super) fn new(now: Time, promise: Option<Duration>, slack: Duration) -> Self {
        let mut limit = Self { counts_from: now, judged_by: None, grace: None };
        limit.begin(now, promise, slack);
        limit
    }

    /// A byte moved at `now`: from here on the values in force now are used.
    #[inline]
    pub(super) fn begin(&mut self, now: Time, promise: Option<Duration>, slack: Duration) {
        self.counts_from = now;
        self.judged_by = promise.map(|promise| Parts { promise, slack });
        self.grace = None;
    }

    /// The values in force changed at `now`, while nothing moved.
    pub(super) fn change(&mut self, now: Time, promise: Option<Duration>, slack: Duration) {
        let Some(new) = promise.map(|promise| Parts { promise, slack }) else { return };
        match self.judged_by {
            None => {
                self.counts_from = self.counts_from.max(now);
                self.judged_by = Some(new);
            }
            Some(old) if new.sum() > old.sum() => self.judged_by = Some(new),
            Some(_) => {}
        }
    }

    /// The values in force changed with the same byte that the limit counts from.
    pub(super) fn replace(&mut self, now: Time, promise: Option<Duration>, slack: Duration) {
        let Some(new) = promise.map(|promise| Parts { promise, slack }) else { return };
        if self.judged_by.is_none() {
            self.counts_from = self.counts_from.max(now);
        }
        self.judged_by = Some(new);
    }

    /// `time` of it does not count, nor does it use up the grace.
    #[inline]
    pub(super) fn postpone(&mut self, time: Duration) {
        self.counts_from = self.counts_from + time;
        self.grace = self.grace.map(|grace| grace + time);
    }

    /// Grants one more slack after a stall of our own process that ended at `now`.
    ///
    /// A short stall early on does not move the verdict, and must not use up what a long one
    /// later on will need.
    pub(super) fn grant(&mut self, now: Time, slack: Duration) {
        let grace = now + slack;
        if self.grace.is_none() && grace > self.reached_at() {
            self.grace = Some(grace);
        }
    }

    /// When the limit is reached if nothing moves; [`Time::NEVER`] without one.
    #[inline]
    pub(super) fn reached_at(&self) -> Time {
        let Some(parts) = self.judged_by else { return Time::NEVER };
        (self.counts_from + parts.sum()).max(self.grace.unwrap_or(Time::ZERO))
    }

    /// What is judged by.
    #[inline]
    pub(super) fn parts(&self) -> Option<Parts> {
        self.judged_by
    }

    #[inline]
    pub(super) fn counts_from(&self) -> Time {
        self.counts_from
    }
}
