//! The checks of the handshake, rules S1 to S6, and of the probe.
//!
//! A mistake is answered with the BYE of S6 before the connection ends; a reset may have destroyed
//! that BYE on its way, so a reset is accepted instead.

use std::thread;
use std::time::{Duration, Instant};

use super::bench::Bench;
use super::conn::{Conn, Failure, Seen, beat, frame, hello};

/// S2 and S5: nothing comes before our HELLO is whole; the link is there with its last byte.
pub(crate) fn nothing_before_hello(bench: &Bench<'_>) -> Result<(), Failure> {
    let mut conn = bench.open()?;
    let bytes = hello(&bench.options.name, Some(5000), false);
    let (last, most) = bytes.split_last().unwrap_or((&0, &[]));
    conn.send(most)?;
    let seen = conn.next(Instant::now() + NOTHING_WITHIN)?;
    conn.require(seen == Seen::Nothing, "nothing before our HELLO is whole", &seen)?;
    conn.send(&[*last])?;
    if bench.is_listening() {
        return conn.expect_life("a link", bench.soon());
    }
    conn.expect_hello(bench.soon()).map(drop)
}

/// A HELLO in pieces of one byte is a HELLO.
pub(crate) fn hello_byte_by_byte(bench: &Bench<'_>) -> Result<(), Failure> {
    let mut conn = bench.open()?;
    for byte in hello(&bench.options.name, Some(5000), false) {
        conn.send(&[byte])?;
        // Each pause is long on a busy machine, and a HELLO has to be whole in time.
        if conn.began.elapsed() < bench.options.handshake / 4 {
            thread::sleep(Duration::from_millis(2));
        }
    }
    if !bench.is_listening() {
        conn.expect_hello(bench.soon())?;
    }
    conn.expect_beat("HEARTBEAT on the established link", bench.soon() * 2, |_| true).map(drop)
}

/// F5: a HELLO without the value, with a part of it, and with more behind it.
pub(crate) fn hello_of_other_lengths(bench: &Bench<'_>) -> Result<(), Failure> {
    let bare = hello(&bench.options.name, None, false);
    for tail in [&b""[..], b"\xee\xee\xee", b"\x00\x00\x13\x88of the future"] {
        let mut conn = bench.open()?;
        conn.send(&frame(1, &[&bare[5..], tail].concat()))?;
        if !bench.is_listening() {
            conn.expect_hello(bench.soon())?;
        }
        let expected = format!("a link after a HELLO with {} bytes more", tail.len());
        conn.expect_life(&expected, NOTHING_WITHIN)?;
    }
    Ok(())
}

/// S6.
pub(crate) fn another_version(bench: &Bench<'_>) -> Result<(), Failure> {
    for version in [0, 2, 255] {
        // What is behind the version may be anything.
        refused_as(bench, &frame(1, &[b"PBHB", &[version][..], b"??"].concat()), 3)?;
    }
    Ok(())
}

/// F3, F4: a HELLO that is none.
pub(crate) fn bad_hellos(bench: &Bench<'_>) -> Result<(), Failure> {
    let with = |name: &[u8]| {
        let head = [b"PBHB\x01\0\0\0\0\0", &[name.len() as u8][..]].concat();
        frame(1, &[&head, name, b"\0"].concat())
    };
    let magic = frame(1, b"PBHX\x01\0\0\0\0\0\x01n\0");
    for bytes in [magic, frame(1, b"PBHB\x01\0\0"), with(b""), with(b"a\nb"), with(b"a\xff")] {
        refused_as(bench, &bytes, 4)?;
    }
    Ok(())
}

/// S3: something else comes first.
pub(crate) fn another_frame_first(bench: &Bench<'_>) -> Result<(), Failure> {
    for bytes in [frame(3, b"tick"), beat(1000, 1), frame(9, b"?")] {
        refused_as(bench, &bytes, 4)?;
    }
    Ok(())
}

