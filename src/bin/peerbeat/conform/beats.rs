//! Checks of heartbeats and of silence: rules H1 to H4 and H6.
//!
//! That nothing comes too early is checked exactly, by the other side's clock if its heartbeats
//! carry one; that it comes in time only within the tolerance, which allows for network and
//! machine.

use std::io::Write;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use peerbeat::protocol::Heartbeat;

use super::bench::Bench;
use super::conn::{Conn, Failure, Seen, beat, frame};

/// H1: a heartbeat as soon as the link is there, which carries the value in force.
pub(crate) fn announced_at_start(bench: &Bench<'_>) -> Result<(), Failure> {
    let mut conn = bench.link(60_000)?;
    let own = conn.hello.flatten().filter(|value| *value > 0).unwrap_or(60_000).min(60_000);
    // Before one would be due anyway.
    let within = bench.soon().min(Duration::from_millis(u64::from(own) / 2));
    let expected = format!("HEARTBEAT {own} ms at once");
    conn.expect_beat(&expected, within, |beat| beat.heartbeat_time_ms == own).map(drop)
}

/// H1, H6: a new value is announced while both ends are busy with data.
pub(crate) fn announced_while_busy(bench: &Bench<'_>) -> Result<(), Failure> {
    let (mut conn, value) = bench.settled(5000)?;
    let writer = conn.writer().map_err(|e| conn.failure("a link", &e.to_string()))?;
    let done = AtomicBool::new(false);
    // It outlasts the wait: what is announced behind it comes too late.
    let longest = FLOOD_BEFORE + bench.soon() + DRAIN;
    thread::scope(|scope| {
        scope.spawn(|| flood(&writer, value - 1, longest, &done));
        let expected = format!("HEARTBEAT {} ms while data flows", value - 1);
        let found = conn.expect_beat(&expected, FLOOD_BEFORE + bench.soon(), |beat| {
            beat.heartbeat_time_ms == value - 1
        });
        done.store(true, Relaxed);
        // What is on its way still comes, and must not hold the writer up.
        let until = Instant::now() + DRAIN;
        while matches!(conn.next(until), Ok(Seen::Data(_) | Seen::Beat(_))) {}
        found.map(drop)
    })
}

/// Data without a pause, and in the midst of it a smaller value.
fn flood(mut writer: &TcpStream, value: u32, longest: Duration, done: &AtomicBool) {
    let (data, began) = (frame(3, &[0x55; 1000]), Instant::now());
    let mut announced = false;
    while !done.load(Relaxed) && began.elapsed() < longest {
        let mut piece = data.repeat(8);
        if !announced && began.elapsed() > FLOOD_BEFORE {
            announced = true;
            piece.extend_from_slice(&beat(value, 1));
        }
        if writer.write_all(&piece).is_err() {
            return;
        }
    }
}

/// H2: a smaller value becomes theirs, and is announced.
pub(crate) fn adopts_smaller(bench: &Bench<'_>) -> Result<(), Failure> {
    let (mut conn, value) = bench.settled(5000)?;
    let smaller = value - value / 10 - 1;
    conn.send(&beat(smaller, 1))?;
    let expected = format!("HEARTBEAT {smaller} ms");
    conn.expect_beat(&expected, bench.soon(), |b| b.heartbeat_time_ms == smaller).map(drop)
}

/// H2: 0 and larger values change nothing.
pub(crate) fn keeps_at(bench: &Bench<'_>, other: u32) -> Result<(), Failure> {
    let (mut conn, value) = bench.settled(5000)?;
    conn.send(&beat(other, 1))?;
    let until = Instant::now() + Duration::from_millis(500);
    loop {
        match conn.next(until)? {
            Seen::Nothing => break,
            Seen::Beat(b) if b.heartbeat_time_ms == value => {}
            Seen::Data(_) => {}
            other => {
                let expected = format!("no value but {value} ms");
                return Err(conn.failure(&expected, &other.to_string()));
            }
        }
    }
    // It still listens, and still has a value that can become smaller.
    conn.send(&beat(value - 1, 1))?;
    let expected = format!("HEARTBEAT {} ms after that", value - 1);
    conn.expect_beat(&expected, bench.soon(), |b| b.heartbeat_time_ms == value - 1).map(drop)
}

/// H2: a value below the floor is raised to it, and causes no flood.
pub(crate) fn raises_to_the_floor(bench: &Bench<'_>) -> Result<(), Failure> {
    let (mut conn, own) = bench.settled(5000)?;
    let floor = u32::try_from(bench.options.floor.as_millis()).unwrap_or(u32::MAX).max(1);
    let raised = floor.min(own);
    conn.send(&beat(1, 1))?;
    let expected = format!("HEARTBEAT {raised} ms, the floor");
    conn.expect_beat(&expected, bench.soon(), |b| b.heartbeat_time_ms == raised)?;
    let (mut count, until) = (0, Instant::now() + Duration::from_secs(1));
    // It must hear of us meanwhile.
    let mut due = Instant::now();
    while Instant::now() < until {
        if Instant::now() >= due {
            conn.send(&beat(raised, 1))?;
            due += Duration::from_millis(raised.into());
        }
        match conn.next(due.min(until))? {
            Seen::Nothing => {}
            Seen::Beat(_) => count += 1,
            Seen::Data(_) => {}
            other => return Err(conn.failure("heartbeats", &other.to_string())),
        }
    }
    let most = 1000 / raised + 2;
    let got = format!("{count} in a second");
    if count <= most { Ok(()) } else { Err(conn.failure(&format!("at most {most}"), &got)) }
}

