//! What went wrong elsewhere, and the tests that keep it from going wrong here.
//!
//! Each row is a way in which heartbeats of other libraries have failed their users, under the
//! number by which sources and tests name it (`lesson 20`). It is pinned by tests that say the
//! number, each found under `file::test`; one that no test can pin says `cannot apply:` and why.
//! The tests below hold the table to that.
//!
//! | number | lesson | where it is pinned, or why it cannot apply |
//! |---|---|---|
//! | 1 | Zero as an interval, asked for by the peer: flood, spin, instant death | `tests/liveness/host.rs::no_value_of_the_peers_makes_a_host_spin_or_flood` `tests/liveness/silence_timer.rs::no_value_of_the_peers_kills_within_floor_and_slack` `tests/liveness/heartbeat_timer.rs::a_peer_that_lowers_its_value_with_every_heartbeat_gets_one_answer_a_floor` `tests/link/heartbeats.rs::a_peer_that_lowers_its_value_every_time_is_not_answered_every_time` |
//! | 2 | Zero and unset mean different things at the two ends | `tests/liveness/negotiation.rs::all_pairs_of_unset_off_and_value_end_at_the_smaller_value_on_both_sides` `tests/liveness/negotiation.rs::given_values_hold_for_their_direction_alone` `tests/command/check.rs::two_files_are_compared_at_their_link` |
//! | 3 | The unit of the wire overflows | `tests/protocol/vectors.rs::every_boundary_of_a_heartbeat_time_goes_round_trip` `tests/liveness/heartbeat_timer.rs::values_are_kept_as_they_travel_in_whole_milliseconds` `tests/liveness/negotiation.rs::every_boundary_value_meets_every_other` |
//! | 4 | Interval confused with timeout, halved twice or not at all | `tests/liveness/pairs.rs::every_ratio_of_heartbeat_time_to_slack_and_of_the_two_ends_holds` `tests/liveness/silence_timer.rs::the_limit_is_heartbeat_time_plus_slack_at_every_ratio` |
//! | 5 | The negotiated value does not reach every deadline, or is hidden | `tests/liveness/silence_timer.rs::after_adoption_every_deadline_follows_the_new_value` `tests/liveness/host.rs::an_adopted_value_reaches_both_halves` `tests/link/heartbeats.rs::a_smaller_value_is_adopted_announced_and_reported` `tests/link/silence.rs::the_limit_follows_a_smaller_value_that_the_peer_sends` `tests/link/stuck.rs::a_value_heard_while_a_write_is_stuck_limits_it` |
//! | 6 | One direction alone enabled: deadlock | `tests/liveness/pairs.rs::all_combinations_of_on_and_off_live_for_100_intervals` `tests/adapters/given.rs::all_four_ways_to_enable_two_directions_hold_for_a_hundred_intervals` |
//! | 7 | A heartbeat a hair early gets the client killed | `tests/liveness/heartbeat_timer.rs::a_heartbeat_is_due_exactly_one_heartbeat_time_after_the_last_byte` `tests/link/heartbeats.rs::heartbeats_on_an_idle_line_are_never_closer_than_was_promised` `tests/liveness/silence_timer.rs::more_than_ten_heartbeats_a_floor_interval_are_reported_once` `tests/link/heartbeats.rs::a_flood_of_heartbeats_is_reported_once_and_kills_no_link` |
//! | 8 | The interval of a living connection cannot be changed | `tests/link/heartbeat_change.rs::a_smaller_value_reaches_both_ends_at_once_and_is_reported_once` `tests/liveness/silence_timer.rs::a_value_of_our_own_binds_the_peer_once_it_has_announced_one_that_is_not_greater` `tests/link/numbers.rs::a_smaller_slack_spares_the_silence_under_way_and_judges_the_next` The rule only lowers: a larger value waits for the next connection, and the call returns that. |
//! | 9 | Sampling doubles the worst gap, the first one above all | `tests/liveness/heartbeat_timer.rs::under_random_traffic_no_gap_between_sends_is_longer_than_promised` `tests/liveness/heartbeat_timer.rs::the_first_heartbeat_after_the_announcement_takes_no_longer_than_the_others` `tests/link/heartbeats.rs::a_heartbeat_counts_from_the_last_byte_and_not_from_a_tick` |
//! | 10 | Sent exactly at the limit, and the receiver is strict | `tests/liveness/pairs.rs::jitter_below_the_slack_kills_no_link` The receiver forgives (slack, 2 s unless configured) instead of the sender hurrying. |
//! | 11 | Next beat counted from the end of work; one late beat ends the timer | `tests/liveness/heartbeat_timer.rs::late_means_send_now_and_once_then_rearm` `tests/link/frozen.rs::a_process_that_was_stopped_for_three_limits_blames_no_living_peer_and_sends_no_burst` |
//! | 12 | A burst of beats makes up for a stall | `tests/liveness/heartbeat_timer.rs::late_means_send_now_and_once_then_rearm` `tests/liveness/host.rs::a_heartbeat_is_asked_for_once_until_it_is_reported` `tests/link/frozen.rs::a_process_that_was_stopped_for_three_limits_blames_no_living_peer_and_sends_no_burst` |
//! | 13 | A clock that heartbeats do not move: the timer spins | `tests/liveness/pairs.rs::a_quiet_pair_wakes_no_more_than_three_times_an_interval` `tests/link/heartbeats.rs::a_quiet_link_wakes_up_a_few_times_an_interval` |
//! | 14 | The wrong event resets the wrong clock | `tests/liveness/host.rs::what_is_received_never_postpones_what_must_be_sent` `tests/liveness/host.rs::what_is_sent_never_postpones_the_verdict` `tests/link/odd.rs::only_what_the_kernel_takes_moves_the_sending_clock` |
//! | 15 | A big write under way looks idle | `tests/liveness/heartbeat_timer.rs::each_part_of_a_large_write_postpones_the_next_heartbeat` `tests/link/life.rs::a_64_mib_frame_to_a_slow_reader_that_reads_stays_up` |
//! | 16 | A heartbeat behind a big send comes too late | `tests/link/heartbeats.rs::an_announcement_goes_out_at_the_next_edge_of_a_batch_under_way` `tests/liveness/silence_timer.rs::one_byte_is_as_much_life_as_a_heartbeat` |
//! | 17 | A busy callback starves the heartbeats | `tests/link/life.rs::a_handler_that_sleeps_ten_limits_kills_no_link_and_starves_no_heartbeat` |
//! | 18 | Beats go out only inside calls of the program | `tests/capi/programs.rs::a_frozen_cable_kills_both_links_of_a_pair_at_their_limit` `tests/capi/programs.rs::a_host_with_a_loop_of_its_own_finds_a_mute_peer` `tests/liveness/host.rs::a_host_gets_the_nearest_of_beat_and_verdict` `tests/link/life.rs::a_handler_that_sleeps_ten_limits_kills_no_link_and_starves_no_heartbeat` |
//! | 19 | One timer thread, blocked by one connect | `tests/node/alive.rs::a_blackholed_dial_delays_no_other_peers_heartbeats` |
//! | 20 | The watchdog waits for the lock of a stuck write | `tests/link/stuck.rs::a_peer_that_stops_reading_is_dead_though_its_heartbeats_come` `tests/link/silence.rs::a_write_that_is_stuck_does_not_delay_the_verdict_on_silence` |
//! | 21 | A heartbeat that the kernel does not take is called fatal | `tests/link/stuck.rs::a_few_bytes_taken_restart_the_limit` `tests/link/life.rs::a_peer_that_reads_in_fits_is_not_stalled` `tests/liveness/host.rs::a_heartbeat_that_the_kernel_does_not_take_hides_no_verdict` |
//! | 22 | Bytes of a beat inside another frame | `tests/link/order.rs::frames_of_8_threads_stay_whole_and_in_order_between_heartbeats` `tests/link/order.rs::any_threads_sizes_and_pauses_keep_frames_whole_and_heartbeats_apart` |
//! | 23 | A partial write, retried, sends bytes twice | `tests/link/order.rs::every_partial_write_goes_on_where_it_stopped` |
//! | 24 | Beats before the handshake is done | `tests/node/strangers.rs::during_the_handshake_no_heartbeat_goes_out` `tests/node/strangers.rs::heartbeats_that_come_with_the_hello_are_taken_by_the_link` `tests/node/strangers.rs::silence_and_drips_are_cut_at_the_same_deadline` A beat *in the place of* HELLO is a protocol error by design. |
//! | 25 | Dead although a large frame is arriving | `tests/link/life.rs::one_byte_of_a_big_frame_every_half_interval_is_life` `tests/sim/faults.rs::a_large_message_on_a_slow_line_is_life` |
//! | 26 | Only the exact reply clears a probe | `tests/link/life.rs::any_byte_ends_a_silence_that_was_nearly_too_long` `tests/liveness/silence_timer.rs::one_byte_is_as_much_life_as_a_heartbeat` There are no probes; what would clear one is any byte. |
//! | 27 | Misses counted over a lifetime | `tests/liveness/silence_timer.rs::one_byte_is_as_much_life_as_a_heartbeat` |
//! | 28 | An attempt to read counts as data | `tests/link/odd.rs::only_what_the_kernel_takes_moves_the_sending_clock` `tests/link/odd.rs::timeouts_that_end_early_or_late_kill_no_link_early_and_do_not_spin` `tests/link/order.rs::writes_and_reads_that_end_for_nothing_are_repeated` `tests/liveness/silence_timer.rs::asking_moves_nothing` |
//! | 29 | Own sends hide a half-open link | `tests/link/silence.rs::our_own_sending_does_not_hide_the_peers_silence` `tests/liveness/pairs.rs::a_line_that_loses_everything_is_noticed_on_both_sides_at_the_limit` |
//! | 30 | Beats are sent, silence is never looked at | `tests/node/alive.rs::a_peer_that_falls_silent_is_down_whichever_side_dialled_and_its_next_link_starts_afresh` `tests/link/silence.rs::a_silent_peer_is_dead_at_the_limit_and_never_before` |
//! | 31 | Judged before what is buffered was read | `tests/link/silence.rs::bytes_that_came_in_time_count_where_the_reader_lost_the_processor` `tests/link/odd.rs::what_arrived_while_the_reader_was_away_is_seen_by_the_sender` `tests/link/life.rs::a_reader_that_is_run_late_does_not_blame_the_peer_or_itself` There are no probes, so no clock of theirs can start too early. |
//! | 32 | We do not read, and the peer is blamed | `tests/link/inbox.rs::a_full_inbox_holds_the_reader_and_the_peer_is_not_blamed` `tests/link/life.rs::a_handler_that_sleeps_over_a_silence_does_not_make_it_the_peers` `tests/liveness/silence_timer.rs::while_our_handler_holds_the_reader_no_silence_is_counted` |
//! | 33 | We were stopped, and all peers are called dead | `tests/link/frozen.rs::a_process_that_was_stopped_for_three_limits_blames_no_living_peer_and_sends_no_burst` `tests/link/frozen.rs::a_process_that_was_stopped_finds_a_dead_peer_dead_after_one_slack` `tests/liveness/stall.rs::after_a_stall_the_peer_has_exactly_one_slack_more` `tests/link/stalls.rs::our_own_stall_in_a_write_gives_the_peer_one_more_slack` |
//! | 34 | The time of day is stepped, and links die | `tests/tidy.rs::only_the_command_knows_the_time_of_day` `tests/tidy.rs::no_clock_thread_or_socket_below_link` |
//! | 35 | Suspend: the monotonic clock stops, or does not | `tests/liveness/stall.rs::after_a_suspend_the_peer_has_time_to_speak_whatever_the_clock_did` README says which system does what. A real suspend cannot be tested here, and a hint to send a probe cannot apply: there are none, the next look at the socket answers. |
//! | 36 | A read timeout inside a frame loses bytes | `tests/link/life.rs::one_byte_of_a_big_frame_every_half_interval_is_life` `tests/protocol/splits.rs::no_frame_is_there_before_its_last_byte` `tests/protocol/splits.rs::polling_between_pieces_loses_nothing_however_often` `tests/link/order.rs::writes_and_reads_that_end_for_nothing_are_repeated` |
//! | 37 | The kind of a timeout differs from system to system | `tests/link/order.rs::writes_and_reads_that_end_for_nothing_are_repeated` |
//! | 38 | Socket timeouts are coarse, late, and infinite when zero | `tests/link/odd.rs::timeouts_that_end_early_or_late_kill_no_link_early_and_do_not_spin` `tests/link/odd.rs::no_timeout_is_ever_zero` |
//! | 39 | Spurious wake-ups shorten a wait | `tests/link/order.rs::frames_of_8_threads_stay_whole_and_in_order_between_heartbeats` `src/node/turns_tests.rs::a_dial_never_begins_before_it_is_due` |
//! | 40 | Both ends close at once | `tests/link/closing.rs::close_from_both_ends_at_once_is_clean_on_both` `tests/liveness/pairs.rs::a_line_that_loses_everything_is_noticed_on_both_sides_at_the_limit` |
//! | 41 | While it probes, an end sends no beats | `tests/link/life.rs::our_heartbeats_go_on_while_the_peer_is_late` There are no probes; a late peer is when others send theirs. |
//! | 42 | Declared dead, but socket, threads or event linger | `tests/link/leaks.rs::a_verdict_leaves_nothing_though_the_peer_still_holds_its_end` `tests/link/silence.rs::silence_that_kills_shuts_the_stream_without_a_bye` `tests/link/silence.rs::a_write_that_is_stuck_does_not_delay_the_verdict_on_silence` `tests/link/closing.rs::close_with_a_stuck_peer_ends_in_bounded_time_and_counts` `tests/node/stopping.rs::the_stop_does_not_wait_for_a_peer_that_reads_nothing` `tests/link/inbox.rs::every_waiter_is_woken_when_the_link_ends` |
//! | 43 | Threads and timers leak with every reconnect | `tests/node_limits.rs::reconnects_hold_no_thread_and_no_descriptor` `tests/link/leaks.rs::shutdown_while_8_threads_send_and_one_reads_leaves_nothing` |
//! | 44 | State of the old connection judges the new one | `tests/node/alive.rs::a_peer_that_falls_silent_is_down_whichever_side_dialled_and_its_next_link_starts_afresh` |
//! | 45 | Close does not wake who is blocked | `tests/link/closing.rs::no_end_has_to_wait_for_a_stuck_write` `tests/link/pressure.rs::a_closing_link_wakes_those_who_wait_for_room` `tests/capi/programs.rs::eight_threads_survive_a_shutdown_in_their_midst` |
//! | 46 | Close or destroy inside a callback: deadlock, use after free | `tests/link/closing.rs::close_inside_the_handler_ends_the_link` `tests/node/handlers.rs::a_node_can_be_shut_down_from_a_handler` `tests/node/handlers.rs::the_last_handle_can_be_dropped_in_a_handler` |
//! | 47 | A lock held over I/O: two writers wait for each other | `tests/link/pressure.rs::an_echo_storm_with_tiny_buffers_finishes` `tests/link/pressure.rs::on_the_readers_own_thread_nothing_waits_for_room` |
//! | 48 | The stop waits for a full sleep | `tests/link/closing.rs::stopping_does_not_wait_for_the_interval` `tests/node/stopping.rs::the_stop_does_not_wait_for_the_wait_between_dials` |
//! | 49 | A herd reconnects in step | `src/node/backoff.rs::the_wait_spans_zero_to_the_ceiling` `src/node/backoff.rs::two_hundred_clients_spread_out` `src/node/backoff.rs::a_link_is_stable_from_the_very_nanosecond_of_its_limit` `tests/node/dialling.rs::accepting_and_closing_does_not_reset_the_waits` Beats need no jitter of their own: they count from the link's last byte, and dials after the first are spread. |
//! | 50 | SIGPIPE kills the host | `tests/capi/programs.rs::sigpipe_never_kills_the_host` `tests/tidy.rs::nothing_writes_with_writev` |
//! | 51 | Nagle and delayed acknowledgements hold small frames | `tests/node/alive.rs::small_messages_do_not_wait_for_the_acknowledgement_of_others` `tests/capi/programs.rs::sigpipe_never_kills_the_host` `tests/link/odd.rs::head_and_body_leave_in_one_write` |
//! | 52 | A half-open link hangs for the kernel's quarter of an hour | `tests/node/alive.rs::a_peer_that_falls_silent_is_down_whichever_side_dialled_and_its_next_link_starts_afresh` `tests/liveness/pairs.rs::a_line_that_loses_everything_is_noticed_on_both_sides_at_the_limit` `tests/faults/drops.rs::packets_dropped_both_ways_are_noticed_at_both_ends` |
//! | 53 | Idle connections cost CPU | `tests/link/idle.rs::a_thousand_idle_links_wake_up_six_times_an_interval_and_do_nothing_else` |
//! | 54 | Closed, no reason | `tests/link/ends.rs::the_account_of_an_end_is_true` `tests/link/ends.rs::a_bye_is_closed_with_its_code_and_escaped_text` `tests/link/numbers.rs::a_late_sender_can_prove_its_own_lateness_and_the_receiver_that_the_peer_was_late` Our own lateness is not in the event: a link's numbers, which outlive it, have it; a node keeps how often we were late. |
//! | 55 | No warning before death | `tests/liveness/silence_timer.rs::late_is_said_once_a_silence_and_its_end_once` `tests/link/silence.rs::a_late_peer_is_reported_once_and_so_is_its_return` The fraction is half the slack; the slack is what can be set. |
//! | 56 | A late sender cannot prove its own lateness | `tests/link/numbers.rs::a_late_sender_can_prove_its_own_lateness_and_the_receiver_that_the_peer_was_late` `tests/liveness/numbers.rs::lateness_counts_from_the_instant_at_which_the_heartbeat_was_due` A number and an advice say so, not an event: a late sender is seldom free to tell. |
//! | 57 | Tests of timing flake | `tests/tidy.rs::no_clock_thread_or_socket_below_link` `tests/tidy.rs::no_test_of_the_core_waits_for_time_to_pass` |
//! | 58 | A write that fails discards what had arrived, goodbye included | `tests/link/delivery.rs::all_that_arrived_is_handed_on_with_its_goodbye_though_every_write_fails` `tests/link/delivery.rs::a_batch_that_ends_in_order_is_read_whole_by_a_slow_handler_that_answers` |
//! | 59 | Close right after send loses the tail; lingering by a constant | `tests/link/delivery.rs::a_close_waits_until_a_slow_peer_has_read_all` `tests/link/delivery.rs::what_a_peer_that_vanishes_may_not_have_read_is_counted` |
//! | 60 | A dial connects to itself on an ephemeral port | `tests/link/opening.rs::no_link_is_connected_with_itself` |
//! | 61 | A cancelled thread unwinds through a foreign call, and the host aborts | `tests/capi/programs.rs::a_host_that_cancels_signals_and_locks_comes_to_no_harm` No call is a cancellation point. |
//! | 62 | Threads of a library take the host's signals | `tests/capi/programs.rs::a_host_that_cancels_signals_and_locks_comes_to_no_harm` |
//! | 63 | Failover sticks to a first address that accepts and drops | `tests/node/failover.rs::a_first_address_that_welcomes_and_drops_does_not_keep_the_second_from_its_turn` |
//! | 64 | Files that were not named are read, and missing ones pass silently | `tests/config/files.rs::files_that_are_none_are_errors_and_the_rest_is_still_read` `tests/config/files.rs::the_system_follows_dots_after_links_and_a_link_to_nothing_is_an_error` A folder is only searched for names. |
//! | 65 | A misspelt key, or a blank that is none, vanishes silently | `src/config/items.rs::what_is_nearly_ours_is_seen_and_upstreams_is_not` `tests/config/bad.rs::a_host_has_no_invisible_blanks` |
//! | 66 | A silent client blocks accept, or some of them block all others | `src/node/places.rs::the_oldest_that_has_not_sent_a_byte_makes_room` `tests/capi/programs.rs::a_host_that_cancels_signals_and_locks_comes_to_no_harm` |
//! | 67 | Half a listener: one family; the second address of a name is not tried | `tests/faults/one_family.rs::a_port_that_another_program_has_in_ipv4_is_refused` `tests/node/meeting.rs::every_interface_is_reached_over_ipv4_and_ipv6` `tests/node/meeting.rs::a_dead_address_is_passed_over_for_the_next` |
//! | 68 | A slow or non-blocking output stops or ends the program | `tests/command/ends.rs::a_reader_that_does_not_read_holds_nothing` `tests/command/ends.rs::a_non_blocking_stdout_is_waited_for` |
//! | 69 | An address with leading zeros is read as octal | `src/config/value.rs::historic_forms_of_addresses_are_read_as_people_and_as_the_c_library_do` |
//! | 70 | A blocking library on a non-blocking socket spins | `tests/link/opening.rs::a_stream_that_does_not_block_is_made_to` |
//! | 71 | A fork that is detected by process id is missed in a namespace | `tests/capi/programs.rs::a_child_with_the_same_process_id_is_no_part_of_its_parent` `tests/capi/programs.rs::a_host_that_cancels_signals_and_locks_comes_to_no_harm` |
//! | 72 | A peer on the edge of its limit, or a probe, floods the log | `src/connection/rate.rs::ten_are_reported_as_they_happen_and_then_one_a_second_with_their_number` `tests/node/crowds.rs::a_flood_of_refusals_is_reported_at_a_bounded_rate_and_counted` |
//! | 73 | Shutdown inside a signal handler deadlocks | `tests/capi/feed.rs::four_processes_fail_over_reload_and_end_in_order` The header says what may be called there; the example waits for signals instead. |
//! | 74 | Heartbeats hide an application that hangs | `tests/link/delivery.rs::a_hung_handler_is_seen_at_both_ends` |
//! | 75 | A socket that is handed over is reset on close | `tests/link/delivery.rs::a_close_waits_until_a_slow_peer_has_read_all` Nothing sets SO_LINGER; a close drains first. |
//! | 76 | Process 1 of a container ignores SIGTERM | `tests/command/ends.rs::a_signal_ends_it_in_order` |
//! | 77 | A layer under one lock: a send waits for a read | cannot apply: the layer is the host's own; the example of `Stream` locks only for work on bytes. |

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use source::Source;

