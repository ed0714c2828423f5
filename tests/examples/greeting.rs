//! What the handshakes of the examples have in common: one question, one answer, one deadline.
//!
//! The bytes after the answer are kept: they belong to the link that the stream becomes.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use peerbeat::protocol::{Decoder, Frame, Framing};

/// A stream after its handshake.
#[derive(Debug)]
pub(crate) struct Greeted<T> {
    pub(crate) stream: TcpStream,
    /// What was read behind the answer.
    pub(crate) received: Vec<u8>,
    /// What the answer said.
    pub(crate) answer: T,
}

/// Dials, writes `request` and reads frames until `understand` makes something of one, all within
/// `timeout`.
pub(crate) fn greet<F: Framing, T>(
    addr: impl ToSocketAddrs,
    request: &[u8],
    framing: F,
    timeout: Duration,
    mut understand: impl FnMut(Frame<'_>) -> io::Result<Option<T>>,
) -> io::Result<Greeted<T>> {
    let until = Instant::now() + timeout;
    let addr = addr.to_socket_addrs()?.next().ok_or(io::ErrorKind::AddrNotAvailable)?;
    let mut stream = TcpStream::connect_timeout(&addr, timeout)?;
    stream.set_nodelay(true)?;
    stream.write_all(request)?;
    let mut decoder = Decoder::new(framing);
    loop {
        while let Some(frame) = decoder.poll_frame().map_err(io::Error::other)? {
            if let Some(answer) = understand(frame)? {
                return Ok(Greeted { stream, received: decoder.pending().to_vec(), answer });
            }
        }
        let left = until.checked_duration_since(Instant::now()).ok_or(io::ErrorKind::TimedOut)?;
        stream.set_read_timeout(Some(left.max(Duration::from_millis(1))))?;
        match stream.read(decoder.spare()) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => decoder.handle_filled(count),
            // The time is up or a signal came: the clock says which.
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}
