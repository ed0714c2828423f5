//! The configuration file.
//!
//! peerbeat reads DataSource configuration files as they are: includes, variables and conditionals
//! and all. [`Config::load`] gives the checked [`Config`], or every error of the run at once; after
//! a `Config` exists its values cannot be wrong. Items that are not about peers and heartbeats
//! belong to somebody else and are skipped, whole groups too.
//!
//! # Grammar
//!
//! - One item a line: a name, then values separated by blanks or tabs. `#` where an item could
//!   begin starts a comment; inside a value it is part of the value. After `else`, `endif`, a
//!   condition, `add-X` and `end-X`, where no value can be, it starts a comment as well.
//! - Values with blanks stand in double quotes, with `\\` and `\"` inside. Other backslashes stay.
//! - A group runs from `add-X` to `end-X`. An `add-X` with values on its line (`add-field Bid 1`)
//!   is an item and not a group. A line is cut into values before variables are expanded, but a
//!   list takes a value with blanks as several.
//! - A boolean is true by presence, or `TRUE` or `FALSE`. A list is one line or several.
//!   Where another item repeats, the last one holds.
//! - `define NAME value`, `undefine NAME`, `${NAME}`, `${HOST${LEG}}`, `${ENV:NAME}`, `${ccd}` (the
//!   folder of the current file), `${APP_NAME}`, `${HOST_NAME}`, `${HOME_DIR}`; `%a`, `%h`, `%r`
//!   (application name, host name, application root). Inserted text is not expanded again.
//!   Undefined is empty, with a warning; only in conditions `${ENV:NAME}` may be undefined.
//!   `defmacro` up to `endmacro` is skipped with a warning.
//! - `if "x" == "y"`, `!=`, `else`, `endif`; they nest, and may stand inside a group. What a file
//!   or a group opens it closes. In the part that does not count nothing is expanded, checked or
//!   included.
//! - `include-file path` and `include-dir path`, relative to the including file. Variables defined
//!   in an included file hold after it too. In the groups of others nothing is included.
//!
//! Globals are the defaults of peers, also of those that stand before them. The [`limits`] keep a
//! broken or hostile file from costing more than a moment.

use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

use globals::Globals;
use reader::Reader;
use report::Report;
use timing::Timing;

mod advice;
mod blocks;
mod error;
mod expand;
mod files;
mod globals;
mod include;
mod items;
mod lexer;
pub mod limits;
mod options;
mod peer;
mod place;
mod reader;
mod report;
mod structure;
mod timing;
mod value;
mod warning;

pub use error::{ConfigError, ErrorKind, Errors, FileProblem};
pub use files::{DiskFiles, Files, MemoryFiles};
pub use options::{Environment, Options};
pub use peer::{Address, PeerConfig};
pub use place::{Origin, Place, Setting};
pub use value::Port;
pub use warning::{Warning, WarningKind};

use crate::liveness::Mode;

/// A checked configuration: who we are, where we listen, and our peers.
#[derive(Clone, Debug)]
pub struct Config {
    globals: Globals,
    peers: Vec<PeerConfig>,
    warnings: Vec<Warning>,
}

impl Config {
    /// Reads a configuration from a file and the files it includes.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with them, the file itself included.
    pub fn load(path: impl AsRef<Path>, options: &Options) -> Result<Config, Errors> {
        let mut reader = Reader::new(options);
        reader.load(path.as_ref());
        Config::resolve(reader, &path.as_ref().to_string_lossy())
    }

    /// Reads a configuration from a text, which places call `<text>`. Includes are relative to the
    /// current folder. Without includes nothing is read from the disk.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it.
    ///
    /// ```
    /// use peerbeat::config::{Config, Options};
    ///
    /// let text = "
    ///     datasrc-name  pricing
    ///     define LEG    1
    ///     add-peer
    ///         remote-name     transformer${LEG}
    ///         addr            primary backup
    ///         port            9001
    ///         heartbeat-time  15
    ///     end-peer";
    /// let config = Config::parse(text, &Options::default())?;
    /// let peer = &config.peers()[0];
    /// assert_eq!(peer.name(), "transformer1");
    /// assert_eq!(peer.addresses()[1].to_string(), "backup:9001");
    /// assert_eq!(peer.heartbeat_time().origin.to_string(), "<text>:8");
    ///
    /// let errors = Config::parse("datasrc-port 70000", &Options::default()).unwrap_err();
    /// assert_eq!(
    ///     errors.to_string(),
    ///     "<text>:1: datasrc-port: found \"70000\", allowed: a port from 1 to 65535, 0 or auto",
    /// );
    /// # Ok::<(), peerbeat::config::Errors>(())
    /// ```
    pub fn parse(text: &str, options: &Options) -> Result<Config, Errors> {
        let mut reader = Reader::new(options);
        reader.load_text(TEXT, text);
        Config::resolve(reader, TEXT)
    }

