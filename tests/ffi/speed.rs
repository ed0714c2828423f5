//! The cost of the C functions compared with the Rust ones, alternating in one run.
//!
//! Ignored in a debug build's suite: `cargo test --release --features capi --test ffi speed --
//! --ignored --nocapture --test-threads 1`.

use std::ffi::c_void;
use std::net::{TcpListener, TcpStream};
use std::ptr::{null, null_mut};
use std::thread;
use std::time::{Duration, Instant};

use peerbeat::ffi::*;
use peerbeat::link::{Inbox, Link, LinkOptions};
use peerbeat::protocol::Native;

use crate::accept::accept;

const MESSAGES: u64 = 3_000_000;
const PAYLOAD: [u8; 64] = [7; 64];

fn streams() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    near.set_nodelay(true).unwrap();
    (near, accept(&listener))
}

/// Millions of messages a second, one way, taken without a copy.
fn rust() -> f64 {
    let (near, far) = streams();
    let (options, inbox) = (LinkOptions::default(), Inbox::default());
    let none = |_: &Link, _: &[u8]| ();
    let near = Link::start_with(near, Native::default(), &options, none).unwrap();
    let far = Link::start_with(far, Native::default(), &options, inbox.clone()).unwrap();
    let began = Instant::now();
    let taking = thread::spawn(move || {
        for _ in 0..MESSAGES {
            assert_eq!(inbox.borrow(None).unwrap().len(), PAYLOAD.len());
        }
    });
    for _ in 0..MESSAGES {
        near.send(&PAYLOAD).unwrap();
    }
    taking.join().unwrap();
    let rate = MESSAGES as f64 / began.elapsed().as_secs_f64() / 1e6;
    near.close();
    far.wait_down(Duration::from_secs(10)).unwrap();
    rate
}

struct Handle(*mut PeerbeatLink);

// SAFETY: a handle may be used from any thread.
unsafe impl Send for Handle {}

#[cfg(unix)]
fn attach(stream: TcpStream) -> Handle {
    use std::os::fd::IntoRawFd;
    let options = PeerbeatOptions { handshake: 3, ..PeerbeatOptions::default() };
    let mut link = null_mut();
    let fd = stream.into_raw_fd();
    // SAFETY: our own socket, options and a place for the link.
    assert_eq!(unsafe { peerbeat_link_attach_fd(fd, &raw const options, &raw mut link) }, OK);
    Handle(link)
}

#[cfg(unix)]
fn c() -> f64 {
    let (near, far) = streams();
    let (near, far) = (attach(near), attach(far));
    let began = Instant::now();
    let taking = thread::spawn(move || {
        let far = far;
        let (mut data, mut len): (*const c_void, usize) = (null(), 0);
        for _ in 0..MESSAGES {
            let (data, length) = (&raw mut data, &raw mut len);
            // SAFETY: a living link and two places.
            assert_eq!(unsafe { peerbeat_link_recv_borrow(far.0, data, length, -1) }, OK);
            assert_eq!(len, PAYLOAD.len());
            // SAFETY: a living link.
            assert_eq!(unsafe { peerbeat_link_release(far.0) }, OK);
        }
        far
    });
    for _ in 0..MESSAGES {
        // SAFETY: a living link, and as many bytes as it says.
        assert_eq!(unsafe { peerbeat_link_send(near.0, PAYLOAD.as_ptr(), PAYLOAD.len()) }, OK);
    }
    let far = taking.join().unwrap();
    let rate = MESSAGES as f64 / began.elapsed().as_secs_f64() / 1e6;
    for link in [near, far] {
        // SAFETY: it is not used after this.
        assert_eq!(unsafe { peerbeat_link_free(link.0) }, OK);
    }
    rate
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[test]
#[cfg(unix)]
#[ignore = "measures, on a quiet machine and in a release build"]
fn messages_through_the_c_functions_take_little_longer() {
    let (mut of_rust, mut of_c) = (Vec::new(), Vec::new());
    for _ in 0..7 {
        of_rust.push(rust());
        of_c.push(c());
    }
    let (rust, c) = (median(of_rust), median(of_c));
    println!("64 bytes one way: Rust {rust:.2} M/s, C {c:.2} M/s, C / Rust {:.2}", c / rust);
    assert!(c >= 0.8 * rust, "{c:.2} of {rust:.2} M/s");
}

#[test]
#[ignore = "measures, on a quiet machine and in a release build"]
fn the_guard_takes_some_nanoseconds() {
    const CALLS: u32 = 2_000_000;
    let mut best = f64::MAX;
    for _ in 0..7 {
        let began = Instant::now();
        for _ in 0..CALLS {
            // SAFETY: null is allowed everywhere.
            assert_eq!(unsafe { peerbeat_link_try_send(null_mut(), null(), 0) }, E_INVALID);
        }
        best = best.min(began.elapsed().as_secs_f64() * 1e9 / f64::from(CALLS));
    }
    println!("try_send of a null link: {best:.1} ns");
    assert!(best < 60.0, "{best:.1} ns");
}
