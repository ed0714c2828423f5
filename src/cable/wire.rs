//! One connection through a cable: its two ways, and the threads that carry them.
//!
//! Each way has a thread that reads and one that writes, with a bounded queue between them for what
//! is delayed. A socket is held by the thread that reads it and the one that writes it, and by
//! no one else: when both have let go with bytes unread, the kernel sends a reset.
//!
//! Invariant: a byte is handed on with the way's lock held and its line not pulled, so that nothing
//! passes once a change has returned.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::{CableEvent, Line, Shared, Way};

/// What becomes of a connection. A later one follows an earlier one, never the other way round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fate {
    /// It is carried.
    Open,
    /// A side that sends is reset.
    Reset,
    /// It ends in order.
    Cut,
    /// It is let go of, now.
    Over,
}

/// One connection.
pub(super) struct Connection {
    wires: [Wire; 2],
    is_gone: AtomicBool,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// One way of a connection.
pub(super) struct Wire {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    line: Line,
    queue: VecDeque<Chunk>,
    queued_bytes: usize,
    /// The source has ended; from when on that may be handed on.
    ended: Option<Instant>,
    /// Bytes, or an end, have vanished.
    is_damaged: bool,
    fate: Fate,
}

/// What has arrived in one read.
struct Chunk {
    /// From when on it may be handed on.
    due: Instant,
    bytes: Vec<u8>,
    /// How many of them have been handed on.
    passed: usize,
}

/// Threads with small stacks: there may be hundreds.
pub(super) fn named(name: &str) -> thread::Builder {
    thread::Builder::new().name(name.to_owned()).stack_size(STACK)
}

impl Connection {
    /// Carries `near` to the target, from its own thread.
    pub(super) fn start(
        shared: &Arc<Shared>,
        number: u64,
        near: TcpStream,
        lines: [Line; 2],
    ) -> io::Result<Arc<Self>> {
        prepare(&near)?;
        let connection = Arc::new(Self {
            wires: lines.map(Wire::new),
            is_gone: AtomicBool::new(false),
            thread: Mutex::new(None),
        });
        let (carried, shared) = (Arc::clone(&connection), Arc::clone(shared));
        let thread = named("cable-conn").spawn(move || {
            // Even if a tap panics.
            let _gone = Gone(&carried);
            if let Ok(from) = near.peer_addr() {
                shared.see(number, CableEvent::Opened { from });
            }
            carried.carry(&shared, number, near);
            shared.see(number, CableEvent::Closed);
        })?;
        *connection.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
        Ok(connection)
    }

    pub(super) fn wire(&self, way: Way) -> &Wire {
        &self.wires[way as usize]
    }

    pub(super) fn is_gone(&self) -> bool {
        self.is_gone.load(Ordering::Relaxed)
    }

    pub(super) fn end(&self, fate: Fate) {
        for wire in &self.wires {
            let mut state = wire.lock();
            state.fate = state.fate.max(fate);
            wire.changed.notify_all();
        }
    }

    /// Ends it if its stream would continue with a gap.
    pub(super) fn end_if_damaged(&self) {
        let states = [&self.wires[0], &self.wires[1]].map(|wire| {
            let state = wire.lock();
            (state.is_damaged, state.line.pulled)
        });
        if states.iter().any(|(damaged, _)| *damaged) && !states.iter().any(|(_, pulled)| *pulled) {
            self.end(Fate::Cut);
        }
    }

    pub(super) fn join(&self) {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        // A tap may drop the cable from a thread of its own.
        if let Some(thread) = thread.filter(|own| own.thread().id() != thread::current().id()) {
            let _ended = thread.join();
        }
    }

    fn carry(&self, shared: &Shared, number: u64, near: TcpStream) {
        if self.wires.iter().any(|wire| wire.lock().line.pulled) {
            return self.swallow(shared, number, near);
        }
        let far = match connect(&shared.target) {
            Ok(far) => far,
            Err(error) => return shared.see(number, CableEvent::Failed { error: &error }),
        };
        let (near, far) = (Arc::new(near), Arc::new(far));
        thread::scope(|scope| {
            for (way, from, to) in [(Way::Out, &near, &far), (Way::In, &far, &near)] {
                let (from, to) = (Arc::clone(from), Arc::clone(to));
                let carrier = Carrier { connection: self, shared, number, way };
                let reads = named("cable-read").spawn_scoped(scope, move || carrier.read(from));
                let writes = named("cable-write").spawn_scoped(scope, move || carrier.write(to));
                if reads.is_err() || writes.is_err() {
                    self.end(Fate::Over);
                }
            }
            // Held by the threads alone from here on.
            drop((near, far));
        });
    }

