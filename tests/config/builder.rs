//! Configurations made in code: the same values, warnings and errors as from a file.

use std::fmt::Write as _;
use std::mem::discriminant;

use peerbeat::config::{ConfigBuilder, ErrorKind, Errors, PeerBuilder, WarningKind, limits};
use proptest::prelude::*;
use proptest::test_runner::Config as Runs;

use super::*;

/// A text as a file writes it: in quotes, or in a variable if quotes cannot hold it.
#[derive(Default)]
struct File {
    text: String,
    options: ConfigOptions,
}

impl File {
    fn line(&mut self, item: &str, value: &str) {
        let percents = value.replace('%', "%%");
        if value.contains(['$', '\n', '\r']) {
            let name = format!("V{}", self.options.defines.len());
            let _ = writeln!(self.text, "{item} \"${{{name}}}\"");
            self.options.defines.push((name, percents));
        } else {
            let quoted = percents.replace('\\', "\\\\").replace('"', "\\\"");
            let _ = writeln!(self.text, "{item} \"{quoted}\"");
        }
    }

    fn plain(&mut self, item: &str, value: impl ToString) {
        let _ = writeln!(self.text, "{item} {}", value.to_string());
    }

    fn parse(&self) -> Result<Config, Errors> {
        Config::parse(&self.text, &self.options)
    }
}

/// A setter that globals and peers have.
#[derive(Clone, Debug)]
enum Common {
    HeartbeatTime(Option<Duration>),
    Slack(Duration),
    Mode(Mode),
    Floor(Duration),
    Queue(usize),
    ReconnectMin(Duration),
    ReconnectMax(Duration),
}

#[derive(Clone, Debug)]
enum Global {
    Common(Common),
    Application(String),
    Name(String),
    Label(String),
    Id(u32),
    Interface(String),
    Port(Port),
    Rejects(bool),
    Nodelay(bool),
    AcceptWait(Duration),
    NodeQueue(usize),
}

#[derive(Clone, Debug)]
enum Single {
    Common(Common),
    RemoteName(String),
    RemoteLabel(String),
    Label(String),
    RemoteId(u32),
    LocalName(String),
    LocalLabel(String),
    LocalId(u32),
    Addr(String, u16),
    Unix(String),
    ConnectTimeout(Duration),
}

fn seconds(time: Duration) -> String {
    let exact = format!("{}.{:09}", time.as_secs(), time.subsec_nanos());
    exact.trim_end_matches('0').trim_end_matches('.').to_owned()
}

macro_rules! set_common {
    ($builder:expr, $file:expr, $common:expr, $prefix:expr) => {{
        let (builder, file) = ($builder, $file);
        let named = |item: &str| format!("{}{item}", $prefix);
        match $common.clone() {
            Common::HeartbeatTime(time) => {
                file.plain(&named("heartbeat-time"), time.map_or("0".to_owned(), seconds));
                builder.heartbeat_time(time)
            }
            Common::Slack(slack) => {
                file.plain(&named("heartbeat-slack-time"), seconds(slack));
                builder.slack(slack)
            }
            Common::Mode(mode) => {
                file.plain("heartbeat-mode", if mode == Mode::Idle { "idle" } else { "always" });
                builder.mode(mode)
            }
            Common::Floor(time) => {
                file.plain("heartbeat-time-min", seconds(time));
                builder.heartbeat_time_min(time)
            }
            Common::Queue(bytes) => {
                file.plain("send-queue-bytes", bytes);
                builder.send_queue_bytes(bytes)
            }
            Common::ReconnectMin(time) => {
                file.plain("reconnect-time-min", seconds(time));
                builder.reconnect_time_min(time)
            }
            Common::ReconnectMax(time) => {
                file.plain("reconnect-time-max", seconds(time));
                builder.reconnect_time_max(time)
            }
        }
    }};
}

