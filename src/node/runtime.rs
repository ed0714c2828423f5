//! One peer of a node: what it is configured with, who owns it, and its numbers.
//!
//! A runtime lives as long as its name stands in the configuration. A reload gives it other values
//! and leaves the rest alone, so handles and links stay; what the program has set on a peer holds
//! until the file says something new about the same item.
//!
//! Invariant: the locks here are held for a copy or a count, and nothing is called under them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::Event;
use super::numbers::{DownCounts, PeerStats, Totals};
use super::ownership::Ownership;
use crate::config::PeerConfig;
use crate::link::Link;
use crate::liveness::Settings;

/// One peer of a node.
pub(super) struct PeerRuntime {
    name: String,
    pub(super) ownership: Ownership,
    /// Its dialling thread was made; it lives as long as the runtime.
    has_dialler: AtomicBool,
    values: Mutex<Values>,
    counts: Mutex<Counts>,
}

struct Values {
    config: Arc<PeerConfig>,
    /// What the program set, in the place of what the file says.
    heartbeat_time: Option<Duration>,
    slack: Option<Duration>,
}

#[derive(Default)]
struct Counts {
    /// The link, from its up to its end.
    link: Option<Link>,
    /// Of the links that have ended.
    ended: Totals,
    connects: u64,
    downs: DownCounts,
    dial_failures: u64,
    refusals: u64,
}

impl PeerRuntime {
    pub(super) fn new(config: &PeerConfig) -> Self {
        let ownership = Ownership::new();
        ownership.set_dialled(!config.addresses().is_empty());
        let values = Values { config: Arc::new(config.clone()), heartbeat_time: None, slack: None };
        Self {
            name: config.name().to_owned(),
            ownership,
            has_dialler: AtomicBool::new(false),
            values: Mutex::new(values),
            counts: Mutex::default(),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn config(&self) -> Arc<PeerConfig> {
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
    pub(super) fn liveness(&self) -> Settings {
        let values = self.values();
        let peer = &values.config;
        Settings {
            given: None,
            heartbeat_time: values.heartbeat_time.or(peer.heartbeat_time().value),
            slack: values.slack.unwrap_or(peer.slack().value),
            mode: peer.mode().value,
            heartbeat_time_min: peer.heartbeat_time_min().value,
        }
    }

    /// Takes other values from a file; what it changes wins over what the program had set.
    pub(super) fn set_config(&self, config: PeerConfig) {
        let mut values = self.values();
        if config.heartbeat_time().value != values.config.heartbeat_time().value {
            values.heartbeat_time = None;
        }
        if config.slack().value != values.config.slack().value {
            values.slack = None;
        }
        let before = std::mem::replace(&mut values.config, Arc::new(config));
        drop(values);
        drop(before);
    }

    pub(super) fn set_heartbeat_time(&self, value: Duration) {
        self.values().heartbeat_time = Some(value);
    }

    pub(super) fn set_slack(&self, slack: Duration) {
        self.values().slack = Some(slack);
    }

    /// Records the link that has come up, made with `settings`, and gives it what was set
    /// meanwhile.
    pub(super) fn begin_link(&self, link: &Link, settings: &Settings) {
        self.counts().link = Some(link.clone());
        let now = self.liveness();
        // A link that has ended already needs nothing.
        if now.slack != settings.slack {
            let _ended = link.set_slack(now.slack);
        }
        if let Some(value) =
            now.heartbeat_time.filter(|_| now.heartbeat_time != settings.heartbeat_time)
        {
            let _next_or_ended = link.set_heartbeat_time(value);
        }
    }

    /// Adds the numbers of the link that has ended to the totals.
    pub(super) fn end_link(&self) {
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

    pub(super) fn count(&self, event: &Event) {
        match event {
            Event::Up { .. } => self.counts().connects += 1,
            Event::Down(down) => self.counts().downs.add(&down.reason),
            Event::DialFailed { .. } => self.counts().dial_failures += 1,
            Event::Refused { .. } => self.counts().refusals += 1,
            _ => {}
        }
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

    /// Nothing of ours panics while it is locked, so what a poisoned lock guards is whole.
    fn values(&self) -> MutexGuard<'_, Values> {
        self.values.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As `values`.
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
