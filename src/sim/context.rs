//! What a program can do while it is called: its own host's part of the net.
//!
//! It is handed to the handler for the length of one call and belongs to one host; it cannot reach
//! another one's program, only its address.

use std::time::Duration;

use super::{Host, LinkId, Net};
use crate::connection::SendError;
use crate::liveness::Time;

/// A host's side of the net, in the hands of its program.
///
/// ```
/// use peerbeat::sim::{Net, SimEvent, SimOptions, secs};
///
/// let mut net = Net::new(1);
/// let [client, server] = [(); 2].map(|()| net.add(SimOptions::default()));
/// net.on(server, move |context, event| {
///     if let SimEvent::Message(message) = event {
///         context.send(client, message).expect("there is room");
///     }
/// });
/// net.connect(client, server);
/// net.run_until(secs(1.0));
/// net.send(client, server, b"echo")?;
/// net.run_until(secs(2.0));
/// let echo = SimEvent::Message(b"echo".to_vec());
/// assert!(net.seen_by(client).any(|record| record.event == echo));
/// # Ok::<(), peerbeat::link::SendError>(())
/// ```
pub struct Context<'a, 'h> {
    net: &'a mut Net<'h>,
    host: Host,
    link: Option<LinkId>,
}

impl<'a, 'h> Context<'a, 'h> {
    pub(super) fn new(net: &'a mut Net<'h>, host: Host, link: Option<LinkId>) -> Self {
        Self { net, host, link }
    }

    /// The host that this is a side of.
    pub fn host(&self) -> Host {
        self.host
    }

    /// The connection that the call is about; `None` if it is about none.
    pub fn link(&self) -> Option<LinkId> {
        self.link
    }

    /// The virtual time.
    pub fn now(&self) -> Time {
        self.net.now()
    }

    /// Dials `to`; the result is seen later.
    pub fn connect(&mut self, to: Host) -> Option<LinkId> {
        self.net.connect(self.host, to)
    }

    /// Sends a message to `to`.
    ///
    /// # Errors
    /// [`SendError::NotConnected`] if there is no link to `to`, [`SendError::Down`] if it is
    /// ending, [`SendError::Full`] if there is no room, [`SendError::Unfit`] for a message that no
    /// frame can carry.
    pub fn send(&mut self, to: Host, payload: &[u8]) -> Result<(), SendError> {
        self.net.send(self.host, to, payload)
    }

    /// Closes the link to `to` in order.
    pub fn close(&mut self, to: Host) {
        self.net.close(self.host, to);
    }

    /// Closes the link to `to` in order, and is handed what arrives meanwhile.
    pub fn drain(&mut self, to: Host) {
        self.net.drain(self.host, to);
    }

    /// Whether there is a living link to `to`.
    pub fn is_up(&self, to: Host) -> bool {
        self.net.is_up(self.host, to)
    }

    /// Holds the reader of this link for `time`, as a handler does that takes so long.
    pub fn hold(&mut self, time: Duration) {
        if let Some(link) = self.link {
            self.net.hold(self.host, link, time);
        }
    }

    /// Asks for [`SimEvent::Timer`](super::SimEvent::Timer) with `tag` after `time`.
    pub fn set_timer(&mut self, time: Duration, tag: u64) {
        let at = self.now() + time;
        self.net.set_timer(self.host, at, tag);
    }
}
