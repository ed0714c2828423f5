//! One peer: the `add-peer` group as it is read, and the peer that results.
//!
//! A peer with addresses is dialled; one without is expected to dial us. Values that the group does
//! not set come from the globals, once everything has been read.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::error::ErrorKind;
use super::expand::Percents;
use super::globals::{Globals, Taken, Timing, TimingItems};
use super::limits::MAX_ADDRESSES;
use super::location::{Location, Setting};
use super::report::Report;
use super::value::{Item, Target, Text, fill_host};
use super::warning::WarningKind;
use crate::liveness::Mode;

/// Where a peer can be dialled. Displays as `host:port`, an IPv6 address in brackets, or as
/// `unix:/path`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Address {
    /// A TCP port of a host.
    Tcp {
        /// The host's name or address, without brackets.
        host: String,
        /// Its port.
        port: u16,
    },
    /// A Unix socket, by its absolute path.
    Unix(PathBuf),
}

impl Address {
    /// The port of a TCP address.
    pub fn port(&self) -> Option<u16> {
        match self {
            Address::Tcp { port, .. } => Some(*port),
            Address::Unix(_) => None,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Address::Tcp { host, port } => write!(f, "{host}:{port}"),
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// By what a peer that dials us was recognised, the strongest way first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum RecognisedBy {
    /// Its label is `remote-label`.
    RemoteLabel,
    /// Its id is `remote-id`.
    RemoteId,
    /// Its label is `label`, the old name of `remote-label`.
    Label,
    /// Its name is `remote-name`.
    RemoteName,
}

impl RecognisedBy {
    /// The item of `add-peer`.
    pub fn as_str(self) -> &'static str {
        match self {
            RecognisedBy::RemoteLabel => "remote-label",
            RecognisedBy::RemoteId => "remote-id",
            RecognisedBy::Label => "label",
            RecognisedBy::RemoteName => "remote-name",
        }
    }
}

/// Who the other side is, according to `add-peer`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) name: Option<String>,
    pub(super) label: Option<String>,
    /// `label`, the old name of `remote-label`, which is the weaker one.
    pub(super) old_label: Option<String>,
    pub(super) id: Option<u32>,
}

impl Identity {
    /// How it can be recognised, the strongest way first.
    pub(super) fn ways(&self) -> Vec<(RecognisedBy, String)> {
        if let Some(label) = &self.label {
            return vec![(RecognisedBy::RemoteLabel, label.clone())];
        }
        let id = self.id.map(|id| (RecognisedBy::RemoteId, id.to_string()));
        let label = self.old_label.clone().map(|label| (RecognisedBy::Label, label));
        let name = self.name.clone().filter(|_| self.id.is_none());
        let name = name.map(|name| (RecognisedBy::RemoteName, name));
        [id, label, name].into_iter().flatten().collect()
    }

    /// How a HELLO with these values matches this peer, if it does.
    pub(super) fn recognise(&self, name: &str, label: &str, id: u32) -> Option<RecognisedBy> {
        if let Some(own) = &self.label {
            return (own == label).then_some(RecognisedBy::RemoteLabel);
        }
        if self.id.is_some_and(|own| own == id) {
            return Some(RecognisedBy::RemoteId);
        }
        if self.old_label.as_ref().is_some_and(|own| own == label) {
            return Some(RecognisedBy::Label);
        }
        let is_name = self.id.is_none() && self.name.as_ref().is_some_and(|own| own == name);
        is_name.then_some(RecognisedBy::RemoteName)
    }

    /// How this peer recognises `other` by its HELLO.
    pub(super) fn recognise_other(&self, other: &Identity) -> Option<RecognisedBy> {
        let label = other.label.as_deref().or(other.old_label.as_deref()).unwrap_or_default();
        self.recognise(other.name.as_deref().unwrap_or_default(), label, other.id.unwrap_or(0))
    }
}

/// A peer of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerConfig {
    pub(super) name: String,
    pub(super) identity: Identity,
    pub(super) local_name: String,
    pub(super) local_label: String,
    pub(super) local_id: u32,
    pub(super) addresses: Vec<Address>,
    pub(super) connect_timeout: Duration,
    pub(super) timing: Timing,
    pub(super) origin: Location,
}

