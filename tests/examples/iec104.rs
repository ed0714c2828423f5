//! An IEC 60870-5-104 controlling station over a peerbeat link: `iec104 [ADDRESS]`.
//!
//! A test frame goes out when nothing was received for t3, and a station that does not answer it
//! within t1 is dead: late after t3, silent after t3 + t1. The rest is sequence numbers. Each side
//! numbers its I frames, confirms the other's within t2 or after `w` of them, and gives up a side
//! that does not confirm within t1. The framing counts; a thread keeps t1 and t2.

pub(crate) mod greeting;

use std::collections::VecDeque;
use std::io;
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use greeting::{Greeted, greet};
use peerbeat::link::{DownReason, Link, LinkEvent, LinkHandler, LinkOptions, SendError};
use peerbeat::liveness::{FixedIntervals, Settings};
use peerbeat::protocol::{Decoded, Frame, Framing, Heartbeat, ProtocolError};

pub(crate) type IecLink = Link<TcpStream, Arc<Iec104>>;

/// The times and windows of the standard, with its defaults.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parameters {
    pub(crate) t1: Duration, // until what was sent must be confirmed
    pub(crate) t2: Duration, // until we confirm, less than t1
    pub(crate) t3: Duration, // of silence until a test frame, more than t1
    pub(crate) k: usize,     // the most frames that are sent and not confirmed
    pub(crate) w: u16,       // so many received ones are confirmed at once
}

impl Parameters {
    pub(crate) fn standard() -> Self {
        let [t1, t2, t3] = [15, 10, 20].map(Duration::from_secs);
        Self { t1, t2, t3, k: 12, w: 8 }
    }

    /// Late at t3, when the test frame goes out, and silent t1 after it: late is half of the slack.
    pub(crate) fn settings(&self) -> Settings {
        let given = FixedIntervals { send: None, expect: Some(self.t3 - self.t1) };
        Settings::default().given(Some(given)).slack(2 * self.t1)
    }
}

/// The sequence numbers of a connection: 15 bits, counted around.
#[derive(Default)]
struct Counts {
    next_out: u16,
    unconfirmed: VecDeque<Instant>, // when each was sent
    next_in: u16,
    owed: u16, // received and not confirmed by us
    owed_since: Option<Instant>,
}

/// Frames of IEC 104. A received message is a whole frame, an I frame or a U frame that wants
/// something; a sent one is an ASDU, or one byte: an S frame (`0x01`) or a U frame's function.
#[derive(Default)]
pub(crate) struct Iec104 {
    counts: Mutex<Counts>,
    room: Condvar, // a confirmation came
}

impl Iec104 {
    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn confirm(&self, number: u16) -> Result<(), ProtocolError> {
        let mut counts = self.lock(); // all before N(R) has arrived there
        let left = counts.next_out.wrapping_sub(number) & 0x7fff;
        let Some(confirmed) = counts.unconfirmed.len().checked_sub(left.into()) else {
            return refuse(format!("N(R) {number} (our next is {})", counts.next_out));
        };
        counts.unconfirmed.drain(..confirmed);
        self.room.notify_all();
        Ok(())
    }

    fn count_in(&self, number: u16) -> Result<(), ProtocolError> {
        let mut counts = self.lock();
        if number != counts.next_in {
            return refuse(format!("N(S) {number} (allowed: {})", counts.next_in));
        }
        counts.next_in = (number + 1) & 0x7fff;
        counts.owed += 1;
        counts.owed_since.get_or_insert_with(Instant::now);
        Ok(())
    }
}

impl Framing for Iec104 {
    const NEGOTIATES: bool = false;

    fn decode<'a>(&self, bytes: &'a [u8]) -> Result<Decoded<'a>, ProtocolError> {
        let Some(frame) = frame(bytes)? else { return Ok(Decoded::Partial) };
        let [a, b, c, d] = [frame[2], frame[3], frame[4], frame[5]];
        if a & 3 != 3 {
            self.confirm(u16::from_le_bytes([c, d]) >> 1)?;
        }
        if a & 1 == 0 {
            self.count_in(u16::from_le_bytes([a, b]) >> 1)?;
        }
        Ok(meaning(frame))
    }

    fn decode_own<'a>(&self, bytes: &'a [u8]) -> Result<Decoded<'a>, ProtocolError> {
        Ok(frame(bytes)?.map_or(Decoded::Partial, meaning))
    }

    fn encode_data(&self, message: &[u8], out: &mut Vec<u8>) -> Result<(), ProtocolError> {
        let mut counts = self.lock();
        let [c, d] = (counts.next_in << 1).to_le_bytes();
        match *message {
            [S_FRAME] => out.extend_from_slice(&[START, 4, S_FRAME, 0, c, d]),
            [function] => {
                out.extend_from_slice(&[START, 4, function, 0, 0, 0]);
                return Ok(());
            }
            _ if (6..=249).contains(&message.len()) => {
                let [a, b] = (counts.next_out << 1).to_le_bytes();
                out.extend_from_slice(&[START, 4 + message.len() as u8, a, b, c, d]);
                out.extend_from_slice(message);
                counts.next_out = (counts.next_out + 1) & 0x7fff;
                counts.unconfirmed.push_back(Instant::now());
            }
            _ => return refuse(format!("an ASDU of {} bytes (6 to 249)", message.len())),
        }
        (counts.owed, counts.owed_since) = (0, None);
        Ok(())
    }

    fn encode_heartbeat(&self, _: &Heartbeat, out: &mut Vec<u8>) {
        out.extend_from_slice(&[START, 4, TESTFR_ACT, 0, 0, 0]);
    }
}

