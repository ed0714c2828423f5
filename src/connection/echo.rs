//! What the peer's echoes of our heartbeats show: the round trip, what it has read for certain, and
//! whether it reads at all.
//!
//! A heartbeat carries its sender's clock, and the peer's next one returns it with how long
//! ago it was read. So the bytes up to a heartbeat that was echoed have been read; and a peer whose
//! heartbeats arrive but keep echoing an old heartbeat has an application that does not read.
//!
//! Invariant: `out` holds heartbeats that are out and not echoed, oldest first, a bounded number.

use std::collections::VecDeque;
use std::time::Duration;

use crate::liveness::Time;
use crate::protocol::Timing;

#[derive(Debug, Default)]
pub(super) struct Echoes {
    /// Our clock in each, and how many bytes the kernel had taken with its last one.
    out: VecDeque<(u64, u64)>,
    /// Bytes that the peer has certainly read.
    confirmed: u64,
    /// The peer's clock in its last heartbeat, and when that arrived.
    last: Option<(u64, Time)>,
    /// The peer's clock in its first heartbeat.
    first_us: Option<u64>,
    is_behind: bool,
}

/// What one heartbeat from the peer showed.
#[derive(Debug, Default)]
pub(super) struct EchoOutcome {
    pub(super) round_trip: Option<Duration>,
    /// How old the oldest heartbeat is that it should have read; once an episode.
    pub(super) not_reading: Option<Duration>,
}

impl Echoes {
    /// The timing for a heartbeat that we make at `now`.
    pub(super) fn timing(&self, now: Time) -> Timing {
        let (echo_us, echo_age_us) = match self.last {
            Some((sent_us, at)) => (sent_us, now.since(at).as_micros() as u64),
            None => (0, 0),
        };
        Timing { sent_us: micros(now), echo_us, echo_age_us }
    }

    /// Records that a whole heartbeat is out, our byte `bytes` being its last.
    pub(super) fn handle_sent(&mut self, sent_us: u64, bytes: u64) {
        // Those that find no room are not known later: what is unconfirmed is then over-estimated.
        if self.out.len() < OUT_MAX {
            self.out.push_back((sent_us, bytes));
        }
    }

    /// The peer's heartbeat brought this at `now`; the limit is `limit`.
    pub(super) fn handle_timing(
        &mut self,
        timing: &Timing,
        now: Time,
        limit: Option<Duration>,
    ) -> EchoOutcome {
        self.last = Some((timing.sent_us, now));
        let first_us = *self.first_us.get_or_insert(timing.sent_us);
        let is_echoed = |(sent_us, _): &&(u64, u64)| *sent_us <= timing.echo_us;
        while let Some((_, bytes)) = self.out.front().filter(is_echoed) {
            self.confirmed = *bytes;
            self.out.pop_front();
        }
        // When it was sent, on our clock, at the earliest: that does not depend on how long it
        // waited for our own reader.
        let sent_at = match timing.echo_us {
            0 => timing.sent_us.saturating_sub(first_us),
            echo => echo.saturating_add(timing.echo_age_us),
        };
        let oldest = self.out.front().map(|(sent_us, _)| *sent_us);
        let behind = oldest.map(|oldest| Duration::from_micros(sent_at.saturating_sub(oldest)));
        let is_behind = behind.zip(limit).is_some_and(|(behind, limit)| behind > limit);
        let begins = !std::mem::replace(&mut self.is_behind, is_behind) && is_behind;
        let age = oldest.map(|oldest| Duration::from_micros(micros(now).saturating_sub(oldest)));
        EchoOutcome { round_trip: round_trip(timing, now), not_reading: age.filter(|_| begins) }
    }

    /// Bytes, of the first `sent`, that the peer may not have read.
    pub(super) fn unconfirmed(&self, sent: u64) -> u64 {
        sent.saturating_sub(self.confirmed)
    }
}

/// The round trip that an echoed heartbeat shows; `None` if the peer has echoed none yet, or echoes
/// what we cannot have sent.
fn round_trip(timing: &Timing, now: Time) -> Option<Duration> {
    let away = micros(now).checked_sub(timing.echo_us)?.checked_sub(timing.echo_age_us)?;
    (timing.echo_us > 0).then(|| Duration::from_micros(away))
}

/// Microseconds on the clock, never 0, which means "none" in a heartbeat.
fn micros(time: Time) -> u64 {
    time.as_nanos() / 1000 + 1
}

/// How many heartbeats are remembered: as many as a slack of 64 heartbeat-times leaves unanswered.
const OUT_MAX: usize = 64;
