//! One peer: the `add-peer` group as it is read, and what it comes to.
//!
//! A peer with addresses is dialled; one without is expected to dial us. Values that the group
//! does not set are the globals', resolved when everything was read.

use std::collections::HashSet;
use std::fmt;
use std::time::Duration;

use super::error::ErrorKind;
use super::globals::Globals;
use super::limits::MAX_ADDRESSES;
use super::place::{Place, Setting};
use super::timing::{Timing, TimingItems};
use super::value::Item;
use crate::liveness::Mode;

/// Where a peer can be dialled. Displays as `host:port`, an IPv6 address in brackets.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    /// A host's name or address, without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// A peer of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerConfig {
    name: String,
    remote_name: Option<String>,
    remote_label: Option<String>,
    remote_id: Option<u32>,
    local_name: String,
    local_label: String,
    local_id: u32,
    addresses: Vec<Address>,
    connect_timeout: Duration,
    timing: Timing,
    origin: Place,
}

impl PeerConfig {
    /// The name users see, different for every peer.
    ///
    /// It is the first that is set of remote-name, remote-label, `id-N` of the remote-id, and the
    /// first address; `unnamed` without any. Where an earlier peer has that name already, it is
    /// the remote-label if that is free, else the name with `#2`, `#3` and so on.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name the peer gives itself (`remote-name`).
    pub fn remote_name(&self) -> Option<&str> {
        self.remote_name.as_deref()
    }

    /// The label the peer gives itself (`remote-label`); never empty.
    pub fn remote_label(&self) -> Option<&str> {
        self.remote_label.as_deref()
    }

    /// The id the peer gives itself (`remote-id`); never 0.
    pub fn remote_id(&self) -> Option<u32> {
        self.remote_id
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
    /// Hosts and ports are paired by position. Where one list is shorter its last entry serves
    /// the rest of the other, and without `addr` the host is `localhost`.
    pub fn addresses(&self) -> &[Address] {
        &self.addresses
    }

    /// Our heartbeat-time for this peer; `None` is undefined: we ask for nothing, but answer.
    pub fn heartbeat_time(&self) -> &Setting<Option<Duration>> {
        &self.timing.heartbeat_time
    }

    /// How long after the heartbeat-time silence is forgiven.
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

    /// How many bytes may wait to be sent to this peer.
    pub fn send_queue_bytes(&self) -> usize {
        self.timing.send_queue_bytes.value
    }

    /// The delay between dials to begin with.
    pub fn reconnect_time_min(&self) -> Duration {
        self.timing.reconnect_time_min.value
    }

    /// The delay between dials at the most; never under the least.
    pub fn reconnect_time_max(&self) -> Duration {
        self.timing.reconnect_time_max.value
    }

    /// Whether somebody who dials us and says this in HELLO is this peer.
    ///
    /// By the label if the peer has one, else by the id, else by the name. An adapter's name
    /// often carries its host, so the label is what stays the same.
    pub fn matches(&self, name: &str, label: &str, id: u32) -> bool {
        match (&self.remote_label, self.remote_id, &self.remote_name) {
            (Some(own), _, _) => own == label,
            (None, Some(own), _) => own == id,
            (None, None, Some(own)) => own == name,
            (None, None, None) => false,
        }
    }

    /// Where its `add-peer` stands.
    pub fn origin(&self) -> &Place {
        &self.origin
    }

    pub(super) fn timing(&self) -> &Timing {
        &self.timing
    }

    /// What [`matches`](PeerConfig::matches) compares, in words; `None` where it never does.
    pub(super) fn known_by(&self) -> Option<String> {
        match (&self.remote_label, self.remote_id, &self.remote_name) {
            (Some(label), _, _) => Some(format!("remote-label {label}")),
            (None, Some(id), _) => Some(format!("remote-id {id}")),
            (None, None, Some(name)) => Some(format!("remote-name {name}")),
            (None, None, None) => None,
        }
    }
}

/// An `add-peer` group as it is read.
#[derive(Debug)]
pub(super) struct PeerItems {
    pub(super) origin: Place,
    remote_name: Option<String>,
    remote_label: Option<String>,
    remote_id: Option<u32>,
    local_name: Option<String>,
    local_label: Option<String>,
    local_id: Option<u32>,
    hosts: Vec<String>,
    ports: Vec<u16>,
    connect_timeout: Option<Duration>,
    pub(super) timing: TimingItems,
}

impl PeerItems {
    pub(super) fn new(origin: Place) -> PeerItems {
        PeerItems {
            origin,
            remote_name: None,
            remote_label: None,
            remote_id: None,
            local_name: None,
            local_label: None,
            local_id: None,
            hosts: Vec::new(),
            ports: Vec::new(),
            connect_timeout: None,
            timing: TimingItems::default(),
        }
    }

