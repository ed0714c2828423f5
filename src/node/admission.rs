//! The decisions about an accepted connection: which peer its HELLO belongs to, whether it may
//! become that peer's link, and how it is refused.
//!
//! A HELLO belongs to the first peer that it matches and that is free, else to the first that it
//! matches: the link of that peer is then ended, and its end waited for.

use std::io;
use std::sync::Arc;

use super::event::RefusedReason;
use super::held::{Claim, ClaimRefused, ClaimRules};
use super::reports::Refusal;
use super::runtime::PeerRuntime;
use super::shared::Shared;
use super::turns::{Claimed, Lease};
use crate::link::handshake::{Greeting, HandshakeError};
use crate::liveness::Time;

/// A HELLO whose peer is known, and that claims it.
pub(crate) struct Admission {
    runtime: Arc<PeerRuntime>,
    /// The name in the HELLO.
    name: String,
    rules: ClaimRules,
    claim: Claim,
    deadline: Time,
    /// Its result, once there is one.
    claimed: Option<Claimed>,
}

/// The peer and the right to report about it, or why not.
pub(crate) type Admitted = Result<(Arc<PeerRuntime>, Lease), Refusal>;

impl Admission {
    /// Finds the peer that a HELLO belongs to, of those that match: a free one first, then the one
    /// that it matches in the strongest way, then the first. `proven` is the name that its sender
    /// has proven.
    ///
    /// # Errors
    /// If there is none.
    pub(crate) fn begin(
        shared: &Shared,
        greeting: &Greeting,
        proven: Option<&str>,
        deadline: Time,
    ) -> Result<Self, Refusal> {
        let Greeting { name, label, id, .. } = greeting;
        if let Some(proven) = proven.filter(|proven| proven != name) {
            return Err(Refusal::unproven(name, proven));
        }
        // The peers of now: a reload may have come since the connection was accepted.
        let (reject_new, peers) = (shared.config().reject_new_peers(), shared.peers());
        let recognise = |runtime: &Arc<PeerRuntime>| {
            let peer = runtime.config();
            // A label or an id does not make one that has proven its name another.
            let is_other = peer.remote_name().is_some_and(|expected| expected != name);
            let by = peer.recognise(name, label, *id)?;
            (proven.is_none() || !is_other).then(|| (by, Arc::clone(runtime)))
        };
        let mut matching: Vec<_> = peers.iter().filter_map(recognise).collect();
        matching.sort_by_key(|(by, _)| *by);
        let free = matching.iter().find_map(|(_, runtime)| {
            let claimed = runtime.turns.claim_if_free(rules(runtime, greeting, reject_new))?;
            Some((Arc::clone(runtime), Some(claimed)))
        });
        let found = free.or_else(|| matching.first().map(|(_, first)| (Arc::clone(first), None)));
        let (runtime, claimed) = found.ok_or_else(|| Refusal::unknown(greeting))?;
        let (rules, name) = (rules(&runtime, greeting, reject_new), name.clone());
        Ok(Self { runtime, name, rules, claim: Claim::default(), deadline, claimed })
    }

    /// Waits until it has the peer or is refused.
    pub(super) fn wait(mut self, shared: &Shared, greeting: &Greeting) -> Admitted {
        let claimed = self.claimed.take();
        let claimed =
            claimed.unwrap_or_else(|| self.runtime.turns.claim(self.rules, self.deadline));
        self.outcome(shared, greeting, claimed)
    }

    /// Looks whether it has the peer or is refused; `None` = it has to wait.
    pub(crate) fn poll(&mut self, shared: &Shared, greeting: &Greeting) -> Option<Admitted> {
        let claimed = self.claimed.take().or_else(|| {
            self.runtime.turns.poll_claim(&mut self.claim, self.rules, self.deadline)
        })?;
        Some(self.outcome(shared, greeting, claimed))
    }

