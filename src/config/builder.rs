//! A configuration made in code.
//!
//! A builder holds items as a file would: each goes through the function that reads it from a file,
//! so that the same checks apply. Its texts are taken literally: no variable, no `%h`, no quotes,
//! and a line end in a name is a character that names may not have, never the beginning of another
//! item.

use std::collections::HashSet;
use std::mem;
use std::path::Path;
use std::time::Duration;

use super::expand::Percents;
use super::location::Location;
use super::reader::Reader;
use super::report::Report;
use super::shown::{Quoted, cut};
use super::value::Item;
use super::{APP_NAME, Config, ConfigOptions, Errors, Port};
use crate::liveness::Mode;

/// Makes a [`Config`] in code; what is not set has the default of the file format.
///
/// ```
/// use std::time::Duration;
/// use peerbeat::config::{Config, PeerBuilder, Port};
///
/// let second = Duration::from_secs(1);
/// let feed = PeerBuilder::new("feed").heartbeat_time(second);
/// let config = Config::builder().name("hub").port(Port::Fixed(25000)).peer(feed).build()?;
/// assert_eq!(config.peers()[0].heartbeat_time().value, Some(second));
///
/// let risk = PeerBuilder::new("risk\nport 9").addr("localhost", 0);
/// assert_eq!(
///     config.with_peer(risk).unwrap_err().to_string(),
///     "<builder> peer \"risk\\nport 9\": remote-name: found \"risk\\nport 9\", allowed: \
///      one value of 0 to 255 bytes without control characters\n\
///      <builder> peer \"risk\\nport 9\": port: found \"0\", allowed: ports from 1 to 65535",
/// );
/// # Ok::<(), peerbeat::config::Errors>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "a builder does nothing until `build`"]
pub struct ConfigBuilder {
    items: Items,
    peers: Vec<PeerBuilder>,
}

/// One peer of a configuration that is made in code: what an `add-peer` group says.
///
/// With an address it is dialled; without one it dials us. [`ConfigBuilder`] has an example.
///
/// ```
/// use peerbeat::config::{Config, PeerBuilder};
/// use std::time::Duration;
///
/// let prices = PeerBuilder::new("prices")
///     .addr("primary", 25000)
///     .addr("backup", 25000)
///     .heartbeat_time(Duration::from_secs(1))
///     .slack(Duration::from_millis(500));
/// let config = Config::builder().name("gui").peer(prices).build()?;
/// assert_eq!(config.peers()[0].addresses().len(), 2);
/// # Ok::<(), peerbeat::config::Errors>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "a peer does nothing until it is in a configuration"]
pub struct PeerBuilder {
    items: Items,
}

/// The items that globals and peers have in common; the globals are the default of the peers.
macro_rules! timing_setters {
    ($heartbeat_time:literal, $slack:literal) => {
        #[doc = concat!("`", $heartbeat_time, "`; `None` asks for nothing, but answers.")]
        ///
        /// From 10 ms to a day. Default 5 s; of a peer that of the configuration.
        #[doc(alias = "interval")]
        pub fn heartbeat_time(self, time: impl Into<Option<Duration>>) -> Self {
            self.set($heartbeat_time, seconds(time.into().unwrap_or_default()))
        }

        #[doc = concat!("`", $slack, "`: what the heartbeat-time may be late by.")]
        ///
        /// From 10 ms to a day; 0 is taken as 10 ms, with a warning. Default 2 s; of a peer that of
        /// the configuration.
        pub fn slack(self, slack: Duration) -> Self {
            self.set($slack, seconds(slack))
        }

        /// `heartbeat-mode`: whether heartbeats are sent while data flows. Default [`Mode::Idle`].
        pub fn mode(self, mode: Mode) -> Self {
            let value = match mode {
                Mode::Idle => "idle",
                Mode::Always => "always",
            };
            self.set("heartbeat-mode", value.to_owned())
        }

        /// `heartbeat-time-min`: the smallest heartbeat-time taken from a peer, from 10 ms to a
        /// day. Default 0.1 s.
        pub fn heartbeat_time_min(self, time: Duration) -> Self {
            self.set("heartbeat-time-min", seconds(time))
        }

        /// `send-queue-bytes`: how many bytes may wait to be sent to a peer, from 1 KiB to 1 GiB.
        /// Default 8 MiB.
        pub fn send_queue_bytes(self, bytes: usize) -> Self {
            self.set("send-queue-bytes", bytes.to_string())
        }

        /// `reconnect-time-min`: the ceiling of the first wait between two dials, from 10 ms to a
        /// day. Default 0.5 s.
        #[doc(alias = "backoff")]
        pub fn reconnect_time_min(self, time: Duration) -> Self {
            self.set("reconnect-time-min", seconds(time))
        }

        /// `reconnect-time-max`: the ceiling that the waits between dials double up to, at least
        /// that of the first. Default 30 s.
        #[doc(alias = "backoff")]
        pub fn reconnect_time_max(self, time: Duration) -> Self {
            self.set("reconnect-time-max", seconds(time))
        }

        fn set(mut self, name: &'static str, value: String) -> Self {
            self.items.set(name, value);
            self
        }
    };
}

