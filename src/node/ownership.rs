//! Who owns a peer now: the thread of the dialled link, that of an accepted one, or nobody.
//!
//! Owning is a *lease*: its holder alone reports up, messages and down, so they never mix with
//! those of the link before or after. An accepted connection that wants the lease makes a *claim*;
//! what holds the lease is ended and has until the claim's deadline to report its end.
//!
//! When both sides dial each other, the link dialled by the smaller name stays. The side with the
//! smaller name decides alone: while its own HELLO is out, and for [`SETTLE`] after, it refuses the
//! other's dials; else it takes them and sends no HELLO. The other side takes whatever comes. Two
//! equal names both decide like the smaller: each refuses the other only while its own HELLO is
//! out, so what a collision costs is a dial, not a link, and the jitter of the waits parts them.
//!
//! Invariant: while a lease is held no HELLO of our own is out. While locked: no user code, no I/O.

use std::net::TcpStream;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::Direction;
use super::held::{ClaimRefused, ClaimRules, Greeted, Held, HelloStart, Look, Next, Step, refused};
use crate::link::Link;

/// The state of one peer, with its lock and its condition variable.
#[derive(Debug)]
pub(super) struct Ownership<L: Held = Link, S: Greeted = Arc<TcpStream>> {
    state: Mutex<State<L, S>>,
    pub(super) changed: Condvar,
}

/// The right to report about a peer; ends when dropped.
#[derive(Debug)]
pub(super) struct Lease<'a, L: Held = Link, S: Greeted = Arc<TcpStream>> {
    ownership: &'a Ownership<L, S>,
    number: u64,
    /// Whether its link lived long enough for the waits between dials to start over.
    pub(super) stable: bool,
    /// Whether it ended a link that lived.
    pub(super) replaced: bool,
}

/// How a greeting of ours ended.
#[derive(Debug)]
pub(super) enum HelloEnd<'a, L: Held, S: Greeted> {
    /// It is still ours, and with a welcome the lease is as well.
    Ours(Option<Lease<'a, L, S>>),
    /// The peer's own connection took its place.
    Abandoned,
    /// The node stops.
    Stopped,
}

impl<L: Held, S: Greeted> Ownership<L, S> {
    pub(super) fn new() -> Self {
        let state = State {
            last_number: 0,
            holder: None,
            claim: None,
            newest_claim: 0,
            dial: Dial::Idle,
            lost: None,
            dials: true,
            paused: false,
            hurries: false,
            stopping: false,
            waits: false,
            successor: None,
        };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    /// The link, once there is one; it may have died meanwhile.
    pub(super) fn link(&self) -> Option<L> {
        let state = self.lock();
        state.holder.as_ref()?.link.as_ref().map(|(link, _)| link.clone())
    }

    /// Keeps `next`, which has the same name after a reload, from granting anything before the
    /// lease that is held here has ended.
    pub(super) fn precede(&self, next: &Arc<Self>) {
        let mut state = self.lock();
        if !state.is_over() {
            next.lock().waits = true;
            state.successor = Some(Arc::clone(next));
        }
    }

    /// Whether nothing of it is still to be reported.
    pub(super) fn is_over(&self) -> bool {
        self.lock().is_over()
    }

    /// Lets those of the same name begin that have waited for an end.
    fn release(mut next: Option<Arc<Self>>) {
        while let Some(ownership) = next {
            let mut state = ownership.lock();
            state.waits = false;
            next = state.successor.take();
            drop(state);
            ownership.changed.notify_all();
        }
    }

    /// Claims the peer where it is free; `None` where it is not.
    pub(super) fn claim_if_free(
        &self,
        terms: ClaimRules,
    ) -> Option<Result<Lease<'_, L, S>, ClaimRefused>> {
        let mut state = self.lock();
        if !state.is_free() && !state.stopping {
            return None;
        }
        let number = state.next_number();
        let step = state.poll_claim(number, terms, Instant::now());
        drop(state);
        self.changed.notify_all();
        match step {
            Step::Granted(abandoned) => Some(Ok(self.begin_lease(number, abandoned))),
            Step::Refused(why) => Some(Err(why)),
            Step::Replace(_) | Step::Wait => None,
        }
    }

