//! The header: strict compilers accept it, and it declares exactly the names in the archive.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::tools::{HEADERS, ROOT, archive, cc, header, must, tool};

/// The functions that a header declares.
pub(super) fn functions(header: &str) -> BTreeSet<String> {
    let code = without_comments(header);
    let names = code.match_indices("peerbeat_").filter_map(|(at, _)| {
        let name: String =
            code[at..].chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
        code[at + name.len()..].starts_with('(').then_some(name)
    });
    names.collect()
}

pub(super) fn without_comments(text: &str) -> String {
    let mut code = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("/*") {
        code += before;
        rest = after.split_once("*/").map_or("", |(_, after)| after);
    }
    code + rest
}

#[test]
fn strict_compilers_take_the_header() {
    // The part alone as well: it includes the rest.
    for file in HEADERS {
        strict(&Path::new(ROOT).join(file));
    }
}

fn strict(path: &Path) {
    if let Some(cc) = cc() {
        for standard in ["-std=c99", "-std=c11", "-std=c17", "-std=c2x"] {
            let flags = ["-Wall", "-Wextra", "-Wpedantic", "-Wstrict-prototypes", "-Wconversion"];
            let mut command = cc.command();
            command.arg(standard).args(flags).args(["-Werror", "-fsyntax-only", "-x", "c"]);
            must(command.arg(path));
        }
    }
    if let Some(cxx) = tool("CXX", "c++", "the header in C++") {
        for standard in ["-std=c++98", "-std=c++11", "-std=c++17", "-std=c++20"] {
            let flags = ["-Wall", "-Wextra", "-Wpedantic", "-Wold-style-cast", "-Wconversion"];
            let mut command = cxx.command();
            command.arg(standard).args(flags).args(["-Werror", "-fsyntax-only", "-x", "c++"]);
            must(command.arg(path));
        }
    }
}

#[test]
fn the_header_is_read_in_one_sitting() {
    for file in HEADERS {
        let text = fs::read_to_string(Path::new(ROOT).join(file)).unwrap();
        assert!(text.lines().count() <= 600, "{file}");
    }
    let header = header();
    let long: Vec<_> = header.lines().filter(|line| line.chars().count() > 100).collect();
    assert_eq!(long, Vec::<&str>::new());
}

#[test]
fn names_of_the_header_are_the_names_of_the_archive() {
    let Some(nm) = tool("NM", "nm", "the comparison of names") else { return };
    let listed = must(nm.command().args(["-g", "--defined-only"]).arg(archive()));
    let is_ours = |name: &&str| name.trim_start_matches('_').starts_with("peerbeat_");
    let exported: BTreeSet<_> = listed
        .lines()
        .filter_map(|line| line.split_whitespace().nth(2))
        .filter(is_ours)
        .map(|name| name.trim_start_matches('_').to_owned())
        .collect();
    assert_eq!(exported, functions(&header()));
    assert!(exported.len() > 40, "{exported:?}");
}

/// The interface that was asked for, by name: a rename is a decision.
#[test]
fn the_names_that_were_promised_are_there() {
    let functions = functions(&header());
    let promised = "config_load config_parse config_free node_start node_send node_try_send \
        node_stats node_shutdown node_free link_connect link_attach_fd listener_open \
        listener_port listener_accept listener_free link_send link_try_send link_recv \
        link_recv_borrow link_release link_state link_stats link_set_heartbeat_time \
        link_shutdown link_free liveness_init liveness_sent liveness_received \
        liveness_heartbeat_sent liveness_heartbeat_received liveness_next strerror last_error \
        options_init version abi_version \
        connection_hello connection_new connection_next connection_send connection_close \
        connection_transmit connection_written connection_received connection_free \
        node_reload node_set_heartbeat_time node_set_slack node_close_peer node_wait_up \
        node_wait_room node_state node_totals node_explain node_peer node_event_fd \
        node_next_event node_free_timeout link_set_slack link_wait_room link_explain \
        link_event_fd link_send_all link_free_timeout link_drain node_drain event_text event_word last_errno";
    for name in promised.split_whitespace() {
        assert!(functions.contains(&format!("peerbeat_{name}")), "{name}");
    }
    let code = without_comments(&header());
    let words = code.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let defined = words.filter(|word| word.to_ascii_lowercase().starts_with("peerbeat"));
    for name in defined {
        let ours = name.starts_with("peerbeat_") || name.starts_with("PEERBEAT_");
        assert!(ours || name == "peerbeat", "{name}");
    }
}
