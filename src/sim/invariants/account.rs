//! The invariants' own account of one end of one connection, kept from the raw record.
//!
//! It computes values and deadlines again, from the text of the wire protocol; it must not use the
//! code that it judges.

use std::collections::VecDeque;
use std::time::Duration;

use super::{Broken, Invariant};
use crate::connection::{Cause, Down, DownReason, LinkEvent};
use crate::liveness::{Mode, Settings, Time};
use crate::sim::op::SimOptions;
use crate::sim::record::{Host, SimEvent};

pub(super) type Judged = Result<(), Broken>;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Phase {
    Unknown,
    Greeting,
    Up,
    Ending,
    Over,
}

/// A limit that runs since a byte moved: the largest since then (H4).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Running {
    /// From where it counts.
    since: Time,
    pub(super) limit: Option<Duration>,
}

impl Running {
    fn grow(&mut self, at: Time, limit: Option<Duration>) {
        if self.limit.is_none() {
            self.since = self.since.max(at);
        }
        self.limit = self.limit.max(limit);
    }

    pub(super) fn reached_at(&self) -> Time {
        self.limit.map_or(Time::NEVER, |limit| self.since + limit)
    }
}

#[derive(Debug)]
pub(super) struct Account {
    pub(super) peer: Option<Host>,
    pub(super) phase: Phase,
    /// Up to when it was judged, if it is one of many.
    pub(super) judged: Time,
    /// A byte on its way to us was changed.
    pub(super) corrupted: bool,
    pub(super) settings: Settings,
    pub(super) granularity: Duration,
    pub(super) close: (Duration, Duration),
    /// The queue was reported as high.
    pub(super) is_high: bool,
    pub(super) reason: Option<DownReason>,
    pub(super) ended_at: Time,
    /// The heartbeat-time that H2 makes of what was configured, received and set.
    pub(super) in_force: Option<Duration>,
    /// What the peer is held to (H4), the first value set that it has not announced, and the
    /// smallest that it has.
    promise: Option<Duration>,
    unconfirmed: Option<Duration>,
    heard: Option<Duration>,
    pub(super) changed: Time,
    /// A change that must be reported before anything else.
    unreported: Option<(Option<Duration>, Duration)>,
    /// The program set a value, and the reader has not come by yet.
    sets: bool,
    pub(super) read: u64,
    pub(super) unread: u64,
    pub(super) last_read: Time,
    pub(super) silence: Running,
    pub(super) held_since: Option<Time>,
    pub(super) was_held: bool,
    pub(super) wrote: u64,
    pub(super) pending: u64,
    /// When the kernel last took a byte, or what waits began to wait.
    pub(super) moved: Time,
    pub(super) stuck: Running,
    pub(super) last_wrote: Time,
    pub(super) last_beat: Time,
    /// The bytes of our longest frame, and what was written before a heartbeat that is not out.
    frame_max: u64,
    beat_waits: Option<u64>,
    /// The value that the last heartbeat carried; how many carried a new one, and the last's time.
    pub(super) announced: Option<Duration>,
    news: (u32, Time),
    pub(super) resumed: Time,
    /// Since when, until when, and the slack that was granted after it.
    pub(super) stops: VecDeque<(Time, Time, Duration)>,
    /// What was accepted and not received by the peer.
    pub(super) sent: VecDeque<Vec<u8>>,
    /// Bytes written since the end began.
    pub(super) wrote_ending: u64,
    /// The peer's end of stream was read: whether our goodbye was out.
    pub(super) saw_end: Option<bool>,
    /// A write failed: nothing is sent any more.
    pub(super) is_broken: bool,
    pub(super) down: Option<Down>,
}

