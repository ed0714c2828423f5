//! How a link begins: connect, shake hands, start its threads.
//!
//! The reader's thread is made first, and we join it: any later failure leaves nothing behind and
//! has not touched the socket.

use std::ffi::{CStr, c_char, c_int};
use std::io;
use std::net::{TcpStream, ToSocketAddrs};
use std::ptr::null;
use std::sync::{Arc, mpsc};
use std::time::Instant;

use super::fault::{E_CONNECT, E_HANDSHAKE, E_INVALID, E_IO, E_LIMIT, Fault};
use super::guard::guard;
use super::handle::{Handle, check_thread};
use super::layer::{ACCEPTED, DIALLED, PeerbeatLayer};
use super::link::{LinkParts, News, PeerbeatLink};
use super::options::{Checked, Handshake, PeerbeatOptions};
use super::pointer::{c_text, output, text};
use super::secure::{AnyStream, Secured, secure};
use super::signals::SignalsBlocked;
use crate::config::HistoricIpv4;
use crate::link::handshake::{self, Greeting};
use crate::link::{self, Inbox, Link, LinkEvent, LinkHandler, Reader, threads};
use crate::protocol::ByeCode;

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
        unsafe { begin(host, port, options, null(), link) }
    })
}

/// Connects, and shakes hands over a layer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn peerbeat_link_connect_layered(
    host: *const c_char,
    port: u16,
    options: *const PeerbeatOptions,
    layer: *const PeerbeatLayer,
    link: *mut *mut PeerbeatLink,
) -> c_int {
    guard(|| {
        // SAFETY: as the header says.
        unsafe { begin(host, port, options, layer, link) }
    })
}

/// # Safety
/// Pointers are as the header says.
unsafe fn begin(
    host: *const c_char,
    port: u16,
    options: *const PeerbeatOptions,
    layer: *const PeerbeatLayer,
    link: *mut *mut PeerbeatLink,
) -> Result<(), Fault> {
    check_thread()?;
    // SAFETY: passed on.
    let host = unsafe { text(host, "host") }?;
    // SAFETY: passed on.
    let options = unsafe { Checked::read_layered(options, layer) }?;
    // SAFETY: passed on.
    let out = unsafe { output(link, "link") }?;
    out.set(connect(host, port, &options)?);
    Ok(())
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
        match open(stream, options, Handshake::Dial, &c_text(host)) {
            Ok(link) => return Ok(link),
            Err(fault) => last = Some(fault),
        }
    }
    Err(last.unwrap_or_else(|| Fault::new(E_CONNECT, format!("{} has no address", place()))))
}

/// Shakes hands on an established connection and starts a link on it. `host` is what was dialled.
pub(super) fn open(
    stream: TcpStream,
    options: &Checked,
    default: Handshake,
    host: &CStr,
) -> Result<*mut PeerbeatLink, Fault> {
    start(greet(stream, options, default, host)?, options, || None)
}

/// A connection on which hands were shaken.
pub(super) struct Greeted {
    secured: Secured,
    greeting: Greeting,
}

/// Shakes hands, first those of the layer, as the options say, or as `default` does.
pub(super) fn greet(
    stream: TcpStream,
    options: &Checked,
    default: Handshake,
    host: &CStr,
) -> Result<Greeted, Fault> {
    // Not every stream socket knows it, and it only saves time.
    let _unknown = stream.set_nodelay(options.link.tcp_nodelay);
    let handshake = match options.handshake {
        Handshake::Default => default,
        other => other,
    };
    let direction = match (handshake, default) {
        (Handshake::Accept, _) | (Handshake::None, Handshake::Accept) => ACCEPTED,
        _ => DIALLED,
    };
    let deadline = Instant::now() + options.handshake_timeout;
    let secured = secure(stream, options.layer, direction, host, deadline)?;
    let (stream, hello) = (&*secured.stream, options.hello());
    let proven = secured.verified_name.as_deref();
    let greeting = match handshake {
        Handshake::None => Greeting {
            name: String::new(),
            label: String::new(),
            id: 0,
            always: false,
            probe: false,
            heartbeat_time_ms: None,
            received: Vec::new(),
        },
        Handshake::Accept => {
            let greeting = handshake::receive(stream, deadline).inspect_err(|error| {
                if let Some(code) = error.bye_code() {
                    handshake::refuse(stream, code, &error.to_string());
                }
            })?;
            check_name(proven, &greeting, |detail| {
                handshake::refuse(stream, ByeCode::UNKNOWN_PEER, detail);
            })?;
            handshake::welcome(stream, &hello, deadline)?;
            greeting
        }
        Handshake::Dial | Handshake::Default => {
            let greeting = handshake::dial(stream, &hello, deadline)?;
            check_name(proven, &greeting, |detail| {
                // What went wrong is reported in any case.
                let _best_effort = handshake::write_bye(stream, ByeCode::UNKNOWN_PEER, detail);
            })?;
            greeting
        }
    };
    Ok(Greeted { secured, greeting })
}

/// Refuses a HELLO with another name than the one that was proven, if one was.
fn check_name(
    proven: Option<&str>,
    greeting: &Greeting,
    refuse: impl FnOnce(&str),
) -> Result<(), Fault> {
    let Some(proven) = proven.filter(|proven| *proven != greeting.name) else { return Ok(()) };
    let [said, proven] = [&greeting.name, proven].map(str::escape_debug);
    let detail = format!("HELLO says \"{said}\", proven is \"{proven}\"");
    refuse(&detail);
    Err(Fault::new(E_HANDSHAKE, detail))
}

/// Starts a link's threads. If that fails, the stream is closed and no more; if it does not, what
/// `keep` gives is closed when the link has ended.
pub(super) fn start(
    greeted: Greeted,
    options: &Checked,
    keep: impl FnOnce() -> Option<TcpStream>,
) -> Result<*mut PeerbeatLink, Fault> {
    let Greeted { secured: Secured { stream, verified_name }, greeting } = greeted;
    let remote_name = c_text(&greeting.name);
    let verified_name = c_text(&verified_name.unwrap_or_default());
    let _blocked = SignalsBlocked::begin();
    let mut link_options = options.link.clone();
    link_options.name = options.thread_name.clone().unwrap_or_default();
    let link_options = link_options.greeted(greeting);
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
    let parts = LinkParts::new(link, inbox, news, thread, [remote_name, verified_name]);
    Ok(Handle::new(parts).into_raw())
}

/// What the reader's thread needs.
struct Reading {
    /// Boxed, so that no frame of the thread holds it.
    reader: Box<Reader<AnyStream>>,
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

/// The inbox, and what signals it.
struct Receiving<'a> {
    inbox: &'a mut Inbox,
    news: &'a News,
}

impl LinkHandler<AnyStream> for Receiving<'_> {
    fn on_message(&mut self, link: &Link<AnyStream>, payload: &[u8]) {
        self.inbox.on_message(link, payload);
        self.news.tell();
    }

    fn on_event(&mut self, link: &Link<AnyStream>, event: &LinkEvent) {
        self.inbox.on_event(link, event);
        if let LinkEvent::Down(_) = event {
            self.news.tell();
        }
    }
}