fn set_global(builder: ConfigBuilder, file: &mut File, global: &Global) -> ConfigBuilder {
    match global {
        Global::Common(common) => set_common!(builder, file, common, "datasrc-"),
        Global::Application(name) => {
            file.line("application-name", name);
            builder.application_name(name)
        }
        Global::Name(name) => {
            file.line("datasrc-name", name);
            builder.name(name)
        }
        Global::Label(label) => {
            file.line("datasrc-local-label", label);
            builder.label(label)
        }
        Global::Id(id) => {
            file.plain("datasrc-id", id);
            builder.id(*id)
        }
        Global::Interface(host) => {
            // A percent in an IPv6 address begins its scope.
            match host.contains(':') {
                true => file.plain("datasrc-interface", format!("\"{host}\"")),
                false => file.line("datasrc-interface", host),
            }
            builder.interface(host)
        }
        Global::Port(port) => {
            match port {
                Port::Auto => file.plain("datasrc-port", "auto"),
                Port::Fixed(port) => file.plain("datasrc-port", port),
            }
            builder.port(*port)
        }
        Global::Rejects(is) => {
            file.plain("datasrc-reject-new-peers", is);
            builder.reject_new_peers(*is)
        }
        Global::Nodelay(is) => {
            file.plain("datasrc-tcp-nodelay-off", !is);
            builder.tcp_nodelay(*is)
        }
        Global::AcceptWait(time) => {
            file.plain("peer-accept-wait-time", seconds(*time));
            builder.accept_wait(*time)
        }
        Global::NodeQueue(bytes) => {
            file.plain("node-queue-bytes", bytes);
            builder.node_queue_bytes(*bytes)
        }
    }
}

fn set_single(builder: PeerBuilder, file: &mut File, single: &Single) -> PeerBuilder {
    let mut text = |item: &str, value: &String| file.line(item, value);
    match single {
        Single::Common(common) => set_common!(builder, file, common, ""),
        Single::RemoteName(name) => {
            text("remote-name", name);
            builder.remote_name(name)
        }
        Single::RemoteLabel(label) => {
            text("remote-label", label);
            builder.remote_label(label)
        }
        Single::Label(label) => {
            text("label", label);
            builder.label(label)
        }
        Single::RemoteId(id) => {
            file.plain("remote-id", id);
            builder.remote_id(*id)
        }
        Single::LocalName(name) => {
            text("local-name", name);
            builder.local_name(name)
        }
        Single::LocalLabel(label) => {
            text("local-label", label);
            builder.local_label(label)
        }
        Single::LocalId(id) => {
            file.plain("local-id", id);
            builder.local_id(*id)
        }
        Single::Addr(host, port) => {
            match host.contains(':') {
                true => file.plain("addr", format!("\"{host}\"")),
                false => file.line("addr", host),
            }
            file.plain("port", port);
            builder.addr(host, *port)
        }
        Single::Unix(path) => {
            file.line("addr", &format!("unix:{path}"));
            builder.unix(path)
        }
        Single::ConnectTimeout(time) => {
            file.plain("connect-timeout", seconds(*time));
            builder.connect_timeout(*time)
        }
    }
}

/// All values, without where they come from.
fn values(config: &Config) -> String {
    let mut all = format!(
        "{:?}",
        (
            (config.application_name().value.clone(), config.name(), config.label(), config.id()),
            (config.interfaces(), config.port(), config.reject_new_peers(), config.tcp_nodelay()),
            (config.accept_wait(), config.node_queue_bytes().value, config.is_part()),
            (config.heartbeat_time().value, config.slack().value, config.mode().value),
            config.heartbeat_time_min().value,
        )
    );
    for peer in config.peers() {
        let one = (
            (peer.name(), peer.remote_name(), peer.remote_label(), peer.label(), peer.remote_id()),
            (peer.local_name(), peer.local_label(), peer.local_id(), peer.addresses()),
            (peer.heartbeat_time().value, peer.slack().value, peer.mode().value),
            (peer.heartbeat_time_min().value, peer.connect_timeout(), peer.send_queue_bytes()),
            (peer.reconnect_time_min(), peer.reconnect_time_max()),
        );
        let _ = write!(all, "\n{one:?}");
    }
    all
}