impl Account {
    pub(super) fn new(options: &SimOptions) -> Self {
        let settings = options.liveness;
        let in_force = settings.heartbeat_time.and_then(|value| {
            let ms = value.as_millis().clamp(1, u32::MAX.into()) as u64;
            (!value.is_zero()).then_some(Duration::from_millis(ms))
        });
        Self {
            peer: None,
            phase: Phase::Unknown,
            judged: Time::ZERO,
            corrupted: false,
            settings,
            granularity: options.granularity,
            close: (options.close_timeout, options.close_max),
            is_high: false,
            reason: None,
            ended_at: Time::ZERO,
            in_force,
            promise: in_force,
            unconfirmed: None,
            heard: None,
            changed: Time::ZERO,
            unreported: None,
            sets: false,
            read: 0,
            unread: 0,
            last_read: Time::ZERO,
            silence: Running::default(),
            held_since: None,
            was_held: false,
            wrote: 0,
            pending: 0,
            moved: Time::ZERO,
            stuck: Running::default(),
            last_wrote: Time::ZERO,
            last_beat: Time::ZERO,
            frame_max: 0,
            beat_waits: None,
            announced: None,
            news: (0, Time::ZERO),
            resumed: Time::ZERO,
            stops: VecDeque::new(),
            sent: VecDeque::new(),
            wrote_ending: 0,
            saw_end: None,
            is_broken: false,
            down: None,
        }
    }

    pub(super) fn handle_stop(&mut self, since: Time, until: Time) {
        self.resumed = until;
        self.stops.push_back((since, until, self.settings.slack));
        if self.stops.len() > STOPS_KEPT {
            self.stops.pop_front();
        }
    }

    /// Judges one thing that this end saw, and enters it.
    pub(super) fn judge(&mut self, at: Time, event: &SimEvent) -> Judged {
        if self.unreported.is_some() && is_behind_a_report(event) {
            return broken(Invariant::Converges, "the value in force changed unreported");
        }
        self.judge_phase(at, event)?;
        match event {
            SimEvent::Arrived { bytes } => self.unread += *bytes as u64,
            SimEvent::Read { bytes } => {
                (self.unread, self.read) = (self.unread - *bytes as u64, self.read + *bytes as u64);
                if matches!(self.phase, Phase::Up | Phase::Ending) {
                    (self.last_read, self.was_held) = (at, false);
                    self.silence = Running { since: at, limit: self.limit() };
                }
            }
            SimEvent::EndRead => self.handle_end_read(),
            SimEvent::WriteFailed => self.is_broken = true,
            SimEvent::Held => self.held_since = Some(at),
            SimEvent::Released => {
                let held = at.since(self.held_since.take().unwrap_or(at));
                self.silence.since = self.silence.since + held;
                self.was_held = true;
            }
            SimEvent::Corrupted => self.corrupted = true,
            SimEvent::Queued { bytes, heartbeat } => {
                self.judge_queued(at, *bytes as u64, *heartbeat)?
            }
            SimEvent::Wrote { bytes } => self.judge_wrote(at, *bytes as u64)?,
            SimEvent::HeartbeatSent { value } => {
                (self.announced, self.last_beat) = (Some(*value), at);
                self.beat_waits = None;
            }
            SimEvent::HeartbeatReceived { value } | SimEvent::HelloReceived { value } => {
                self.adopt(at, *value);
            }
            SimEvent::ValueSet { value } => self.set(at, *value),
            SimEvent::SlackSet { slack } => {
                self.settings.slack = *slack;
                self.grow(at);
            }
            SimEvent::Event(LinkEvent::HeartbeatTime { from, to, cause }) => {
                self.judge_change(*from, *to, *cause)?;
            }
            SimEvent::CloseWithin { timeout, max } => self.close = (*timeout, *max),
            SimEvent::Event(LinkEvent::QueueHigh { .. }) => self.judge_fill(true)?,
            SimEvent::Event(LinkEvent::QueueLow { .. }) => self.judge_fill(false)?,
            SimEvent::Sent(message) => self.sent.push_back(message.clone()),
            SimEvent::Ending { reason } => self.judge_death(at, reason)?,
            SimEvent::Down { down, .. } => {
                if self.reason.is_none() {
                    self.judge_death(at, &down.reason)?;
                }
                self.judge_account(at, down)?;
                self.down = Some(down.clone());
            }
            _ => {}
        }
        Ok(())
    }

    /// What was accepted waits, or a heartbeat was decided on.
    fn judge_queued(&mut self, at: Time, bytes: u64, heartbeat: Option<Duration>) -> Judged {
        match heartbeat {
            Some(value) => {
                self.judge_beat(at, value)?;
                self.beat_waits = Some(self.wrote + bytes);
            }
            None => self.frame_max = self.frame_max.max(bytes),
        }
        if self.pending == 0 {
            self.begin_to_wait(at);
        }
        self.pending += bytes;
        Ok(())
    }

