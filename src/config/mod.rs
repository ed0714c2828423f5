//! The configuration file.
//!
//! peerbeat reads DataSource configuration files as they are, includes, variables and conditions
//! and all. [`Config::load`] gives the checked [`Config`], or every error of the run at once; after
//! a `Config` exists its values cannot be wrong. Items that are not about peers and heartbeats
//! belong to other programs and are skipped, whole groups too. [`moving`](crate::moving) says what
//! that means for an estate that moves from DataSource.
//!
//! # Grammar
//!
//! - One item a line: a name, then values separated by blanks or tabs. `#` where an item could
//!   begin starts a comment; inside a value it is part of the value. After `else`, `endif`, a
//!   condition, `add-X` and `end-X`, where no value can be, it starts a comment as well.
//! - Values with blanks are in double quotes, with `\\` and `\"` inside. Other backslashes stay.
//! - `${NAME}` is replaced before a line is cut into values; in quotes, in a comparison and as the
//!   value of a `define` it stays one value whatever it holds.
//! - A group runs from `add-X` or `start-X` to `end-X`. An `add-X` with values on its line
//!   (`add-field Bid 1`) is an item and not a group. `add-peer` is ours. Others are skipped, but
//!   `define`, `if` and `include-file` act inside them too, without a word about what is wrong.
//! - A boolean is true by presence, or `TRUE` or `FALSE`. A list is one line or several. If another
//!   item repeats, the last one holds: in one file or group with a warning.
//! - `define NAME value`, `undefine NAME`, `${NAME}`, `${HOST${LEG}}`, `${ENV:NAME}`, `${ccd}` (the
//!   folder of the current file), `${APP_NAME}`, `${HOST_NAME}`, `${HOME_DIR}`. Inserted text is
//!   not expanded again. Undefined is empty, with a warning if it reaches one of our values or
//!   in the path of an include. `defmacro` up to `endmacro` is skipped with a warning.
//! - `%a` (application name), `%h` (host name), `%r` (application root), `%u` (home) and `%%` in
//!   our texts and in the paths of includes. `application-name` and `application-root` set the
//!   first and the third; in our texts they count wherever they are.
//! - `if C`, `elseif C`, `else`, `endif`; they nest, and may be inside a group. `C` is
//!   `"x" == "y"`, `!=`, `os NAME` ([`Os`]), or several of them joined by `and`. What a branch, a
//!   file or a group opens it closes. In a branch that does not count nothing is expanded, checked
//!   or included.
//! - `include-file path`: absolute, or beside the including file, in a folder that `include-dir`
//!   has named, or from the application root; the first that has it is read. Variables defined in
//!   an included file hold after it too.
//! - Bytes that are not UTF-8 are read as Latin-1, except in our own values.
//!
//! Globals are the defaults of peers, even of those before them. What is nearly ours, as
//! `datasrc-hearbeat-time`, is a warning. The [`limits`] keep a broken or hostile file from costing
//! more than a moment.

use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

use globals::{Globals, Timing};
use reader::Reader;
use report::Report;

mod blocks;
mod builder;
mod define;
mod error;
mod expand;
mod files;
mod globals;
mod include;
mod items;
mod lexer;
mod lint;
mod location;
mod options;
mod peer;
mod reader;
mod report;
mod shown;
mod structure;
mod tls;
mod value;
mod warning;

pub use builder::{ConfigBuilder, PeerBuilder};
pub use error::{ConfigError, ErrorKind, Errors, FileProblem};
pub use files::{DiskFiles, Files, MemoryFiles};
pub use location::{Location, Origin, Override, Setting};
pub use options::{ConfigOptions, Environment, Os, limits};
pub use peer::{Address, PeerConfig, RecognisedBy};
pub use reader::OsCondition;
pub use tls::TlsItem;
#[cfg(feature = "capi")]
pub(crate) use value::HistoricIpv4;
pub use value::Port;
pub use warning::{Warning, WarningKind};

use crate::liveness::Mode;

/// A checked configuration: who we are, where we listen, and our peers.
///
/// ```no_run
/// use peerbeat::config::{Config, ConfigOptions};
///
/// let config = Config::load("hub.conf", &ConfigOptions::default())?;
/// for warning in config.warnings() {
///     eprintln!("{warning}");
/// }
/// println!("{} has {} peers", config.name(), config.peers().len());
/// # Ok::<(), peerbeat::config::Errors>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a configuration does nothing until a node runs it"]
pub struct Config {
    application_name: Setting<String>,
    application_root: Setting<String>,
    globals: Globals,
    peers: Vec<PeerConfig>,
    warnings: Vec<Warning>,
    /// Where the lints begin among the warnings; they are about the whole.
    lints_at: usize,
    overrides: Vec<Override>,
    os_conditions: Vec<OsCondition>,
    tls_items: Vec<TlsItem>,
    is_part: bool,
}

impl Config {
    /// Reads a configuration from a file and the files it includes.
    ///
    /// # Errors
    /// [`Errors`], never empty: [`ErrorKind::File`] if the file or one that it includes cannot be
    /// read, [`ErrorKind::BadValue`] for an item that has a value it cannot have,
    /// [`ErrorKind::Unclosed`] and [`ErrorKind::Stray`] for a group that does not end or begin,
    /// [`ErrorKind::Limit`] if reading stopped at one of the [limits]; [`ErrorKind`] has the
    /// others.
    pub fn load(path: impl AsRef<Path>, options: &ConfigOptions) -> Result<Config, Errors> {
        let stem = path.as_ref().file_stem().map(|stem| stem.to_string_lossy());
        let mut reader = Reader::new(options, stem.as_deref().unwrap_or(APP_NAME));
        reader.load(path.as_ref());
        Config::resolve(reader, &path.as_ref().to_string_lossy())
    }

