//! How the sending half ends: an orderly close, a goodbye, an abrupt end, and the account.
//!
//! The reading side decides that a connection has ended; this is what that does to what was
//! accepted. Every message is either out whole or counted.

use super::Outgoing;
use crate::connection::down::{Down, DownReason};
use crate::connection::phase::{Close, Closing, Phase, Writing};
use crate::connection::trace::Step;
use crate::connection::write_buffer::{Unsent, WriteBuffer};
use crate::liveness::Time;
use crate::protocol::{Bye, Framing};

use std::io;
use std::time::Duration;

/// What the receiving half knows about the end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SilenceReport {
    pub(crate) silence: Duration,
    pub(crate) limit: Option<Duration>,
    pub(crate) heartbeat_time: Option<Duration>,
    pub(crate) slack: Duration,
    pub(crate) undelivered_frames: u64,
}

impl<F: Framing> Outgoing<F> {
    /// Begins a close at `now`; returns whether it did, which it does not if the connection ends
    /// already. After a failed write nothing more can be said.
    pub(crate) fn close(
        &mut self,
        reason: DownReason,
        bye: Option<&Bye<'_>>,
        close: Close,
        now: Time,
    ) -> bool {
        if self.phase.reason().is_some() {
            return false;
        }
        // First of all: if the framing panics, nothing has ended yet.
        let mut encoded = Vec::new();
        if let Some(bye) = bye {
            self.framing.encode_bye(bye, &mut encoded);
        }
        let Close { timeout, max, .. } = close;
        self.trace.add(now, || Step::CloseWithin { timeout, max });
        self.trace.add(now, || Step::Ending { reason: reason.clone() });
        let mut closing = Closing::new(reason, close, encoded, now);
        if matches!(self.phase, Phase::Broken(_)) {
            closing.writing = Writing::Failed;
        }
        self.phase = Phase::Closing(Box::new(closing));
        true
    }

    /// Ends abruptly at `now` (H5); returns whether it did. A close that is under way ends with its
    /// own reason.
    pub(crate) fn end(&mut self, reason: DownReason, now: Time) -> bool {
        let (reason, at) = match &self.phase {
            Phase::Up | Phase::Broken(_) => {
                self.trace.add(now, || Step::Ending { reason: reason.clone() });
                (reason, now)
            }
            Phase::Closing(closing) => (closing.reason.clone(), closing.began),
            Phase::Ended { .. } | Phase::Down { .. } => return false,
        };
        if let Phase::Closing(closing) = &self.phase {
            self.is_confirmed = closing.is_confirmed();
        }
        self.phase = Phase::Ended { reason, at };
        true
    }

    /// The peer's stream has ended. The kernel reports an error of a socket once, to the call that
    /// comes first; every other call finds the stream over: if one of our writes got it, it knows
    /// why.
    pub(crate) fn handle_end_of_stream(&mut self, now: Time) {
        self.trace.add(now, || Step::EndRead);
        // After our own end the stream ends because we shut it.
        self.saw_end |= !matches!(self.phase, Phase::Ended { .. } | Phase::Down { .. });
        if let Phase::Closing(closing) = &mut self.phase {
            // An end that came before our goodbye is no answer to it. The kernel may have taken the
            // goodbye from a writer that is on its way back, if it has not refused it before.
            let has_goodbye = self.is_writing && closing.bye.is_none() && !closing.is_left;
            closing.peer_closes |= closing.writing != Writing::Out && !has_goodbye;
            closing.peer_ended = true;
            return self.finish_close();
        }
        let reason = match &self.phase {
            // A write to a stream that is over says only that.
            Phase::Broken(DownReason::Io { kind: io::ErrorKind::BrokenPipe, .. })
                if !self.is_cut_off =>
            {
                DownReason::Eof
            }
            Phase::Broken(reason) => reason.clone(),
            _ => DownReason::Eof,
        };
        self.end(reason, now);
    }

    /// Reading has failed: there is nothing more to come.
    pub(crate) fn handle_read_failed(&mut self, reason: DownReason, now: Time) {
        self.trace.add(now, || Step::EndRead);
        self.end(reason, now);
    }

    /// After a failed write, the end of the stream that follows is of this side's making: the
    /// failed write is the reason.
    pub(crate) fn cut_off(&mut self) {
        self.is_cut_off = true;
    }

