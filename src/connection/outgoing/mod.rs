//! The sending half: what was accepted, the buffer that is being written, heartbeats at its edges,
//! stuck writes, changed values, and the end.
//!
//! A driver takes the [buffer](Outgoing::poll_transmit), writes what the kernel accepts, without
//! any lock that guards this, and gives it back. One writer at a time has it, so frames never mix.
//! A link holds this under its lock and writes from several threads; other callers own it.
//!
//! Invariant: a message that was accepted is written whole and in order, or counted as unsent.

mod accepting;
mod encoding;
mod ending;
mod setting;
mod tracing;

use std::sync::Arc;
use std::time::Duration;

use super::budget::{Part, QueueBudget};
use super::change::PendingChanges;
use super::down::DownReason;
use super::echo::Echoes;
use super::fill::Fill;
use super::phase::{Phase, Writing};
use super::stats::{Measures, Silence, Stats};
use super::trace::{Step, Trace};
use super::write_buffer::{Unsent, WriteBuffer};
use crate::liveness::{HeartbeatTimer, Mode, Settings, Time};
use crate::protocol::{Framing, Heartbeat};

pub(crate) use ending::SilenceReport;

/// What leaves a connection.
#[derive(Debug)]
pub(crate) struct Outgoing<F> {
    framing: Arc<F>,
    settings: Settings,
    fill: Fill,
    part: Part,
    /// When the connection was established.
    began: Time,
    timer: HeartbeatTimer,
    /// Frames that wait, encoded, and how many of them are messages.
    queue: Vec<u8>,
    queued: u64,
    /// What is being written; empty while the writer has it.
    buffer: WriteBuffer,
    /// Bytes that left the queue and are not written yet.
    in_flight: usize,
    is_writing: bool,
    /// The last heartbeat, encoded.
    heartbeat: Vec<u8>,
    echoes: Echoes,
    /// What the peer last asked for, as it came.
    received: Option<Duration>,
    /// The heartbeat-time that the program set last, if it was smaller.
    set: Option<Duration>,
    changes: PendingChanges,
    phase: Phase,
    unsent: Unsent,
    /// The peer's end of stream was seen.
    saw_end: bool,
    /// After a failed write the stream was ended on this side, for want of a better reason.
    is_cut_off: bool,
    /// It came on our goodbye: the peer has read all that we sent.
    is_confirmed: bool,
    stats: Stats,
    measures: Measures,
    trace: Trace,
    /// What the writer has in hand was taken without a look at the clock, and is not recorded yet.
    traces_late: bool,
}

/// What a heartbeat from the peer is to the sending half.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Heard {
    /// The value in force changed: the sender has another deadline.
    pub(crate) adopted: bool,
    /// There is something for the receiving half to report.
    pub(crate) has_changes: bool,
}

impl<F: Framing> Outgoing<F> {
    pub(crate) fn new(framing: Arc<F>, settings: &Settings, queue_bytes: usize, now: Time) -> Self {
        Self {
            framing,
            settings: *settings,
            fill: Fill::new(queue_bytes),
            part: Part::default(),
            began: now,
            timer: HeartbeatTimer::new(settings, now),
            queue: Vec::new(),
            queued: 0,
            buffer: WriteBuffer::default(),
            in_flight: 0,
            is_writing: false,
            heartbeat: Vec::new(),
            echoes: Echoes::default(),
            received: None,
            set: None,
            changes: PendingChanges::default(),
            phase: Phase::Up,
            unsent: Unsent::default(),
            saw_end: false,
            is_cut_off: false,
            is_confirmed: false,
            stats: Stats::default(),
            measures: Measures::default(),
            trace: Trace::default(),
            traces_late: false,
        }
    }

    pub(crate) fn set_queue_bytes(&mut self, bytes: usize) {
        self.fill.set_limit(bytes);
    }

    /// What waits here counts for the budget as well.
    pub(crate) fn set_budget(&mut self, budget: QueueBudget) {
        self.part = Part::of(budget);
    }