    /// Reads a configuration from a text, which locations call `<text>`. Includes are relative to
    /// the current folder. Without includes nothing is read from the disk. A name that comes from
    /// elsewhere belongs into [`Config::builder`], which takes it literally, not into the text.
    ///
    /// # Errors
    /// [`Errors`], never empty: [`ErrorKind::BadValue`] for an item that has a value it cannot
    /// have, [`ErrorKind::Unclosed`] and [`ErrorKind::Stray`] for a group that does not end or
    /// begin, [`ErrorKind::Limit`] if reading stopped at one of the [limits]; [`ErrorKind`] has the
    /// others.
    ///
    /// ```
    /// use peerbeat::config::{Config, ConfigOptions};
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
    /// let config = Config::parse(text, &ConfigOptions::default())?;
    /// let peer = &config.peers()[0];
    /// assert_eq!(peer.name(), "transformer1");
    /// assert_eq!(peer.addresses()[1].to_string(), "backup:9001");
    /// assert_eq!(peer.heartbeat_time().origin.to_string(), "<text>:8");
    ///
    /// let errors = Config::parse("datasrc-port 70000", &ConfigOptions::default()).unwrap_err();
    /// assert_eq!(
    ///     errors.to_string(),
    ///     "<text>:1: datasrc-port: found \"70000\", allowed: a port from 1 to 65535, 0 or auto",
    /// );
    /// # Ok::<(), peerbeat::config::Errors>(())
    /// ```
    pub fn parse(text: &str, options: &ConfigOptions) -> Result<Config, Errors> {
        let mut reader = Reader::new(options, APP_NAME);
        reader.load_text(TEXT, text);
        Config::resolve(reader, TEXT)
    }

    /// Puts everything in force, once all lines are read.
    fn resolve(reader: Reader<'_>, file: &str) -> Result<Config, Errors> {
        let Reader { variables, mut report, globals, peers, overrides, os_conditions, tls, .. } =
            reader;
        let percents = variables.percents();
        let is_part = !globals.name_an_application();
        let whole = Location::new(file.into(), 0, None);
        let port_at = globals.set_at.get("datasrc-port").cloned();
        let globals = globals.resolve(&percents, &whole, &mut report);
        globals.timing.check_reconnect_times(&Timing::default(), &mut report);
        let mut taken = HashSet::new();
        let mut resolved = Vec::with_capacity(peers.len());
        for peer in peers {
            let peer = peer.resolve(&globals, &percents, &mut taken, &mut report);
            peer.timing.check_reconnect_times(&globals.timing, &mut report);
            resolved.push(peer);
        }
        if !report.has_errors() {
            lint::lint_ports(&globals, port_at.as_ref(), tls.port.as_ref(), &mut report);
        }
        let config = Config {
            application_name: variables.app_name,
            application_root: variables.root,
            globals,
            peers: resolved,
            warnings: Vec::new(),
            lints_at: 0,
            overrides,
            os_conditions,
            tls_items: tls.items,
            is_part,
        };
        config.conclude(report)
    }

    /// Looks at the whole, and ends the report.
    fn conclude(mut self, mut report: Report) -> Result<Config, Errors> {
        self.lints_at = report.warnings().len();
        if !report.has_errors() {
            lint::lint(&self.globals, &self.peers, self.is_part, &mut report);
        }
        self.warnings = report.finish()?;
        Ok(self)
    }

    /// What the application is called (`application-name`, `%a`): [`ConfigOptions::app_name`], else
    /// what the files say, else by default the stem of the file that was loaded.
    pub fn application_name(&self) -> &Setting<String> {
        &self.application_name
    }

    /// The root folder of the application (`application-root`, `%r`), absolute; by default the
    /// current folder.
    pub fn application_root(&self) -> &Setting<String> {
        &self.application_root
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

    /// Where to listen (`datasrc-interface`): hosts, `*` for all interfaces, and Unix sockets as
    /// `unix:/path`, which take no port. Empty: on every interface.
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

    /// How many bytes may wait in all links together (`node-queue-bytes`, default 64 MiB).
    pub fn node_queue_bytes(&self) -> &Setting<usize> {
        &self.globals.node_queue_bytes
    }

    /// The peers, in the order of their `add-peer` groups; at most [`limits::MAX_PEERS`].
    pub fn peers(&self) -> &[PeerConfig] {
        &self.peers
    }

    /// What is worth knowing about these files.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// The items that one file sets although another file had set them before.
    pub fn overrides(&self) -> &[Override] {
        &self.overrides
    }

    /// The `os NAME`s that conditions asked about, in the order they were read.
    pub fn os_conditions(&self) -> &[OsCondition] {
        &self.os_conditions
    }

    /// The items about TLS, which were skipped, in the order they were read; the first 4096.
    pub fn tls_items(&self) -> &[TlsItem] {
        &self.tls_items
    }

    /// Returns true if peers can dial us: there is a `datasrc-port`, or an interface that is a Unix
    /// socket.
    pub fn listens(&self) -> bool {
        self.globals.listens()
    }

    /// Returns true if the files say nothing about who they are: no `application-name`,
    /// `datasrc-name`, `datasrc-local-label`, `datasrc-id`, `datasrc-interface` or `datasrc-port`.
    /// Then it is most likely a part that
    /// another file includes, and warnings that only the whole can answer are left out.
    pub fn is_part(&self) -> bool {
        self.is_part
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

/// What locations call a text that no file holds.
const TEXT: &str = "<text>";
/// What the application of such a text is called.
const APP_NAME: &str = "peerbeat";
