//! The two buffers of sealed bytes: what has arrived and is not opened, what is sealed and not
//! written.
//!
//! Invariants: what has arrived is at most [`REST_MAX`] bytes. Plain bytes in the output are either
//! held or moved, and moved ones are never more than the kernel's share of the sealed bytes.

use std::io;

/// Sealed bytes that have arrived.
#[derive(Debug, Default)]
pub(super) struct Input {
    bytes: Vec<u8>,
    /// The first that the layer has not taken, and the end of what has arrived.
    taken: usize,
    filled: usize,
    /// How many reads in a row brought little.
    small_reads: u32,
    /// The other side has ended its stream in order.
    pub(super) is_over: bool,
}

impl Input {
    /// The bytes that the layer has not taken.
    pub(super) fn rest(&self) -> &[u8] {
        &self.bytes[self.taken..self.filled]
    }

    /// The layer has taken this much.
    pub(super) fn take(&mut self, count: usize) {
        self.taken = (self.taken + count).min(self.filled);
    }

    /// Room for what arrives.
    ///
    /// # Errors
    /// If the layer takes nothing of all that there may be.
    pub(super) fn room(&mut self) -> io::Result<&mut [u8]> {
        self.bytes.copy_within(self.taken..self.filled, 0);
        (self.taken, self.filled) = (0, self.filled - self.taken);
        if self.filled >= REST_MAX {
            let text = "the layer makes nothing of 64 KiB that have arrived";
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        if self.filled == 0 && self.small_reads > SMALL_READS {
            self.bytes = Vec::new();
            self.small_reads = 0;
        }
        if self.bytes.len() - self.filled < REST_MIN / 2 {
            let length = (self.bytes.len() * 2).clamp(REST_MIN, REST_MAX);
            self.bytes.resize(length, 0);
        }
        Ok(&mut self.bytes[self.filled..])
    }

    /// So many bytes have arrived in the room that was given.
    pub(super) fn fill(&mut self, count: usize) {
        self.filled += count;
        if self.filled == self.bytes.len() && self.bytes.len() < REST_MAX {
            self.bytes.resize((self.bytes.len() * 2).min(REST_MAX), 0);
        }
        match count < REST_MIN / 2 && self.bytes.len() > REST_MIN {
            true => self.small_reads += 1,
            false => self.small_reads = 0,
        }
    }
}

/// Sealed bytes on their way.
#[derive(Debug, Default)]
pub(super) struct Output {
    bytes: Vec<u8>,
    written: usize,
    /// Plain bytes in what is not written,
    held: usize,
    /// and in what is, but was not reported.
    moved: usize,
}

impl Output {
    pub(super) fn is_empty(&self) -> bool {
        self.written == self.bytes.len()
    }

    pub(super) fn rest(&self) -> &[u8] {
        &self.bytes[self.written..]
    }

    /// Takes sealed bytes behind what is there.
    pub(super) fn append(&mut self, sealed: &mut Vec<u8>) {
        if self.is_empty() {
            self.clear();
        }
        match self.bytes.is_empty() {
            true => std::mem::swap(&mut self.bytes, sealed),
            false => self.bytes.append(sealed),
        }
    }

    /// So many plain bytes are in what was appended.
    pub(super) fn hold(&mut self, count: usize) {
        self.held += count;
    }

    /// The kernel took so many sealed bytes.
    pub(super) fn handle_written(&mut self, count: usize) {
        let left = self.rest().len();
        self.written += count;
        let moved = match self.is_empty() {
            true => self.held,
            // Progress is at least one plain byte, and the last one waits for the last sealed one.
            false => {
                let share = (self.held as u128 * count as u128 / left as u128) as usize;
                share.max(1).min(self.held.saturating_sub(1))
            }
        };
        self.held -= moved;
        self.moved += moved;
        if self.is_empty() {
            self.clear();
        }
    }

    /// The plain bytes that are out and were not reported.
    pub(super) fn take_moved(&mut self) -> usize {
        std::mem::take(&mut self.moved)
    }

    /// The plain bytes that were not reported.
    pub(super) fn held(&self) -> usize {
        self.held + self.moved
    }

    fn clear(&mut self) {
        // An idle link does not keep a buffer that a burst has left.
        if self.bytes.len() < KEPT_BYTES / 4 && self.bytes.capacity() > KEPT_BYTES {
            self.bytes = Vec::new();
        }
        self.bytes.clear();
        self.written = 0;
    }
}

/// How many sealed bytes may wait for a layer. The largest record of TLS has 16,645.
const REST_MAX: usize = 64 << 10;
const REST_MIN: usize = 4 << 10;
/// After how many reads that brought little a large buffer is given back.
const SMALL_READS: u32 = 64;
/// The capacity that is kept.
const KEPT_BYTES: usize = 16 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_bytes_move_with_the_sealed_ones_and_the_last_with_the_last() {
        for (plain, sealed) in [(1, 30), (5, 40), (1000, 1022), (70_000, 70_110), (3, 1_000_000)] {
            let mut output = Output::default();
            output.append(&mut vec![0; sealed]);
            output.hold(plain);
            let mut moved = 0;
            for _ in 1..sealed {
                output.handle_written(1);
                let now = output.take_moved();
                assert!(now > 0 || moved == plain - 1, "no progress: {moved} of {plain}");
                moved += now;
                assert!(moved < plain);
                assert_eq!(moved + output.held(), plain);
            }
            output.handle_written(1);
            assert_eq!(moved + output.take_moved(), plain);
            assert!(output.is_empty() && output.held() == 0);
        }
    }

    #[test]
    fn what_has_arrived_is_bounded_and_shrinks_again() {
        let mut input = Input::default();
        let mut filled = 0;
        let error = loop {
            match input.room() {
                Ok(room) => {
                    let count = room.len();
                    filled += count;
                    input.fill(count);
                }
                Err(error) => break error,
            }
        };
        assert_eq!((error.kind(), filled), (io::ErrorKind::InvalidData, REST_MAX));
        input.take(filled);
        for _ in 0..=SMALL_READS + 1 {
            input.room().expect("it is empty")[0] = 7;
            input.fill(1);
            assert_eq!(input.rest(), [7]);
            input.take(1);
        }
        input.room().expect("it is empty");
        assert_eq!(input.bytes.len(), REST_MIN);
    }
}
