//! One peer of a node: what it is configured with, who owns it, and its numbers.
//!
//! A runtime lives as long as its name is in the configuration. A reload gives it other values and
//! leaves the rest alone, so handles and links stay; what the program has set on a peer holds until
//! a reload changes the same item.
//!
//! Invariant: the locks here are held for a copy, a count or a call that sets a value of the link,
//! which takes the link's own lock and no other.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use super::clock::Clock;
use super::contest::Contest;
use super::endpoint::Endpoint;
use super::numbers::{DownCounts, PeerStats, Totals};
use super::peer_link::PeerLink;
use super::turns::Turns;
use super::{Direction, NodeEvent};
use crate::config::PeerConfig;
use crate::link::{Down, HeartbeatChange};
use crate::liveness::{Settings, Time};
use crate::recover::Recover;

/// One peer of a node.
pub(crate) struct PeerRuntime {
    name: String,
    clock: Clock,
    pub(crate) turns: Arc<Turns>,
    /// Its dialling thread was made; it lives as long as the runtime.
    has_dialler: AtomicBool,
    values: Mutex<Values>,
    counts: Mutex<Counts>,
    contest: Mutex<Contest>,
}

struct Values {
    config: Arc<PeerConfig>,
    /// What the program set instead of the value in the file.
    heartbeat_time: Option<Duration>,
    slack: Option<Duration>,
    /// The link, from its start to its end: what is set under this lock is set on it too, so that
    /// it and the next one never differ.
    link: Option<PeerLink>,
}

#[derive(Default)]
struct Counts {
    /// The link, from its up to its end.
    link: Option<PeerLink>,
    /// Of the links that have ended.
    ended: Totals,
    connects: u64,
    downs: DownCounts,
    dial_failures: u64,
    refusals: u64,
    shown: Shown,
}

/// What the last events of the peer reported.
#[derive(Clone, Default)]
pub(super) struct Shown {
    /// Where the present link goes, and who dialled.
    pub(super) connection: Option<(Endpoint, Direction)>,
    /// When it last came up or went down.
    pub(super) since: Option<Time>,
    pub(super) last_down: Option<Down>,
    /// The dial under way.
    pub(super) dialling: Option<String>,
}

impl Shown {
    fn take(&mut self, event: &NodeEvent, now: Time) {
        match event {
            NodeEvent::Dialling { addr } => self.dialling = Some(addr.clone()),
            NodeEvent::DialFailed { .. } => self.dialling = None,
            NodeEvent::Up { addr, direction, .. } => {
                self.connection = Some((addr.clone(), *direction));
                self.since = Some(now);
                self.dialling = None;
            }
            NodeEvent::Down(down) => {
                self.connection = None;
                self.since = Some(now);
                self.last_down = Some(down.clone());
            }
            _ => {}
        }
    }
}

impl Values {
    fn settings(&self) -> Settings {
        let peer = &self.config;
        Settings {
            given: None,
            heartbeat_time: self.heartbeat_time.or(peer.heartbeat_time().value),
            slack: self.slack.unwrap_or(peer.slack().value),
            mode: peer.mode().value,
            heartbeat_time_min: peer.heartbeat_time_min().value,
        }
    }

    /// `true` = it is in force on the link.
    fn set_heartbeat_time(&self, value: Duration) -> bool {
        let set = |link: &PeerLink| link.set_heartbeat_time(value) == Ok(HeartbeatChange::InForce);
        self.link.as_ref().is_some_and(set)
    }

    fn set_slack(&self, slack: Duration) -> bool {
        self.link.as_ref().is_some_and(|link| link.set_slack(slack).is_ok())
    }
}