impl PeerConfig {
    /// The name users see, different for each peer.
    ///
    /// It is the first that is set of remote-name, remote-label, label, `id-N` of the remote-id,
    /// and the first address; `unnamed` without any. If an earlier peer has that name already, it
    /// is the label if that is free, else the name with `#2`, `#3` and so on.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name the peer gives itself (`remote-name`); never empty.
    pub fn remote_name(&self) -> Option<&str> {
        self.identity.name.as_deref()
    }

    /// The label the peer gives itself (`remote-label`); never empty.
    pub fn remote_label(&self) -> Option<&str> {
        self.identity.label.as_deref()
    }

    /// The label the peer gives itself, by the old name of the item (`label`); never empty.
    pub fn label(&self) -> Option<&str> {
        self.identity.old_label.as_deref()
    }

    /// The id the peer gives itself (`remote-id`); never 0.
    pub fn remote_id(&self) -> Option<u32> {
        self.identity.id
    }

    /// The name we give ourselves to this peer (`local-name`, else `datasrc-name`).
    pub fn local_name(&self) -> &str {
        &self.local_name
    }

    /// The label we give ourselves to this peer (`local-label`, else `datasrc-local-label`); may
    /// be empty.
    pub fn local_label(&self) -> &str {
        &self.local_label
    }

    /// The id we give ourselves to this peer (`local-id`, else `datasrc-id`); 0 is none.
    pub fn local_id(&self) -> u32 {
        self.local_id
    }

    /// Where to dial, in order of preference (`addr` and `port`). Empty: the peer dials us.
    ///
    /// Hosts and ports are paired by position. If one list is shorter its last entry serves the
    /// rest of the other, and without `addr` the host is `localhost`. A `unix:` address takes no
    /// port and is left out of the pairing.
    pub fn addresses(&self) -> &[Address] {
        &self.addresses
    }

    /// Our heartbeat-time for this peer; `None` is undefined: we ask for nothing, but answer.
    #[doc(alias = "keepalive")]
    #[doc(alias = "interval")]
    #[doc(alias = "ping")]
    pub fn heartbeat_time(&self) -> &Setting<Option<Duration>> {
        &self.timing.heartbeat_time
    }

    /// How much longer than the heartbeat-time silence may last.
    pub fn slack(&self) -> &Setting<Duration> {
        &self.timing.slack
    }

    /// When heartbeats are sent to this peer.
    pub fn mode(&self) -> &Setting<Mode> {
        &self.timing.mode
    }

    /// The smallest heartbeat-time taken from this peer.
    pub fn heartbeat_time_min(&self) -> &Setting<Duration> {
        &self.timing.heartbeat_time_min
    }

    /// The limit of one dial, TCP connect and handshake each.
    pub fn connect_timeout(&self) -> Duration {
        self.connect_timeout
    }

    /// How many bytes may wait to be sent to this peer; at most what may wait in all links.
    pub fn send_queue_bytes(&self) -> usize {
        self.timing.send_queue_bytes.value
    }

    /// The ceiling of the first delay between dials.
    #[doc(alias = "backoff")]
    #[doc(alias = "reconnect")]
    pub fn reconnect_time_min(&self) -> Duration {
        self.timing.reconnect_time_min.value
    }

    /// The ceiling of every delay between dials; never under the first.
    #[doc(alias = "backoff")]
    #[doc(alias = "reconnect")]
    pub fn reconnect_time_max(&self) -> Duration {
        self.timing.reconnect_time_max.value
    }

    /// How a peer that dials us can be recognised as this one: the items that count, the strongest
    /// first, and their values. Empty if it cannot be.
    ///
    /// A `remote-label` counts alone. Else a `remote-id` comes before `label`, the old name of
    /// `remote-label`; `remote-name` counts if there is no id.
    pub fn ways(&self) -> Vec<(RecognisedBy, String)> {
        self.identity.ways()
    }

    /// How a peer that dials us with these values in its HELLO matches this one, if it does.
    pub fn recognise(&self, name: &str, label: &str, id: u32) -> Option<RecognisedBy> {
        self.identity.recognise(name, label, id)
    }