    /// A connection that came while the cable was pulled: it reaches no one.
    fn swallow(&self, shared: &Shared, number: u64, near: TcpStream) {
        let wire = self.wire(Way::Out);
        wire.lock().is_damaged = true;
        let mut buffer = [0; 4096];
        let mut has_ended = false;
        loop {
            match wire.lock().fate {
                Fate::Open => {}
                Fate::Cut => return end_in_order(&near),
                Fate::Reset => return wait_unread(&near, wire),
                Fate::Over => return,
            }
            match (&near).read(&mut buffer) {
                _ if has_ended => thread::sleep(END_POLL),
                Ok(0) => has_ended = true,
                Ok(count) => shared.see(number, CableEvent::Vanished { way: Way::Out, count }),
                Err(error) if is_timeout(error.kind()) => {}
                Err(_) => return,
            }
        }
    }
}

/// Marks a connection as gone when its thread ends.
struct Gone<'a>(&'a Connection);

impl Drop for Gone<'_> {
    fn drop(&mut self) {
        self.0.is_gone.store(true, Ordering::Relaxed);
    }
}

impl Wire {
    fn new(line: Line) -> Self {
        let state = State {
            line,
            queue: VecDeque::new(),
            queued_bytes: 0,
            ended: None,
            is_damaged: false,
            fate: Fate::Open,
        };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    pub(super) fn change(&self, change: impl Fn(&mut Line)) {
        change(&mut self.lock().line);
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a change, no longer than `time`.
    fn wait<'a>(&self, state: MutexGuard<'a, State>, time: Duration) -> MutexGuard<'a, State> {
        self.changed.wait_timeout(state, time).unwrap_or_else(PoisonError::into_inner).0
    }

    /// Waits until there is room for more; returns the state of the connection by then.
    fn wait_room(&self) -> Fate {
        let mut state = self.lock();
        while state.fate == Fate::Open && !state.has_room() {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.fate
    }
}

impl State {
    fn has_room(&self) -> bool {
        // Without a delay there is no reason to hold more than what is being written: a full line
        // must be felt by the sender.
        let most = if self.line.delay.is_zero() { 1 } else { QUEUE_MAX };
        self.line.pulled || !self.line.frozen && self.queued_bytes < most
    }
}

/// One way of a connection and what its threads need besides.
#[derive(Clone, Copy)]
struct Carrier<'a> {
    connection: &'a Connection,
    shared: &'a Shared,
    number: u64,
    way: Way,
}

