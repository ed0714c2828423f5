//! A stream in memory with a tiny buffer, whose every write can be made short, late or wrong: what
//! a kernel does once in a while, it does always.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::Shutdown;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use peerbeat::link::Stream;

/// One end of a pipe.
#[derive(Debug)]
pub(crate) struct Pipe {
    reads: Arc<Half>,
    writes: Arc<Half>,
    timeouts: Mutex<Timeouts>,
    hiccup: Mutex<Option<ErrorKind>>,
    calls: AtomicU64,
    slow_ms: AtomicU64,
    faults: Mutex<Faults>,
    away: Mutex<Option<(Vec<u8>, Duration)>>,
}

/// How the waits of an end go wrong.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Faults {
    /// A read whose time is up comes back so much later, once.
    pub(crate) late_read: Duration,
    /// Every read whose time is up comes back later by an eighth of it, as kernels may.
    pub(crate) coarse_reads: bool,
    /// A write whose time is up comes back so much later, without another look, once.
    pub(crate) late_write: Duration,
    /// Every write whose time is up comes back so much later, without another look.
    pub(crate) late_writes: Duration,
    /// A signal ends every read that has waited for a millisecond.
    pub(crate) signals: bool,
}

#[derive(Debug)]
struct Timeouts {
    read: Duration,
    write: Duration,
}

/// One direction.
#[derive(Debug)]
struct Half {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    bytes: VecDeque<u8>,
    capacity: usize,
    /// No more bytes will come.
    finished: bool,
    /// They will not be read.
    refused: bool,
}

/// Two ends: from the first to the second the pipe holds `capacity` bytes, back it holds enough.
pub(crate) fn pipe(capacity: usize) -> (Pipe, Pipe) {
    let [there, back] = [Half::new(capacity), Half::new(1000)].map(Arc::new);
    let one = Pipe::new(Arc::clone(&back), Arc::clone(&there));
    (one, Pipe::new(there, back))
}

impl Half {
    fn new(capacity: usize) -> Self {
        let state = State { bytes: VecDeque::new(), capacity, finished: false, refused: false };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Waits for `is_ready` or for the time to be up, which `TimedOut` says, as on other systems.
    fn wait(
        &self,
        timeout: Duration,
        is_ready: impl Fn(&State) -> bool,
    ) -> io::Result<MutexGuard<'_, State>> {
        let until = Instant::now().checked_add(timeout);
        let mut state = self.lock();
        while !is_ready(&state) {
            let left = match until {
                Some(until) => until.saturating_duration_since(Instant::now()),
                None => Duration::from_secs(3600),
            };
            if left.is_zero() {
                return Err(ErrorKind::TimedOut.into());
            }
            state = self.changed.wait_timeout(state, left).unwrap().0;
        }
        Ok(state)
    }
}

impl Pipe {
    fn new(reads: Arc<Half>, writes: Arc<Half>) -> Self {
        let timeouts = Mutex::new(Timeouts { read: Duration::MAX, write: Duration::MAX });
        let [calls, slow_ms] = [const { AtomicU64::new(0) }; 2];
        let (hiccup, away, faults) = (Mutex::new(None), Mutex::new(None), Mutex::default());
        Self { reads, writes, timeouts, hiccup, calls, slow_ms, faults, away }
    }

    /// Every other write and read of this end does nothing and ends with this error kind.
    pub(crate) fn hiccup(&self, kind: ErrorKind) {
        *self.hiccup.lock().unwrap() = Some(kind);
    }

    /// Sets how the waits of this end go wrong.
    pub(crate) fn fail(&self, faults: Faults) {
        *self.faults.lock().unwrap() = faults;
    }

    fn stumble(&self) -> io::Result<()> {
        match *self.hiccup.lock().unwrap() {
            Some(kind) if self.calls.fetch_add(1, Ordering::Relaxed) % 2 == 0 => Err(kind.into()),
            _ => Ok(()),
        }
    }

