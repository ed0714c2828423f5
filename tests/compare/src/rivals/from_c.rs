//! The same work sent from C, `from_c.c`: how much of a library's speed a C program gets.
//!
//! Only the sender is C: the receivers are those of the rows in Rust, so a row's figures differ by
//! the entry into the library alone.

use std::ffi::{CString, c_char, c_int, c_void};
use std::os::fd::IntoRawFd;
use std::ptr::null_mut;
use std::sync::mpsc;

use nng::options::{Options, RecvBufferSize};
use nng::{Protocol, Socket};
use peerbeat::link::Link;
use zmq::{Context, Message, PULL};

use super::{free_address, zmq as rust_zmq};
use crate::common::{Cost, Tally, ours, pair};

unsafe extern "C" {
    fn from_c_peerbeat_open(fd: c_int, link: *mut *mut c_void) -> c_int;
    fn from_c_peerbeat_send(link: *mut c_void, messages: u64) -> c_int;
    fn from_c_peerbeat_close(link: *mut c_void) -> c_int;
    fn from_c_zmq_open(address: *const c_char, sender: *mut *mut c_void) -> c_int;
    fn from_c_zmq_send(sender: *mut c_void, messages: u64) -> c_int;
    fn from_c_zmq_close(sender: *mut c_void) -> c_int;
    fn from_c_nng_open(address: *const c_char, id: *mut u32) -> c_int;
    fn from_c_nng_send(id: u32, messages: u64) -> c_int;
    fn from_c_nng_close(id: u32) -> c_int;
}

pub(crate) fn peerbeat(messages: u64) -> Cost {
    let (near, far) = pair();
    let (done, finished) = mpsc::channel();
    let mut tally = Tally::new(SIZE, messages);
    let receive = move |_: &Link, payload: &[u8]| {
        if tally.count(payload) {
            let _main_waits = done.send(());
        }
    };
    let far = ours::start(far, &ours::every_second(), receive);
    let mut link = null_mut();
    // SAFETY: a descriptor that is handed over, and a place for the link.
    expect_ok(unsafe { from_c_peerbeat_open(near.into_raw_fd(), &raw mut link) });
    let cost = Cost::of(messages, || {
        // SAFETY: the link that was opened.
        expect_ok(unsafe { from_c_peerbeat_send(link, messages) });
        finished.recv().expect("all messages arrive");
    });
    // SAFETY: the link that was opened, for the last time.
    expect_ok(unsafe { from_c_peerbeat_close(link) });
    far.wait_down(std::time::Duration::from_secs(5)).expect("its peer has closed");
    cost
}

pub(crate) fn zmq(messages: u64) -> Cost {
    let context = Context::new();
    let pull = rust_zmq::socket(&context, PULL);
    let address = CString::new(rust_zmq::bind(&pull)).expect("an address has no zero byte");
    let mut sender = null_mut();
    // SAFETY: a text, and a place for the sender.
    expect_ok(unsafe { from_c_zmq_open(address.as_ptr(), &raw mut sender) });
    // The thread that sends has it for itself.
    let shared = sender.expose_provenance();
    let cost = Cost::of(messages, || {
        let sending = std::thread::spawn(move || {
            let sender = std::ptr::with_exposed_provenance_mut(shared);
            // SAFETY: the sender that was opened, used by this thread alone.
            expect_ok(unsafe { from_c_zmq_send(sender, messages) });
        });
        let mut tally = Tally::new(SIZE, messages);
        let mut message = Message::new();
        loop {
            pull.recv(&mut message, 0).expect("a message arrives");
            if tally.count(&message) {
                break;
            }
        }
        sending.join().expect("all was sent");
    });
    // SAFETY: the sender that was opened, for the last time.
    expect_ok(unsafe { from_c_zmq_close(sender) });
    cost
}

pub(crate) fn nng(messages: u64) -> Cost {
    let far = Socket::new(Protocol::Pull0).expect("nng makes sockets");
    far.set_opt::<RecvBufferSize>(8192).expect("a known option");
    let address = free_address();
    far.listen(&address).expect("the port is still free");
    let address = CString::new(address).expect("an address has no zero byte");
    let mut id = 0;
    // SAFETY: a text, and a place for the socket's number.
    expect_ok(unsafe { from_c_nng_open(address.as_ptr(), &raw mut id) });
    let cost = Cost::of(messages, || {
        let sending = std::thread::spawn(move || {
            // SAFETY: the number of a socket that is open.
            expect_ok(unsafe { from_c_nng_send(id, messages) });
        });
        let mut tally = Tally::new(SIZE, messages);
        while !tally.count(&far.recv().expect("a message arrives")) {}
        sending.join().expect("all was sent");
    });
    // SAFETY: as above.
    expect_ok(unsafe { from_c_nng_close(id) });
    far.close();
    cost
}

fn expect_ok(code: c_int) {
    assert_eq!(code, 0, "a library's own code");
}

const SIZE: usize = 64;
