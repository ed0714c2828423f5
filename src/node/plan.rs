//! Which address of a peer is dialled next, and when: the dialling side as a value.
//!
//! Rounds follow each other after a wait. In a round the addresses are tried in their order, each
//! with the connect-timeout, and of a host's name every address that it resolves to; a link that
//! did not last counts as an address that failed. While the peer is up by a connection of its own,
//! nothing dials.
//!
//! Its driver asks [`DialPlan::poll`], does what that returns, and reports how it went. Nothing
//! here reads a clock, waits or does I/O.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use super::backoff::Backoff;
use super::endpoint::Endpoint;
use super::event::{DialFailedReason, NodeEvent};
use super::held::{DialTurn, Greeted, Held, Look};
use super::ownership::Ownership;
use crate::config::{Address, PeerConfig};
use crate::link::handshake::HandshakeError;
use crate::link::{SystemLimits, is_out_of_descriptors};
use crate::liveness::Time;

/// The dialling side of one peer.
#[derive(Debug)]
pub(crate) struct DialPlan {
    backoff: Backoff,
    /// When the next round is due; `None` = now.
    due: Option<Time>,
    round: Option<Round>,
    /// What is to be reported before anything else.
    reports: VecDeque<NodeEvent>,
}

/// What the dialling side has to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum DialStep {
    /// Report this.
    Report(NodeEvent),
    /// Resolve the address by the deadline, then
    /// [`handle_resolved`](DialPlan::handle_resolved).
    Resolve { address: Address, deadline: Time },
    /// Connect and shake hands by the deadline, then [`handle_failed`](DialPlan::handle_failed),
    /// [`handle_ended`](DialPlan::handle_ended) or [`handle_over`](DialPlan::handle_over).
    Connect { address: Address, addr: Endpoint, deadline: Time },
    /// Nothing before this instant, or before something changes.
    Wait { until: Time },
    /// End, and touch nothing: the node stops.
    Stop,
}

/// Why a dial came to no link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DialFailure {
    pub(super) reason: DialFailedReason,
    pub(super) detail: String,
}

/// One try of every address.
#[derive(Debug)]
struct Round {
    /// What was configured when it began.
    peer: Arc<PeerConfig>,
    /// The address that is dialled.
    index: usize,
    at: At,
}

#[derive(Debug)]
enum At {
    /// The address has not been begun.
    Next,
    Resolving {
        deadline: Time,
    },
    Dialling(HostDials),
}

/// The addresses that a host's name resolves to.
#[derive(Debug)]
struct HostDials {
    /// The first is the one that is dialled.
    left: VecDeque<Endpoint>,
    alone: bool,
    deadline: Time,
    failures: Vec<String>,
    worst: DialFailedReason,
}

impl DialPlan {
    pub(crate) fn new(peer: &PeerConfig) -> Self {
        let backoff = Backoff::new(peer.reconnect_time_min(), peer.reconnect_time_max());
        Self { backoff, due: None, round: None, reports: VecDeque::new() }
    }

    /// The next thing to do at `now`. Values that a reload has changed count from the next round
    /// on.
    pub(crate) fn poll<L: Held, S: Greeted>(
        &mut self,
        rules: &mut Ownership<L, S>,
        peer: &Arc<PeerConfig>,
        now: Time,
        mut random: impl FnMut() -> u64,
    ) -> DialStep {
        loop {
            if let Some(event) = self.reports.pop_front() {
                return DialStep::Report(event);
            }
            let Some(round) = &mut self.round else {
                match rules.poll_dial(self.due, now) {
                    DialTurn::Stop => return DialStep::Stop,
                    DialTurn::Rest => return DialStep::Wait { until: Time::NEVER },
                    DialTurn::Wait { until } => return DialStep::Wait { until },
                    DialTurn::Dial => {
                        self.round = Some(Round { peer: peer.clone(), index: 0, at: At::Next });
                    }
                    DialTurn::Lost { stable } => {
                        if stable {
                            self.backoff.reset();
                        }
                        self.plan_next(peer, now, random());
                    }
                }
                continue;
            };
            if round.index >= round.peer.addresses().len() {
                self.round = None;
                self.plan_next(peer, now, random());
                continue;
            }
            // The peer may have come by itself, and a reload may have given it other addresses.
            let same = peer.addresses() == round.peer.addresses();
            match rules.look() {
                Look::Stop => return DialStep::Stop,
                Look::GoOn if same => {}
                Look::GoOn | Look::Over => {
                    self.round = None;
                    continue;
                }
            }
            if let Some(step) = round.poll(&mut self.reports, now) {
                return step;
            }
        }
    }

    /// What an address resolves to, or why that is not known.
    pub(crate) fn handle_resolved(&mut self, found: Result<Vec<Endpoint>, DialFailure>) {
        let Some(round) = &mut self.round else { return };
        let At::Resolving { deadline } = round.at else { return };
        match found {
            Ok(addrs) => {
                round.at = At::Dialling(HostDials {
                    alone: addrs.len() == 1,
                    left: addrs.into(),
                    // The first one has what the resolver has left of the time.
                    deadline,
                    failures: Vec::new(),
                    worst: DialFailedReason::Connect,
                });
            }
            Err(failure) => self.reports.extend(round.end_address(Some(failure))),
        }
    }

