//! What is behind `peerbeat_node`: the node, its peers, and the host's callbacks.
//!
//! The handle exists before the node does, because callbacks come with it from the first event on.
//! The first callback fills in what they need of the node, so that an early one may do everything
//! that a later one may.

use std::cell::Cell;
use std::ffi::{c_char, c_void};
use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use super::alive::Alive;
use super::cancel;
use super::event::CEvent;
use super::fault::{E_DOWN, E_NOT_CONNECTED, E_TIMEOUT, Fault};
use super::handle::{Handle, lock};
use super::peers::Peers;
use super::pointer::SizedStruct;
use super::queue::EventQueue;
use super::structs::PeerbeatEvent;
use crate::node::{Node, NodeEvent, NodeHandler, Peer};
use crate::recover::Recover;

/// `peerbeat_node`.
#[derive(Debug)]
pub struct PeerbeatNode {
    pub(super) handle: Handle<NodeParts>,
}

/// What a node's handle holds.
#[derive(Debug, Default)]
pub(super) struct NodeParts {
    pub(super) peers: Peers,
    /// Set when it has started; dropping it ends the node.
    pub(super) node: OnceLock<Node>,
    pub(super) events: EventQueue,
    /// One reload at a time.
    pub(super) reloading: Mutex<()>,
    /// A callback has asked to stop before the node was there.
    pub(super) stopping: AtomicBool,
    /// Whether no callback comes any more; `moved` signals this and peers that come and go.
    has_ended: Mutex<bool>,
    moved: Condvar,
    /// Those that the host has put on connections.
    pub(super) layers: Option<Arc<Alive>>,
}

impl From<Handle<NodeParts>> for PeerbeatNode {
    fn from(handle: Handle<NodeParts>) -> Self {
        Self { handle }
    }
}

thread_local! {
    /// The node whose callback runs on this thread.
    static CALLBACK_OF: Cell<*const PeerbeatNode> = const { Cell::new(null()) };
}

/// Whether this thread runs a callback of this node, or with null of any.
pub(super) fn is_in_callback(node: *const PeerbeatNode) -> bool {
    let of = CALLBACK_OF.get();
    !of.is_null() && (node.is_null() || of == node)
}

/// `peerbeat_handler.on_message`.
pub type OnMessage = unsafe extern "C" fn(
    user_data: *mut c_void,
    node: *mut PeerbeatNode,
    peer: *const c_char,
    data: *const c_void,
    len: usize,
);

/// `peerbeat_handler.on_event`.
pub type OnEvent = unsafe extern "C" fn(
    user_data: *mut c_void,
    node: *mut PeerbeatNode,
    event: *const PeerbeatEvent,
);

/// `peerbeat_handler`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub struct PeerbeatHandler {
    pub struct_size: u32,
    pub send_timeout_ms: u32,
    pub on_message: Option<OnMessage>,
    pub on_event: Option<OnEvent>,
    pub user_data: *mut c_void,
    pub stack_size: u64,
}

impl Default for PeerbeatHandler {
    fn default() -> Self {
        Self {
            struct_size: size_of::<Self>() as u32,
            send_timeout_ms: 0,
            on_message: None,
            on_event: None,
            user_data: null_mut(),
            stack_size: 0,
        }
    }
}

// SAFETY: `repr(C)`, the size first, numbers and pointers; an optional function may be null.
unsafe impl SizedStruct for PeerbeatHandler {}

impl NodeParts {
    /// The node, once it has begun.
    pub(super) fn running(&self) -> Result<&Node, Fault> {
        self.node.get().ok_or_else(|| Fault::new(E_NOT_CONNECTED, "the node is just starting"))
    }

    pub(super) fn shutdown(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        if let Some(node) = self.node.get() {
            node.shutdown();
        }
        if let Some(layers) = &self.layers {
            layers.end();
        }
        let _look = lock(&self.has_ended);
        self.moved.notify_all();
    }

    /// Waits until the last callback has returned, or until `deadline`; returns whether it has.
    pub(super) fn wait_ended(&self, deadline: Option<Instant>) -> bool {
        let mut has_ended = lock(&self.has_ended);
        while !*has_ended {
            let left =
                deadline.map_or(WAKE_POLL, |at| at.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return false;
            }
            let woken = self.moved.wait_timeout(has_ended, left.min(WAKE_POLL));
            has_ended = woken.recover().0;
        }
        true
    }

