//! A stream made of a stream below and a layer that only transforms bytes.
//!
//! Three locks. `layer` is held for work on bytes, never for a wait. `output` is held by the thread
//! that writes below, the one writer of the link or, for what the layer itself answers, its reader,
//! which only ever tries; `input` by the reader alone. Taken in the order input, output, layer.
//!
//! What the kernel did not take stays in `output` with the number of plain bytes in it. They are
//! reported as written when the kernel takes them, and until then the writer must offer them again:
//! [`Stream::held`]. So a link knows as much about a slow or stuck peer as on a plain socket.
//!
//! Invariant: sealed bytes go out in the order in which the layer made them.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, TryLockError};
use std::time::{Duration, Instant};

use super::layer::Layer;
use super::layer_buffers::{Input, Output};
use super::layer_guard::LayerGuard;
use super::stream::{Stream, is_timeout};
use super::until::Until;
use crate::recover::Recover;

/// A [`Stream`] made of a stream below, mostly a socket, and a [`Layer`], mostly TLS.
///
/// Silence, write-stalled and heartbeats are what they are on the stream below: a byte that arrives
/// counts, even if it is part of a record that is not whole; a byte counts as sent once the kernel
/// has taken it. An orderly end sends and expects the layer's goodbye; a stream that ends without
/// one is an error of kind [`UnexpectedEof`](io::ErrorKind::UnexpectedEof), so it cannot be cut
/// short unnoticed.
///
/// See [`Layer`] for a layer and a link over it, and [the page on encrypting](crate::encrypting).
/// As the transport of a node:
///
/// ```
/// use peerbeat::link::{Layer, Layered, Socket};
/// use peerbeat::node::{Connected, Dial, Transport};
/// use std::io;
/// use std::time::Instant;
///
/// /// `F` makes the layer for one connection, such as a session of TLS for a host name.
/// struct Encrypted<F>(F);
///
/// impl<L: Layer, F: Fn() -> L + Send + Sync + 'static> Transport for Encrypted<F> {
///     fn connect(&self, dial: &Dial<'_>) -> io::Result<Connected> {
///         let socket = dial.connect()?;
///         Ok(Connected::new(Layered::open(socket, (self.0)(), dial.deadline)?))
///     }
///
///     fn accept(&self, socket: Socket, deadline: Instant) -> io::Result<Connected> {
///         Ok(Connected::new(Layered::open(socket, (self.0)(), deadline)?))
///     }
/// }
/// ```
pub struct Layered<S, L> {
    below: S,
    layer: Mutex<LayerGuard<L>>,
    /// Something arrived, so the layer may take what it did not take before.
    opened: Condvar,
    output: Mutex<Output>,
    /// The layer has made bytes that are not in `output` yet.
    has_pending: AtomicBool,
    /// `output` has sealed bytes that the layer made by itself, and perhaps no other thread comes
    /// to write them.
    is_stuck: AtomicBool,
    input: Mutex<Input>,
    /// A read may return at once, whatever the stream below has.
    may_have: AtomicBool,
    /// Bytes arrived that made nothing to read.
    has_heard: AtomicBool,
    /// In nanoseconds.
    read_timeout: AtomicU64,
    write_timeout: AtomicU64,
}

impl<S: Stream, L: Layer> Layered<S, L> {
    /// Puts a layer on a stream and makes the layer's handshake, if it has one, by `deadline`. The
    /// stream is made blocking.
    ///
    /// # Errors
    /// [`io::ErrorKind::TimedOut`] at the deadline; [`io::ErrorKind::UnexpectedEof`] if the other
    /// side ended the stream before the handshake was done; [`io::ErrorKind::InvalidData`] if the
    /// layer takes nothing of 64 KiB that have arrived; else the error of the layer or the stream.
    pub fn open(below: S, layer: L, deadline: Instant) -> io::Result<Self> {
        below.set_blocking()?;
        let layered = Self {
            below,
            layer: Mutex::new(LayerGuard::new(layer)),
            opened: Condvar::new(),
            output: Mutex::default(),
            has_pending: AtomicBool::new(false),
            is_stuck: AtomicBool::new(false),
            input: Mutex::default(),
            may_have: AtomicBool::new(true),
            has_heard: AtomicBool::new(false),
            read_timeout: AtomicU64::new(nanos(Duration::MAX)),
            write_timeout: AtomicU64::new(nanos(Duration::MAX)),
        };
        match layered.shake(deadline) {
            Ok(()) => Ok(layered),
            Err(error) => {
                // The other side learns why, if it takes that at once.
                layered.has_pending.store(true, Ordering::SeqCst);
                layered.push();
                Err(error)
            }
        }
    }

