//! A whole link, both its threads, over a stream in memory that brings any bytes in any pieces.
//!
//! It never panics or hangs, its end has the reason that the bytes give it, its messages are what a
//! plain decode of the bytes gives, and what it accepted is written whole or counted as unsent.
//!
//! The input is flags (1 byte), the frame limit in units of 4 bytes (1 byte, 0 = the default), how
//! much was received with the handshake (1 byte), after how many messages the program closes (1
//! byte, 0 = never), the number of cuts (1 byte), the lengths of the pieces (1 byte each, 0 = a
//! signal ends the read), and the stream.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::Shutdown;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use peerbeat::link::{Down, DownReason, Link, LinkEvent, LinkHandler, LinkOptions, Stream};
use peerbeat::liveness::Settings;
use peerbeat::protocol::{Decoded, Frame, Framing, Native, ProtocolError};

/// Runs one input; what breaks a promise panics.
pub(crate) fn run(data: &[u8]) {
    let [flags, limit, received, close_after, cuts, rest @ ..] = data else { return };
    let (lengths, stream) = rest.split_at(rest.len().min(usize::from(*cuts)));
    let framing = match limit {
        0 => Native::default(),
        limit => Native::with_frame_max(usize::from(*limit) * 4),
    };
    let (received, stream) = stream.split_at(stream.len().min(usize::from(*received)));
    let plan = Plan {
        received,
        stream,
        lengths,
        framing,
        ending: [Ending::Eof, Ending::Reset, Ending::Silence][usize::from(*flags & 3).min(2)],
        echoes: flags & 4 != 0,
        short_writes: flags & 8 != 0,
        writes_break: flags & 16 != 0,
        beats: flags & 64 != 0,
        close_after: usize::from(*close_after),
    };
    match flags & 32 {
        0 => plan.run::<false>(),
        _ => plan.run::<true>(),
    }
}

struct Plan<'a> {
    /// What was read with the handshake, and what comes after it.
    received: &'a [u8],
    stream: &'a [u8],
    lengths: &'a [u8],
    framing: Native,
    ending: Ending,
    echoes: bool,
    short_writes: bool,
    writes_break: bool,
    /// We have a heartbeat-time of our own.
    beats: bool,
    close_after: usize,
}

/// What comes after the last byte.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    Eof,
    Reset,
    /// Nothing, until our end is shut, which the peer answers. The limit is 2 ms then, and no
    /// signal ends a read: it would have looked first.
    Silence,
}

