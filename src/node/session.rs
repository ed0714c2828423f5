//! One link of a peer, from the welcome to its end: up, what the link reports, down.
//!
//! The thread that runs a session holds the peer's lease, so up comes first, down last, each once,
//! with the messages between. The handler's panics end the link and nothing else.

use std::io;
use std::sync::Arc;

use super::backoff;
use super::endpoint::Endpoint;
use super::peer_link::PeerLink;
use super::runtime::PeerRuntime;
use super::shared::Shared;
use super::transport::{AnyStream, NodeLink};
use super::turns::Lease;
use super::{Direction, NodeEvent, NodeHandler, Peer};
use crate::config::PeerConfig;
use crate::guarded::guarded;
use crate::link::handshake::Greeting;
use crate::link::{Down, DownReason, Link, LinkEvent, LinkHandler, LinkOptions};
use crate::liveness::{Mode, Settings};
use crate::protocol::{Bye, ByeCode, Hello, Native};

/// A connection whose handshake is done.
pub(crate) struct Session {
    shared: Arc<Shared>,
    runtime: Arc<PeerRuntime>,
    lease: Lease,
    about: About,
}

/// What its handshake has settled.
pub(crate) struct About {
    pub(crate) addr: Endpoint,
    pub(crate) direction: Direction,
    pub(crate) greeting: Greeting,
    /// What our HELLO contained.
    pub(crate) settings: Settings,
}

impl Session {
    pub(crate) fn new(
        shared: &Arc<Shared>,
        runtime: &Arc<PeerRuntime>,
        lease: Lease,
        about: About,
    ) -> Self {
        Self { shared: Arc::clone(shared), runtime: Arc::clone(runtime), lease, about }
    }

    /// Makes the link and reads it until it ends; the lease ends with it. Returns whether the link
    /// lasted.
    ///
    /// # Errors
    /// If the link could not be made: no thread or descriptor left. Nothing was reported.
    pub(super) fn run(self, stream: AnyStream) -> io::Result<bool> {
        let options = self.link_options();
        let framing = Native::with_frame_max(options.frame_max);
        let (link, mut reader) = Link::establish(stream, framing, &options)?;
        let link = PeerLink::Threads(link);
        self.begin(&link);
        // What arrived is heard before the program may hold this thread, and `send` does not wait.
        reader.enter();
        self.report_up(&link);
        let mut teller = self.teller(link);
        let (down, _reported_in_down) = Box::new(reader).run_to_end(&mut teller);
        Ok(self.end(down))
    }

    /// Publishes the link: values that are set from here on reach it, and only then can the program
    /// find it.
    pub(crate) fn begin(&self, link: &PeerLink) {
        self.runtime.begin_link(link, &self.about.settings);
        if !self.lease.go_up(link.clone()) {
            link.close();
        }
    }

    /// Ends the lease with the link, and reports the end. Returns whether the link lasted.
    pub(crate) fn end(mut self, down: Down) -> bool {
        let stable = backoff::was_stable(&down);
        self.lease.stable = stable;
        self.runtime.end_link();
        self.shared.report(Some(&self.runtime), &NodeEvent::Down(down));
        stable
    }

    /// What its link is made with.
    pub(crate) fn link_options(&self) -> LinkOptions {
        let (peer, options) = (self.runtime.config(), &self.shared.options);
        let link_options = LinkOptions {
            liveness: self.about.settings,
            queue_bytes: peer.send_queue_bytes(),
            queue_budget: Some(self.shared.queue_budget.clone()),
            tcp_nodelay: self.shared.config().tcp_nodelay(),
            frame_max: options.frame_max,
            send_timeout: options.send_timeout,
            close_timeout: options.close_timeout,
            close_max: options.close_max,
            stack_size: options.stack_size,
            name: peer.name().to_owned(),
            faults: options.faults.clone(),
            ..LinkOptions::default()
        };
        link_options.greeted(self.about.greeting.clone())
    }

    /// Reports that the peer is up, and warns of anything odd about that.
    pub(crate) fn report_up(&self, link: &PeerLink) {
        let About { addr, direction, greeting, .. } = &self.about;
        let Greeting { name, label, .. } = greeting;
        let (addr, direction) = (addr.clone(), *direction);
        let (remote_name, remote_label) = (name.clone(), label.clone());
        let up = NodeEvent::Up { addr: addr.clone(), direction, remote_name, remote_label };
        if !self.shared.report(Some(&self.runtime), &up) {
            end_after_panic(link);
        }
        if let Some(detail) = self.runtime.contested(self.lease.replaced, addr) {
            self.shared.report(Some(&self.runtime), &NodeEvent::Warning { detail });
        }
        let peer = self.runtime.config();
        if let Some(expected) = peer
            .remote_name()
            .filter(|expected| direction == Direction::Dialled && *expected != name.as_str())
        {
            let detail = format!(
                "the peer dialled as \"{}\" calls itself \"{}\"; if that is right, change \
                 remote-name",
                expected.escape_debug(),
                name.escape_debug()
            );
            self.shared.report(Some(&self.runtime), &NodeEvent::Warning { detail });
        }
    }

    /// Passes the reports of the link to the handler.
    pub(crate) fn teller(&self, link: PeerLink) -> Teller {
        // Without a handler the node has ended, and nothing is reported any more.
        let (handler, peer) = (self.shared.handler(), Peer::new(&self.shared, &self.runtime));
        Teller { handler, peer, link }
    }
}

/// Turns the reports of a link into those of a node.
pub(crate) struct Teller {
    /// None once it has panicked: it is not called with the rest of what had arrived.
    handler: Option<Arc<dyn NodeHandler>>,
    peer: Peer,
    link: PeerLink,
}

impl Teller {
    pub(crate) fn message(&mut self, payload: &[u8]) {
        self.call(|handler, peer| handler.on_message(peer, payload));
    }

    pub(crate) fn event(&mut self, event: &LinkEvent) {
        // The end is reported when the lease is over, as the node's own event.
        if matches!(event, LinkEvent::Down(_)) {
            return;
        }
        let event = NodeEvent::Link(event.clone());
        self.call(|handler, peer| handler.on_event(Some(peer), &event));
    }

    fn call(&mut self, call: impl FnOnce(&dyn NodeHandler, &Peer)) {
        let Some(handler) = &self.handler else { return };
        // Not around the whole reader: so the link ends with its own account of its end.
        if guarded(|| call(&**handler, &self.peer)).is_none() {
            self.handler = None;
            end_after_panic(&self.link);
        }
    }
}

impl LinkHandler<AnyStream> for Teller {
    fn on_message(&mut self, _link: &NodeLink, payload: &[u8]) {
        self.message(payload);
    }

    fn on_event(&mut self, _link: &NodeLink, event: &LinkEvent) {
        self.event(event);
    }
}

fn end_after_panic(link: &PeerLink) {
    let detail = "the handler panicked";
    let bye = Bye { code: ByeCode::CLOSE, text: "the application failed" };
    link.end(DownReason::Local { detail: detail.to_owned() }, Some(&bye));
}

/// Our HELLO to a peer.
pub(crate) fn hello_to<'a>(peer: &'a PeerConfig, settings: &Settings) -> Hello<'a> {
    Hello {
        name: peer.local_name(),
        label: peer.local_label(),
        id: peer.local_id(),
        always: settings.mode == Mode::Always,
        heartbeat_time_ms: Some(settings.configured_ms()),
        ..Hello::default()
    }
}
