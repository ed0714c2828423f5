//! A FIX 4.4 initiator whose connection is a peerbeat link: `fix ADDRESS SENDER TARGET [SECONDS]`.
//!
//! Every message has a number, heartbeats included, and the framing counts when it encodes. Logon
//! and the answers to administrative messages stay here. Nothing is stored or requested again: a
//! gap in the numbers, on either side, ends the link, and a new Logon resets them.

pub(crate) mod greeting;

use std::io;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime};

use greeting::{Greeted, greet};
use peerbeat::link::{DownReason, Link, LinkEvent, LinkHandler, LinkOptions};
use peerbeat::liveness::Settings;
use peerbeat::protocol::{Bye, ByeCode, Decoded, Frame, Framing, Heartbeat, ProtocolError};

pub(crate) type FixLink = Link<TcpStream, Arc<Fix>>;

/// FIX 4.4 between two names. A message is what lies between BodyLength and CheckSum; a sent one
/// begins with `35=` and leaves number, names and time to us.
pub(crate) struct Fix {
    /// SenderCompID and TargetCompID, as written in a message.
    names: String,
    /// The numbers of the next message, out and in.
    next: [AtomicU64; 2],
}

impl Fix {
    pub(crate) fn new(sender: &str, target: &str) -> Self {
        let names = format!("49={sender}\x0156={target}\x01");
        Self { names, next: [1, 1].map(AtomicU64::new) }
    }
}

impl Framing for Fix {
    const NEGOTIATES: bool = false;
    const NUMBERED: bool = true;

    fn decode<'a>(&self, bytes: &'a [u8]) -> Result<Decoded<'a>, ProtocolError> {
        let Some((length, body)) = message(bytes)? else { return Ok(Decoded::Partial) };
        let (next, found) = (self.next[1].load(Relaxed), field(body, "34").unwrap_or_default());
        if found.parse() != Ok(next) {
            return refuse(format!("MsgSeqNum {found} (allowed: {next})"));
        }
        self.next[1].store(next + 1, Relaxed);
        Ok(meaning((length, body)))
    }

    // What we send is counted when it is encoded.
    fn decode_own<'a>(&self, bytes: &'a [u8]) -> Result<Decoded<'a>, ProtocolError> {
        Ok(message(bytes)?.map_or(Decoded::Partial, meaning))
    }

    fn encode_data(&self, message: &[u8], out: &mut Vec<u8>) -> Result<(), ProtocolError> {
        let end = message.iter().position(|&byte| byte == SOH).map_or(0, |at| at + 1);
        let (kind, rest) = message.split_at(end);
        if !kind.starts_with(b"35=") || message.last() != Some(&SOH) {
            return refuse("a message begins with 35= and ends with SOH".to_owned());
        }
        let (number, names) = (self.next[0].fetch_add(1, Relaxed), &self.names);
        let head = format!("34={number}\x01{names}52={}\x01", utc());
        let body = [kind, head.as_bytes(), rest].concat();
        let text = [BEGIN, body.len().to_string().as_bytes(), b"\x01", &body].concat();
        out.extend_from_slice(&text);
        out.extend_from_slice(trailer(&text).as_bytes());
        Ok(())
    }

    fn encode_heartbeat(&self, _: &Heartbeat, out: &mut Vec<u8>) {
        let _well_formed = self.encode_data(b"35=0\x01", out);
    }

    fn encode_bye(&self, bye: &Bye<'_>, out: &mut Vec<u8>) {
        let _well_formed = self.encode_data(format!("35=5\x0158={}\x01", bye.code).as_bytes(), out);
    }
}

/// The message at the front: its length and its body.
fn message(bytes: &[u8]) -> Result<Option<(usize, &[u8])>, ProtocolError> {
    let head = bytes.len().min(BEGIN.len());
    if bytes[..head] != BEGIN[..head] {
        return refuse(format!("no FIX 4.4: \"{}\"", bytes[..head].escape_ascii()));
    }
    let digits = bytes[head..].iter().take(6).take_while(|byte| byte.is_ascii_digit()).count();
    let Some(after) = bytes.get(head + digits) else { return Ok(None) };
    let length = std::str::from_utf8(&bytes[head..head + digits]).ok().and_then(|s| s.parse().ok());
    let (&SOH, Some(length @ 1..=BODY_MAX)) = (after, length) else {
        return refuse(format!("BodyLength (allowed: 1 to {BODY_MAX})"));
    };
    let start = head + digits + 1;
    let Some(tail) = bytes.get(start + length..start + length + 7) else { return Ok(None) };
    if tail != trailer(&bytes[..start + length]).as_bytes() {
        return refuse(format!("\"{}\" in the CheckSum's place", tail.escape_ascii()));
    }
    Ok(Some((start + length + 7, &bytes[start..start + length])))
}

