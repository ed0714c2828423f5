//! Who owns a peer now, as a value: the dialled link, an accepted one, or none.
//!
//! Owning is a *lease*: its holder alone reports up, messages and down, so they never mix with
//! those of the link before or after. An accepted connection that wants the lease makes a *claim*;
//! what holds the lease is ended and has until the claim's deadline to report its end.
//!
//! When both sides dial each other, the link dialled by the smaller name stays. The side with the
//! smaller name decides alone: while its own HELLO is out, and for [`DIALLED_KEPT_FOR`] after, it
//! refuses the other's dials; else it accepts them and sends no HELLO. The other side accepts
//! whatever comes. Two equal names both decide like the smaller: each refuses the other only while
//! its own HELLO is out, so what a collision costs is a dial, not a link, and the jitter of the
//! waits separates the next tries.
//!
//! Invariant: while a lease is held no HELLO of our own is out. No clock, no lock, no wait is here.

use std::time::Duration;

use super::event::Direction;
use super::held::{Claim, ClaimRefused, ClaimRules, DialTurn, Greeted, Held};
use super::held::{HelloEnd, HelloStart, Look, Step, refused};
use crate::liveness::Time;

/// The state of one peer.
#[derive(Debug)]
pub(crate) struct Ownership<L: Held, S: Greeted> {
    /// The last number given to a lease, a claim or a greeting.
    last_number: u64,
    /// The holder of the lease.
    holder: Option<Holder<L>>,
    /// The newest accepted connection that waits for the lease.
    claim: Option<u64>,
    /// The newest that waits, has waited or was granted: an older one has nothing to ask for.
    newest_claim: u64,
    dial: Dial<S>,
    /// Set by the end of a lease, taken by the dialling side: was its link stable?
    lost: Option<bool>,
    dials: bool,
    /// The program wants no connection.
    paused: bool,
    /// The program asks for the next dial now, whatever is left of the wait.
    hurries: bool,
    stopping: bool,
    /// One of the same name, which a reload took out, has not reported its end.
    waits: bool,
}

#[derive(Debug)]
struct Holder<L> {
    number: u64,
    direction: Direction,
    /// The link and when it came up; none while it is being established.
    link: Option<(L, Time)>,
}

#[derive(Debug)]
enum Dial<S> {
    /// Between dials, or not dialled at all.
    Idle,
    /// In a system call that nothing interrupts.
    Blocked,
    /// Our HELLO is out.
    HelloEnd { number: u64, stream: S },
}

impl<L: Held, S: Greeted> Ownership<L, S> {
    pub(super) fn new() -> Self {
        Self {
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
        }
    }

    /// The link, once there is one; it may have died meanwhile.
    pub(super) fn link(&self) -> Option<&L> {
        self.holder.as_ref()?.link.as_ref().map(|(link, _)| link)
    }

    pub(super) fn is_up(&self) -> bool {
        self.link().is_some_and(Held::is_up)
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping
    }

    pub(super) fn is_paused(&self) -> bool {
        self.paused
    }

    pub(super) fn is_blocked(&self) -> bool {
        matches!(self.dial, Dial::Blocked)
    }

    pub(super) fn is_free(&self) -> bool {
        self.holder.is_none() && self.claim.is_none() && !self.waits
    }

    /// Whether nothing of it is still to be reported.
    pub(super) fn is_over(&self) -> bool {
        self.holder.is_none() && !self.waits
    }

    /// The newest claim that waits.
    pub(super) fn claim(&self) -> Option<u64> {
        self.claim
    }

    /// Sets whether one of the same name, from before a reload, still has an end to report.
    pub(super) fn set_waits(&mut self, waits: bool) {
        self.waits = waits;
    }

    /// Sets whether the peer is dialled at all.
    pub(super) fn set_dialled(&mut self, dials: bool) {
        self.dials = dials;
    }

    /// Checks the state of a claim, for the first time or again.
    pub(super) fn poll_claim(
        &mut self,
        claim: &mut Claim,
        rules: ClaimRules,
        deadline: Time,
        now: Time,
    ) -> Step<L, S> {
        let number = *claim.number.get_or_insert_with(|| self.next_number());
        match self.decide(number, rules, now) {
            Step::Wait if now >= deadline => {
                // The decision to wait has made it ours.
                self.claim = None;
                refused("the end of its last link is still reported")
            }
            Step::Replace(link) => {
                claim.replaced = true;
                Step::Replace(link)
            }
            step => step,
        }
    }

    /// What the dialling side does between two rounds: dial at `due`, and while no connection has
    /// the peer, or plan the next dial because a link has ended.
    pub(super) fn poll_dial(&mut self, due: Option<Time>, now: Time) -> DialTurn {
        if self.stopping {
            return DialTurn::Stop;
        }
        if !self.is_free() || !self.dials || self.paused {
            return DialTurn::Rest;
        }
        if let Some(stable) = self.lost.take() {
            return DialTurn::Lost { stable };
        }
        match due {
            _ if std::mem::take(&mut self.hurries) => DialTurn::Dial,
            Some(due) if now < due => DialTurn::Wait { until: due },
            _ => DialTurn::Dial,
        }
    }

    /// Asks, between the addresses of a round, whether to go on with it.
    pub(super) fn look(&self) -> Look {
        match self.is_free() && self.dials && !self.paused && self.lost.is_none() {
            _ if self.stopping => Look::Stop,
            true => Look::GoOn,
            false => Look::Over,
        }
    }

