//! A STOMP 1.2 client whose connection is a peerbeat link: `stomp ADDRESS [SECONDS]`.
//!
//! The adapter keeps its own handshake and frames its own messages; peerbeat takes the connected
//! stream and keeps STOMP's promise of heart-beats (EOL bytes) in both directions. The values come
//! from CONNECT and CONNECTED, one for each direction, so negotiation is off.

pub(crate) mod greeting;

use std::io;
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use greeting::{Greeted, greet};
use peerbeat::link::{Link, LinkEvent, LinkHandler, LinkOptions};
use peerbeat::liveness::FixedIntervals;
use peerbeat::protocol::{Bye, ByeCode, Decoded, Frame, Framing, Heartbeat, ProtocolError};

/// STOMP 1.2 on the wire. A message is a whole frame with its NUL, as [`frame`] builds it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Stomp;

impl Framing for Stomp {
    const NEGOTIATES: bool = false;

    fn decode<'a>(&self, bytes: &'a [u8]) -> Result<Decoded<'a>, ProtocolError> {
        let Some(first) = bytes.first() else { return Ok(Decoded::Partial) };
        if matches!(first, b'\n' | b'\r') {
            let frame = Frame::Heartbeat(Heartbeat::default());
            return Ok(Decoded::Whole { length: eols(bytes), frame });
        }
        let command = bytes.iter().take(COMMAND_MAX).position(|&b| matches!(b, b'\n' | b'\r'));
        let name = &bytes[..command.unwrap_or(bytes.len().min(COMMAND_MAX))];
        if !name.iter().all(u8::is_ascii_uppercase) || name.len() == COMMAND_MAX {
            return refuse(format!("no STOMP command: \"{}\"", name.escape_ascii()));
        }
        let head = &bytes[..bytes.len().min(HEAD_MAX)];
        let Some(head) = head_length(head) else {
            return partial(bytes.len(), HEAD_MAX, "headers");
        };
        let (head, rest) = bytes.split_at(head);
        let body = match header(head, "content-length").map(str::parse::<usize>) {
            Some(Ok(length)) if length <= BODY_MAX => match rest.get(length) {
                None => return Ok(Decoded::Partial),
                Some(0) => length,
                Some(_) => return refuse("no NUL where content-length says".to_owned()),
            },
            Some(_) => return refuse(format!("content-length (allowed: up to {BODY_MAX})")),
            None => match rest.iter().take(BODY_MAX + 1).position(|&byte| byte == 0) {
                None => return partial(rest.len(), BODY_MAX + 1, "body"),
                Some(length) => length,
            },
        };
        let whole = &bytes[..head.len() + body + 1];
        // The EOLs that may follow a frame are no heart-beats; those that come later pass as one.
        let length = whole.len() + eols(&bytes[whole.len()..]);
        if !head.starts_with(b"ERROR") {
            return Ok(Decoded::Whole { length, frame: Frame::Data(whole) });
        }
        let text = header(head, "message").unwrap_or("ERROR");
        Ok(Decoded::Whole { length, frame: Frame::Bye(Bye { code: ByeCode::PROTOCOL, text }) })
    }

    fn encode_data(&self, frame: &[u8], out: &mut Vec<u8>) -> Result<(), ProtocolError> {
        if frame.last() != Some(&0) {
            return refuse("a frame ends with NUL".to_owned());
        }
        out.extend_from_slice(frame);
        Ok(())
    }

    fn encode_heartbeat(&self, _: &Heartbeat, out: &mut Vec<u8>) {
        out.push(b'\n');
    }

    fn encode_bye(&self, _: &Bye<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(&frame("DISCONNECT", &[], b""));
    }
}

/// Builds a frame. The headers' texts must not need STOMP's escapes.
pub(crate) fn frame(command: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut text = format!("{command}\n");
    for (name, value) in headers {
        text += &format!("{name}:{value}\n");
    }
    if !body.is_empty() {
        text += &format!("content-length:{}\n", body.len());
    }
    [text.as_bytes(), b"\n", body, b"\0"].concat()
}

/// The value of a header; of several, the first counts.
pub(crate) fn header<'a>(frame: &'a [u8], name: &str) -> Option<&'a str> {
    let head = std::str::from_utf8(&frame[..head_length(frame)?]).ok()?;
    let mut lines = head.lines().skip(1).take_while(|line| !line.is_empty());
    lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
}