    /// Returns true if a peer that dials us and says this in its HELLO can be this one.
    pub fn matches(&self, name: &str, label: &str, id: u32) -> bool {
        self.recognise(name, label, id).is_some()
    }

    /// Where its `add-peer` is.
    pub fn origin(&self) -> &Location {
        &self.origin
    }
}

/// An `add-peer` group as it is read.
#[derive(Debug)]
pub(super) struct PeerItems {
    pub(super) origin: Location,
    remote_name: Option<Text>,
    remote_label: Option<Text>,
    label: Option<Text>,
    remote_id: Option<u32>,
    local_name: Option<Text>,
    local_label: Option<Text>,
    local_id: Option<u32>,
    targets: Vec<Target>,
    ports: Vec<u16>,
    /// A port that is wrong is not missing as well.
    port_was_refused: bool,
    connect_timeout: Option<Duration>,
    timing: TimingItems,
    /// Where each item was set last.
    pub(super) set_at: HashMap<String, Location>,
}

impl PeerItems {
    pub(super) fn new(origin: Location) -> PeerItems {
        PeerItems {
            origin,
            remote_name: None,
            remote_label: None,
            label: None,
            remote_id: None,
            local_name: None,
            local_label: None,
            local_id: None,
            targets: Vec::new(),
            ports: Vec::new(),
            port_was_refused: false,
            connect_timeout: None,
            timing: TimingItems::default(),
            set_at: HashMap::new(),
        }
    }

    pub(super) fn set(&mut self, item: &Item<'_>) -> Taken {
        let is_nobody = match item.name {
            "addr" => self.add(item.hosts()?, Vec::new())?,
            "port" => {
                let ports = item.ports();
                self.port_was_refused |= ports.is_err();
                self.add(Vec::new(), ports?)?
            }
            "remote-name" => set_unless_empty(&mut self.remote_name, item.label()?),
            "remote-label" => set_unless_empty(&mut self.remote_label, item.label()?),
            "label" => set_unless_empty(&mut self.label, item.label()?),
            "remote-id" => {
                self.remote_id = Some(item.id()?).filter(|id| *id != 0);
                self.remote_id.is_none()
            }
            "local-name" => set_and_pass(&mut self.local_name, item.name()?),
            "local-label" => set_and_pass(&mut self.local_label, item.label()?),
            "local-id" => set_and_pass(&mut self.local_id, item.id()?),
            "connect-timeout" => set_and_pass(&mut self.connect_timeout, item.seconds()?),
            name => return self.timing.set(name, item),
        };
        let kind = || WarningKind::MatchesNobody { item: item.name.to_owned() };
        Ok(is_nobody.then(kind))
    }

    fn add(&mut self, targets: Vec<Target>, ports: Vec<u16>) -> Result<bool, ErrorKind> {
        self.targets.extend(targets);
        self.ports.extend(ports);
        if self.targets.len().max(self.ports.len()) > MAX_ADDRESSES {
            self.targets.truncate(MAX_ADDRESSES);
            self.ports.truncate(MAX_ADDRESSES);
            let unit = "addresses of one peer";
            return Err(ErrorKind::Limit { item: "add-peer", unit, max: MAX_ADDRESSES });
        }
        Ok(false)
    }

    /// The peer with everything in force. `taken` are the names of the peers before it.
    pub(super) fn resolve(
        mut self,
        globals: &Globals,
        percents: &Percents,
        taken: &mut HashSet<String>,
        report: &mut Report,
    ) -> PeerConfig {
        let addresses = self.addresses(percents, report);
        let mut fill = |text: Option<Text>| {
            let text = text?;
            text.fill(percents).map_err(|kind| report.error(&text.location, kind)).ok()
        };
        let identity = Identity {
            name: fill(self.remote_name).filter(|name| !name.is_empty()),
            label: fill(self.remote_label).filter(|label| !label.is_empty()),
            old_label: fill(self.label).filter(|label| !label.is_empty()),
            id: self.remote_id,
        };
        let (local_name, local_label) = (fill(self.local_name), fill(self.local_label));
        let name = free_name(&identity, addresses.first(), taken);
        taken.insert(name.clone());
        let mut timing = self.timing.over(&globals.timing);
        cap(&mut timing.send_queue_bytes, &globals.node_queue_bytes, report);
        PeerConfig {
            name,
            identity,
            local_name: local_name.unwrap_or_else(|| globals.name.clone()),
            local_label: local_label.unwrap_or_else(|| globals.label.clone()),
            local_id: self.local_id.unwrap_or(globals.id),
            addresses,
            connect_timeout: self.connect_timeout.unwrap_or(DEFAULT_CONNECT_TIMEOUT),
            timing,
            origin: self.origin,
        }
    }

