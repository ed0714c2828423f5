//! A stream of the program whose panics become errors.
//!
//! It is called by threads that keep a node running, such as the supervisor and the one that dials,
//! and a panic in it must end none of them. After the first panic only `shutdown` is still called,
//! which wakes threads that wait in other calls.

use std::io;
use std::net::Shutdown;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::guarded::guarded;
use crate::link::Stream;

/// Calls its stream until that has panicked.
pub(super) struct GuardedStream<S: Stream> {
    /// Taken out when it is dropped.
    stream: Option<S>,
    has_panicked: AtomicBool,
}

impl<S: Stream> GuardedStream<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream: Some(stream), has_panicked: AtomicBool::new(false) }
    }

    /// What the call returns; `None` = it has panicked, or one before it.
    fn ask<T>(&self, call: impl FnOnce(&S) -> T) -> Option<T> {
        match self.has_panicked.load(Ordering::SeqCst) {
            true => None,
            false => self.call_anyway(call),
        }
    }

    fn call_anyway<T>(&self, call: impl FnOnce(&S) -> T) -> Option<T> {
        let stream = self.stream.as_ref()?;
        let outcome = guarded(|| call(stream));
        if outcome.is_none() {
            self.has_panicked.store(true, Ordering::SeqCst);
        }
        outcome
    }

    fn call<T>(&self, call: impl FnOnce(&S) -> io::Result<T>) -> io::Result<T> {
        self.ask(call).unwrap_or_else(|| Err(panicked()))
    }
}

fn panicked() -> io::Error {
    io::Error::other("the stream panicked")
}

impl<S: Stream> Stream for GuardedStream<S> {
    fn can_peek(&self) -> bool {
        self.ask(S::can_peek).unwrap_or(false)
    }

    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.call(|stream| stream.read(buffer))
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.call(|stream| stream.write(bytes))
    }

    fn write_at_once(&self, bytes: &[u8]) -> io::Result<usize> {
        self.call(|stream| stream.write_at_once(bytes))
    }

    fn held(&self) -> usize {
        self.ask(S::held).unwrap_or(0)
    }

    fn heard(&self) -> bool {
        self.ask(S::heard).unwrap_or(false)
    }

    fn set_blocking(&self) -> io::Result<()> {
        self.call(S::set_blocking)
    }

    fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.call(|stream| stream.set_nodelay(nodelay))
    }

    fn set_read_timeout(&self, timeout: Duration) -> io::Result<()> {
        self.call(|stream| stream.set_read_timeout(timeout))
    }

    fn set_write_timeout(&self, timeout: Duration) -> io::Result<()> {
        self.call(|stream| stream.set_write_timeout(timeout))
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.call_anyway(|stream| stream.shutdown(how)).unwrap_or_else(|| Err(panicked()))
    }

    fn wait_readable(&self) -> io::Result<()> {
        self.call(S::wait_readable)
    }

    fn is_readable(&self) -> io::Result<bool> {
        self.call(S::is_readable)
    }
}

impl<S: Stream> Drop for GuardedStream<S> {
    fn drop(&mut self) {
        let stream = self.stream.take();
        guarded(|| drop(stream));
    }
}
