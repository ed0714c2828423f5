//! The programs of tests/c, examples and tests, compiled strictly and run.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::skip::say_skipped;

#[cfg(target_os = "linux")]
use super::tools::run_if_possible;
use super::tools::{ROOT, build, build_with, cc, header, run, scratch, tool};

const LIMIT: Duration = Duration::from_secs(60);

fn run_c(name: &str, arguments: &[&str]) -> Option<String> {
    let source = Path::new(ROOT).join("tests/c").join(name);
    let program = build(&cc()?, &source, &["-std=gnu11", "-Wpedantic"]);
    Some(run(&program, arguments, LIMIT))
}

#[test]
fn the_adapter_streams_ticks_and_reports_the_loss() {
    let Some(printed) = run_c("adapter.c", &[]) else { return };
    assert!(printed.contains("receiver is down: closed"), "{printed}");
}

#[test]
fn a_frozen_cable_kills_both_links_of_a_pair_at_their_limit() {
    // lesson 18
    let Some(printed) = run_c("pair.c", &[]) else { return };
    assert_eq!(printed.matches("down, heartbeat-time 300 ms").count(), 2, "{printed}");
}

// lesson 18
#[test]
fn a_host_with_a_loop_of_its_own_finds_a_mute_peer() {
    let Some(printed) = run_c("epoll_host.c", &[]) else { return };
    assert!(printed.contains("near: the peer is gone"), "{printed}");
}

#[test]
fn a_host_with_a_poll_loop_has_whole_connections() {
    let Some(printed) = run_c("poll_host.c", &[]) else { return };
    assert!(printed.contains("20 ticks sent, 20 received"), "{printed}");
    assert!(printed.contains("acceptor: dialler: down: closed"), "{printed}");
}

#[test]
fn a_connection_lives_by_the_clock_that_it_is_given() {
    run_c("connection.c", &[]);
}

#[test]
fn the_header_serves_cpp() {
    let Some(cxx) = tool("CXX", "c++", "the C++ example") else { return };
    let source = Path::new(ROOT).join("tests/c/adapter.cpp");
    let program = build(&cxx, &source, &["-std=c++11", "-Wpedantic"]);
    let printed = run(&program, &[], LIMIT);
    assert!(printed.contains("cpp is down: closed"), "{printed}");
}

#[test]
fn every_function_survives_null_wrong_sizes_and_the_end() {
    run_c("walk.c", &[]);
}

#[test]
fn the_walk_leaves_no_function_out() {
    let folder = Path::new(ROOT).join("tests/c");
    let read = |name| fs::read_to_string(folder.join(name)).unwrap();
    let walk = read("walk.c") + &read("connection.c");
    for name in super::header::functions(&header()) {
        assert!(walk.contains(&format!("{name}(")), "walk.c and connection.c do not call {name}");
    }
}

#[test]
fn every_status_is_provoked() {
    run_c("codes.c", &[]);
    let folder = Path::new(ROOT).join("tests/c");
    let read = |name| fs::read_to_string(folder.join(name)).unwrap();
    let trials = read("walk.c") + &read("codes.c") + &read("fork.c");
    // E_PANIC needs a mistake in peerbeat: a test in src/ffi/guard.rs makes one.
    for (name, _) in super::numbers::STATUS.iter().filter(|(name, _)| *name != "PEERBEAT_E_PANIC") {
        assert!(trials.contains(name), "no trial expects {name}");
    }
}

// lessons 42, 45, 46
#[test]
fn eight_threads_survive_a_shutdown_in_their_midst() {
    let Some(printed) = run_c("storm.c", &["300"]) else { return };
    assert!(printed.starts_with("300 rounds"), "{printed}");
}

#[test]
#[ignore = "the test above for longer"]
fn eight_threads_survive_five_thousand_shutdowns_in_their_midst() {
    let Some(printed) = run_c("storm.c", &["5000"]) else { return };
    assert!(printed.starts_with("5000 rounds"), "{printed}");
}

#[test]
fn a_host_asks_waits_and_changes_without_callbacks() {
    run_c("ask.c", &[]);
}

// lessons 61, 62, 66, 71
#[test]
fn a_host_that_cancels_signals_and_locks_comes_to_no_harm() {
    run_c("unharmed.c", &[]);
}

// lesson 71
#[test]
#[cfg(target_os = "linux")]
fn a_child_with_the_same_process_id_is_no_part_of_its_parent() {
    let Some(cc) = cc() else { return };
    let source = Path::new(ROOT).join("tests/c/namespace.c");
    let program = build(&cc, &source, &["-std=gnu11", "-Wpedantic"]);
    if !run_if_possible(&program, LIMIT) {
        say_skipped("forks into namespaces", "the system does not let this user make one");
    }
}

#[test]
fn a_layer_of_the_hosts_carries_links_and_nodes_and_may_fail() {
    run_c("layer.c", &[]);
}

#[test]
fn openssl_is_such_a_layer() {
    let Some(cc) = cc() else { return };
    let probe = scratch("openssl-probe.c");
    fs::write(&probe, "#include <openssl/ssl.h>\nint main(void) { return 0; }\n").unwrap();
    let libraries = ["-lssl", "-lcrypto"];
    let mut command = cc.command();
    command.arg(&probe).args(libraries).arg("-o").arg(scratch("openssl-probe"));
    if !command.output().unwrap().status.success() {
        say_skipped("TLS from C", "there is no OpenSSL to compile with (libssl-dev)");
        return;
    }
    let source = Path::new(ROOT).join("tests/c/openssl.c");
    let program = build_with(&cc, &source, &["-std=gnu11", "-Wpedantic"], &libraries);
    let printed = run(&program, &[], LIMIT);
    assert!(printed.starts_with("OpenSSL"), "{printed}");
}

#[test]
fn the_layer_for_openssl_is_short() {
    let text = fs::read_to_string(Path::new(ROOT).join("tests/c/openssl.h")).unwrap();
    assert!(text.lines().count() < 150);
    assert_eq!(text.lines().find(|line| line.chars().count() > 100), None);
}

#[test]
#[cfg(target_os = "linux")]
fn the_second_address_of_a_name_is_tried_when_the_handshake_with_the_first_fails() {
    let Some(cc) = cc() else { return };
    let source = Path::new(ROOT).join("tests/c/second_address.c");
    let program = build(&cc, &source, &["-std=gnu11", "-Wpedantic"]);
    if !run_if_possible(&program, LIMIT) {
        say_skipped("a name with two addresses", "the system does not let this user mount");
    }
}

// lessons 50, 51
#[test]
fn sigpipe_never_kills_the_host() {
    run_c("sigpipe.c", &[]);
}

#[test]
fn a_forked_child_harms_no_link() {
    run_c("fork.c", &[]);
}

// lesson 43
#[test]
fn an_idle_link_costs_two_threads_and_little_memory() {
    let Some(printed) = run_c("idle.c", &["50"]) else { return };
    assert!(printed.contains("2.00 threads"), "{printed}");
}

#[test]
fn examples_are_short() {
    for name in ["adapter.c", "feed.c", "pair.c", "epoll_host.c", "poll_host.c", "adapter.cpp"] {
        let text = fs::read_to_string(Path::new(ROOT).join("tests/c").join(name)).unwrap();
        let lines = text.lines().count();
        assert!(lines < 175, "{name} has {lines} lines");
        let long = text.lines().find(|line| line.chars().count() > 100);
        assert_eq!(long, None, "in {name}");
    }
}