    /// Hosts and ports by position; the last of the shorter list serves the rest of the longer.
    fn addresses(&mut self, percents: &Percents, report: &mut Report) -> Vec<Address> {
        let is_host = |target: &&Target| matches!(target, Target::Host(_));
        let hosts = self.targets.iter().filter(is_host).count();
        match (hosts, self.targets.len() - hosts, self.ports.len()) {
            (0, 0, 1..) => {
                let host = Target::Host("localhost".to_owned());
                self.targets = vec![host; self.ports.len()];
            }
            (0, 1.., 1..) => report.warn(&self.origin, WarningKind::PortWithoutAddr),
            (1.., _, 0) if !self.port_was_refused => {
                report.warn(&self.origin, WarningKind::AddrWithoutPort);
            }
            _ => {}
        }
        let last = self.targets.iter().rfind(is_host).cloned();
        let missing = self.ports.len().saturating_sub(hosts.max(1));
        if let Some(last) = last.filter(|_| hosts > 0) {
            self.targets.extend(vec![last; missing]);
        }
        let mut ports = self.ports.iter();
        let mut addresses = Vec::with_capacity(self.targets.len());
        for target in &self.targets {
            match target {
                Target::Unix(path) => {
                    addresses.push(Address::Unix(Path::new(&percents.fill(path)).to_owned()));
                }
                Target::Host(host) => {
                    let Some(port) = ports.next().or(self.ports.last()) else { continue };
                    let host = fill_host(host, percents).unwrap_or_else(|kind| {
                        report.error(self.set_at.get("addr").unwrap_or(&self.origin), kind);
                        host.clone()
                    });
                    addresses.push(Address::Tcp { host, port: *port });
                }
            }
        }
        addresses
    }
}

/// What may wait for a peer is no more than what may wait in all links.
fn cap(bytes: &mut Setting<usize>, max: &Setting<usize>, report: &mut Report) {
    if bytes.value > max.value {
        let location = bytes.origin.location().or(max.origin.location());
        if let Some(location) = location {
            let kind = WarningKind::QueueCapped { bytes: bytes.value, max: max.value };
            report.warn(location, kind);
        }
        bytes.value = max.value;
    }
}

/// Returns true if the text is empty, and so no identity.
fn set_unless_empty(target: &mut Option<Text>, text: Text) -> bool {
    let is_empty = text.raw.is_empty();
    *target = Some(text).filter(|_| !is_empty);
    is_empty
}

fn set_and_pass<T>(target: &mut Option<T>, value: T) -> bool {
    *target = Some(value);
    false
}

/// A name that no earlier peer has.
fn free_name(identity: &Identity, first: Option<&Address>, taken: &HashSet<String>) -> String {
    let label = identity.label.as_ref().or(identity.old_label.as_ref());
    let wished = identity
        .name
        .clone()
        .or_else(|| label.cloned())
        .or_else(|| identity.id.map(|id| format!("id-{id}")))
        .or_else(|| first.map(Address::to_string))
        .unwrap_or_else(|| "unnamed".to_owned());
    if !taken.contains(&wished) {
        return wished;
    }
    if let Some(label) = label.filter(|label| !taken.contains(*label)) {
        return label.clone();
    }
    let numbered = (2..).map(|number: u32| format!("{wished}#{number}"));
    let mut free = numbered.filter(|name| !taken.contains(name));
    free.next().unwrap_or(wished)
}

const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
