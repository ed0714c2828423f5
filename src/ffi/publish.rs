//! One message to all peers of a node, for C.
//!
//! No logic: the node sends, and what it reports is counted here.

use std::ffi::{c_char, c_int};

use super::fault::Fault;
use super::guard::guard;
use super::handle::handle;
use super::node_parts::PeerbeatNode;
use super::pointer::{SizedStruct, bytes, check_sized, write_sized};

/// `peerbeat_published`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub struct PeerbeatPublished {
    pub struct_size: u32,
    pub sent: u32,
    pub full: u32,
    pub down: u32,
    pub not_connected: u32,
    pub reserved: u32,
}

impl Default for PeerbeatPublished {
    fn default() -> Self {
        let struct_size = size_of::<Self>() as u32;
        Self { struct_size, sent: 0, full: 0, down: 0, not_connected: 0, reserved: 0 }
    }
}

// SAFETY: `repr(C)`, the size first, numbers.
unsafe impl SizedStruct for PeerbeatPublished {}

/// Sends a message to all peers that are connected; waits for none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn peerbeat_node_publish(
    node: *mut PeerbeatNode,
    data: *const u8,
    len: usize,
    full: *mut *const c_char,
    cap: usize,
    report: *mut PeerbeatPublished,
) -> c_int {
    guard(|| {
        // SAFETY: as the header says.
        let node = unsafe { handle(node, "node") }?.handle.enter()?;
        // SAFETY: as the header says.
        let data = unsafe { bytes(data, len, "data") }?;
        if full.is_null() && cap > 0 {
            return Err(Fault::null("full"));
        }
        if !report.is_null() {
            // SAFETY: as the header says.
            unsafe { check_sized(report, "report") }?;
        }
        let published = node.running()?.publish(data)?;
        let names = published.full.iter().map(|peer| node.peers.of(peer).text().as_ptr());
        for (at, name) in names.take(cap).enumerate() {
            // SAFETY: as the header says, there is room for `cap` pointers.
            let place = unsafe { full.add(at) };
            // SAFETY: the same.
            unsafe { place.write(name) };
        }
        if report.is_null() {
            return Ok(());
        }
        let counts = PeerbeatPublished {
            sent: count(published.sent),
            full: count(published.full.len()),
            down: count(published.down.len()),
            not_connected: count(published.not_connected.len()),
            ..PeerbeatPublished::default()
        };
        // SAFETY: as the header says.
        unsafe { write_sized(report, &counts, "report") }
    })
}

/// A node has no more than 1023 peers.
fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
