//! Nodes for C: callbacks, sending by name, the two-step stop.
//!
//! The handle exists before the node does, because callbacks come with it from the first event on.
//! What they need of the node, the first of them brings along, so that a callback that is early may
//! do everything that a later one may.

use std::cell::Cell;
use std::collections::HashMap;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ptr::null;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::cancel;
use super::config::PeerbeatConfig;
use super::convert::{add_stats, timeout};
use super::event::CEvent;
use super::fault::{E_NOT_CONNECTED, E_NOT_FOUND, E_OWN_THREAD, E_TIMEOUT, Fault};
use super::guard::guard;
use super::handle::{Handle, handle, lock, take};
use super::options::stack_size;
use super::pointer::{
    SizedStruct, bytes, c_text, optional_text, output, read_sized, text, write_sized,
};
use super::signals::SignalsBlocked;
use super::structs::{NONE, PeerbeatEvent, PeerbeatStats};
use crate::config::Config;
use crate::node::{Event, Handler, Node, Options, Peer};

/// `peerbeat_node`.
#[derive(Debug)]
pub struct PeerbeatNode {
    handle: Handle<NodeParts>,
}

/// What a node's handle holds.
#[derive(Debug, Default)]
struct NodeParts {
    /// Every name of the configuration, with the peer once the node has begun.
    names: HashMap<String, OnceLock<Peer>>,
    /// Set when it has started; dropping it ends the node.
    node: OnceLock<Node>,
    /// Whether no callback comes any more; `ended` tells.
    has_ended: Mutex<bool>,
    ended: Condvar,
    /// A callback has asked to stop before the node was there.
    stopping: AtomicBool,
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
    pub reserved: u32,
    pub on_message: Option<OnMessage>,
    pub on_event: Option<OnEvent>,
    pub user_data: *mut c_void,
    pub stack_size: u64,
}

impl Default for PeerbeatHandler {
    fn default() -> Self {
        Self {
            struct_size: size_of::<Self>() as u32,
            reserved: 0,
            on_message: None,
            on_event: None,
            user_data: null::<c_void>().cast_mut(),
            stack_size: 0,
        }
    }
}

// SAFETY: `repr(C)`, the size first, a number and pointers; an optional function may be null.
unsafe impl SizedStruct for PeerbeatHandler {}

impl NodeParts {
    fn peer(&self, name: &str) -> Result<&Peer, Fault> {
        let Some(peer) = self.names.get(name) else {
            let detail = format!("no peer is called \"{}\"", name.escape_debug());
            return Err(Fault::new(E_NOT_FOUND, detail));
        };
        peer.get().ok_or_else(|| Fault::new(E_NOT_CONNECTED, "the node is just starting"))
    }

    fn meet(&self, peers: Vec<Peer>) {
        for peer in peers {
            if let Some(place) = self.names.get(peer.name()) {
                let _known = place.set(peer);
            }
        }
    }

    /// Waits until the last callback has returned, or until `deadline`; returns whether it has.
    fn wait_ended(&self, deadline: Option<Instant>) -> bool {
        let mut has_ended = lock(&self.has_ended);
        while !*has_ended {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return false;
            }
            let wait = left.unwrap_or(Duration::from_secs(3600));
            let woken = self.ended.wait_timeout(has_ended, wait);
            has_ended = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    fn shutdown(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        if let Some(node) = self.node.get() {
            node.shutdown();
        }
    }
}

/// Starts the links of a configuration.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn peerbeat_node_start(
    config: *const PeerbeatConfig,
    handler: *const PeerbeatHandler,
    node: *mut *mut PeerbeatNode,
) -> c_int {
    guard(|| {
        // SAFETY: as the header says.
        let config = unsafe { handle(config, "config") }?.config.clone();
        // SAFETY: as the header says.
        let handler = unsafe { read_sized(handler) }.map_err(|unfit| unfit.named("handler"))?;
        // SAFETY: as the header says.
        let out = unsafe { output(node, "node") }?;
        let stack_size = stack_size(handler.stack_size, CALLBACK_STACK, "handler")?;
        let options = Options { stack_size, ..Options::default() };
        let _blocked = SignalsBlocked::begin();
        out.set(start(config, handler, options)?);
        Ok(())
    })
}

