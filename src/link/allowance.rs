//! How long the queue may become before its next message needs a decision.
//!
//! Most messages of a stream are only put behind others that already have a writer: the first of
//! them decided that there is room, who writes, and when. That decision is kept here until the next
//! one is due.
//!
//! What it rests on changes only under the link's lock, and taking that withdraws it
//! ([`lock`](super::shared::Shared::lock)), unless it is taken to send. How many links a fan has
//! and whether a common budget is short depend on other links: a change of those is seen with the
//! next decision, at most one batch or one wait of a stuck write later. Until then only bytes that
//! the budget has given already are used, which a fresh decision may refuse.
//!
//! Invariant: as long as it is there the link is up, the queue is not empty, and whoever is to
//! write it has not looked since.

/// Up to which length the queue is only appended to.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Allowance {
    /// Exclusive: none, if it is 0.
    below: usize,
    /// The batch that will see to it that the queue is written: only its own messages may be put
    /// behind those that it holds back. 0 if the queue has a writer.
    batch: u64,
}

impl Allowance {
    /// For messages of anyone: what is queued has a writer.
    pub(super) fn new(below: usize) -> Self {
        Self { below, batch: 0 }
    }

    /// For messages of a batch that has the queue written.
    pub(super) fn of_batch(below: usize, batch: u64) -> Self {
        Self { below, batch }
    }

    /// How long the queue may become without a decision, exclusive.
    #[inline]
    pub(super) fn below(&self) -> usize {
        self.below_in_batch(0)
    }

    /// The same if the messages come from a batch, whose number is 0 as long as it holds nothing
    /// back.
    #[inline]
    pub(super) fn below_in_batch(&self, batch: u64) -> usize {
        if self.batch == 0 || self.batch == batch { self.below } else { 0 }
    }

    /// Whether a queue of so many bytes needs no decision.
    #[inline]
    pub(super) fn covers(&self, bytes: usize) -> bool {
        bytes < self.below()
    }

    /// Whether it is for the messages of one batch.
    #[inline]
    pub(super) fn is_of_a_batch(&self) -> bool {
        self.batch != 0
    }