// Of both files a part is used here; `tidy` uses them whole.
#[allow(dead_code)]
#[path = "tidy/lessons.rs"]
mod named;
#[allow(dead_code)]
#[path = "tidy/source.rs"]
mod source;

const LAST: u32 = 77;
const CANNOT: &str = "cannot apply: ";

/// A row of the table.
#[derive(Debug)]
struct Row {
    number: u32,
    words: String,
    /// Files and tests.
    places: Vec<(String, String)>,
    /// What the last cell says besides.
    note: String,
}

/// The rows of a table in documentation.
fn rows(text: &str) -> Vec<Row> {
    let lines = text.lines().filter_map(|line| line.strip_prefix("//! | "));
    lines.filter_map(|line| row(line.strip_suffix(" |")?)).collect()
}

fn row(line: &str) -> Option<Row> {
    let [number, words, pinned] = line.split(" | ").collect::<Vec<_>>()[..] else { return None };
    let (mut places, mut note) = (Vec::new(), String::new());
    for (index, part) in pinned.split('`').enumerate() {
        match part.split_once(".rs::").filter(|_| index % 2 == 1) {
            Some((file, test)) => places.push((format!("{file}.rs"), test.to_owned())),
            None => note.push_str(part),
        }
    }
    let (words, note) = (words.to_owned(), note.trim().to_owned());
    Some(Row { number: number.parse().ok()?, words, places, note })
}

