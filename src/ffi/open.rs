//! How a link begins: connect, shake hands, start its threads.
//!
//! The reader's thread is ours to join, and made first: whatever fails after that leaves nothing
//! behind and has not touched the socket.

use std::ffi::{c_char, c_int};
use std::io;
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::{Arc, mpsc};
use std::time::Instant;

use super::fault::{E_CONNECT, E_HANDSHAKE, E_INVALID, E_IO, E_LIMIT, E_REFUSED, Fault};
use super::guard::guard;
use super::handle::Handle;
use super::link::{LinkParts, News, PeerbeatLink};
use super::options::{Checked, Handshake, PeerbeatOptions};
use super::pointer::{c_text, output, text};
use super::signals::SignalsBlocked;
use crate::config::HistoricIpv4;
use crate::link::handshake::{self, Greeting, HandshakeError};
use crate::link::{self, Inbox, Link, LinkEvent, LinkHandler, Reader, threads};

/// Connects and shakes hands.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn peerbeat_link_connect(
    host: *const c_char,
    port: u16,
    options: *const PeerbeatOptions,
    link: *mut *mut PeerbeatLink,
) -> c_int {
    guard(|| {
        // SAFETY: as the header says.
        let host = unsafe { text(host, "host") }?;
        // SAFETY: as the header says.
        let options = unsafe { Checked::read(options) }?;
        // SAFETY: as the header says.
        let out = unsafe { output(link, "link") }?;
        out.set(connect(host, port, &options)?);
        Ok(())
    })
}

/// Tries the host's addresses in turn until one of them gives a link; a handshake that fails counts
/// as an address that does.
fn connect(host: &str, port: u16, options: &Checked) -> Result<*mut PeerbeatLink, Fault> {
    if let Some(form) = HistoricIpv4::of(host) {
        let host = host.escape_debug();
        return Err(Fault::new(
            E_INVALID,
            format!("host: {host} {form}; write four numbers without leading zeros"),
        ));
    }
    let place = || format!("{}:{port}", host.escape_debug());
    let unresolved = |error| Fault::io(E_CONNECT, format!("{} has no address", place()), &error);
    let mut last = None;
    for address in (host, port).to_socket_addrs().map_err(unresolved)? {
        let stream = match link::dial(address, options.connect_timeout) {
            Ok(stream) => stream,
            Err(error) => {
                last = Some(Fault::io(E_CONNECT, format!("{} at {address}", place()), &error));
                continue;
            }
        };
        match open(stream, options, Handshake::Dial) {
            Ok(link) => return Ok(link),
            Err(fault) => last = Some(fault),
        }
    }
    Err(last.unwrap_or_else(|| Fault::new(E_CONNECT, format!("{} has no address", place()))))
}

/// Shakes hands on an established connection and starts a link on it.
pub(super) fn open(
    stream: TcpStream,
    options: &Checked,
    default: Handshake,
) -> Result<*mut PeerbeatLink, Fault> {
    let greeting = greet(&stream, options, default)?;
    start(stream, &greeting, options, || None)
}

/// Shakes hands, as the options say, or as `default` does.
pub(super) fn greet(
    stream: &TcpStream,
    options: &Checked,
    default: Handshake,
) -> Result<Greeting, Fault> {
    // Not every stream socket knows it, and it only saves time.
    let _unknown = stream.set_nodelay(options.tcp_nodelay);
    let handshake = match options.handshake {
        Handshake::Default => default,
        other => other,
    };
    let deadline = Instant::now() + options.handshake_timeout;
    let greeting = match handshake {
        Handshake::None => Ok(Greeting {
            name: String::new(),
            label: String::new(),
            id: 0,
            always: false,
            probe: false,
            heartbeat_time_ms: None,
            received: Vec::new(),
        }),
        Handshake::Accept => handshake::accept(stream, &options.hello(), deadline),
        Handshake::Dial | Handshake::Default => handshake::dial(stream, &options.hello(), deadline),
    };
    greeting.map_err(|error| match error {
        HandshakeError::Io(error) => Fault::io(E_IO, "HELLO", &error),
        HandshakeError::Refused { .. } => Fault::new(E_REFUSED, error.to_string()),
        _ => Fault::new(E_HANDSHAKE, error.to_string()),
    })
}

/// Starts a link's threads. If that fails, the stream is closed and no more; if it does not, what
/// `keep` gives is closed when the link has ended.
pub(super) fn start(
    stream: TcpStream,
    greeting: &Greeting,
    options: &Checked,
    keep: impl FnOnce() -> Option<TcpStream>,
) -> Result<*mut PeerbeatLink, Fault> {
    let _blocked = SignalsBlocked::begin();
    let mut link_options = options.link.clone();
    link_options.name = options.thread_name.clone().unwrap_or_default();
    let link_options = link_options.greeted(greeting.clone());
    let (give, take) = mpsc::channel::<Reading>();
    let name = format!("pb-r:{}", link_options.name);
    let thread = threads::spawn(&name, link_options.stack_size, move || {
        if let Ok(reading) = take.recv() {
            reading.run();
        }
    });
    let thread = thread.map_err(|error| Fault::thread(&error))?;
    let established = Link::establish(stream, options.framing, &link_options);
    let (link, reader) = match established {
        Ok(established) => established,
        Err(error) => {
            drop(give);
            let _nothing_ran = thread.join();
            return Err(match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::OutOfMemory => Fault::thread(&error),
                _ => Fault::io(E_IO, "the link", &error),
            });
        }
    };
    let (inbox, news) = (Inbox::new(options.inbox_bytes), Arc::new(News::default()));
    let reading = Reading {
        reader: Box::new(reader),
        inbox: inbox.clone(),
        news: Arc::clone(&news),
        _number: keep(),
    };
    if give.send(reading).is_err() {
        return Err(Fault::new(E_LIMIT, "the reader's thread has ended"));
    }
    let parts = LinkParts::new(link, inbox, news, thread, c_text(&greeting.name));
    Ok(Handle::new(parts).into_raw())
}

/// What the reader's thread needs.
struct Reading {
    /// Boxed, so that no frame of the thread holds it.
    reader: Box<Reader>,
    inbox: Inbox,
    news: Arc<News>,
    /// The host's number for the socket.
    _number: Option<TcpStream>,
}

impl Reading {
    fn run(self) {
        let Self { reader, mut inbox, news, _number } = self;
        let mut receiving = Receiving { inbox: &mut inbox, news: &news };
        if let (_, Err(_mistake_of_ours)) = reader.run_to_end(&mut receiving) {
            // Wakes those who wait for messages.
            inbox.close();
            news.tell();
        }
    }
}

/// The inbox, and what tells of it.
struct Receiving<'a> {
    inbox: &'a mut Inbox,
    news: &'a News,
}

impl LinkHandler for Receiving<'_> {
    fn on_message(&mut self, link: &Link, payload: &[u8]) {
        self.inbox.on_message(link, payload);
        self.news.tell();
    }

    fn on_event(&mut self, link: &Link, event: &LinkEvent) {
        self.inbox.on_event(link, event);
        if let LinkEvent::Down(_) = event {
            self.news.tell();
        }
    }
}