/// H3: on an idle link, one each heartbeat-time: never earlier, by the sender's own clock if it
/// says what it shows, and not noticeably later.
pub(crate) fn beats_when_idle(bench: &Bench<'_>) -> Result<(), Failure> {
    let (mut conn, value) = bench.settled(IDLE)?;
    let period = Duration::from_millis(value.into());
    let mut last: Option<(Instant, Heartbeat)> = None;
    let mut gaps = Vec::new();
    while gaps.len() < 5 {
        let expected = format!("HEARTBEAT {value} ms each {period:?}");
        let found = conn.expect_beat(&expected, period * 3 + bench.soon(), |_| true)?;
        // We are to be heard of too.
        conn.send(&beat(value, 1))?;
        if let Some((at, before)) = last {
            let gap = conn.heard - at;
            let by_their_clock = found
                .timing
                .zip(before.timing)
                .map(|(now, then)| Duration::from_micros(now.sent_us.saturating_sub(then.sent_us)));
            let (least, shown) = match by_their_clock {
                Some(sent) => (period.saturating_sub(Duration::from_millis(2)), sent),
                None => (period.mul_f64(0.75), gap),
            };
            if shown < least {
                return Err(
                    conn.failure(&format!("never before {period:?}"), &format!("{shown:?}"))
                );
            }
            gaps.push(gap);
        }
        last = Some((conn.heard, found));
    }
    gaps.sort();
    let (median, most) = (gaps[gaps.len() / 2], period.mul_f64(1.5));
    let expected = format!("one each {period:?}, {most:?} at most");
    if median <= most { Ok(()) } else { Err(conn.failure(&expected, &format!("{median:?}"))) }
}

/// H4: silence ends the link at its limit.
pub(crate) fn silence_kills(bench: &Bench<'_>) -> Result<(), Failure> {
    let (mut conn, value) = bench.settled(SILENT)?;
    let limit = Duration::from_millis(value.into()) + bench.options.slack;
    conn.send(&beat(value, 1))?;
    let began = conn.sent;
    let expected = format!("the end after {limit:?} of silence");
    let end = conn.expect_end(limit + bench.soon());
    let after = began.elapsed();
    end.map_err(|failure| Failure { expected: expected.clone(), ..failure })?;
    let got = format!("the end after {after:.3?}");
    if after >= limit { Ok(()) } else { Err(conn.failure(&expected, &got)) }
}

/// H5: death is abrupt.
pub(crate) fn death_is_abrupt(bench: &Bench<'_>) -> Result<(), Failure> {
    let (mut conn, value) = bench.settled(SILENT)?;
    let limit = Duration::from_millis(value.into()) + bench.options.slack;
    match conn.expect_end(limit + bench.soon())? {
        (None, _) => Ok(()),
        (Some((code, text)), _) => {
            Err(conn.failure("the end without BYE", &Seen::Bye(code, text).to_string()))
        }
    }
}

/// H4: part of a frame is life, however long the frame takes.
pub(crate) fn parts_are_life(bench: &Bench<'_>) -> Result<(), Failure> {
    let mut tries = 5;
    loop {
        let (mut conn, value) = bench.settled(SILENT)?;
        let limit = Duration::from_millis(value.into()) + bench.options.slack;
        let mut longest = Duration::ZERO;
        let outcome = drip(&mut conn, limit, &mut longest);
        tries -= 1;
        // If this process was not run for that long, the silence was its own.
        if outcome.is_ok() || longest < limit / 2 || tries == 0 {
            return outcome;
        }
    }
}

/// Sends a frame byte by byte: it is whole long after the limit.
fn drip(conn: &mut Conn, limit: Duration, longest: &mut Duration) -> Result<(), Failure> {
    for byte in frame(3, &[0x55; 12]) {
        let last = conn.sent;
        let outcome = conn.send(&[byte]).and_then(|()| {
            conn.expect_life("a link that hears a byte now and then", limit.mul_f64(0.3))
        });
        *longest = (*longest).max(conn.sent - last).max(conn.sent.elapsed());
        outcome?;
    }
    Ok(())
}

/// Heartbeat-times of checks that wait for some of them, in ms.
const IDLE: u32 = 800;
const SILENT: u32 = 500;
/// Data flows for so long before the new value.
const FLOOD_BEFORE: Duration = Duration::from_millis(200);
const DRAIN: Duration = Duration::from_millis(300);