/// What is wrong with the numbers and cells of a table, whatever the files hold.
fn gaps(rows: &[Row]) -> Vec<String> {
    let numbers: Vec<u32> = rows.iter().map(|row| row.number).collect();
    let mut wrong = Vec::new();
    if numbers != (1..=LAST).collect::<Vec<_>>() {
        wrong.push(format!("the numbers are not 1 to {LAST}, each once, in order: {numbers:?}"));
    }
    for row in rows {
        let why = row.note.strip_prefix(CANNOT).unwrap_or_default();
        if row.places.is_empty() && why.len() < 10 {
            wrong
                .push(format!("lesson {}: no test, and no reason why it cannot apply", row.number));
        }
        if row.words.split_whitespace().count() > 14 {
            wrong.push(format!("lesson {}: many words", row.number));
        }
    }
    wrong
}

/// What is wrong with a place: the file has no such test, or the test does not say the number.
fn complaint(source: &Source, test: &str, number: u32) -> Option<String> {
    let lines: Vec<&str> = source.text.lines().collect();
    let Some(function) = source.functions().into_iter().find(|function| function.name == test)
    else {
        return Some(format!("{}: lesson {number}: no fn {test}", source.path));
    };
    let is_head = |line: &&&str| line.trim_start().starts_with(['#', '/']);
    let above = lines[..function.line - 1].iter().rev().take_while(is_head).count();
    let first = function.line - 1 - above;
    if !lines[first..function.line - 1].iter().any(|line| line.trim() == "#[test]") {
        return Some(format!("{}: lesson {number}: {test} is no test", source.path));
    }
    let mut own = lines[first..function.line - 1 + function.lines].iter();
    let says = own.any(|line| named::numbers(line).contains(&number));
    (!says).then(|| format!("{}: {test} does not say `// lesson {number}`", source.path))
}