impl ConfigBuilder {
    timing_setters!("datasrc-heartbeat-time", "datasrc-heartbeat-slack-time");

    /// `application-name`: `%a` in files. Default `peerbeat`.
    pub fn application_name(self, name: &str) -> Self {
        self.set("application-name", literal(name))
    }

    /// `application-root`: `%r` in files. Default: the current folder.
    pub fn application_root(self, root: impl AsRef<Path>) -> Self {
        self.set("application-root", literal(&root.as_ref().to_string_lossy()))
    }

    /// `datasrc-name`: our name, 1 to 255 bytes without control characters. Default: the
    /// application's name, `-` and that of the host.
    pub fn name(self, name: &str) -> Self {
        self.set("datasrc-name", literal(name))
    }

    /// `datasrc-local-label`: our label, up to 255 bytes without control characters. Default
    /// empty.
    pub fn label(self, label: &str) -> Self {
        self.set("datasrc-local-label", literal(label))
    }

    /// `datasrc-id`: our id. Default 0, which is none.
    pub fn id(self, id: u32) -> Self {
        self.set("datasrc-id", id.to_string())
    }

    /// `datasrc-interface`: one more address to listen on; `*` is all, which is the default.
    pub fn interface(mut self, host: &str) -> Self {
        self.items.add("datasrc-interface", literal_host(host));
        self
    }

    /// `datasrc-port`: where to listen. Default: nowhere but on Unix sockets.
    pub fn port(self, port: Port) -> Self {
        let value = match port {
            Port::Fixed(port) => port.to_string(),
            Port::Auto => "auto".to_owned(),
        };
        self.set("datasrc-port", value)
    }

    /// `datasrc-reject-new-peers`: whether a second connection by a connected peer is refused.
    /// Default no: it replaces the first.
    pub fn reject_new_peers(self, rejects: bool) -> Self {
        self.set("datasrc-reject-new-peers", rejects.to_string())
    }

    /// Whether small frames are sent at once: the opposite of `datasrc-tcp-nodelay-off`. Default
    /// yes.
    pub fn tcp_nodelay(self, nodelay: bool) -> Self {
        self.set("datasrc-tcp-nodelay-off", (!nodelay).to_string())
    }

    /// `peer-accept-wait-time`: how long an accepted connection may take to say HELLO, from
    /// 10 ms to a day. Default 10 s.
    #[doc(alias = "timeout")]
    pub fn accept_wait(self, wait: Duration) -> Self {
        self.set("peer-accept-wait-time", seconds(wait))
    }

    /// `node-queue-bytes`: how many bytes may wait in all links together, from 1 KiB to 1 TiB.
    /// Default 64 MiB.
    pub fn node_queue_bytes(self, bytes: usize) -> Self {
        self.set("node-queue-bytes", bytes.to_string())
    }

    /// One more `add-peer` group.
    pub fn peer(mut self, peer: PeerBuilder) -> Self {
        self.peers.push(peer);
        self
    }

