//! The ABI, pinned: a change of a number here is a decision, and moves PEERBEAT_ABI_VERSION.
//!
//! The numbers are literals here; C is asked for its own in tests/capi, and Rust in tests/ffi.

/// Every status.
pub(crate) const STATUS: &[(&str, i32)] = &[
    ("PEERBEAT_OK", 0),
    ("PEERBEAT_E_INVALID", -1),
    ("PEERBEAT_E_CONFIG", -2),
    ("PEERBEAT_E_NOT_FOUND", -3),
    ("PEERBEAT_E_TIMEOUT", -4),
    ("PEERBEAT_E_FULL", -5),
    ("PEERBEAT_E_TOO_SMALL", -6),
    ("PEERBEAT_E_TOO_LONG", -7),
    ("PEERBEAT_E_DOWN", -8),
    ("PEERBEAT_E_NOT_CONNECTED", -9),
    ("PEERBEAT_E_CONNECT", -10),
    ("PEERBEAT_E_REFUSED", -11),
    ("PEERBEAT_E_HANDSHAKE", -12),
    ("PEERBEAT_E_LISTEN", -13),
    ("PEERBEAT_E_IO", -14),
    ("PEERBEAT_E_LIMIT", -15),
    ("PEERBEAT_E_OWN_THREAD", -16),
    ("PEERBEAT_E_FORKED", -17),
    ("PEERBEAT_E_BUSY", -18),
    ("PEERBEAT_E_CLOSED", -19),
    ("PEERBEAT_E_NEXT_CONNECTION", -20),
    ("PEERBEAT_E_PANIC", -21),
];

/// Every other number; `PEERBEAT_NEVER` is -1 in 64 bits.
pub(crate) const NUMBERS: &[(&str, i32)] = &[
    ("PEERBEAT_ABI_VERSION", 1),
    ("PEERBEAT_VERSION_MAJOR", 0),
    ("PEERBEAT_VERSION_MINOR", 1),
    ("PEERBEAT_VERSION_PATCH", 0),
    ("PEERBEAT_MODE_IDLE", 0),
    ("PEERBEAT_MODE_ALWAYS", 1),
    ("PEERBEAT_HANDSHAKE_DEFAULT", 0),
    ("PEERBEAT_HANDSHAKE_DIAL", 1),
    ("PEERBEAT_HANDSHAKE_ACCEPT", 2),
    ("PEERBEAT_HANDSHAKE_NONE", 3),
    ("PEERBEAT_DOWN_SILENT", 1),
    ("PEERBEAT_DOWN_WRITE_STALLED", 2),
    ("PEERBEAT_DOWN_CLOSED", 3),
    ("PEERBEAT_DOWN_EOF", 4),
    ("PEERBEAT_DOWN_IO", 5),
    ("PEERBEAT_DOWN_PROTOCOL", 6),
    ("PEERBEAT_DOWN_REPLACED", 7),
    ("PEERBEAT_DOWN_LOCAL", 8),
    ("PEERBEAT_EVENT_LISTENING", 1),
    ("PEERBEAT_EVENT_DIALLING", 2),
    ("PEERBEAT_EVENT_UP", 3),
    ("PEERBEAT_EVENT_HEARTBEAT_TIME", 4),
    ("PEERBEAT_EVENT_LATE", 5),
    ("PEERBEAT_EVENT_RECOVERED", 6),
    ("PEERBEAT_EVENT_STALLED", 7),
    ("PEERBEAT_EVENT_CLAMPED", 8),
    ("PEERBEAT_EVENT_DOWN", 9),
    ("PEERBEAT_EVENT_REFUSED", 10),
    ("PEERBEAT_EVENT_DIAL_FAILED", 11),
    ("PEERBEAT_EVENT_RETRY", 12),
    ("PEERBEAT_EVENT_WARNING", 13),
    ("PEERBEAT_EVENT_STOPPED", 14),
    ("PEERBEAT_EVENT_HANDLER_BUSY", 15),
    ("PEERBEAT_EVENT_NOT_READING", 16),
    ("PEERBEAT_EVENT_QUEUE_HIGH", 17),
    ("PEERBEAT_EVENT_QUEUE_LOW", 18),
    ("PEERBEAT_EVENT_MESSAGE", 100),
    ("PEERBEAT_DIRECTION_DIALLED", 1),
    ("PEERBEAT_DIRECTION_ACCEPTED", 2),
    ("PEERBEAT_CAUSE_PEER", 1),
    ("PEERBEAT_CAUSE_LOCAL", 2),
    ("PEERBEAT_REFUSED_UNKNOWN_PEER", 1),
    ("PEERBEAT_REFUSED_ALREADY_CONNECTED", 2),
    ("PEERBEAT_REFUSED_VERSION", 3),
    ("PEERBEAT_REFUSED_PROTOCOL", 4),
    ("PEERBEAT_REFUSED_TOO_SLOW", 5),
    ("PEERBEAT_REFUSED_SHUTTING_DOWN", 6),
    ("PEERBEAT_REFUSED_TOO_MANY", 7),
    ("PEERBEAT_REFUSED_GONE", 8),
    ("PEERBEAT_REFUSED_NAME", 9),
    ("PEERBEAT_DIAL_RESOLVE", 1),
    ("PEERBEAT_DIAL_CONNECT", 2),
    ("PEERBEAT_DIAL_TIMEOUT", 3),
    ("PEERBEAT_DIAL_REFUSED", 4),
    ("PEERBEAT_DIAL_PROTOCOL", 5),
    ("PEERBEAT_DIAL_EOF", 6),
    ("PEERBEAT_DIAL_IO", 7),
    ("PEERBEAT_DIAL_NAME", 8),
    ("PEERBEAT_STATE_UP", 1),
    ("PEERBEAT_STATE_LATE", 2),
    ("PEERBEAT_STATE_DOWN", 3),
    ("PEERBEAT_NEVER", -1),
    ("PEERBEAT_NEXT_NOTHING", 0),
    ("PEERBEAT_NEXT_SEND_HEARTBEAT", 1),
    ("PEERBEAT_NEXT_LATE", 2),
    ("PEERBEAT_NEXT_SILENT", 3),
    ("PEERBEAT_NEXT_STALLED", 4),
    ("PEERBEAT_NEXT_WRITE_STALLED", 5),
    ("PEERBEAT_NEXT_EVENT", 6),
    ("PEERBEAT_NEXT_SHUTDOWN_WRITE", 7),
    ("PEERBEAT_LAYER_ENDED", 1),
    ("PEERBEAT_HELLO_MAX", 1028),
];

