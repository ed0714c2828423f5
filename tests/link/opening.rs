//! How a link begins: connect, accept, the errors of both, and streams in odd states.

#[cfg(target_os = "linux")]
use std::io::ErrorKind;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
#[cfg(target_os = "linux")]
use std::os::fd::AsRawFd;
#[cfg(target_os = "linux")]
use std::os::unix::net::UnixStream;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use peerbeat::link::handshake::HandshakeError;
use peerbeat::link::{self, Inbox, Link, LinkEvent, LinkOptions, OpenError, RecvError, Role};
use peerbeat::protocol::{ByeCode, Native};

use crate::accept::accept;
use crate::mock;

/// No machine is so busy that a wait in a test takes this long.
const LONG: Duration = Duration::from_secs(60);

fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    (listener, addr)
}

fn named(name: &str) -> LinkOptions {
    LinkOptions::default().local_name(name).local_label(format!("{name}'s label"))
}

/// Both ends of a link, connected and accepted.
fn both() -> ((Link, Inbox), (Link, Inbox)) {
    let (listener, addr) = listen();
    let accepting = thread::spawn(move || {
        let stream = accept(&listener);
        link::accept(stream, &named("hub")).unwrap()
    });
    let dialled = link::connect(addr, &named("feed")).unwrap();
    (dialled, accepting.join().unwrap())
}

#[test]
fn connect_and_accept_give_greeted_links_with_inboxes() {
    let ((feed, from_hub), (hub, from_feed)) = both();
    let said = |link: &Link| {
        let greeting = link.greeting().unwrap();
        (greeting.name.clone(), greeting.label.clone(), greeting.received.len())
    };
    assert_eq!(said(&feed), ("hub".to_owned(), "hub's label".to_owned(), 0));
    assert_eq!(said(&hub), ("feed".to_owned(), "feed's label".to_owned(), 0));
    feed.send(b"tick").unwrap();
    assert_eq!(from_feed.recv(Some(LONG)).unwrap(), b"tick");
    hub.send(b"tock").unwrap();
    hub.close();
    assert_eq!(from_hub.recv(Some(LONG)).unwrap(), b"tock");
    let Err(RecvError::Down(down)) = from_hub.recv(Some(LONG)) else { panic!("the hub closed") };
    assert!(down.reason.is_orderly(), "{down}");
    assert!(feed.wait_down(LONG).is_some());
}

#[test]
fn a_handler_instead_of_an_inbox_gets_messages_and_events() {
    let (listener, addr) = listen();
    let accepting = thread::spawn(move || {
        let stream = accept(&listener);
        let (seen, sees) = mpsc::channel();
        let events = seen.clone();
        let handler = (
            move |_: &Link, message: &[u8]| seen.send(format!("{message:?}")).unwrap(),
            move |_: &Link, event: &LinkEvent| events.send(event.as_str().to_owned()).unwrap(),
        );
        (link::open_with(stream, Role::Accept, &named("hub"), handler).unwrap(), sees)
    });
    let feed = link::connect_with(addr, &named("feed"), |_: &Link, _: &[u8]| {}).unwrap();
    let (hub, sees) = accepting.join().unwrap();
    assert_eq!(hub.greeting().unwrap().name, "feed");
    feed.send(&[7]).unwrap();
    feed.close();
    let seen = sees.into_iter().take_while(|seen| seen != "down").collect::<Vec<_>>();
    assert!(seen.contains(&"[7]".to_owned()), "{seen:?}");
    assert!(hub.wait_down(LONG).is_some_and(|down| down.reason.is_orderly()));
}

#[test]
fn a_link_that_is_not_opened_says_why() {
    let (listener, addr) = listen();
    let refusing = thread::spawn(move || {
        let stream = accept(&listener);
        link::handshake::refuse(&stream, ByeCode::UNKNOWN_PEER, "who?");
        let mut stream = accept(&listener);
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        let _answer = stream.read(&mut [0; 1000]);
    });
    let refused = link::connect(addr, &named("feed")).unwrap_err();
    let shown = refused.to_string();
    let OpenError::Handshake(HandshakeError::Refused { code, .. }) = refused else {
        panic!("{shown}");
    };
    assert_eq!(code, ByeCode::UNKNOWN_PEER);
    assert_eq!(shown, "the handshake failed: refused: peer not known here: \"who?\"");

    let stranger = link::connect(addr, &named("feed")).unwrap_err();
    assert!(matches!(stranger, OpenError::Handshake(HandshakeError::Protocol(_))), "{stranger}");
    refusing.join().unwrap();

    // Nothing listens there any more.
    let failed = link::connect(addr, &named("feed")).unwrap_err();
    assert!(matches!(failed, OpenError::Connect { addr: tried, .. } if tried == addr), "{failed}");
    let none: &[SocketAddr] = &[];
    let failed = link::connect(none, &named("feed")).unwrap_err();
    assert!(matches!(failed, OpenError::Resolve(_)), "{failed}");
}

