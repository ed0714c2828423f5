//! One probe: a connection, the question, and how the answer is classified.
//!
//! The answer is untrusted: it is limited in size and time, and shown escaped.

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use peerbeat::protocol::{Bye, ByeCode, Decoder, Frame, Heartbeat, Hello, Native, Timing};

use crate::text::Escaped;

/// The result of a probe.
pub(super) struct Answer {
    pub(super) addr: Option<SocketAddr>,
    pub(super) connect: Option<Duration>,
    /// From the question to the first whole frame.
    pub(super) answer: Option<Duration>,
    pub(super) found: Found,
}

/// What is there.
pub(super) enum Found {
    Peerbeat {
        name: String,
        label: String,
        id: u32,
        heartbeat_time: Option<Duration>,
        round_trip: Option<Duration>,
    },
    /// It speaks the protocol, and does not answer probes.
    Refused {
        code: ByeCode,
        text: String,
    },
    Http,
    Tls,
    Ssh {
        banner: String,
    },
    /// It accepts the connection and sends nothing.
    Silent,
    /// It closes the connection.
    Closed,
    /// It answers with something else.
    Unknown {
        bytes: Vec<u8>,
    },
    /// There is no connection.
    Unreachable {
        error: String,
    },
}

impl Found {
    pub(super) fn is_peerbeat(&self) -> bool {
        matches!(self, Self::Peerbeat { .. } | Self::Refused { .. })
    }

    pub(super) fn as_str(&self) -> &'static str {
        match self {
            Self::Peerbeat { .. } => "peerbeat",
            Self::Refused { .. } => "refused",
            Self::Http => "http",
            Self::Tls => "tls",
            Self::Ssh { .. } => "ssh",
            Self::Silent => "silent",
            Self::Closed => "closed",
            Self::Unknown { .. } => "unknown",
            Self::Unreachable { .. } => "unreachable",
        }
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Peerbeat { name, .. } => write!(f, "it is \"{}\"", Escaped(name)),
            Self::Refused { code, text } if text.is_empty() => {
                write!(f, "it does not answer probes: {code}")
            }
            Self::Refused { code, text } => {
                write!(f, "it does not answer probes: {code}: {}", Escaped(text))
            }
            Self::Http => f.write_str("the other side seems to speak HTTP"),
            Self::Tls => f.write_str("the other side seems to speak TLS"),
            Self::Ssh { banner } => {
                write!(f, "the other side seems to speak SSH ({})", Escaped(banner))
            }
            Self::Silent => f.write_str("the other side accepts the connection and says nothing"),
            Self::Closed => f.write_str("the other side closed the connection without an answer"),
            Self::Unknown { bytes } => {
                let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(32)]).into_owned();
                write!(f, "the other side says something else: \"{}\"", Escaped(&shown))
            }
            Self::Unreachable { error } => write!(f, "no connection: {error}"),
        }
    }
}

/// Asks once; each step may take `timeout`.
pub(super) fn ask(target: &str, timeout: Duration) -> Answer {
    let began = Instant::now();
    let (stream, addr) = match connect(target, timeout) {
        Ok(connected) => connected,
        Err(error) => {
            let found = Found::Unreachable { error: error.to_string() };
            return Answer { addr: None, connect: None, answer: None, found };
        }
    };
    let connect = Some(began.elapsed());
    let mut talk = Talk { stream, bytes: Vec::new(), deadline: Instant::now() + timeout };
    let (mut found, answer) = talk.probe();
    // A server that takes one connection at a time is free for the next question.
    drop(talk);
    if matches!(found, Found::Silent | Found::Closed) {
        found = other_protocol(addr, timeout).unwrap_or(found);
    }
    Answer { addr: Some(addr), connect, answer, found }
}