    /// The peer said goodbye.
    pub(crate) fn handle_bye(&mut self, bye: &Bye<'_>, now: Time) {
        match &mut self.phase {
            // It drops what we send; its stream ends behind this.
            Phase::Closing(closing) => closing.peer_closes = true,
            _ => {
                let reason = DownReason::Closed { code: bye.code, text: bye.text.to_owned() };
                self.end(reason, now);
            }
        }
    }

    /// Whether a write of a close has failed: nothing is written any more.
    pub(crate) fn has_failed(&self) -> bool {
        matches!(&self.phase, Phase::Closing(closing) if closing.writing == Writing::Failed)
    }

    /// Whether the peer's end of stream was seen.
    pub(crate) fn saw_end(&self) -> bool {
        self.saw_end
    }

    /// Whether our direction is to be shut: the goodbye is out.
    pub(crate) fn is_out(&self) -> bool {
        matches!(&self.phase, Phase::Closing(closing) if closing.writing == Writing::Out)
    }

    /// When something is due at the latest, if nothing is sent before. A heartbeat that is due
    /// while bytes wait is among them already, or yields to them.
    pub(crate) fn poll_timeout(&self, now: Time) -> Time {
        if !matches!(self.phase, Phase::Up) {
            return self.closes_at();
        }
        let due = self.timer.due();
        let is_in = self.pending() > 0 && due <= now;
        self.timer.stalled_at().min(if is_in { Time::NEVER } else { due })
    }

    /// When a close that is under way is given up; [`Time::NEVER`] without one.
    pub(crate) fn closes_at(&self) -> Time {
        match &self.phase {
            Phase::Closing(closing) => closing.until(),
            _ => Time::NEVER,
        }
    }

    /// Passes the verdicts that are due at `now`: a write that is stuck for its limit, a close that
    /// takes too long. The socket must have been tried first. Returns whether it ended.
    pub(crate) fn handle_timeout(&mut self, now: Time) -> bool {
        let reason = match &self.phase {
            Phase::Up => {
                self.timer.stalled(now).map(|pending| DownReason::WriteStalled { pending })
            }
            Phase::Closing(closing) if now >= closing.until() => Some(closing.reason.clone()),
            _ => None,
        };
        reason.is_some_and(|reason| self.end(reason, now))
    }

    /// A write of a close is over.
    pub(super) fn advance_close(&mut self) {
        let Phase::Closing(closing) = &mut self.phase else { return };
        let (has_goodbye, is_out) = (closing.bye.is_none(), self.in_flight == 0);
        if has_goodbye && !is_out {
            closing.is_left = true;
            closing.peer_closes |= closing.peer_ended;
        }
        if has_goodbye && is_out && closing.writing == Writing::UnderWay {
            closing.writing = Writing::Out;
            self.finish_close();
        }
    }

    pub(super) fn finish_close(&mut self) {
        let Phase::Closing(closing) = &self.phase else { return };
        if closing.is_done() {
            let (reason, at) = (closing.reason.clone(), closing.began);
            self.end(reason, at);
        }
    }

    /// Puts the goodbye behind what is to be written before it.
    pub(super) fn prepare_close(&mut self, now: Time) {
        let Phase::Closing(closing) = &mut self.phase else { return };
        let Some(bye) = closing.bye.take() else { return };
        let flushes = closing.close.flush;
        self.trace_frames(&self.queue, now);
        self.trace_frames(&bye, now);
        if flushes {
            self.buffer.append(&mut self.queue, &mut self.queued);
        } else {
            self.unsent += self.buffer.cut(&*self.framing);
            self.drop_queue();
        }
        self.buffer.bytes.extend_from_slice(&bye);
        if self.buffer.is_empty() {
            // A protocol without a goodbye, and nothing to be written before it.
            if let Phase::Closing(closing) = &mut self.phase {
                closing.writing = Writing::Out;
            }
            self.finish_close();
        }
    }

    fn drop_queue(&mut self) {
        self.unsent.messages += std::mem::take(&mut self.queued);
        self.unsent.bytes += std::mem::take(&mut self.queue).len() as u64;
    }

