//! Messages that are being appended to the queue, by a framing that may be the user's.
//!
//! Invariant: the queue holds whole frames only, and each is counted.

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

/// The same for several messages in a row: those that are whole are counted.
pub(super) struct Counting<'a> {
    pub(super) encoding: Encoding<'a>,
    /// How many are whole.
    pub(super) messages: usize,
    pub(super) count: &'a mut usize,
    pub(super) queued: &'a mut u64,
    pub(super) accepted: &'a mut u64,
}

impl Drop for Counting<'_> {
    #[inline]
    fn drop(&mut self) {
        *self.count += self.messages;
        *self.queued += self.messages as u64;
        *self.accepted += self.messages as u64;
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::Arc;

    use super::super::Outgoing;
    use crate::connection::SendError;
    use crate::liveness::{Settings, Time};
    use crate::protocol::{Decoded, Framing, Heartbeat, ProtocolError};

    /// Fails or panics in the middle of a message.
    struct Fussy;

    impl Framing for Fussy {
        fn decode<'a>(&self, _: &'a [u8]) -> Result<Decoded<'a>, ProtocolError> {
            Ok(Decoded::Partial)
        }

        fn encode_data(&self, payload: &[u8], out: &mut Vec<u8>) -> Result<(), ProtocolError> {
            out.extend_from_slice(payload);
            match payload {
                b"unfit" => Err(ProtocolError::Name { field: "name", problem: "is empty" }),
                b"panic" => panic!("as asked"),
                _ => Ok(()),
            }
        }

        fn encode_heartbeat(&self, _: &Heartbeat, _: &mut Vec<u8>) {}
    }

    #[test]
    fn what_is_whole_is_counted_and_the_rest_taken_back() {
        let new = || Outgoing::new(Arc::new(Fussy), &Settings::default(), 1000, Time::ZERO);
        let count = |outgoing: &Outgoing<Fussy>| {
            let accepted = outgoing.stats(Time::ZERO).messages_accepted;
            (outgoing.queued_bytes(), outgoing.queued_messages(), accepted)
        };
        let mut outgoing = new();
        let mut taken = 0;
        let unfit = outgoing.append_all(&[b"one", b"two", b"unfit", b"three"], 100, &mut taken);
        assert!(matches!((unfit, taken), (Err(SendError::Unfit(_)), 2)));
        assert_eq!(count(&outgoing), (6, 2, 2));
        let panics = || outgoing.append_all(&[b"three", b"panic", b"four"], 100, &mut 0);
        assert!(catch_unwind(AssertUnwindSafe(panics)).is_err());
        assert_eq!(count(&outgoing), (11, 3, 3));
        assert_eq!(outgoing.append_all(&[b"four", b"five"], 16, &mut taken), Ok(()));
        assert_eq!(taken, 3);
        assert_eq!(count(&outgoing), (15, 4, 4));
    }
}