impl Carrier<'_> {
    fn wire(&self) -> &Wire {
        self.connection.wire(self.way)
    }

    fn read(&self, from: Arc<TcpStream>) {
        let wire = self.wire();
        let mut buffer = vec![0; 64 << 10];
        loop {
            match wire.wait_room() {
                Fate::Open => {}
                Fate::Cut => return end_in_order(&from),
                Fate::Reset => return wait_unread(&from, wire),
                Fate::Over => return,
            }
            // Bytes stay where they are until the lock says that they may be taken: a reset and a
            // freeze hold for the very next one.
            match from.peek(&mut [0]) {
                Err(error) if is_timeout(error.kind()) => continue,
                Err(_) => return self.connection.end(Fate::Over),
                Ok(_) => {}
            }
            let mut state = wire.lock();
            if state.fate != Fate::Open || !state.has_room() {
                continue;
            }
            let count = match (&*from).read(&mut buffer) {
                Ok(count) => count,
                Err(error) if is_timeout(error.kind()) => continue,
                Err(_) => {
                    drop(state);
                    return self.connection.end(Fate::Over);
                }
            };
            let at = Instant::now();
            let due = at.checked_add(state.line.delay).unwrap_or(at);
            let bytes = buffer[..count].to_vec();
            if count == 0 {
                state.ended = Some(due);
                wire.changed.notify_all();
                return;
            }
            drop(state);
            let event = CableEvent::Arrived { way: self.way, at, bytes: &bytes };
            self.shared.see(self.number, event);
            let mut state = wire.lock();
            state.queued_bytes += count;
            state.queue.push_back(Chunk { due, bytes, passed: 0 });
            wire.changed.notify_all();
        }
    }

    fn write(&self, to: Arc<TcpStream>) {
        let wire = self.wire();
        let mut rest_until = Instant::now();
        let mut state = wire.lock();
        loop {
            match state.fate {
                Fate::Open => {}
                Fate::Cut => {
                    let _gone = to.shutdown(Shutdown::Write);
                    return;
                }
                Fate::Reset | Fate::Over => return,
            }
            if state.line.pulled {
                state = self.vanish(state);
                continue;
            }
            let now = Instant::now();
            let due = state.queue.front().map(|chunk| chunk.due).or(state.ended);
            let due = due.filter(|_| !state.line.frozen);
            let due = due.map(|due| if state.line.rate > 0 { due.max(rest_until) } else { due });
            match due {
                None => state = wire.wait(state, WOKEN_POLL),
                Some(due) if due > now => state = wire.wait(state, due - now),
                Some(_) if state.queue.is_empty() => {
                    let _gone = to.shutdown(Shutdown::Write);
                    return;
                }
                Some(_) => match self.pass(state, &to) {
                    Some(passed) => {
                        state = wire.lock();
                        let nanos = (passed as u64 * 1_000_000_000).checked_div(state.line.rate);
                        if let Some(nanos) = nanos {
                            rest_until = rest_until.max(now) + Duration::from_nanos(nanos);
                        }
                    }
                    None => return self.connection.end(Fate::Over),
                },
            }
        }
    }

    /// Drops what has arrived, and waits.
    fn vanish<'a>(&'a self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        let wire = self.wire();
        let count = std::mem::take(&mut state.queued_bytes);
        state.queue.clear();
        state.is_damaged |= count > 0 || state.ended.is_some();
        wire.changed.notify_all();
        if count == 0 {
            return wire.wait(state, WOKEN_POLL);
        }
        drop(state);
        self.shared.see(self.number, CableEvent::Vanished { way: self.way, count });
        wire.lock()
    }

    /// Hands one piece on, with the lock held, and returns how many bytes that were; `None` = the
    /// other side is gone.
    fn pass(&self, mut state: MutexGuard<'_, State>, mut to: &TcpStream) -> Option<usize> {
        let line = state.line;
        let Some(chunk) = state.queue.front_mut() else { return Some(0) };
        let rest = &chunk.bytes[chunk.passed..];
        let mut most = rest.len();
        if line.slice > 0 {
            most = most.min(line.slice);
        }
        if line.rate > 0 {
            most = most.min((line.rate / RATE_STEPS).max(1) as usize);
        }
        let before = Instant::now();
        let count = match to.write(&rest[..most]) {
            Ok(count) => count,
            Err(error) if is_timeout(error.kind()) => {
                // Lets a caller that wants to change the line take the lock.
                drop(self.wire().wait(state, LOCK_FREE_FOR));
                return Some(0);
            }
            Err(_) => return None,
        };
        let after = Instant::now();
        let passed = rest[..count].to_vec();
        chunk.passed += count;
        if chunk.passed == chunk.bytes.len() {
            state.queue.pop_front();
        }
        state.queued_bytes -= count;
        drop(state);
        self.wire().changed.notify_all();
        let event = CableEvent::Passed { way: self.way, before, after, bytes: &passed };
        self.shared.see(self.number, event);
        Some(count)
    }
}

fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(END_POLL))?;
    stream.set_write_timeout(Some(WRITE_MAX))
}

fn connect(target: &str) -> io::Result<TcpStream> {
    let mut failure = io::Error::new(ErrorKind::NotFound, "the name has no address");
    for addr in target.to_socket_addrs()? {
        match TcpStream::connect_timeout(&addr, CONNECT_MAX) {
            Ok(stream) => return prepare(&stream).map(|()| stream),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

/// Says goodbye to a side, and reads what it still sends, so that it sees the end of the stream and
/// not a reset.
fn end_in_order(mut side: &TcpStream) {
    let _gone = side.shutdown(Shutdown::Write);
    let until = Instant::now() + DRAIN_MAX;
    let mut buffer = [0; 4096];
    while Instant::now() < until {
        match side.read(&mut buffer) {
            Ok(count) if count > 0 => {}
            Err(error) if is_timeout(error.kind()) => {}
            _ => return,
        }
    }
}

/// Waits for a byte, which stays unread, or for the end of the side or the cable.
fn wait_unread(side: &TcpStream, wire: &Wire) {
    while wire.lock().fate == Fate::Reset {
        match side.peek(&mut [0]) {
            Err(error) if is_timeout(error.kind()) => {}
            _ => return,
        }
    }
    if wire.lock().fate == Fate::Cut {
        end_in_order(side);
    }
}

fn is_timeout(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

/// What a delayed way holds at most, in bytes.
const QUEUE_MAX: usize = 8 << 20;
/// The longest interval at which a reading thread checks whether its connection has ended.
const END_POLL: Duration = Duration::from_millis(50);
/// The same for a thread that is woken by every change.
const WOKEN_POLL: Duration = Duration::from_secs(3600);
/// How long a write may hold the lock.
const WRITE_MAX: Duration = Duration::from_millis(20);
const LOCK_FREE_FOR: Duration = Duration::from_micros(200);
/// A narrow line hands on so many pieces a second.
const RATE_STEPS: u64 = 50;
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// How long a side that was cut may go on sending.
const DRAIN_MAX: Duration = Duration::from_secs(2);
const STACK: usize = 128 << 10;
