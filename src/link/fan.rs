//! The thread that goes round: it writes what a busy publisher has queued on its many links.
//!
//! A link with something queued is in a line, once. While the thread is awake the fan is *open*:
//! messages are queued and their link joins the line; the thread takes the first link, writes all
//! that it holds by then, takes the next one, and never rests while a link waits. So no byte
//! waits longer than one write for each link of the fan, which is what a round of direct writes
//! would have taken, however many messages come; the more there are, the more a write carries.
//!
//! Before it falls asleep the fan is closed, and sending threads write again: no message waits for
//! the thread to wake up, and an idle program has nothing that polls. It is asked to come
//! when `pace` finds that it is worth it, and ends with the last link that it served.
//!
//! The locks: a link's may be held when the line's is taken, never the other way round. The one of
//! all fans is taken with no other held, and no thread is made or waited for under any.

use std::cell::Cell;
use std::collections::VecDeque;
use std::mem;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, Weak};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use super::pace::{self, EAGER, LINGER};
use super::{clock, threads};
use crate::guarded::guarded;
use crate::liveness::Time;
use crate::recover::Recover;

/// A link, to the thread that goes round.
pub(super) trait Member: Send + Sync {
    /// Leaves the line, writes what is queued if no other thread is to write it, and returns how
    /// many messages it was. A foreign stream or framing may panic in it.
    fn write_queued(self: Arc<Self>) -> u64;
}

/// The links that one thread sends on, and who goes round them.
pub(super) struct Fan {
    is_open: AtomicBool,
    /// Until when a thread that is busy again may ask at once, in nanoseconds of the links' common
    /// clock: a while from the last time round that was worth it.
    eager_until: AtomicU64,
    members: AtomicUsize,
    line: Mutex<Line>,
    work: Condvar,
}

#[derive(Default)]
struct Line {
    waiting: VecDeque<Arc<dyn Member>>,
    is_asked: bool,
    is_asleep: bool,
    /// Its thread has been made, or is being made.
    is_made: bool,
    thread: Option<JoinHandle<()>>,
    /// It has ended with its last member, or its thread could not be made.
    is_over: bool,
}

impl Fan {
    fn new() -> Self {
        Self {
            is_open: AtomicBool::new(false),
            eager_until: AtomicU64::new(0),
            members: AtomicUsize::new(0),
            line: Mutex::default(),
            work: Condvar::new(),
        }
    }

    /// Makes a link a member of the calling thread's fan.
    pub(super) fn join() -> Arc<Self> {
        let mut fans = FANS.lock().recover();
        let id = match OWN.get() {
            0 => threads::own_number(),
            id => id,
        };
        OWN.set(id);
        fans.retain(|(_, fan)| fan.strong_count() > 0);
        let own = fans.iter().position(|(of, _)| *of == id);
        let own = own.and_then(|at| fans[at].1.upgrade());
        if let Some(fan) = own.filter(|fan| fan.admit()) {
            return fan;
        }
        let fan = Arc::new(Self::new());
        fan.admit();
        fans.retain(|(of, _)| *of != id);
        fans.push((id, Arc::downgrade(&fan)));
        fan
    }

    /// Makes a link a member of the calling thread's fan if that is open: a thread that was found
    /// busy is so on all of its links.
    pub(super) fn join_open() -> Option<Arc<Self>> {
        let id = Some(OWN.get()).filter(|id| *id > 0)?;
        let fans = FANS.lock().recover();
        let own = fans.iter().find(|(of, _)| *of == id)?.1.upgrade()?;
        (own.is_open() && own.admit()).then_some(own)
    }

    fn admit(&self) -> bool {
        let line = self.line();
        if !line.is_over {
            self.members.fetch_add(1, Ordering::Relaxed);
        }
        !line.is_over
    }

    /// A member's link has ended. With the last one the thread ends, and is waited for.
    pub(super) fn leave(&self) {
        let mut line = self.line();
        if self.members.fetch_sub(1, Ordering::Relaxed) > 1 {
            return;
        }
        line.is_over = true;
        let thread = line.thread.take();
        drop(line);
        self.work.notify_all();
        // It calls nothing that ends a link and waits for that.
        drop(thread.map(JoinHandle::join));
    }

    /// Whether what is queued now is written in this round.
    #[inline]
    pub(super) fn is_open(&self) -> bool {
        self.is_open.load(Ordering::Relaxed)
    }

    /// Whether a thread that found it closed, and is busy at `now`, may ask at once: it was held up
    /// in a stream. After a longer pause what comes may be a short burst, which needs no help.
    #[inline]
    pub(super) fn is_eager(&self, now: Time) -> bool {
        now.as_nanos() < self.eager_until.load(Ordering::Relaxed)
    }

    /// The number of links.
    #[inline]
    pub(super) fn members(&self) -> usize {
        self.members.load(Ordering::Relaxed)
    }

    /// Puts a link with something queued at the end of the line. Its lock is held.
    pub(super) fn add(&self, member: Arc<dyn Member>) {
        let mut line = self.line();
        line.waiting.push_back(member);
        if mem::take(&mut line.is_asleep) {
            drop(line);
            self.work.notify_one();
        }
    }