    /// Checks everything, as [`Config::parse`] does.
    ///
    /// # Errors
    /// [`Errors`], never empty: [`ErrorKind::BadValue`](super::ErrorKind::BadValue) for a value
    /// that an item cannot have, [`ErrorKind::ReconnectOrder`](super::ErrorKind::ReconnectOrder)
    /// and [`ErrorKind::TooManyPeers`](super::ErrorKind::TooManyPeers); any other
    /// [`ErrorKind`](super::ErrorKind) that a file with these items gives.
    pub fn build(self) -> Result<Config, Errors> {
        let options = ConfigOptions::default();
        let mut reader = Reader::new(&options, APP_NAME);
        let whole = Location::new(BUILDER.into(), 0, None);
        for (name, value) in self.items.0 {
            reader.take_global_item(item(name, value, &whole));
        }
        let mut known = HashSet::new();
        for (peer, number) in self.peers.into_iter().zip(1..) {
            let is_first = known.insert(peer.items.identity());
            peer.read(&mut reader, number, is_first);
        }
        Config::resolve(reader, BUILDER)
    }
}

impl PeerBuilder {
    /// A peer that gives itself this name (`remote-name`).
    ///
    /// One that is recognised by something else is a `PeerBuilder::default()`.
    pub fn new(remote_name: &str) -> PeerBuilder {
        PeerBuilder::default().remote_name(remote_name)
    }

    timing_setters!("heartbeat-time", "heartbeat-slack-time");

    /// `remote-name`: the name the peer gives itself, 1 to 255 bytes without control characters.
    pub fn remote_name(self, name: &str) -> Self {
        self.set("remote-name", literal(name))
    }

    /// `remote-label`: the label the peer gives itself, up to 255 bytes without control characters.
    pub fn remote_label(self, label: &str) -> Self {
        self.set("remote-label", literal(label))
    }

    /// `label`: the old name of [`remote_label`](Self::remote_label), which is the weaker one.
    pub fn label(self, label: &str) -> Self {
        self.set("label", literal(label))
    }

    /// `remote-id`: the id the peer gives itself. Default 0, which is none.
    pub fn remote_id(self, id: u32) -> Self {
        self.set("remote-id", id.to_string())
    }

    /// `local-name`: the name we give ourselves to this peer. Default: ours.
    pub fn local_name(self, name: &str) -> Self {
        self.set("local-name", literal(name))
    }

    /// `local-label`: the label we give ourselves to this peer. Default: ours.
    pub fn local_label(self, label: &str) -> Self {
        self.set("local-label", literal(label))
    }

    /// `local-id`: the id we give ourselves to this peer. Default: ours.
    pub fn local_id(self, id: u32) -> Self {
        self.set("local-id", id.to_string())
    }

    /// `addr` and `port`: one more address to dial, behind those that are there.
    pub fn addr(mut self, host: &str, port: u16) -> Self {
        self.items.add("addr", literal_host(host));
        self.items.add("port", port.to_string());
        self
    }

    /// `addr unix:`: one more Unix socket to dial, by its absolute path.
    pub fn unix(mut self, path: impl AsRef<Path>) -> Self {
        self.items.add(UNIX, format!("unix:{}", literal(&path.as_ref().to_string_lossy())));
        self
    }

    /// `connect-timeout`: how long connecting and shaking hands may take, from 10 ms to a
    /// day. Default 10 s.
    #[doc(alias = "timeout")]
    pub fn connect_timeout(self, timeout: Duration) -> Self {
        self.set("connect-timeout", seconds(timeout))
    }

    /// What `add-peer` and its items do in a file; it is the peer with that number.
    /// Each place is another one: two warnings that read the same are given once.
    fn read(self, reader: &mut Reader<'_>, number: usize, is_first: bool) {
        let shown = match self.items.identity() {
            Some(name) if is_first => format!("{BUILDER} peer {}", Quoted(&cut(&name))),
            Some(name) => format!("{BUILDER} peer {number} {}", Quoted(&cut(&name))),
            None => format!("{BUILDER} peer {number}"),
        };
        let location = Location::new(shown.into(), 0, None);
        reader.begin_peer(&location);
        for (name, value) in self.items.0 {
            // Values that a file distinguishes by their text have a method each.
            let is_host = name == "addr";
            let name = if name == UNIX { "addr" } else { name };
            let item = item(name, value, &location);
            match is_host && item.values.iter().any(|host| host.starts_with("unix:")) {
                true => reader.report.error(&location, item.no_host()),
                false => reader.take_peer_item(item),
            }
        }
        reader.end_peer();
    }
}

impl Config {
    /// A configuration made in code, which begins with the defaults and no peers.
    pub fn builder() -> ConfigBuilder {
        ConfigBuilder::default()
    }