fn meaning((length, body): (usize, &[u8])) -> Decoded<'_> {
    let text = field(body, "58").unwrap_or_default();
    let frame = match field(body, "35") {
        Some("0") => Frame::Heartbeat(Heartbeat::default()),
        Some("5") => Frame::Bye(Bye { code: ByeCode::CLOSE, text }),
        _ => Frame::Data(body),
    };
    Decoded::Whole { length, frame }
}

/// The first value of a tag.
pub(crate) fn field<'a>(body: &'a [u8], tag: &str) -> Option<&'a str> {
    let mut fields = body.split(|&byte| byte == SOH);
    let value = fields.find_map(|f| f.strip_prefix(tag.as_bytes())?.strip_prefix(b"="))?;
    std::str::from_utf8(value).ok()
}

fn trailer(bytes: &[u8]) -> String {
    format!("10={:03}\x01", bytes.iter().fold(0u8, |sum, &byte| sum.wrapping_add(byte)))
}

fn refuse<T>(detail: String) -> Result<T, ProtocolError> {
    Err(ProtocolError::Foreign { detail })
}

/// SendingTime. The one wall clock here, and nothing is decided by it.
fn utc() -> String {
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    let (days, second) = (now.as_secs() / 86_400 + 719_468, now.as_secs() % 86_400);
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100); // counted from the 1st of March
    let month = (5 * of_year + 2) / 153;
    let (day, month) = (of_year - (153 * month + 2) / 5 + 1, (month + 2) % 12 + 1);
    let year = era * 400 + year + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}{month:02}{day:02}-{hour:02}:{minute:02}:{second:02}")
}

/// Dials and logs on with a HeartBtInt in seconds; the answer is the other side's.
pub(crate) fn logon(addr: &str, fix: &Arc<Fix>, heart_bt_int: u64) -> io::Result<Greeted<u64>> {
    let mut request = Vec::new();
    let fields = format!("35=A\x0198=0\x01108={heart_bt_int}\x01141=Y\x01");
    fix.encode_data(fields.as_bytes(), &mut request).map_err(io::Error::other)?;
    greet(addr, &request, Arc::clone(fix), Duration::from_secs(10), |frame| match frame {
        Frame::Data(body) if field(body, "35") == Some("A") => {
            Ok(field(body, "108").and_then(|seconds| seconds.parse().ok()))
        }
        Frame::Bye(bye) => Err(io::Error::other(bye.text.to_owned())),
        _ => Err(io::Error::other("a Logon was expected")),
    })
}

/// HeartBtInt both ways. A TestRequest at half of the slack, the end at all of it.
pub(crate) fn settings(heart_bt_int: Duration) -> Settings {
    Settings::default().heartbeat_time(Some(heart_bt_int)).slack(heart_bt_int)
}

/// Answers what the session level wants answered, and hands on the rest.
pub(crate) struct Session<T>(pub(crate) T);

impl<T: FnMut(&FixLink, &[u8])> LinkHandler<TcpStream, Arc<Fix>> for Session<T> {
    fn on_message(&mut self, link: &FixLink, body: &[u8]) {
        match field(body, "35") {
            Some("1") => {
                let id = field(body, "112").unwrap_or_default();
                let _is_down = link.send(format!("35=0\x01112={id}\x01").as_bytes());
            }
            Some("2") => {
                let reason = DownReason::Local { detail: "it wants messages again".to_owned() };
                link.end(reason, Some(&Bye { code: ByeCode::CLOSE, text: "" }));
            }
            _ => (self.0)(link, body),
        }
    }

    fn on_event(&mut self, link: &FixLink, event: &LinkEvent) {
        if let LinkEvent::Late { .. } = event {
            let _is_down = link.send(b"35=1\x01112=are you there\x01");
        }
    }
}

fn main() -> io::Result<()> {
    let word = |at, default: &str| std::env::args().nth(at).unwrap_or_else(|| default.to_owned());
    let fix = Arc::new(Fix::new(&word(2, "BUYSIDE"), &word(3, "SELLSIDE")));
    let Greeted { stream, received, answer } = logon(&word(1, "127.0.0.1:9878"), &fix, 30)?;
    let liveness = settings(Duration::from_secs(answer));
    let options = LinkOptions::default().liveness(liveness).received(received);
    let print = Session(|_: &FixLink, body: &[u8]| println!("{}", body.escape_ascii()));
    let link = Link::start_with(stream, fix, &options, print)?;
    link.wait_down(Duration::from_secs(word(4, "60").parse().unwrap_or(60)));
    link.close();
    println!("{:?}", link.wait_down(Duration::from_secs(1)));
    Ok(())
}

const BEGIN: &[u8] = b"8=FIX.4.4\x019=";
const SOH: u8 = 1;
const BODY_MAX: usize = 64 << 10;
