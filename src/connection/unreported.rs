//! What has been found and not reported yet. Everything is reported as it comes, except how late
//! the peer is, how full the queue is and the values that the peer sends: those at a bounded
//! [rate](super::rate).
//!
//! `late` and `recovered` are one kind, `queue-high` and `queue-low` another: the last one reported
//! is never older than [`Rate`] allows.
//!
//! Invariant: each reported change of the heartbeat-time begins where the one before ended.

use std::collections::VecDeque;
use std::time::Duration;

use super::event::{Cause, LinkEvent};
use super::rate::Rate;
use crate::liveness::Time;

/// The events that wait to be reported, in order.
#[derive(Debug, Default)]
pub(crate) struct Unreported {
    events: VecDeque<LinkEvent>,
    lateness: Rate,
    /// The latest that is held back: whether the peer is late, and how long it was silent.
    held_lateness: Option<(bool, Duration)>,
    fills: Rate,
    /// The latest state of the queue that is held back, and the last that was reported.
    held_fill: Option<(bool, usize)>,
    is_high: bool,
    adoptions: Rate,
    /// Those that are held back, as one: what was in force before them, and what is now.
    held_adoption: Option<(Option<Duration>, Duration)>,
}

impl Unreported {
    /// Begins with what was found at `now`.
    pub(crate) fn new(events: impl IntoIterator<Item = LinkEvent>, now: Time) -> Self {
        let mut new = Self::default();
        new.add_all(events, now);
        new
    }

    /// Adds what was found at `now`.
    pub(crate) fn add(&mut self, event: LinkEvent, now: Time) {
        match event {
            LinkEvent::Late { silence, .. } => self.add_lateness(true, silence, now),
            LinkEvent::Recovered { silence, .. } => self.add_lateness(false, silence, now),
            LinkEvent::QueueHigh { bytes, count } => self.add_fill(true, bytes, count, now),
            LinkEvent::QueueLow { bytes, count } => self.add_fill(false, bytes, count, now),
            LinkEvent::HeartbeatTime { from, to, cause: Cause::Peer } => {
                let from = self.held_adoption.take().map_or(from, |(first, _)| first);
                match self.adoptions.admit(now) {
                    Some(_) => self.push_adoption(from, to),
                    None => self.held_adoption = Some((from, to)),
                }
            }
            LinkEvent::HeartbeatTime { cause: Cause::Local, .. } => {
                self.report_adoption(now);
                self.events.push_back(event);
            }
            _ => self.events.push_back(event),
        }
    }

    /// Adds all that was found at `now`.
    pub(crate) fn add_all(&mut self, events: impl IntoIterator<Item = LinkEvent>, now: Time) {
        for event in events {
            self.add(event, now);
        }
    }

    /// Takes what is to be reported at `now`.
    pub(crate) fn take(&mut self, now: Time) -> VecDeque<LinkEvent> {
        self.release(now);
        std::mem::take(&mut self.events)
    }

    /// Takes the first of what is to be reported at `now`.
    pub(crate) fn pop(&mut self, now: Time) -> Option<LinkEvent> {
        self.release(now);
        self.events.pop_front()
    }

    /// When something that is held back is to be reported; `NEVER` = nothing is.
    pub(crate) fn due(&self) -> Time {
        let of = |rate: &Rate| rate.due().unwrap_or(Time::NEVER);
        let fills = self.held_fill.map_or(Time::NEVER, |_| of(&self.fills));
        of(&self.lateness).min(of(&self.adoptions)).min(fills)
    }

    /// How many are to be reported at once.
    pub(crate) fn len(&self) -> usize {
        self.events.len()
    }

    /// Forgets those that were added after the first `length`, except what is held back.
    pub(crate) fn truncate(&mut self, length: usize) {
        self.events.truncate(length);
    }