    /// Whether nothing is queued or being written.
    #[inline]
    pub(crate) fn is_idle(&self) -> bool {
        !self.is_writing && self.in_flight == 0 && self.queue.is_empty()
    }

    /// Whether the queue could be written now.
    #[inline]
    pub(crate) fn can_take(&self) -> bool {
        !self.is_writing && self.in_flight == 0
    }

    pub(crate) fn is_writing(&self) -> bool {
        self.is_writing
    }

    /// Messages that wait in the queue.
    pub(crate) fn queued_messages(&self) -> u64 {
        self.queued
    }

    /// Bytes that wait in the queue.
    #[inline]
    pub(crate) fn queued_bytes(&self) -> usize {
        self.queue.len()
    }

    /// Bytes that were accepted and are not written.
    #[inline]
    pub(crate) fn pending(&self) -> usize {
        self.queue.len() + self.in_flight
    }

    /// Takes what is queued, for a writer that does not look at the clock before.
    #[inline]
    pub(crate) fn take_queue(&mut self) -> WriteBuffer {
        self.traces_late = self.load() && self.trace.is_on();
        self.take()
    }

    /// What is to be written at `now`: what is under way, else what is queued if `takes_queue`,
    /// with a heartbeat that is due at an edge. `None` if there is nothing, or a write is under
    /// way.
    pub(crate) fn poll_transmit(
        &mut self,
        now: Time,
        takes_queue: bool,
        holds_heartbeats: bool,
    ) -> Option<WriteBuffer> {
        if self.is_writing || self.has_failed() {
            return None;
        }
        match &self.phase {
            Phase::Up => {
                if takes_queue && self.load() {
                    self.trace_frames(&self.buffer.bytes, now);
                }
                if !holds_heartbeats {
                    self.put_heartbeat(now);
                }
            }
            Phase::Closing(_) => self.prepare_close(now),
            _ => return None,
        }
        if self.buffer.is_empty() {
            return None;
        }
        self.timer.handle_pending(now);
        Some(self.take())
    }

    fn take(&mut self) -> WriteBuffer {
        self.is_writing = true;
        self.in_flight = self.buffer.rest().len();
        std::mem::take(&mut self.buffer)
    }

    /// Takes the queue to be written if nothing is; returns whether it did.
    #[inline]
    fn load(&mut self) -> bool {
        let loads = self.buffer.is_empty() && !self.queue.is_empty();
        if loads {
            std::mem::swap(&mut self.queue, &mut self.buffer.bytes);
            self.buffer.messages = std::mem::take(&mut self.queued);
        }
        loads
    }

    fn put_heartbeat(&mut self, now: Time) {
        if self.buffer.has_heartbeat() {
            return;
        }
        let Some(due) = self.timer.poll(now) else { return };
        if !due.even_busy && !self.buffer.is_empty() {
            return;
        }
        if F::NUMBERED {
            self.trace_frames(&self.queue, now);
            self.buffer.append(&mut self.queue, &mut self.queued);
        }
        let timing = self.echoes.timing(now);
        let heartbeat = Heartbeat { heartbeat_time_ms: due.value_ms(), timing: Some(timing) };
        self.heartbeat.clear();
        self.framing.encode_heartbeat(&heartbeat, &mut self.heartbeat);
        if self.heartbeat.is_empty() {
            self.timer.handle_heartbeat_sent(due.value, now);
        } else {
            let (sent_us, bytes) = (timing.sent_us, self.heartbeat.len());
            self.trace.add(now, || Step::Queued { bytes, heartbeat: Some(due.value) });
            self.buffer.insert_heartbeat(&*self.framing, &self.heartbeat, due.value, sent_us);
        }
    }