fn start(
    config: Config,
    handler: PeerbeatHandler,
    options: Options,
) -> Result<*mut PeerbeatNode, Fault> {
    let places = config.peers().iter().map(|peer| (peer.name().to_owned(), OnceLock::new()));
    let parts = NodeParts { names: places.collect(), ..NodeParts::default() };
    let texts = config.peers().iter().map(|peer| (peer.name().to_owned(), c_text(peer.name())));
    let texts = texts.collect();
    let made: *mut PeerbeatNode = Handle::new(parts).into_raw();
    let callbacks = Callbacks { handler, node: made, texts };
    let node = match Node::start_with(config, callbacks, options) {
        Ok(node) => node,
        Err(error) => {
            // SAFETY: it was made above, and nothing of the node runs that would know it.
            drop(unsafe { take(made) });
            return Err(error.into());
        }
    };
    // SAFETY: it was made above, and only we can free it before it is handed out.
    let parts = unsafe { &*made }.handle.inner();
    parts.meet(node.peers());
    let node = parts.node.get_or_init(|| node);
    if parts.stopping.load(Ordering::SeqCst) {
        node.shutdown();
    }
    Ok(made)
}

/// Sends a message, waiting for room.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn peerbeat_node_send(
    node: *mut PeerbeatNode,
    peer: *const c_char,
    data: *const u8,
    len: usize,
) -> c_int {
    guard(|| {
        // SAFETY: as the header says.
        let node = unsafe { handle(node, "node") }?.handle.enter()?;
        // SAFETY: as the header says.
        let peer = unsafe { text(peer, "peer") }?;
        // SAFETY: as the header says.
        let data = unsafe { bytes(data, len, "data") }?;
        Ok(node.peer(peer)?.send(data)?)
    })
}

/// Sends a message where there is room now.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn peerbeat_node_try_send(
    node: *mut PeerbeatNode,
    peer: *const c_char,
    data: *const u8,
    len: usize,
) -> c_int {
    guard(|| {
        // SAFETY: as the header says.
        let node = unsafe { handle(node, "node") }?.handle.enter()?;
        // SAFETY: as the header says.
        let peer = unsafe { text(peer, "peer") }?;
        // SAFETY: as the header says.
        let data = unsafe { bytes(data, len, "data") }?;
        Ok(node.peer(peer)?.try_send(data)?)
    })
}

/// The numbers of the present link of a peer, or of all.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn peerbeat_node_stats(
    node: *mut PeerbeatNode,
    peer: *const c_char,
    stats: *mut PeerbeatStats,
) -> c_int {
    guard(|| {
        // SAFETY: as the header says.
        let node = unsafe { handle(node, "node") }?.handle.enter()?;
        // SAFETY: as the header says.
        let name = unsafe { optional_text(peer, "peer") }?;
        let mut all = PeerbeatStats { round_trip_us: NONE, ..PeerbeatStats::default() };
        let mut add = |peer: &Peer| {
            if let Some(stats) = peer.stats().link {
                add_stats(&mut all, &stats);
            }
        };
        match name {
            Some(name) => add(node.peer(name)?),
            None => node.names.values().filter_map(OnceLock::get).for_each(add),
        }
        // SAFETY: as the header says.
        unsafe { write_sized(stats, &all, "stats") }
    })
}

/// The port it listens on; 0 = none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn peerbeat_node_port(node: *mut PeerbeatNode, port: *mut u16) -> c_int {
    guard(|| {
        // SAFETY: as the header says.
        let node = unsafe { handle(node, "node") }?.handle.enter()?;
        // SAFETY: as the header says.
        let out = unsafe { output(port, "port") }?;
        let first = node.node.get().and_then(|node| node.local_addrs().first());
        out.set(first.map_or(0, |addr| addr.port()));
        Ok(())
    })
}

/// Begins the stop.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn peerbeat_node_shutdown(node: *mut PeerbeatNode) -> c_int {
    guard(|| {
        // SAFETY: as the header says.
        let node = unsafe { handle(node, "node") }?.handle.enter()?;
        node.shutdown();
        Ok(())
    })
}

/// Shuts down, waits for the last callback, and frees.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn peerbeat_node_free(node: *mut PeerbeatNode) -> c_int {
    guard(|| {
        // SAFETY: as the header says.
        unsafe { free(node, None) }
    })
}

/// Frees as `peerbeat_node_free` does, if that takes no longer than this.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn peerbeat_node_free_timeout(
    node: *mut PeerbeatNode,
    timeout_ms: c_int,
) -> c_int {
    guard(|| {
        // SAFETY: as the header says.
        unsafe { free(node, timeout(timeout_ms)) }
    })
}