    /// Writes of this end take so long, from now on.
    pub(crate) fn slow_writes(&self, by: Duration) {
        self.slow_ms.store(by.as_millis() as u64, Ordering::Relaxed);
    }

    /// The next read whose time is up returns that much later, and meanwhile these bytes arrive:
    /// its thread lost the processor after the kernel had looked.
    pub(crate) fn lose_processor(&self, bytes: &[u8], by: Duration) {
        *self.away.lock().unwrap() = Some((bytes.to_vec(), by));
    }

    /// Writes of this end fail from now on; its reads do not notice.
    pub(crate) fn break_writes(&self) {
        self.writes.lock().refused = true;
        self.writes.changed.notify_all();
    }

    /// All bytes of the other end until it finishes.
    pub(crate) fn read_all(&self) -> Vec<u8> {
        let (mut all, mut piece) = (Vec::new(), [0; 4096]);
        loop {
            match self.read(&mut piece) {
                Ok(0) => return all,
                Ok(count) => all.extend_from_slice(&piece[..count]),
                Err(e) => panic!("{e}"),
            }
        }
    }
}

impl Stream for Pipe {
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stumble()?;
        let timeout = self.timeouts.lock().unwrap().read;
        let is_ready = |state: &State| !state.bytes.is_empty() || state.finished || state.refused;
        let faults = *self.faults.lock().unwrap();
        let signal = Duration::from_millis(1);
        let patience = if faults.signals { timeout.min(signal) } else { timeout };
        let ready = self.reads.wait(patience, is_ready);
        if ready.is_err() {
            if let Some((bytes, by)) = self.away.lock().unwrap().take() {
                self.reads.lock().bytes.extend(bytes);
                thread::sleep(by);
            }
            self.faults.lock().unwrap().late_read = Duration::ZERO;
            let eighth = if faults.coarse_reads { timeout / 8 } else { Duration::ZERO };
            thread::sleep(faults.late_read + eighth);
        }
        let mut state = match ready {
            Err(_) if faults.signals => return Err(ErrorKind::Interrupted.into()),
            ready => ready?,
        };
        let count = buffer.len().min(state.bytes.len());
        for (place, byte) in buffer.iter_mut().zip(state.bytes.drain(..count)) {
            *place = byte;
        }
        drop(state);
        self.reads.changed.notify_all();
        Ok(count)
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.stumble()?;
        thread::sleep(Duration::from_millis(self.slow_ms.load(Ordering::Relaxed)));
        let timeout = self.timeouts.lock().unwrap().write;
        let is_ready =
            |state: &State| state.bytes.len() < state.capacity || state.finished || state.refused;
        let ready = self.writes.wait(timeout, is_ready);
        if ready.is_err() {
            let mut faults = self.faults.lock().unwrap();
            let late = faults.late_writes + std::mem::take(&mut faults.late_write);
            drop(faults);
            thread::sleep(late);
        }
        let mut state = ready?;
        if state.finished || state.refused {
            return Err(ErrorKind::BrokenPipe.into());
        }
        let count = bytes.len().min(state.capacity - state.bytes.len());
        state.bytes.extend(&bytes[..count]);
        drop(state);
        self.writes.changed.notify_all();
        Ok(count)
    }

    fn set_read_timeout(&self, timeout: Duration) -> io::Result<()> {
        assert!(!timeout.is_zero(), "a read timeout of zero");
        self.timeouts.lock().unwrap().read = timeout;
        Ok(())
    }

    fn set_write_timeout(&self, timeout: Duration) -> io::Result<()> {
        assert!(!timeout.is_zero(), "a write timeout of zero");
        assert!(timeout <= Duration::from_millis(50), "a write timeout of {timeout:?}");
        self.timeouts.lock().unwrap().write = timeout;
        Ok(())
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        if how != Shutdown::Read {
            self.writes.lock().finished = true;
            self.writes.changed.notify_all();
        }
        if how != Shutdown::Write {
            self.reads.lock().refused = true;
            self.reads.changed.notify_all();
        }
        Ok(())
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        let _ended = self.shutdown(Shutdown::Both);
    }
}
