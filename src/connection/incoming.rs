//! The receiving half: bytes in, messages and events out, and the verdict on silence.
//!
//! Owned by the reading side. The heartbeats that a read brought are processed before its messages
//! are handed on, because a program may hold the reader with any one of them for as long as it
//! likes, and a value that waits behind it would come too late (H4).
//!
//! Invariant: every whole frame is heard once and handed on once, in order.

use std::sync::Arc;
use std::time::Duration;

use super::change::PendingChanges;
use super::event::{Cause, LinkEvent};
use super::outgoing::SilenceReport;
use super::stats::Silence;
use super::trace::{Step, Trace};
use crate::liveness::{Settings, SilenceTimer, Time, Verdict};
use crate::protocol::{Bye, Decoded, Decoder, Frame, Framing, Heartbeat, ProtocolError};

/// What arrives on a connection.
#[derive(Debug)]
pub(crate) struct Incoming<F> {
    decoder: Decoder<Arc<F>>,
    timer: SilenceTimer,
    /// What a clamped value becomes.
    floor: Duration,
    /// Bytes at the end of what is held that no heartbeat was looked for in.
    unheard: usize,
    /// Heartbeats in front of them that were heard and not passed yet.
    heard: u32,
    /// Nothing behind a goodbye, or behind what breaks the protocol, is heard.
    is_over: bool,
    /// We were stopped during this silence: it is no evidence about the peer.
    stalled: bool,
    largest_silence: Duration,
    undelivered: u64,
    trace: Trace,
    /// What was read last, if it is not recorded yet, and when.
    untraced: Option<(usize, Time)>,
    /// That the program holds the reader is recorded.
    traces_hold: bool,
}

/// What came behind the messages that were handed on.
#[derive(Debug)]
pub(crate) enum Input<'a> {
    /// Only if heartbeats carry no value: the others are processed before.
    Heartbeat(Heartbeat),
    Bye(Bye<'a>),
    /// The peer breaks the protocol.
    Broken(ProtocolError),
    /// A frame that there is nothing to do about.
    Skipped,
}

/// What bytes that arrived have ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Arrival {
    /// How long the silence was that had been reported as late.
    pub(crate) recovered: Option<Duration>,
    /// What is to be measured of it.
    pub(crate) silence: Option<Silence>,
}

impl<F: Framing> Incoming<F> {
    pub(crate) fn new(framing: Arc<F>, settings: &Settings, now: Time) -> Self {
        Self {
            decoder: Decoder::new(framing),
            timer: SilenceTimer::new(settings, now),
            floor: settings.heartbeat_time_min,
            unheard: 0,
            heard: 0,
            is_over: false,
            stalled: false,
            largest_silence: Duration::ZERO,
            undelivered: 0,
            trace: Trace::default(),
            untraced: None,
            traces_hold: false,
        }
    }

    pub(crate) fn set_trace(&mut self, trace: Trace) {
        self.trace = trace;
    }

    /// The space to read into.
    #[inline]
    pub(crate) fn spare(&mut self) -> &mut [u8] {
        self.decoder.spare()
    }

