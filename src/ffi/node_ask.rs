//! What C asks of a node that runs: changes, waits, numbers, events.
//!
//! Every function looks a peer up by its name and calls what Rust programs call.

use std::ffi::{c_char, c_int, c_void};
use std::ptr::{null, null_mut};
use std::time::Duration;

use super::config::PeerbeatConfig;
use super::convert::{account, add_totals, link_state, not_up_state, timeout};
use super::fault::{E_IO, E_NEXT_CONNECTION, E_NOT_CONNECTED, Fault};
use super::guard::guard;
use super::handle::{handle, lock};
use super::node_parts::PeerbeatNode;
use super::pointer::{check_sized, output, put_text, write_sized};
use super::signals::SignalsBlocked;
use super::structs::{PeerbeatEvent, PeerbeatState, PeerbeatTotals};
use crate::link::HeartbeatChange;

/// Puts another configuration in force.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn peerbeat_node_reload(
    node: *mut PeerbeatNode,
    config: *const PeerbeatConfig,
    report: *mut c_char,
    cap: usize,
) -> c_int {
    guard(|| {
        // SAFETY: as the header says.
        let node = unsafe { handle(node, "node") }?.handle.enter()?;
        // SAFETY: as the header says.
        let config = unsafe { handle(config, "config") }?.config.clone();
        let _one_at_a_time = lock(&node.reloading);
        let running = node.running()?;
        node.peers.begin_reload(config.peers().iter().map(|peer| peer.name()));
        let _blocked = SignalsBlocked::begin();
        let result = running.reload(config);
        node.peers.end_reload(running.peers());
        let done = result?;
        // SAFETY: as the header says.
        unsafe { put_text(done.to_string().trim_end(), report, cap, null_mut()) }
    })
}

/// Sets a peer's heartbeat-time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn peerbeat_node_set_heartbeat_time(
    node: *mut PeerbeatNode,
    peer: *const c_char,
    heartbeat_time_ms: u32,
) -> c_int {
    guard(|| {
        // SAFETY: as the header says.
        let node = unsafe { handle(node, "node") }?.handle.enter()?;
        // SAFETY: as the header says.
        let peer = unsafe { node.peers.peer(peer) }?;
        changed(peer.set_heartbeat_time(Duration::from_millis(heartbeat_time_ms.into())))
    })
}

/// Sets a peer's slack.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn peerbeat_node_set_slack(
    node: *mut PeerbeatNode,
    peer: *const c_char,
    slack_ms: u32,
) -> c_int {
    guard(|| {
        // SAFETY: as the header says.
        let node = unsafe { handle(node, "node") }?.handle.enter()?;
        // SAFETY: as the header says.
        let peer = unsafe { node.peers.peer(peer) }?;
        changed(peer.set_slack(Duration::from_millis(slack_ms.into())))
    })
}

/// Closes a peer's link in order.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn peerbeat_node_close_peer(
    node: *mut PeerbeatNode,
    peer: *const c_char,
) -> c_int {
    guard(|| {
        // SAFETY: as the header says.
        let node = unsafe { handle(node, "node") }?.handle.enter()?;
        // SAFETY: as the header says.
        let peer = unsafe { node.peers.peer(peer) }?;
        if !peer.is_up() {
            return Err(Fault::new(E_NOT_CONNECTED, "the peer is not connected"));
        }
        peer.close();
        Ok(())
    })
}

/// Waits until a peer is connected, or all are.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn peerbeat_node_wait_up(
    node: *mut PeerbeatNode,
    peer: *const c_char,
    timeout_ms: c_int,
) -> c_int {
    guard(|| {
        // SAFETY: as the header says.
        let node = unsafe { handle(node, "node") }?.handle.enter()?;
        if peer.is_null() {
            let all_up = || node.peers.present().iter().all(|peer| peer.is_up());
            return node.wait_up(timeout(timeout_ms), all_up);
        }
        // SAFETY: as the header says.
        let peer = unsafe { node.peers.peer(peer) }?;
        node.wait_up(timeout(timeout_ms), || peer.is_up())
    })
}

/// Waits until a peer's send queue has room.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn peerbeat_node_wait_room(
    node: *mut PeerbeatNode,
    peer: *const c_char,
    len: usize,
    timeout_ms: c_int,
) -> c_int {
    guard(|| {
        // SAFETY: as the header says.
        let node = unsafe { handle(node, "node") }?.handle.enter()?;
        // SAFETY: as the header says.
        let peer = unsafe { node.peers.peer(peer) }?;
        Ok(peer.wait_room(len, timeout(timeout_ms).unwrap_or(Duration::MAX))?)
    })
}