    /// Claims the peer, ends the link that it has, and waits up to `deadline` until its end has
    /// been reported.
    pub(super) fn claim(
        &self,
        terms: ClaimRules,
        deadline: Instant,
    ) -> Result<Lease<'_, L, S>, ClaimRefused> {
        let mut state = self.lock();
        let number = state.next_number();
        let mut replaced = false;
        loop {
            let (now, newest) = (Instant::now(), state.claim);
            let step = state.poll_claim(number, terms, now);
            if state.claim != newest {
                // An older claim must learn that it is not the newest any more.
                self.changed.notify_all();
            }
            match step {
                Step::Granted(abandoned) => {
                    drop(state);
                    let mut lease = self.begin_lease(number, abandoned);
                    lease.replaced = replaced;
                    return Ok(lease);
                }
                Step::Refused(why) => return Err(why),
                Step::Replace(link) => {
                    drop(state);
                    link.replace();
                    replaced = true;
                    state = self.lock();
                }
                Step::Wait if now >= deadline => {
                    // `Wait` has made it ours.
                    state.claim = None;
                    self.changed.notify_all();
                    return Err(ClaimRefused::Connected(
                        "the end of its last link is still reported",
                    ));
                }
                Step::Wait => state = self.wait_until(state, Some(deadline)),
            }
        }
    }

    /// Waits until the dialling thread has something to do: to dial, at `due` and while nobody has
    /// the peer, or to plan the next dial because a link has ended.
    pub(super) fn wait_dial(&self, due: Option<Instant>) -> Next {
        let mut state = self.lock();
        loop {
            if state.stopping {
                return Next::Stop;
            }
            if !state.is_free() || !state.dials || state.paused {
                state = self.wait_until(state, None);
                continue;
            }
            if let Some(stable) = state.lost.take() {
                return Next::Wait { stable };
            }
            match due {
                _ if std::mem::take(&mut state.hurries) => return Next::Dial,
                Some(due) if Instant::now() < due => state = self.wait_until(state, Some(due)),
                _ => return Next::Dial,
            }
        }
    }

    /// Ends the wait for the next dial; `false` = nobody is dialled: there is a link already, no
    /// address, a pause, or the node stops.
    pub(super) fn dial_now(&self) -> bool {
        let mut state = self.lock();
        let dials = state.dials && !state.paused && !state.stopping && state.holder.is_none();
        // One that is under way is what was asked for.
        state.hurries = dials && matches!(state.dial, Dial::Idle);
        self.changed.notify_all();
        dials
    }

    /// Asks, between the addresses of a round, whether to go on with it.
    pub(super) fn look(&self) -> Look {
        let state = self.lock();
        match state.is_free() && state.dials && !state.paused && state.lost.is_none() {
            _ if state.stopping => Look::Stop,
            true => Look::GoOn,
            false => Look::Over,
        }
    }

    /// Forgets that a link has ended: the round that made it goes on.
    pub(super) fn forget_lost(&self) {
        self.lock().lost = None;
    }

    /// Waits until `is_true`, which must be woken for; `Some(false)` = it was not by `deadline`,
    /// `None` = the node stops.
    pub(super) fn wait_until_true(
        &self,
        deadline: Instant,
        is_true: impl Fn() -> bool,
    ) -> Option<bool> {
        let mut state = self.lock();
        while !state.stopping {
            if is_true() {
                return Some(true);
            }
            if Instant::now() >= deadline {
                return Some(false);
            }
            state = self.wait_until(state, Some(deadline));
        }
        None
    }

    /// Wakes who waits for something to become true.
    pub(super) fn wake(&self) {
        // With the lock, so that nobody is between the look and the wait.
        drop(self.lock());
        self.changed.notify_all();
    }

    /// Asks whether our HELLO may go out on `stream`, and marks that it does.
    pub(super) fn begin_hello(&self, stream: S) -> HelloStart {
        let mut state = self.lock();
        if state.stopping {
            return HelloStart::Stop;
        }
        if !state.is_free() {
            return HelloStart::Taken;
        }
        let number = state.next_number();
        state.dial = Dial::HelloEnd { number, stream };
        HelloStart::Go(number)
    }

    /// Ends a greeting of ours, with or without a welcome.
    pub(super) fn end_hello(&self, number: u64, welcome: bool) -> HelloEnd<'_, L, S> {
        let mut state = self.lock();
        if state.stopping {
            state.dial = Dial::Idle;
            return HelloEnd::Stopped;
        }
        match &state.dial {
            Dial::HelloEnd { number: ours, .. } if *ours == number => {}
            _ => return HelloEnd::Abandoned,
        }
        state.dial = Dial::Idle;
        if !welcome {
            return HelloEnd::Ours(None);
        }
        if state.paused {
            return HelloEnd::Abandoned;
        }
        state.holder = Some(Holder { number, direction: Direction::Dialled, link: None });
        drop(state);
        self.changed.notify_all();
        HelloEnd::Ours(Some(self.begin_lease(number, None)))
    }

    /// Keeps everything from beginning any more and wakes all that wait; returns the link to close.
    pub(super) fn stop(&self) -> Option<L> {
        self.interrupt(|state| state.stopping = true)
    }

    /// Sets what keeps the peer from being connected, wakes all that wait, and interrupts a
    /// handshake under way; returns the link to close.
    pub(super) fn interrupt(&self, set: impl FnOnce(&mut State<L, S>)) -> Option<L> {
        let mut state = self.lock();
        set(&mut state);
        let link = state.holder.as_ref().and_then(|holder| holder.link.clone());
        let greeting = match &state.dial {
            Dial::HelloEnd { stream, .. } => Some(stream.clone()),
            _ => None,
        };
        drop(state);
        self.changed.notify_all();
        if let Some(stream) = greeting {
            stream.interrupt();
        }
        link.map(|(link, _)| link)
    }

    fn begin_lease(&self, number: u64, abandoned: Option<S>) -> Lease<'_, L, S> {
        if let Some(stream) = abandoned {
            stream.interrupt();
        }
        Lease { ownership: self, number, stable: false, replaced: false }
    }

    /// Nothing of ours panics while it is locked, so what a poisoned lock guards is whole.
    pub(super) fn lock(&self) -> MutexGuard<'_, State<L, S>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn wait_until<'a>(
        &'a self,
        state: MutexGuard<'a, State<L, S>>,
        deadline: Option<Instant>,
    ) -> MutexGuard<'a, State<L, S>> {
        let Some(deadline) = deadline else {
            return self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        };
        let left = deadline.saturating_duration_since(Instant::now());
        self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
    }
}

