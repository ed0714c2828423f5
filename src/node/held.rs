//! What an ownership needs of a link and of a connection on which HELLO is out.
//!
//! Two traits, so that the rules of ownership are tested with a flag and a number in place of a
//! link and a socket.

use std::net::{Shutdown, TcpStream};
use std::sync::Arc;

use crate::link::{DownReason, Link};
use crate::protocol::{Bye, ByeCode};

/// What a lease holds once it is up, as far as ownership matters; tests put a number in its place.
pub(super) trait Held: Clone {
    /// Whether it lives.
    fn is_up(&self) -> bool;
    /// Ends it because the peer connected again.
    fn replace(&self);
}

impl Held for Link {
    fn is_up(&self) -> bool {
        Link::is_up(self)
    }

    fn replace(&self) {
        let bye = Bye { code: ByeCode::CLOSE, text: "replaced by a newer connection" };
        self.end(DownReason::Replaced, Some(&bye));
    }
}

/// A connection of ours on which HELLO is out; its thread can be woken.
pub(super) trait Greeted: Clone {
    /// Wakes the thread that waits for the answer.
    fn interrupt(&self);
}

impl Greeted for Arc<TcpStream> {
    fn interrupt(&self) {
        // Only reading ends: the thread that wakes may still have a BYE to write. Where the socket
        // is dead already, the thread is awake already.
        let _ = self.shutdown(Shutdown::Read);
    }
}