/// How a peer is doing, or how its last link ended.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn peerbeat_node_state(
    node: *mut PeerbeatNode,
    peer: *const c_char,
    state: *mut PeerbeatState,
) -> c_int {
    guard(|| {
        // SAFETY: as the header says.
        let node = unsafe { handle(node, "node") }?.handle.enter()?;
        // SAFETY: as the header says.
        let known = unsafe { node.peers.known(peer) }?;
        // SAFETY: as the header says.
        let peer = unsafe { node.peers.peer(peer) };
        let link = peer.ok().and_then(|peer| peer.state().link);
        let now = match (link, known.last_down()) {
            (Some(link), _) => link_state(&link, known.is_late()),
            (None, Some(down)) => account(&down),
            (None, None) => not_up_state(),
        };
        // SAFETY: as the header says.
        unsafe { write_sized(state, &now, "state") }
    })
}

/// What went over all links of a peer, or of all.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn peerbeat_node_totals(
    node: *mut PeerbeatNode,
    peer: *const c_char,
    totals: *mut PeerbeatTotals,
) -> c_int {
    guard(|| {
        // SAFETY: as the header says.
        let node = unsafe { handle(node, "node") }?.handle.enter()?;
        let mut all = PeerbeatTotals::default();
        if peer.is_null() {
            for peer in node.peers.present() {
                add_totals(&mut all, &peer.stats());
            }
            all.refusals = node.running()?.stats().refusals;
        } else {
            // SAFETY: as the header says.
            add_totals(&mut all, &unsafe { node.peers.peer(peer) }?.stats());
        }
        // SAFETY: as the header says.
        unsafe { write_sized(totals, &all, "totals") }
    })
}

/// Which values are in force for a peer and why, in words.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn peerbeat_node_explain(
    node: *mut PeerbeatNode,
    peer: *const c_char,
    buf: *mut c_char,
    cap: usize,
    len: *mut usize,
) -> c_int {
    guard(|| {
        // SAFETY: as the header says.
        let node = unsafe { handle(node, "node") }?.handle.enter()?;
        // SAFETY: as the header says.
        let explanation = unsafe { node.peers.peer(peer) }?.explain();
        let explanation =
            explanation.ok_or_else(|| Fault::new(E_NOT_CONNECTED, "the peer is not connected"))?;
        // SAFETY: as the header says.
        unsafe { put_text(&explanation.to_string(), buf, cap, len) }
    })
}

/// The name of a peer as callbacks have it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn peerbeat_node_peer(
    node: *mut PeerbeatNode,
    peer: *const c_char,
) -> *const c_char {
    guard(|| {
        // SAFETY: as the header says.
        let Ok(node) = (unsafe { handle(node, "node") }) else { return null() };
        let Ok(node) = node.handle.enter() else { return null() };
        // SAFETY: as the header says.
        unsafe { node.peers.known(peer) }.map_or(null(), |known| known.text().as_ptr())
    })
}

/// Keeps a pointer of the host with a peer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn peerbeat_node_set_user_data(
    node: *mut PeerbeatNode,
    peer: *const c_char,
    user_data: *mut c_void,
) -> c_int {
    guard(|| {
        // SAFETY: as the header says.
        let node = unsafe { handle(node, "node") }?.handle.enter()?;
        // SAFETY: as the header says.
        unsafe { node.peers.known(peer) }?.set_user_data(user_data);
        Ok(())
    })
}

/// The pointer that was kept with a peer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn peerbeat_node_user_data(
    node: *mut PeerbeatNode,
    peer: *const c_char,
) -> *mut c_void {
    guard(|| {
        // SAFETY: as the header says.
        let Ok(node) = (unsafe { handle(node, "node") }) else { return null_mut() };
        let Ok(node) = node.handle.enter() else { return null_mut() };
        // SAFETY: as the header says.
        unsafe { node.peers.known(peer) }.map_or(null_mut(), |known| known.user_data())
    })
}

/// The descriptor that is readable while events wait.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn peerbeat_node_event_fd(node: *mut PeerbeatNode, fd: *mut c_int) -> c_int {
    guard(|| {
        // SAFETY: as the header says.
        let node = unsafe { handle(node, "node") }?.handle.enter()?;
        // SAFETY: as the header says.
        let out = unsafe { output(fd, "fd") }?;
        let fd = node.events.fd();
        out.set(fd.map_err(|error| Fault::io(E_IO, "no descriptor for events", &error))?);
        Ok(())
    })
}

/// Takes the next event.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn peerbeat_node_next_event(
    node: *mut PeerbeatNode,
    event: *mut PeerbeatEvent,
    timeout_ms: c_int,
) -> c_int {
    guard(|| {
        // SAFETY: as the header says.
        let node = unsafe { handle(node, "node") }?.handle.enter()?;
        // SAFETY: as the header says; an event is not lost to a struct that is wrong.
        unsafe { check_sized(event, "event") }?;
        node.events.next(timeout(timeout_ms), |next| {
            // SAFETY: as the header says.
            unsafe { write_sized(event, next.event(), "event") }
        })?
    })
}

/// A change that waits for the next connection is a status of its own.
fn changed(change: HeartbeatChange) -> Result<(), Fault> {
    match change {
        HeartbeatChange::InForce => Ok(()),
        HeartbeatChange::NextConnection => {
            Err(Fault::new(E_NEXT_CONNECTION, "in force from the next connection on"))
        }
    }
}