    /// Draws up the account, once nothing is being written any more. The connection is down after
    /// that.
    pub(crate) fn report(&mut self, report: SilenceReport, now: Time) -> Down {
        self.end(DownReason::Local { detail: String::new() }, now);
        self.trace_frames(&self.queue, now);
        self.unsent += self.buffer.unsent(&*self.framing);
        self.drop_queue();
        self.buffer = WriteBuffer::default();
        self.in_flight = 0;
        self.part.shrink_to(0);
        let Unsent { messages, bytes } = self.unsent;
        let (reason, at) = match &self.phase {
            Phase::Ended { reason, at } => (reason.clone(), *at),
            phase => (phase.reason().cloned().unwrap_or(DownReason::Eof), now),
        };
        let unconfirmed = match self.is_confirmed {
            true => 0,
            false => self.echoes.unconfirmed(self.stats.bytes_sent),
        };
        let down = Down {
            reason,
            silence: report.silence,
            limit: report.limit,
            heartbeat_time: report.heartbeat_time,
            slack: report.slack,
            last_sent_age: at.since(self.timer.last_sent()),
            unsent_frames: messages,
            unsent_bytes: bytes,
            unconfirmed_bytes: F::NEGOTIATES.then_some(unconfirmed),
            undelivered_frames: report.undelivered_frames,
            up: at.since(self.began),
        };
        self.phase = Phase::Down { down: Box::new(down.clone()), at };
        down
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::liveness::Settings;
    use crate::protocol::{ByeCode, Native};

    /// A message was accepted, and then a close began.
    fn closing() -> Outgoing<Native> {
        let settings = Settings::default();
        let mut outgoing = Outgoing::new(Arc::default(), &settings, 1 << 20, Time::ZERO);
        outgoing.queue(b"last words").expect("it is up");
        let close = Close::in_order(false, Duration::from_secs(2), Duration::from_secs(30));
        let reason = DownReason::Local { detail: String::new() };
        let bye = Bye { code: ByeCode::CLOSE, text: "" };
        assert!(outgoing.close(reason, Some(&bye), close, Time::ZERO));
        outgoing
    }

    fn write(outgoing: &mut Outgoing<Native>) {
        let buffer = outgoing.poll_transmit(Time::ZERO, true, false).expect("the goodbye");
        let count = buffer.rest().len();
        outgoing.handle_written(buffer, count, Time::ZERO);
    }

    fn unconfirmed(mut outgoing: Outgoing<Native>) -> Option<u64> {
        let report = SilenceReport {
            silence: Duration::ZERO,
            limit: None,
            heartbeat_time: None,
            slack: Duration::ZERO,
            undelivered_frames: 0,
        };
        outgoing.report(report, Time::ZERO).unconfirmed_bytes
    }

    #[test]
    fn only_an_end_of_stream_behind_our_goodbye_answers_it() {
        let mut answered = closing();
        write(&mut answered);
        answered.handle_end_of_stream(Time::ZERO);
        assert_eq!(unconfirmed(answered), Some(0));
        let mut crossed = closing();
        crossed.handle_end_of_stream(Time::ZERO);
        write(&mut crossed);
        assert_eq!(unconfirmed(crossed), Some(15 + 6), "a message and the goodbye");
    }

    #[test]
    fn an_end_of_stream_during_a_write_answers_the_goodbye_only_if_all_of_it_was_out() {
        let mut answered = closing();
        let buffer = answered.poll_transmit(Time::ZERO, true, false).expect("the goodbye");
        answered.handle_end_of_stream(Time::ZERO);
        let count = buffer.rest().len();
        answered.handle_written(buffer, count, Time::ZERO);
        assert_eq!(unconfirmed(answered), Some(0));

        let mut partly = closing();
        let buffer = partly.poll_transmit(Time::ZERO, true, false).expect("the goodbye");
        partly.handle_end_of_stream(Time::ZERO);
        partly.handle_written(buffer, 3, Time::ZERO);
        write(&mut partly);
        assert_eq!(unconfirmed(partly), Some(15 + 6), "the rest was written behind the end");

        let mut stuck = closing();
        let buffer = stuck.poll_transmit(Time::ZERO, true, false).expect("the goodbye");
        stuck.handle_written(buffer, 0, Time::ZERO);
        let buffer = stuck.poll_transmit(Time::ZERO, true, false).expect("it is tried again");
        stuck.handle_end_of_stream(Time::ZERO);
        let count = buffer.rest().len();
        stuck.handle_written(buffer, count, Time::ZERO);
        assert_eq!(unconfirmed(stuck), Some(15 + 6), "the kernel had no room when the end came");
    }
}
