//! The items about TLS in a file.
//!
//! They are noted by name, so that `check` can report how they are treated. Invariant: their values
//! are ignored, except for the port, which must not be the plain one.

use super::location::Location;

/// An item about TLS, which was skipped: connections are plain unless the program brings a
/// [`Transport`](crate::node::Transport) of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TlsItem {
    /// The item, such as `ssl-verify-mode` or `datasrc-ssl-port`.
    pub item: String,
    /// Where it is.
    pub location: Location,
    /// The [origin](super::PeerConfig::origin) of the peer that it is about; `None` = of all.
    pub peer: Option<Location>,
}

/// The items of all files.
#[derive(Debug, Default)]
pub(super) struct TlsItems {
    pub(super) items: Vec<TlsItem>,
    /// The port that is to take TLS: the item, where it is, and the number.
    pub(super) port: Option<(TlsItem, u16)>,
}

impl TlsItems {
    /// Keeps an item, if it is about TLS.
    pub(super) fn note(
        &mut self,
        name: &str,
        rest: &str,
        location: impl FnOnce() -> Location,
        peer: Option<&Location>,
    ) {
        let is_one = match peer {
            Some(_) => name == "ssl" || name.starts_with("ssl-"),
            None => name.starts_with("datasrc-ssl"),
        };
        if !is_one {
            return;
        }
        let item = TlsItem { item: name.to_owned(), location: location(), peer: peer.cloned() };
        // Anything but a plain number is ignored: the item belongs to another program.
        let number = rest.trim().parse().ok().filter(|_| PORTS.contains(&name));
        if let Some(number) = number {
            self.port = Some((item.clone(), number));
        }
        if self.items.len() < ITEMS_MAX {
            self.items.push(item);
        }
    }
}

/// The two names that upstream has had for the port.
const PORTS: [&str; 2] = ["datasrc-ssl-port", "datasrc-sslport"];
/// How many are kept: enough for all peers to have some.
const ITEMS_MAX: usize = 4096;
