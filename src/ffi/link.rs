//! Links for C: send, query, stop. Receiving is in `receive`, opening in `open`.
//!
//! A handle holds the link, the inbox that its reader fills, and the reader's thread, which freeing
//! joins. All functions but freeing may be inside one handle at the same time.

use std::ffi::{CString, c_char, c_int};
use std::io;
use std::ptr::null;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::convert::{account, add_stats, link_state, timeout};
use super::fault::{E_DOWN, E_IO, E_NEXT_CONNECTION, E_OWN_THREAD, E_TIMEOUT, Fault};
use super::guard::guard;
use super::handle::{Handle, handle, take};
use super::notify::Notifier;
use super::pointer::{bytes, list, output, put_text, write_sized};
use super::secure::AnyStream;
use super::structs::{NONE, PeerbeatBytes, PeerbeatState, PeerbeatStats};
use crate::link::{HeartbeatChange, Inbox, Link, Message};
use crate::recover::Recover;

/// `peerbeat_link`.
#[derive(Debug)]
pub struct PeerbeatLink {
    pub(super) handle: Handle<LinkParts>,
}

/// What a link's handle holds.
#[derive(Debug)]
pub(super) struct LinkParts {
    link: Link<AnyStream>,
    pub(super) inbox: Inbox,
    reader: Mutex<Option<JoinHandle<()>>>,
    /// The message that the host has borrowed.
    borrowed: Mutex<Option<Message>>,
    /// In the peer's HELLO, and as it has proven it.
    names: [CString; 2],
    pub(super) news: Arc<News>,
}

impl LinkParts {
    pub(super) fn new(
        link: Link<AnyStream>,
        inbox: Inbox,
        news: Arc<News>,
        reader: JoinHandle<()>,
        names: [CString; 2],
    ) -> Self {
        let (reader, borrowed) = (Mutex::new(Some(reader)), Mutex::new(None));
        Self { link, inbox, reader, borrowed, names, news }
    }

    /// Makes the descriptor show the present state, after something was taken.
    pub(super) fn look_again(&self) {
        let Some(notifier) = self.news.notifier.get() else { return };
        // Cleared before the look: what comes after it sets it again.
        notifier.clear();
        if self.inbox.stats().messages > 0 || !self.link.is_up() {
            notifier.set();
        }
    }

    pub(super) fn borrowed(&self) -> MutexGuard<'_, Option<Message>> {
        self.borrowed.lock().recover()
    }

    fn shutdown(&self) {
        self.link.close();
        self.inbox.close();
        self.news.tell();
    }

    /// The reader's thread, to be joined.
    fn reader(&self) -> MutexGuard<'_, Option<JoinHandle<()>>> {
        self.reader.lock().recover()
    }
}

/// Signals that messages have come, or the end.
#[derive(Debug, Default)]
pub(super) struct News {
    notifier: OnceLock<Notifier>,
}

impl News {
    /// Something has come.
    #[inline]
    pub(super) fn tell(&self) {
        if let Some(notifier) = self.notifier.get() {
            notifier.set();
        }
    }

    fn fd(&self) -> io::Result<c_int> {
        if self.notifier.get().is_none() {
            let _first = self.notifier.set(Notifier::new()?);
        }
        Ok(self.notifier.get().map_or(-1, Notifier::fd))
    }
}

impl From<Handle<LinkParts>> for PeerbeatLink {
    fn from(handle: Handle<LinkParts>) -> Self {
        Self { handle }
    }
}

/// The name in the peer's HELLO.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn peerbeat_link_remote_name(link: *const PeerbeatLink) -> *const c_char {
    guard(|| {
        // SAFETY: as the header says.
        unsafe { name(link, 0) }
    })
}

/// The name that the peer has proven to the layer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn peerbeat_link_verified_name(link: *const PeerbeatLink) -> *const c_char {
    guard(|| {
        // SAFETY: as the header says.
        unsafe { name(link, 1) }
    })
}

/// # Safety
/// `link` is as the header says.
unsafe fn name(link: *const PeerbeatLink, which: usize) -> *const c_char {
    // SAFETY: passed on.
    let link = unsafe { link.as_ref() };
    link.map_or(null(), |link| link.handle.inner().names[which].as_ptr())
}

/// Sends a message, waiting for room.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn peerbeat_link_send(
    link: *mut PeerbeatLink,
    data: *const u8,
    len: usize,
) -> c_int {
    guard(|| {
        // SAFETY: as the header says.
        let link = unsafe { handle(link, "link") }?.handle.enter()?;
        // SAFETY: as the header says.
        let data = unsafe { bytes(data, len, "data") }?;
        Ok(link.link.send(data)?)
    })
}