/// # Safety
/// `node` is null or a handle that nobody uses after this has succeeded.
unsafe fn free(node: *mut PeerbeatNode, limit: Option<Duration>) -> Result<(), Fault> {
    if node.is_null() {
        return Ok(());
    }
    let deadline = limit.and_then(|limit| Instant::now().checked_add(limit));
    // SAFETY: the caller's promise.
    let inside = unsafe { handle(node, "node") }?;
    inside.handle.check_process()?;
    if CALLBACK_OF.get() == node.cast_const() {
        return Err(Fault::new(E_OWN_THREAD, "a callback cannot free the node that calls it"));
    }
    let parts = inside.handle.inner();
    parts.shutdown();
    if !parts.wait_ended(deadline) || !inside.handle.wait_alone(deadline) {
        return Err(Fault::new(E_TIMEOUT, "a callback or a call still runs; it is not freed"));
    }
    if parts.node.get().is_some_and(|node| !node.join()) {
        return Err(Fault::new(E_OWN_THREAD, "the node's own thread cannot wait for itself"));
    }
    // SAFETY: it came from `start`, nobody is inside, and it is not used after this.
    drop(unsafe { take(node) });
    Ok(())
}

/// The host's callbacks.
struct Callbacks {
    handler: PeerbeatHandler,
    node: *mut PeerbeatNode,
    /// The peers' names as C wants them.
    texts: HashMap<String, CString>,
}

// SAFETY: the header says that callbacks come from several threads; `user_data` is the host's to
// keep fit for that, and the handle is made for it.
unsafe impl Send for Callbacks {}
// SAFETY: as above.
unsafe impl Sync for Callbacks {}

impl Handler for Callbacks {
    fn on_message(&self, peer: &Peer, payload: &[u8]) {
        let Some(on_message) = self.handler.on_message else { return };
        self.meet(peer);
        let name = self.text(peer);
        let data = payload.as_ptr().cast::<c_void>();
        self.call(|| {
            // SAFETY: the host's function, as the header has it; the pointers outlive the call.
            unsafe {
                on_message(self.handler.user_data, self.node, name.as_ptr(), data, payload.len());
            }
        });
    }

    fn on_event(&self, peer: Option<&Peer>, event: &Event) {
        let Some(on_event) = self.handler.on_event else { return };
        if let Some(peer) = peer {
            self.meet(peer);
        }
        let event = CEvent::new(peer.map_or(c"", |peer| self.text(peer)), event);
        let pointer = event.as_ptr();
        self.call(|| {
            // SAFETY: the host's function, as the header has it; the pointers outlive the call.
            unsafe { on_event(self.handler.user_data, self.node, pointer) };
        });
    }
}

/// The node drops its handler when the last callback has returned.
impl Drop for Callbacks {
    fn drop(&mut self) {
        // SAFETY: as in `meet`.
        let parts = unsafe { &*self.node }.handle.inner();
        // Under the lock: the handle may be freed as soon as it is unlocked.
        let mut has_ended = lock(&parts.has_ended);
        *has_ended = true;
        parts.ended.notify_all();
    }
}

impl Callbacks {
    fn text(&self, peer: &Peer) -> &CStr {
        self.texts.get(peer.name()).map_or(c"", CString::as_c_str)
    }

    /// Makes the peers known to the handle where `start` has not come to it yet.
    fn meet(&self, peer: &Peer) {
        // SAFETY: the handle outlives the node's threads: freeing it joins them first.
        let parts = unsafe { &*self.node }.handle.inner();
        if parts.names.get(peer.name()).is_some_and(|place| place.get().is_none()) {
            parts.meet(peer.node().peers());
        }
    }

    fn call(&self, call: impl FnOnce()) {
        let before = CALLBACK_OF.replace(self.node);
        if before.is_null() {
            cancel::never_here();
        }
        call();
        CALLBACK_OF.set(before);
        // SAFETY: as in `meet`.
        while unsafe { &*self.node }.handle.is_of_parent() {
            // The host has forked in the callback and returned from it in the child: what goes on
            // from here would read the parent's connection.
            thread::park();
        }
    }
}

/// The stack of a thread that runs callbacks: a host's code expects more than ours needs.
const CALLBACK_STACK: usize = 1 << 20;