    /// Looks at the layer, such as for the certificate of the other side. It is locked meanwhile:
    /// nothing is sent or read.
    pub fn with_layer<T>(&self, look: impl FnOnce(&mut L) -> T) -> T {
        look(&mut lock(&self.layer).layer)
    }

    /// The stream below.
    pub fn below(&self) -> &S {
        &self.below
    }

    fn shake(&self, deadline: Instant) -> io::Result<()> {
        let mut input = lock(&self.input);
        let mut below = Until::new(&self.below, deadline);
        loop {
            let mut layer = lock(&self.layer);
            let sealed = layer.seal(&[]).map(drop);
            let is_ready = sealed.is_ok() && layer.layer.is_ready();
            let mut pending = std::mem::take(&mut layer.pending);
            drop(layer);
            below.write_all(&pending)?;
            pending.clear();
            sealed?;
            if is_ready {
                return Ok(());
            }
            loop {
                let opened = lock(&self.layer).open(input.rest(), &mut [])?;
                if opened.is_ended {
                    return Err(cut_off());
                }
                input.take(opened.taken);
                if opened.taken == 0 || lock(&self.layer).layer.is_ready() {
                    break;
                }
            }
            if lock(&self.layer).layer.is_ready() || !lock(&self.layer).pending.is_empty() {
                continue;
            }
            match below.read(input.room()?)? {
                0 => return Err(cut_off()),
                count => input.fill(count),
            }
        }
    }

    /// Writes what the kernel takes of `output`. What was below counts as moved.
    fn flush(&self, output: &mut Output, at_once: bool) -> io::Result<()> {
        while !output.is_empty() {
            let written = match at_once {
                true => self.below.write_at_once(output.rest()),
                false => self.below.write(output.rest()),
            };
            match written {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => output.handle_written(count),
                Err(e) => {
                    self.is_stuck.store(true, Ordering::SeqCst);
                    return Err(e);
                }
            }
        }
        self.is_stuck.store(false, Ordering::SeqCst);
        Ok(())
    }

    /// Writes what the layer has made by itself, if no write is under way: a thread that writes
    /// looks again afterwards.
    fn push(&self) {
        while self.has_pending.load(Ordering::SeqCst) || self.is_stuck.load(Ordering::SeqCst) {
            let mut output = match self.output.try_lock() {
                Ok(output) => output,
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => return,
            };
            // What goes wrong here goes wrong in the next write too. Answers that there is no room
            // for stay pending, which is bounded.
            if self.flush(&mut output, true).is_err() {
                return;
            }
            self.has_pending.store(false, Ordering::SeqCst);
            output.append(&mut lock(&self.layer).pending);
            if self.flush(&mut output, true).is_err() {
                return;
            }
        }
    }

    fn write_some(&self, bytes: &[u8], at_once: bool) -> io::Result<usize> {
        let mut output = lock(&self.output);
        let before = self.flush(&mut output, at_once);
        let moved = output.take_moved();
        if moved > 0 {
            return Ok(moved);
        }
        before?;
        self.seal(bytes, &mut output, at_once)?;
        let flushed = self.flush(&mut output, at_once);
        match output.take_moved() {
            0 => flushed.and(Err(io::ErrorKind::WouldBlock.into())),
            moved => Ok(moved),
        }
    }

    /// Seals a piece of `bytes` into the output, which is empty.
    fn seal(&self, bytes: &[u8], output: &mut Output, at_once: bool) -> io::Result<()> {
        let piece = &bytes[..bytes.len().min(PIECE_MAX)];
        let mut layer = lock(&self.layer);
        let mut count = layer.seal(piece)?;
        if count == 0 && !at_once && layer.pending.is_empty() {
            // It needs something of the other side first.
            let wait = Duration::from_nanos(self.write_timeout.load(Ordering::SeqCst));
            let waited = self.opened.wait_timeout(layer, wait);
            layer = waited.recover().0;
            count = layer.seal(piece)?;
        }
        self.has_pending.store(false, Ordering::SeqCst);
        output.append(&mut layer.pending);
        output.hold(count);
        Ok(())
    }

    /// Ends the sending direction in order, if the kernel takes that at once. A write that is under
    /// way takes a moment, or it is stuck: then the end is a cut.
    fn say_goodbye(&self) {
        let until = Instant::now() + GOODBYE_WAIT;
        let mut output = loop {
            match self.output.try_lock() {
                Ok(output) => break output,
                Err(TryLockError::Poisoned(poisoned)) => break poisoned.into_inner(),
                Err(TryLockError::WouldBlock) if Instant::now() >= until => return,
                Err(TryLockError::WouldBlock) => std::thread::yield_now(),
            }
        };
        let mut layer = lock(&self.layer);
        layer.close();
        output.append(&mut layer.pending);
        drop(layer);
        // The stream is shut in any case.
        let _ = self.flush(&mut output, true);
    }