fn frame(bytes: &[u8]) -> Result<Option<&[u8]>, ProtocolError> {
    match bytes {
        [] | [START] => Ok(None),
        [START, 4..=253, ..] => Ok(bytes.get(..2 + usize::from(bytes[1]))),
        _ => refuse(format!("no IEC 104: \"{}\"", bytes[..bytes.len().min(4)].escape_ascii())),
    }
}

fn meaning(bytes: &[u8]) -> Decoded<'_> {
    let frame = match bytes[2] {
        S_FRAME => Frame::Unknown { kind: S_FRAME },
        TESTFR_CON => Frame::Heartbeat(Heartbeat::default()),
        _ => Frame::Data(bytes),
    };
    Decoded::Whole { length: bytes.len(), frame }
}

fn refuse<T>(detail: String) -> Result<T, ProtocolError> {
    Err(ProtocolError::Foreign { detail })
}

/// Dials, and starts the transfer of data, within t1.
pub(crate) fn start(
    addr: impl ToSocketAddrs,
    framing: &Arc<Iec104>,
    parameters: &Parameters,
) -> io::Result<Greeted<()>> {
    let request = [START, 4, STARTDT_ACT, 0, 0, 0];
    greet(addr, &request, Arc::clone(framing), parameters.t1, |frame| match frame {
        Frame::Data([_, _, STARTDT_CON, ..]) => Ok(Some(())),
        _ => Err(io::Error::other("STARTDT con was expected")),
    })
}

/// Sends an ASDU once fewer than k are unconfirmed.
pub(crate) fn send(link: &IecLink, iec: &Iec104, k: usize, asdu: &[u8]) -> Result<(), SendError> {
    while link.is_up() {
        let counts = iec.lock(); // not held while the link is asked, which counts under its own
        if counts.unconfirmed.len() < k {
            break;
        }
        let _told_or_not = iec.room.wait_timeout(counts, Duration::from_millis(50));
    }
    link.send(asdu)
}

/// Keeps t1 and t2 while the link is up. It looks four times in a t2, and what began in between
/// ends no sooner than t2 later: none is missed, and none comes late.
pub(crate) fn keep_times(link: IecLink, iec: Arc<Iec104>, parameters: Parameters) {
    let Parameters { t1, t2, .. } = parameters;
    std::thread::spawn(move || {
        let mut wait = t2 / 4;
        while link.wait_down(wait).is_none() {
            let sent = iec.lock().unconfirmed.front().copied();
            let owed = iec.lock().owed_since;
            if owed.is_some_and(|since| since.elapsed() >= t2 / 2) {
                let _is_down = link.send(&[S_FRAME]); // half of t2 is left for the way
            }
            let left = sent.map_or(t2, |at| t1.saturating_sub(at.elapsed()));
            if left.is_zero() {
                let detail = format!("an I frame was not confirmed within {t1:?}");
                link.end(DownReason::Local { detail }, None);
            }
            wait = left.min(t2 / 4);
        }
    });
}

/// Answers what the link level wants answered, and hands on the ASDUs.
pub(crate) struct Session<T>(pub(crate) Parameters, pub(crate) Arc<Iec104>, pub(crate) T);

impl<T: FnMut(&IecLink, &[u8])> LinkHandler<TcpStream, Arc<Iec104>> for Session<T> {
    fn on_message(&mut self, link: &IecLink, frame: &[u8]) {
        match frame[2] {
            TESTFR_ACT => drop(link.send(&[TESTFR_CON])),
            function if function & 3 == 3 => {}
            _ => {
                let is_due = self.1.lock().owed >= self.0.w;
                let _is_down = is_due.then(|| link.send(&[S_FRAME]));
                (self.2)(link, &frame[6..]);
            }
        }
    }

    fn on_event(&mut self, link: &IecLink, event: &LinkEvent) {
        if let LinkEvent::Late { .. } = event {
            let _is_down = link.send(&[TESTFR_ACT]);
        }
    }
}

fn main() -> io::Result<()> {
    let addr = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:2404".to_owned());
    let (parameters, iec) = (Parameters::standard(), Arc::new(Iec104::default()));
    let Greeted { stream, received, answer: () } = start(addr, &iec, &parameters)?;
    let options = LinkOptions::default().liveness(parameters.settings()).received(received);
    let print = |_: &IecLink, asdu: &[u8]| println!("type {}: {}", asdu[0], asdu.escape_ascii());
    let session = Session(parameters, Arc::clone(&iec), print);
    let link = Link::start_with(stream, Arc::clone(&iec), &options, session)?;
    keep_times(link.clone(), Arc::clone(&iec), parameters);
    send(&link, &iec, parameters.k, INTERROGATION).map_err(io::Error::other)?;
    println!("{:?}", link.wait_down(Duration::from_secs(60)));
    Ok(())
}

pub(crate) const INTERROGATION: &[u8] = &[100, 1, 6, 0, 0xff, 0xff, 0, 0, 0, 20]; // C_IC_NA_1
const START: u8 = 0x68;
const S_FRAME: u8 = 0x01;
const STARTDT_ACT: u8 = 0x07;
const STARTDT_CON: u8 = 0x0b;
const TESTFR_ACT: u8 = 0x43;
const TESTFR_CON: u8 = 0x83;