/// The kinds of the warnings, but for an item that is written twice: a setter replaces.
fn warned(warnings: &[peerbeat::config::Warning]) -> Vec<String> {
    let kinds = warnings.iter().map(peerbeat::config::Warning::kind);
    let kinds = kinds.filter(|kind| !matches!(kind, WarningKind::Doubled { .. }));
    let mut kinds: Vec<_> = kinds.map(|kind| format!("{:?}", discriminant(kind))).collect();
    kinds.sort();
    kinds
}

/// What came of it: values and warnings, or errors. No error of a value names a place.
fn outcome(config: Result<Config, Errors>) -> String {
    match config {
        Ok(config) => format!("{}\n{:?}", values(&config), warned(config.warnings())),
        Err(errors) => errors.iter().map(|error| format!("{}\n", error.kind())).collect(),
    }
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => "[a-z]{1,8}",
        1 => Just("%h${ENV:HOME}%a%%\"\\\" # x".to_owned()),
        1 => "\\PC{0,12}",
        1 => "[a-z%$\\{\\}\"\\\\#\u{a0} \t\r\n]{0,6}",
        1 => Just("x".repeat(256)),
    ]
}

fn host() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-z]{1,8}",
        1 => prop::sample::select(vec!["fe80::1%eth0", "10.1", "a%hb", "*", "[::1]", "a b", ""])
            .prop_map(str::to_owned),
    ]
}

fn time() -> impl Strategy<Value = Duration> {
    prop_oneof![
        8 => (10u64..200_000).prop_map(Duration::from_millis),
        1 => (0..100_000_000_000_000u64).prop_map(Duration::from_nanos),
        1 => prop::sample::select(vec![Duration::ZERO, Duration::MAX]),
    ]
}

fn common() -> impl Strategy<Value = Common> {
    prop_oneof![
        prop::option::of(time()).prop_map(Common::HeartbeatTime),
        time().prop_map(Common::Slack),
        prop::sample::select(vec![Mode::Idle, Mode::Always]).prop_map(Common::Mode),
        time().prop_map(Common::Floor),
        (0usize..1 << 21).prop_map(Common::Queue),
        time().prop_map(Common::ReconnectMin),
        time().prop_map(Common::ReconnectMax),
    ]
}

fn global() -> impl Strategy<Value = Global> {
    prop_oneof![
        common().prop_map(Global::Common),
        text().prop_map(Global::Application),
        text().prop_map(Global::Name),
        text().prop_map(Global::Label),
        any::<u32>().prop_map(Global::Id),
        host().prop_map(Global::Interface),
        prop_oneof![Just(Port::Auto), any::<u16>().prop_map(Port::Fixed)].prop_map(Global::Port),
        any::<bool>().prop_map(Global::Rejects),
        any::<bool>().prop_map(Global::Nodelay),
        time().prop_map(Global::AcceptWait),
        (0usize..1 << 22).prop_map(Global::NodeQueue),
    ]
}

fn single() -> impl Strategy<Value = Single> {
    let path = prop_oneof!["/[a-z%]{0,9}", "[a-z%/]{0,9}", Just("%r/x".to_owned())];
    prop_oneof![
        2 => common().prop_map(Single::Common),
        2 => text().prop_map(Single::RemoteName),
        1 => text().prop_map(Single::RemoteLabel),
        1 => text().prop_map(Single::Label),
        1 => (0u32..3).prop_map(Single::RemoteId),
        1 => text().prop_map(Single::LocalName),
        1 => text().prop_map(Single::LocalLabel),
        1 => any::<u32>().prop_map(Single::LocalId),
        1 => (host(), any::<u16>()).prop_map(|(host, port)| Single::Addr(host, port)),
        1 => path.prop_map(Single::Unix),
        1 => time().prop_map(Single::ConnectTimeout),
    ]
}

