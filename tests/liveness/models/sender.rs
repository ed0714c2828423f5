//! The sending half by definition.
//!
//! What is due follows from all instants at which bytes and heartbeats were sent, and from all
//! values that were ever configured, heard or set.

use std::time::Duration;

use super::limit::{Pending, Said, Values};
use super::{NS, floor, ms, raise, travels};
use peerbeat::liveness::{DueHeartbeat, HeartbeatTimer, Mode, Settings, Time};

/// What happens to a sending side.
#[derive(Clone, Debug)]
pub(crate) enum Send {
    Pass(Duration),
    /// To so many nanoseconds before or after the instant at which the next heartbeat is due.
    PassToDue(i8),
    Bytes,
    /// The heartbeat that is due, if one is.
    Beat,
    /// A heartbeat that was made before, reported only now.
    Stale(u32),
    Adopt(u32),
    Lower(Duration),
    Slack(Duration),
    /// Bytes wait that the kernel does not take.
    Pending,
    /// A wait in a write that should have ended so long ago ended now.
    Waited(Duration),
}

/// All that a sending side did.
pub(crate) struct Sender {
    pub(crate) settings: Settings,
    pub(crate) bytes: Vec<Time>,
    pub(crate) beats: Vec<(Time, Duration)>,
    pub(crate) values: Values,
    pub(crate) slack: Duration,
    /// Since when bytes wait, and their limit.
    pub(crate) pending: Option<(Time, Pending)>,
}

impl Sender {
    pub(crate) fn new(settings: Settings) -> Self {
        let starts = settings.given.map_or(settings.heartbeat_time, |given| given.send);
        let configured = starts.and_then(travels);
        let fixed = settings.given.map(|given| configured.max(given.expect.and_then(travels)));
        let values = Values { configured, said: vec![], fixed };
        let slack = settings.slack;
        Self { settings, bytes: vec![], beats: vec![], values, slack, pending: None }
    }

    pub(crate) fn in_force(&self) -> Option<Duration> {
        self.values.in_force()
    }

    pub(crate) fn last_byte(&self) -> Time {
        let beats = self.beats.iter().map(|(at, _)| *at);
        self.bytes.iter().copied().chain(beats).max().unwrap_or(Time::ZERO)
    }

    /// From when on an announcement may go out, if there is something to announce.
    pub(crate) fn announces_from(&self) -> Option<Time> {
        let last = self.beats.last().map(|(_, value)| *value);
        if self.in_force() == last || self.settings.given.is_some() {
            return None;
        }
        let mut changes = self.beats.windows(2).filter(|pair| pair[0].1 != pair[1].1);
        Some(changes.next_back().map_or(Time::ZERO, |pair| pair[1].0 + floor(&self.settings)))
    }

    pub(crate) fn due(&self) -> Time {
        let Some(in_force) = self.in_force() else { return Time::NEVER };
        let from = match self.settings.mode {
            Mode::Idle => self.last_byte(),
            Mode::Always => self.beats.last().map_or(Time::ZERO, |(at, _)| *at),
        };
        (from + in_force).min(self.announces_from().unwrap_or(Time::NEVER))
    }

    pub(crate) fn send_bytes(&mut self, now: Time) {
        self.bytes.push(now);
        self.pending = None;
    }

    pub(crate) fn send_beat(&mut self, value: Duration, now: Time) {
        self.beats.push((now, value));
        self.pending = None;
    }

    pub(crate) fn wait(&mut self, now: Time) {
        let limit = || Pending::new(now, self.values.promise(), self.slack);
        self.pending = self.pending.take().or_else(|| Some((now, limit())));
    }

    /// A value was announced or set.
    pub(crate) fn say(&mut self, said: Option<Said>, now: Time) {
        self.values.said.extend(said);
        let (promise, slack) = (self.values.promise(), self.slack);
        if let Some((_, pending)) = &mut self.pending {
            pending.change(now, promise, slack);
        }
    }

    pub(crate) fn wait_ended(&mut self, until: Time, now: Time) -> Option<Duration> {
        match &mut self.pending {
            Some((_, pending)) => pending.wait_ended(until, now, self.slack),
            None => None,
        }
    }

    pub(crate) fn stalled_at(&self) -> Time {
        self.pending.as_ref().map_or(Time::NEVER, |(_, pending)| pending.reached_at())
    }

    pub(crate) fn beat_at(&self, now: Time) -> Option<DueHeartbeat> {
        let value = self.in_force().filter(|_| now >= self.due())?;
        let announces = self.announces_from().is_some_and(|from| now >= from);
        Some(DueHeartbeat { value, even_busy: announces || self.settings.mode == Mode::Always })
    }
}

/// Runs the code and the model side by side.
pub(crate) fn run_pulse(settings: Settings, steps: Vec<Send>) {
    let mut timer = HeartbeatTimer::new(&settings, Time::ZERO);
    let mut model = Sender::new(settings);
    let mut now = Time::ZERO;
    for step in steps {
        match step {
            Send::Pass(time) => now = now + time,
            Send::PassToDue(off) => {
                let due = model.due();
                if due < Time::NEVER {
                    let shifted = due.as_nanos().saturating_add_signed(off.into());
                    now = now.max(Time::from_nanos(shifted));
                }
            }
            Send::Bytes => {
                timer.handle_sent(now);
                model.send_bytes(now);
            }
            Send::Beat => {
                if let Some(beat) = timer.poll(now) {
                    timer.handle_heartbeat_sent(beat.value, now);
                    model.send_beat(beat.value, now);
                }
            }
            Send::Stale(value) => {
                let value = ms(value.max(1).into());
                timer.handle_heartbeat_sent(value, now);
                model.send_beat(value, now);
            }
            Send::Adopt(value) => {
                let before = model.in_force();
                let raised = raise(&settings, value);
                model.say(raised.map(|raised| Said::Announced(ms(value.into()), raised)), now);
                assert_eq!(timer.adopt(value, now), model.in_force() != before);
            }
            Send::Lower(value) => {
                let before = model.in_force();
                model.say(travels(value).map(Said::Set), now);
                assert_eq!(timer.lower(value, now), model.in_force() != before);
            }
            Send::Slack(slack) => {
                model.slack = slack;
                model.say(None, now);
                timer.set_slack(slack, now);
            }
            Send::Pending => {
                model.wait(now);
                timer.handle_pending(now);
            }
            Send::Waited(late) => {
                let until = now - late;
                // Of no meaning if nothing waits: a host asks only in a write.
                if model.pending.is_some() {
                    let expected = model.wait_ended(until, now);
                    assert_eq!(timer.handle_write_waited(until, now), expected);
                }
            }
        }
        assert_eq!(timer.promise(), model.values.promise());
        assert_eq!(timer.stalled_at(), model.stalled_at());
        let since = model.pending.as_ref().map(|(since, _)| now.since(*since));
        assert_eq!(timer.stalled(now), since.filter(|_| now >= model.stalled_at()));
        assert_eq!(timer.in_force(), model.in_force());
        assert_eq!(timer.last_sent(), model.last_byte());
        assert_eq!(timer.due(), model.due());
        for moment in [now, model.due() - NS, model.due()] {
            assert_eq!(timer.poll(moment), model.beat_at(moment));
        }
    }
}
