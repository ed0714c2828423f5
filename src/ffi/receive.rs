//! Receiving for C: into a buffer of the host, or borrowed.
//!
//! A borrowed message stays with the handle until it is released; while it is out other threads
//! wait for theirs, and the borrower's own thread gets an error instead of waiting for itself.

use std::ffi::{c_int, c_void};

use super::convert::timeout;
use super::fault::Fault;
use super::guard::guard;
use super::handle::handle;
use super::link::PeerbeatLink;
use super::pointer::{buffer, output};
use crate::link::RecvError;

/// Takes the next message into a buffer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn peerbeat_link_recv(
    link: *mut PeerbeatLink,
    buf: *mut u8,
    cap: usize,
    len: *mut usize,
    timeout_ms: c_int,
) -> c_int {
    guard(|| {
        // SAFETY: as the header says.
        let link = unsafe { handle(link, "link") }?.handle.enter()?;
        // SAFETY: as the header says.
        let room = unsafe { buffer(buf, cap, "buf") }?;
        // SAFETY: as the header says.
        let length = unsafe { output(len, "len") }?;
        let received = link.inbox.recv_into(room, timeout(timeout_ms));
        link.look_again();
        match received {
            Ok(count) => {
                length.set(count);
                Ok(())
            }
            Err(error) => {
                if let RecvError::TooSmall { length: needed } = error {
                    length.set(needed);
                }
                Err(Fault::from(error))
            }
        }
    })
}

/// Takes the next message without a copy.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn peerbeat_link_recv_borrow(
    link: *mut PeerbeatLink,
    data: *mut *const c_void,
    len: *mut usize,
    timeout_ms: c_int,
) -> c_int {
    guard(|| {
        // SAFETY: as the header says.
        let link = unsafe { handle(link, "link") }?.handle.enter()?;
        // SAFETY: as the header says.
        let begin = unsafe { output(data, "data") }?;
        // SAFETY: as the header says.
        let length = unsafe { output(len, "len") }?;
        let message = link.inbox.borrow(timeout(timeout_ms)).inspect_err(|_| link.look_again())?;
        begin.set(message.as_ptr().cast());
        length.set(message.len());
        // The bytes are on the heap: they stay where they are while the message moves.
        *link.borrowed() = Some(message);
        Ok(())
    })
}

/// Gives the borrowed message back.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn peerbeat_link_release(link: *mut PeerbeatLink) -> c_int {
    guard(|| {
        // SAFETY: as the header says.
        let link = unsafe { handle(link, "link") }?.handle.enter()?;
        let message = link.borrowed().take();
        drop(message);
        link.look_again();
        Ok(())
    })
}
