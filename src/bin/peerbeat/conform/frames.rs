//! The checks of frames on an established link: rules F1 to F8.
//!
//! Whether frames were understood shows in their effect: a HEARTBEAT among them carries a smaller
//! value, which the other side must announce in turn (H2, H1).

use std::thread;
use std::time::{Duration, Instant};

use super::bench::Bench;
use super::conn::{Conn, Failure, beat, frame};
use super::handshake::sent;

/// A frame may be cut anywhere: each cut HEARTBEAT carries a value, and the last one must be in
/// force in the end.
pub(crate) fn split_anywhere(bench: &Bench<'_>) -> Result<(), Failure> {
    let (mut conn, mut value) = bench.settled(5000)?;
    for at in 1..beat(value, 1).len() {
        value -= 1;
        let bytes = beat(value, 1);
        for piece in [&bytes[..at], &bytes[at..]] {
            conn.send(piece)?;
            thread::sleep(Duration::from_millis(2));
        }
    }
    understood(bench, &mut conn, value, "after HEARTBEATs that were cut at every byte")
}

/// Several frames in one piece, and one that ends in the next.
pub(crate) fn many_at_once(bench: &Bench<'_>) -> Result<(), Failure> {
    let (mut conn, value) = bench.settled(5000)?;
    let mut bytes = Vec::new();
    for less in 1..=20 {
        bytes.extend_from_slice(&frame(3, &[0x55; 17]));
        bytes.extend_from_slice(&beat(value - less, 1));
    }
    let (first, second) = bytes.split_at(bytes.len() - 3);
    conn.send(first)?;
    thread::sleep(Duration::from_millis(20));
    conn.send(second)?;
    understood(bench, &mut conn, value - 20, "after 40 frames in one piece")
}

/// F2.
pub(crate) fn unknown_types(bench: &Bench<'_>) -> Result<(), Failure> {
    let (mut conn, value) = bench.settled(5000)?;
    for kind in [0, 5, 0x7f, 0xff] {
        conn.send(&frame(kind, b""))?;
        conn.send(&frame(kind, &[0xee; 300]))?;
    }
    conn.send(&beat(value - 1, 1))?;
    understood(bench, &mut conn, value - 1, "after types that it does not know")
}

/// F2, F7.
pub(crate) fn longer_heartbeats(bench: &Bench<'_>) -> Result<(), Failure> {
    let (mut conn, value) = bench.settled(5000)?;
    for (less, length) in [(1, 4), (2, 5), (3, 27), (4, 29), (5, 60)] {
        let mut payload = (value - less).to_be_bytes().to_vec();
        payload.resize(length, 0);
        conn.send(&frame(2, &payload))?;
    }
    understood(bench, &mut conn, value - 5, "after HEARTBEATs of 4, 5, 27, 29 and 60 bytes")
}

/// A value that was sent is in force there, which it announces.
fn understood(bench: &Bench<'_>, conn: &mut Conn, value: u32, after: &str) -> Result<(), Failure> {
    let expected = format!("HEARTBEAT {value} ms {after}");
    conn.expect_beat(&expected, bench.soon(), |beat| beat.heartbeat_time_ms == value).map(drop)
}

/// F1: judged from the four bytes alone, so nothing follows them.
pub(crate) fn hostile_lengths(bench: &Bench<'_>) -> Result<(), Failure> {
    for bytes in [&[0; 4][..], &[0xff; 4], b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\0\x01"] {
        let mut conn = bench.link(5000)?;
        conn.send(bytes)?;
        conn.expect_bye(4, bench.soon()).map_err(|failure| sent(failure, bytes))?;
        let mut conn = bench.open()?;
        conn.send(bytes)?;
        let stranger = conn.expect_bye(4, bench.soon());
        stranger.map_err(|failure| sent(failure, bytes))?;
    }
    Ok(())
}

/// F3.
pub(crate) fn short_payloads(bench: &Bench<'_>) -> Result<(), Failure> {
    for bytes in [frame(2, b"\0\0\x13"), frame(2, b""), frame(4, b""), frame(4, b"\0\xff")] {
        let mut conn = bench.link(5000)?;
        conn.send(&bytes)?;
        conn.expect_bye(4, bench.soon()).map_err(|failure| sent(failure, &bytes))?;
    }
    Ok(())
}

/// DATA of no bytes, and of a quarter of a megabyte.
pub(crate) fn data_of_any_length(bench: &Bench<'_>) -> Result<(), Failure> {
    let (mut conn, value) = bench.settled(5000)?;
    for length in [0, 1, 1023, 1024, 1025, 256 << 10] {
        conn.send(&frame(3, &vec![0x55; length]))?;
        // What is sent back must not block either side.
        while conn.next(Instant::now() + Duration::from_millis(20))? != super::conn::Seen::Nothing {
        }
    }
    conn.send(&beat(value - 1, 1))?;
    understood(bench, &mut conn, value - 1, "after DATA of up to 256 KiB")
}