    fn judge_wrote(&mut self, at: Time, bytes: u64) -> Judged {
        // The frame that was under way, and then the heartbeat.
        if let Some(since) = self.beat_waits.filter(|since| self.wrote >= since + self.frame_max) {
            let detail = format!("{} bytes before a heartbeat", self.wrote - since);
            return broken(Invariant::HeartbeatsPass, detail);
        }
        // Our goodbye may be written in the place of what was dropped.
        self.wrote_ending += if self.phase == Phase::Ending { bytes } else { 0 };
        self.pending = self.pending.saturating_sub(bytes);
        self.wrote += bytes;
        self.last_wrote = at;
        self.begin_to_wait(at);
        Ok(())
    }

    /// What waits now is judged by what is in force now, or by more.
    fn begin_to_wait(&mut self, at: Time) {
        self.moved = at;
        self.stuck = Running { since: at, limit: self.limit() };
    }

    /// The limit as it is in force now.
    fn limit(&self) -> Option<Duration> {
        self.promise.map(|promise| promise.saturating_add(self.settings.slack))
    }

    /// What is in force changed: what is pending is not judged by less.
    fn grow(&mut self, at: Time) {
        let limit = self.limit();
        self.silence.grow(at, limit);
        self.stuck.grow(at, limit);
    }

    fn judge_change(&mut self, from: Option<Duration>, to: Duration, cause: Cause) -> Judged {
        // One of our own is reported by the reader when it comes by, and unknown to it before.
        let is_right = match cause {
            Cause::Peer => match self.unreported.take() {
                Some((held, adopted)) => adopted == to && (held == from || self.sets),
                None => self.sets && self.in_force <= Some(to),
            },
            Cause::Local => {
                self.sets = false;
                self.in_force.is_some_and(|held| held <= to) && from.is_none_or(|from| to < from)
            }
        };
        let held = self.in_force;
        let detail = format!("{from:?} became {to:?}, against H2: {held:?} is in force");
        if is_right { Ok(()) } else { broken(Invariant::Converges, detail) }
    }

    /// The peer received `message`: the next one that we sent?
    pub(super) fn judge_delivered(&mut self, message: &[u8]) -> Judged {
        if self.sent.pop_front().is_some_and(|sent| sent == message) {
            return Ok(());
        }
        broken(Invariant::NothingLeaks, "its message was received and not sent, or out of order")
    }

    fn judge_phase(&mut self, at: Time, event: &SimEvent) -> Judged {
        let (before, after) = match (self.phase, event) {
            (phase, SimEvent::Arrived { .. } | SimEvent::Corrupted) => (phase, phase),
            (phase, SimEvent::Opened { peer }) => {
                self.peer = Some(*peer);
                (phase, Phase::Greeting)
            }
            (phase, SimEvent::Up { .. }) => {
                (self.last_read, self.last_wrote, self.last_beat) = (at, at, at);
                (self.changed, self.resumed) = (at, at);
                self.silence = Running { since: at, limit: self.limit() };
                (phase, Phase::Up)
            }
            (phase, SimEvent::Ending { reason }) => {
                (self.reason, self.ended_at) = (Some(reason.clone()), at);
                (phase, Phase::Ending)
            }
            (phase, SimEvent::Down { down, .. }) => {
                if self.reason.as_ref().is_some_and(|reason| *reason != down.reason) {
                    return broken(
                        Invariant::OneReason,
                        format!("two reasons, the first {:?}", self.reason),
                    );
                }
                (phase, Phase::Over)
            }
            (phase, SimEvent::DialFailed { .. } | SimEvent::Refused { .. }) => (phase, Phase::Over),
            (phase, _) => (phase, phase),
        };
        let allowed = match event {
            SimEvent::Arrived { .. } | SimEvent::Corrupted => true,
            SimEvent::Opened { .. } => before == Phase::Unknown,
            SimEvent::Up { .. } | SimEvent::DialFailed { .. } | SimEvent::Refused { .. } => {
                before == Phase::Greeting
            }
            SimEvent::Down { .. } => matches!(before, Phase::Up | Phase::Ending),
            SimEvent::Read { .. }
            | SimEvent::EndRead
            | SimEvent::WriteFailed
            | SimEvent::Queued { .. }
            | SimEvent::Wrote { .. } => {
                matches!(before, Phase::Greeting | Phase::Up | Phase::Ending)
            }
            SimEvent::Held
            | SimEvent::Released
            | SimEvent::Message(_)
            | SimEvent::Event(_)
            | SimEvent::HeartbeatReceived { .. }
            | SimEvent::HeartbeatSent { .. } => matches!(before, Phase::Up | Phase::Ending),
            _ => before == Phase::Up,
        };
        if !allowed {
            return broken(Invariant::OneReason, format!("{event:?} while {before:?}"));
        }
        self.phase = after;
        Ok(())
    }

