//! The peer, by hand: a bare socket, frames written and parsed literally.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::accept::accept;
pub(crate) use crate::basics::PATIENCE as LONG;
#[allow(unused_imports, reason = "the tests of faults use a part")]
pub(crate) use crate::frames::{BYE, DATA, HEARTBEAT, bye, frame, heartbeat, timed_heartbeat};

/// A frame as it was on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) at: Instant,
    pub(crate) kind: u8,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    /// The heartbeat-time that a HEARTBEAT carries.
    pub(crate) fn value_ms(&self) -> u32 {
        assert_eq!(self.kind, HEARTBEAT, "{self:?}");
        u32::from_be_bytes(self.payload[..4].try_into().unwrap())
    }

    /// The sender's own clock in a HEARTBEAT, then what it echoes, in microseconds.
    pub(crate) fn timing(&self) -> [u64; 3] {
        assert_eq!((self.kind, self.payload.len()), (HEARTBEAT, 28), "{self:?}");
        [4, 12, 20].map(|at| u64::from_be_bytes(self.payload[at..at + 8].try_into().unwrap()))
    }
}

/// What a read by the mock brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Got {
    Frame(Frame),
    Nothing,
    Eof,
    Reset,
}

/// The other end of a link.
#[derive(Debug)]
pub(crate) struct Mock {
    pub(crate) stream: TcpStream,
    held: Vec<u8>,
    start: usize,
}

impl Mock {
    /// Two ends of a connection over the loopback: the link's, and the mock.
    pub(crate) fn pair() -> (TcpStream, Self) {
        let (ours, theirs) = tcp_pair();
        (ours, Self::over(theirs))
    }

    /// The mock at this end of a connection.
    pub(crate) fn over(stream: TcpStream) -> Self {
        Self { stream, held: Vec::new(), start: 0 }
    }

    /// Writes, and returns an instant from before: the link read no byte of it earlier.
    pub(crate) fn say(&self, bytes: &[u8]) -> Instant {
        let before = Instant::now();
        (&self.stream).write_all(bytes).expect("the link reads");
        before
    }

    /// Sends HEARTBEAT with this value every `period` until the result or the connection is
    /// dropped.
    pub(crate) fn beat(&self, value_ms: u32, period: Duration) -> Beating {
        let stream = self.stream.try_clone().unwrap();
        Beating::start(stream, heartbeat(value_ms), period)
    }

    /// The next frame, or what came in its place within `patience`.
    pub(crate) fn next(&mut self, patience: Duration) -> Got {
        let until = Instant::now() + patience;
        loop {
            if let Some((kind, payload)) = self.take() {
                return Got::Frame(Frame { at: Instant::now(), kind, payload });
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Got::Nothing;
            }
            self.stream.set_read_timeout(Some(left)).unwrap();
            let mut piece = vec![0; 256 << 10];
            match self.stream.read(&mut piece) {
                Ok(0) => return Got::Eof,
                Ok(count) => self.held.extend_from_slice(&piece[..count]),
                Err(e) if e.kind() == ErrorKind::ConnectionReset => return Got::Reset,
                Err(e) if is_timeout(e.kind()) => {}
                Err(e) => panic!("the mock's read: {e}"),
            }
        }
    }

    /// The next frame, which must come.
    pub(crate) fn frame(&mut self) -> Frame {
        match self.next(LONG) {
            Got::Frame(frame) => frame,
            other => panic!("a frame was to come, not {other:?}"),
        }
    }

    /// The next frame that is no heartbeat.
    pub(crate) fn no_heartbeat(&mut self) -> Frame {
        loop {
            let frame = self.frame();
            if frame.kind != HEARTBEAT {
                return frame;
            }
        }
    }

    /// All frames until the stream ends, and how it ended.
    pub(crate) fn rest(&mut self) -> (Vec<Frame>, Got) {
        let mut frames = Vec::new();
        loop {
            match self.next(LONG) {
                Got::Frame(frame) => frames.push(frame),
                end => return (frames, end),
            }
        }
    }

    /// All frames that come within `span`.
    pub(crate) fn listen(&mut self, span: Duration) -> Vec<Frame> {
        let until = Instant::now() + span;
        let mut frames = Vec::new();
        while let Got::Frame(frame) = self.next(until.saturating_duration_since(Instant::now())) {
            frames.push(frame);
        }
        frames
    }

    /// Bytes that arrived and make no whole frame.
    pub(crate) fn held(&self) -> usize {
        self.held.len() - self.start
    }

    /// Ends our direction of the stream (FIN).
    pub(crate) fn finish(&self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    fn take(&mut self) -> Option<(u8, Vec<u8>)> {
        let bytes = &self.held[self.start..];
        let length = u32::from_be_bytes(bytes.get(..4)?.try_into().unwrap()) as usize;
        assert!(length > 0, "a frame of length 0");
        let body = bytes.get(4..4 + length)?;
        let (kind, payload) = (body[0], body[1..].to_vec());
        assert!((1..=4).contains(&kind), "type {kind}: the stream has lost its frames");
        self.start += 4 + length;
        if self.start > self.held.len() / 2 {
            self.held.drain(..std::mem::take(&mut self.start));
        }
        Some((kind, payload))
    }
}

/// Whether a read's time was up; the kind differs per system.
fn is_timeout(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

/// Two connected sockets on the loopback.
pub(crate) fn tcp_pair() -> (TcpStream, TcpStream) {
    let (listener, port) = crate::basics::listener();
    let ours = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let theirs = accept(&listener);
    ours.set_nodelay(true).unwrap();
    theirs.set_nodelay(true).unwrap();
    (ours, theirs)
}

/// A thread of the mock that writes the same bytes again and again.
#[derive(Debug)]
pub(crate) struct Beating {
    stop: Arc<AtomicBool>,
    /// The longest from one write to the next, in microseconds.
    gap: Arc<AtomicU64>,
    thread: Option<JoinHandle<Instant>>,
}

impl Beating {
    pub(crate) fn start(mut stream: TcpStream, bytes: Vec<u8>, period: Duration) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let gap = Arc::new(AtomicU64::new(0));
        let longest = Arc::clone(&gap);
        let thread = thread::spawn(move || {
            let mut last = Instant::now();
            while !stopped.load(Ordering::Relaxed) {
                let before = Instant::now();
                longest.fetch_max((before - last).as_micros() as u64, Ordering::Relaxed);
                if stream.write_all(&bytes).is_err() {
                    break;
                }
                last = before;
                thread::park_timeout(period);
            }
            last
        });
        Self { stop, gap, thread: Some(thread) }
    }

    /// The longest that the peer was silent so far: on a busy machine this thread may have to wait.
    pub(crate) fn longest_gap(&self) -> Duration {
        Duration::from_micros(self.gap.load(Ordering::Relaxed))
    }

    /// Stops, and returns an instant from before the last write.
    pub(crate) fn stop(mut self) -> Instant {
        self.end().unwrap()
    }

    fn end(&mut self) -> Option<Instant> {
        self.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take()?;
        thread.thread().unpark();
        Some(thread.join().unwrap())
    }
}

impl Drop for Beating {
    fn drop(&mut self) {
        self.end();
    }
}