    /// Asks for the thread, which is made the first time. If none can be made the links go on
    /// without.
    pub(super) fn ask(self: &Arc<Self>, stack_size: usize) {
        let mut line = self.line();
        if line.is_over || mem::replace(&mut line.is_asked, true) {
            return;
        }
        let is_made = mem::replace(&mut line.is_made, true);
        let is_asleep = mem::take(&mut line.is_asleep);
        drop(line);
        if is_asleep {
            self.work.notify_one();
        }
        if !is_made {
            self.make_thread(stack_size);
        }
    }

    fn make_thread(self: &Arc<Self>, stack_size: usize) {
        let fan = Arc::clone(self);
        // It writes for all members, and what runs in a layer may need more than the asker does.
        let stack_size = stack_size.saturating_add(LAYER_STACK);
        let made = threads::spawn("pb-fan", stack_size, move || fan.run());
        let mut line = self.line();
        let Ok(thread) = made else {
            line.is_over = true;
            return;
        };
        if !line.is_over {
            line.thread = Some(thread);
            return;
        }
        // The last member has left meanwhile, and found no thread to wait for.
        drop(line);
        drop(thread.join());
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().recover()
    }

    fn run(&self) {
        loop {
            let mut line = self.line();
            while !line.is_asked && line.waiting.is_empty() {
                if line.is_over {
                    return;
                }
                line.is_asleep = true;
                line = self.work.wait(line).recover();
                line.is_asleep = false;
            }
            drop(line);
            self.is_open.store(true, Ordering::Relaxed);
            let (mut messages, mut writes) = (0, 0);
            while let Some(member) = self.next() {
                // If this thread ended, the fan would stay open without one.
                messages += guarded(|| member.write_queued()).unwrap_or(0);
                writes += 1;
            }
            self.is_open.store(false, Ordering::Relaxed);
            if pace::was_worth_it(messages, writes) {
                let until = clock::common_now() + EAGER;
                self.eager_until.store(until.as_nanos(), Ordering::Relaxed);
            }
            self.line().is_asked = false;
        }
    }

    /// The first in the line. An empty line may only be a publisher in the middle of its round.
    fn next(&self) -> Option<Arc<dyn Member>> {
        let first = self.line().waiting.pop_front();
        if first.is_some() {
            return first;
        }
        let began = Instant::now();
        while began.elapsed() < LINGER {
            thread::yield_now();
            let first = self.line().waiting.pop_front();
            if first.is_some() {
                return first;
            }
        }
        None
    }
}

/// The fans of all threads, each under its thread's number, which is never used again. A thread
/// keeps only its number: none of our code runs when it ends.
static FANS: Mutex<Vec<(u64, Weak<Fan>)>> = Mutex::new(Vec::new());

thread_local! {
    static OWN: Cell<u64> = const { Cell::new(0) };
}

/// The stack for a member's layer, beside that of a link's thread: only reserved, not used.
const LAYER_STACK: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    struct Falls(mpsc::Sender<&'static str>);

    struct PayloadFalls;

    impl Drop for PayloadFalls {
        fn drop(&mut self) {
            panic!("dropping what a panic carried");
        }
    }

    impl Member for Falls {
        fn write_queued(self: Arc<Self>) -> u64 {
            let _test_waits = self.0.send("falls");
            std::panic::panic_any(PayloadFalls);
        }
    }

    struct Writes(mpsc::Sender<&'static str>);

    impl Member for Writes {
        fn write_queued(self: Arc<Self>) -> u64 {
            let _test_waits = self.0.send("writes");
            1
        }
    }

    #[test]
    fn a_member_that_panics_leaves_the_others_their_writer() {
        let fan = Fan::join();
        let (said, heard) = mpsc::channel();
        fan.add(Arc::new(Falls(said.clone())));
        fan.add(Arc::new(Writes(said)));
        fan.ask(64 << 10);
        let next = || heard.recv_timeout(Duration::from_secs(10));
        assert_eq!(next(), Ok("falls"));
        assert_eq!(next(), Ok("writes"));
        fan.leave();
    }

    struct Deep(mpsc::Sender<&'static str>);

    impl Member for Deep {
        fn write_queued(self: Arc<Self>) -> u64 {
            let stack = std::hint::black_box([1_u8; 300 << 10]);
            assert_eq!(stack[stack.len() / 2], 1);
            let _test_waits = self.0.send("deep");
            0
        }
    }

    #[test]
    fn a_member_has_the_stack_that_a_layer_may_need_whoever_asked() {
        let fan = Fan::join();
        let (said, heard) = mpsc::channel();
        fan.add(Arc::new(Deep(said)));
        fan.ask(64 << 10);
        assert_eq!(heard.recv_timeout(Duration::from_secs(10)), Ok("deep"));
        fan.leave();
    }

    #[test]
    fn a_time_round_that_found_nothing_makes_no_thread_eager() {
        let fan = Fan::join();
        fan.ask(64 << 10);
        while fan.line().is_asked {
            thread::yield_now();
        }
        assert_eq!(fan.eager_until.load(Ordering::Relaxed), 0);
        fan.leave();
    }

    #[test]
    fn a_thread_that_is_made_when_the_last_link_has_left_is_waited_for() {
        let fan = Fan::join();
        fan.leave();
        fan.make_thread(64 << 10);
        // The thread holds the fan for as long as it runs.
        assert_eq!(Arc::strong_count(&fan), 1);
    }
}