    /// Reads from the stream below, no longer than the read timeout, and not long while bytes of
    /// the layer's own wait for room in the kernel.
    fn fill(&self, input: &mut Input) -> io::Result<usize> {
        if !self.is_stuck.load(Ordering::SeqCst) {
            return self.below.read(input.room()?);
        }
        let timeout = Duration::from_nanos(self.read_timeout.load(Ordering::SeqCst));
        self.below.set_read_timeout(timeout.min(STUCK_POLL))?;
        let read = self.below.read(input.room()?);
        self.below.set_read_timeout(timeout)?;
        match read {
            // Long before its time.
            Err(e) if is_timeout(e.kind()) => Err(io::ErrorKind::Interrupted.into()),
            read => read,
        }
    }

    /// Opens what has arrived; `None` = it needs more of it.
    fn open_some(&self, input: &mut Input, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        loop {
            let mut layer = lock(&self.layer);
            let opened = layer.open(input.rest(), buffer);
            self.has_pending.fetch_or(!layer.pending.is_empty(), Ordering::SeqCst);
            drop(layer);
            self.push();
            let opened = opened?;
            input.take(opened.taken);
            input.is_over = opened.is_ended;
            if opened.taken > 0 {
                self.opened.notify_all();
            }
            if opened.given > 0 {
                // The layer may hold more, or the end.
                self.may_have.store(true, Ordering::SeqCst);
                return Ok(Some(opened.given));
            }
            if opened.is_ended {
                return Ok(Some(0));
            }
            if opened.taken == 0 {
                self.may_have.store(false, Ordering::SeqCst);
                return Ok(None);
            }
        }
    }
}

impl<S: Stream, L: Layer> Stream for Layered<S, L> {
    fn can_peek(&self) -> bool {
        self.below.can_peek()
    }

    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut input = lock(&self.input);
        if input.is_over {
            return Ok(0);
        }
        self.push();
        if self.may_have.load(Ordering::SeqCst) {
            if let Some(count) = self.open_some(&mut input, buffer)? {
                return Ok(count);
            }
        }
        match self.fill(&mut input)? {
            0 => return Err(cut_off()),
            count => input.fill(count),
        }
        match self.open_some(&mut input, buffer)? {
            Some(count) => Ok(count),
            None => {
                self.has_heard.store(true, Ordering::SeqCst);
                Err(io::ErrorKind::Interrupted.into())
            }
        }
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.write_some(bytes, false);
        self.push();
        written
    }

    fn write_at_once(&self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.write_some(bytes, true);
        self.push();
        written
    }

    fn held(&self) -> usize {
        lock(&self.output).held()
    }

    fn heard(&self) -> bool {
        self.has_heard.swap(false, Ordering::SeqCst)
    }

    fn set_blocking(&self) -> io::Result<()> {
        self.below.set_blocking()
    }

    fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.below.set_nodelay(nodelay)
    }

    fn set_read_timeout(&self, timeout: Duration) -> io::Result<()> {
        self.read_timeout.store(nanos(timeout), Ordering::SeqCst);
        self.below.set_read_timeout(timeout)
    }

    fn set_write_timeout(&self, timeout: Duration) -> io::Result<()> {
        self.write_timeout.store(nanos(timeout), Ordering::SeqCst);
        self.below.set_write_timeout(timeout)
    }

    /// Sends the layer's goodbye before it shuts the sending direction, if no write is stuck.
    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        if how != Shutdown::Read {
            self.say_goodbye();
        }
        self.below.shutdown(how)
    }

    fn wait_readable(&self) -> io::Result<()> {
        match self.may_have.load(Ordering::SeqCst) {
            true => Ok(()),
            false => self.below.wait_readable(),
        }
    }

    fn is_readable(&self) -> io::Result<bool> {
        Ok(self.may_have.load(Ordering::SeqCst) || self.below.is_readable()?)
    }
}

impl<S: fmt::Debug, L> fmt::Debug for Layered<S, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Layered").field("below", &self.below).finish_non_exhaustive()
    }
}

/// A panic while it was locked came from the layer, whose state is not used again, or from the
/// program.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().recover()
}

fn cut_off() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the stream was cut off, without a goodbye")
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// How many plain bytes are sealed for one write.
const PIECE_MAX: usize = 64 << 10;
/// How long a write may keep the goodbye waiting.
const GOODBYE_WAIT: Duration = Duration::from_millis(5);
/// How often bytes that the layer made by itself are tried again while the kernel has no room.
const STUCK_POLL: Duration = Duration::from_millis(20);