fn connect(target: &str, timeout: Duration) -> io::Result<(TcpStream, SocketAddr)> {
    let mut failure = io::Error::new(ErrorKind::NotFound, "the name has no address");
    for addr in target.to_socket_addrs()? {
        match TcpStream::connect_timeout(&addr, timeout) {
            Ok(stream) => return stream.set_nodelay(true).map(|()| (stream, addr)),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

/// The connection and what has come so far.
struct Talk {
    stream: TcpStream,
    bytes: Vec<u8>,
    deadline: Instant,
}

/// A frame of the answer, taken out of the decoder.
enum Heard {
    Hello { name: String, label: String, id: u32, heartbeat_time_ms: Option<u32> },
    Heartbeat(Heartbeat),
    Bye { code: ByeCode, text: String },
    Other,
}

impl Talk {
    fn probe(&mut self) -> (Found, Option<Duration>) {
        let name = format!("probe-{}", std::process::id());
        let mut hello = Vec::new();
        let question = Hello::default().name(&name).probe(true);
        let asked = Instant::now();
        if question.encode(&mut hello).is_err() || self.stream.write_all(&hello).is_err() {
            return (Found::Closed, None);
        }
        let mut decoder = Decoder::new(Native::default());
        let first = match self.frame(&mut decoder) {
            Ok(first) => first,
            Err(kind) => return (self.taken_for(kind), None),
        };
        let answer = Some(asked.elapsed());
        match first {
            Heard::Hello { name, label, id, heartbeat_time_ms } => {
                let round_trip = self.round_trip(&mut decoder);
                let millis = heartbeat_time_ms.filter(|ms| *ms > 0);
                let heartbeat_time = millis.map(|ms| Duration::from_millis(ms.into()));
                (Found::Peerbeat { name, label, id, heartbeat_time, round_trip }, answer)
            }
            Heard::Bye { code, text } => (Found::Refused { code, text }, answer),
            _ => (Found::Unknown { bytes: std::mem::take(&mut self.bytes) }, answer),
        }
    }

    /// Sends a heartbeat and waits for its echo; then says goodbye.
    fn round_trip(&mut self, decoder: &mut Decoder<Native>) -> Option<Duration> {
        let sent = Instant::now();
        // Any origin will do, but 0 means that there is none.
        let timing = Timing { sent_us: 1, echo_us: 0, echo_age_us: 0 };
        let mut bytes = Vec::new();
        Heartbeat { heartbeat_time_ms: 0, timing: Some(timing) }.encode(&mut bytes);
        self.stream.write_all(&bytes).ok()?;
        let heard = self.frame(decoder).ok()?;
        let took = sent.elapsed();
        let mut bye = Vec::new();
        Bye { code: ByeCode::CLOSE, text: "" }.encode(&mut bye);
        let _ = self.stream.write_all(&bye);
        let _ = self.stream.shutdown(Shutdown::Write);
        match heard {
            Heard::Heartbeat(Heartbeat { timing: Some(timing), .. }) if timing.echo_us == 1 => {
                Some(took.saturating_sub(Duration::from_micros(timing.echo_age_us)))
            }
            _ => None,
        }
    }

    /// The next frame.
    fn frame(&mut self, decoder: &mut Decoder<Native>) -> Result<Heard, ErrorKind> {
        loop {
            match decoder.poll_frame() {
                Ok(Some(frame)) => return Ok(heard(frame)),
                Ok(None) => {}
                Err(_) => return Err(ErrorKind::InvalidData),
            }
            let left = self.deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(ErrorKind::TimedOut);
            }
            let _ = self.stream.set_read_timeout(Some(left));
            let spare = decoder.spare();
            match self.stream.read(spare) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof),
                Ok(count) => {
                    if self.bytes.len() < BYTES_MAX {
                        self.bytes.extend_from_slice(&spare[..count]);
                    }
                    decoder.handle_filled(count);
                    // It need not be a frame: what has a name is known by its beginning.
                    if self.bytes.starts_with(b"HTTP/") || self.bytes.starts_with(b"SSH-") {
                        return Err(ErrorKind::InvalidData);
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if is_timeout(error.kind()) => return Err(ErrorKind::TimedOut),
                Err(_) => return Err(ErrorKind::UnexpectedEof),
            }
        }
    }

    /// What is there if it was not a frame that came.
    fn taken_for(&mut self, kind: ErrorKind) -> Found {
        named(&self.bytes).unwrap_or_else(|| match (self.bytes.is_empty(), kind) {
            (false, _) => Found::Unknown { bytes: std::mem::take(&mut self.bytes) },
            (true, ErrorKind::TimedOut) => Found::Silent,
            (true, _) => Found::Closed,
        })
    }
}

fn heard(frame: Frame<'_>) -> Heard {
    match frame {
        Frame::Hello(Hello { name, label, id, heartbeat_time_ms, .. }) => {
            Heard::Hello { name: name.to_owned(), label: label.to_owned(), id, heartbeat_time_ms }
        }
        Frame::Heartbeat(heartbeat) => Heard::Heartbeat(heartbeat),
        Frame::Bye(Bye { code, text }) => Heard::Bye { code, text: text.to_owned() },
        _ => Heard::Other,
    }
}

/// A protocol that is known by the first bytes of an answer.
fn named(bytes: &[u8]) -> Option<Found> {
    // Before HTTP 1.0 an answer had no head, and some servers still answer nonsense like that.
    let is_page =
        |page: &[u8]| bytes.len() >= page.len() && bytes[..page.len()].eq_ignore_ascii_case(page);
    if is_page(b"<!doctype html") || is_page(b"<html") {
        return Some(Found::Http);
    }
    match bytes {
        [b'H', b'T', b'T', b'P', b'/', ..] => Some(Found::Http),
        [b'S', b'S', b'H', b'-', rest @ ..] => {
            let line = rest.split(|byte| b"\r\n".contains(byte)).next().unwrap_or_default();
            let line = String::from_utf8_lossy(&line[..line.len().min(64)]).into_owned();
            Some(Found::Ssh { banner: format!("SSH-{line}") })
        }
        // An alert or a handshake of TLS 1.x.
        [0x15 | 0x16, 3, ..] => Some(Found::Tls),
        _ => None,
    }
}

/// Asks again, as a client of what may be there and waits for its own kind of question.
fn other_protocol(addr: SocketAddr, timeout: Duration) -> Option<Found> {
    [&b"GET / HTTP/1.0\r\n\r\n"[..], CLIENT_HELLO].iter().find_map(|question| {
        let mut stream = TcpStream::connect_timeout(&addr, timeout).ok()?;
        stream.set_read_timeout(Some(timeout)).ok()?;
        stream.write_all(question).ok()?;
        let mut bytes = [0; 64];
        let count = stream.read(&mut bytes).ok()?;
        named(&bytes[..count])
    })
}

fn is_timeout(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

/// The smallest ClientHello of TLS 1.2: one cipher suite and no extension. A server answers it with
/// its own or with an alert.
const CLIENT_HELLO: &[u8] = &[
    0x16, 3, 1, 0, 45, 1, 0, 0, 41, 3, 3, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16,
    17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 0, 0, 2, 0, 0x2f, 1, 0,
];
/// Bytes of an answer that is not from peerbeat.
const BYTES_MAX: usize = 1024;
