//! What a reader does when it no longer hands messages on.
//!
//! What still arrives is dropped and counted, so that the account of the end is right on both sides
//! and the goodbye can be read.

use std::net::Shutdown;

use super::super::shared::shut;
use super::super::stream::{Stream, is_timeout};
use super::{CLOSING_POLL, READ_TIMEOUT_MIN, Reader};
use crate::connection::{DownReason, Input, Phase};
use crate::protocol::Framing;

impl<S: Stream, F: Framing> Reader<S, F> {
    /// Reads while a close is under way, and drops and counts what comes: closing a socket with
    /// unread bytes resets the connection, which destroys what is under way to the peer. Reading is
    /// shut after the last read: a socket that is read empty after it was shut never reopens its
    /// window, and a peer that only writes is stuck for the minute that its kernel waits.
    pub(super) fn drop_rest(&mut self) {
        let link = self.link.clone();
        let (shared, Some(stream)) = (link.shared(), self.stream.clone()) else { return };
        self.drop_messages();
        let mut was_closing = false;
        shared.lock().is_dropping = true;
        while matches!(shared.lock().outgoing.phase(), Phase::Closing(_)) {
            was_closing = true;
            let _shut = stream.set_read_timeout(CLOSING_POLL);
            match stream.read(self.incoming.spare()) {
                Ok(0) => self.handle_end(),
                Ok(count) => {
                    self.now = shared.clock.now();
                    self.take_in(count);
                    self.unreported.clear();
                    self.drop_messages();
                }
                Err(e) if is_timeout(e.kind()) => {}
                Err(e) => shared.fail_reading(&e),
            }
        }
        let is_cut_off = matches!(
            shared.lock().outgoing.phase().reason(),
            Some(DownReason::WriteStalled { .. } | DownReason::Replaced | DownReason::Local { .. })
        );
        if is_cut_off && !was_closing && stream.can_peek() {
            self.count_what_arrived(&stream);
        }
        shut(&*stream, Shutdown::Both);
    }

    /// The link was ended from this side: what had arrived by then is counted as not handed on.
    ///
    /// A full one is not read empty, as it may have been shut: what stays in it is not confirmed to
    /// the peer, which counts it.
    fn count_what_arrived(&mut self, stream: &S) {
        let _shut = stream.set_read_timeout(READ_TIMEOUT_MIN);
        let mut left = COUNTED_BYTES_MAX;
        while left > 0 {
            match stream.read(self.incoming.spare()) {
                Ok(count @ 1..) => {
                    left = left.saturating_sub(count);
                    self.take_in(count);
                    self.drop_messages();
                }
                _ => break,
            }
        }
        self.unreported.clear();
    }

    fn drop_messages(&mut self) {
        let link = self.link.clone();
        while let Some(input) = self.incoming.drop_messages() {
            match input {
                Input::Bye(bye) => {
                    let mut state = link.shared().lock();
                    state.outgoing.handle_bye(&bye, link.shared().clock.now());
                }
                Input::Broken(_) => break,
                Input::Heartbeat(_) | Input::Skipped => {}
            }
        }
    }
}

/// How much is read to count what had arrived.
const COUNTED_BYTES_MAX: usize = 64 << 10;
