//! A layer as [`Layered`](super::Layered) calls it: what it returns is checked, its panics are
//! errors, and the first error is the last call.
//!
//! Invariant: `pending` holds what the layer has made, in the order in which it was made, and at
//! most [`PENDING_MAX`] of it that none of our messages is part of.

use std::io;

use super::layer::{Layer, Opened};
use super::stream::is_timeout;
use crate::guarded::guarded;

/// A layer, and the sealed bytes that wait for the next writer.
#[derive(Debug)]
pub(super) struct LayerGuard<L> {
    pub(super) layer: L,
    pub(super) pending: Vec<u8>,
    /// Why it is not called any more.
    broken: Option<(io::ErrorKind, String)>,
    is_closed: bool,
}

impl<L: Layer> LayerGuard<L> {
    pub(super) fn new(layer: L) -> Self {
        Self { layer, pending: Vec::new(), broken: None, is_closed: false }
    }

    /// Seals; the result is pending.
    pub(super) fn seal(&mut self, plain: &[u8]) -> io::Result<usize> {
        if self.is_closed {
            return Err(io::Error::new(io::ErrorKind::BrokenPipe, "the stream is closed"));
        }
        let count = self.call(|layer, pending| layer.seal(plain, pending))?;
        self.check(count <= plain.len())?;
        Ok(count)
    }

    /// Opens; its answers are pending.
    pub(super) fn open(&mut self, sealed: &[u8], plain: &mut [u8]) -> io::Result<Opened> {
        let opened = self.call(|layer, pending| layer.open(sealed, plain, pending))?;
        self.check(opened.taken <= sealed.len() && opened.given <= plain.len())?;
        if self.pending.len() > PENDING_MAX {
            let text = "the other side has us answer, and does not read the answers";
            return Err(self.break_off(io::ErrorKind::InvalidData, text));
        }
        Ok(opened)
    }

    /// Says goodbye, once.
    pub(super) fn close(&mut self) {
        if std::mem::replace(&mut self.is_closed, true) {
            return;
        }
        let Self { layer, pending, .. } = self;
        // Nothing can be done about a failure here.
        let _ = guarded(|| layer.close(pending));
    }

    fn call<T>(
        &mut self,
        call: impl FnOnce(&mut L, &mut Vec<u8>) -> io::Result<T>,
    ) -> io::Result<T> {
        if let Some((kind, text)) = &self.broken {
            return Err(io::Error::new(*kind, text.clone()));
        }
        let Self { layer, pending, .. } = self;
        let error = match guarded(|| call(layer, pending)) {
            Some(Ok(result)) => return Ok(result),
            Some(Err(error)) => error,
            None => io::Error::other("the layer panicked"),
        };
        // A layer does not wait, so this is no timeout of anything.
        let kind = if is_timeout(error.kind()) { io::ErrorKind::Other } else { error.kind() };
        Err(self.break_off(kind, &error.to_string()))
    }

    fn check(&mut self, is_sound: bool) -> io::Result<()> {
        match is_sound {
            true => Ok(()),
            false => {
                let text = "the layer counts bytes that it was not given";
                Err(self.break_off(io::ErrorKind::InvalidInput, text))
            }
        }
    }

    fn break_off(&mut self, kind: io::ErrorKind, text: &str) -> io::Error {
        self.broken = Some((kind, text.to_owned()));
        io::Error::new(kind, text)
    }
}

/// How many bytes of answers may wait while the other side does not read.
const PENDING_MAX: usize = 64 << 10;