impl<L: Held, S: Greeted> Lease<'_, L, S> {
    /// Shows the link to those who want to send; `false` = the node stops: close it.
    pub(super) fn go_up(&self, link: L) -> bool {
        let mut state = self.ownership.lock();
        let stopping = state.stopping;
        if let Some(holder) = state.holder.as_mut().filter(|holder| holder.number == self.number) {
            holder.link = Some((link, Instant::now()));
        }
        drop(state);
        self.ownership.changed.notify_all();
        !stopping
    }
}

impl<L: Held, S: Greeted> Drop for Lease<'_, L, S> {
    fn drop(&mut self) {
        let mut state = self.ownership.lock();
        let link = state.holder.take();
        state.lost = Some(self.stable);
        let successor = state.successor.take();
        drop(state);
        Ownership::release(successor);
        self.ownership.changed.notify_all();
        // Outside the lock: the last handle on a link takes its time.
        drop(link);
    }
}

#[derive(Debug)]
pub(super) struct State<L: Held, S: Greeted> {
    /// The last number given to a lease, a claim or a greeting.
    last_number: u64,
    /// Whoever has the lease.
    pub(super) holder: Option<Holder<L>>,
    /// The newest accepted connection that waits for the lease.
    claim: Option<u64>,
    /// The newest that waits, has waited or was granted: an older one has nothing to ask for.
    newest_claim: u64,
    pub(super) dial: Dial<S>,
    /// Set by the end of a lease, taken by the dialling thread: was its link stable?
    lost: Option<bool>,
    pub(super) dials: bool,
    /// The program wants no connection.
    pub(super) paused: bool,
    /// The program asks for the next dial now, whatever is left of the wait.
    pub(super) hurries: bool,
    pub(super) stopping: bool,
    /// One of the same name, which a reload took out, has not reported its end.
    waits: bool,
    /// One of the same name that waits for ours.
    successor: Option<Arc<Ownership<L, S>>>,
}

