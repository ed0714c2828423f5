//! A connection whole, for a host with a loop of its own: both halves, and one thing to do at a
//! time.
//!
//! The host owns the socket and the clock. It hands in what it read, writes what there is to be
//! written, and asks what to do; nothing here reads a clock, locks, or does I/O.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::change::HeartbeatChange;
use super::down::{Down, DownReason};
use super::event::LinkEvent;
use super::found::Found;
use super::incoming::{Incoming, Input};
use super::outgoing::Outgoing;
use super::phase::{Close, Phase};
use super::send_error::SendError;
use super::stats::Stats;
use super::unreported::Unreported;
use super::write_buffer::WriteBuffer;
use crate::liveness::{Settings, Time, Verdict};
use crate::protocol::{Bye, ByeCode, Framing, Native, ProtocolError};

/// One established connection: its queue, heartbeats at the edges of frames, verdicts on a peer
/// that is silent or has stopped reading, an orderly close, and the account of the end.
///
/// A turn of the host's loop: read what the kernel holds into [`spare`](Self::spare), then write
/// [`poll_transmit`](Self::poll_transmit) and ask [`poll`](Self::poll), again and again until that
/// returns [`Output::Wait`], and wait until the socket is ready or the instant has come. The order
/// matters: bytes that came in time are heard before a verdict is passed.
///
/// ```
/// use peerbeat::connection::{Connection, Output};
/// use peerbeat::liveness::{Settings, Time};
/// use peerbeat::protocol::Native;
/// use std::time::Duration;
///
/// let mut now = Time::ZERO;
/// let [mut here, mut there] =
///     [(); 2].map(|()| Connection::new(Native::default(), &Settings::default(), now));
/// here.send(b"tick")?;
///
/// // What the one writes the other reads; a host has a socket between the two.
/// let bytes = here.poll_transmit(now).to_vec();
/// here.handle_written(bytes.len(), now);
/// there.spare()[..bytes.len()].copy_from_slice(&bytes);
/// there.handle_received(bytes.len(), now);
/// assert!(matches!(there.poll(now), Output::Message(b"tick")));
///
/// // Nothing more comes. A host waits for its socket, until the instant that it is given.
/// let down = loop {
///     let count = there.poll_transmit(now).len();
///     there.handle_written(count, now);
///     match there.poll(now) {
///         Output::Wait { until } => now = until,
///         Output::Down(down) => break down,
///         _ => {} // such as `LinkEvent::Late`
///     }
/// };
/// // 5 s and 2 s of slack
/// assert_eq!(now, Time::ZERO + Duration::from_secs(7));
/// assert_eq!(down.reason.as_str(), "silent");
/// # Ok::<(), peerbeat::connection::SendError>(())
/// ```
pub struct Connection<F: Framing = Native> {
    outgoing: Outgoing<F>,
    incoming: Incoming<F>,
    /// What the host is writing.
    writes: Option<WriteBuffer>,
    events: Unreported,
    /// The message that was handed on last.
    found: Found,
    /// The instant that the host was last asked to wait for.
    waits_until: Time,
    close_timeout: Duration,
    close_max: Duration,
    is_shut: bool,
}

/// What [`Connection::poll`] asks of the host, or reports.
#[derive(Debug)]
#[non_exhaustive]
#[must_use = "what is not handled is lost"]
pub enum Output<'a> {
    /// A message arrived.
    Message(&'a [u8]),
    /// Something happened on the living connection.
    Event(LinkEvent),
    /// All that was accepted is written, and the goodbye behind it: shut the sending direction of
    /// the socket, and go on reading.
    ShutdownWrite,
    /// The connection has ended: shut both directions and close the socket. Returned again if asked
    /// again.
    Down(Down),
    /// Nothing is due: poll again at `until` ([`Time::NEVER`] = no need), or when bytes came or
    /// went.
    Wait {
        /// The next instant at which something is due.
        until: Time,
    },
}

impl<F: Framing> Connection<F> {
    /// Starts with the connection's establishment at `now`. Up to 8 MiB may wait to be sent.
    pub fn new(framing: F, settings: &Settings, now: Time) -> Self {
        let settings = match F::NEGOTIATES {
            true => *settings,
            false => settings.without_negotiation(),
        };
        let framing = Arc::new(framing);
        Self {
            outgoing: Outgoing::new(Arc::clone(&framing), &settings, QUEUE_BYTES, now),
            incoming: Incoming::new(framing, &settings, now),
            writes: None,
            events: Unreported::default(),
            found: Found::Elsewhere(Vec::new()),
            waits_until: Time::NEVER,
            close_timeout: CLOSE_TIMEOUT,
            close_max: CLOSE_MAX,
            is_shut: false,
        }
    }

