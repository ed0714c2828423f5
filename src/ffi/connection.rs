//! A complete connection for hosts with sockets and a loop of their own.
//!
//! The host owns the socket, the clock and the memory of its loop; nothing here has a thread or
//! waits. A count of more bytes than there were, for which
//! [`Connection`](crate::connection::Connection) panics, is refused here.

use std::ffi::{CString, c_char, c_int, c_void};
use std::io;
use std::ptr::null;
use std::time::Duration;

use super::convert::add_stats;
use super::event::CEvent;
use super::fault::{E_DOWN, E_NEXT_CONNECTION, E_TIMEOUT, E_TOO_SMALL, Fault};
use super::guard::guard;
use super::handle::take;
use super::liveness::NEXT_NOTHING;
use super::options::{Checked, Handshake, PeerbeatOptions};
use super::pointer::{buffer, bytes, c_text, check_sized, is_null, output, write_sized};
use super::structs::{NONE, PeerbeatEvent, PeerbeatStats};
use crate::connection::{Connection, HeartbeatChange, Output};
use crate::link::handshake::{Side, hello_in};
use crate::liveness::Time;
use crate::node::NodeEvent as Event;

/// `peerbeat_connection`.
#[derive(Debug)]
pub struct PeerbeatConnection {
    connection: Connection,
    /// How many bytes the host was given to write.
    to_write: usize,
    /// How many bytes the host was given room for.
    space: usize,
    remote_name: CString,
    remote_label: CString,
    /// The one that the host has.
    event: Option<CEvent>,
    messages_received: u64,
    bytes_received: u64,
    is_over: bool,
}

/// Our HELLO, for the host to write.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn peerbeat_connection_hello(
    options: *const PeerbeatOptions,
    buf: *mut u8,
    cap: usize,
    len: *mut usize,
) -> c_int {
    guard(|| {
        // SAFETY: as the header says.
        let options = unsafe { Checked::read(options) }?;
        // SAFETY: as the header says.
        let buffer = unsafe { buffer(buf, cap, "buf") }?;
        // SAFETY: as the header says.
        let out = unsafe { output(len, "len") }?;
        let mut hello = Vec::new();
        let unfit = |error| Fault::invalid(format!("options: {error}"));
        options.hello().encode(&mut hello).map_err(unfit)?;
        out.set(hello.len());
        let Some(room) = buffer.get_mut(..hello.len()) else {
            return Err(Fault::new(E_TOO_SMALL, format!("HELLO has {} bytes", hello.len())));
        };
        room.copy_from_slice(&hello);
        Ok(())
    })
}

/// Starts with the peer's HELLO, and what came behind it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn peerbeat_connection_new(
    options: *const PeerbeatOptions,
    received: *const u8,
    len: usize,
    now_ns: u64,
    connection: *mut *mut PeerbeatConnection,
) -> c_int {
    guard(|| {
        // SAFETY: as the header says.
        let options = unsafe { Checked::read(options) }?;
        // SAFETY: as the header says.
        let received = unsafe { bytes(received, len, "received") }?;
        // SAFETY: as the header says.
        let out = unsafe { output(connection, "connection") }?;
        let made = PeerbeatConnection::new(&options, received, Time::from_nanos(now_ns))?;
        out.set(Box::into_raw(Box::new(made)));
        Ok(())
    })
}

impl PeerbeatConnection {
    fn new(options: &Checked, received: &[u8], now: Time) -> Result<Self, Fault> {
        let link = &options.link;
        let mut connection = Connection::new(options.framing, &link.liveness, now);
        connection.set_queue_bytes(link.queue_bytes);
        connection.set_close_timeout(link.close_timeout, link.close_max);
        let mut made = Self {
            connection,
            to_write: 0,
            space: 0,
            remote_name: CString::default(),
            remote_label: CString::default(),
            event: None,
            messages_received: 0,
            bytes_received: 0,
            is_over: false,
        };
        let behind_hello;
        let mut rest = match options.handshake {
            Handshake::None => received,
            handshake => {
                let side = match handshake {
                    Handshake::Accept => Side::Accepts,
                    _ => Side::Dials,
                };
                behind_hello = made.handle_hello(received, side, now)?;
                &behind_hello
            }
        };
        while !rest.is_empty() {
            let space = made.connection.spare();
            let count = space.len().min(rest.len());
            space[..count].copy_from_slice(&rest[..count]);
            rest = &rest[count..];
            made.handle_received(count, now);
        }
        Ok(made)
    }