    /// Puts everything in force, once all lines are read.
    fn resolve(reader: Reader<'_>, file: &str) -> Result<Config, Errors> {
        let Reader { options, mut report, globals, peers, .. } = reader;
        let host_name = options.environment.host_name();
        let name = format!("{}-{host_name}", options.app_name);
        if !globals.has_name() && !value::is_name(&name) {
            let place = Place::new(file.into(), 0, None);
            report.error(&place, ErrorKind::bad_value("datasrc-name", &name, value::NAME));
        }
        let globals = globals.resolve(name);
        check_reconnect_times(&globals.timing, &Timing::default(), &mut report);
        let mut taken = HashSet::new();
        let mut resolved = Vec::with_capacity(peers.len());
        for peer in peers {
            if peer.has_only_hosts() {
                report.warn(&peer.origin, WarningKind::AddrWithoutPort);
            }
            let peer = peer.resolve(&globals, &mut taken);
            check_reconnect_times(peer.timing(), &globals.timing, &mut report);
            resolved.push(peer);
        }
        if !report.has_errors() {
            advice::advise(&globals, &resolved, &mut report);
        }
        Ok(Config { globals, peers: resolved, warnings: report.finish()? })
    }

    /// Our name in HELLO (`datasrc-name`, default `%a-%h`).
    pub fn name(&self) -> &str {
        &self.globals.name
    }

    /// Our label in HELLO (`datasrc-local-label`); may be empty.
    pub fn label(&self) -> &str {
        &self.globals.label
    }

    /// Our id in HELLO (`datasrc-id`); 0 is none.
    pub fn id(&self) -> u32 {
        self.globals.id
    }

    /// Where to listen (`datasrc-interface`). Empty: everywhere.
    pub fn interfaces(&self) -> &[String] {
        &self.globals.interfaces
    }

    /// The port to listen on (`datasrc-port`). `None`: we do not listen.
    pub fn port(&self) -> Option<Port> {
        self.globals.port
    }

    /// Whether a second connection by a connected peer is refused (`datasrc-reject-new-peers`);
    /// else it replaces the first.
    pub fn reject_new_peers(&self) -> bool {
        self.globals.reject_new_peers
    }

    /// Whether small frames are sent at once; not with `datasrc-tcp-nodelay-off`.
    pub fn tcp_nodelay(&self) -> bool {
        self.globals.tcp_nodelay
    }

    /// How long an accepted connection may take to say HELLO (`peer-accept-wait-time`, default
    /// 10 s).
    pub fn accept_wait(&self) -> Duration {
        self.globals.accept_wait
    }

    /// The peers, in the order of their `add-peer` groups; at most [`limits::MAX_PEERS`].
    pub fn peers(&self) -> &[PeerConfig] {
        &self.peers
    }

    /// What is worth knowing about these files.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// The heartbeat-time of peers without one (`datasrc-heartbeat-time`, default 5 s); `None` is
    /// undefined.
    pub fn heartbeat_time(&self) -> &Setting<Option<Duration>> {
        &self.globals.timing.heartbeat_time
    }

    /// The slack of peers without one (`datasrc-heartbeat-slack-time`, default 2 s).
    pub fn slack(&self) -> &Setting<Duration> {
        &self.globals.timing.slack
    }

    /// The heartbeat-mode of peers without one (`heartbeat-mode`, default idle).
    pub fn mode(&self) -> &Setting<Mode> {
        &self.globals.timing.mode
    }

    /// The floor of peers without one (`heartbeat-time-min`, default 0.1 s).
    pub fn heartbeat_time_min(&self) -> &Setting<Duration> {
        &self.globals.timing.heartbeat_time_min
    }
}

/// Reports that the shortest delay between dials is longer than the longest, unless `below`, the
/// level that these values stand over, has exactly that fault already.
fn check_reconnect_times(timing: &Timing, below: &Timing, report: &mut Report) {
    let (min, max) = (&timing.reconnect_time_min, &timing.reconnect_time_max);
    let is_own_min = min.origin != below.reconnect_time_min.origin;
    let is_own_max = max.origin != below.reconnect_time_max.origin;
    let own = if is_own_min { &min.origin } else { &max.origin };
    let place = own.place().filter(|_| is_own_min || is_own_max);
    if let Some(place) = place.filter(|_| min.value > max.value) {
        report.error(place, ErrorKind::ReconnectOrder { min: min.value, max: max.value });
    }
}

/// What places call a text that no file holds.
const TEXT: &str = "<text>";