    /// Sets how many bytes may wait to be sent. A longer message is accepted while nothing waits.
    pub fn set_queue_bytes(&mut self, bytes: usize) {
        self.outgoing.set_queue_bytes(bytes);
    }

    /// Sets how long a close may go on without the kernel taking a byte, and in all. Default 2 s
    /// and 30 s.
    pub fn set_close_timeout(&mut self, timeout: Duration, max: Duration) {
        (self.close_timeout, self.close_max) = (timeout, max);
    }

    /// Takes in the heartbeat-time in the peer's HELLO, if the host made the handshake: both ends
    /// then start at the smaller value.
    pub fn handle_hello(&mut self, heartbeat_time_ms: u32, now: Time) {
        self.outgoing.handle_hello(heartbeat_time_ms, now);
        let events = self.incoming.hear_hello(heartbeat_time_ms, now);
        self.events.add_all(events.into_iter().flatten(), now);
    }

    /// Accepts a message for sending.
    ///
    /// # Errors
    /// [`SendError::Full`] if there is no room now, [`SendError::Unfit`] for a message that no
    /// frame can carry, [`SendError::Down`] once the connection ends or a write has failed.
    pub fn send(&mut self, payload: &[u8]) -> Result<(), SendError> {
        if self.outgoing.phase().refusal().is_none() && !self.outgoing.has_room(payload.len()) {
            return Err(SendError::Full);
        }
        self.outgoing.queue(payload)
    }

    /// What is to be written at `now`, perhaps nothing. Report what the kernel took of it with
    /// [`handle_written`](Self::handle_written), even if that is nothing.
    pub fn poll_transmit(&mut self, now: Time) -> &[u8] {
        if self.writes.is_none() {
            self.writes = self.outgoing.poll_transmit(now, true, false);
        }
        self.writes.as_ref().map_or(&[], WriteBuffer::rest)
    }

    /// Records that the kernel took `count` bytes of what was to be written at `now`.
    ///
    /// # Panics
    /// If that is more than there was.
    pub fn handle_written(&mut self, count: usize, now: Time) {
        let Some(buffer) = self.writes.take() else { return assert_eq!(count, 0) };
        assert!(count <= buffer.rest().len(), "more was written than there is");
        self.outgoing.handle_written(buffer, count, now);
    }

    /// Records that a write failed. Nothing more is sent, and what has arrived is still handed on:
    /// go on reading until the end of the stream.
    pub fn handle_write_error(&mut self, error: &io::Error, now: Time) {
        let reason = DownReason::io(error);
        match self.writes.take() {
            Some(buffer) => self.outgoing.handle_write_failed(buffer, reason, None, now),
            None => self.outgoing.break_off(reason, now),
        }
    }

    /// The space to read into, never empty.
    pub fn spare(&mut self) -> &mut [u8] {
        self.incoming.spare()
    }

    /// Records that `count` bytes were read into the spare space at `now`. Poll until nothing is
    /// left before reading more.
    ///
    /// # Panics
    /// If that is more than there was space.
    pub fn handle_received(&mut self, count: usize, now: Time) {
        self.take_changes(now);
        let waited_until = std::mem::replace(&mut self.waits_until, Time::NEVER);
        self.handle_waited(waited_until, now);
        let arrival = self.incoming.handle_received(count, now);
        if let Some(silence) = arrival.silence {
            self.outgoing.add_silence(silence);
        }
        self.events.add_all(arrival.recovered.map(LinkEvent::recovered), now);
        while let Some(heartbeat) = self.incoming.poll_heartbeat() {
            self.outgoing.handle_heartbeat(&heartbeat, now);
            let events = self.incoming.hear(heartbeat.heartbeat_time_ms, now);
            self.events.add_all(events.into_iter().flatten(), now);
        }
    }

    /// Records that the peer's stream has ended, after what was read before it has been polled.
    pub fn handle_end_of_stream(&mut self, now: Time) {
        self.outgoing.handle_end_of_stream(now);
    }

    /// Records that a read failed.
    pub fn handle_read_error(&mut self, error: &io::Error, now: Time) {
        self.outgoing.end(DownReason::io(error), now);
    }

    /// Begins an orderly close at `now`: what was accepted is written, then a goodbye; what arrives
    /// meanwhile is dropped and counted. Go on as before until [`Output::Down`].
    pub fn close(&mut self, now: Time) {
        self.begin_close(false, now);
    }

    /// Begins an orderly close that hands on what arrives meanwhile.
    pub fn drain(&mut self, now: Time) {
        self.begin_close(true, now);
    }

    fn begin_close(&mut self, hands_on: bool, now: Time) {
        let (timeout, max) = (self.close_timeout, self.close_max);
        let reason = DownReason::Local { detail: String::new() };
        let bye = Bye { code: ByeCode::CLOSE, text: "" };
        self.outgoing.close(reason, Some(&bye), Close::in_order(hands_on, timeout, max), now);
    }