/// Sends a message if there is room now.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn peerbeat_link_try_send(
    link: *mut PeerbeatLink,
    data: *const u8,
    len: usize,
) -> c_int {
    guard(|| {
        // SAFETY: as the header says.
        let link = unsafe { handle(link, "link") }?.handle.enter()?;
        // SAFETY: as the header says.
        let data = unsafe { bytes(data, len, "data") }?;
        Ok(link.link.try_send(data)?)
    })
}

/// Sends several messages; `sent` is how many were accepted, even if one was not.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn peerbeat_link_send_all(
    link: *mut PeerbeatLink,
    messages: *const PeerbeatBytes,
    count: usize,
    sent: *mut usize,
) -> c_int {
    guard(|| {
        // SAFETY: as the header says.
        let link = unsafe { handle(link, "link") }?.handle.enter()?;
        // SAFETY: as the header says.
        let messages = unsafe { list(messages, count, "messages") }?;
        // Up to the first that is malformed: those before it are sent anyway.
        let mut payloads = Vec::with_capacity(messages.len());
        let listed = messages.iter().try_for_each(|message| {
            // SAFETY: as the header says.
            payloads.push(unsafe { bytes(message.data, message.len, "messages[].data") }?);
            Ok(())
        });
        let (accepted, result) = match link.link.send_all(&payloads) {
            Ok(()) => (payloads.len(), listed),
            Err(stopped) => (stopped.sent, Err(stopped.error.into())),
        };
        if !sent.is_null() {
            // SAFETY: as the header says.
            unsafe { sent.write(accepted) };
        }
        result
    })
}

/// How the link is doing, or how it ended.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn peerbeat_link_state(
    link: *const PeerbeatLink,
    state: *mut PeerbeatState,
) -> c_int {
    guard(|| {
        // SAFETY: as the header says.
        let link = unsafe { handle(link, "link") }?.handle.enter()?;
        let now = state_of(&link);
        // SAFETY: as the header says.
        unsafe { write_sized(state, &now, "state") }
    })
}

/// What went over the link so far.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn peerbeat_link_stats(
    link: *const PeerbeatLink,
    stats: *mut PeerbeatStats,
) -> c_int {
    guard(|| {
        // SAFETY: as the header says.
        let link = unsafe { handle(link, "link") }?.handle.enter()?;
        let inbox = link.inbox.stats();
        let mut all = PeerbeatStats { round_trip_us: NONE, ..PeerbeatStats::default() };
        add_stats(&mut all, &link.link.stats());
        all.inbox_messages = inbox.messages as u64;
        all.inbox_bytes = inbox.bytes as u64;
        all.held_ms = inbox.held.as_millis() as u64;
        all.local_blocked = inbox.is_holding.into();
        // SAFETY: as the header says.
        unsafe { write_sized(stats, &all, "stats") }
    })
}

/// Sets a smaller heartbeat-time on the living link.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn peerbeat_link_set_heartbeat_time(
    link: *mut PeerbeatLink,
    heartbeat_time_ms: u32,
) -> c_int {
    guard(|| {
        // SAFETY: as the header says.
        let link = unsafe { handle(link, "link") }?.handle.enter()?;
        let value = Duration::from_millis(heartbeat_time_ms.into());
        match link.link.set_heartbeat_time(value) {
            Ok(HeartbeatChange::InForce) => Ok(()),
            Ok(HeartbeatChange::NextConnection) => {
                let held = link.link.heartbeat_time().unwrap_or_default();
                let detail = format!("{value:?} is not below the {held:?} in force");
                Err(Fault::new(E_NEXT_CONNECTION, detail))
            }
            Err(reason) => Err(Fault::new(E_DOWN, format!("the link is down: {reason}"))),
        }
    })
}

/// Sets the slack on the living link.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn peerbeat_link_set_slack(link: *mut PeerbeatLink, slack_ms: u32) -> c_int {
    guard(|| {
        // SAFETY: as the header says.
        let link = unsafe { handle(link, "link") }?.handle.enter()?;
        let set = link.link.set_slack(Duration::from_millis(slack_ms.into()));
        set.map_err(|reason| Fault::new(E_DOWN, format!("the link is down: {reason}")))
    })
}