impl PeerRuntime {
    pub(super) fn new(config: &PeerConfig, clock: &Clock) -> Self {
        let turns = Arc::new(Turns::new(clock));
        turns.set_dialled(!config.addresses().is_empty());
        let values = Values {
            config: Arc::new(config.clone()),
            heartbeat_time: None,
            slack: None,
            link: None,
        };
        Self {
            name: config.name().to_owned(),
            clock: clock.clone(),
            turns,
            has_dialler: AtomicBool::new(false),
            values: Mutex::new(values),
            counts: Mutex::default(),
            contest: Mutex::default(),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn config(&self) -> Arc<PeerConfig> {
        Arc::clone(&self.values().config)
    }

    pub(super) fn is_dialled(&self) -> bool {
        !self.config().addresses().is_empty()
    }

    pub(super) fn has_dialler(&self) -> bool {
        self.has_dialler.load(Ordering::Relaxed)
    }

    pub(super) fn set_has_dialler(&self) {
        self.has_dialler.store(true, Ordering::Relaxed);
    }

    /// What its next link starts with.
    pub(crate) fn liveness(&self) -> Settings {
        self.values().settings()
    }

    /// Takes other values from a file, on the living link too; what the file changes wins over what
    /// the program had set. Returns whether heartbeat-time and slack are in force on the link.
    pub(super) fn set_config(&self, config: PeerConfig) -> (bool, bool) {
        let (heartbeat_time, slack) = (config.heartbeat_time().value, config.slack().value);
        let mut values = self.values();
        let before = std::mem::replace(&mut values.config, Arc::new(config));
        let mut applied = (false, false);
        if heartbeat_time != before.heartbeat_time().value {
            values.heartbeat_time = None;
            applied.0 = heartbeat_time.is_some_and(|value| values.set_heartbeat_time(value));
        }
        if slack != before.slack().value {
            values.slack = None;
            applied.1 = values.set_slack(slack);
        }
        drop(values);
        drop(before);
        applied
    }

    /// Sets a value of the program; `true` = it is in force on the living link.
    pub(super) fn set_heartbeat_time(&self, value: Duration) -> bool {
        let mut values = self.values();
        values.heartbeat_time = Some(value);
        values.set_heartbeat_time(value)
    }

    /// As [`set_heartbeat_time`](Self::set_heartbeat_time).
    pub(super) fn set_slack(&self, slack: Duration) -> bool {
        let mut values = self.values();
        values.slack = Some(slack);
        values.set_slack(slack)
    }

    /// Records the link that comes up, made with `settings`, and gives it what was set meanwhile.
    pub(super) fn begin_link(&self, link: &PeerLink, settings: &Settings) {
        self.counts().link = Some(link.clone());
        let mut values = self.values();
        values.link = Some(link.clone());
        let now = values.settings();
        // A link that has ended already needs nothing.
        if now.slack != settings.slack {
            values.set_slack(now.slack);
        }
        if let Some(value) =
            now.heartbeat_time.filter(|_| now.heartbeat_time != settings.heartbeat_time)
        {
            values.set_heartbeat_time(value);
        }
    }

    /// Adds the numbers of the link that has ended to the totals.
    pub(super) fn end_link(&self) {
        drop(self.values().link.take());
        let link = self.counts().link.clone();
        let stats = link.map(|link| link.stats());
        let mut counts = self.counts();
        let link = counts.link.take();
        if let Some(stats) = stats {
            counts.ended.add(&stats);
        }
        drop(counts);
        drop(link);
    }

    pub(super) fn shown(&self) -> Shown {
        self.counts().shown.clone()
    }

    pub(super) fn count(&self, event: &NodeEvent) {
        self.counts().shown.take(event, self.clock.now());
        match event {
            NodeEvent::Up { .. } => self.counts().connects += 1,
            NodeEvent::Down(down) => self.counts().downs.add(&down.reason),
            NodeEvent::DialFailed { .. } => self.counts().dial_failures += 1,
            _ => {}
        }
    }

    /// Records where the link that comes up is from and whether it replaced a living one; returns
    /// what to warn of.
    pub(super) fn contested(&self, replaced: bool, addr: Endpoint) -> Option<String> {
        let mut contest = self.contest.lock().recover();
        contest.add(replaced, addr, self.clock.now())
    }

    pub(super) fn count_refusal(&self) {
        self.counts().refusals += 1;
    }

    pub(super) fn stats(&self) -> PeerStats {
        let counts = self.counts();
        let link = counts.link.clone();
        let mut stats = PeerStats {
            link: None,
            total: counts.ended,
            connects: counts.connects,
            downs: counts.downs,
            dial_failures: counts.dial_failures,
            refusals: counts.refusals,
        };
        drop(counts);
        stats.link = link.map(|link| link.stats());
        if let Some(link) = &stats.link {
            stats.total.add(link);
        }
        stats
    }

    /// None of our code panics while it is locked, so the data behind a poisoned lock is whole.
    fn values(&self) -> MutexGuard<'_, Values> {
        self.values.lock().recover()
    }

    /// As `values`.
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().recover()
    }
}