    /// Asks what to do at `now`. Call again after every answer but [`Output::Wait`] and
    /// [`Output::Down`].
    pub fn poll(&mut self, now: Time) -> Output<'_> {
        self.take_changes(now);
        let hands_on = self.outgoing.phase().hands_on();
        if let Some(event) = self.events.pop(now).filter(|_| hands_on) {
            return Output::Event(event);
        }
        if !hands_on {
            self.drop_messages(now);
        } else if let Some(found) = self.handle_frames(now) {
            self.found = found;
            return Output::Message(self.found.payload(self.incoming.buffer()));
        }
        if let Some(down) = self.down(now) {
            return Output::Down(down);
        }
        let waited_until = std::mem::replace(&mut self.waits_until, Time::NEVER);
        self.handle_waited(waited_until, now);
        let next = self.poll_verdict(now).unwrap_or(now);
        self.outgoing.handle_timeout(now);
        if let Some(event) = self.events.pop(now) {
            return Output::Event(event);
        }
        if let Some(down) = self.down(now) {
            return Output::Down(down);
        }
        if self.outgoing.is_out() && !std::mem::replace(&mut self.is_shut, true) {
            return Output::ShutdownWrite;
        }
        self.waits_until = next.min(self.outgoing.poll_timeout(now)).min(self.events.due());
        Output::Wait { until: self.waits_until }
    }

    /// The verdict on silence: the next instant at which it changes, unless it is passed now.
    fn poll_verdict(&mut self, now: Time) -> Option<Time> {
        if !self.outgoing.phase().hands_on() {
            return Some(Time::NEVER);
        }
        match self.incoming.poll_verdict(now) {
            Verdict::Late { silence } => {
                self.outgoing.add_peer_late();
                self.events.add(LinkEvent::late(silence), now);
            }
            Verdict::Silent { .. } => {
                self.outgoing.end(DownReason::Silent, now);
            }
            Verdict::Wait { next } => return Some(next),
        }
        None
    }

    fn handle_waited(&mut self, until: Time, now: Time) {
        let late = self.incoming.handle_waited(until, now);
        let is_new = late.is_some_and(|late| self.outgoing.add_stall(late, now));
        let in_write = self.outgoing.handle_write_waited(until, now);
        let late = late.filter(|_| is_new).or(in_write);
        self.events.add_all(late.map(|late| LinkEvent::Stalled { late }), now);
    }

    fn take_changes(&mut self, now: Time) {
        if self.outgoing.has_changes() {
            let changes = self.outgoing.take_changes();
            let events = self.incoming.apply(changes, now);
            self.events.add_all(events.into_iter().flatten(), now);
        }
    }

    /// Takes in the frames in front of the next message, and returns that.
    fn handle_frames(&mut self, now: Time) -> Option<Found> {
        while self.outgoing.phase().hands_on() {
            let buffer = self.incoming.buffer();
            let buffer = (buffer.as_ptr().addr(), buffer.len());
            let mut found = None;
            let behind = self.incoming.poll_past_messages(|payload| {
                found = Some(Found::new(payload, buffer));
                false
            });
            match behind {
                None => return found,
                Some(Input::Bye(bye)) => self.outgoing.handle_bye(&bye, now),
                Some(Input::Broken(error)) => self.refuse(error, now),
                Some(Input::Heartbeat(_) | Input::Skipped) => {}
            }
        }
        None
    }

    fn drop_messages(&mut self, now: Time) {
        while let Some(input) = self.incoming.drop_messages() {
            match input {
                Input::Bye(bye) => self.outgoing.handle_bye(&bye, now),
                Input::Broken(_) => return,
                Input::Heartbeat(_) | Input::Skipped => {}
            }
        }
    }

    fn refuse(&mut self, error: ProtocolError, now: Time) {
        let text = error.to_string();
        let bye = Bye { code: ByeCode::PROTOCOL, text: &text };
        self.outgoing.close(DownReason::Protocol(error), Some(&bye), Close::goodbye(), now);
    }

    /// The account, once the connection has ended.
    fn down(&mut self, now: Time) -> Option<Down> {
        let at = match self.outgoing.phase() {
            Phase::Ended { at, .. } => *at,
            Phase::Down { down, .. } => return Some((**down).clone()),
            _ => return None,
        };
        if let Some(buffer) = self.writes.take() {
            self.outgoing.handle_written(buffer, 0, now);
        }
        self.drop_messages(now);
        Some(self.outgoing.report(self.incoming.report(at), now))
    }

    /// Sets the heartbeat-time of the living connection at `now`, if `value` is smaller than the
    /// one in force. The peer is held to it once it has announced a value that is not larger.
    ///
    /// # Errors
    /// The reason for which the connection has ended, of which there may be any, such as
    /// [`DownReason::Local`] after [`close`](Self::close). Nothing is changed then.
    pub fn set_heartbeat_time(
        &mut self,
        value: Duration,
        now: Time,
    ) -> Result<HeartbeatChange, DownReason> {
        self.waits_until = Time::NEVER;
        self.outgoing.set_heartbeat_time(value, now)
    }

    /// Sets the slack of the living connection at `now`: a larger one holds at once, a smaller one
    /// for what begins after it.
    ///
    /// # Errors
    /// The reason for which the connection has ended, of which there may be any, such as
    /// [`DownReason::Local`] after [`close`](Self::close). Nothing is changed then.
    pub fn set_slack(&mut self, slack: Duration, now: Time) -> Result<(), DownReason> {
        self.waits_until = Time::NEVER;
        self.outgoing.set_slack(slack, now)
    }

    /// The heartbeat-time in force for sending.
    pub fn heartbeat_time(&self) -> Option<Duration> {
        self.outgoing.timer().in_force()
    }

    /// Bytes that were accepted and are not written.
    pub fn pending(&self) -> usize {
        self.outgoing.pending()
    }

    /// What went out so far, and how punctually; the host counts what was received.
    pub fn stats(&self, now: Time) -> Stats {
        self.outgoing.stats(now)
    }
}

