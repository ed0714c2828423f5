//! Who is speaking: HELLO out, HELLO in, before the link is established.
//!
//! [`connect`](super::connect) and [`accept`](super::accept) do this by themselves. It is public
//! for programs that look at a HELLO before they answer it, or that open a link over a socket of
//! their own: [`dial`] on the side that connected, [`accept`] on the other, then
//! [`Link::establish`](crate::link::Link::establish) with
//! [`LinkOptions::greeted`](crate::link::LinkOptions::greeted).
//!
//! Every wait is computed from one absolute deadline, so that a stranger who sends byte by byte is
//! cut off at the same instant as one who sends nothing. A stranger costs 1 KiB of stack, and
//! memory only once the HELLO is complete and valid.
//!
//! ```
//! use std::net::{TcpListener, TcpStream};
//! use std::time::{Duration, Instant};
//!
//! use peerbeat::link::{Link, LinkOptions, handshake};
//! use peerbeat::protocol::{Hello, Native};
//!
//! fn hello(name: &str) -> Hello<'_> {
//!     Hello::default().name(name).heartbeat_time_ms(Some(5000))
//! }
//!
//! let listener = TcpListener::bind("127.0.0.1:0")?;
//! let addr = listener.local_addr()?;
//! let deadline = Instant::now() + Duration::from_secs(10);
//! let dialling = std::thread::spawn(move || {
//!     let stream = TcpStream::connect(addr).expect("it listens");
//!     handshake::dial(&stream, &hello("left"), deadline).map(|greeting| greeting.name)
//! });
//!
//! let (stream, _) = listener.accept()?;
//! let greeting = handshake::accept(&stream, &hello("right"), deadline)?;
//! assert_eq!(greeting.name, "left");
//! let options = LinkOptions::default().greeted(greeting);
//! let (link, reader) = Link::establish(stream, Native::default(), &options)?;
//! assert_eq!(dialling.join().expect("it did not panic")?, "right");
//! // The other side has dropped its stream.
//! let down = reader.run(&mut |_: &Link, message: &[u8]| println!("{message:?}"));
//! assert_eq!(down.reason.as_str(), "eof");
//! # drop(link);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::time::{Duration, Instant};

use super::stream::{Stream, is_timeout};
use super::until::{Until, WAIT_MIN};
use crate::protocol::{
    Bye, ByeCode, CONTROL_MAX, Decoded, Frame, Framing, Heartbeat, Hello, Native, ProtocolError,
};

/// What the other side said about itself, and the bytes after that.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Greeting {
    /// Its name. Escape it before showing it.
    pub name: String,
    /// Its label, may be empty. Escape it before showing it.
    pub label: String,
    /// Its id; 0 when unset.
    pub id: u32,
    /// Whether it sends heartbeats even while data flows.
    pub always: bool,
    /// It only asks who is there, and no link follows.
    pub probe: bool,
    /// Its configured heartbeat-time in milliseconds; 0 = it has none, `None` = it did not say.
    pub heartbeat_time_ms: Option<u32>,
    /// The bytes that were read behind its HELLO: they belong to the link.
    pub received: Vec<u8>,
}

/// Why a handshake failed.
#[derive(Debug)]
#[non_exhaustive]
pub enum HandshakeError {
    /// The deadline passed before the other side's HELLO was whole.
    TimedOut,
    /// The other side closed the connection before its HELLO was whole.
    Eof,
    /// The other side said goodbye instead of welcome.
    Refused {
        /// Its code.
        code: ByeCode,
        /// Its words. Escape them before showing them.
        text: String,
    },
    /// The other side's bytes break the protocol, or our own HELLO cannot be made.
    Protocol(ProtocolError),
    /// The socket failed.
    Io(io::Error),
}

impl HandshakeError {
    /// The code of the BYE that answers it, if one does.
    pub fn bye_code(&self) -> Option<ByeCode> {
        match self {
            Self::TimedOut => Some(ByeCode::TOO_SLOW),
            Self::Protocol(ProtocolError::Version { .. }) => Some(ByeCode::VERSION),
            Self::Protocol(_) => Some(ByeCode::PROTOCOL),
            Self::Eof | Self::Refused { .. } | Self::Io(_) => None,
        }
    }
}