#[test]
fn accept_gives_up_after_the_handshake_timeout() {
    let (listener, addr) = listen();
    let _silent = TcpStream::connect(addr).unwrap();
    let stream = accept(&listener);
    let options = LinkOptions::default().handshake_timeout(Duration::from_millis(50));
    let error = link::accept(stream, &options).unwrap_err();
    assert!(matches!(error, OpenError::Handshake(HandshakeError::TimedOut)), "{error}");
}

// Linux walks through every other of its ephemeral ports, so one of some ten thousand dials to a
// port of that half meets itself.
// lesson 60
#[test]
#[cfg(target_os = "linux")]
fn no_link_is_connected_with_itself() {
    let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap();
    let mut range = range.split_whitespace().map(|port| port.parse::<u16>().unwrap());
    let (low, high) = (range.next().unwrap(), range.next().unwrap());
    // The kernel goes round every other port of the range first, and past those in use: an earlier
    // run's keeps its for a minute. Listeners get the ports between.
    let is_free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    let stride = usize::from(high - low) / 64 + 1;
    let own = std::process::id() as usize * 7 % stride;
    let ports = (low..=high).step_by(2).skip(own).step_by(stride);
    for port in ports.filter(is_free) {
        for _ in low..=high {
            let error = link::connect(("127.0.0.1", port), &LinkOptions::default()).unwrap_err();
            let OpenError::Connect { error, .. } = error else { panic!("connected with itself") };
            assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
            if error.raw_os_error().is_none() {
                assert_eq!(error.to_string(), "nothing listens there");
                return;
            }
        }
    }
    panic!("no dial reached its own port: this test shows nothing here");
}

#[test]
fn the_next_address_is_tried_when_a_handshake_fails() {
    let ((other, one), (hub, two)) = (listen(), listen());
    thread::scope(|scope| {
        scope.spawn(|| drop(accept(&other)));
        let accepting = scope.spawn(|| link::accept(accept(&hub), &named("hub")));
        let (feed, _inbox) = link::connect(&[one, two][..], &named("feed")).unwrap();
        assert_eq!(feed.greeting().unwrap().name, "hub");
        let _hub = accepting.join().unwrap().unwrap();
    });
    // Of several that fail, the last one is reported.
    let ((gone, one), (other, two)) = (listen(), listen());
    drop(gone);
    thread::scope(|scope| {
        scope.spawn(|| drop(accept(&other)));
        let error = link::connect(&[one, two][..], &named("feed")).unwrap_err();
        assert!(matches!(error, OpenError::Handshake(_)), "{error}");
    });
}

// lesson 70
#[test]
#[cfg(target_os = "linux")]
fn a_stream_that_does_not_block_is_made_to() {
    let (listener, addr) = listen();
    let pair = || {
        let ours = TcpStream::connect(addr).unwrap();
        let theirs = accept(&listener);
        ours.set_nonblocking(true).unwrap();
        theirs.set_nonblocking(true).unwrap();
        let clones = [ours.try_clone().unwrap(), theirs.try_clone().unwrap()];
        assert!(!clones.iter().any(is_blocking));
        (ours, theirs, clones)
    };
    let mut options = LinkOptions::default().handshake_timeout(LONG);
    // Without heartbeats the link has no reason to touch the flag.
    options.liveness.heartbeat_time = None;
    let (ours, theirs, clones) = pair();
    let (link, hub) = thread::scope(|scope| {
        let accepting = scope.spawn(|| link::accept(theirs, &options).unwrap());
        (link::open(ours, Role::Dial, &options).unwrap(), accepting.join().unwrap())
    });
    assert!(clones.iter().all(is_blocking));
    link.0.send(b"tick").unwrap();
    assert_eq!(hub.1.recv(Some(LONG)).unwrap(), b"tick");

    // A link never touches this one's flag later, as it does a TCP stream's when it peeks.
    let (ours, _theirs) = UnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    let clone = ours.try_clone().unwrap();
    let print = |_: &Link<UnixStream>, _: &[u8]| ();
    let link = Link::start_with(ours, Native::default(), &options, print).unwrap();
    assert!(is_blocking(&clone));
    link.close();
}

/// Whether the stream's descriptor lacks `O_NONBLOCK`.
#[cfg(target_os = "linux")]
fn is_blocking(stream: &impl AsRawFd) -> bool {
    let info = format!("/proc/self/fdinfo/{}", stream.as_raw_fd());
    let info = std::fs::read_to_string(info).unwrap();
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).unwrap();
    u32::from_str_radix(flags.trim(), 8).unwrap() & 0o4000 == 0
}

// lesson 51
#[test]
fn a_link_on_a_stream_of_the_programs_sends_small_frames_at_once_unless_asked_not_to() {
    for nodelay in [true, false] {
        let (near, _far) = mock::tcp_pair();
        near.set_nodelay(!nodelay).unwrap();
        let seen = near.try_clone().unwrap();
        let options = LinkOptions::default().tcp_nodelay(nodelay);
        let ignore = |_: &Link, _: &[u8]| {};
        let _link = Link::start_with(near, Native::default(), &options, ignore).unwrap();
        assert_eq!(seen.nodelay().unwrap(), nodelay);
    }
}
