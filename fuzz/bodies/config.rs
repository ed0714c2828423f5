//! Any text is a valid configuration or a list of errors that can be shown, and reading it twice
//! gives the same result.
//!
//! The input is text, cut at NUL bytes: the first part is the main file, the others are [`FILES`]
//! for includes, then `/f7` and so on. Nothing is read from the machine. A text that is included
//! whole, or read from a file, has the same meaning as by itself.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use peerbeat::config::{Address, Config, ConfigOptions, Environment, MemoryFiles, Os, limits};

/// Runs one input; what breaks a promise panics.
pub(crate) fn run(data: &[u8]) {
    let mut parts = data.split(|byte| *byte == 0);
    let main = String::from_utf8_lossy(parts.next().unwrap_or_default()).into_owned();
    let name = |index: usize| match FILES.get(index) {
        Some(name) => (*name).to_owned(),
        None => format!("/f{}", index + 1),
    };
    let files = parts.enumerate().map(|(index, part)| (name(index), part.to_vec()));
    let files = files.chain([(WHOLE.to_owned(), main.clone().into_bytes())]);
    let options = ConfigOptions::default()
        .app_name(Some("app".to_owned()))
        .app_root(Some("/root".to_owned()))
        .defines(vec![("GIVEN".to_owned(), "given".to_owned())])
        .environment(
            Environment::default()
                .variables(Some(BTreeMap::from([("A".to_owned(), "/f1".to_owned())])))
                .host_name(Some("myhost".to_owned()))
                .home_dir(Some("/home".to_owned()))
                .working_dir(None)
                .os(Some(Os::Linux)),
        )
        .files(Arc::new(MemoryFiles::new(files)));
    let first = said(&main, &options);
    assert_eq!(first, said(&main, &options), "another answer the second time");
    check_whole(&main, &options);
}

/// What a text means does not hang on how it is reached.
fn check_whole(main: &str, options: &ConfigOptions) {
    let Ok(config) = Config::parse(main, options) else { return };
    let values = values(&config);
    let loaded = Config::load(WHOLE, options).map(|config| self::values(&config));
    let included = Config::parse(&format!("include-file {WHOLE}"), options);
    let included = included.map(|config| self::values(&config));
    for again in [loaded, included] {
        match again {
            Ok(again) => assert_eq!(values, again, "other values by another way"),
            // One more include is one more towards the limits, and may close a circle.
            Err(errors) => {
                let text = errors.to_string();
                let is_excused =
                    text.contains("allowed: at most") || text.contains("being read already");
                assert!(is_excused, "{text}");
            }
        }
    }
}

/// All values of a configuration, without their locations.
fn values(config: &Config) -> String {
    let mut text = format!(
        "{} {} {} {:?} {:?} {:?}\n",
        config.name(),
        config.label(),
        config.id(),
        config.interfaces(),
        config.heartbeat_time().value,
        config.slack().value,
    );
    for peer in config.peers() {
        text += &format!(
            "{} {:?} {} {} {:?} {:?} {:?} {:?} {:?}\n",
            peer.name(),
            peer.remote_name(),
            peer.local_name(),
            peer.local_label(),
            peer.heartbeat_time().value,
            peer.slack().value,
            peer.heartbeat_time_min().value,
            (peer.reconnect_time_min(), peer.reconnect_time_max()),
            peer.addresses(),
        );
    }
    text
}

/// Checks the result of reading the text, and returns it as one string.
fn said(text: &str, options: &ConfigOptions) -> String {
    match Config::parse(text, options) {
        Ok(config) => {
            check(&config);
            let warnings = config.warnings().iter().map(ToString::to_string);
            check_shown(warnings.clone());
            format!("{config:?}") + &warnings.collect::<String>()
        }
        Err(errors) => {
            // The last one may say how many are not shown.
            assert!((1..=limits::MAX_REPORTED + 1).contains(&errors.iter().count()));
            check_shown(errors.iter().map(ToString::to_string));
            errors.to_string()
        }
    }
}

/// What is shown to a person is one line, and never another's terminal codes.
fn check_shown(lines: impl Iterator<Item = String>) {
    for line in lines {
        assert!(!line.is_empty() && !line.contains(char::is_control), "{line:?}");
    }
}

/// After a `Config` exists its values cannot be wrong.
fn check(config: &Config) {
    let is_time =
        |time: Duration| Duration::from_millis(10) <= time && time <= Duration::from_secs(86_400);
    let is_name = |name: &str| {
        (1..=limits::MAX_NAME_BYTES).contains(&name.len()) && !name.contains(char::is_control)
    };
    assert!(is_name(config.name()) && config.label().len() <= limits::MAX_NAME_BYTES);
    assert!(config.peers().len() <= limits::MAX_PEERS);
    assert!(config.interfaces().len() <= limits::MAX_ADDRESSES);
    assert!(config.heartbeat_time().value.is_none_or(is_time) && is_time(config.slack().value));
    let mut names = HashSet::new();
    for peer in config.peers() {
        assert!(names.insert(peer.name()), "two peers are called {:?}", peer.name());
        assert!(is_name(peer.local_name()) && peer.local_label().len() <= limits::MAX_NAME_BYTES);
        assert!(peer.remote_name().is_none_or(is_name));
        assert!(peer.heartbeat_time().value.is_none_or(is_time), "{:?}", peer.heartbeat_time());
        assert!(is_time(peer.slack().value), "{:?}", peer.slack());
        assert!(peer.heartbeat_time_min().value > Duration::ZERO);
        assert!(peer.reconnect_time_min() <= peer.reconnect_time_max());
        assert!(peer.addresses().len() <= limits::MAX_ADDRESSES);
        let is_whole = |at: &Address| at.port() != Some(0) && !at.to_string().starts_with(':');
        assert!(peer.addresses().iter().all(is_whole));
    }
}

/// The paths of the parts of the input: beside each other, in folders, and hidden.
const FILES: [&str; 6] = ["/f1", "/f2", "/d/f3", "/d/f4", "/d/e/f5", "/d/.f6"];
/// The path of the main text as a file.
const WHOLE: &str = "/whole";
