//! One connection to the implementation under test, as frames and their times.
//!
//! It decides nothing: a check states what it expects, and a [`Failure`] shows what arrived
//! instead, with its bytes.

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use peerbeat::protocol::{Decoded, Escaped, Frame, Framing, Heartbeat, Hello, Native, Timing};

/// What was expected and what came instead.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Failure {
    pub(crate) expected: String,
    pub(crate) got: String,
    /// The last bytes that came.
    pub(crate) bytes: Vec<u8>,
}

/// What came.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Seen {
    /// A HELLO with this heartbeat-time.
    Hello(Option<u32>),
    /// A HEARTBEAT.
    Beat(Heartbeat),
    /// DATA of so many bytes.
    Data(usize),
    /// A BYE with its code and text.
    Bye(u8, String),
    /// A type that version 1 does not know.
    Unknown(u8),
    /// The end of the stream; `true` = it was a reset.
    End(bool),
    /// Nothing, until the time was up.
    Nothing,
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hello(Some(value)) => write!(f, "HELLO with heartbeat-time {value} ms"),
            Self::Hello(None) => f.write_str("HELLO without a heartbeat-time"),
            Self::Beat(beat) => write!(f, "HEARTBEAT {} ms", beat.heartbeat_time_ms),
            Self::Data(length) => write!(f, "DATA of {length} bytes"),
            Self::Bye(code, text) => write!(f, "BYE {code} \"{}\"", Escaped(text)),
            Self::Unknown(kind) => write!(f, "a frame of type 0x{kind:02x}"),
            Self::End(true) => f.write_str("a reset"),
            Self::End(false) => f.write_str("the end of the stream"),
            Self::Nothing => f.write_str("nothing"),
        }
    }
}

/// A connection.
pub(crate) struct Conn {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// The bytes of the frame that came last.
    last: Vec<u8>,
    /// When bytes last came.
    pub(crate) heard: Instant,
    /// When the last write began.
    pub(crate) sent: Instant,
    /// The heartbeat-time in their HELLO, once it has come.
    pub(crate) hello: Option<Option<u32>>,
    /// When the connection was made.
    pub(crate) began: Instant,
}