    pub(super) fn set(&mut self, item: &Item<'_>) -> Result<(), ErrorKind> {
        match item.name {
            "addr" => self.hosts.extend(item.hosts()?),
            "port" => self.ports.extend(item.ports()?),
            "remote-name" => self.remote_name = Some(item.name()?),
            "remote-label" => {
                self.remote_label = Some(item.label()?).filter(|label| !label.is_empty());
            }
            "remote-id" => self.remote_id = Some(item.id()?).filter(|id| *id != 0),
            "local-name" => self.local_name = Some(item.name()?),
            "local-label" => self.local_label = Some(item.label()?),
            "local-id" => self.local_id = Some(item.id()?),
            "connect-timeout" => self.connect_timeout = Some(item.seconds()?),
            name => self.timing.set(name, item)?,
        }
        if self.hosts.len().max(self.ports.len()) > MAX_ADDRESSES {
            self.hosts.truncate(MAX_ADDRESSES);
            self.ports.truncate(MAX_ADDRESSES);
            let unit = "addresses of one peer";
            return Err(ErrorKind::Limit { item: "add-peer", unit, max: MAX_ADDRESSES });
        }
        Ok(())
    }

    /// Whether it says where, but not that we dial.
    pub(super) fn has_only_hosts(&self) -> bool {
        self.ports.is_empty() && !self.hosts.is_empty()
    }

    /// The peer with everything in force. `taken` are the names of the peers before it.
    pub(super) fn resolve(self, globals: &Globals, taken: &mut HashSet<String>) -> PeerConfig {
        let addresses = pair(self.hosts, &self.ports);
        let wished = self
            .remote_name
            .clone()
            .or_else(|| self.remote_label.clone())
            .or_else(|| self.remote_id.map(|id| format!("id-{id}")))
            .or_else(|| addresses.first().map(Address::to_string))
            .unwrap_or_else(|| "unnamed".to_owned());
        let name = free_name(wished, self.remote_label.as_deref(), taken);
        taken.insert(name.clone());
        PeerConfig {
            name,
            remote_name: self.remote_name,
            remote_label: self.remote_label,
            remote_id: self.remote_id,
            local_name: self.local_name.unwrap_or_else(|| globals.name.clone()),
            local_label: self.local_label.unwrap_or_else(|| globals.label.clone()),
            local_id: self.local_id.unwrap_or(globals.id),
            addresses,
            connect_timeout: self.connect_timeout.unwrap_or(DEFAULT_CONNECT_TIMEOUT),
            timing: self.timing.over(&globals.timing),
            origin: self.origin,
        }
    }
}

fn free_name(wished: String, label: Option<&str>, taken: &HashSet<String>) -> String {
    if !taken.contains(&wished) {
        return wished;
    }
    if let Some(label) = label.filter(|label| !taken.contains(*label)) {
        return label.to_owned();
    }
    let numbered = (2..).map(|number: u32| format!("{wished}#{number}"));
    let mut free = numbered.filter(|name| !taken.contains(name));
    free.next().unwrap_or(wished)
}

/// Hosts and ports by position; the last of the shorter list serves the rest of the longer.
fn pair(mut hosts: Vec<String>, ports: &[u16]) -> Vec<Address> {
    let Some(last_port) = ports.last() else { return Vec::new() };
    if hosts.is_empty() {
        hosts.push("localhost".to_owned());
    }
    let count = hosts.len().max(ports.len());
    let address = |index: usize| Address {
        host: hosts[index.min(hosts.len() - 1)].clone(),
        port: *ports.get(index).unwrap_or(last_port),
    };
    (0..count).map(address).collect()
}

const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