/// Waits until the send queue has room.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn peerbeat_link_wait_room(
    link: *mut PeerbeatLink,
    len: usize,
    timeout_ms: c_int,
) -> c_int {
    guard(|| {
        // SAFETY: as the header says.
        let link = unsafe { handle(link, "link") }?.handle.enter()?;
        Ok(link.link.wait_room(len, timeout(timeout_ms).unwrap_or(Duration::MAX))?)
    })
}

/// Which values are in force and why, in words.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn peerbeat_link_explain(
    link: *const PeerbeatLink,
    buf: *mut c_char,
    cap: usize,
    len: *mut usize,
) -> c_int {
    guard(|| {
        // SAFETY: as the header says.
        let link = unsafe { handle(link, "link") }?.handle.enter()?;
        // SAFETY: as the header says.
        unsafe { put_text(&link.link.explain().to_string(), buf, cap, len) }
    })
}

/// The descriptor that is readable while a message waits, or the link has ended.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn peerbeat_link_event_fd(link: *mut PeerbeatLink, fd: *mut c_int) -> c_int {
    guard(|| {
        // SAFETY: as the header says.
        let link = unsafe { handle(link, "link") }?.handle.enter()?;
        // SAFETY: as the header says.
        let out = unsafe { output(fd, "fd") }?;
        let made = link.news.fd();
        let fd = made.map_err(|error| Fault::io(E_IO, "no descriptor for events", &error))?;
        link.look_again();
        out.set(fd);
        Ok(())
    })
}

/// Closes in order, and waits until the peer has read all.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn peerbeat_link_drain(link: *mut PeerbeatLink, timeout_ms: c_int) -> c_int {
    guard(|| {
        // SAFETY: as the header says.
        let link = unsafe { handle(link, "link") }?.handle.enter()?;
        match link.link.drain(timeout(timeout_ms).unwrap_or(Duration::MAX)) {
            true => Ok(()),
            false => Err(Fault::new(E_TIMEOUT, "the peer's end of stream was not seen")),
        }
    })
}

/// Closes in order and wakes every waiting call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn peerbeat_link_shutdown(link: *mut PeerbeatLink) -> c_int {
    guard(|| {
        // SAFETY: as the header says.
        let link = unsafe { handle(link, "link") }?.handle.enter()?;
        link.shutdown();
        Ok(())
    })
}

/// Shuts down, joins the link's threads, and frees.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn peerbeat_link_free(link: *mut PeerbeatLink) -> c_int {
    guard(|| {
        // SAFETY: as the header says.
        unsafe { free(link, None) }
    })
}

/// Frees as `peerbeat_link_free` does, if that takes no longer than this.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn peerbeat_link_free_timeout(
    link: *mut PeerbeatLink,
    timeout_ms: c_int,
) -> c_int {
    guard(|| {
        // SAFETY: as the header says.
        unsafe { free(link, timeout(timeout_ms)) }
    })
}

/// # Safety
/// `link` is null or a handle that is not used after this has succeeded.
unsafe fn free(link: *mut PeerbeatLink, limit: Option<Duration>) -> Result<(), Fault> {
    if link.is_null() {
        return Ok(());
    }
    let deadline = limit.and_then(|limit| Instant::now().checked_add(limit));
    // SAFETY: the caller's promise.
    let inside = unsafe { handle(link, "link") }?;
    inside.handle.check_caller()?;
    let parts = inside.handle.inner();
    let mut reader = parts.reader();
    if parts.link.is_own_thread() {
        return Err(Fault::new(E_OWN_THREAD, "the link's own thread cannot wait for itself"));
    }
    parts.shutdown();
    let mut is_over = inside.handle.wait_alone(deadline);
    while let (Some(deadline), Some(reader), true) = (deadline, &*reader, is_over) {
        if reader.is_finished() {
            break;
        }
        is_over = Instant::now() < deadline;
        thread::sleep(Duration::from_millis(1));
    }
    if !is_over {
        return Err(Fault::new(E_TIMEOUT, "the link has not ended yet; it is not freed"));
    }
    // Joining the reader is enough: it joins the sender. Its panic was reported on stderr.
    let _panicked = reader.take().map(JoinHandle::join);
    drop(reader);
    // SAFETY: it came from `open`, no thread is inside, and it is not used after this.
    drop(unsafe { take(link) });
    Ok(())
}

fn state_of(parts: &LinkParts) -> PeerbeatState {
    match parts.link.down() {
        Some(down) => account(&down),
        None => link_state(&parts.link.state(), parts.inbox.stats().is_late),
    }
}
