//! A node's link in the net: what it reports goes to the node's session, as from a link's reader
//! thread.
//!
//! The session reports up, messages and down; here only the order is kept.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use super::wire::Wire;
use crate::connection::Down;
use crate::node::driven::{PeerLink, Session, Teller};
use crate::sim::{LinkId, SimEvent};

/// A link, and the session that it belongs to.
pub(super) struct Linked {
    session: Session,
    wire: Wire,
    /// None until the peer is reported as up.
    teller: Option<Teller>,
}

impl Linked {
    pub(super) fn new(session: Session, wire: Wire) -> Self {
        Self { session, wire, teller: None }
    }

    pub(super) fn link(&self) -> LinkId {
        self.wire.link
    }

    /// Makes the link and reports that the peer is up.
    pub(super) fn begin(&mut self) {
        let options = self.session.link_options();
        self.wire.go_up(&options);
        let link = PeerLink::Virtual(Arc::new(self.wire.clone()));
        self.session.begin(&link);
        HELD.take();
        self.session.report_up(&link);
        self.teller = Some(self.session.teller(link));
        self.take_held();
    }

    /// Reports what the living link saw.
    pub(super) fn tell(&mut self, event: &SimEvent) {
        HELD.take();
        match (event, &mut self.teller) {
            (SimEvent::Message(payload), Some(teller)) => teller.message(payload),
            (SimEvent::Event(event), Some(teller)) => teller.event(event),
            _ => {}
        }
        self.take_held();
    }

    /// The link has ended; returns whether it lasted.
    pub(super) fn end(self, down: &Down) -> bool {
        self.session.end(down.clone())
    }

    fn take_held(&self) {
        let time = HELD.take();
        if !time.is_zero() {
            self.wire.hold(time);
        }
    }
}

/// Holds the reader of the link whose handler is called, for `time` from now: what a handler does
/// that takes so long. Outside of a handler of [`Nodes`](super::Nodes), and in one that is called
/// for no link, it does nothing.
///
/// Several calls in one handler add up.
pub fn hold(time: Duration) {
    HELD.set(HELD.get().saturating_add(time));
}

thread_local! {
    /// How long the handler that is called holds the reader, as it has set it.
    static HELD: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}