    /// The connection was not made, or its handshake failed.
    pub(crate) fn handle_failed(&mut self, failure: DialFailure, now: Time) {
        let Some((round, addr)) = self.dialled(now) else { return };
        let At::Dialling(host) = &mut round.at else { return };
        let DialFailure { reason, detail } = failure;
        host.failures.push(if host.alone { detail } else { format!("{addr}: {detail}") });
        if reason != DialFailedReason::Connect {
            host.worst = reason;
        }
        // A program that answers in our protocol is the right one, and would answer the same again.
        if reason == DialFailedReason::Refused {
            host.left.clear();
        }
    }

    /// There was a link, and it has ended. One that did not last counts as an address that failed;
    /// one that did is reported by the ownership.
    pub(crate) fn handle_ended(&mut self, stable: bool, now: Time) {
        match stable {
            true => self.handle_over(),
            false => drop(self.dialled(now)),
        }
    }

    /// The round is over: the peer has reached us.
    pub(crate) fn handle_over(&mut self) {
        self.round = None;
    }

    /// The connection could not be made a link, for want of a thread or a descriptor: the lease
    /// that has ended brings the wait.
    pub(super) fn handle_unmade(&mut self, addr: &Endpoint, failure: DialFailure) {
        let DialFailure { reason, detail } = failure;
        self.reports.push_back(NodeEvent::DialFailed { addr: addr.to_string(), reason, detail });
        self.handle_over();
    }

    /// Takes the address that was dialled; the one after it has the whole time.
    fn dialled(&mut self, now: Time) -> Option<(&mut Round, Endpoint)> {
        let round = self.round.as_mut()?;
        let At::Dialling(host) = &mut round.at else { return None };
        let addr = host.left.pop_front()?;
        host.deadline = now + round.peer.connect_timeout();
        Some((round, addr))
    }

    fn plan_next(&mut self, peer: &PeerConfig, now: Time, random: u64) {
        self.backoff.set_limits(peer.reconnect_time_min(), peer.reconnect_time_max());
        let wait = self.backoff.next_wait(random);
        self.due = Some(now + wait);
        self.reports.push_back(NodeEvent::Retry { wait });
    }
}

impl Round {
    /// The next step, or `None` once there is something to report or the round is over.
    fn poll(&mut self, reports: &mut VecDeque<NodeEvent>, now: Time) -> Option<DialStep> {
        let address = self.peer.addresses().get(self.index)?;
        match &self.at {
            At::Next => {
                reports.push_back(NodeEvent::Dialling { addr: address.to_string() });
                self.at = At::Resolving { deadline: now + self.peer.connect_timeout() };
                None
            }
            At::Resolving { deadline } => {
                Some(DialStep::Resolve { address: address.clone(), deadline: *deadline })
            }
            At::Dialling(host) => match host.left.front() {
                Some(addr) => Some(DialStep::Connect {
                    address: address.clone(),
                    addr: addr.clone(),
                    deadline: host.deadline,
                }),
                None => {
                    let failure = (!host.failures.is_empty()).then(|| DialFailure {
                        reason: host.worst,
                        detail: host.failures.join("; "),
                    });
                    reports.extend(self.end_address(failure));
                    None
                }
            },
        }
    }

    /// Goes on to the next address; returns what to report of this one.
    fn end_address(&mut self, failure: Option<DialFailure>) -> Option<NodeEvent> {
        let addr = self.peer.addresses().get(self.index)?.to_string();
        self.index += 1;
        self.at = At::Next;
        let DialFailure { reason, detail } = failure?;
        Some(NodeEvent::DialFailed { addr, reason, detail })
    }
}

impl DialFailure {
    /// The name was not resolved.
    pub(crate) fn resolving(error: &io::Error, limits: &SystemLimits) -> Self {
        let reason = match error.kind() {
            io::ErrorKind::TimedOut => DialFailedReason::Timeout,
            io::ErrorKind::WouldBlock | io::ErrorKind::OutOfMemory => DialFailedReason::Io,
            _ => DialFailedReason::Resolve,
        };
        Self { reason, detail: limits.describe(error) }
    }

    /// The connection was not made.
    pub(crate) fn connecting(error: &io::Error, limits: &SystemLimits) -> Self {
        use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
        let reason = match error.kind() {
            io::ErrorKind::TimedOut => DialFailedReason::Timeout,
            io::ErrorKind::UnexpectedEof => DialFailedReason::Eof,
            io::ErrorKind::InvalidData => DialFailedReason::Protocol,
            BrokenPipe | ConnectionAborted | ConnectionReset => DialFailedReason::Io,
            _ if is_out_of_descriptors(error) => DialFailedReason::Io,
            _ => DialFailedReason::Connect,
        };
        Self { reason, detail: limits.describe(error) }
    }

    /// There was no welcome.
    pub(crate) fn greeting(error: &HandshakeError) -> Self {
        let reason = match error {
            HandshakeError::TimedOut => DialFailedReason::Timeout,
            HandshakeError::Eof => DialFailedReason::Eof,
            HandshakeError::Refused { .. } => DialFailedReason::Refused,
            HandshakeError::Protocol(_) => DialFailedReason::Protocol,
            HandshakeError::Io(_) => DialFailedReason::Io,
        };
        let detail = error.to_string();
        // The words for some codes of a refusal begin with the reason.
        let detail = detail.strip_prefix("refused: ").map(str::to_owned).unwrap_or(detail);
        Self { reason, detail }
    }

    /// The other side has proven another name than the one in its HELLO, or than the one that was
    /// dialled.
    pub(super) fn unproven(detail: String) -> Self {
        Self { reason: DialFailedReason::Name, detail }
    }

    /// The connection could not be made a link.
    pub(super) fn unmade(error: &io::Error, limits: &SystemLimits) -> Self {
        Self { reason: DialFailedReason::Io, detail: limits.describe(error) }
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
