//! Where a message is that was found.
//!
//! `poll` asks a framing once about each message, since its state may move with the answer, and
//! what it answered cannot be kept beside the buffer that it borrows.

use std::ops::Range;

/// A message that a framing found.
pub(super) enum Found {
    /// In the buffer that it was received in.
    Here(Range<usize>),
    /// A framing may hand out what it did not receive.
    Elsewhere(Vec<u8>),
}

impl Found {
    /// The buffer is given as its address and length.
    pub(super) fn new(payload: &[u8], (address, length): (usize, usize)) -> Self {
        let start = payload.as_ptr().addr().wrapping_sub(address);
        let end = start.wrapping_add(payload.len());
        match start < end && end <= length {
            true => Self::Here(start..end),
            false => Self::Elsewhere(payload.to_vec()),
        }
    }

    pub(super) fn payload<'a>(&'a self, buffer: &'a [u8]) -> &'a [u8] {
        match self {
            Self::Here(range) => &buffer[range.clone()],
            Self::Elsewhere(copy) => copy,
        }
    }
}
