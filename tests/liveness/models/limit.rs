//! What the peer must keep, and the limit of what is pending, by definition (H4).
//!
//! All values that were ever configured, announced or set are kept, and all limits that were in
//! force since the last byte.

use std::time::Duration;

use peerbeat::liveness::Time;

/// Everything that decides a promise.
#[derive(Clone, Debug)]
pub(crate) enum Said {
    /// By the peer, and what the floor made of it.
    Announced(Duration, Duration),
    /// By this side.
    Set(Duration),
}

/// Every announcement and change of the value, starting with the configured one.
#[derive(Clone, Debug)]
pub(crate) struct Values {
    pub(crate) configured: Option<Duration>,
    pub(crate) said: Vec<Said>,
    /// Foreign values: nothing moves this promise.
    pub(crate) fixed: Option<Option<Duration>>,
}

impl Values {
    pub(crate) fn in_force(&self) -> Option<Duration> {
        let said = self.said.iter().map(|said| match said {
            Said::Announced(_, value) | Said::Set(value) => *value,
        });
        self.configured.into_iter().chain(said).min()
    }

    pub(crate) fn promise(&self) -> Option<Duration> {
        if let Some(fixed) = self.fixed {
            return fixed;
        }
        let mut promise = self.configured;
        // Ours that are not announced yet, each smaller than the one before.
        let mut waiting: Vec<Duration> = Vec::new();
        let (mut heard, mut smallest) = (None::<Duration>, self.configured);
        for said in &self.said {
            let value = match said {
                Said::Announced(raw, value) => {
                    heard = Some(heard.map_or(*raw, |least| least.min(*raw)));
                    *value
                }
                Said::Set(value) => *value,
            };
            if smallest.is_none_or(|held| value < held) {
                smallest = Some(value);
                match said {
                    Said::Set(_) => {
                        promise = promise.or(Some(Duration::from_secs(10)));
                        waiting.push(value);
                    }
                    Said::Announced(..) => waiting.push(value),
                }
            }
            // Of many that wait, the first and the last are known.
            let known = [waiting.last(), waiting.first()].into_iter().flatten().copied();
            let confirmed =
                known.into_iter().find(|ours| heard.is_some_and(|heard| heard <= *ours));
            if let Some(confirmed) = confirmed {
                promise = Some(confirmed);
                let last = waiting.last().copied().filter(|last| *last != confirmed);
                waiting = last.into_iter().collect();
            }
        }
        promise
    }
}

/// One silence, or one pending write.
#[derive(Clone, Debug)]
pub(crate) struct Pending {
    /// When it begins to count.
    pub(crate) from: Time,
    /// All limits since the last byte: promise and slack.
    pub(crate) limits: Vec<(Duration, Duration)>,
    pub(crate) grace: Option<Time>,
}

impl Pending {
    pub(crate) fn new(now: Time, promise: Option<Duration>, slack: Duration) -> Self {
        let limits = promise.map(|promise| (promise, slack)).into_iter().collect();
        Self { from: now, limits, grace: None }
    }

    /// What is in force became this.
    pub(crate) fn change(&mut self, now: Time, promise: Option<Duration>, slack: Duration) {
        let Some(promise) = promise else { return };
        if self.limits.is_empty() {
            self.from = self.from.max(now);
        }
        self.limits.push((promise, slack));
    }

    /// The largest limit, the first of equal ones.
    pub(crate) fn judged_by(&self) -> Option<(Duration, Duration)> {
        let sum = |limit: &(Duration, Duration)| limit.0.saturating_add(limit.1);
        self.limits.iter().rev().copied().max_by_key(sum)
    }

    pub(crate) fn limit(&self) -> Option<Duration> {
        self.judged_by().map(|(promise, slack)| promise.saturating_add(slack))
    }

    pub(crate) fn reached_at(&self) -> Time {
        let Some(limit) = self.limit() else { return Time::NEVER };
        (self.from + limit).max(self.grace.unwrap_or(Time::ZERO))
    }

    /// A wait until `until` ended at `now`: by how much too late, if that is a stall on our side.
    pub(crate) fn wait_ended(
        &mut self,
        until: Time,
        now: Time,
        last_slack: Duration,
    ) -> Option<Duration> {
        let slack = self.judged_by().map_or(last_slack, |(_, slack)| slack);
        let late = Some(now.since(until)).filter(|late| *late > (slack / 2).max(super::ms(250)))?;
        if self.grace.is_none() && now + slack > self.reached_at() {
            self.grace = Some(now + slack);
        }
        Some(late)
    }
}
