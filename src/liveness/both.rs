//! Both halves in one value, for a host that owns its socket and its loop.
//!
//! The host reports bytes in and out and asks what is due. Order matters in one place: before
//! asking, the host reads what the kernel holds, so that bytes that arrived in time count before
//! the clock does.

use std::time::Duration;

use super::{
    DueHeartbeat, HeartbeatOutcome, HeartbeatTimer, Settings, SilenceTimer, Time, Verdict,
};

/// The rules of one connection.
///
/// ```
/// use peerbeat::liveness::{Action, Liveness, Settings, Time};
/// use std::time::Duration;
///
/// let settings = Settings::default().heartbeat_time(Some(Duration::from_secs(5)));
/// let mut now = Time::ZERO;
/// let mut liveness = Liveness::new(&settings, now);
///
/// // Our value is announced at once ...
/// assert_eq!(liveness.poll(now), Action::SendHeartbeat { value_ms: 5000 });
/// liveness.handle_heartbeat_sent(5000, now);
/// // ... the next heartbeat is due after 5 s without a byte sent ...
/// let next = now + Duration::from_secs(5);
/// assert_eq!(liveness.poll(now), Action::Wait { until: next });
/// now = next;
/// assert_eq!(liveness.poll(now), Action::SendHeartbeat { value_ms: 5000 });
/// liveness.handle_heartbeat_sent(5000, now);
/// // ... and a peer that is silent for 5 s + 2 s of slack is gone.
/// now = Time::ZERO + Duration::from_secs(7);
/// assert!(matches!(liveness.poll(Time::ZERO + Duration::from_secs(6)), Action::Late { .. }));
/// assert!(matches!(liveness.poll(now), Action::Silent { .. }));
/// ```
#[derive(Clone, Debug)]
pub struct Liveness {
    heartbeat_timer: HeartbeatTimer,
    silence_timer: SilenceTimer,
    /// The instant that the host was last asked to wait for.
    waits_until: Time,
    /// The heartbeat that the host was asked for and has not reported yet.
    asked: Option<DueHeartbeat>,
}

/// What [`Liveness::poll`] asks of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[must_use = "what is due must be done"]
pub enum Action {
    /// Nothing is due: poll again at `until` ([`Time::NEVER`] = no need), or when bytes came or
    /// went.
    Wait {
        /// The next instant at which something is due.
        until: Time,
    },
    /// Send a heartbeat now, then report it with [`Liveness::handle_heartbeat_sent`]. It is asked
    /// for once, even if the kernel takes it late: a host that keeps it in a buffer of its own
    /// collects no burst. Bytes of data on their way make it needless, and may replace
    /// it if it carries nothing new.
    SendHeartbeat {
        /// The value it must carry, in milliseconds.
        value_ms: u32,
    },
    /// We were stopped ourselves; the peer was granted one more slack. Nothing to do: for the log.
    Stalled {
        /// How much later than asked the host polled.
        late: Duration,
    },
    /// The peer is late; reported once per silence. Nothing to do: for the log.
    Late {
        /// How long it has been silent.
        silence: Duration,
    },
    /// The peer is gone: close the connection, both directions, at once (H5).
    Silent {
        /// How long it has been silent.
        silence: Duration,
        /// The limit it reached.
        limit: Duration,
    },
    /// The peer has stopped reading: the kernel took no byte of a pending write for the limit.
    /// Close the connection as for [`Silent`](Self::Silent). Only for a host that reports
    /// [`handle_pending`](Liveness::handle_pending).
    WriteStalled {
        /// For how long it took none.
        pending: Duration,
    },
}

impl Liveness {
    /// Starts with the connection's establishment at `now`.
    pub fn new(settings: &Settings, now: Time) -> Self {
        let heartbeat_timer = HeartbeatTimer::new(settings, now);
        let silence_timer = SilenceTimer::new(settings, now);
        Self { heartbeat_timer, silence_timer, waits_until: Time::NEVER, asked: None }
    }