impl Conn {
    pub(crate) fn new(stream: TcpStream) -> io::Result<Self> {
        let now = Instant::now();
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(WRITE_TIMEOUT))?;
        let (buffer, last) = (Vec::new(), Vec::new());
        Ok(Self { stream, buffer, last, heard: now, sent: now, hello: None, began: now })
    }

    /// A second handle, to write on another thread.
    pub(crate) fn writer(&self) -> io::Result<TcpStream> {
        self.stream.try_clone()
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// The connection is gone.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.sent = Instant::now();
        let written = self.stream.write_all(bytes);
        written.map_err(|e| self.failure("a connection that takes bytes", &e.to_string()))
    }

    /// Sends bytes to a side that may have ended the connection for good reason.
    pub(crate) fn offer(&mut self, bytes: &[u8]) {
        let _ended_as_it_should = self.send(bytes);
    }

    pub(crate) fn shut_sending(&self) {
        let _gone_already = self.stream.shutdown(Shutdown::Write);
    }

    /// What comes next, or `Nothing` at `until`.
    ///
    /// # Errors
    /// Bytes that are not a frame of this protocol.
    pub(crate) fn next(&mut self, until: Instant) -> Result<Seen, Failure> {
        loop {
            if let Some(seen) = self.take_frame()? {
                return Ok(seen);
            }
            let left = until.saturating_duration_since(Instant::now());
            let _ended = self.stream.set_read_timeout(Some(left.max(Duration::from_millis(1))));
            let mut piece = [0; 64 << 10];
            match self.stream.read(&mut piece) {
                Ok(0) => return Ok(Seen::End(false)),
                Ok(count) => {
                    self.heard = Instant::now();
                    self.buffer.extend_from_slice(&piece[..count]);
                }
                Err(e) if is_timeout(&e) && left.is_zero() => return Ok(Seen::Nothing),
                Err(e) if is_timeout(&e) => {}
                Err(_) => return Ok(Seen::End(true)),
            }
        }
    }

    fn take_frame(&mut self) -> Result<Option<Seen>, Failure> {
        let (length, seen) = match Native::default().decode(&self.buffer) {
            Ok(Decoded::Partial) => return Ok(None),
            Ok(Decoded::Whole { length, frame }) => (length, Seen::from(frame)),
            Err(error) => {
                self.last = std::mem::take(&mut self.buffer);
                return Err(self.failure("frames of the protocol", &error.to_string()));
            }
        };
        self.last = self.buffer.drain(..length).collect();
        if let Seen::Hello(value) = seen {
            self.hello = Some(value);
        }
        Ok(Some(seen))
    }

    /// A failure that shows the last bytes.
    pub(crate) fn failure(&self, expected: &str, got: &str) -> Failure {
        let bytes = self.last.iter().take(SHOWN_MAX).copied().collect();
        Failure { expected: expected.to_owned(), got: got.to_owned(), bytes }
    }

    /// Fails unless `is` holds of what came.
    pub(crate) fn require(&self, is: bool, expected: &str, got: &Seen) -> Result<(), Failure> {
        if is { Ok(()) } else { Err(self.failure(expected, &got.to_string())) }
    }

    /// Waits for a HELLO; whatever else comes is a failure.
    pub(crate) fn expect_hello(&mut self, within: Duration) -> Result<Option<u32>, Failure> {
        match self.next(Instant::now() + within)? {
            Seen::Hello(value) => Ok(value),
            other => Err(self.failure("HELLO", &other.to_string())),
        }
    }

    /// Waits for a HEARTBEAT that `is` wanted; heartbeats and data before it are passed over.
    pub(crate) fn expect_beat(
        &mut self,
        expected: &str,
        within: Duration,
        is: impl Fn(&Heartbeat) -> bool,
    ) -> Result<Heartbeat, Failure> {
        let until = Instant::now() + within;
        let mut last = None;
        loop {
            match self.next(until)? {
                Seen::Beat(beat) if is(&beat) => return Ok(beat),
                Seen::Nothing => {
                    let got = last.unwrap_or(Seen::Nothing);
                    let got = format!("{got} within {within:?}");
                    return Err(self.failure(expected, &got));
                }
                seen @ (Seen::Beat(_) | Seen::Data(_)) => last = Some(seen),
                other => return Err(self.failure(expected, &other.to_string())),
            }
        }
    }

    /// Waits for the end; heartbeats, data and goodbyes before it are passed over. Returns the last
    /// goodbye and whether the end was a reset.
    pub(crate) fn expect_end(
        &mut self,
        within: Duration,
    ) -> Result<(Option<(u8, String)>, bool), Failure> {
        let until = Instant::now() + within;
        let mut bye = None;
        loop {
            match self.next(until)? {
                Seen::End(reset) => return Ok((bye, reset)),
                Seen::Bye(code, text) => bye = Some((code, text)),
                Seen::Nothing => {
                    let got = format!("a connection that is still there after {within:.1?}");
                    return Err(self.failure("the end of the connection", &got));
                }
                Seen::Beat(_) | Seen::Data(_) | Seen::Unknown(_) => {}
                other @ Seen::Hello(_) => {
                    return Err(self.failure("the end of the connection", &other.to_string()));
                }
            }
        }
    }

    /// Waits for BYE with this code, and the end behind it.
    pub(crate) fn expect_bye(&mut self, code: u8, within: Duration) -> Result<(), Failure> {
        let expected = format!("BYE {code} and the end of the connection");
        let end = self.expect_end(within).map_err(|f| Failure { expected: expected.clone(), ..f });
        match end? {
            (Some((found, _)), _) if found == code => Ok(()),
            // A reset may have destroyed it on the way.
            (None, true) => Ok(()),
            (Some((found, text)), _) => {
                Err(self.failure(&expected, &Seen::Bye(found, text).to_string()))
            }
            (None, false) => Err(self.failure(&expected, "the end without BYE")),
        }
    }

    /// Nothing ends the connection for this long; heartbeats and data may come.
    pub(crate) fn expect_life(&mut self, expected: &str, time: Duration) -> Result<(), Failure> {
        let until = Instant::now() + time;
        loop {
            match self.next(until)? {
                Seen::Nothing => return Ok(()),
                Seen::Beat(_) | Seen::Data(_) | Seen::Unknown(_) => {}
                other => return Err(self.failure(expected, &other.to_string())),
            }
        }
    }
}

impl From<Frame<'_>> for Seen {
    fn from(frame: Frame<'_>) -> Self {
        match frame {
            Frame::Hello(hello) => Self::Hello(hello.heartbeat_time_ms),
            Frame::Heartbeat(beat) => Self::Beat(beat),
            Frame::Data(data) => Self::Data(data.len()),
            Frame::Bye(bye) => Self::Bye(bye.code.0, bye.text.to_owned()),
            Frame::Unknown { kind } => Self::Unknown(kind),
        }
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

/// A frame from its type and payload, whatever they are.
pub(crate) fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len() + 1).unwrap_or(u32::MAX);
    [&length.to_be_bytes()[..], &[kind], payload].concat()
}

/// A HELLO from us.
pub(crate) fn hello(name: &str, value: Option<u32>, probe: bool) -> Vec<u8> {
    let hello = Hello::default().name(name).heartbeat_time_ms(value).probe(probe);
    let mut bytes = Vec::new();
    // The name was checked when the command line was read.
    let _checked = hello.encode(&mut bytes);
    bytes
}

/// A HEARTBEAT from us, with timing.
pub(crate) fn beat(value: u32, sent_us: u64) -> Vec<u8> {
    let timing = Some(Timing { sent_us, echo_us: 0, echo_age_us: 0 });
    let mut bytes = Vec::new();
    Heartbeat { heartbeat_time_ms: value, timing }.encode(&mut bytes);
    bytes
}

/// A peer that takes nothing for so long is stuck.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// What a failure shows of a long frame.
const SHOWN_MAX: usize = 64;