impl Plan<'_> {
    fn run<const PEEKS: bool>(&self) {
        let written = Arc::new(Mutex::new(Vec::new()));
        let feed = Feed::<PEEKS>::new(self, Arc::clone(&written));
        let mut program = Program {
            plan: self,
            messages: vec![],
            accepted: vec![],
            in_force: self.options().liveness.heartbeat_time,
        };
        let options = self.options().received(self.received.to_vec());
        let (_link, reader) = Link::establish(feed, self.framing, &options)
            .expect("a stream in memory refuses nothing");
        let down = reader.run(&mut program);
        let Program { messages, accepted, .. } = program;
        self.check_received(&messages, &down);
        self.check_written(&lock(&written), &accepted, &down);
    }

    fn options(&self) -> LinkOptions {
        let is_silence = self.ending == Ending::Silence;
        let hour = Duration::from_secs(3600);
        let time = if is_silence { Duration::from_millis(1) } else { hour };
        let liveness = Settings::default()
            .heartbeat_time((is_silence || self.beats).then_some(time))
            .slack(time)
            .heartbeat_time_min(Duration::from_millis(1));
        let close_timeout = Duration::from_millis(1);
        LinkOptions::default().liveness(liveness).close_timeout(close_timeout).queue_bytes(4096)
    }

    /// What the bytes say, and what ends them.
    fn by_definition(&self) -> (Vec<Vec<u8>>, DownReason) {
        let bytes = [self.received, self.stream].concat();
        let mut rest = &bytes[..];
        let mut messages = Vec::new();
        loop {
            let (length, frame) = match self.framing.decode(rest) {
                Ok(Decoded::Whole { length, frame }) => (length, frame),
                Ok(Decoded::Partial) => return (messages, self.ending.reason()),
                Err(error) => return (messages, DownReason::Protocol(error)),
            };
            match frame {
                Frame::Data(data) => messages.push(data.to_vec()),
                Frame::Bye(bye) => {
                    let reason = DownReason::Closed { code: bye.code, text: bye.text.to_owned() };
                    return (messages, reason);
                }
                Frame::Hello(_) => {
                    let allowed = "DATA, HEARTBEAT or BYE";
                    let error = ProtocolError::Unexpected { frame: "HELLO", allowed };
                    return (messages, DownReason::Protocol(error));
                }
                Frame::Heartbeat(_) | Frame::Unknown { .. } => {}
            }
            if self.close_after > 0 && messages.len() == self.close_after {
                return (messages, DownReason::Local { detail: String::new() });
            }
            rest = &rest[length..];
        }
    }

    fn check_received(&self, messages: &[Vec<u8>], down: &Down) {
        let (expected, reason) = self.by_definition();
        let is_broken = self.writes_break && matches!(down.reason, DownReason::Io { .. });
        if is_broken {
            assert!(expected.starts_with(messages), "{messages:?} of {expected:?}");
            return;
        }
        assert_eq!(messages, expected);
        match (&down.reason, &reason) {
            (DownReason::Io { kind, .. }, DownReason::Io { kind: expected, .. }) => {
                assert_eq!(kind, expected);
            }
            (found, expected) => assert_eq!(found, expected),
        }
        if down.reason == DownReason::Silent {
            assert!(down.limit.is_some_and(|limit| down.silence >= limit), "early: {down:?}");
        }
    }

    /// What was accepted was written in order, but for what is counted as unsent.
    fn check_written(&self, mut written: &[u8], accepted: &[Vec<u8>], down: &Down) {
        let framing = Native::with_frame_max(1 << 25);
        let mut echoed = 0;
        loop {
            match framing.decode(written).expect("what a link writes can be read") {
                Decoded::Partial => break,
                Decoded::Whole { length, frame } => {
                    match frame {
                        Frame::Data(data) => {
                            assert_eq!(accepted.get(echoed).map(Vec::as_slice), Some(data));
                            echoed += 1;
                        }
                        Frame::Heartbeat(heartbeat) => assert!(heartbeat.heartbeat_time_ms > 0),
                        Frame::Bye(_) => assert_eq!(length, written.len(), "BYE is the last"),
                        other => panic!("{other:?} was written"),
                    }
                    written = &written[length..];
                }
            }
        }
        assert_eq!((echoed as u64) + down.unsent_frames, accepted.len() as u64, "{down:?}");
    }
}

impl Ending {
    fn reason(self) -> DownReason {
        match self {
            Self::Eof => DownReason::Eof,
            Self::Reset => {
                DownReason::Io { kind: ErrorKind::ConnectionReset, message: String::new() }
            }
            Self::Silence => DownReason::Silent,
        }
    }
}

/// The program above the link.
struct Program<'a> {
    plan: &'a Plan<'a>,
    messages: Vec<Vec<u8>>,
    /// The echoes that the link accepted.
    accepted: Vec<Vec<u8>>,
    in_force: Option<Duration>,
}

impl<const PEEKS: bool> LinkHandler<Feed<PEEKS>> for Program<'_> {
    fn on_message(&mut self, link: &Link<Feed<PEEKS>>, payload: &[u8]) {
        self.messages.push(payload.to_vec());
        if self.plan.echoes && link.try_send(payload).is_ok() {
            self.accepted.push(payload.to_vec());
        }
        if self.messages.len() == self.plan.close_after {
            link.close();
        }
    }

    fn on_event(&mut self, _link: &Link<Feed<PEEKS>>, event: &LinkEvent) {
        if let LinkEvent::HeartbeatTime { from, to, .. } = event {
            assert_eq!(*from, self.in_force, "a change that was not reported");
            assert!(from.is_none_or(|from| *to < from), "greater: {event:?}");
            self.in_force = Some(*to);
        }
    }
}