    /// Ends the wait for the next dial; `false` = nothing is dialled: there is a link already, no
    /// address, a pause, or the node stops.
    pub(super) fn dial_now(&mut self) -> bool {
        let dials = self.dials && !self.paused && !self.stopping && self.holder.is_none();
        // One that is under way is what was asked for.
        self.hurries = dials && matches!(self.dial, Dial::Idle);
        dials
    }

    /// Forgets that a link has ended: the round that made it goes on.
    pub(super) fn forget_lost(&mut self) {
        self.lost = None;
    }

    /// Records that the dialling side goes into a call that nothing interrupts; `false` = it must
    /// stop.
    pub(super) fn enter_blocked(&mut self) -> bool {
        if !self.stopping {
            self.dial = Dial::Blocked;
            // The dial that was asked for begins. One that is asked for from now on is another.
            self.hurries = false;
        }
        !self.stopping
    }

    /// Records that the call is over; `false` = the dialling side must end and touch nothing: the
    /// node may be gone.
    pub(super) fn leave_blocked(&mut self) -> bool {
        self.dial = Dial::Idle;
        !self.stopping
    }

    /// Asks whether our HELLO may go out on `stream`, and marks that it does.
    pub(super) fn begin_hello(&mut self, stream: S) -> HelloStart {
        if self.stopping {
            return HelloStart::Stop;
        }
        if self.paused || !self.is_free() {
            return HelloStart::Taken;
        }
        let number = self.next_number();
        self.dial = Dial::HelloEnd { number, stream };
        HelloStart::Go(number)
    }

    /// Ends our greeting, with or without a welcome; with one the lease is granted.
    pub(super) fn end_hello(&mut self, number: u64, welcome: bool) -> HelloEnd<u64> {
        if self.stopping {
            self.dial = Dial::Idle;
            return HelloEnd::Stopped;
        }
        match &self.dial {
            Dial::HelloEnd { number: ours, .. } if *ours == number => {}
            _ => return HelloEnd::Abandoned,
        }
        self.dial = Dial::Idle;
        if !welcome {
            return HelloEnd::Ours(None);
        }
        if self.paused {
            return HelloEnd::Abandoned;
        }
        self.hold(number, Direction::Dialled);
        HelloEnd::Ours(Some(number))
    }

    /// Shows the link of a lease; `false` = the node stops: close it.
    pub(super) fn go_up(&mut self, number: u64, link: L, now: Time) -> bool {
        if let Some(holder) = self.holder.as_mut().filter(|holder| holder.number == number) {
            holder.link = Some((link, now));
        }
        !self.stopping
    }

    /// Ends the lease; the link that it had is to be dropped while nothing is locked.
    pub(super) fn end_lease(&mut self, stable: bool) -> Option<L> {
        // One that was stable counts, even if another one came and went before any check.
        self.lost = Some(stable || self.lost == Some(true));
        let (link, _) = self.holder.take()?.link?;
        Some(link)
    }

    /// Lets nothing begin any more.
    pub(super) fn stop(&mut self) {
        self.stopping = true;
    }

    /// Keeps the peer from being connected, by either side, until it is resumed.
    pub(super) fn pause(&mut self) {
        self.paused = true;
    }

    /// Ends a pause; a peer that is dialled is dialled at once.
    pub(super) fn resume(&mut self) {
        self.hurries |= self.paused;
        self.paused = false;
    }

    /// What a stop or a pause ends: the link, which is to be closed, and our handshake, which
    /// is to be interrupted.
    pub(super) fn interrupted(&self) -> (Option<L>, Option<S>) {
        let greeting = match &self.dial {
            Dial::HelloEnd { stream, .. } => Some(stream.clone()),
            _ => None,
        };
        (self.link().cloned(), greeting)
    }

    fn next_number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    fn decide(&mut self, number: u64, rules: ClaimRules, now: Time) -> Step<L, S> {
        // Whatever the answer is, it no longer waits, unless it is registered again.
        if self.claim == Some(number) {
            self.claim = None;
        }
        if self.stopping {
            return Step::Refused(ClaimRefused::Stopping);
        }
        if self.paused {
            return Step::Refused(ClaimRefused::Paused);
        }
        if self.newest_claim > number {
            return refused("a newer connection of its own has come");
        }
        if self.waits {
            self.register(number);
            return Step::Wait;
        }
        let Some(holder) = &self.holder else { return self.grant(number, rules) };
        if let Some((link, since)) = holder.link.as_ref().filter(|(link, _)| link.is_up()) {
            if rules.reject_new {
                return refused("it is connected, and datasrc-reject-new-peers is set");
            }
            let dialled = holder.direction == Direction::Dialled;
            if dialled && rules.ours_first && now.since(*since) < DIALLED_KEPT_FOR {
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

    fn grant(&mut self, number: u64, rules: ClaimRules) -> Step<L, S> {
        let mut abandoned = None;
        if let Dial::HelloEnd { stream, .. } = &self.dial {
            if rules.ours_first {
                return refused("the link that we dial is being established");
            }
            abandoned = Some(stream.clone());
            self.dial = Dial::Idle;
        }
        self.claim = None;
        self.newest_claim = number;
        self.hold(number, Direction::Accepted);
        Step::Granted { number, abandoned }
    }

    fn hold(&mut self, number: u64, direction: Direction) {
        // A dial that was asked for has come about, or is not needed.
        self.hurries = false;
        self.holder = Some(Holder { number, direction, link: None });
    }
}

/// How long after it came up a link that we dialled is kept against the dials that its peer had
/// under way. A connection that comes later means that the peer has lost the link.
const DIALLED_KEPT_FOR: Duration = Duration::from_secs(2);

#[cfg(test)]
#[path = "ownership_tests.rs"]
pub(super) mod tests;
