//! The global items, and those that may be set both globally and in a peer: times, the
//! heartbeat-mode, queues.
//!
//! If an item is repeated the last one wins, but lists grow. A peer takes what it does not set from
//! the globals, wherever those are in the files, and what they do not set has a default. So nothing
//! is resolved until the last line has been read.

use std::collections::HashMap;
use std::time::Duration;

use super::error::ErrorKind;
use super::expand::Percents;
use super::limits::MAX_ADDRESSES;
use super::location::{Location, Setting};
use super::report::Report;
use super::value::{Item, Port, Text, fill_host};
use super::warning::WarningKind;
use crate::liveness::{Mode, Settings};

/// The result of an item: perhaps a warning.
pub(super) type Taken = Result<Option<WarningKind>, ErrorKind>;

/// What the files set.
#[derive(Debug, Default)]
pub(super) struct GlobalItems {
    name: Option<Text>,
    label: Option<Text>,
    id: Option<u32>,
    interfaces: Vec<String>,
    port: Option<Port>,
    reject_new_peers: bool,
    nodelay_off: bool,
    accept_wait: Option<Duration>,
    node_queue_bytes: Option<Setting<usize>>,
    timing: TimingItems,
    /// Where each item was set last.
    pub(super) set_at: HashMap<String, Location>,
}

/// The values in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Globals {
    pub(super) name: String,
    pub(super) label: String,
    pub(super) id: u32,
    pub(super) interfaces: Vec<String>,
    pub(super) port: Option<Port>,
    pub(super) reject_new_peers: bool,
    pub(super) tcp_nodelay: bool,
    pub(super) accept_wait: Duration,
    pub(super) node_queue_bytes: Setting<usize>,
    pub(super) timing: Timing,
}

impl Globals {
    /// Whether peers can dial us.
    pub(super) fn listens(&self) -> bool {
        self.port.is_some() || self.interfaces.iter().any(|host| host.starts_with("unix:"))
    }
}

impl GlobalItems {
    /// Takes an item, but not `application-name` and `application-root`.
    pub(super) fn set(&mut self, item: &Item<'_>) -> Taken {
        match item.name {
            "datasrc-name" => self.name = Some(item.name()?),
            "datasrc-local-label" => self.label = Some(item.label()?),
            "datasrc-id" => self.id = Some(item.id()?),
            "datasrc-interface" => {
                self.interfaces.extend(item.interfaces()?);
                if self.interfaces.len() > MAX_ADDRESSES {
                    self.interfaces.truncate(MAX_ADDRESSES);
                    let (item, max) = ("datasrc-interface", MAX_ADDRESSES);
                    return Err(ErrorKind::Limit { item, unit: "interfaces", max });
                }
            }
            "datasrc-port" => self.port = item.listening_port()?,
            "datasrc-reject-new-peers" => self.reject_new_peers = item.boolean()?,
            "datasrc-tcp-nodelay-off" => self.nodelay_off = item.boolean()?,
            "peer-accept-wait-time" => self.accept_wait = Some(item.seconds()?),
            "node-queue-bytes" => {
                let bytes = item.node_queue_bytes()?;
                self.node_queue_bytes = Some(Setting::at(bytes, &item.location));
            }
            name => {
                let name = name.strip_prefix("datasrc-").unwrap_or(name);
                return self.timing.set(name, item);
            }
        }
        Ok(None)
    }

    /// Returns true if the files set who we are or where we listen, as those of an application do
    /// and those that are included seldom do.
    pub(super) fn name_an_application(&self) -> bool {
        APPLICATIONS.iter().any(|item| self.set_at.contains_key(*item))
    }

    /// The values in force. What is wrong with a default is wrong with the `whole`.
    pub(super) fn resolve(
        self,
        percents: &Percents,
        whole: &Location,
        report: &mut Report,
    ) -> Globals {
        let mut fill = |text: Option<Text>| {
            let text = text?;
            text.fill(percents).map_err(|kind| report.error(&text.location, kind)).ok()
        };
        let name = self.name.unwrap_or_else(|| Text::default_name(whole));
        let (name, label) = (fill(Some(name)), fill(self.label));
        let mut interfaces = Vec::new();
        for host in self.interfaces {
            let filled = match host.starts_with("unix:") {
                true => Ok(percents.fill(&host).to_string()),
                false => fill_host(&host, percents),
            };
            match filled {
                Ok(host) => interfaces.push(host),
                Err(kind) => {
                    report.error(self.set_at.get("datasrc-interface").unwrap_or(whole), kind);
                }
            }
        }
        if interfaces.iter().any(|host| host == "*") {
            // `*` is all of TCP, which does not include Unix sockets.
            interfaces.retain(|host| host == "*" || host.starts_with("unix:"));
            if interfaces.iter().all(|host| host == "*") {
                interfaces.clear();
            }
        }
        Globals {
            name: name.unwrap_or_default(),
            label: label.unwrap_or_default(),
            id: self.id.unwrap_or(0),
            interfaces,
            port: self.port,
            reject_new_peers: self.reject_new_peers,
            tcp_nodelay: !self.nodelay_off,
            accept_wait: self.accept_wait.unwrap_or(DEFAULT_ACCEPT_WAIT),
            node_queue_bytes: self
                .node_queue_bytes
                .unwrap_or(Setting::default_of(DEFAULT_NODE_QUEUE_BYTES)),
            timing: self.timing.over(&Timing::default()),
        }
    }
}

