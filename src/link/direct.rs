//! What a program's thread does with a message: it queues it, and writes what is queued or leaves
//! that to a thread of the link's.
//!
//! Here is how; who writes is decided by `pace`. The lock is never held during a write. Invariant:
//! when the lock is let go, what is queued has a writer (it is being written, the link is in a
//! fan's line, the sender has been woken, or it polls), or a batch holds it back.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;

use super::allowance::Allowance;
use super::fan::{Fan, Member};
use super::pace::{Pace, Turn, WRITE_TIMEOUT_MIN, Write};
use super::shared::{Guard, Shared, State};
use super::stream::{Stream, is_timeout};
use crate::connection::{DownReason, Outgoing, SendError};
use crate::liveness::Time;
use crate::protocol::Framing;

/// What became of a message that was offered.
pub(super) enum Offer<'a, S, F> {
    Taken,
    Refused(SendError),
    /// There is no room now, and here is the lock back.
    NoRoom(Guard<'a, S, F>),
}

/// A message that is offered.
#[derive(Clone, Copy, Debug)]
pub(super) enum Given<'a> {
    Payload(&'a [u8]),
    /// It is encoded already.
    Frame(&'a [u8]),
}

impl Given<'_> {
    #[inline(always)]
    fn len(&self) -> usize {
        let (Self::Payload(bytes) | Self::Frame(bytes)) = self;
        bytes.len()
    }

    #[inline(always)]
    fn append<F: Framing>(&self, outgoing: &mut Outgoing<F>) -> Result<(), SendError> {
        match self {
            Self::Payload(payload) => outgoing.append(payload),
            Self::Frame(frame) => {
                outgoing.append_frame(frame);
                Ok(())
            }
        }
    }
}

/// Whose write it is of what is queued.
#[derive(Clone, Copy, Debug)]
pub(super) enum Writer {
    /// The thread's that sends; the last messages, from the byte `own` on, are its own.
    Caller { own: usize, messages: u64 },
    /// The thread's that sent them before.
    Holder,
    /// The one's that goes round.
    Round,
}

impl<S: Stream, F: Framing> Shared<S, F> {
    /// Takes the message if there is room now. Inlined into the call: most messages need no more
    /// than this.
    #[inline(always)]
    pub(super) fn offer(self: &Arc<Self>, given: Given<'_>) -> Result<(), SendError> {
        let mut state = self.lock_to_send();
        let own = state.outgoing.queued_bytes();
        let below = state.allowance.below();
        let is_allowed = own + given.len() < below;
        if is_allowed {
            given.append(&mut state.outgoing)?;
            if state.outgoing.queued_bytes() < below {
                return Ok(());
            }
        }
        self.offer_further(state, own, given, is_allowed)
    }

    /// The same of a message that needs a decision; `is_in` if it is in the queue already, from the
    /// byte `own` on.
    #[inline(never)]
    pub(super) fn offer_further(
        self: &Arc<Self>,
        state: Guard<'_, S, F>,
        own: usize,
        given: Given<'_>,
        is_in: bool,
    ) -> Result<(), SendError> {
        self.fetch(&state);
        let offer = match is_in {
            true => self.see_to(state, own, given.len(), false),
            false => self.decide(state, given),
        };
        match offer {
            Offer::Taken => Ok(()),
            Offer::Refused(error) => Err(error),
            Offer::NoRoom(_) => Err(SendError::Full),
        }
    }