fn refused_as(bench: &Bench<'_>, bytes: &[u8], code: u8) -> Result<(), Failure> {
    let mut conn = bench.open()?;
    conn.send(bytes)?;
    conn.expect_bye(code, bench.soon()).map_err(|failure| sent(failure, bytes))
}

/// Adds the bytes that had been sent to a failure.
pub(crate) fn sent(failure: Failure, bytes: &[u8]) -> Failure {
    let hex: String = bytes.iter().take(24).map(|byte| format!("{byte:02x}")).collect();
    Failure { got: format!("{} (after {hex})", failure.got), ..failure }
}

/// S3.
pub(crate) fn second_hello(bench: &Bench<'_>) -> Result<(), Failure> {
    let mut conn = bench.link(5000)?;
    conn.send(&hello(&bench.options.name, Some(5000), false))?;
    conn.expect_bye(4, bench.soon())
}

/// S4: bytes that keep coming do not move the deadline.
pub(crate) fn slow_hello(bench: &Bench<'_>) -> Result<(), Failure> {
    let limit = bench.options.handshake;
    let mut conn = bench.open()?;
    let bytes = hello(&bench.options.name, Some(5000), false);
    let expected = format!("BYE 5 after {limit:.1?} of a dripping HELLO");
    let until = conn.began + limit + bench.soon();
    let pause = limit.mul_f64(1.5) / u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    // It is never whole.
    for byte in &bytes[..bytes.len() - 1] {
        conn.offer(&[*byte]);
        let seen = conn.next((Instant::now() + pause).min(until))?;
        let after = conn.began.elapsed();
        match seen {
            Seen::Nothing if Instant::now() >= until => break,
            Seen::Nothing => {}
            // A reset may have destroyed the BYE.
            Seen::Bye(5, _) | Seen::End(true) if after + EARLY_MAX >= limit => return Ok(()),
            seen => return Err(conn.failure(&expected, &format!("{seen} after {after:.3?}"))),
        }
    }
    Err(conn.failure(&expected, &format!("nothing after {:.3?}", conn.began.elapsed())))
}

/// P1 to P3. `Ok(Some(why))` = it does not answer probes.
pub(crate) fn probe(bench: &Bench<'_>) -> Result<Option<&'static str>, Failure> {
    if bench.is_listening() {
        return Ok(Some("only an accepting side is probed"));
    }
    for asks in [true, false] {
        let mut conn = bench.open()?;
        conn.send(&hello("peerbeat-conform-probe", Some(0), true))?;
        match conn.next(Instant::now() + bench.soon())? {
            Seen::Hello(_) => {}
            Seen::Bye(1, _) => return Ok(Some("it does not answer probes")),
            other => return Err(conn.failure("HELLO, or BYE 1", &other.to_string())),
        }
        if asks {
            conn.send(&beat(0, ECHO))?;
        }
        answer(bench, &mut conn, asks)?;
    }
    Ok(None)
}

fn answer(bench: &Bench<'_>, conn: &mut Conn, asked: bool) -> Result<(), Failure> {
    let wait = if asked { bench.soon() } else { bench.soon() + Duration::from_secs(1) };
    let seen = conn.next(Instant::now() + wait)?;
    let echo = if asked { ECHO } else { 0 };
    let is = match &seen {
        Seen::Beat(beat) => beat.timing.is_none_or(|timing| timing.echo_us == echo),
        _ => false,
    };
    conn.require(is, &format!("HEARTBEAT that echoes {echo}"), &seen)?;
    let seen = conn.next(Instant::now() + bench.soon())?;
    conn.require(matches!(seen, Seen::Bye(0, _)), "BYE 0", &seen)?;
    conn.expect_end(bench.soon() * 3).map(drop)
}

/// Long enough to see what should not come.
const NOTHING_WITHIN: Duration = Duration::from_millis(300);
/// The side under test began to count a little before or after us.
const EARLY_MAX: Duration = Duration::from_millis(100);
const ECHO: u64 = 0x5052_4f42_4531;