    /// Takes in the peer's HELLO; returns what came behind it.
    fn handle_hello(&mut self, received: &[u8], side: Side, now: Time) -> Result<Vec<u8>, Fault> {
        let Some(greeting) = hello_in(received, side)? else {
            let detail = format!("HELLO is not whole yet, with {} bytes", received.len());
            return Err(Fault::new(E_TIMEOUT, detail));
        };
        self.remote_name = c_text(&greeting.name);
        self.remote_label = c_text(&greeting.label);
        if let Some(value_ms) = greeting.heartbeat_time_ms {
            self.connection.handle_hello(value_ms, now);
        }
        Ok(greeting.received)
    }

    fn handle_received(&mut self, count: usize, now: Time) {
        self.bytes_received += count as u64;
        self.connection.handle_received(count, now);
    }

    /// What to do next, and the event if it is one.
    fn next(&mut self, now: Time) -> (c_int, u64, Option<PeerbeatEvent>) {
        let now_ns = now.as_nanos();
        let name = &self.remote_name;
        // What was handed out to be read into or written ends with this call.
        self.space = 0;
        let event = match self.connection.poll(now) {
            Output::Message(payload) => {
                self.messages_received += 1;
                let event = CEvent::borrowed_message(name, payload);
                return (NEXT_EVENT, now_ns, Some(event));
            }
            Output::Wait { until } => return (NEXT_NOTHING, until.as_nanos(), None),
            Output::ShutdownWrite => return (NEXT_SHUTDOWN_WRITE, now_ns, None),
            Output::Event(event) => CEvent::new(name, &Event::Link(event)),
            Output::Down(down) => {
                self.is_over = true;
                self.to_write = 0;
                CEvent::new(name, &Event::Down(down))
            }
        };
        let event = self.event.insert(event);
        (NEXT_EVENT, now_ns, Some(*event.event()))
    }
}

/// The name in the peer's HELLO.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn peerbeat_connection_remote_name(
    connection: *const PeerbeatConnection,
) -> *const c_char {
    guard(|| {
        // SAFETY: as the header says.
        let connection = unsafe { connection.as_ref() };
        connection.map_or(null(), |connection| connection.remote_name.as_ptr())
    })
}

/// The label in the peer's HELLO.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn peerbeat_connection_remote_label(
    connection: *const PeerbeatConnection,
) -> *const c_char {
    guard(|| {
        // SAFETY: as the header says.
        let connection = unsafe { connection.as_ref() };
        connection.map_or(null(), |connection| connection.remote_label.as_ptr())
    })
}

/// The room to read into.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn peerbeat_connection_space(
    connection: *mut PeerbeatConnection,
    space: *mut *mut c_void,
    len: *mut usize,
) -> c_int {
    guard(|| {
        // SAFETY: as the header says.
        let connection = unsafe { inside(connection) }?;
        // SAFETY: as the header says.
        let to = unsafe { output(space, "space") }?;
        // SAFETY: as the header says.
        let length = unsafe { output(len, "len") }?;
        let spare = connection.connection.spare();
        connection.space = spare.len();
        to.set(spare.as_mut_ptr().cast());
        length.set(connection.space);
        Ok(())
    })
}

/// Bytes were read into that room.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn peerbeat_connection_received(
    connection: *mut PeerbeatConnection,
    count: usize,
    now_ns: u64,
) -> c_int {
    guard(|| {
        // SAFETY: as the header says.
        let connection = unsafe { inside(connection) }?;
        check_count(count, connection.space, "there was room for")?;
        connection.space = 0;
        if count > 0 {
            connection.handle_received(count, Time::from_nanos(now_ns));
        }
        Ok(())
    })
}

