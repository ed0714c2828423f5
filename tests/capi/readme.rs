//! README's program in C, built with the command shown there and run against a node.

use std::fs;
use std::path::Path;
use std::time::Duration;

use peerbeat::config::{Config, ConfigOptions};
use peerbeat::node::{Node, NodeEvent, Peer};

use super::tools::{ROOT, archive, cc, must, run, scratch};

/// The fenced block of a kind that begins with these words.
fn block<'a>(readme: &'a str, kind: &str, begins: &str) -> &'a str {
    let start = format!("\n```{kind}\n{begins}");
    let at = readme.find(&start).unwrap_or_else(|| panic!("README has no {start:?}"));
    readme[at + kind.len() + 5..].split("\n```").next().unwrap_or_default()
}

/// A node that answers the first message of a feed with eight bytes, and then stops.
fn hub() -> Node {
    // On every address, as README's hub is: the feed dials localhost, whichever that is.
    let text = "datasrc-name hub\ndatasrc-port auto\n\
                add-peer\nremote-name feed\nend-peer";
    let answer = |peer: &Peer, payload: &[u8]| {
        assert_eq!(payload, b"hello");
        peer.send(b"8 bytes.").unwrap();
        peer.node().shutdown();
    };
    let config = Config::parse(text, &ConfigOptions::default()).unwrap();
    Node::start(config, (answer, |_: Option<&Peer>, _: &NodeEvent| {})).unwrap()
}

#[test]
fn the_feed_in_c_is_made_by_its_line_and_reports_what_it_got_and_the_end() {
    let Some(cc) = cc() else { return };
    let readme = fs::read_to_string(Path::new(ROOT).join("README.md")).unwrap();
    let hub = hub();
    let port = hub.local_addrs()[0].port().to_string();
    let source = block(&readme, "c", "#include \"peerbeat.h\"");
    assert_eq!(source.matches("25000").count(), 1, "{source}");
    fs::write(scratch("feed.c"), source.replace("25000", &port)).unwrap();
    let [cargo, gcc] = block(&readme, "sh", "cargo rustc").lines().collect::<Vec<_>>()[..] else {
        panic!("two lines make it")
    };
    // The archive is made by the same words, but with the profile of tests.
    assert_eq!(cargo, "cargo rustc --release --lib --features capi --crate-type staticlib");
    let words = gcc.strip_prefix("gcc ").unwrap().split(' ');
    let mut command = cc.command();
    command.args(["-Wall", "-Wextra", "-Werror"]).current_dir(ROOT);
    for word in words {
        match word {
            "feed" | "feed.c" => command.arg(scratch(word)),
            "target/release/libpeerbeat.a" => command.arg(archive()),
            word => command.arg(word),
        };
    }
    must(&mut command);
    let printed = run(&scratch("feed"), &[], Duration::from_secs(60));
    let lines: Vec<&str> = printed.lines().collect();
    assert_eq!((lines.len(), lines[0]), (2, "8 bytes"), "{printed}");
    assert!(lines[1].contains("closed"), "{printed}");
}