    fn outcome(&self, shared: &Shared, greeting: &Greeting, claimed: Claimed) -> Admitted {
        let runtime = Arc::clone(&self.runtime);
        let refusal = |reason, detail: &str| {
            let (name, detail) = (self.name.clone(), detail.to_owned());
            Refusal { runtime: Some(Arc::clone(&self.runtime)), name, reason, detail }
        };
        match claimed {
            Ok(lease) => Ok((runtime, lease)),
            Err(ClaimRefused::Connected(why)) => Err(refusal(RefusedReason::AlreadyConnected, why)),
            Err(ClaimRefused::Paused) => {
                Err(refusal(RefusedReason::ShuttingDown, "this peer is paused"))
            }
            // A reload has taken it out meanwhile.
            Err(ClaimRefused::Stopping) if !shared.is_stopping() => Err(Refusal::unknown(greeting)),
            Err(ClaimRefused::Stopping) => Err(Refusal::shutting_down(Some(runtime), &self.name)),
        }
    }
}

fn rules(runtime: &PeerRuntime, greeting: &Greeting, reject_new: bool) -> ClaimRules {
    let peer = runtime.config();
    let ours = (peer.local_name(), peer.local_id(), peer.local_label());
    let theirs = (greeting.name.as_str(), greeting.id, greeting.label.as_str());
    ClaimRules {
        // Both sides see the same two triples, so if they differ at most one side comes first.
        ours_first: !peer.addresses().is_empty() && ours <= theirs,
        reject_new,
    }
}

impl Refusal {
    fn of_none(name: &str, reason: RefusedReason, detail: String) -> Self {
        Self { runtime: None, name: name.to_owned(), reason, detail }
    }

    fn unproven(name: &str, proven: &str) -> Self {
        let (shown, proven) = (name.escape_debug(), proven.escape_debug());
        let detail = format!("HELLO says \"{shown}\", proven is \"{proven}\"");
        Self::of_none(name, RefusedReason::Name, detail)
    }

    /// The transport did not take a connection over.
    pub(super) fn not_secured(shared: &Shared, error: &io::Error) -> Self {
        use io::ErrorKind::{
            BrokenPipe, ConnectionAborted, ConnectionReset, TimedOut, UnexpectedEof,
        };
        if shared.is_stopping() {
            return Self::shutting_down(None, "");
        }
        let reason = match error.kind() {
            TimedOut => RefusedReason::TooSlow,
            BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof => RefusedReason::Gone,
            _ => RefusedReason::Protocol,
        };
        let detail = format!("the transport's handshake: {}", shared.limits.describe(error));
        Self::of_none("", reason, detail)
    }

    fn unknown(greeting: &Greeting) -> Self {
        let (name, label) = (greeting.name.escape_debug(), greeting.label.escape_debug());
        let detail = format!(
            "no peer here goes by the label \"{label}\", the id {} or the name \"{name}\"",
            greeting.id
        );
        Self::of_none(&greeting.name, RefusedReason::UnknownPeer, detail)
    }

    pub(crate) fn shutting_down(runtime: Option<Arc<PeerRuntime>>, name: &str) -> Self {
        let refusal = Self::of_none(name, RefusedReason::ShuttingDown, "shutting down".to_owned());
        Self { runtime, ..refusal }
    }

    /// A newcomer has its place, or there is none for it.
    pub(crate) fn made_room(shared: &Shared) -> Self {
        let detail = format!("{} handshakes are under way", shared.options.handshakes_max);
        Self::of_none("", RefusedReason::TooMany, detail)
    }

    pub(super) fn no_thread() -> Self {
        Self::of_none("", RefusedReason::TooMany, "no thread left".to_owned())
    }

    /// A probe, by a node that does not answer any.
    pub(crate) fn unanswered(name: &str) -> Self {
        let detail = "probes are not answered here".to_owned();
        Self::of_none(name, RefusedReason::UnknownPeer, detail)
    }

    /// A handshake that failed.
    pub(crate) fn failed(shared: &Shared, name: &str, error: &HandshakeError) -> Self {
        let reason = match error {
            // Our own end of the reading side looks the same.
            HandshakeError::Eof | HandshakeError::Io(_) if shared.is_stopping() => {
                return Self::shutting_down(None, name);
            }
            HandshakeError::Eof | HandshakeError::Io(_) => RefusedReason::Gone,
            HandshakeError::TimedOut => RefusedReason::TooSlow,
            _ if error.bye_code() == RefusedReason::Version.bye_code() => RefusedReason::Version,
            _ => RefusedReason::Protocol,
        };
        Self::of_none(name, reason, error.to_string())
    }
}