/// The error in words; text from the other side is escaped.
impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut => f.write_str("no whole HELLO arrived in time"),
            Self::Eof => f.write_str("the connection was closed before a whole HELLO arrived"),
            Self::Refused { code, text } if text.is_empty() => write!(f, "{code}"),
            Self::Refused { code, text } => write!(f, "{code}: \"{}\"", text.escape_debug()),
            Self::Protocol(error) => write!(f, "{error}"),
            Self::Io(error) => write!(f, "{error}"),
        }
    }
}

impl Error for HandshakeError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Protocol(error) => Some(error),
            Self::Io(error) => Some(error),
            _ => None,
        }
    }
}

impl From<io::Error> for HandshakeError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Shakes hands on the side that connected: sends our HELLO and waits for the other side's. The
/// stream is made blocking.
///
/// If the answer breaks the protocol or comes too late, a BYE is sent.
///
/// # Errors
/// [`HandshakeError::TimedOut`] at the deadline; [`HandshakeError::Eof`] and
/// [`HandshakeError::Refused`] if the other side closed the connection, without or with a BYE;
/// [`HandshakeError::Protocol`] if either HELLO cannot be; [`HandshakeError::Io`] if the socket
/// failed. The stream must then be dropped.
pub fn dial<S: Stream + ?Sized>(
    stream: &S,
    hello: &Hello<'_>,
    deadline: Instant,
) -> Result<Greeting, HandshakeError> {
    stream.set_blocking()?;
    let answer = write_hello(stream, hello, deadline)
        .and_then(|()| read_hello(stream, deadline, Side::Dials, || ()));
    let refusal = answer.as_ref().err().and_then(|error| Some((error, error.bye_code()?)));
    if let Some((error, code)) = refusal {
        // Best effort: what went wrong is reported in any case.
        let _ = write_bye(stream, code, &error.to_string());
    }
    answer
}

/// Shakes hands on the side that accepted: waits for HELLO and answers with ours. The stream is
/// made blocking.
///
/// To look at the HELLO before it is answered, call [`receive`], and then [`welcome`] or
/// [`refuse`].
///
/// # Errors
/// [`HandshakeError::TimedOut`] at the deadline; [`HandshakeError::Eof`] if the other side closed
/// the connection; [`HandshakeError::Protocol`] if either HELLO cannot be; [`HandshakeError::Io`]
/// if the socket failed. A BYE has been sent if one fits. The stream must then be dropped.
pub fn accept<S: Stream + ?Sized>(
    stream: &S,
    hello: &Hello<'_>,
    deadline: Instant,
) -> Result<Greeting, HandshakeError> {
    let greeting = receive(stream, deadline).inspect_err(|error| {
        if let Some(code) = error.bye_code() {
            refuse(stream, code, &error.to_string());
        }
    })?;
    welcome(stream, hello, deadline)?;
    Ok(greeting)
}

/// Waits for the HELLO of a connection that was accepted. Sends nothing. The stream is made
/// blocking.
///
/// # Errors
/// As [`accept`]: a BYE instead of a HELLO is a [`HandshakeError::Protocol`].
pub fn receive<S: Stream + ?Sized>(
    stream: &S,
    deadline: Instant,
) -> Result<Greeting, HandshakeError> {
    receive_and_tell(stream, deadline, || ())
}

/// Waits for a HELLO as [`receive`] does, and calls `heard` when a part of it has arrived.
///
/// # Errors
/// As `receive`.
pub(crate) fn receive_and_tell<S: Stream + ?Sized>(
    stream: &S,
    deadline: Instant,
    heard: impl FnMut(),
) -> Result<Greeting, HandshakeError> {
    stream.set_blocking()?;
    read_hello(stream, deadline, Side::Accepts, heard)
}

/// Answers a HELLO that was received with ours: from here on the link is established.
///
/// # Errors
/// [`HandshakeError::TimedOut`] if the socket does not take it before the deadline;
/// [`HandshakeError::Protocol`] if our HELLO cannot be; [`HandshakeError::Io`] if the socket
/// failed.
pub fn welcome<S: Stream + ?Sized>(
    stream: &S,
    hello: &Hello<'_>,
    deadline: Instant,
) -> Result<(), HandshakeError> {
    write_hello(stream, hello, deadline)
}