/// What one level sets of the items that both levels have.
#[derive(Debug, Default)]
pub(super) struct TimingItems {
    heartbeat_time: Option<Setting<Option<Duration>>>,
    slack: Option<Setting<Duration>>,
    mode: Option<Setting<Mode>>,
    heartbeat_time_min: Option<Setting<Duration>>,
    send_queue_bytes: Option<Setting<usize>>,
    reconnect_time_min: Option<Setting<Duration>>,
    reconnect_time_max: Option<Setting<Duration>>,
}

/// The values in force for a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Timing {
    pub(super) heartbeat_time: Setting<Option<Duration>>,
    pub(super) slack: Setting<Duration>,
    pub(super) mode: Setting<Mode>,
    pub(super) heartbeat_time_min: Setting<Duration>,
    pub(super) send_queue_bytes: Setting<usize>,
    pub(super) reconnect_time_min: Setting<Duration>,
    pub(super) reconnect_time_max: Setting<Duration>,
}

impl TimingItems {
    /// Takes the item, whose name inside `add-peer` is `name`. The last one holds.
    pub(super) fn set(&mut self, name: &str, item: &Item<'_>) -> Taken {
        fn at<T>(value: T, item: &Item<'_>) -> Option<Setting<T>> {
            Some(Setting::at(value, &item.location))
        }
        match name {
            "heartbeat-time" => self.heartbeat_time = at(item.seconds_or_none()?, item),
            "heartbeat-slack-time" => {
                let (slack, was_zero) = item.slack()?;
                self.slack = at(slack, item);
                let kind = || WarningKind::SlackZero { item: item.name.to_owned() };
                return Ok(was_zero.then(kind));
            }
            "heartbeat-mode" => self.mode = at(item.mode()?, item),
            "heartbeat-time-min" => self.heartbeat_time_min = at(item.seconds()?, item),
            "send-queue-bytes" => self.send_queue_bytes = at(item.queue_bytes()?, item),
            "reconnect-time-min" => self.reconnect_time_min = at(item.seconds()?, item),
            "reconnect-time-max" => self.reconnect_time_max = at(item.seconds()?, item),
            _ => {}
        }
        Ok(None)
    }

    /// These values, and those of `below` if there are none.
    pub(super) fn over(self, below: &Timing) -> Timing {
        fn pick<T: Clone>(own: Option<Setting<T>>, below: &Setting<T>) -> Setting<T> {
            own.unwrap_or_else(|| below.clone())
        }
        Timing {
            heartbeat_time: pick(self.heartbeat_time, &below.heartbeat_time),
            slack: pick(self.slack, &below.slack),
            mode: pick(self.mode, &below.mode),
            heartbeat_time_min: pick(self.heartbeat_time_min, &below.heartbeat_time_min),
            send_queue_bytes: pick(self.send_queue_bytes, &below.send_queue_bytes),
            reconnect_time_min: pick(self.reconnect_time_min, &below.reconnect_time_min),
            reconnect_time_max: pick(self.reconnect_time_max, &below.reconnect_time_max),
        }
    }
}

impl Timing {
    /// Reports that the ceiling of the first wait between dials is above that of the last, unless
    /// `below`, the level under these values, has exactly that fault already.
    pub(super) fn check_reconnect_times(&self, below: &Timing, report: &mut Report) {
        let (min, max) = (&self.reconnect_time_min, &self.reconnect_time_max);
        let is_own_min = min.origin != below.reconnect_time_min.origin;
        let is_own_max = max.origin != below.reconnect_time_max.origin;
        let own = if is_own_min { &min.origin } else { &max.origin };
        let location = own.location().filter(|_| is_own_min || is_own_max);
        if let Some(location) = location.filter(|_| min.value > max.value) {
            report.error(location, ErrorKind::ReconnectOrder { min: min.value, max: max.value });
        }
    }
}

impl Default for Timing {
    fn default() -> Timing {
        let settings = Settings::default();
        Timing {
            heartbeat_time: Setting::default_of(settings.heartbeat_time),
            slack: Setting::default_of(settings.slack),
            mode: Setting::default_of(settings.mode),
            heartbeat_time_min: Setting::default_of(settings.heartbeat_time_min),
            send_queue_bytes: Setting::default_of(8 << 20),
            reconnect_time_min: Setting::default_of(Duration::from_millis(500)),
            reconnect_time_max: Setting::default_of(Duration::from_secs(30)),
        }
    }
}

/// Items that describe the application itself, seldom set in an included file.
const APPLICATIONS: [&str; 6] = [
    "application-name",
    "datasrc-name",
    "datasrc-local-label",
    "datasrc-id",
    "datasrc-interface",
    "datasrc-port",
];
const DEFAULT_ACCEPT_WAIT: Duration = Duration::from_secs(10);
const DEFAULT_NODE_QUEUE_BYTES: usize = 64 << 20;