/// Each setter at most once, but for those that add: a file's last line holds, its place is that of
/// the first, and the order of errors would differ.
fn once<T: std::fmt::Debug>(calls: Vec<T>) -> Vec<T> {
    let mut seen = Vec::new();
    let mut is_new = |call: &T| {
        let shown = format!("{call:?}");
        let name = shown.trim_start_matches("Common(");
        let name = name.split_once('(').map_or(name, |(name, _)| name).to_owned();
        let is_list = ["Addr", "Unix", "Interface"].contains(&name.as_str());
        let is_known = seen.contains(&name);
        seen.push(name);
        is_list || !is_known
    };
    calls.into_iter().filter(|call| is_new(call)).collect()
}

proptest! {
    #![proptest_config(Runs {
        failure_persistence: None,
        ..Runs::with_cases(if cfg!(miri) { 4 } else { 512 })
    })]

    #[test]
    fn what_is_built_is_what_the_quoted_file_gives(
        globals in prop::collection::vec(global(), 0..6).prop_map(once),
        peers in prop::collection::vec(prop::collection::vec(single(), 0..6).prop_map(once), 0..4),
    ) {
        let (mut builder, mut file) = (Config::builder(), File::default());
        for global in &globals {
            builder = set_global(builder, &mut file, global);
        }
        let mut without_last = builder.clone();
        let mut last = None;
        for calls in &peers {
            file.text += "add-peer\n";
            let mut peer = PeerBuilder::default();
            for single in calls {
                peer = set_single(peer, &mut file, single);
            }
            file.text += "end-peer\n";
            if let Some(before) = last.replace(peer.clone()) {
                without_last = without_last.peer(before);
            }
            builder = builder.peer(peer);
        }
        let expected = outcome(file.parse());
        prop_assert_eq!(outcome(builder.build()), &*expected, "{}", file.text);

        // The last peer may as well come later, and go again.
        if let (Some(last), Ok(config)) = (last, without_last.build()) {
            let grown = config.with_peer(last);
            if let Ok(grown) = &grown {
                let name = grown.peers()[config.peers().len()].name();
                let again = grown.without_peer(name);
                let again = again.map(|again| (values(&again), warned(again.warnings())));
                // What reading it warned of is kept; what was said of the whole is said again.
                let (values_again, warned_again) = again.expect("it is there");
                prop_assert_eq!(values_again, values(&config));
                for kind in warned(config.warnings()) {
                    prop_assert!(warned_again.contains(&kind), "{}", file.text);
                }
            }
            prop_assert_eq!(outcome(grown), &*expected, "{}", file.text);
        }
    }
}

#[test]
fn names_are_taken_literally() {
    let name = "%h ${ENV:A} \"x\" # \\";
    let config = Config::builder().name(name).peer(PeerBuilder::new(name)).build().unwrap();
    assert_eq!((config.name(), config.peers()[0].name()), (name, name));
}

#[test]
fn a_line_end_in_a_name_brings_no_item_in() {
    let peer = PeerBuilder::new("a\nport 9").local_name("b\r\nend-peer");
    let errors = Config::builder().name("x\ndatasrc-port 9").peer(peer).build().unwrap_err();
    assert_eq!(
        errors.to_string(),
        "<builder>: datasrc-name: found \"x\\ndatasrc-port 9\", allowed: one value of 1 to 255 \
         bytes without control characters\n\
         <builder> peer \"a\\nport 9\": remote-name: found \"a\\nport 9\", allowed: one value of 0 \
         to 255 bytes without control characters\n\
         <builder> peer \"a\\nport 9\": local-name: found \"b\\r\\nend-peer\", allowed: one value \
         of 1 to 255 bytes without control characters"
    );
}