    /// The next message needs a decision.
    #[inline]
    pub(super) fn withdraw(&mut self) {
        self.below = 0;
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::{TcpListener, TcpStream};
    use std::sync::atomic::Ordering::SeqCst;
    use std::time::Duration;

    use super::Allowance;
    use crate::connection::{QueueBudget, SendError};
    use crate::link::pace::Pace;
    use crate::link::{Batch, Link, LinkOptions};
    use crate::liveness::{Settings, Time};
    use crate::protocol::Native;

    /// Options with which no heartbeat comes between.
    fn calm() -> LinkOptions {
        let hour = Duration::from_secs(3600);
        LinkOptions::default().liveness(Settings::default().heartbeat_time(Some(hour)).slack(hour))
    }

    /// A link whose first heartbeat is out, and its peer, which has read that.
    fn link(options: &LinkOptions) -> (Link, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let mut far = listener.accept().unwrap().0;
        let ignore = |_: &Link, _: &[u8]| {};
        let link = Link::start_with(near, Native::default(), options, ignore).unwrap();
        far.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        far.read_exact(&mut [0; 33]).unwrap();
        // The reader then waits, and takes no event of what follows.
        while link.stats().heartbeats_sent == 0 || !link.shared().is_reading.load(SeqCst) {
            std::thread::yield_now();
        }
        (link, far)
    }

    /// What is queued has a writer that does not come.
    fn leave(link: &Link) {
        let mut state = link.shared().lock();
        state.is_in_line = true;
        state.pace.on_fan_write(false, link.shared().clock.now());
    }

    fn covers(link: &Link, bytes: usize) -> bool {
        link.shared().lock_to_send().allowance.covers(bytes)
    }

    #[test]
    fn it_ends_below_its_bytes_and_is_withdrawn_whole() {
        let mut allowance = Allowance::new(1000);
        assert!(allowance.covers(999) && 999 < allowance.below_in_batch(7));
        assert!(!allowance.covers(1000) && 1000 >= allowance.below_in_batch(7));
        allowance.withdraw();
        assert_eq!((allowance.below(), allowance.below_in_batch(7)), (0, 0));
    }

    #[test]
    fn what_is_behind_what_a_batch_holds_back_waits_for_no_flush() {
        type Send = fn(&Link) -> bool;
        let ways: [Send; 2] = [
            |link| link.try_send(b"tick").and_then(|()| link.try_send(b"tock")).is_ok(),
            |link| link.send_all(&[b"tick", b"tock"]).is_ok(),
        ];
        for way in ways {
            let (link, mut far) = link(&calm());
            let mut batch = Batch::new();
            batch.try_send(&link, b"one!").unwrap();
            batch.try_send(&link, b"two!").unwrap();
            assert!(way(&link));
            let mut frames = [0; 36];
            far.read_exact(&mut frames).expect("all are written");
            assert_eq!((&frames[5..9], &frames[32..]), (&b"one!"[..], &b"tock"[..]));
            drop(batch);
        }
    }

    #[test]
    fn whoever_takes_the_lock_for_anything_else_withdraws_it() {
        let (link, _far) = link(&calm());
        leave(&link);
        for _ in 0..2 {
            link.try_send(b"tick").unwrap();
            assert!(covers(&link, 1000));
        }
        drop(link.shared().lock());
        assert!(!covers(&link, 0));
    }

    #[test]
    fn a_waiter_that_wakes_up_withdraws_it() {
        let (link, _far) = link(&calm());
        let mut state = link.shared().lock();
        state.allowance = Allowance::new(1000);
        let state = link.shared().wait_until(state, Time::ZERO);
        assert!(!state.allowance.covers(0));
    }

    #[test]
    fn a_queue_that_is_taken_leaves_none() {
        let (link, _far) = link(&calm());
        leave(&link);
        link.try_send(b"tick").unwrap();
        let mut state = link.shared().lock_to_send();
        assert!(state.allowance.covers(1000));
        let buffer = state.take_queue();
        assert!(!state.allowance.covers(0));
        let now = link.shared().clock.now();
        state.outgoing.handle_written(buffer, 0, now);
    }

    #[test]
    fn a_batch_is_allowed_what_others_are_not_up_to_what_makes_a_write() {
        let (link, _far) = link(&calm());
        let shared = link.shared();
        shared.hold(shared.lock_to_send(), b"tick", 7).unwrap();
        let state = shared.lock_to_send();
        let batch = Pace::batch(0, shared.options.queue_bytes, 1);
        assert!(!state.allowance.covers(0));
        assert_eq!(state.allowance.below_in_batch(7), batch);
        assert_eq!(state.allowance.below_in_batch(8), 0);
    }

    /// Bytes of one message in flight, of which the kernel takes none.
    fn put_in_flight(link: &Link) {
        link.try_send(&[7; 300]).unwrap();
        let mut state = link.shared().lock();
        let buffer = state.take_queue();
        state.outgoing.handle_written(buffer, 0, link.shared().clock.now());
    }

    /// Two messages, by one of the ways to send some: whether one was refused.
    type Way = fn(&Link, &mut Batch, [&[u8]; 2]) -> bool;

    /// Sends messages of several sizes until 20 were refused, and returns what became of each two,
    /// with what the link then has to report; with a fresh decision before each two, or not.
    fn refusals(options: &LinkOptions, way: Way, each: bool) -> Vec<(bool, bool, u64, usize)> {
        let (link, _far) = link(options);
        leave(&link);
        put_in_flight(&link);
        let mut seen = Vec::new();
        let mut batch = Batch::new();
        let (mut refused, mut length) = (0, 17);
        while refused < 20 {
            length = length * 75 % 257;
            if each {
                drop(link.shared().lock());
            }
            let is_refused = way(&link, &mut batch, [&[7; 257][..length], &[7; 70]]);
            refused += usize::from(is_refused);
            let outgoing = &link.shared().lock_to_send().outgoing;
            let (count, bytes) = (outgoing.queued_messages(), outgoing.queued_bytes());
            seen.push((is_refused, outgoing.has_crossed(), count, bytes));
        }
        seen
    }

    #[test]
    fn a_decision_that_is_kept_takes_refuses_and_reports_what_fresh_ones_would() {
        let ways: [Way; 4] = [
            |link, _, two| two.map(|one| link.try_send(one)).contains(&Err(SendError::Full)),
            |link, batch, two| {
                two.map(|one| batch.try_send(link, one)).contains(&Err(SendError::Full))
            },
            |link, batch, [one, other]| {
                [link.try_send(one), batch.try_send(link, other)].contains(&Err(SendError::Full))
            },
            |link, _, two| link.shared().offer_all(&two, &mut 0) == Err(SendError::Full),
        ];
        for (bytes, way) in [1000, 10_000, 100_000].into_iter().flat_map(|b| ways.map(|w| (b, w))) {
            let options = calm().queue_bytes(bytes);
            let kept = refusals(&options, way, false);
            assert_eq!(kept, refusals(&options, way, true));
            assert!(kept.iter().any(|(_, is_high, ..)| *is_high), "it became high");
            let with_budget = || calm().queue_budget(QueueBudget::new(bytes));
            let (kept, each) = [false, true].map(|each| refusals(&with_budget(), way, each)).into();
            assert_eq!(kept, each);
        }
    }

    #[test]
    fn several_messages_in_a_call_are_taken_and_refused_as_one_by_one() {
        let in_a_call: Way = |link, _, two| link.shared().offer_all(&two, &mut 0).is_err();
        let one_by_one: Way = |link, _, two| two.iter().any(|one| link.try_send(one).is_err());
        for bytes in [1000, 10_000, 100_000] {
            let options = calm().queue_bytes(bytes);
            let seen = refusals(&options, in_a_call, false);
            assert_eq!(seen, refusals(&options, one_by_one, true));
        }
    }

    #[test]
    fn a_batch_holds_nothing_back_behind_what_has_a_writer() {
        let (link, _far) = link(&calm());
        leave(&link);
        link.try_send(b"tick").unwrap();
        let mut batch = Batch::new();
        batch.try_send(&link, b"tock").unwrap();
        let state = link.shared().lock_to_send();
        assert_eq!((state.held_by, state.outgoing.queued_messages()), (0, 2));
        assert!(state.allowance.covers(1000));
    }

    #[test]
    fn no_message_is_taken_that_has_no_room() {
        let (link, _far) = link(&calm().queue_bytes(1000));
        leave(&link);
        let sent =
            std::iter::repeat_with(|| link.try_send(&[7; 64])).position(|sent| sent.is_err());
        // 13 frames of 69 bytes and 64 bytes more.
        assert_eq!(sent, Some(14));
        assert_eq!(link.try_send(&[7; 64]), Err(SendError::Full));
        assert_eq!(link.stats().queued_messages, 14);
    }

    #[test]
    fn none_outlives_the_link() {
        let (link, _far) = link(&calm());
        leave(&link);
        link.try_send(b"tick").unwrap();
        assert!(covers(&link, 1000));
        link.end(crate::connection::DownReason::Silent, None);
        assert!(matches!(link.try_send(b"tock"), Err(SendError::Down(_))));
        assert!(matches!(Batch::new().try_send(&link, b"tock"), Err(SendError::Down(_))));
        assert!(link.send_all(&[b"tock"]).is_err());
    }
}
