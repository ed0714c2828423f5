//! The laws' own account of one end of one connection, kept from the raw record.
//!
//! It computes values and deadlines anew, by the words of the wire protocol; it must not ask
//! the code that it judges.

use std::collections::VecDeque;
use std::time::Duration;

use super::{Broken, Law};
use crate::liveness::{Mode, Settings, Time};
use crate::sim::{Down, DownReason, Host, Options, What};

type Judged = Result<(), Broken>;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Phase {
    Unknown,
    Greeting,
    Up,
    Leaving,
    Over,
}

#[derive(Debug)]
pub(super) struct Account {
    pub(super) peer: Option<Host>,
    pub(super) phase: Phase,
    /// A byte on its way to us was changed.
    pub(super) corrupted: bool,
    settings: Settings,
    granularity: Duration,
    reason: Option<DownReason>,
    ended_at: Time,
    /// The heartbeat-time that H2 makes of what was configured and received.
    in_force: Option<Duration>,
    changed: Time,
    /// A change that must be reported before anything else.
    unreported: Option<(Option<Duration>, Duration)>,
    read: u64,
    unread: u64,
    last_read: Time,
    held: Duration,
    held_since: Option<Time>,
    wrote: u64,
    pending: u64,
    /// When the kernel last took a byte, or what waits began to wait, and the greatest limit since.
    moved: Time,
    pending_limit: Option<Duration>,
    /// From when on that limit counts, if there was none before.
    limited: Time,
    last_wrote: Time,
    last_beat: Time,
    /// The value that the last heartbeat carried; how many carried a new one, and the last's time.
    announced: Option<Duration>,
    news: (u32, Time),
    resumed: Time,
    stops: VecDeque<(Time, Time)>,
    sent: VecDeque<Vec<u8>>,
}

impl Account {
    pub(super) fn new(options: &Options) -> Self {
        let settings = options.liveness;
        Self {
            peer: None,
            phase: Phase::Unknown,
            corrupted: false,
            settings,
            granularity: options.granularity,
            reason: None,
            ended_at: Time::ZERO,
            in_force: settings.heartbeat_time.and_then(|value| {
                let ms = value.as_millis().clamp(1, u32::MAX.into()) as u64;
                (!value.is_zero()).then_some(Duration::from_millis(ms))
            }),
            changed: Time::ZERO,
            unreported: None,
            read: 0,
            unread: 0,
            last_read: Time::ZERO,
            held: Duration::ZERO,
            held_since: None,
            wrote: 0,
            pending: 0,
            moved: Time::ZERO,
            pending_limit: None,
            limited: Time::ZERO,
            last_wrote: Time::ZERO,
            last_beat: Time::ZERO,
            announced: None,
            news: (0, Time::ZERO),
            resumed: Time::ZERO,
            stops: VecDeque::new(),
            sent: VecDeque::new(),
        }
    }

    pub(super) fn handle_stop(&mut self, since: Time, until: Time) {
        self.resumed = until;
        self.stops.push_back((since, until));
        if self.stops.len() > STOPS {
            self.stops.pop_front();
        }
    }

    /// Judges one thing that this end saw, and enters it.
    pub(super) fn judge(&mut self, at: Time, what: &What) -> Judged {
        if self.unreported.is_some()
            && !matches!(
                what,
                What::HeartbeatTime { .. } | What::Clamped { .. } | What::Arrived { .. }
            )
        {
            return broken(Law::Converges, "the value in force changed and nobody was told");
        }
        self.judge_phase(at, what)?;
        match what {
            What::Arrived { bytes } => self.unread += *bytes as u64,
            What::Read { bytes } => {
                (self.unread, self.read) = (self.unread - *bytes as u64, self.read + *bytes as u64);
                if self.phase == Phase::Up {
                    (self.last_read, self.held) = (at, Duration::ZERO);
                }
            }
            What::Held => self.held_since = Some(at),
            What::Released => {
                self.held += at.since(self.held_since.take().unwrap_or(at));
            }
            What::Corrupted => self.corrupted = true,
            What::Queued { bytes, heartbeat } => {
                if let Some(value) = heartbeat {
                    self.judge_beat(at, *value)?;
                }
                if self.pending == 0 {
                    self.begin_to_wait(at);
                }
                self.pending += *bytes as u64;
            }
            What::Wrote { bytes } => {
                (self.pending, self.wrote) =
                    (self.pending - *bytes as u64, self.wrote + *bytes as u64);
                self.begin_to_wait(at);
                self.last_wrote = at;
            }
            What::HeartbeatSent { value } => {
                (self.announced, self.last_beat) = (Some(*value), at);
            }
            What::HeartbeatReceived { value } => self.adopt(at, *value),
            What::HeartbeatTime { from, to } => self.judge_change(*from, *to)?,
            What::Sent(message) => self.sent.push_back(message.clone()),
            What::Down(down) => {
                self.judge_death(at, down)?;
                self.judge_account(at, down)?;
            }
            _ => {}
        }
        Ok(())
    }

