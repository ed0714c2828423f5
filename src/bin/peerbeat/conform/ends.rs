//! The checks of the end of a link: rule H5.
//!
//! What the other side does of its own accord, such as its own orderly close, cannot be triggered
//! from outside; here the link is always ended by us.

use std::time::{Duration, Instant};

use super::bench::Bench;
use super::conn::{Conn, Failure, Seen, frame};

/// BYE ends the link, whatever its code.
pub(crate) fn closes_after_bye(bench: &Bench<'_>) -> Result<(), Failure> {
    for bytes in [frame(4, b"\0"), frame(4, b"\x06going"), frame(4, b"\xc8a code of the future")] {
        let mut conn = bench.link(5000)?;
        conn.send(&bytes)?;
        conn.expect_end(bench.soon())?;
    }
    Ok(())
}

/// Data, BYE and the end of our stream in one go: it reads all of it, and we see no reset.
pub(crate) fn closes_while_data_flows(bench: &Bench<'_>) -> Result<(), Failure> {
    let (mut conn, _) = bench.settled(5000)?;
    for _ in 0..64 {
        conn.send(&frame(3, &[0x55; 1000]).repeat(4))?;
        read_what_is_there(&mut conn)?;
    }
    conn.send(&frame(4, b"\0"))?;
    conn.shut_sending();
    let (_, reset) = conn.expect_end(bench.soon() * 3)?;
    let expected = "the end of the stream: a reset destroys what was under way";
    conn.require(!reset, expected, &Seen::End(true))
}

fn read_what_is_there(conn: &mut Conn) -> Result<(), Failure> {
    let until = Instant::now() + Duration::from_millis(1);
    while Instant::now() < until {
        match conn.next(until)? {
            Seen::Nothing => break,
            Seen::Data(_) | Seen::Beat(_) => {}
            other => return Err(conn.failure("data or heartbeats", &other.to_string())),
        }
    }
    Ok(())
}

/// The end of our stream without BYE ends the link too.
pub(crate) fn closes_after_eof(bench: &Bench<'_>) -> Result<(), Failure> {
    let (mut conn, _) = bench.settled(5000)?;
    conn.shut_sending();
    conn.expect_end(bench.soon()).map(drop)
}