/// Hands every struct of the header to a macro: its name, Rust's, its size, and each field with its
/// offset, if pointers have 64 bits.
macro_rules! layouts {
    ($to:ident) => {
        $to! {
            "peerbeat_options" PeerbeatOptions 112:
              struct_size 0, heartbeat_time_ms 4, slack_ms 8, heartbeat_time_min_ms 12,
              heartbeat_mode 16, handshake 20, connect_timeout_ms 24, handshake_timeout_ms 28,
              send_timeout_ms 32, close_timeout_ms 36, local_id 40, nagle 44, frame_max 48,
              queue_bytes 56, inbox_bytes 64, stack_size 72, local_name 80, local_label 88,
              thread_name 96, close_max_ms 104, reserved 108;
            "peerbeat_peer" PeerbeatPeer 80:
              struct_size 0, heartbeat_mode 4, name 8, addresses 16, heartbeat_time_ms 24,
              slack_ms 32, heartbeat_time_min_ms 40, connect_timeout_ms 48,
              reconnect_time_min_ms 56, reconnect_time_max_ms 64, send_queue_bytes 72;
            "peerbeat_stats" PeerbeatStats 104:
              struct_size 0, links 4, messages_accepted 8, bytes_sent 16, heartbeats_sent 24,
              messages_received 32, bytes_received 40, heartbeats_received 48, queued_bytes 56,
              round_trip_us 64, inbox_messages 72, inbox_bytes 80, held_ms 88, local_blocked 96,
              reserved 100;
            "peerbeat_event" PeerbeatEvent 256:
              struct_size 0, kind 4, peer 8, text 16, addr 24, remote_name 32, remote_label 40,
              reason_word 48, reason 56, direction 60, cause 64, bye_code 68, silent_ms 72,
              limit_ms 80, heartbeat_time_ms 88, slack_ms 96, last_sent_age_ms 104,
              unsent_frames 112, unsent_bytes 120, up_ms 128, from_ms 136, to_ms 144, late_ms 152,
              asked_ms 160, floor_ms 168, wait_ms 176, line 184, peer_user_data 192, data 200,
              data_len 208, held_ms 216, behind_ms 224, unconfirmed_bytes 232,
              undelivered_frames 240, count 248;
            "peerbeat_handler" PeerbeatHandler 40:
              struct_size 0, send_timeout_ms 4, on_message 8, on_event 16, user_data 24,
              stack_size 32;
            "peerbeat_state" PeerbeatState 360:
              struct_size 0, state 4, reason 8, bye_code 12, silent_ms 16, limit_ms 24,
              heartbeat_time_ms 32, slack_ms 40, last_sent_age_ms 48, up_ms 56, unsent_frames 64,
              unsent_bytes 72, detail 80, unconfirmed_bytes 336, undelivered_frames 344,
              handler_held_ms 352;
            "peerbeat_totals" PeerbeatTotals 280:
              struct_size 0, peers_up 4, messages_accepted 8, bytes_sent 16, heartbeats_sent 24,
              heartbeats_suppressed 32, messages_received 40, bytes_received 48,
              heartbeats_received 56, queued_messages 64, queued_bytes 72, connects 80,
              dial_failures 88, refusals 96, downs 104, own_late 176, stalls 184, up_ms 192,
              own_late_p50_us 200, own_late_p999_us 208, own_late_max_us 216,
              peer_late_p50_us 224, peer_late_p999_us 232, peer_late_max_us 240,
              largest_silence_us 248, round_trip_p50_us 256, round_trip_p999_us 264,
              peer_late 272;
            "peerbeat_published" PeerbeatPublished 24:
              struct_size 0, sent 4, full 8, down 12, not_connected 16, reserved 20;
            "peerbeat_bytes" PeerbeatBytes 16:
              data 0, len 8;
            "peerbeat_layer_connection" PeerbeatLayerConnection 32:
              struct_size 0, direction 4, peer 8, remote_name 16, host 24;
            "peerbeat_layer" PeerbeatLayer 72:
              struct_size 0, reserved 4, create 8, seal 16, open 24, close 32, is_ready 40,
              verified_name 48, destroy 56, user_data 64;
            "peerbeat_liveness" PeerbeatLiveness 768:
              opaque 0;
        }
    };
}

pub(crate) use layouts;