    /// Takes in bytes that were read before, with the handshake.
    pub(crate) fn handle_read_before(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let spare = self.decoder.spare();
            let count = spare.len().min(bytes.len());
            spare[..count].copy_from_slice(&bytes[..count]);
            self.fill(count);
            bytes = &bytes[count..];
        }
    }

    /// Records that `count` bytes were read into the spare space at `now`.
    #[inline]
    pub(crate) fn handle_received(&mut self, count: usize, now: Time) -> Arrival {
        if self.trace.is_on() {
            let before = self.untraced.map_or(0, |(bytes, _)| bytes);
            self.untraced = Some((before + count, now));
        }
        self.fill(count);
        let silence = self.measure_silence(now);
        Arrival { silence, recovered: self.timer.handle_received(now) }
    }

    fn fill(&mut self, count: usize) {
        self.decoder.handle_filled(count);
        self.unheard += count;
    }

    /// A comparison if there was traffic; more only if the peer took half a heartbeat-time, or
    /// longer than ever.
    fn measure_silence(&mut self, now: Time) -> Option<Silence> {
        let silence = self.timer.silence(now);
        let promised = self.timer.in_force().filter(|value| silence >= *value / 2);
        let is_largest = silence > self.largest_silence;
        if std::mem::take(&mut self.stalled) || !(is_largest || promised.is_some()) {
            return None;
        }
        self.largest_silence = self.largest_silence.max(silence);
        let late = promised.map(|promised| silence.saturating_sub(promised));
        Some(Silence { largest: self.largest_silence, late })
    }

    /// The next heartbeat of what has arrived. They are all to be asked for, and
    /// [taken in](Self::hear), before anything is handed on.
    pub(crate) fn poll_heartbeat(&mut self) -> Option<Heartbeat> {
        let found = self.find_heartbeat();
        if let Some((bytes, at)) = self.untraced.filter(|_| found.is_none()) {
            self.untraced = None;
            self.trace.add(at, || Step::Read { bytes });
        }
        found
    }

    fn find_heartbeat(&mut self) -> Option<Heartbeat> {
        if !F::NEGOTIATES || self.is_over {
            return None;
        }
        let held = self.decoder.pending();
        let mut at = held.len().saturating_sub(self.unheard);
        let mut found = None;
        while found.is_none() {
            at += self.decoder.framing().data_length(&held[at..]);
            match self.decoder.framing().decode(&held[at..]) {
                Ok(Decoded::Whole { length, frame }) if (1..=held.len() - at).contains(&length) => {
                    at += length;
                    match frame {
                        Frame::Heartbeat(heartbeat) => found = Some(heartbeat),
                        Frame::Bye(_) | Frame::Hello(_) => {
                            self.is_over = true;
                            break;
                        }
                        Frame::Data(_) | Frame::Unknown { .. } => {}
                    }
                }
                Ok(_) => break,
                Err(_) => {
                    self.is_over = true;
                    break;
                }
            }
        }
        self.unheard = held.len() - at;
        self.heard += u32::from(found.is_some());
        found
    }

    /// Takes over a value from the peer at `now` (H2), and returns what is to be reported.
    pub(crate) fn hear(&mut self, value_ms: u32, now: Time) -> [Option<LinkEvent>; 3] {
        let outcome = self.timer.handle_heartbeat(value_ms, now);
        let flooding = outcome.flooding.then_some(LinkEvent::Flooding);
        let [clamped, adopted] = self.outcome(outcome.clamped, outcome.adopted);
        self.traced([clamped, adopted, flooding], now)
    }

    /// Takes over the value of the peer's HELLO in the same way.
    pub(crate) fn hear_hello(&mut self, value_ms: u32, now: Time) -> [Option<LinkEvent>; 2] {
        let outcome = self.timer.handle_announced(value_ms, now);
        let events = self.outcome(outcome.clamped, outcome.adopted);
        self.traced(events, now)
    }

    fn traced<const N: usize>(
        &self,
        events: [Option<LinkEvent>; N],
        now: Time,
    ) -> [Option<LinkEvent>; N] {
        if self.trace.is_on() {
            for event in events.iter().flatten() {
                self.trace.add(now, || Step::Event(event.clone()));
            }
        }
        events
    }

    fn outcome(
        &self,
        clamped: Option<Duration>,
        adopted: Option<crate::liveness::Change>,
    ) -> [Option<LinkEvent>; 2] {
        let floor = self.floor;
        let clamped = clamped.map(|asked| LinkEvent::Clamped { asked, floor });
        let adopted = adopted.map(|change| {
            let (from, to) = (change.from, change.to);
            LinkEvent::HeartbeatTime { from, to, cause: Cause::Peer }
        });
        [clamped, adopted]
    }

    /// Hands on the messages that come next, as long as `hand_on` returns true, and returns what
    /// comes behind them.
    // Always in line: returned through memory, a frame costs three times as much.
    #[inline(always)]
    pub(crate) fn poll_past_messages(
        &mut self,
        hand_on: impl FnMut(&[u8]) -> bool,
    ) -> Option<Input<'_>> {
        input(self.decoder.poll_past_data(hand_on), &mut self.heard)
    }

    /// Drops the messages that are there, and counts them as not handed on. What else arrived is
    /// returned like [`poll_past_messages`](Self::poll_past_messages) does.
    pub(crate) fn drop_messages(&mut self) -> Option<Input<'_>> {
        let undelivered = &mut self.undelivered;
        let drop = |_: &[u8]| {
            *undelivered += 1;
            true
        };
        input(self.decoder.poll_past_data(drop), &mut self.heard)
    }

    /// What has arrived, read or not, for as long as nothing more is read.
    pub(crate) fn buffer(&self) -> &[u8] {
        self.decoder.buffer()
    }

    /// Takes over what was set since the last time, and returns what is to be reported.
    pub(crate) fn apply(&mut self, changes: PendingChanges, now: Time) -> [Option<LinkEvent>; 4] {
        if let Some((greatest, last, at)) = changes.slack {
            self.timer.set_slack(greatest, at);
            self.timer.set_slack(last, at);
        }
        let lowered = changes.lowered.map(|lowered| {
            self.timer.lower(lowered.first, lowered.at);
            self.timer.lower(lowered.to, lowered.at);
            let (from, to) = (lowered.from, lowered.to);
            LinkEvent::HeartbeatTime { from, to, cause: Cause::Local }
        });
        let stalled = changes.stalled.map(|late| LinkEvent::Stalled { late });
        let not_reading = changes.not_reading.map(|behind| LinkEvent::NotReading { behind });
        let crossing = changes.crossing.map(|crossing| match crossing.is_high {
            true => LinkEvent::QueueHigh { bytes: crossing.bytes, count: crossing.count },
            false => LinkEvent::QueueLow { bytes: crossing.bytes, count: crossing.count },
        });
        self.traced([stalled, lowered, not_reading, crossing], now)
    }

    /// Records that a wait that should have ended at `until` ended at `now`, before what it
    /// brought; returns by how much too late, if that is a stall of our own process.
    #[inline]
    pub(crate) fn handle_waited(&mut self, until: Time, now: Time) -> Option<Duration> {
        let late = self.timer.handle_waited(until, now)?;
        self.stalled = true;
        Some(late)
    }

    /// The program begins to hold the reader.
    pub(crate) fn handle_hold(&mut self, now: Time) {
        self.traces_hold = true;
        self.trace.add(now, || Step::Held);
    }

    /// The program has held the reader for `held` until `now`: that is not the peer's silence.
    /// Returns whether it was longer than the limit, which is to be reported.
    #[inline]
    pub(crate) fn handle_held(&mut self, held: Duration, now: Time) -> bool {
        if self.trace.is_on() {
            if !std::mem::take(&mut self.traces_hold) {
                self.trace.add(now - held, || Step::Held);
            }
            self.trace.add(now, || Step::Released);
        }
        self.timer.handle_held(held);
        self.timer.limit().is_some_and(|limit| held > limit)
    }

    /// What the silence means at `now`. The socket must have been looked at first.
    #[inline]
    pub(crate) fn poll_verdict(&mut self, now: Time) -> Verdict {
        self.timer.poll(now)
    }

    /// The rules of receiving, to be asked.
    #[inline]
    pub(crate) fn timer(&self) -> &SilenceTimer {
        &self.timer
    }

    /// Bytes of memory that the buffer holds.
    #[inline]
    pub(crate) fn capacity(&self) -> usize {
        self.decoder.capacity()
    }

    /// Gives the buffer back if nothing is in it.
    pub(crate) fn shrink(&mut self) {
        self.decoder.shrink();
    }

    /// What is known about the end, which began at `ended_at`.
    pub(crate) fn report(&self, ended_at: Time) -> SilenceReport {
        SilenceReport {
            silence: ended_at.since(self.timer.last_received()),
            limit: self.timer.limit(),
            heartbeat_time: self.timer.in_force(),
            slack: self.timer.slack(),
            undelivered_frames: self.undelivered,
        }
    }
}

/// What a frame is here, if so many heartbeats in front were heard before.
#[inline(always)]
fn input<'a>(
    polled: Result<Option<Frame<'a>>, ProtocolError>,
    heard: &mut u32,
) -> Option<Input<'a>> {
    match polled {
        Ok(None) => None,
        Ok(Some(Frame::Heartbeat(heartbeat))) => Some(match heard.checked_sub(1) {
            Some(left) => {
                *heard = left;
                Input::Skipped
            }
            None => Input::Heartbeat(heartbeat),
        }),
        // Messages are taken before.
        Ok(Some(Frame::Data(_) | Frame::Unknown { .. })) => Some(Input::Skipped),
        Ok(Some(Frame::Bye(bye))) => Some(Input::Bye(bye)),
        Ok(Some(Frame::Hello(_))) => Some(Input::Broken(unexpected_hello())),
        Err(error) => Some(Input::Broken(error)),
    }
}

#[cold]
fn unexpected_hello() -> ProtocolError {
    ProtocolError::Unexpected { frame: "HELLO", allowed: "DATA, HEARTBEAT or BYE" }
}