    /// What waits now is judged by what is in force now, or by more.
    fn begin_to_wait(&mut self, at: Time) {
        self.moved = at;
        self.limited = Time::ZERO;
        self.pending_limit = self.in_force.map(|value| value.saturating_add(self.settings.slack));
    }

    fn judge_change(&mut self, from: Option<Duration>, to: Duration) -> Judged {
        if self.unreported.take() == Some((from, to)) {
            return Ok(());
        }
        broken(Law::Converges, format!("{from:?} became {to:?}, against H2"))
    }

    /// The peer received `message`: the next one that we sent?
    pub(super) fn judge_delivered(&mut self, message: &[u8]) -> Judged {
        if self.sent.pop_front().is_some_and(|sent| sent == message) {
            return Ok(());
        }
        broken(Law::NothingLeaks, "its message was received and not sent, or out of order")
    }

    /// Judges that it is `now`, that the process runs, and that all due until now was done.
    pub(super) fn judge_time(&self, now: Time) -> Judged {
        let Some(in_force) = self.in_force else { return Ok(()) };
        let late = self.granularity;
        let slack = self.settings.slack;
        let limit = in_force.saturating_add(slack);
        let stopped_since = |since: Time| self.stops.iter().any(|stop| stop.1 > since);
        let granted = |since| match stopped_since(since) {
            true => self.resumed + slack,
            false => Time::ZERO,
        };
        let dead_at = (self.last_read + self.held + limit).max(granted(self.last_read)) + late;
        if self.held_since.is_none() && now > dead_at {
            return broken(Law::DeathInTime, format!("silent past {dead_at:?} and alive"));
        }
        if self.pending > 0 {
            let limit = self.pending_limit.map_or(limit, |began| began.max(limit));
            let since = self.moved.max(self.limited);
            let dead_at = (since + limit).max(granted(self.moved)) + late;
            if now > dead_at {
                return broken(Law::DeathInTime, format!("stuck past {dead_at:?} and alive"));
            }
            return Ok(());
        }
        let free = self.resumed.max(self.changed);
        let due = free.max(self.last_wrote + in_force) + late;
        if now > due {
            return broken(Law::GapHolds, format!("nothing sent by {due:?}"));
        }
        let free = free.max(self.last_wrote);
        let due = free.max(self.last_beat + in_force) + late;
        if now > due && self.settings.mode == Mode::Always {
            return broken(Law::GapHolds, format!("no heartbeat by {due:?} in mode always"));
        }
        let due = free.max(self.last_beat + self.floor()) + late;
        if now > due && self.announced != self.in_force {
            return broken(Law::Converges, format!("{in_force:?} not announced by {due:?}"));
        }
        Ok(())
    }

    /// Judges what two ends hold when nothing is left to be said between them.
    pub(super) fn judge_meeting(&self, other: &Self) -> Judged {
        let quiet = [(self, other), (other, self)].iter().all(|(from, to)| {
            let told = from.announced == from.in_force;
            let all_read = from.pending == 0 && from.wrote == to.read && to.held_since.is_none();
            from.phase == Phase::Up && told && all_read && !from.corrupted
        });
        let Some(theirs) = other.in_force.filter(|_| quiet) else { return Ok(()) };
        let smaller = theirs.max(self.floor());
        if self.in_force.is_none_or(|ours| ours > smaller) {
            let detail = format!("holds {:?} where the peer holds {theirs:?}", self.in_force);
            return broken(Law::Converges, detail);
        }
        Ok(())
    }

    fn judge_phase(&mut self, at: Time, what: &What) -> Judged {
        let (before, after) = match (self.phase, what) {
            (phase, What::Arrived { .. } | What::Corrupted) => (phase, phase),
            (phase, What::Opened { peer }) => {
                self.peer = Some(*peer);
                (phase, Phase::Greeting)
            }
            (phase, What::Up { .. }) => {
                (self.last_read, self.last_wrote, self.last_beat) = (at, at, at);
                (self.changed, self.resumed) = (at, at);
                (phase, Phase::Up)
            }
            (phase, What::Leaving { reason }) => {
                (self.reason, self.ended_at) = (Some(reason.clone()), at);
                (phase, Phase::Leaving)
            }
            (phase, What::Down(down)) => {
                if self.reason.as_ref().is_some_and(|reason| *reason != down.reason) {
                    return broken(
                        Law::OneReason,
                        format!("two reasons, the first {:?}", self.reason),
                    );
                }
                (phase, Phase::Over)
            }
            (phase, What::DialFailed { .. } | What::Refused { .. }) => (phase, Phase::Over),
            (phase, _) => (phase, phase),
        };
        let allowed = match what {
            What::Arrived { .. } | What::Corrupted => true,
            What::Opened { .. } => before == Phase::Unknown,
            What::Up { .. } | What::DialFailed { .. } | What::Refused { .. } => {
                before == Phase::Greeting
            }
            What::Down(_) => matches!(before, Phase::Up | Phase::Leaving),
            What::Read { .. } | What::Queued { .. } | What::Wrote { .. } => {
                matches!(before, Phase::Greeting | Phase::Up | Phase::Leaving)
            }
            What::HeartbeatSent { .. } => matches!(before, Phase::Up | Phase::Leaving),
            _ => before == Phase::Up,
        };
        if !allowed {
            return broken(Law::OneReason, format!("{what:?} while {before:?}"));
        }
        self.phase = after;
        Ok(())
    }