    /// H2, and what H4 makes of it.
    fn adopt(&mut self, at: Time, received: Duration) {
        if received.is_zero() {
            return;
        }
        let raised = received.max(self.floor());
        self.heard = Some(self.heard.map_or(received, |heard| heard.min(received)));
        if self.in_force.is_none_or(|held| raised < held) {
            self.unreported = Some((self.in_force.replace(raised), raised));
            self.changed = at;
        }
        self.confirm();
        // The silence begins with the bytes that carried it.
        if self.silence.limit.is_none() {
            self.silence.since = self.silence.since.max(at);
        }
        self.silence.limit = self.limit();
        self.stuck.grow(at, self.limit());
    }

    /// The program lowered the value.
    fn set(&mut self, at: Time, value: Duration) {
        let value = Duration::from_millis((value.as_millis() as u64).max(1));
        if self.in_force.is_none_or(|held| value < held) {
            (self.in_force, self.sets) = (Some(value), true);
            self.changed = at;
            self.promise.get_or_insert(Duration::from_secs(10));
            self.unconfirmed.get_or_insert(value);
            self.confirm();
            self.grow(at);
        }
    }

    /// The peer is held to what it has announced, or less.
    fn confirm(&mut self) {
        let binds = |value: Option<Duration>| {
            value.filter(|value| self.heard.is_some_and(|heard| heard <= *value))
        };
        if let Some(value) = binds(self.in_force) {
            (self.promise, self.unconfirmed) = (Some(value), None);
        } else if let Some(value) = binds(self.unconfirmed) {
            (self.promise, self.unconfirmed) = (Some(value), self.in_force);
        }
    }

    /// A heartbeat was decided on: is it due, and is its content right?
    fn judge_beat(&mut self, at: Time, value: Duration) -> Judged {
        if self.in_force != Some(value) {
            let detail = format!("heartbeat with {value:?}, in force {:?}", self.in_force);
            return broken(Invariant::Converges, detail);
        }
        if self.announced != Some(value) {
            let (count, last) = self.news;
            self.news = (count + 1, at);
            // We keep our own value even if it is below our floor.
            if count >= 2 && at < last + self.floor().min(value) {
                return broken(
                    Invariant::NeverCloser,
                    format!("announcements at {last:?} and {at:?}"),
                );
            }
            return Ok(());
        }
        if at < self.last_beat + value {
            return broken(
                Invariant::NeverCloser,
                format!("heartbeats at {:?} and {at:?}", self.last_beat),
            );
        }
        let busy = self.pending > 0 || at < self.last_wrote + value;
        if busy && self.settings.mode == Mode::Idle {
            let detail = format!("heartbeat at {at:?}, bytes sent at {:?}", self.last_wrote);
            return broken(Invariant::QuietWhenBusy, detail);
        }
        Ok(())
    }

    pub(super) fn floor(&self) -> Duration {
        let nanos = self.settings.heartbeat_time_min.as_nanos();
        let ms = nanos.div_ceil(1_000_000).clamp(1, u32::MAX.into());
        Duration::from_millis(ms as u64)
    }
}

pub(super) fn broken(invariant: Invariant, detail: impl Into<String>) -> Judged {
    Err((invariant, detail.into()))
}

/// Whether the reading side brings it: then it has reported what it found before. What the sending
/// side of a real link does at the same time says nothing about that.
fn is_behind_a_report(event: &SimEvent) -> bool {
    match event {
        SimEvent::Event(event) => {
            !matches!(event, LinkEvent::HeartbeatTime { .. } | LinkEvent::Clamped { .. })
        }
        SimEvent::HeartbeatReceived { .. }
        | SimEvent::Read { .. }
        | SimEvent::EndRead
        | SimEvent::Message(_)
        | SimEvent::Down { .. } => true,
        _ => false,
    }
}

/// How many stops are remembered: more than a silence ever holds.
pub(super) const STOPS_KEPT: usize = 16;
