//! One link of a peer's, from the welcome to its end: up, what the link tells, down.
//!
//! Whoever runs a session holds the peer's lease, so up comes first, down last, each once, with the
//! messages between. The handler's panics end the link and nothing else.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use super::backoff;
use super::ownership::Lease;
use super::runtime::PeerRuntime;
use super::shared::{Shared, guarded};
use super::{Direction, NodeEvent, NodeHandler, Peer};
use crate::config::PeerConfig;
use crate::link::handshake::Greeting;
use crate::link::{Down, DownReason, Link, LinkEvent, LinkHandler, LinkOptions, Reader};
use crate::liveness::{Mode, Settings};
use crate::protocol::{Bye, ByeCode, Hello, Native};

/// A connection whose handshake is done.
pub(super) struct Session<'a> {
    pub(super) shared: &'a Arc<Shared>,
    pub(super) runtime: &'a Arc<PeerRuntime>,
    pub(super) lease: Lease<'a>,
    pub(super) addr: SocketAddr,
    pub(super) direction: Direction,
    pub(super) greeting: Greeting,
    /// What our HELLO said.
    pub(super) settings: Settings,
}

impl Session<'_> {
    /// Makes the link and reads it until it ends; the lease ends with it. Returns whether the link
    /// lasted.
    ///
    /// # Errors
    /// Where the link could not be made: no thread or descriptor left. Nothing was reported.
    pub(super) fn run(mut self, stream: TcpStream) -> io::Result<bool> {
        let options = self.link_options();
        let framing = Native::with_frame_max(self.shared.options.frame_max);
        let (link, mut reader) = Link::establish(stream, framing, &options)?;
        // Before anybody finds it: what is set from here on is set on it.
        self.runtime.begin_link(&link, &options.liveness);
        if !self.lease.go_up(link.clone()) {
            link.close();
        }
        // What arrived is heard before the program may hold this thread, and `send` does not wait.
        reader.enter();
        self.report_up(&link);
        let down = self.read(reader);
        let stable = backoff::was_stable(&down);
        self.lease.stable = stable;
        self.runtime.end_link();
        self.shared.report(Some(self.runtime), &NodeEvent::Down(down));
        Ok(stable)
    }

    fn link_options(&self) -> LinkOptions {
        let (peer, options) = (self.runtime.config(), &self.shared.options);
        let link_options = LinkOptions {
            liveness: self.settings,
            queue_bytes: peer.send_queue_bytes(),
            send_timeout: options.send_timeout,
            close_timeout: options.close_timeout,
            stack_size: options.stack_size,
            name: peer.name().to_owned(),
            faults: options.faults.clone(),
            ..LinkOptions::default()
        };
        link_options.greeted(self.greeting.clone())
    }

    fn report_up(&self, link: &Link) {
        let Greeting { name, label, .. } = &self.greeting;
        let up = NodeEvent::Up {
            addr: self.addr,
            direction: self.direction,
            remote_name: name.clone(),
            remote_label: label.clone(),
        };
        if !self.shared.report(Some(self.runtime), &up) {
            end_after_panic(link);
        }
        if let Some(detail) = self.runtime.contested(self.lease.replaced, self.addr) {
            self.shared.report(Some(self.runtime), &NodeEvent::Warning { detail });
        }
        let peer = self.runtime.config();
        if let Some(expected) = peer
            .remote_name()
            .filter(|expected| self.direction == Direction::Dialled && *expected != name.as_str())
        {
            let detail = format!(
                "the peer dialled as \"{}\" calls itself \"{}\"; if that is right, change \
                 remote-name",
                expected.escape_debug(),
                name.escape_debug()
            );
            self.shared.report(Some(self.runtime), &NodeEvent::Warning { detail });
        }
    }

    fn read(&self, reader: Reader) -> Down {
        // Without a handler the node has ended, and nothing is reported any more.
        let (handler, peer) = (self.shared.handler(), Peer::new(self.shared, self.runtime));
        let mut adapter = Adapter { handler, peer };
        let (down, _reported_in_down) = Box::new(reader).run_to_end(&mut adapter);
        down
    }
}

/// Turns what a link tells into what a node tells.
struct Adapter {
    /// None once it has panicked: it is not called with the rest of what had arrived.
    handler: Option<Arc<dyn NodeHandler>>,
    peer: Peer,
}

impl Adapter {
    fn call(&mut self, link: &Link, call: impl FnOnce(&dyn NodeHandler, &Peer)) {
        let Some(handler) = &self.handler else { return };
        // Not around the whole reader: so the link ends with its own account of its end.
        if !guarded(|| call(&**handler, &self.peer)) {
            self.handler = None;
            end_after_panic(link);
        }
    }
}

impl LinkHandler for Adapter {
    fn on_message(&mut self, link: &Link, payload: &[u8]) {
        self.call(link, |handler, peer| handler.on_message(peer, payload));
    }

    fn on_event(&mut self, link: &Link, event: &LinkEvent) {
        // The end is reported when the lease is over, as the node's own event.
        if matches!(event, LinkEvent::Down(_)) {
            return;
        }
        let event = NodeEvent::Link(event.clone());
        self.call(link, |handler, peer| handler.on_event(Some(peer), &event));
    }
}

fn end_after_panic(link: &Link) {
    let detail = "the handler panicked";
    let bye = Bye { code: ByeCode::CLOSE, text: "the application failed" };
    link.end(DownReason::Local { detail: detail.to_owned() }, Some(&bye));
}

/// What we say to a peer.
pub(super) fn hello_to<'a>(peer: &'a PeerConfig, settings: &Settings) -> Hello<'a> {
    Hello {
        name: peer.local_name(),
        label: peer.local_label(),
        id: peer.local_id(),
        always: settings.mode == Mode::Always,
        heartbeat_time_ms: Some(settings.configured_ms()),
        ..Hello::default()
    }
}
