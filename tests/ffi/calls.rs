//! The extern functions called from Rust, as C would.

use std::ffi::{CStr, CString, c_char, c_void};
use std::ptr::{null, null_mut};
use std::sync::Mutex;

use peerbeat::ffi::*;

/// What the callbacks of a node saw.
#[derive(Default)]
struct Seen {
    messages: Mutex<Vec<Vec<u8>>>,
    kinds: Mutex<Vec<i32>>,
}

unsafe extern "C" fn on_message(
    user_data: *mut c_void,
    node: *mut PeerbeatNode,
    peer: *const c_char,
    data: *const c_void,
    len: usize,
) {
    // SAFETY: `user_data` is the test's `Seen`, which outlives the node.
    let seen = unsafe { &*user_data.cast::<Seen>() };
    // SAFETY: valid during the call.
    let data = unsafe { std::slice::from_raw_parts(data.cast::<u8>(), len) };
    seen.messages.lock().unwrap().push(data.to_vec());
    // SAFETY: the node and the name it came with.
    let status = unsafe { peerbeat_node_try_send(node, peer, data.as_ptr(), data.len()) };
    assert_eq!(status, OK);
}

unsafe extern "C" fn on_event(
    user_data: *mut c_void,
    _node: *mut PeerbeatNode,
    event: *const PeerbeatEvent,
) {
    // SAFETY: as above.
    let seen = unsafe { &*user_data.cast::<Seen>() };
    // SAFETY: valid during the call.
    let event = unsafe { &*event };
    seen.kinds.lock().unwrap().push(event.kind);
}

fn start(text: &str, seen: &Seen) -> *mut PeerbeatNode {
    let text = CString::new(text).unwrap();
    let mut config = null_mut();
    // SAFETY: a text with its zero byte, and a place for the output.
    let status = unsafe { peerbeat_config_parse(text.as_ptr(), null(), &raw mut config) };
    assert_eq!(status, OK);
    let handler = PeerbeatHandler {
        on_message: Some(on_message),
        on_event: Some(on_event),
        user_data: (&raw const *seen).cast_mut().cast(),
        ..PeerbeatHandler::default()
    };
    let mut node = null_mut();
    // SAFETY: all three are valid.
    let status = unsafe { peerbeat_node_start(config, &raw const handler, &raw mut node) };
    assert_eq!(status, OK);
    // SAFETY: it came from parse and is not used after this.
    unsafe { peerbeat_config_free(config) };
    node
}

#[test]
fn a_node_echoes_to_a_link_through_the_c_functions() {
    let seen = Seen::default();
    let text = "datasrc-name echo\ndatasrc-interface 127.0.0.1\ndatasrc-port auto\n\
                add-peer\nremote-name rust\nheartbeat-time 1\nend-peer\n";
    let node = start(text, &seen);
    let mut port = 0;
    // SAFETY: a living node.
    assert_eq!(unsafe { peerbeat_node_port(node, &raw mut port) }, OK);

    let name = c"rust";
    let options = PeerbeatOptions { local_name: name.as_ptr(), ..PeerbeatOptions::default() };
    let mut link = null_mut();
    let host = c"127.0.0.1".as_ptr();
    // SAFETY: all are valid.
    let status = unsafe { peerbeat_link_connect(host, port, &raw const options, &raw mut link) };
    assert_eq!(status, OK, "{}", last_error());
    // SAFETY: a living link.
    let remote_name = unsafe { peerbeat_link_remote_name(link) };
    // SAFETY: it lives as long as the link.
    assert_eq!(unsafe { CStr::from_ptr(remote_name) }, c"echo");
    // SAFETY: a living link, four bytes.
    assert_eq!(unsafe { peerbeat_link_send(link, b"tick".as_ptr(), 4) }, OK);
    let (mut buffer, mut length) = ([0; 8], 0);
    let begin = buffer.as_mut_ptr();
    // SAFETY: a living link, eight bytes.
    let status = unsafe { peerbeat_link_recv(link, begin, 8, &raw mut length, 10_000) };
    assert_eq!((status, &buffer[..length]), (OK, b"tick".as_slice()));
    // SAFETY: it is not used after this.
    assert_eq!(unsafe { peerbeat_link_free(link) }, OK);
    // SAFETY: it is not used after this.
    assert_eq!(unsafe { peerbeat_node_free(node) }, OK);

    assert_eq!(*seen.messages.lock().unwrap(), [b"tick"]);
    let kinds = seen.kinds.lock().unwrap();
    let (listening, up, down, stopped) = (1, 3, 9, 14);
    assert_eq!(kinds.first(), Some(&listening));
    assert_eq!(kinds.last(), Some(&stopped));
    assert!(kinds.contains(&up) && kinds.contains(&down), "{kinds:?}");
}

#[test]
fn every_status_has_words_of_its_own() {
    // SAFETY: static texts.
    let words = |code| unsafe { CStr::from_ptr(peerbeat_strerror(code)) };
    let all: std::collections::BTreeSet<_> = (E_PANIC..=OK).map(words).collect();
    assert_eq!(all.len(), (OK - E_PANIC + 1) as usize);
    assert_eq!(words(i32::MAX), words(i32::MIN));
}

#[test]
fn details_belong_to_their_thread() {
    // SAFETY: null is allowed everywhere.
    assert_eq!(unsafe { peerbeat_link_shutdown(null_mut()) }, E_INVALID);
    assert_eq!(last_error(), "link is NULL");
    std::thread::scope(|scope| {
        scope.spawn(|| assert_eq!(last_error(), ""));
    });
    assert_eq!(last_error(), "link is NULL");
}

fn last_error() -> String {
    let mut buffer = [0_u8; 1000];
    // SAFETY: the buffer is as long as it says.
    let length = unsafe { peerbeat_last_error(buffer.as_mut_ptr().cast(), buffer.len()) };
    String::from_utf8_lossy(&buffer[..length]).into_owned()
}
