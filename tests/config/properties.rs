//! Properties: no text causes a panic or a hang, and what is written reads back the same.

use std::fmt::Write as _;

use peerbeat::config::Address;
use proptest::prelude::*;
use proptest::test_runner::Config as Runs;

use super::*;

const NAMES: &[&str] = &[
    "if",
    "else",
    "elseif",
    "elif",
    "endif",
    "define",
    "undefine",
    "defmacro",
    "endmacro",
    "include-file",
    "include-dir",
    "add-peer",
    "end-peer",
    "add-x",
    "start-x",
    "end-x",
    "ADD-PEER",
    "label",
    "application-name",
    "port",
    "addr",
    "ssl",
    "heartbeat-time",
    "datasrc-heartbeat-time",
    "datasrc-port",
    "datasrc-interface",
    "datasrc-name",
    "remote-name",
    "remote-label",
    "reconnect-time-max",
    "add-",
    "end-",
];

const VALUES: &[&str] = &[
    "x",
    "==",
    "!=",
    "and",
    "os",
    "linux",
    "unix:/x",
    "010.1",
    "\u{a0}",
    "\"x\"",
    "\"",
    "\\",
    "${A}",
    "${ENV:A}",
    "${",
    "}",
    "%h",
    "%",
    "5",
    "0",
    "-1",
    "1e99",
    "::1",
    "/",
    ".",
    "main.conf",
    "#",
    "",
];

/// Lines that are nearly right, so that the depths of the grammar are reached.
fn line() -> impl Strategy<Value = String> {
    let name = prop_oneof![
        prop::sample::select(NAMES.to_vec()).prop_map(str::to_owned),
        "[a-z$\\{\\}\"#-]{0,8}",
    ];
    let value =
        prop_oneof![prop::sample::select(VALUES.to_vec()).prop_map(str::to_owned), "\\PC{0,6}",];
    (name, prop::collection::vec(value, 0..4))
        .prop_map(|(name, values)| format!("{name} {}", values.join(" ")))
}

/// Values a file can hold, rendered and read again.
#[derive(Clone, Debug)]
struct Peer {
    name: String,
    label: String,
    id: u32,
    addresses: Vec<(String, u16)>,
    heartbeat_ms: u64,
    slack_ms: u64,
}

fn peer() -> impl Strategy<Value = Peer> {
    // Without what looks like a blank and is none: it is an error.
    let name = "[^\\p{C}\u{a0}\u{2007}\u{202f}]{1,60}";
    let label = "[^\\p{C}\u{a0}\u{2007}\u{202f}]{0,60}";
    let host = prop_oneof!["[a-z][a-z0-9.-]{0,19}", Just("fe80::1".to_owned())];
    let addresses = prop::collection::vec((host, 1..=u16::MAX), 0..4);
    let heartbeat = prop_oneof![Just(0u64), 10u64..=86_400_000];
    (name, label, any::<u32>(), addresses, heartbeat, 10u64..=86_400_000).prop_map(
        |(name, label, id, addresses, heartbeat_ms, slack_ms)| Peer {
            name,
            label,
            id,
            addresses,
            heartbeat_ms,
            slack_ms,
        },
    )
}

fn render(peers: &[Peer]) -> String {
    let quoted = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
    let mut text = String::new();
    let seconds = |ms: u64| format!("{}.{:03}", ms / 1000, ms % 1000);
    for peer in peers {
        let _ = writeln!(text, "add-peer\n\tremote-name \"{}\"", quoted(&peer.name));
        let _ =
            writeln!(text, "\tremote-label \"{}\"\n\tremote-id {}", quoted(&peer.label), peer.id);
        for (host, port) in &peer.addresses {
            let _ = writeln!(text, "\taddr {host}\n\tport {port}");
        }
        let _ = writeln!(text, "\theartbeat-time {}", seconds(peer.heartbeat_ms));
        let _ = writeln!(text, "\theartbeat-slack-time {}\nend-peer", seconds(peer.slack_ms));
    }
    text
}

proptest! {
    #![proptest_config(Runs {
        failure_persistence: None,
        ..Runs::with_cases(if cfg!(miri) { 4 } else { 256 })
    })]

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let options = options().files(Arc::new(MemoryFiles::new([("/main.conf", bytes.clone())])));
        let _ = Config::load("main.conf", &options);
        let _ = Config::parse(&String::from_utf8_lossy(&bytes), &options);
    }

    #[test]
    fn errors_and_warnings_are_on_lines_that_exist(
        lines in prop::collection::vec(line(), 0..30),
    ) {
        let text = lines.join("\n");
        let options = with_files([("/main.conf", &text)]);
        match Config::load("main.conf", &options) {
            Ok(config) => for warning in config.warnings() {
                prop_assert!((1..=lines.len() as u32).contains(&warning.location().line), "{warning}");
            },
            Err(errors) => for error in &errors {
                prop_assert!((1..=lines.len() as u32).contains(&error.location().line), "{error}");
                let said = error.to_string();
                prop_assert!(said.contains(": found ") && said.contains("allowed: "), "{said}");
                prop_assert!(!said.contains(char::is_control), "{said:?}");
            },
        }
    }

    #[test]
    fn blanks_and_line_ends_mean_nothing(lines in prop::collection::vec(line(), 0..20)) {
        let said = |text: String| match Config::parse(&text, &options()) {
            Ok(config) => summary(&config) + &warnings(&config),
            Err(errors) => errors.to_string(),
        };
        let other = lines.iter().map(|line| format!("\t {line} \t\r\n")).collect::<String>();
        prop_assert_eq!(said(lines.join("\n")), said(other));
    }

    #[test]
    fn what_does_not_count_says_nothing(lines in prop::collection::vec(line(), 0..20)) {
        let is_structure = |line: &&String| {
            let first = line.split_whitespace().next().unwrap_or_default();
            ["if", "else", "endif", "elif", "elseif", "elsif", "end-if", "fi"].contains(&first)
        };
        let lines: Vec<&str> =
            lines.iter().filter(|line| !is_structure(line)).map(String::as_str).collect();
        let text = format!("if x == y\n{}\nendif", lines.join("\n"));
        let config = parse(&text);
        prop_assert_eq!(summary(&config) + &warnings(&config), "app-myhost");
    }

    #[test]
    fn what_is_written_is_what_is_read(peers in prop::collection::vec(peer(), 0..5)) {
        // Percents and variables would be replaced.
        let text = render(&peers).replace(['%', '$'], "_");
        let config = parse(&text);
        prop_assert_eq!(config.peers().len(), peers.len());
        for (read, written) in config.peers().iter().zip(&peers) {
            let clean = |text: &str| text.replace(['%', '$'], "_");
            let name = clean(&written.name);
            prop_assert_eq!(read.remote_name(), Some(&*name));
            prop_assert_eq!(read.remote_label().unwrap_or_default(), clean(&written.label));
            prop_assert_eq!(read.remote_id().unwrap_or_default(), written.id);
            let addresses: Vec<Address> = written.addresses.iter().cloned()
                .map(|(host, port)| Address::Tcp { host, port }).collect();
            prop_assert_eq!(read.addresses(), addresses);
            let time = read.heartbeat_time().value.unwrap_or_default();
            prop_assert_eq!(time, Duration::from_millis(written.heartbeat_ms));
            prop_assert_eq!(read.slack().value, Duration::from_millis(written.slack_ms));
        }
    }
}
