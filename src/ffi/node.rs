//! Nodes for C: start, send by name, the two-step stop. All other calls on a node are in
//! `node_ask`.
//!
//! No call holds a lock while it waits; freeing waits for callbacks and for calls.

use std::ffi::{c_char, c_int};
use std::ptr::null;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::alive::Alive;
use super::config::PeerbeatConfig;
use super::convert::{add_stats, timeout};
use super::fault::{E_OWN_THREAD, E_TIMEOUT, Fault};
use super::guard::guard;
use super::handle::{Handle, check_thread, handle, take};
use super::layer::PeerbeatLayer;
use super::node_parts::{Callbacks, NodeParts, PeerbeatHandler, PeerbeatNode, is_in_callback};
use super::options::{FOREIGN_STACK, stack_size};
use super::peers::Peers;
use super::pointer::{bytes, output, read_sized, write_sized};
use super::secure::LayerTransport;
use super::signals::SignalsBlocked;
use super::structs::{NONE, PeerbeatStats};
use crate::config::Config;
use crate::node::{Node, NodeOptions};

/// Starts the links of a configuration.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn peerbeat_node_start(
    config: *const PeerbeatConfig,
    handler: *const PeerbeatHandler,
    node: *mut *mut PeerbeatNode,
) -> c_int {
    guard(|| {
        // SAFETY: as the header says.
        unsafe { begin(config, handler, null(), node) }
    })
}

/// Starts the links of a configuration, with a layer on each of its connections.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn peerbeat_node_start_layered(
    config: *const PeerbeatConfig,
    handler: *const PeerbeatHandler,
    layer: *const PeerbeatLayer,
    node: *mut *mut PeerbeatNode,
) -> c_int {
    guard(|| {
        // SAFETY: as the header says.
        unsafe { begin(config, handler, layer, node) }
    })
}

/// # Safety
/// Pointers are as the header says.
unsafe fn begin(
    config: *const PeerbeatConfig,
    handler: *const PeerbeatHandler,
    layer: *const PeerbeatLayer,
    node: *mut *mut PeerbeatNode,
) -> Result<(), Fault> {
    check_thread()?;
    // SAFETY: passed on.
    let config = unsafe { handle(config, "config") }?.config.clone();
    let callbacks = match handler.is_null() {
        true => None,
        // SAFETY: passed on.
        false => Some(unsafe { read_sized(handler) }.map_err(|unfit| unfit.named("handler"))?),
    };
    // SAFETY: passed on.
    let layer = unsafe { PeerbeatLayer::read(layer) }?;
    // SAFETY: passed on.
    let out = unsafe { output(node, "node") }?;
    let handler = callbacks.unwrap_or_default();
    let mut options = NodeOptions::default();
    options.stack_size = stack_size(handler.stack_size, FOREIGN_STACK, "handler")?;
    if handler.send_timeout_ms > 0 {
        options.send_timeout = Duration::from_millis(handler.send_timeout_ms.into());
    }
    let mut parts = NodeParts::default();
    parts.peers = Peers::new(config.peers().iter().map(|peer| peer.name()));
    parts.events.takes_all.store(callbacks.is_none(), Ordering::Relaxed);
    parts.events.takes_events.store(handler.on_event.is_none(), Ordering::Relaxed);
    if let Some(layer) = layer {
        let layers = Arc::new(Alive::default());
        options = options.transport(LayerTransport::new(layer, Arc::clone(&layers)));
        parts.layers = Some(layers);
    }
    let _blocked = SignalsBlocked::begin();
    out.set(start(config, parts, handler, options)?);
    Ok(())
}

fn start(
    config: Config,
    parts: NodeParts,
    handler: PeerbeatHandler,
    options: NodeOptions,
) -> Result<*mut PeerbeatNode, Fault> {
    let made: *mut PeerbeatNode = Handle::new(parts).into_raw();
    let node = match Node::start_with(config, Callbacks { handler, node: made }, options) {
        Ok(node) => node,
        Err(error) => {
            // SAFETY: it was made above, and nothing of the node runs that would know it.
            drop(unsafe { take(made) });
            return Err(error.into());
        }
    };
    // SAFETY: it was made above, and only we can free it before it is handed out.
    let parts = unsafe { &*made }.handle.inner();
    parts.peers.meet(node.peers());
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
        let peer = unsafe { node.peers.peer(peer) }?;
        // SAFETY: as the header says.
        let data = unsafe { bytes(data, len, "data") }?;
        Ok(peer.send(data)?)
    })
}

/// Sends a message if there is room now.
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
        let peer = unsafe { node.peers.peer(peer) }?;
        // SAFETY: as the header says.
        let data = unsafe { bytes(data, len, "data") }?;
        Ok(peer.try_send(data)?)
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
        let peers = match peer.is_null() {
            true => node.peers.present(),
            // SAFETY: as the header says.
            false => vec![unsafe { node.peers.peer(peer) }?],
        };
        let mut all = PeerbeatStats { round_trip_us: NONE, ..PeerbeatStats::default() };
        for link in peers.iter().filter_map(|peer| peer.stats().link) {
            add_stats(&mut all, &link);
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

/// Drains all links, then begins the stop.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn peerbeat_node_drain(node: *mut PeerbeatNode, timeout_ms: c_int) -> c_int {
    guard(|| {
        // SAFETY: as the header says.
        let node = unsafe { handle(node, "node") }?.handle.enter()?;
        let all = node.running()?.drain(timeout(timeout_ms).unwrap_or(Duration::MAX));
        node.shutdown();
        match all {
            true => Ok(()),
            false => Err(Fault::new(E_TIMEOUT, "not every peer's end of stream was seen")),
        }
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
/// `node` is null or a handle that is not used after this has succeeded.
unsafe fn free(node: *mut PeerbeatNode, limit: Option<Duration>) -> Result<(), Fault> {
    if node.is_null() {
        return Ok(());
    }
    let deadline = limit.and_then(|limit| Instant::now().checked_add(limit));
    // SAFETY: the caller's promise.
    let inside = unsafe { handle(node, "node") }?;
    inside.handle.check_caller()?;
    if is_in_callback(node) {
        return Err(Fault::new(E_OWN_THREAD, "a callback cannot free the node that calls it"));
    }
    let parts = inside.handle.inner();
    parts.shutdown();
    parts.events.abandon();
    let layers = parts.layers.clone();
    if !parts.wait_ended(deadline)
        || !inside.handle.wait_alone(deadline)
        || !layers.as_ref().is_none_or(|layers| layers.wait_shaken(deadline))
    {
        return Err(Fault::new(E_TIMEOUT, "a callback or a call still runs; it is not freed"));
    }
    if parts.node.get().is_some_and(|node| !node.join()) {
        return Err(Fault::new(E_OWN_THREAD, "the node's own thread cannot wait for itself"));
    }
    // SAFETY: it came from `start`, no thread is inside, and it is not used after this.
    drop(unsafe { take(node) });
    if let Some(layers) = layers {
        // A thread that was let go in a dial may be dropping its layer.
        layers.wait_gone();
    }
    Ok(())
}