    /// Gives the buffer back: the kernel took `count` bytes of it at `now`. Returns the value of a
    /// heartbeat that is out whole with them.
    #[inline]
    pub(crate) fn handle_written(
        &mut self,
        mut buffer: WriteBuffer,
        count: usize,
        now: Time,
    ) -> Option<Duration> {
        let mut sent = None;
        if self.trace.is_on() {
            self.trace_write(&buffer, count, now);
        }
        if count > 0 {
            self.stats.bytes_sent += count as u64;
            if let Some(heartbeat) = buffer.handle_written(count) {
                self.measure_heartbeat(now);
                self.timer.handle_heartbeat_sent(heartbeat.value, now);
                self.stats.heartbeats_sent += 1;
                let bytes = self.stats.bytes_sent - heartbeat.behind as u64;
                self.echoes.handle_sent(heartbeat.sent_us, bytes);
                sent = Some(heartbeat.value);
                self.trace.add(now, || Step::HeartbeatSent { value: heartbeat.value });
            } else {
                self.handle_data_sent(now);
            }
            if let Phase::Closing(closing) = &mut self.phase {
                closing.moved = now;
            }
        }
        self.put_back(buffer, now);
        sent
    }

    #[inline]
    fn put_back(&mut self, mut buffer: WriteBuffer, now: Time) {
        self.is_writing = false;
        self.in_flight = buffer.rest().len();
        self.part.shrink_to(self.pending());
        if self.in_flight > 0 {
            self.timer.handle_pending(now);
        } else if self.queue.is_empty() {
            // The next batch is filled where this one was: it is in the cache.
            std::mem::swap(&mut self.queue, &mut buffer.bytes);
        }
        self.buffer = buffer;
        self.fill.handle_pending(self.pending());
        if matches!(self.phase, Phase::Closing(_)) {
            self.advance_close();
        }
    }

    /// Gives the buffer back: the write failed, and with it all sending. So many messages that were
    /// accepted only now, from the byte `withdrawn` of the buffer on, are their sender's again.
    pub(crate) fn handle_write_failed(
        &mut self,
        mut buffer: WriteBuffer,
        reason: DownReason,
        withdrawn: Option<(usize, u64)>,
        now: Time,
    ) {
        if let Some((from, messages)) = withdrawn {
            buffer.withdraw(from, messages);
            self.stats.messages_accepted -= messages;
        }
        if self.trace.is_on() {
            self.trace_write(&buffer, 0, now);
        }
        self.put_back(buffer, now);
        self.break_off(reason, now);
    }

    /// Sending is over: a write failed.
    pub(crate) fn break_off(&mut self, reason: DownReason, now: Time) {
        self.trace.add(now, || Step::WriteFailed);
        self.is_writing = false;
        self.in_flight = self.buffer.rest().len();
        self.timer.handle_dropped();
        match &mut self.phase {
            Phase::Up => self.phase = Phase::Broken(reason),
            Phase::Closing(closing) if closing.writing == Writing::UnderWay => {
                closing.writing = Writing::Failed;
                self.finish_close();
            }
            _ => {}
        }
    }

    /// Records that a wait in a write ended at `now`, which should have ended at `until`; returns
    /// by how much too late, if that is a stall that was not seen before.
    pub(crate) fn handle_write_waited(&mut self, until: Time, now: Time) -> Option<Duration> {
        let late = self.timer.handle_write_waited(until, now)?;
        self.measures.add_stall(late, now).then_some(late)
    }

    /// Leaves a stall of our own process for the receiving half to report.
    pub(crate) fn report_stall(&mut self, late: Duration) {
        self.changes.stalled = Some(late);
    }

    /// Takes in a heartbeat that arrived at `now`.
    pub(crate) fn handle_heartbeat(&mut self, heartbeat: &Heartbeat, now: Time) -> Heard {
        let value = Duration::from_millis(heartbeat.heartbeat_time_ms.into());
        self.trace.add(now, || Step::HeartbeatReceived { value });
        if let Some(timing) = &heartbeat.timing {
            let outcome = self.echoes.handle_timing(timing, now, self.timer.limit());
            if let Some(time) = outcome.round_trip {
                self.stats.round_trip = Some(time);
                self.measures.add_round_trip(time);
            }
            if outcome.not_reading.is_some() {
                self.changes.not_reading = outcome.not_reading;
            }
        }
        Heard {
            adopted: self.handle_announced(heartbeat.heartbeat_time_ms, now),
            has_changes: self.has_changes(),
        }
    }