    /// Takes a message for which nothing is decided yet, if it can be taken now.
    pub(super) fn decide<'a>(
        self: &'a Arc<Self>,
        mut state: Guard<'a, S, F>,
        given: Given<'_>,
    ) -> Offer<'a, S, F> {
        let length = given.len();
        let writes = self.writes_now(&state);
        let waits = !writes && !state.outgoing.has_room(length);
        if waits && state.outgoing.phase().is_up() {
            if state.held_by == 0 {
                return Offer::NoRoom(state);
            }
            return match self.write_held_back(state) {
                Ok(state) => self.decide(state, given),
                Err(error) => Offer::Refused(error),
            };
        }
        let own = state.outgoing.queued_bytes();
        let outgoing = &mut state.outgoing;
        if let Err(error) = outgoing.check_up().and_then(|()| given.append(outgoing)) {
            return Offer::Refused(error);
        }
        self.see_to(state, own, length, writes)
    }

    /// Sees to it that a message of `length` bytes, which begins at the byte `own` of the queue, is
    /// written.
    fn see_to<'a>(
        self: &'a Arc<Self>,
        mut state: Guard<'a, S, F>,
        own: usize,
        length: usize,
        writes: bool,
    ) -> Offer<'a, S, F> {
        state.outgoing.handle_appended();
        if writes || self.is_full(&state, length) {
            let written = self.write_queued_as(Writer::Caller { own, messages: 1 }, state);
            return written.map_or_else(Offer::Refused, |()| Offer::Taken);
        }
        self.leave(&mut state);
        Offer::Taken
    }

    /// Has everything written that a batch holds back, which must not be in the way of a message
    /// that finds no room.
    pub(super) fn write_held_back<'a>(
        self: &'a Arc<Self>,
        mut state: Guard<'a, S, F>,
    ) -> Result<Guard<'a, S, F>, SendError> {
        state.held_by = 0;
        self.write_waiting(state)?;
        Ok(self.lock())
    }

    /// Writes what is queued, or leaves it to the thread that writes it.
    pub(super) fn write_waiting(
        self: &Arc<Self>,
        mut state: Guard<'_, S, F>,
    ) -> Result<(), SendError> {
        let is_ours = state.outgoing.can_take() && self.is_direct(&state);
        if state.outgoing.queued_bytes() == 0 || !state.outgoing.phase().is_up() {
            return Ok(());
        }
        if is_ours {
            return self.write_queued_as(Writer::Holder, state);
        }
        self.leave(&mut state);
        Ok(())
    }

    /// Whether the calling thread now writes.
    #[inline]
    pub(super) fn writes_now(&self, state: &State<S, F>) -> bool {
        self.is_direct(state) && state.outgoing.is_idle()
    }

    #[inline]
    fn is_direct(&self, state: &State<S, F>) -> bool {
        state.pace.is_direct() && !state.fan.as_ref().is_some_and(|fan| fan.is_open())
    }

    /// Whether so much is queued, messages of `length` bytes, that the thread that queued it writes
    /// it.
    #[inline]
    pub(super) fn is_full(&self, state: &State<S, F>, length: usize) -> bool {
        state.outgoing.queued_bytes() >= self.batch(state, length)
    }

    /// How many bytes, of messages of `length` bytes, the thread that queued them writes; no number
    /// is enough while the write is another's.
    #[inline]
    fn batch(&self, state: &State<S, F>, length: usize) -> usize {
        if !state.outgoing.can_take() || state.pace.is_the_senders() {
            return usize::MAX;
        }
        let members = state.fan.as_ref().map_or(1, |fan| fan.members());
        Pace::batch(length, self.options.queue_bytes, members)
    }

    /// The reader reports that the queue has become high or low.
    #[inline]
    pub(super) fn publish_crossing(&self, state: &State<S, F>) {
        if state.outgoing.has_crossed() {
            self.publish_changes();
        }
    }

    /// Leaves what is queued to the thread that writes it, and what is put behind it as well.
    pub(super) fn leave(self: &Arc<Self>, state: &mut Guard<'_, S, F>) {
        self.publish_crossing(state);
        if !self.joins_line(state) && state.pace.wakes_sender() {
            self.wake_sender(state);
        }
        state.allowance = Allowance::new(self.allowed(state));
    }

    /// How long the queue may become before something is to be decided, if it has a writer.
    pub(super) fn allowed(&self, state: &State<S, F>) -> usize {
        // The shortest messages make the smallest batch.
        state.outgoing.calm_bytes().min(self.batch(state, 0))
    }

    /// Whether what is queued is the fan's to write: the link is then in the line, or the thread
    /// that writes now puts it there.
    fn joins_line(self: &Arc<Self>, state: &mut Guard<'_, S, F>) -> bool {
        if state.is_in_line {
            return true;
        }
        let Some(fan) = state.fan.as_ref().filter(|fan| fan.is_open()) else { return false };
        if state.outgoing.is_writing() {
            return true;
        }
        if !state.pace.is_direct() || !state.outgoing.can_take() {
            return false;
        }
        let member: Arc<dyn Member> = Arc::<Self>::clone(self);
        fan.add(member);
        state.is_in_line = true;
        true
    }

    /// Writes what is queued, on the calling thread. What the kernel does not take at once is the
    /// sender's to finish.
    pub(super) fn write_queued_as(
        self: &Arc<Self>,
        writer: Writer,
        mut state: Guard<'_, S, F>,
    ) -> Result<(), SendError> {
        let Some(stream) = state.stream.clone() else {
            return Err(SendError::NotConnected);
        };
        let mut buffer = state.take_queue();
        drop(state);
        let mut write = match writer {
            Writer::Round => None,
            _ => Some(Write::begin(Arc::as_ptr(self).addr())),
        };
        let written = self.write(&*stream, &mut buffer, WRITE_TIMEOUT_MIN);
        // Before the lock: a thread that finds no write under way may rely on a closed descriptor.
        drop(stream);
        let now = self.clock.now();
        if let Some(write) = &mut write {
            write.end(self.clock.common(now));
        }
        let mut state = self.lock();
        let count = match written {
            Ok(count) => count,
            Err(e) if is_timeout(e.kind()) => 0,
            Err(e) => {
                let broken = DownReason::io(&e);
                // An end cuts a write off: then the end's reason is the one to report.
                let reason = state.outgoing.phase().reason().unwrap_or(&broken).clone();
                let own = match writer {
                    // The caller gets the error; messages that were accepted before are counted.
                    Writer::Caller { own, messages } => Some((own, messages)),
                    Writer::Holder | Writer::Round => None,
                };
                state.outgoing.handle_write_failed(buffer, broken, own, now);
                self.settle(state);
                self.notify_all();
                return Err(SendError::Down(reason));
            }
        };
        let last_received = self.last_received.load(Ordering::Relaxed);
        let turn = match &write {
            Some(write) => state.pace.on_direct_write(last_received, now, write),
            None => Turn::Same,
        };
        if state.fan.is_some() {
            state.pace.on_fan_write(count == buffer.rest().len(), now);
        }
        state.pace.on_buffer(buffer.rest().len(), now);
        let _heartbeat = state.outgoing.handle_written(buffer, count, now);
        self.publish_crossing(&state);
        let is_busy = write.is_some_and(|write| write.is_busy());
        self.hand_over(state, turn, is_busy, now);
        Ok(())
    }

    /// Joins the sender thread of a link that has ended, and with the last one of a fan the thread
    /// that goes round.
    pub(super) fn join(&self, sender: JoinHandle<()>) {
        // In a forked child there are no such threads, and joining them would never end.
        if self.is_forked_child() {
            return std::mem::forget(sender);
        }
        drop(sender.join());
        let fan = self.lock().fan.take();
        if let Some(fan) = fan {
            fan.leave();
        }
    }

    /// Leaves what is left after a write at `now` to the next writer. The thread that goes round is
    /// asked for if this one has been busy for a while, and soon after a time round that was worth
    /// it as soon as this one is busy again.
    fn hand_over(
        self: &Arc<Self>,
        mut state: Guard<'_, S, F>,
        turn: Turn,
        is_busy: bool,
        now: Time,
    ) {
        // A heartbeat is due that data does not replace. A thread that never rests would write
        // again before the sender is awake: the stream is the sender's next.
        let heartbeat_waits = state.outgoing.timer().due() <= now;
        if heartbeat_waits {
            state.pace.leave_to_sender();
        }
        let leaves = heartbeat_waits || !state.outgoing.can_take() || turn == Turn::Stream;
        let is_left = state.outgoing.pending() > 0;
        if leaves || (is_left && !self.joins_line(&mut state) && state.pace.wakes_sender()) {
            self.wake_sender(&mut state);
        }
        let joins = state.fan.is_none() && matches!(turn, Turn::Fan | Turn::OneOfMany);
        let common = self.clock.common(now);
        let asks = |fan: &Fan| {
            let is_wanted = turn == Turn::Fan || (is_busy && fan.is_eager(common));
            is_wanted && !fan.is_open()
        };
        let mut asked = state.fan.as_ref().filter(|fan| asks(fan)).cloned();
        if state.room_waiters > 0 || state.outgoing.phase().reason().is_some() {
            self.settle(state);
            self.notify_all();
        } else {
            drop(state);
        }
        if joins {
            asked = self.join_fan(turn).filter(|fan| asks(fan));
        }
        if let Some(fan) = asked {
            fan.ask(self.options.stack_size);
        }
    }

    /// Makes the link a member of the calling thread's fan, if it has one or is to have one.
    fn join_fan(&self, turn: Turn) -> Option<Arc<Fan>> {
        let fan = if turn == Turn::Fan { Some(Fan::join()) } else { Fan::join_open() }?;
        let mut state = self.lock();
        // A link that has ended may have left its fan already, which it does once.
        if state.fan.is_some() || !state.outgoing.phase().is_up() {
            drop(state);
            fan.leave();
            return None;
        }
        state.fan = Some(Arc::clone(&fan));
        Some(fan)
    }
}