/// Says goodbye to a connection that is not wanted and makes sure that it can be read: a socket
/// that is closed with bytes unread sends a reset, which destroys what was on its way. Takes up to
/// 200 ms with a peer that does not close.
pub fn refuse<S: Stream + ?Sized>(stream: &S, code: ByeCode, text: &str) {
    let deadline = Instant::now() + LINGER;
    if write_bye(stream, code, text).is_err() || stream.shutdown(Shutdown::Write).is_err() {
        return;
    }
    let mut waste = [0; BUFFER];
    while let Ok(1..) = read_some(stream, &mut waste, deadline) {
        if Instant::now() >= deadline {
            return;
        }
    }
}

/// Says goodbye without waiting for the other side, a moment aside on a stream that cannot peek.
pub(crate) fn refuse_at_once<S: Stream + ?Sized>(stream: &S, code: ByeCode, text: &str) {
    // A socket that is closed with bytes unread sends a reset.
    let mut waste = [0; BUFFER];
    for _ in 0..8 {
        if is_empty(stream)
            || stream.set_read_timeout(WAIT_MIN).is_err()
            || !matches!(stream.read(&mut waste), Ok(1..))
        {
            break;
        }
    }
    let mut bye = Vec::new();
    Bye { code, text }.encode(&mut bye);
    // If not even this fits, or the other side is gone, there is no one to answer.
    let _ = stream.write_at_once(&behind_held(stream, &bye));
    let _ = stream.shutdown(Shutdown::Write);
}

/// Whether it is known without waiting that there is nothing to read.
fn is_empty<S: Stream + ?Sized>(stream: &S) -> bool {
    stream.can_peek() && stream.is_readable().is_ok_and(|is_readable| !is_readable)
}

/// Whether the other side has already ended a connection on which nothing is unread; what it has
/// sent behind its HELLO is added to the `greeting`.
pub(crate) fn is_abandoned<S: Stream + ?Sized>(stream: &S, greeting: &mut Greeting) -> bool {
    if is_empty(stream) {
        return false;
    }
    let mut more = [0; BUFFER];
    match stream.set_read_timeout(WAIT_MIN).and_then(|()| stream.read(&mut more)) {
        Ok(count) => {
            greeting.received.extend_from_slice(&more[..count]);
            count == 0
        }
        Err(e) => !is_timeout(e.kind()),
    }
}

/// Writes a BYE within [`LINGER`].
pub(crate) fn write_bye<S: Stream + ?Sized>(
    stream: &S,
    code: ByeCode,
    text: &str,
) -> io::Result<()> {
    let mut bytes = Vec::new();
    Bye { code, text }.encode(&mut bytes);
    match write_whole(stream, &bytes, Instant::now() + LINGER) {
        Err(HandshakeError::Io(error)) => Err(error),
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
        Ok(()) => Ok(()),
    }
}

fn write_hello<S: Stream + ?Sized>(
    stream: &S,
    hello: &Hello<'_>,
    deadline: Instant,
) -> Result<(), HandshakeError> {
    let mut bytes = Vec::new();
    hello.encode(&mut bytes).map_err(HandshakeError::Protocol)?;
    write_whole(stream, &bytes, deadline)
}

fn read_hello<S: Stream + ?Sized>(
    stream: &S,
    deadline: Instant,
    side: Side,
    mut heard: impl FnMut(),
) -> Result<Greeting, HandshakeError> {
    let mut buffer = [0; BUFFER];
    let mut filled = 0;
    loop {
        // A frame fits the buffer, so there is room for as long as it is not whole.
        match read_some(stream, &mut buffer[filled..], deadline)? {
            0 => return Err(HandshakeError::Eof),
            count => filled += count,
        }
        if let Some(greeting) = hello_in(&buffer[..filled], side)? {
            return Ok(greeting);
        }
        heard();
        // Bytes that keep coming must not keep the deadline from being looked at.
        if Instant::now() >= deadline {
            return Err(HandshakeError::TimedOut);
        }
    }
}