fn read(path: &str) -> Option<Source> {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).ok()?;
    Some(Source::new(path, &text))
}

#[test]
fn every_lesson_is_pinned_by_a_test_that_says_its_number_or_says_why_not() {
    let rows = rows(include_str!("lessons.rs"));
    let mut wrong = gaps(&rows);
    for row in &rows {
        for (file, test) in &row.places {
            match read(file) {
                Some(source) => wrong.extend(complaint(&source, test, row.number)),
                None => wrong.push(format!("lesson {}: no file {file}", row.number)),
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[test]
fn a_table_with_gaps_is_seen() {
    let whole: Vec<String> =
        (1..=LAST).map(|number| format!("//! | {number} | Words | `tests/a.rs::b` |")).collect();
    assert_eq!(gaps(&rows(&whole.join("\n"))), [""; 0]);
    let with = |row: usize, line: &str| {
        let mut lines = whole.clone();
        lines[row - 1] = line.to_owned();
        gaps(&rows(&lines.join("\n"))).len()
    };
    assert_eq!(with(7, "//! | 7 | Words | cannot apply: there is nothing of the kind |"), 0);
    assert_eq!(with(7, "//! | 8 | Words | `tests/a.rs::b` |"), 1, "a number twice");
    assert_eq!(with(77, ""), 1, "a number missing");
    assert_eq!(with(7, "//! | 7 | Words | some day |"), 1, "no test");
    assert_eq!(with(7, "//! | 7 | Words | cannot apply: |"), 1, "no reason");
    assert_eq!(with(7, &format!("//! | 7 | {}| `tests/a.rs::b` |", "word ".repeat(15))), 1);
}

#[test]
fn a_place_that_does_not_pin_its_lesson_is_seen() {
    let text = [
        "// lesson 1\n#[test]\nfn one() {}\n",
        "#[test]\nfn two() {\n    // lessons 2, 3\n}\n",
        "// lesson 4\nfn helper() {}\n",
    ];
    let source = Source::new("tests/a.rs", &text.join("\n"));
    for (test, number) in [("one", 1), ("two", 2), ("two", 3)] {
        assert_eq!(complaint(&source, test, number), None);
    }
    for (test, number) in [("one", 2), ("two", 1), ("two", 4), ("helper", 4), ("three", 1)] {
        assert!(complaint(&source, test, number).is_some(), "{test} does not pin {number}");
    }
}