impl<S: Stream, F: Framing> Member for Shared<S, F> {
    fn write_queued(self: Arc<Self>) -> u64 {
        // What a foreign stream's panic leaves behind the write itself puts right.
        let mut state = self.lock();
        state.is_in_line = false;
        let messages = state.outgoing.queued_messages();
        if messages == 0 || !state.outgoing.phase().is_up() {
            return 0;
        }
        if !state.outgoing.can_take() || state.pace.is_the_senders() {
            // It became the sender's while it was in the line, and was left to us since.
            self.wake_sender(&mut state);
            return 0;
        }
        let _reported_by_the_reader = self.write_queued_as(Writer::Round, state);
        messages
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::{TcpListener, TcpStream};

    use super::*;
    use crate::link::{Link, LinkOptions};

    #[test]
    fn what_was_left_to_the_round_and_became_the_senders_is_written() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let mut far = listener.accept().unwrap().0;
        let options = LinkOptions::default();
        let ignore = |_: &Link, _: &[u8]| {};
        let link = Link::start_with(near, crate::protocol::Native::default(), &options, ignore);
        let link = link.unwrap();
        let shared = link.shared();
        // A heartbeat would take it along: the one that announces our value is out.
        while link.stats().heartbeats_sent == 0 {
            std::thread::yield_now();
        }
        let mut state = shared.lock();
        state.is_in_line = true;
        state.pace.on_fan_write(false, shared.clock.now());
        drop(state);
        link.try_send(b"tick").unwrap();
        assert_eq!(link.stats().queued_messages, 1, "the link is in the line");
        assert_eq!(Arc::clone(shared).write_queued(), 0);
        let (mut heartbeat, mut frame) = ([0; 33], [0; 9]);
        far.set_read_timeout(Some(std::time::Duration::from_secs(3))).unwrap();
        far.read_exact(&mut heartbeat).unwrap();
        far.read_exact(&mut frame).expect("it waits for no heartbeat");
        assert_eq!(&frame[5..], b"tick");
    }
}