/// A read failed, or met the end of the stream.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn peerbeat_connection_read_failed(
    connection: *mut PeerbeatConnection,
    number: c_int,
    now_ns: u64,
) -> c_int {
    guard(|| {
        // SAFETY: as the header says.
        let connection = unsafe { inside(connection) }?;
        let now = Time::from_nanos(now_ns);
        match number {
            0 => connection.connection.handle_end_of_stream(now),
            _ => {
                connection.connection.handle_read_error(&io::Error::from_raw_os_error(number), now)
            }
        }
        Ok(())
    })
}

/// What is to be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn peerbeat_connection_transmit(
    connection: *mut PeerbeatConnection,
    now_ns: u64,
    data: *mut *const c_void,
    len: *mut usize,
) -> c_int {
    guard(|| {
        // SAFETY: as the header says.
        let connection = unsafe { inside(connection) }?;
        // SAFETY: as the header says.
        let to = unsafe { output(data, "data") }?;
        // SAFETY: as the header says.
        let length = unsafe { output(len, "len") }?;
        let rest = connection.connection.poll_transmit(Time::from_nanos(now_ns));
        connection.to_write = rest.len();
        to.set(rest.as_ptr().cast());
        length.set(connection.to_write);
        Ok(())
    })
}

/// The kernel took some of it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn peerbeat_connection_written(
    connection: *mut PeerbeatConnection,
    count: usize,
    now_ns: u64,
) -> c_int {
    guard(|| {
        // SAFETY: as the header says.
        let connection = unsafe { inside(connection) }?;
        check_count(count, connection.to_write, "there was to write")?;
        connection.to_write = 0;
        connection.connection.handle_written(count, Time::from_nanos(now_ns));
        Ok(())
    })
}

/// A write failed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn peerbeat_connection_write_failed(
    connection: *mut PeerbeatConnection,
    number: c_int,
    now_ns: u64,
) -> c_int {
    guard(|| {
        // SAFETY: as the header says.
        let connection = unsafe { inside(connection) }?;
        connection.to_write = 0;
        let error = io::Error::from_raw_os_error(number);
        connection.connection.handle_write_error(&error, Time::from_nanos(now_ns));
        Ok(())
    })
}

/// Asks what to do: one of `PEERBEAT_NEXT_`, or a negative status.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn peerbeat_connection_next(
    connection: *mut PeerbeatConnection,
    now_ns: u64,
    deadline_ns: *mut u64,
    event: *mut PeerbeatEvent,
) -> c_int {
    guard(|| {
        // SAFETY: as the header says.
        let connection = unsafe { inside(connection) }?;
        // SAFETY: as the header says.
        let deadline = unsafe { output(deadline_ns, "deadline_ns") }?;
        // SAFETY: as the header says: only its size is looked at.
        unsafe { check_sized(event, "event") }?;
        if connection.is_over {
            return Err(Fault::new(E_DOWN, "the connection has ended"));
        }
        let (what, until, found) = connection.next(Time::from_nanos(now_ns));
        if let Some(found) = found {
            // SAFETY: as the header says.
            unsafe { write_sized(event, &found, "event") }?;
        }
        deadline.set(until);
        Ok::<c_int, Fault>(what)
    })
}

/// Accepts a message for sending.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn peerbeat_connection_send(
    connection: *mut PeerbeatConnection,
    data: *const u8,
    len: usize,
) -> c_int {
    guard(|| {
        // SAFETY: as the header says.
        let connection = unsafe { inside(connection) }?;
        // SAFETY: as the header says.
        let data = unsafe { bytes(data, len, "data") }?;
        Ok(connection.connection.send(data)?)
    })
}

/// Begins an orderly close.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn peerbeat_connection_close(
    connection: *mut PeerbeatConnection,
    now_ns: u64,
) -> c_int {
    guard(|| {
        // SAFETY: as the header says.
        unsafe { inside(connection) }?.connection.close(Time::from_nanos(now_ns));
        Ok(())
    })
}

