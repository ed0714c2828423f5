//! The module `config` through its public interface: tables of valid and invalid text with complete
//! messages, files in the style of upstream's templates, files that cannot be read, and properties.
//!
//! Nothing here depends on the machine: the host is `myhost`, and files are in memory or beside
//! this one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use peerbeat::config::{
    Config, ConfigOptions, Environment, MemoryFiles, Origin, Os, PeerConfig, Port, Setting,
};
use peerbeat::liveness::Mode;

#[path = "config/bad.rs"]
mod bad;
#[path = "config/builder.rs"]
mod builder;
#[path = "config/estate.rs"]
mod estate;
#[path = "config/files.rs"]
mod files;
#[path = "config/good.rs"]
mod good;
#[path = "config/peers.rs"]
mod peers;
#[path = "config/properties.rs"]
mod properties;
#[path = "config/templates.rs"]
mod templates;
#[path = "config/warnings.rs"]
mod warnings;

/// Options for which every machine gives the same answers. No files.
fn options() -> ConfigOptions {
    let variables = BTreeMap::from([("A".to_owned(), "1".to_owned())]);
    ConfigOptions::default()
        .app_name(Some("app".to_owned()))
        .app_root(Some("/opt/app".to_owned()))
        .environment(
            Environment::default()
                .variables(variables)
                .host_name("myhost".to_owned())
                .home_dir("/home/me".to_owned())
                .os(Os::Linux),
        )
        .files(Arc::new(MemoryFiles::default()))
}

/// [`options`] and files in memory.
fn with_files<const N: usize>(files: [(&str, &str); N]) -> ConfigOptions {
    options().files(Arc::new(MemoryFiles::new(files)))
}

#[track_caller]
fn parse(text: &str) -> Config {
    Config::parse(text, &options()).unwrap_or_else(|errors| panic!("{errors}\nin:\n{text}"))
}

/// The errors of a text, one a line.
#[track_caller]
fn errors(text: &str, options: &ConfigOptions) -> String {
    match Config::parse(text, options) {
        Ok(config) => panic!("taken as good:\n{text}\n{}", summary(&config)),
        Err(errors) => {
            assert_eq!(errors.len(), errors.iter().count());
            errors.to_string()
        }
    }
}

fn warnings(config: &Config) -> String {
    config.warnings().iter().map(|warning| format!("{warning}\n")).collect()
}

/// What a configuration says beyond the defaults, a line for the globals and one a peer.
fn summary(config: &Config) -> String {
    let mut words = vec![config.name().to_owned()];
    let mut say = |word: Option<String>| words.extend(word);
    say(Some(format!("label {}", config.label())).filter(|_| !config.label().is_empty()));
    say((config.id() != 0).then(|| format!("id {}", config.id())));
    say((!config.interfaces().is_empty()).then(|| format!("on {}", config.interfaces().join(","))));
    say(config.port().map(|port| match port {
        Port::Fixed(port) => format!("port {port}"),
        Port::Auto => "port auto".to_owned(),
    }));
    say(config.reject_new_peers().then(|| "reject".to_owned()));
    say((!config.tcp_nodelay()).then(|| "nagle".to_owned()));
    say((config.accept_wait() != secs(10.0)).then(|| format!("wait {:?}", config.accept_wait())));
    say(set("heartbeat", config.heartbeat_time()));
    say(set("slack", config.slack()));
    say(set("mode", config.mode()));
    say(set("floor", config.heartbeat_time_min()));
    let peers = config.peers().iter().map(|peer| format!("\n{}", summary_of_peer(config, peer)));
    words.join(" ") + &peers.collect::<String>()
}

fn summary_of_peer(config: &Config, peer: &PeerConfig) -> String {
    let mut words = vec![peer.name().to_owned()];
    let mut say = |word: Option<String>| words.extend(word);
    let addresses: Vec<String> = peer.addresses().iter().map(ToString::to_string).collect();
    say((!addresses.is_empty()).then(|| format!("at {}", addresses.join(","))));
    let other_name = peer.remote_name().filter(|name| *name != peer.name());
    say(other_name.map(|name| format!("name {name}")));
    say(peer.remote_label().map(|label| format!("label {label}")));
    say(peer.label().map(|label| format!("old-label {label}")));
    say(peer.remote_id().map(|id| format!("id {id}")));
    say((peer.local_name() != config.name()).then(|| format!("as {}", peer.local_name())));
    let label = format!("as-label {}", peer.local_label());
    say((peer.local_label() != config.label()).then_some(label));
    say((peer.local_id() != config.id()).then(|| format!("as-id {}", peer.local_id())));
    say(set("heartbeat", peer.heartbeat_time()));
    say(set("slack", peer.slack()));
    say(set("mode", peer.mode()));
    say(set("floor", peer.heartbeat_time_min()));
    let connect = peer.connect_timeout();
    say((connect != secs(10.0)).then(|| format!("connect {connect:?}")));
    let queue = peer.send_queue_bytes();
    say((queue != 8_388_608).then(|| format!("queue {queue}")));
    let dial = (peer.reconnect_time_min(), peer.reconnect_time_max());
    say((dial != (secs(0.5), secs(30.0))).then(|| format!("dial {:?}..{:?}", dial.0, dial.1)));
    words.join(" ")
}

fn set<T: Shown>(name: &str, setting: &Setting<T>) -> Option<String> {
    match &setting.origin {
        Origin::Default => None,
        Origin::Given => Some(format!("{name} {} given", setting.value.shown())),
        Origin::At(at) => Some(format!("{name} {}@{}", setting.value.shown(), at.line)),
    }
}

trait Shown {
    fn shown(&self) -> String;
}

impl Shown for Duration {
    fn shown(&self) -> String {
        format!("{self:?}")
    }
}

impl Shown for Option<Duration> {
    fn shown(&self) -> String {
        self.map_or("none".to_owned(), |time| time.shown())
    }
}

impl Shown for Mode {
    fn shown(&self) -> String {
        format!("{self:?}")
    }
}

fn secs(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}