/// Reads the HEARTBEAT of a probe; `received` came behind its HELLO.
///
/// # Errors
/// As [`receive`].
pub(crate) fn read_heartbeat<S: Stream + ?Sized>(
    stream: &S,
    received: &[u8],
    deadline: Instant,
) -> Result<Heartbeat, HandshakeError> {
    let framing = Native::with_frame_max(CONTROL_MAX);
    let mut buffer = [0; BUFFER];
    let mut filled = received.len().min(BUFFER);
    buffer[..filled].copy_from_slice(&received[..filled]);
    loop {
        match framing.decode(&buffer[..filled]).map_err(HandshakeError::Protocol)? {
            Decoded::Whole { frame: Frame::Heartbeat(heartbeat), .. } => return Ok(heartbeat),
            Decoded::Whole { length, frame: Frame::Unknown { .. } } => {
                buffer.copy_within(length..filled, 0);
                filled -= length;
                continue;
            }
            Decoded::Whole { frame: Frame::Bye(_), .. } => return Err(HandshakeError::Eof),
            Decoded::Whole { frame, .. } => {
                let (frame, allowed) = (frame.name(), "HEARTBEAT");
                return Err(HandshakeError::Protocol(ProtocolError::Unexpected { frame, allowed }));
            }
            Decoded::Partial => {}
        }
        // A frame fits the buffer, so there is room for as long as it is not whole.
        match read_some(stream, &mut buffer[filled..], deadline)? {
            0 => return Err(HandshakeError::Eof),
            count => filled += count,
        }
        if Instant::now() >= deadline {
            return Err(HandshakeError::TimedOut);
        }
    }
}

/// Which side of a handshake a HELLO is received on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Dials,
    Accepts,
}

/// The HELLO at the front of what was read, once it is whole; the bytes behind it go with it.
///
/// # Errors
/// [`HandshakeError::Refused`] and [`HandshakeError::Protocol`].
pub(crate) fn hello_in(bytes: &[u8], side: Side) -> Result<Option<Greeting>, HandshakeError> {
    let framing = Native::with_frame_max(CONTROL_MAX);
    parse_hello(framing, bytes).map_err(|error| match error {
        HandshakeError::Refused { .. } if side == Side::Accepts => unexpected("BYE"),
        other => other,
    })
}

fn parse_hello(framing: Native, bytes: &[u8]) -> Result<Option<Greeting>, HandshakeError> {
    match framing.decode(bytes).map_err(HandshakeError::Protocol)? {
        Decoded::Partial => Ok(None),
        Decoded::Whole { length, frame: Frame::Hello(hello) } => Ok(Some(Greeting {
            name: hello.name.to_owned(),
            label: hello.label.to_owned(),
            id: hello.id,
            always: hello.always,
            probe: hello.probe,
            heartbeat_time_ms: hello.heartbeat_time_ms,
            received: bytes[length..].to_owned(),
        })),
        Decoded::Whole { frame: Frame::Bye(bye), .. } => {
            Err(HandshakeError::Refused { code: bye.code, text: bye.text.to_owned() })
        }
        Decoded::Whole { frame, .. } => Err(unexpected(frame.name())),
    }
}

fn unexpected(frame: &'static str) -> HandshakeError {
    HandshakeError::Protocol(ProtocolError::Unexpected { frame, allowed: "HELLO" })
}

/// Reads what has come, however little, before `deadline`.
fn read_some<S: Stream + ?Sized>(
    stream: &S,
    buffer: &mut [u8],
    deadline: Instant,
) -> Result<usize, HandshakeError> {
    Until::new(stream, deadline).read(buffer).map_err(of_time)
}

/// Writes all before `deadline`.
///
/// # Errors
/// [`HandshakeError::TimedOut`] and [`HandshakeError::Io`].
pub(crate) fn write_whole<S: Stream + ?Sized>(
    stream: &S,
    bytes: &[u8],
    deadline: Instant,
) -> Result<(), HandshakeError> {
    Until::new(stream, deadline).write_all(&behind_held(stream, bytes)).map_err(of_time)
}

/// What to write so that `bytes` go out next: a message that was given up may be in hand still.
fn behind_held<'a, S: Stream + ?Sized>(stream: &S, bytes: &'a [u8]) -> Cow<'a, [u8]> {
    match stream.held() {
        0 => Cow::Borrowed(bytes),
        held => Cow::Owned([&vec![0; held], bytes].concat()),
    }
}

fn of_time(error: io::Error) -> HandshakeError {
    match error.kind() {
        io::ErrorKind::TimedOut => HandshakeError::TimedOut,
        _ => HandshakeError::Io(error),
    }
}

/// A whole frame of a handshake with its length: a HELLO of this version has at most 527 bytes, a
/// later one may have some more.
const BUFFER: usize = CONTROL_MAX + 4;
/// How long a refused connection is kept for its BYE to be read.
pub(crate) const LINGER: Duration = Duration::from_millis(200);
