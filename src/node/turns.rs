//! Threads that wait for a peer: its ownership behind a lock, and the condition variable that
//! wakes.
//!
//! All rules are in the ownership and the plan; here a thread waits until their answer changes. The
//! simulator does not wait: it asks again.
//!
//! Invariant: while locked no user code runs and no I/O is done. Under it these are locked, each
//! briefly: the peer's values, its link, the outcome of a call that is waited for, and the turns of
//! the successor. A thread that holds one of them does not take this lock.

use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use super::clock::Clock;
use super::conn::Conn;
use super::held::{Claim, ClaimRefused, ClaimRules, Greeted, Held, HelloEnd, HelloStart, Step};
use super::ownership::Ownership;
use super::peer_link::PeerLink;
use super::plan::{DialPlan, DialStep};
use crate::config::PeerConfig;
use crate::liveness::Time;
use crate::recover::Recover;

/// The ownership of one peer, with its lock and its condition variable.
#[derive(Debug)]
pub(crate) struct Turns<L: Held = PeerLink, S: Greeted = Conn> {
    clock: Clock,
    state: Mutex<Locked<L, S>>,
    changed: Condvar,
}

#[derive(Debug)]
struct Locked<L: Held, S: Greeted> {
    rules: Ownership<L, S>,
    /// One of the same name that waits for ours.
    successor: Option<Arc<Turns<L, S>>>,
}

/// The right to report about a peer; ends when dropped.
#[derive(Debug)]
pub(crate) struct Lease<L: Held = PeerLink, S: Greeted = Conn> {
    turns: Arc<Turns<L, S>>,
    number: u64,
    /// Whether its link lived long enough for the waits between dials to start over.
    pub(super) stable: bool,
    /// Whether it ended a link that lived.
    pub(super) replaced: bool,
}

/// The result of a claim: the lease, or why not.
pub(crate) type Claimed<L = PeerLink, S = Conn> = Result<Lease<L, S>, ClaimRefused>;

impl<L: Held, S: Greeted> Turns<L, S> {
    pub(super) fn new(clock: &Clock) -> Self {
        let state = Locked { rules: Ownership::new(), successor: None };
        Self { clock: clock.clone(), state: Mutex::new(state), changed: Condvar::new() }
    }

    /// The link, once there is one; it may have died meanwhile.
    pub(super) fn link(&self) -> Option<L> {
        self.lock().rules.link().cloned()
    }

    /// Keeps `next`, which has the same name after a reload, from granting anything before the
    /// lease that is held here has ended.
    pub(super) fn precede(&self, next: &Arc<Self>) {
        let mut state = self.lock();
        if !state.rules.is_over() {
            next.lock().rules.set_waits(true);
            state.successor = Some(Arc::clone(next));
        }
    }

    /// Whether nothing of it is still to be reported.
    pub(super) fn is_over(&self) -> bool {
        self.lock().rules.is_over()
    }

    /// Lets those of the same name begin that have waited for an end.
    fn release(mut next: Option<Arc<Self>>) {
        while let Some(turns) = next {
            let mut state = turns.lock();
            state.rules.set_waits(false);
            next = state.successor.take();
            drop(state);
            turns.notify();
        }
    }

    /// Claims the peer if it is free; `None` if it is not.
    pub(super) fn claim_if_free(self: &Arc<Self>, rules: ClaimRules) -> Option<Claimed<L, S>> {
        let mut state = self.lock();
        if !state.rules.is_free() && !state.rules.is_stopping() {
            return None;
        }
        let (mut claim, now) = (Claim::default(), self.clock.now());
        let step = state.rules.poll_claim(&mut claim, rules, Time::NEVER, now);
        drop(state);
        self.notify();
        match step {
            Step::Granted { number, abandoned } => Some(Ok(self.lease(number, abandoned, false))),
            Step::Refused(why) => Some(Err(why)),
            Step::Replace(_) | Step::Wait => None,
        }
    }

    /// Claims the peer, ends the link that it has, and waits up to `deadline` until its end has
    /// been reported.
    pub(super) fn claim(self: &Arc<Self>, rules: ClaimRules, deadline: Time) -> Claimed<L, S> {
        let mut claim = Claim::default();
        let mut state = self.lock();
        loop {
            state = match self.advance(state, &mut claim, rules, deadline) {
                Ok(claimed) => return claimed,
                Err(state) => self.wait_until(state, deadline),
            };
        }
    }