/// The stream: bytes in pieces from the plan, and room for all that is written.
struct Feed<const PEEKS: bool> {
    state: Mutex<State>,
    changed: Condvar,
    written: Arc<Mutex<Vec<u8>>>,
    ending: Ending,
    short_writes: bool,
}

struct State {
    bytes: VecDeque<u8>,
    lengths: VecDeque<u8>,
    timeout: Duration,
    /// Writes until one breaks.
    good_writes: usize,
    writes: usize,
    read_shut: bool,
    write_shut: bool,
}

impl<const PEEKS: bool> Feed<PEEKS> {
    fn new(plan: &Plan<'_>, written: Arc<Mutex<Vec<u8>>>) -> Self {
        let signals = plan.ending != Ending::Silence;
        let lengths = plan.lengths.iter().copied().filter(|length| *length > 0 || signals);
        let state = Mutex::new(State {
            bytes: plan.stream.iter().copied().collect(),
            lengths: lengths.collect(),
            timeout: Duration::MAX,
            good_writes: if plan.writes_break { plan.lengths.len() } else { usize::MAX },
            writes: 0,
            read_shut: false,
            write_shut: false,
        });
        let (ending, short_writes) = (plan.ending, plan.short_writes);
        Self { state, changed: Condvar::new(), written, ending, short_writes }
    }

    /// Waits until a read would return at once, no longer than the read timeout.
    fn wait(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = lock(&self.state);
        let timeout = state.timeout;
        let waits = |state: &mut State| !self.is_ready(state);
        let waited = self.changed.wait_timeout_while(state, timeout, waits);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if self.is_ready(&state) { Ok(state) } else { Err(ErrorKind::WouldBlock.into()) }
    }

    fn is_ready(&self, state: &State) -> bool {
        let is_shut = state.read_shut || state.write_shut;
        !state.bytes.is_empty() || is_shut || self.ending != Ending::Silence
    }
}

impl<const PEEKS: bool> Stream for Feed<PEEKS> {
    fn can_peek(&self) -> bool {
        PEEKS
    }

    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut state = self.wait()?;
        match (state.read_shut, state.bytes.is_empty(), self.ending) {
            (true, ..) | (false, true, Ending::Eof | Ending::Silence) => return Ok(0),
            (false, true, Ending::Reset) => return Err(ErrorKind::ConnectionReset.into()),
            (false, false, _) => {}
        }
        let length = match state.lengths.pop_front() {
            Some(0) => return Err(ErrorKind::Interrupted.into()),
            length => length.map_or(usize::MAX, usize::from),
        };
        let count = length.min(buffer.len()).min(state.bytes.len());
        for (place, byte) in buffer.iter_mut().zip(state.bytes.drain(..count)) {
            *place = byte;
        }
        Ok(count)
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = lock(&self.state);
        if state.write_shut {
            return Err(ErrorKind::BrokenPipe.into());
        }
        state.writes += 1;
        if state.writes > state.good_writes {
            return Err(ErrorKind::ConnectionReset.into());
        }
        let most = if self.short_writes { 1 + state.writes % 5 } else { usize::MAX };
        let count = bytes.len().min(most);
        lock(&self.written).extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn set_read_timeout(&self, timeout: Duration) -> io::Result<()> {
        assert!(!timeout.is_zero(), "a read timeout of zero");
        lock(&self.state).timeout = timeout;
        Ok(())
    }

    fn set_write_timeout(&self, timeout: Duration) -> io::Result<()> {
        assert!(!timeout.is_zero(), "a write timeout of zero");
        Ok(())
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        let mut state = lock(&self.state);
        state.read_shut |= how != Shutdown::Write;
        state.write_shut |= how != Shutdown::Read;
        self.changed.notify_all();
        Ok(())
    }

    fn wait_readable(&self) -> io::Result<()> {
        self.wait().map(drop)
    }

    fn is_readable(&self) -> io::Result<bool> {
        Ok(self.is_ready(&lock(&self.state)))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
