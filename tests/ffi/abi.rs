//! The numbers and layouts in Rust are the pinned ones.

use std::mem::offset_of;

use peerbeat::ffi::*;

use super::numbers::{NUMBERS, STATUS, layouts};

#[test]
#[cfg(target_pointer_width = "64")]
fn structs_have_the_layout_that_was_agreed() {
    macro_rules! compare {
        ($($name:literal $rust:ident $size:literal: $($field:ident $offset:literal),*;)*) => {
            $(assert_eq!(size_of::<$rust>(), $size, $name);
            $(assert_eq!(offset_of!($rust, $field), $offset, "{}.{}", $name, stringify!($field));)*)*
        };
    }
    layouts!(compare);
}

#[test]
fn the_numbers_of_rust_are_those_of_the_header() {
    let ours = [
        OK,
        E_INVALID,
        E_CONFIG,
        E_NOT_FOUND,
        E_TIMEOUT,
        E_FULL,
        E_TOO_SMALL,
        E_TOO_LONG,
        E_DOWN,
        E_NOT_CONNECTED,
        E_CONNECT,
        E_REFUSED,
        E_HANDSHAKE,
        E_LISTEN,
        E_IO,
        E_LIMIT,
        E_OWN_THREAD,
        E_FORKED,
        E_BUSY,
        E_CLOSED,
        E_NEXT_CONNECTION,
        E_PANIC,
    ];
    let pinned: Vec<_> = STATUS.iter().map(|(_, number)| *number).collect();
    assert_eq!(ours.as_slice(), pinned);
    let number = |name| NUMBERS.iter().find(|(other, _)| *other == name).unwrap().1;
    assert_eq!(number("PEERBEAT_ABI_VERSION"), ABI_VERSION);
    let states = [STATE_UP, STATE_LATE, STATE_DOWN];
    let names = ["PEERBEAT_STATE_UP", "PEERBEAT_STATE_LATE", "PEERBEAT_STATE_DOWN"];
    assert_eq!(states, names.map(number));
    let nexts = [NEXT_NOTHING, NEXT_SEND_HEARTBEAT, NEXT_LATE, NEXT_SILENT, NEXT_STALLED];
    let names = ["NOTHING", "SEND_HEARTBEAT", "LATE", "SILENT", "STALLED"];
    for (next, name) in nexts.iter().zip(names) {
        assert_eq!(
            *next,
            NUMBERS.iter().find(|n| n.0 == format!("PEERBEAT_NEXT_{name}")).unwrap().1
        );
    }
}