    /// Claims as [`claim`](Self::claim) does, without waiting: `None` = ask again.
    pub(super) fn poll_claim(
        self: &Arc<Self>,
        claim: &mut Claim,
        rules: ClaimRules,
        deadline: Time,
    ) -> Option<Claimed<L, S>> {
        self.advance(self.lock(), claim, rules, deadline).ok()
    }

    /// Asks until the claim has come to something; gives the lock back if it has to wait.
    fn advance<'a>(
        self: &'a Arc<Self>,
        mut state: MutexGuard<'a, Locked<L, S>>,
        claim: &mut Claim,
        rules: ClaimRules,
        deadline: Time,
    ) -> Result<Claimed<L, S>, MutexGuard<'a, Locked<L, S>>> {
        loop {
            let newest = state.rules.claim();
            let step = state.rules.poll_claim(claim, rules, deadline, self.clock.now());
            if state.rules.claim() != newest {
                // An older claim must learn that it is not the newest any more.
                self.notify();
            }
            match step {
                Step::Granted { number, abandoned } => {
                    drop(state);
                    return Ok(Ok(self.lease(number, abandoned, claim.replaced)));
                }
                Step::Refused(why) => return Ok(Err(why)),
                Step::Replace(link) => {
                    drop(state);
                    link.replace();
                    state = self.lock();
                }
                Step::Wait => return Err(state),
            }
        }
    }

    fn lease(self: &Arc<Self>, number: u64, abandoned: Option<S>, replaced: bool) -> Lease<L, S> {
        // First of all, so that nothing that goes wrong keeps the peer taken.
        let lease = Lease { turns: Arc::clone(self), number, stable: false, replaced };
        if let Some(stream) = abandoned {
            stream.interrupt();
        }
        lease
    }

    /// Asks the rules, again and again until they have an answer; `Err` = not before this instant,
    /// or before something changes.
    pub(super) fn wait_for<R>(
        &self,
        mut ask: impl FnMut(&mut Ownership<L, S>, Time) -> Result<R, Time>,
    ) -> R {
        let mut state = self.lock();
        loop {
            match ask(&mut state.rules, self.clock.now()) {
                Ok(answer) => return answer,
                Err(until) => state = self.wait_until(state, until),
            }
        }
    }

    /// The plan's current answer, without waiting.
    pub(crate) fn poll_plan(&self, plan: &mut DialPlan, peer: &Arc<PeerConfig>) -> DialStep {
        let now = self.clock.now();
        plan.poll(&mut self.lock().rules, peer, now, || self.clock.random())
    }

    /// Whether the node stops, or the peer was taken out.
    pub(crate) fn is_stopping(&self) -> bool {
        self.lock().rules.is_stopping()
    }

    /// Changes something and wakes all that wait.
    fn change<R>(&self, change: impl FnOnce(&mut Ownership<L, S>) -> R) -> R {
        let changed = change(&mut self.lock().rules);
        self.notify();
        changed
    }

    fn notify(&self) {
        self.changed.notify_all();
        self.clock.wake();
    }

    /// Ends the wait for the next dial; `false` = the peer is not dialled now.
    pub(super) fn dial_now(&self) -> bool {
        self.change(Ownership::dial_now)
    }

    /// Forgets that a link has ended: the round that made it goes on.
    pub(crate) fn forget_lost(&self) {
        self.lock().rules.forget_lost();
    }

    /// Waits until `is_true`, which must be woken for; `Some(false)` = it was not by `deadline`,
    /// `None` = the node stops.
    pub(super) fn wait_until_true(
        &self,
        deadline: Time,
        is_true: impl Fn() -> bool,
    ) -> Option<bool> {
        self.wait_for(|rules, now| match rules.is_stopping() {
            true => Ok(None),
            false if is_true() => Ok(Some(true)),
            false if now >= deadline => Ok(Some(false)),
            false => Err(deadline),
        })
    }

    /// Wakes who waits for something to become true.
    pub(super) fn wake(&self) {
        // With the lock, so that no thread is between the look and the wait.
        self.change(|_| ());
    }

    /// Records that the dialling thread goes into a call that nothing interrupts; `false` = it must
    /// stop.
    pub(crate) fn enter_blocked(&self) -> bool {
        self.lock().rules.enter_blocked()
    }

    /// Records that the call is over; `false` = the thread must end and touch nothing.
    pub(crate) fn leave_blocked(&self) -> bool {
        self.change(Ownership::leave_blocked)
    }

    /// Waits until no call of the dialling thread is blocked; `false` = at `deadline` it still is.
    pub(super) fn wait_unblocked(&self, deadline: Time) -> bool {
        self.wait_for(|rules, now| match rules.is_blocked() {
            false => Ok(true),
            true if now >= deadline => Ok(false),
            true => Err(deadline),
        })
    }

    /// Asks whether our HELLO may go out on `stream`, and marks that it does.
    pub(crate) fn begin_hello(&self, stream: S) -> HelloStart {
        self.lock().rules.begin_hello(stream)
    }

    /// Ends our greeting, with or without a welcome.
    pub(crate) fn end_hello(self: &Arc<Self>, number: u64, welcome: bool) -> HelloEnd<Lease<L, S>> {
        match self.change(|rules| rules.end_hello(number, welcome)) {
            HelloEnd::Ours(number) => {
                HelloEnd::Ours(number.map(|number| self.lease(number, None, false)))
            }
            HelloEnd::Abandoned => HelloEnd::Abandoned,
            HelloEnd::Stopped => HelloEnd::Stopped,
        }
    }

    /// Sets whether the peer is dialled at all: without addresses its dialling side rests.
    pub(super) fn set_dialled(&self, dials: bool) {
        self.change(|rules| rules.set_dialled(dials));
    }

    /// Keeps everything from beginning any more and wakes all that wait; returns the link to close.
    pub(super) fn stop(&self) -> Option<L> {
        self.interrupt(Ownership::stop)
    }

    /// Keeps the peer from being connected, by either side, until it is resumed; returns the link
    /// to close.
    pub(super) fn pause(&self) -> Option<L> {
        self.interrupt(Ownership::pause)
    }

    fn interrupt(&self, set: impl FnOnce(&mut Ownership<L, S>)) -> Option<L> {
        let (link, greeting) = self.change(|rules| {
            set(rules);
            rules.interrupted()
        });
        if let Some(stream) = greeting {
            stream.interrupt();
        }
        link
    }

    /// Ends a pause; a peer that is dialled is dialled at once.
    pub(super) fn resume(&self) {
        self.change(Ownership::resume);
    }

    pub(super) fn is_paused(&self) -> bool {
        self.lock().rules.is_paused()
    }

    /// Waits until there is a living link; `false` = there is none at `deadline`, or the node
    /// stops.
    pub(super) fn wait_up(&self, deadline: Time) -> bool {
        self.wait_for(|rules, now| match rules.is_up() {
            true => Ok(true),
            false if rules.is_stopping() || now >= deadline => Ok(false),
            false => Err(deadline),
        })
    }

    /// None of our code panics while it is locked, so the data behind a poisoned lock is whole.
    fn lock(&self) -> MutexGuard<'_, Locked<L, S>> {
        self.state.lock().recover()
    }

    fn wait_until<'a>(
        &'a self,
        state: MutexGuard<'a, Locked<L, S>>,
        deadline: Time,
    ) -> MutexGuard<'a, Locked<L, S>> {
        if deadline == Time::NEVER {
            return self.changed.wait(state).recover();
        }
        let left = self.clock.until(deadline);
        self.changed.wait_timeout(state, left).recover().0
    }
}

impl<L: Held, S: Greeted> Lease<L, S> {
    /// Shows the link to those who want to send; `false` = the node stops: close it.
    pub(super) fn go_up(&self, link: L) -> bool {
        let now = self.turns.clock.now();
        self.turns.change(|rules| rules.go_up(self.number, link, now))
    }
}

impl<L: Held, S: Greeted> Drop for Lease<L, S> {
    fn drop(&mut self) {
        let mut state = self.turns.lock();
        let link = state.rules.end_lease(self.stable);
        let successor = state.successor.take();
        drop(state);
        Turns::release(successor);
        self.turns.notify();
        // Outside the lock: the last handle on a link takes its time.
        drop(link);
    }
}

#[cfg(test)]
#[path = "turns_tests.rs"]
mod tests;