    /// Records that the kernel accepted some of our bytes at `now`;
    /// [`handle_pending`](Self::handle_pending) follows if it did not take all.
    pub fn handle_sent(&mut self, now: Time) {
        self.heartbeat_timer.handle_sent(now);
        // One that only fills an idle line may have been dropped for these bytes: it will be asked
        // for again when the line is idle. One that carries news is still on its way.
        self.asked = self.asked.filter(|beat| beat.even_busy);
    }

    /// Records that bytes wait which the kernel did not take at `now`. If it takes none of them for
    /// the limit, the peer has stopped reading, and [`poll`](Self::poll) says so: try to write
    /// before asking. A host that does not report it gets no such verdict.
    pub fn handle_pending(&mut self, now: Time) {
        self.heartbeat_timer.handle_pending(now);
    }

    /// Records that the kernel accepted a whole heartbeat from us, carrying `value_ms`, at `now`.
    pub fn handle_heartbeat_sent(&mut self, value_ms: u32, now: Time) {
        self.asked = None;
        self.heartbeat_timer.handle_heartbeat_sent(Duration::from_millis(value_ms.into()), now);
    }

    /// Lowers our own heartbeat-time while connected, at `now`; returns whether it changed: a
    /// larger one, and zero, wait for the next connection. It is in force for sending at once, and
    /// [`poll`](Self::poll) asks for its announcement. The peer is held to it once it has announced
    /// a value that is not larger; until then the old one holds, or 10 s if there was none.
    pub fn lower(&mut self, value: Duration, now: Time) -> bool {
        self.waits_until = Time::NEVER;
        self.silence_timer.lower(value, now);
        self.heartbeat_timer.lower(value, now)
    }

    /// Sets the slack while connected, at `now`: a larger one holds at once, a smaller one from
    /// the next byte that arrives, or that the kernel takes. It is ours alone and never sent.
    pub fn set_slack(&mut self, slack: Duration, now: Time) {
        self.waits_until = Time::NEVER;
        self.silence_timer.set_slack(slack, now);
        self.heartbeat_timer.set_slack(slack, now);
    }

    /// Records that bytes from the peer arrived at `now`; returns how long the silence was if it
    /// had been reported as late.
    pub fn handle_received(&mut self, now: Time) -> Option<Duration> {
        self.waits_until = Time::NEVER;
        self.silence_timer.handle_received(now)
    }

    /// Records the value of a heartbeat that arrived at `now`, after
    /// [`handle_received`](Self::handle_received) for its bytes.
    pub fn handle_heartbeat(&mut self, received_ms: u32, now: Time) -> HeartbeatOutcome {
        self.heartbeat_timer.adopt(received_ms, now);
        self.silence_timer.handle_heartbeat(received_ms, now)
    }

    /// Asks what is due at `now`. Call again after every answer except [`Action::Wait`].
    pub fn poll(&mut self, now: Time) -> Action {
        let waited_until = std::mem::replace(&mut self.waits_until, Time::NEVER);
        let late = self.silence_timer.handle_waited(waited_until, now);
        let late_too = self.heartbeat_timer.handle_write_waited(waited_until, now);
        if let Some(late) = late.or(late_too) {
            return Action::Stalled { late };
        }
        // The verdicts first: a heartbeat that the kernel does not take hides nothing (lesson 20).
        let next = match self.silence_timer.poll(now) {
            Verdict::Late { silence } => return Action::Late { silence },
            Verdict::Silent { silence, limit } => return Action::Silent { silence, limit },
            Verdict::Wait { next } => next,
        };
        if let Some(pending) = self.heartbeat_timer.stalled(now) {
            return Action::WriteStalled { pending };
        }
        self.waits_until = next.min(self.heartbeat_timer.stalled_at());
        if self.asked.is_none() {
            if let Some(beat) = self.heartbeat_timer.poll(now) {
                self.waits_until = Time::NEVER;
                self.asked = Some(beat);
                return Action::SendHeartbeat { value_ms: beat.value_ms() };
            }
            self.waits_until = self.waits_until.min(self.heartbeat_timer.due());
        }
        Action::Wait { until: self.waits_until }
    }

    /// The sending half.
    pub fn heartbeat_timer(&self) -> &HeartbeatTimer {
        &self.heartbeat_timer
    }

    /// The receiving half.
    pub fn silence_timer(&self) -> &SilenceTimer {
        &self.silence_timer
    }
}