    /// This configuration with one more peer, as if its group were behind the last one.
    ///
    /// [`Node::reload`](crate::node::Node::reload) puts it in force. To change a peer, take it out
    /// with [`without_peer`](Self::without_peer) and put it back: its living link stays.
    ///
    /// ```no_run
    /// # fn f(node: &peerbeat::node::Node) -> Result<(), Box<dyn std::error::Error>> {
    /// use peerbeat::config::PeerBuilder;
    ///
    /// let risk = PeerBuilder::new("risk").addr("risk-1", 25000).addr("risk-2", 25000);
    /// node.reload(node.config().with_peer(risk)?)?;
    /// if let Some(config) = node.config().without_peer("feed") {
    ///     node.reload(config)?;
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Errors`], never empty: [`ErrorKind::BadValue`](super::ErrorKind::BadValue) for a value
    /// that an item of the peer cannot have,
    /// [`ErrorKind::ReconnectOrder`](super::ErrorKind::ReconnectOrder), and
    /// [`ErrorKind::TooManyPeers`](super::ErrorKind::TooManyPeers) if there is no room for it; any
    /// other [`ErrorKind`](super::ErrorKind) that a file with this group gives.
    pub fn with_peer(&self, peer: PeerBuilder) -> Result<Config, Errors> {
        let options = ConfigOptions::default();
        let mut reader = Reader::new(&options, APP_NAME);
        reader.places_taken = self.peers.len();
        let identity = peer.items.identity();
        let is_first = self.peers.iter().all(|known| identity.as_deref() != Some(known.name()));
        peer.read(&mut reader, self.peers.len() + 1, is_first);
        let mut report = Report::after(self.warnings[..self.lints_at].to_vec());
        report.add(mem::take(&mut reader.report));
        let mut config = self.clone();
        let mut taken = self.peers.iter().map(|peer| peer.name().to_owned()).collect();
        for peer in reader.peers {
            let peer = peer.resolve(&self.globals, &Percents::default(), &mut taken, &mut report);
            peer.timing.check_reconnect_times(&self.globals.timing, &mut report);
            config.peers.push(peer);
        }
        config.conclude(report)
    }

    /// This configuration without a peer; `None` if none has that [name](super::PeerConfig::name).
    /// The names of the others stay.
    pub fn without_peer(&self, name: &str) -> Option<Config> {
        let mut config = self.clone();
        config.peers.retain(|peer| peer.name() != name);
        if config.peers.len() == self.peers.len() {
            return None;
        }
        let report = Report::after(self.warnings[..self.lints_at].to_vec());
        config.conclude(report).ok()
    }
}

/// Items in the order in which they were first set.
#[derive(Clone, Debug, Default)]
struct Items(Vec<(&'static str, String)>);

impl Items {
    /// Sets an item that there is once.
    fn set(&mut self, name: &'static str, value: String) {
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = value,
            None => self.0.push((name, value)),
        }
    }

    /// Adds to a list.
    fn add(&mut self, name: &'static str, value: String) {
        self.0.push((name, value));
    }

    /// What a person calls the peer.
    fn identity(&self) -> Option<String> {
        let names = ["remote-name", "remote-label", "label"];
        let value = |name| self.0.iter().find(|(known, text)| *known == name && !text.is_empty());
        names.iter().find_map(|name| value(*name)).map(|(_, value)| value.replace("%%", "%"))
    }
}

fn item<'n>(name: &'n str, value: String, location: &Location) -> Item<'n> {
    let (values, location) = (vec![value], location.clone());
    Item { name, values, location, is_written: true, undefined: Vec::new() }
}

/// Text in which a file would fill in percents.
fn literal(text: &str) -> String {
    text.replace('%', "%%")
}

/// A host likewise, but for the scope of an IPv6 address.
fn literal_host(host: &str) -> String {
    if host.contains(':') { host.to_owned() } else { literal(host) }
}

/// A duration to the nanosecond, as files write it.
fn seconds(time: Duration) -> String {
    let exact = format!("{}.{:09}", time.as_secs(), time.subsec_nanos());
    exact.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// What locations call what no file holds.
const BUILDER: &str = "<builder>";
/// An `addr` that is a Unix socket, until it is read.
const UNIX: &str = "addr unix:";