    /// Waits until `are_up`; in a callback, which would hold up what it waits for, it only looks.
    pub(super) fn wait_up(
        &self,
        timeout: Option<Duration>,
        are_up: impl Fn() -> bool,
    ) -> Result<(), Fault> {
        let until = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let mut has_ended = lock(&self.has_ended);
        loop {
            if are_up() {
                return Ok(());
            }
            if *has_ended || self.stopping.load(Ordering::SeqCst) {
                return Err(Fault::new(E_DOWN, "the node stops or has stopped"));
            }
            let left =
                until.map_or(WAKE_POLL, |until| until.saturating_duration_since(Instant::now()));
            if left.is_zero() || is_in_callback(null()) {
                return Err(Fault::new(E_TIMEOUT, "not connected in time"));
            }
            let woken = self.moved.wait_timeout(has_ended, left.min(WAKE_POLL));
            has_ended = woken.recover().0;
        }
    }
}

/// The host's callbacks.
pub(super) struct Callbacks {
    pub(super) handler: PeerbeatHandler,
    pub(super) node: *mut PeerbeatNode,
}

// SAFETY: the header says that callbacks come from several threads; `user_data` is the host's to
// keep fit for that, and the handle is made for it.
unsafe impl Send for Callbacks {}
// SAFETY: as above.
unsafe impl Sync for Callbacks {}

impl NodeHandler for Callbacks {
    fn on_message(&self, peer: &Peer, payload: &[u8]) {
        let parts = self.parts();
        let Some(on_message) = self.handler.on_message else {
            if parts.events.takes_all.load(Ordering::Relaxed) {
                let known = parts.peers.of(peer);
                let message = CEvent::message(known.text(), payload);
                parts.events.put(message.with_user_data(known.user_data()));
            }
            return;
        };
        let known = parts.peers.of(peer);
        let (name, data) = (known.text().as_ptr(), payload.as_ptr().cast::<c_void>());
        self.call(|| {
            // SAFETY: the host's function, as the header has it; the pointers outlive the call.
            unsafe { on_message(self.handler.user_data, self.node, name, data, payload.len()) };
        });
    }

    fn on_event(&self, peer: Option<&Peer>, event: &NodeEvent) {
        let parts = self.parts();
        let known = peer.map(|peer| parts.peers.of(peer));
        if let Some(known) = &known {
            known.handle_event(event);
        }
        if matches!(event, NodeEvent::Up { .. } | NodeEvent::Down(_)) {
            let _look = lock(&parts.has_ended);
            parts.moved.notify_all();
        }
        let made = || {
            let name = known.as_ref().map_or(c"", |known| known.text());
            let user_data = known.as_ref().map_or(null_mut(), |known| known.user_data());
            CEvent::new(name, event).with_user_data(user_data)
        };
        if let Some(on_event) = self.handler.on_event {
            let event = made();
            let pointer = event.as_ptr();
            self.call(|| {
                // SAFETY: the host's function, as the header has it; the pointers outlive the call.
                unsafe { on_event(self.handler.user_data, self.node, pointer) };
            });
        }
        if parts.events.takes_events.load(Ordering::Relaxed) {
            parts.events.put(made());
        }
    }
}

/// The node drops its handler when the last callback has returned.
impl Drop for Callbacks {
    fn drop(&mut self) {
        let parts = self.parts();
        parts.events.end();
        // Under the lock: a thread that sees it may go on to free the handle.
        let mut has_ended = lock(&parts.has_ended);
        *has_ended = true;
        parts.moved.notify_all();
    }
}

impl Callbacks {
    fn parts(&self) -> &NodeParts {
        // SAFETY: the handle outlives the node's threads: freeing it joins them first.
        unsafe { &*self.node }.handle.inner()
    }

    fn call(&self, call: impl FnOnce()) {
        let before = CALLBACK_OF.replace(self.node);
        if before.is_null() {
            cancel::never_here();
        }
        call();
        CALLBACK_OF.set(before);
        // SAFETY: as in `parts`.
        while unsafe { &*self.node }.handle.is_of_parent() {
            // The host has forked in the callback and returned from it in the child: what goes on
            // from here would read the parent's connection.
            thread::park();
        }
    }
}

/// How long a wait lasts before it looks again: a wake that was missed costs no more.
const WAKE_POLL: Duration = Duration::from_millis(100);