/// Begins an orderly close that hands on what arrives meanwhile.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn peerbeat_connection_drain(
    connection: *mut PeerbeatConnection,
    now_ns: u64,
) -> c_int {
    guard(|| {
        // SAFETY: as the header says.
        unsafe { inside(connection) }?.connection.drain(Time::from_nanos(now_ns));
        Ok(())
    })
}

/// Sets a smaller heartbeat-time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn peerbeat_connection_set_heartbeat_time(
    connection: *mut PeerbeatConnection,
    heartbeat_time_ms: u32,
    now_ns: u64,
) -> c_int {
    guard(|| {
        // SAFETY: as the header says.
        let connection = &mut unsafe { inside(connection) }?.connection;
        let value = Duration::from_millis(heartbeat_time_ms.into());
        match connection.set_heartbeat_time(value, Time::from_nanos(now_ns)) {
            Ok(HeartbeatChange::InForce) => Ok(()),
            Ok(HeartbeatChange::NextConnection) => {
                let held = connection.heartbeat_time().unwrap_or_default();
                let detail = format!("{value:?} is not below the {held:?} in force");
                Err(Fault::new(E_NEXT_CONNECTION, detail))
            }
            Err(reason) => Err(Fault::new(E_DOWN, format!("the connection is down: {reason}"))),
        }
    })
}

/// Sets the slack.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn peerbeat_connection_set_slack(
    connection: *mut PeerbeatConnection,
    slack_ms: u32,
    now_ns: u64,
) -> c_int {
    guard(|| {
        // SAFETY: as the header says.
        let connection = &mut unsafe { inside(connection) }?.connection;
        let slack = Duration::from_millis(slack_ms.into());
        let set = connection.set_slack(slack, Time::from_nanos(now_ns));
        set.map_err(|reason| Fault::new(E_DOWN, format!("the connection is down: {reason}")))
    })
}

/// What went over the connection so far.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn peerbeat_connection_stats(
    connection: *const PeerbeatConnection,
    now_ns: u64,
    stats: *mut PeerbeatStats,
) -> c_int {
    guard(|| {
        // SAFETY: as the header says.
        let Some(connection) = (unsafe { connection.as_ref() }) else {
            return Err(is_null("connection"));
        };
        let mut all = PeerbeatStats { round_trip_us: NONE, ..PeerbeatStats::default() };
        add_stats(&mut all, &connection.connection.stats(Time::from_nanos(now_ns)));
        all.messages_received = connection.messages_received;
        all.bytes_received = connection.bytes_received;
        // SAFETY: as the header says.
        unsafe { write_sized(stats, &all, "stats") }
    })
}

/// Frees; the socket still belongs to the host.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn peerbeat_connection_free(connection: *mut PeerbeatConnection) {
    guard(|| {
        if !connection.is_null() {
            // SAFETY: it came from `peerbeat_connection_new` and is not used after this.
            drop(unsafe { take(connection) });
        }
    });
}

/// The connection behind a pointer.
///
/// # Safety
/// `connection` is null or one that was not freed and that no other thread uses, for as long as
/// `'a`.
unsafe fn inside<'a>(
    connection: *mut PeerbeatConnection,
) -> Result<&'a mut PeerbeatConnection, Fault> {
    // SAFETY: the caller's promise.
    unsafe { connection.as_mut() }.ok_or_else(|| is_null("connection"))
}

/// Refuses a count of more bytes than there were.
fn check_count(count: usize, most: usize, what: &str) -> Result<(), Fault> {
    match count <= most {
        true => Ok(()),
        false => Err(Fault::invalid(format!("count is {count}, {what} {most}"))),
    }
}

/// `PEERBEAT_NEXT_EVENT`.
pub const NEXT_EVENT: c_int = 6;
/// `PEERBEAT_NEXT_SHUTDOWN_WRITE`.
pub const NEXT_SHUTDOWN_WRITE: c_int = 7;
