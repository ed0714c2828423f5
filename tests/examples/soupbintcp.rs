//! A SoupBinTCP 3.00 client whose connection is a peerbeat link: `soupbintcp ADDRESS [SECONDS]`.
//!
//! Packets have a length and a type, and the two sides use different types for the same thing: a
//! client's heartbeat is `R`, a server's `H`. Either side sends one after a second without a packet
//! and gives up after 15 s. The login stays here; the sequence number to resume from is counted by
//! the handler, because it counts messages and not bytes.

pub(crate) mod greeting;

use std::io;
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use greeting::{Greeted, greet};
use peerbeat::link::{Link, LinkEvent, LinkHandler, LinkOptions};
use peerbeat::liveness::{FixedIntervals, Settings};
use peerbeat::protocol::{Bye, ByeCode, Decoded, Frame, Framing, Heartbeat, ProtocolError};

/// SoupBinTCP as a client speaks it. A received message begins with its packet type: `S` is
/// sequenced, `U` is not. A sent one is the payload of an unsequenced packet.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Soup;

impl Framing for Soup {
    const NEGOTIATES: bool = false;

    fn decode<'a>(&self, bytes: &'a [u8]) -> Result<Decoded<'a>, ProtocolError> {
        let Some((kind, packet)) = packet(bytes)? else { return Ok(Decoded::Partial) };
        let frame = match kind {
            b'S' | b'U' | b'A' | b'J' => Frame::Data(packet),
            b'H' => Frame::Heartbeat(Heartbeat::default()),
            b'Z' => Frame::Bye(Bye { code: ByeCode::CLOSE, text: "end of session" }),
            b'+' => Frame::Unknown { kind }, // debug text
            _ => return refuse(format!("packet type '{}' from a server", kind.escape_ascii())),
        };
        Ok(Decoded::Whole { length: 2 + packet.len(), frame })
    }

    // A client's packets have types that a server may not send.
    fn decode_own<'a>(&self, bytes: &'a [u8]) -> Result<Decoded<'a>, ProtocolError> {
        let Some((kind, packet)) = packet(bytes)? else { return Ok(Decoded::Partial) };
        let frame = match kind {
            b'U' => Frame::Data(packet),
            b'R' => Frame::Heartbeat(Heartbeat::default()),
            _ => Frame::Unknown { kind },
        };
        Ok(Decoded::Whole { length: 2 + packet.len(), frame })
    }

    fn encode_data(&self, payload: &[u8], out: &mut Vec<u8>) -> Result<(), ProtocolError> {
        put(b'U', payload, out)
    }

    fn encode_heartbeat(&self, _: &Heartbeat, out: &mut Vec<u8>) {
        out.extend_from_slice(b"\0\x01R");
    }

    fn encode_bye(&self, _: &Bye<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(b"\0\x01O"); // logout
    }
}

/// The packet at the front: its type, and all of it behind the length.
fn packet(bytes: &[u8]) -> Result<Option<(u8, &[u8])>, ProtocolError> {
    let Some((head, rest)) = bytes.split_first_chunk::<2>() else { return Ok(None) };
    match u16::from_be_bytes(*head).into() {
        0 => refuse("packet of length 0 (allowed: 1 or more)".to_owned()),
        length => Ok(rest.get(..length).map(|packet| (packet[0], packet))),
    }
}

fn put(kind: u8, payload: &[u8], out: &mut Vec<u8>) -> Result<(), ProtocolError> {
    let Ok(length) = u16::try_from(payload.len() + 1) else {
        return refuse(format!("payload of {} bytes (allowed: up to 65534)", payload.len()));
    };
    out.extend_from_slice(&length.to_be_bytes());
    out.push(kind);
    out.extend_from_slice(payload);
    Ok(())
}

fn refuse<T>(detail: String) -> Result<T, ProtocolError> {
    Err(ProtocolError::Foreign { detail })
}

/// The liveness that the specification asks for, in units of `second`: a heartbeat a second, 15 s
/// until the other side is given up.
pub(crate) fn settings(second: Duration) -> Settings {
    let given = FixedIntervals { send: Some(second), expect: Some(second) };
    Settings::default().given(Some(given)).slack(14 * second)
}

/// Who logs in, and from which message of the session on.
pub(crate) struct Login<'a> {
    pub(crate) user: &'a str,
    pub(crate) password: &'a str,
    /// Blank: the current one.
    pub(crate) session: &'a str,
    /// The number of the next message; 1 = from the start, 0 = from now.
    pub(crate) next: u64,
}

/// Dials and logs in, within `timeout`; the answer is the session and the number of its next
/// message.
pub(crate) fn login(
    addr: impl ToSocketAddrs,
    login: &Login<'_>,
    timeout: Duration,
) -> io::Result<Greeted<(String, u64)>> {
    let Login { user, password, session, next } = login;
    let mut request = Vec::new();
    let fields = format!("{user:<6}{password:<10}{session:>10}{next:>20}");
    put(b'L', fields.as_bytes(), &mut request).map_err(io::Error::other)?;
    greet(addr, &request, Soup, timeout, |frame| {
        let packet = match frame {
            Frame::Data(packet) => String::from_utf8_lossy(packet),
            Frame::Bye(bye) => bye.text.into(),
            _ => return Ok(None),
        };
        let accepted = packet.strip_prefix('A').and_then(|fields| {
            let (session, next) = fields.split_at_checked(10)?;
            Some((session.trim().to_owned(), next.trim().parse().ok()?))
        });
        let refused = || io::Error::other(format!("login refused: {}", packet.escape_debug()));
        accepted.map(Some).ok_or_else(refused)
    })
}

/// Counts the sequenced messages: after a reconnect the next login asks for the first one missing.
pub(crate) struct Sequence<T> {
    pub(crate) next: u64,
    /// What is done with a message, and its number if it has one.
    pub(crate) take: T,
}

impl<T: FnMut(Option<u64>, &[u8])> LinkHandler<TcpStream, Soup> for Sequence<T> {
    fn on_message(&mut self, _: &Link<TcpStream, Soup>, packet: &[u8]) {
        let number = match packet[0] {
            b'S' => Some(self.next),
            b'U' => None,
            _ => return, // a second answer to the login
        };
        self.next += u64::from(number.is_some());
        (self.take)(number, &packet[1..]);
    }

    fn on_event(&mut self, _: &Link<TcpStream, Soup>, event: &LinkEvent) {
        if let LinkEvent::Down(down) = event {
            println!("down: {down}; the next message is {}", self.next);
        }
    }
}

fn main() -> io::Result<()> {
    let addr = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9000".to_owned());
    let seconds = std::env::args().nth(2).and_then(|text| text.parse().ok()).unwrap_or(60);
    let who = Login { user: "user", password: "secret", session: "", next: 1 };
    let greeted = login(addr, &who, Duration::from_secs(10))?;
    let Greeted { stream, received, answer: (session, next) } = greeted;
    println!("session {session} from message {next}");
    let liveness = settings(Duration::from_secs(1));
    let options = LinkOptions::default().liveness(liveness).received(received);
    let take = |number: Option<u64>, message: &[u8]| {
        println!("{number:?} {}", message.escape_ascii());
    };
    let link = Link::start_with(stream, Soup, &options, Sequence { next, take })?;
    link.wait_down(Duration::from_secs(seconds));
    link.close();
    link.wait_down(Duration::from_secs(1));
    Ok(())
}
