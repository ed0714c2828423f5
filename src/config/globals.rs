//! The global items, as they are read and as they are in force.
//!
//! The last one holds where an item repeats, but lists grow.

use std::time::Duration;

use super::error::ErrorKind;
use super::limits::MAX_ADDRESSES;
use super::timing::{Timing, TimingItems};
use super::value::{Item, Port};

/// What the files set.
#[derive(Debug, Default)]
pub(super) struct GlobalItems {
    name: Option<String>,
    label: Option<String>,
    id: Option<u32>,
    interfaces: Vec<String>,
    port: Option<Port>,
    reject_new_peers: bool,
    nodelay_off: bool,
    accept_wait: Option<Duration>,
    pub(super) timing: TimingItems,
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
    pub(super) timing: Timing,
}

impl GlobalItems {
    pub(super) fn set(&mut self, item: &Item<'_>) -> Result<(), ErrorKind> {
        match item.name {
            "datasrc-name" => self.name = Some(item.name()?),
            "datasrc-local-label" => self.label = Some(item.label()?),
            "datasrc-id" => self.id = Some(item.id()?),
            "datasrc-interface" => {
                self.interfaces.extend(item.hosts()?);
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
            name => {
                let name = name.strip_prefix("datasrc-").unwrap_or(name);
                self.timing.set(name, item)?;
            }
        }
        Ok(())
    }

    /// The values in force. `name` is ours where no file sets one.
    pub(super) fn resolve(self, name: String) -> Globals {
        Globals {
            name: self.name.unwrap_or(name),
            label: self.label.unwrap_or_default(),
            id: self.id.unwrap_or(0),
            interfaces: self.interfaces,
            port: self.port,
            reject_new_peers: self.reject_new_peers,
            tcp_nodelay: !self.nodelay_off,
            accept_wait: self.accept_wait.unwrap_or(DEFAULT_ACCEPT_WAIT),
            timing: self.timing.over(&Timing::default()),
        }
    }

    pub(super) fn has_name(&self) -> bool {
        self.name.is_some()
    }
}

const DEFAULT_ACCEPT_WAIT: Duration = Duration::from_secs(10);