#[derive(Debug)]
pub(super) struct Holder<L> {
    number: u64,
    direction: Direction,
    /// The link and when it came up; none while it is being established.
    pub(super) link: Option<(L, Instant)>,
}

#[derive(Debug)]
pub(super) enum Dial<S> {
    /// Between dials, or not dialled at all.
    Idle,
    /// In a call of the system's that nothing interrupts.
    Blocked,
    /// Our HELLO is out.
    HelloEnd { number: u64, stream: S },
}

impl<L: Held, S: Greeted> State<L, S> {
    fn next_number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    pub(super) fn is_free(&self) -> bool {
        self.holder.is_none() && self.claim.is_none() && !self.waits
    }

    fn is_over(&self) -> bool {
        self.holder.is_none() && !self.waits
    }

    fn poll_claim(&mut self, number: u64, terms: ClaimRules, now: Instant) -> Step<L, S> {
        if self.stopping {
            return Step::Refused(ClaimRefused::Stopping);
        }
        if self.paused {
            return Step::Refused(ClaimRefused::Paused);
        }
        if self.newest_claim > number {
            return refused("a newer connection of its own has come");
        }
        if self.claim == Some(number) {
            self.claim = None;
        }
        if self.waits {
            self.register(number);
            return Step::Wait;
        }
        let Some(holder) = &self.holder else { return self.grant(number, terms) };
        if let Some((link, since)) = holder.link.as_ref().filter(|(link, _)| link.is_up()) {
            if terms.reject_new {
                return refused("it is connected, and datasrc-reject-new-peers is set");
            }
            let dialled = holder.direction == Direction::Dialled;
            if dialled && terms.ours_first && now.saturating_duration_since(*since) < SETTLE {
                return refused("the link that we dialled has just come up");
            }
            let link = link.clone();
            self.register(number);
            return Step::Replace(link);
        }
        self.register(number);
        Step::Wait
    }

    fn register(&mut self, number: u64) {
        self.claim = Some(number);
        self.newest_claim = number;
    }

    fn grant(&mut self, number: u64, terms: ClaimRules) -> Step<L, S> {
        let mut abandoned = None;
        if let Dial::HelloEnd { stream, .. } = &self.dial {
            if terms.ours_first {
                return refused("the link that we dial is being established");
            }
            abandoned = Some(stream.clone());
            self.dial = Dial::Idle;
        }
        self.claim = None;
        self.newest_claim = number;
        self.holder = Some(Holder { number, direction: Direction::Accepted, link: None });
        Step::Granted(abandoned)
    }
}

/// How long after it came up a link that we dialled is kept against the dials that its peer had
/// under way. A connection that comes later means that the peer has lost the link.
const SETTLE: Duration = Duration::from_secs(2);

#[cfg(test)]
#[path = "ownership_tests.rs"]
mod tests;