impl<F: Framing> fmt::Debug for Connection<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("phase", self.outgoing.phase()).finish_non_exhaustive()
    }
}

/// What may wait to be sent, unless the host sets another limit; the default of links and of `sim`
/// too.
pub(crate) const QUEUE_BYTES: usize = 8 << 20;
/// How long a close may go on without the kernel taking a byte, by default.
pub(crate) const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a close may take in all, by default.
pub(crate) const CLOSE_MAX: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

    use super::*;
    use crate::protocol::{Decoded, Frame, Heartbeat, Native};

    /// One byte a message, which is its number; 9 stands for a text.
    #[derive(Default)]
    struct Numbered(AtomicU8);

    impl Framing for Numbered {
        fn decode<'a>(&self, bytes: &'a [u8]) -> Result<Decoded<'a>, ProtocolError> {
            let Some(number) = bytes.first() else { return Ok(Decoded::Partial) };
            let expected = self.0.fetch_add(1, Relaxed) + 1;
            assert_eq!(*number, expected, "each comes once");
            let data = if *number == 9 { b"nine" } else { &bytes[..1] };
            Ok(Decoded::Whole { length: 1, frame: Frame::Data(data) })
        }

        fn encode_data(&self, _: &[u8], _: &mut Vec<u8>) -> Result<(), ProtocolError> {
            Ok(())
        }

        fn encode_heartbeat(&self, _: &Heartbeat, _: &mut Vec<u8>) {}

        const NEGOTIATES: bool = false;
    }

    #[test]
    fn a_framing_that_counts_is_asked_once_about_each_message() {
        let now = Time::ZERO;
        let mut here = Connection::new(Numbered::default(), &Settings::default(), now);
        let all = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];
        here.spare()[..11].copy_from_slice(&all);
        here.handle_received(11, now);
        for number in 1..=8 {
            assert!(matches!(here.poll(now), Output::Message([it]) if *it == number));
        }
        assert!(matches!(here.poll(now), Output::Message(b"nine")));
        here.close(now);
        let down = loop {
            let count = here.poll_transmit(now).len();
            here.handle_written(count, now);
            match here.poll(now) {
                Output::Down(down) => break down,
                Output::ShutdownWrite => here.handle_end_of_stream(now),
                other => assert!(!matches!(other, Output::Message(_)), "{other:?}"),
            }
        };
        assert_eq!(down.undelivered_frames, 2);
    }

    #[test]
    fn of_values_set_at_once_the_peer_is_held_to_the_first_that_it_announces() {
        let (ms, now) = (Duration::from_millis, Time::ZERO);
        let settings = Settings::default().heartbeat_time(ms(500)).slack(ms(100));
        let mut here = Connection::new(Native::default(), &settings, now);
        for value in [400, 300, 120] {
            assert_eq!(here.set_heartbeat_time(ms(value), now), Ok(HeartbeatChange::InForce));
        }
        let value = Heartbeat { heartbeat_time_ms: 250, timing: None };
        let mut bytes = Vec::new();
        Native::default().encode_heartbeat(&value, &mut bytes);
        here.spare()[..bytes.len()].copy_from_slice(&bytes);
        here.handle_received(bytes.len(), now);
        assert_eq!(here.incoming.timer().promise(), Some(ms(400)));
        assert_eq!(here.outgoing.timer().limit(), Some(ms(500)));
        assert_eq!(here.heartbeat_time(), Some(ms(120)));
    }
}