    /// H2.
    fn adopt(&mut self, at: Time, received: Duration) {
        let raised = received.max(self.floor());
        if !received.is_zero() && self.in_force.is_none_or(|held| raised < held) {
            if self.in_force.is_none() {
                self.limited = at;
            }
            self.unreported = Some((self.in_force.replace(raised), raised));
            self.changed = at;
        }
    }

    /// A heartbeat was decided on: is it due, and does it say the truth?
    fn judge_beat(&mut self, at: Time, value: Duration) -> Judged {
        if self.in_force != Some(value) {
            let detail = format!("heartbeat with {value:?}, in force {:?}", self.in_force);
            return broken(Law::Converges, detail);
        }
        if self.announced != Some(value) {
            let (count, last) = self.news;
            self.news = (count + 1, at);
            if count >= 2 && at < last + self.floor() {
                return broken(Law::NeverCloser, format!("announcements at {last:?} and {at:?}"));
            }
            return Ok(());
        }
        if at < self.last_beat + value {
            return broken(
                Law::NeverCloser,
                format!("heartbeats at {:?} and {at:?}", self.last_beat),
            );
        }
        let busy = self.pending > 0 || at < self.last_wrote + value;
        if busy && self.settings.mode == Mode::Idle {
            let detail = format!("heartbeat at {at:?}, bytes sent at {:?}", self.last_wrote);
            return broken(Law::QuietWhenBusy, detail);
        }
        Ok(())
    }

    /// The end has come: is its account true?
    fn judge_account(&self, at: Time, down: &Down) -> Judged {
        let limit = self.in_force.map(|value| value.saturating_add(self.settings.slack));
        let ended_at = if self.reason.is_some() { self.ended_at } else { at };
        let silence = ended_at.since(self.last_read);
        if (down.limit, down.heartbeat_time, down.silence) != (limit, self.in_force, silence) {
            let detail = format!("its account is not of this link: {down:?}");
            return broken(Law::NothingLeaks, detail);
        }
        Ok(())
    }

    /// The end has come: was it time for a death?
    fn judge_death(&self, at: Time, down: &Down) -> Judged {
        let limit = self.in_force.map(|value| value.saturating_add(self.settings.slack));
        let since = match down.reason {
            DownReason::Silent => self.last_read + self.held,
            DownReason::WriteStalled { .. } => self.moved,
            DownReason::Protocol(_) if !self.corrupted => {
                return broken(Law::NoFalseDeath, "good bytes refused");
            }
            _ => return Ok(()),
        };
        let silent = down.reason == DownReason::Silent;
        let Some(limit) = limit else {
            return broken(Law::NoFalseDeath, "dead of a limit where none is in force");
        };
        if silent && self.unread > 0 {
            return broken(Law::NoFalseDeath, "dead with bytes unread");
        }
        if !silent && self.pending == 0 {
            return broken(Law::NoFalseDeath, "stuck with nothing to write");
        }
        let limit = self.pending_limit.filter(|_| !silent).map_or(limit, |began| began.max(limit));
        let since = if silent { since } else { since.max(self.limited) };
        let dead_at = since + limit;
        if at < dead_at {
            return broken(Law::NoFalseDeath, format!("dead before {dead_at:?}"));
        }
        let tolerance = self.settings.slack.div_f64(2.0).max(Duration::from_millis(250));
        let began = if silent { self.last_read } else { self.moved };
        let mut long =
            self.stops.iter().filter(|stop| stop.0 >= began && stop.1.since(stop.0) > tolerance);
        let Some((from, until)) = long.next() else { return Ok(()) };
        let counts = (self.held.is_zero() || !silent) && self.stops.len() < STOPS;
        let over_it = *from <= dead_at && *until > dead_at + tolerance + self.granularity;
        if counts && over_it && at < *until + self.settings.slack {
            return broken(Law::NoFalseDeath, format!("dead after our own stop until {until:?}"));
        }
        Ok(())
    }

    fn floor(&self) -> Duration {
        let nanos = self.settings.heartbeat_time_min.as_nanos();
        let ms = nanos.div_ceil(1_000_000).clamp(1, u32::MAX.into());
        Duration::from_millis(ms as u64)
    }
}

fn broken(law: Law, detail: impl Into<String>) -> Judged {
    Err((law, detail.into()))
}

/// How many stops are remembered: more than a silence ever holds.
const STOPS: usize = 16;
