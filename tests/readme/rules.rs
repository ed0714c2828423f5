//! Claims that other tests prove: each with the words of README and the test's name.
//!
//! This proves only that the words and the tests are there; what a test shows is for the test
//! itself. `tests/readme/main.rs` lists what no test can check.

use std::fs;
use std::path::Path;

use crate::{read, readme, root};

const HELD: &[(&str, &str, &str)] = &[
    ("threads, two per link", "tests/capi", "an_idle_link_costs_two_threads_and_little_memory"),
    (
        "Any thread may send on a link while another receives",
        "tests/link",
        "frames_of_8_threads_stay_whole_and_in_order_between_heartbeats",
    ),
    ("reads its configuration files", "tests/config", "a_hub_reads_its_environment_and_its_parts"),
    (
        "Messages that a lost link had not sent are counted, not sent again",
        "tests/link",
        "what_was_accepted_and_not_sent_is_counted_to_the_byte",
    ),
    ("it listens, dials", "tests/node", "an_adapter_and_a_server_meet_and_exchange_both_ways"),
    ("fails over", "tests/node", "a_dead_address_is_passed_over_for_the_next"),
    ("reconnects and reports", "tests/node", "a_lost_link_is_dialled_again_and_so_is_a_closed_one"),
    (
        "every peer gets a goodbye",
        "tests/node",
        "the_stop_does_not_wait_for_handshakes_and_says_goodbye",
    ),
    (
        "or another stream",
        "tests/adapters",
        "a_unix_socket_carries_messages_and_a_negotiated_value",
    ),
    (
        "The last two have no thread, socket or clock",
        "tests/tidy.rs",
        "no_clock_thread_or_socket_below_link",
    ),
    (
        "and many sockets in one thread",
        "tests/adapters",
        "one_thread_keeps_many_peers_and_finds_the_silent_ones",
    ),
    ("where it comes from", "tests/command", "one_file_is_reported_whole"),
    (
        "no byte arrived for heartbeat-time + slack",
        "tests/link",
        "a_silent_peer_is_dead_at_the_limit_and_never_before",
    ),
    (
        "the peer stopped reading, though it may still send heartbeats",
        "tests/link",
        "a_peer_that_stops_reading_is_dead_though_its_heartbeats_come",
    ),
    (
        "it said goodbye; code and text give the reason",
        "tests/link",
        "a_bye_is_closed_with_its_code_and_escaped_text",
    ),
    ("the connection ended without a goodbye", "tests/link", "the_end_of_the_stream_is_eof"),
    ("reset or another socket error", "tests/link", "a_reset_is_io"),
    (
        "bytes that do not belong to this protocol",
        "tests/link",
        "bytes_that_break_the_protocol_end_the_link_and_are_answered_with_bye_4",
    ),
    (
        "the peer connected again; the new link took over",
        "tests/node",
        "a_returning_peer_replaces_its_stale_link",
    ),
    ("this side closed it", "tests/link", "of_many_ends_at_once_one_reason_stays"),
    (
        "Every `down` carries its numbers",
        "src/connection",
        "an_end_displays_its_reason_and_numbers",
    ),
    (
        "prints all events, one object per line",
        "tests/command",
        "every_record_has_exactly_the_fields_of_its_event",
    ),
    (
        "If it has sent nothing for that long, it sends a heartbeat",
        "tests/liveness",
        "a_heartbeat_is_due_exactly_one_heartbeat_time_after_the_last_byte",
    ),
    ("while data flows, none is needed", "tests/liveness", "idle_sends_none_while_data_flows"),
    (
        "Any byte that arrives is a sign of life",
        "tests/liveness",
        "one_byte_is_as_much_life_as_a_heartbeat",
    ),
    (
        "including part of a large message",
        "tests/link",
        "one_byte_of_a_big_frame_every_half_interval_is_life",
    ),
    (
        "down: not a nanosecond earlier",
        "tests/liveness",
        "silence_kills_at_the_limit_and_not_one_nanosecond_early",
    ),
    ("The smaller heartbeat-time wins", "tests/liveness", "every_boundary_value_meets_every_other"),
    (
        "configuring one side is enough",
        "tests/command",
        "they_meet_by_label_and_one_heartbeat_time_is_enough",
    ),
    (
        "an adopted value ends with the connection",
        "tests/liveness",
        "what_a_connection_adopted_dies_with_it",
    ),
    (
        "`heartbeat-time-min` is the smallest value accepted from a peer",
        "tests/liveness",
        "a_value_under_the_floor_is_raised_and_reported_once",
    ),
    (
        "Slack is local and never sent",
        "tests/protocol",
        "every_field_of_a_heartbeat_is_in_its_place",
    ),
    (
        "the kernel takes no byte of a pending write for one limit",
        "tests/link",
        "a_few_bytes_taken_restart_the_limit",
    ),
    (
        "then allows one extra slack",
        "tests/link",
        "after_our_own_stall_the_peer_has_one_more_slack",
    ),
    (
        "it first reads whatever has arrived",
        "tests/link",
        "bytes_that_came_in_time_count_even_if_the_reader_lost_the_processor",
    ),
    (
        "Time that your handler spends does not count as the peer's silence",
        "tests/link",
        "a_handler_that_sleeps_over_a_silence_does_not_make_it_the_peers",
    ),
    (
        "and our heartbeats go on",
        "tests/link",
        "a_handler_that_sleeps_ten_limits_kills_no_link_and_starves_no_heartbeat",
    ),
    (
        "`Node::reload` applies a new configuration",
        "tests/node",
        "one_stays_one_changes_one_goes_and_one_comes_at_once",
    ),
    ("no change cuts off a healthy peer", "tests/links_laws", "is_fair"),
    ("it also reads a journal", "src/bin/peerbeat/top", "the_worst_come_first_and_80_columns_do"),
    ("`peerbeat conform` to test one", "tests/python", "the_peer_in_python_conforms"),
    ("your failover on a virtual clock", "tests/sim", "both_sides_learn_the_smaller_value"),
    (
        "a TCP connection that you can break",
        "tests/cable",
        "a_pulled_cable_swallows_everything_and_closes_nothing",
    ),
];

/// A file, or the files of a folder, in which a test may move.
fn sources(place: &str) -> Vec<String> {
    let Ok(folder) = fs::read_dir(root().join(place)) else { return vec![read(Path::new(place))] };
    let paths = folder.map(|entry| entry.unwrap().path());
    let rust = paths.filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
    rust.map(|path| read(&path)).collect()
}

#[test]
fn the_claims_and_the_tests_that_hold_them_are_there() {
    let readme = readme().replace("**", "");
    let readme = readme.split_whitespace().collect::<Vec<_>>().join(" ");
    for (words, place, test) in HELD {
        assert!(readme.contains(words), "README does not say {words:?}");
        let test_of_it = format!("fn {test}(");
        let is_there = sources(place).iter().any(|source| source.contains(&test_of_it));
        assert!(is_there, "{place} has no {test}");
    }
}