    /// Forgets all of it.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    fn add_lateness(&mut self, is_late: bool, silence: Duration, now: Time) {
        self.held_lateness = None;
        match self.lateness.admit(now) {
            Some(count) => self.push_lateness(is_late, silence, count),
            None => self.held_lateness = Some((is_late, silence)),
        }
    }

    /// What was high and is low again, or the other way, before it could be reported is nothing
    /// new: it is counted with the next.
    fn add_fill(&mut self, is_high: bool, bytes: usize, count: u64, now: Time) {
        self.fills.hold_back(count - 1);
        match self.fills.admit(now) {
            Some(count) => self.push_fill(is_high, bytes, count),
            None => self.held_fill = (is_high != self.is_high).then_some((is_high, bytes)),
        }
    }

    /// Lets go what was held back and may be reported by now.
    fn release(&mut self, now: Time) {
        let is_due = |rate: &Rate| rate.due().is_some_and(|due| due <= now);
        if is_due(&self.lateness) {
            let count = self.lateness.report(now);
            if let Some((is_late, silence)) = self.held_lateness.take() {
                self.push_lateness(is_late, silence, count);
            }
        }
        if self.held_fill.is_some() && is_due(&self.fills) {
            let count = self.fills.report(now);
            if let Some((is_high, bytes)) = self.held_fill.take() {
                self.push_fill(is_high, bytes, count);
            }
        }
        if is_due(&self.adoptions) {
            self.report_adoption(now);
        }
    }

    /// Reports the values from the peer that are held back, if any are.
    fn report_adoption(&mut self, now: Time) {
        if let Some((from, to)) = self.held_adoption.take() {
            self.adoptions.report(now);
            self.push_adoption(from, to);
        }
    }

    fn push_lateness(&mut self, is_late: bool, silence: Duration, count: u64) {
        self.events.push_back(match is_late {
            true => LinkEvent::Late { silence, count },
            false => LinkEvent::Recovered { silence, count },
        });
    }

    fn push_fill(&mut self, is_high: bool, bytes: usize, count: u64) {
        self.held_fill = None;
        if self.is_high == is_high {
            return self.fills.hold_back(count);
        }
        self.is_high = is_high;
        self.events.push_back(match is_high {
            true => LinkEvent::QueueHigh { bytes, count },
            false => LinkEvent::QueueLow { bytes, count },
        });
    }

    fn push_adoption(&mut self, from: Option<Duration>, to: Duration) {
        self.events.push_back(LinkEvent::HeartbeatTime { from, to, cause: Cause::Peer });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn at(millis: u64) -> Time {
        Time::ZERO + ms(millis)
    }

    fn late(millis: u64, count: u64) -> LinkEvent {
        LinkEvent::Late { silence: ms(millis), count }
    }

    fn recovered(millis: u64, count: u64) -> LinkEvent {
        LinkEvent::Recovered { silence: ms(millis), count }
    }

    fn adopted(from: u64, to: u64) -> LinkEvent {
        LinkEvent::HeartbeatTime { from: Some(ms(from)), to: ms(to), cause: Cause::Peer }
    }

    /// Five times late and back in the first hundredth of a second: as often as is seldom.
    fn ten_times() -> Unreported {
        let mut unreported = Unreported::default();
        for millis in 0..5 {
            unreported.add(late(7, 1), at(millis));
            unreported.add(recovered(8, 1), at(millis));
        }
        assert_eq!(unreported.take(at(4)).len(), 10);
        unreported
    }

    // lesson 72
    #[test]
    fn late_and_recovered_are_one_kind_and_the_latest_comes_with_its_count() {
        let mut unreported = ten_times();
        unreported.add(late(9, 1), at(500));
        unreported.add(recovered(10, 1), at(600));
        assert_eq!(unreported.due(), at(1004));
        assert_eq!(unreported.pop(at(1003)), None);
        assert_eq!(unreported.pop(at(1004)), Some(recovered(10, 2)));
        assert_eq!((unreported.pop(at(1004)), unreported.due()), (None, Time::NEVER));
    }

    #[test]
    fn no_state_sticks_if_nothing_follows_and_none_is_reported_twice() {
        let mut unreported = ten_times();
        unreported.add(late(9, 1), at(500));
        assert_eq!(unreported.take(at(60_000)), [late(9, 1)]);
        let mut unreported = ten_times();
        unreported.add(late(9, 1), at(500));
        unreported.add(recovered(11, 1), at(1004));
        assert_eq!(unreported.take(at(60_000)), [recovered(11, 2)]);
    }

    #[test]
    fn a_peer_that_is_late_every_time_is_reported_once_a_second() {
        let mut unreported = Unreported::default();
        let (mut reported, mut total) = (0, 0);
        for step in 0..600 {
            let now = at(step * 100);
            let event = if step % 2 == 0 { late(1, 1) } else { recovered(2, 1) };
            unreported.add(event, now);
            for event in unreported.take(now) {
                let (LinkEvent::Late { count, .. } | LinkEvent::Recovered { count, .. }) = event
                else {
                    panic!("{event:?}")
                };
                (reported, total) = (reported + 1, total + count);
            }
        }
        assert!((67..=70).contains(&reported), "{reported} in a minute");
        assert!((590..=600).contains(&total), "{total} of 600 counted");
    }

    #[test]
    fn values_of_the_peers_are_merged_and_what_the_program_sets_comes_in_order() {
        let mut unreported = Unreported::default();
        for from in 0..13 {
            unreported.add(adopted(100 - from, 99 - from), at(from));
        }
        let first: Vec<LinkEvent> = (0..10).map(|from| adopted(100 - from, 99 - from)).collect();
        assert_eq!(unreported.take(at(12)), first);
        assert_eq!(unreported.due(), at(1009));
        assert_eq!(unreported.take(at(1009)), [adopted(90, 87)]);
        unreported.add(adopted(87, 80), at(1010));
        let set = LinkEvent::HeartbeatTime { from: Some(ms(80)), to: ms(70), cause: Cause::Local };
        unreported.add(set.clone(), at(1011));
        assert_eq!(unreported.take(at(1011)), [adopted(87, 80), set]);
        assert_eq!(unreported.due(), Time::NEVER);
    }

    #[test]
    fn a_queue_alternates_at_any_rate_and_every_change_is_counted() {
        let mut unreported = Unreported::default();
        let (mut is_high, mut total) = (false, 0);
        for step in 0..601 {
            let now = at(step * 70);
            let event = match step % 2 == 0 {
                true => LinkEvent::QueueHigh { bytes: 9, count: 1 },
                false => LinkEvent::QueueLow { bytes: 1, count: 1 },
            };
            unreported.add(event, now);
            for event in unreported.take(now) {
                let (now_high, more) = match event {
                    LinkEvent::QueueHigh { count, .. } => (true, count),
                    LinkEvent::QueueLow { count, .. } => (false, count),
                    other => panic!("{other:?}"),
                };
                assert_ne!(now_high, is_high);
                (is_high, total) = (now_high, total + more);
            }
        }
        for event in unreported.take(at(60_000)) {
            let LinkEvent::QueueHigh { count, .. } = event else { panic!("{event:?}") };
            (is_high, total) = (true, total + count);
        }
        assert_eq!((is_high, unreported.due()), (true, Time::NEVER), "the latest is known");
        unreported.add(LinkEvent::QueueLow { bytes: 1, count: 1 }, at(90_000));
        let last = LinkEvent::QueueLow { bytes: 1, count: 602 - total };
        assert_eq!(unreported.take(at(90_000)), [last]);
    }

    #[test]
    fn lateness_does_not_hold_back_anything_else() {
        let mut unreported = ten_times();
        unreported.add(late(9, 1), at(5));
        unreported.add_all([LinkEvent::Flooding, adopted(2, 1)], at(5));
        assert_eq!(unreported.take(at(5)), [LinkEvent::Flooding, adopted(2, 1)]);
    }
}