/// Dials and shakes hands, within `timeout`. `heart_beat`: what we can send and what we want, as in
/// the header; the answer is what was settled.
pub(crate) fn connect(
    addr: impl ToSocketAddrs,
    heart_beat: (Duration, Duration),
    timeout: Duration,
) -> io::Result<Greeted<FixedIntervals>> {
    let ours = format!("{},{}", heart_beat.0.as_millis(), heart_beat.1.as_millis());
    let login = [("login", "guest"), ("passcode", "guest"), ("heart-beat", &ours)];
    let connect = [&[("accept-version", "1.2"), ("host", "/")][..], &login].concat();
    greet(addr, &frame("CONNECT", &connect, b""), Stomp, timeout, |frame| match frame {
        Frame::Data(frame) if frame.starts_with(b"CONNECTED") => {
            let theirs = header(frame, "heart-beat").unwrap_or("0,0");
            let given = settle(heart_beat, theirs);
            given.map(Some).ok_or_else(|| io::Error::other("a heart-beat header of no two numbers"))
        }
        Frame::Heartbeat(_) => Ok(None),
        Frame::Bye(bye) => Err(io::Error::other(bye.text.to_owned())),
        _ => Err(io::Error::other("CONNECTED was expected")),
    })
}

/// What the two headers make: in each direction the larger value, or nothing if either end cannot
/// or does not want to. We send a quarter earlier than promised: some brokers forgive nothing.
pub(crate) fn settle(ours: (Duration, Duration), theirs: &str) -> Option<FixedIntervals> {
    let (sends, wants) = theirs.split_once(',')?;
    let millis = |text: &str| Some(Duration::from_millis(text.trim().parse::<u32>().ok()?.into()));
    let (sends, wants) = (millis(sends)?, millis(wants)?);
    let meet = |a: Duration, b: Duration| (!a.is_zero() && !b.is_zero()).then(|| a.max(b));
    Some(FixedIntervals {
        send: meet(ours.0, wants).map(|time| time * 3 / 4),
        expect: meet(sends, ours.1),
    })
}

fn main() -> io::Result<()> {
    let addr = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:61613".to_owned());
    let seconds = std::env::args().nth(2).and_then(|text| text.parse().ok()).unwrap_or(60);
    let time = Duration::from_secs(5);
    let Greeted { stream, received, answer: given } = connect(&addr, (time, time), time)?;
    println!("connected, {given:?}");
    let mut options = LinkOptions::default().received(received);
    options.liveness.given = Some(given);
    let link = Link::start_with(stream, Stomp, &options, Printer)?;
    let topic = [("id", "0"), ("destination", "/topic/prices")];
    link.send(&frame("SUBSCRIBE", &topic, b"")).map_err(io::Error::other)?;
    link.wait_down(Duration::from_secs(seconds));
    link.close();
    link.wait_down(Duration::from_secs(1));
    Ok(())
}

struct Printer;

impl LinkHandler<TcpStream, Stomp> for Printer {
    fn on_message(&mut self, _: &Link<TcpStream, Stomp>, frame: &[u8]) {
        println!("{}", frame.escape_ascii());
    }
    fn on_event(&mut self, _: &Link<TcpStream, Stomp>, event: &LinkEvent) {
        if let LinkEvent::Down(down) = event {
            println!("down: {down}");
        }
    }
}

/// Where the headers end: behind the first empty line.
fn head_length(bytes: &[u8]) -> Option<usize> {
    let ends = |&at: &usize| bytes[at..].starts_with(b"\n\n") || bytes[at..].starts_with(b"\n\r\n");
    let at = (0..bytes.len()).find(ends)?;
    Some(at + if bytes[at + 1] == b'\n' { 2 } else { 3 })
}

fn eols(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|byte| matches!(byte, b'\n' | b'\r')).count()
}

fn partial<'a>(length: usize, max: usize, what: &str) -> Result<Decoded<'a>, ProtocolError> {
    if length < max { Ok(Decoded::Partial) } else { refuse(format!("{what} over {max} bytes")) }
}

fn refuse<T>(detail: String) -> Result<T, ProtocolError> {
    Err(ProtocolError::Foreign { detail })
}

const COMMAND_MAX: usize = 16;
const HEAD_MAX: usize = 16 << 10;
const BODY_MAX: usize = 1 << 20;