#[test]
fn a_unix_socket_is_none_by_the_name_of_a_host() {
    let peer = PeerBuilder::new("x").addr("unix:/tmp/x", 1).addr("b", 2).unix("/tmp/%r");
    let error = Config::builder().peer(peer).build().unwrap_err();
    assert_eq!(
        error.to_string(),
        "<builder> peer \"x\": addr: found \"unix:/tmp/x\", allowed: host names or addresses, \
         without port"
    );
    let peer = PeerBuilder::new("x").unix("/tmp/%r").addr("b%a", 2);
    let config = Config::builder().peer(peer).build().unwrap();
    let addresses: Vec<_> = config.peers()[0].addresses().iter().map(ToString::to_string).collect();
    assert_eq!(addresses, ["unix:/tmp/%r", "b%a:2"]);
}

#[test]
fn a_setter_replaces_and_the_last_holds() {
    let peer =
        PeerBuilder::new("a").heartbeat_time(secs(1.0)).remote_name("b").heartbeat_time(None);
    let config = Config::builder().id(1).id(2).port(Port::Auto).peer(peer).build().unwrap();
    assert_eq!((config.id(), config.peers()[0].name()), (2, "b"));
    assert_eq!(config.peers()[0].heartbeat_time().value, None);
    assert_eq!(config.peers()[0].heartbeat_time().origin.to_string(), "<builder> peer \"b\"");
    assert_eq!(warnings(&config), "");
}

#[test]
fn peers_come_and_go_and_the_others_keep_their_names() {
    let config = parse(
        "datasrc-port 1\ndatasrc-heartbeat-time 3\nadd-peer\nremote-name a\nend-peer\n\
         add-peer\nremote-name a\nremote-label b\nend-peer",
    );
    let names = |config: &Config| {
        config.peers().iter().map(|peer| peer.name().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(&config), ["a", "b"]);
    let more = config.with_peer(PeerBuilder::new("a").addr("h", 2)).unwrap();
    assert_eq!(names(&more), ["a", "b", "a#2"]);
    assert_eq!(more.peers()[2].heartbeat_time().value, Some(secs(3.0)));
    let fewer = more.without_peer("a").unwrap();
    assert_eq!(names(&fewer), ["b", "a#2"]);
    assert_eq!(names(&fewer.with_peer(PeerBuilder::new("a")).unwrap()), ["b", "a#2", "a"]);
    assert!(fewer.without_peer("a").is_none());
    assert_eq!(names(&config), ["a", "b"]);
}

#[test]
fn a_warning_about_the_whole_goes_with_its_cause() {
    let config = Config::builder().name("x").build().unwrap();
    let waits = config.with_peer(PeerBuilder::new("y").remote_label("")).unwrap();
    let said = warnings(&waits);
    assert!(said.contains("remote-label") && said.contains("datasrc-port"), "{said}");
    let said = warnings(&waits.without_peer("y").unwrap());
    assert!(said.contains("remote-label") && !said.contains("datasrc-port"), "{said}");
}

#[test]
fn one_peer_too_many_is_the_error_of_a_file() {
    let peers = (0..limits::MAX_PEERS).map(|n| PeerBuilder::new(&format!("p{n}")));
    let builder = peers.fold(Config::builder(), ConfigBuilder::peer);
    let full = builder.clone().build().unwrap();
    for errors in [
        full.with_peer(PeerBuilder::new("more")).unwrap_err(),
        builder.peer(PeerBuilder::new("more")).peer(PeerBuilder::new("most")).build().unwrap_err(),
    ] {
        let kinds: Vec<_> = errors.iter().map(|error| error.kind().clone()).collect();
        assert_eq!(kinds, [ErrorKind::TooManyPeers { max: limits::MAX_PEERS }]);
    }
}
