//! A message that is being appended to the queue, by a framing that may be the user's.
//!
//! Invariant: the queue holds whole frames only.

/// Takes back what a framing appended that then failed or panicked: the peer must not receive half
/// a message.
pub(super) struct Encoding<'a> {
    pub(super) queue: &'a mut Vec<u8>,
    /// How much of it is whole.
    pub(super) length: usize,
}

impl Drop for Encoding<'_> {
    #[inline]
    fn drop(&mut self) {
        self.queue.truncate(self.length);
    }
}