    /// Takes over the value of the peer's HELLO.
    pub(crate) fn handle_hello(&mut self, value_ms: u32, now: Time) {
        let value = Duration::from_millis(value_ms.into());
        self.trace.add(now, || Step::HelloReceived { value });
        self.handle_announced(value_ms, now);
    }

    /// Takes over a value that the peer announced; returns whether ours changed.
    fn handle_announced(&mut self, value_ms: u32, now: Time) -> bool {
        if value_ms > 0 {
            self.received = Some(Duration::from_millis(value_ms.into()));
        }
        self.timer.adopt(value_ms, now)
    }

    /// The rules of sending, to be asked.
    #[inline]
    pub(crate) fn timer(&self) -> &HeartbeatTimer {
        &self.timer
    }

    pub(crate) fn phase(&self) -> &Phase {
        &self.phase
    }

    /// How late one of our waits may end before it counts as a stall.
    pub(crate) fn stall_tolerance(&self) -> Duration {
        Settings { slack: self.timer.slack(), ..self.settings }.stall_tolerance()
    }

    /// What the peer last asked for, as it came.
    pub(crate) fn received(&self) -> Option<Duration> {
        self.received
    }

    /// What the program set last, if it was smaller.
    pub(crate) fn set(&self) -> Option<Duration> {
        self.set
    }

    /// Memory that the buffers hold beyond `size` is given back.
    pub(crate) fn shrink_to(&mut self, size: usize) {
        self.queue.shrink_to(size);
        self.buffer.bytes.shrink_to(size);
    }

    /// The greater of what the two buffers hold.
    pub(crate) fn capacity(&self) -> usize {
        self.queue.capacity().max(self.buffer.bytes.capacity())
    }

    /// Bytes that the kernel accepted.
    pub(crate) fn bytes_sent(&self) -> u64 {
        self.stats.bytes_sent
    }

    /// Records a stall of our own process that ended at `now`; returns true if it is new.
    pub(crate) fn add_stall(&mut self, late: Duration, now: Time) -> bool {
        self.measures.add_stall(late, now)
    }

    pub(crate) fn add_peer_late(&mut self) {
        self.measures.peer_late += 1;
    }

    /// A silence of the peer has ended.
    pub(crate) fn add_silence(&mut self, silence: Silence) {
        self.measures.add_silence(silence);
    }

    /// What went out so far, and what was measured. What was received is its driver's to count.
    pub(crate) fn stats(&self, now: Time) -> Stats {
        let up = self.phase.ended_at().unwrap_or(now).since(self.began);
        Stats {
            heartbeats_suppressed: self.measures.suppressed + self.timer.suppressed(),
            queued_messages: self.queued,
            queued_bytes: self.pending(),
            up,
            ..self.measures.stats(self.stats)
        }
    }

    /// Moves the sending clock to `now`, when data was written, and measures if that was late.
    #[inline]
    fn handle_data_sent(&mut self, now: Time) {
        let late = self.timer.lateness(now).filter(|late| !late.is_zero());
        if let Some(late) = late.filter(|_| self.settings.mode == Mode::Idle) {
            self.measures.add_own(late, self.timer.slack());
        }
        self.timer.handle_sent(now);
    }

    /// Measures a heartbeat whose last byte was written at `now`, before any clock moves.
    fn measure_heartbeat(&mut self, now: Time) {
        self.measures.suppressed += self.timer.suppressed();
        if let Some(late) = self.timer.lateness(now) {
            self.measures.add_own(late, self.timer.slack());
        }
    }
}
