//! The frames of the native protocol, written by hand.
//!
//! The bytes are written here literally and not by the library, so that a mistake in both
//! directions of its codec cannot hide.
// Each test binary uses a part of it, and helpers of tests may unwrap as tests do.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

pub const HELLO: u8 = 1;
pub const HEARTBEAT: u8 = 2;
pub const DATA: u8 = 3;
pub const BYE: u8 = 4;

/// Any frame.
pub fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len() + 1).expect("a test's frame is short");
    let mut bytes = length.to_be_bytes().to_vec();
    bytes.push(kind);
    bytes.extend_from_slice(payload);
    bytes
}

/// HELLO of version 1.
pub fn hello(name: &str, label: &str, id: u32) -> Vec<u8> {
    let mut payload = b"PBHB\x01\x00".to_vec();
    payload.extend_from_slice(&id.to_be_bytes());
    for text in [name, label] {
        payload.push(text.len() as u8);
        payload.extend_from_slice(text.as_bytes());
    }
    frame(HELLO, &payload)
}

/// The short form of HEARTBEAT.
pub fn heartbeat(value_ms: u32) -> Vec<u8> {
    frame(HEARTBEAT, &value_ms.to_be_bytes())
}

/// HEARTBEAT with its three timing fields.
pub fn timed_heartbeat(value_ms: u32, timing: [u64; 3]) -> Vec<u8> {
    let mut payload = value_ms.to_be_bytes().to_vec();
    for field in timing {
        payload.extend_from_slice(&field.to_be_bytes());
    }
    frame(HEARTBEAT, &payload)
}

/// DATA.
pub fn data(payload: &[u8]) -> Vec<u8> {
    frame(DATA, payload)
}

/// BYE.
pub fn bye(code: u8, text: impl AsRef<[u8]>) -> Vec<u8> {
    frame(BYE, &[&[code], text.as_ref()].concat())
}
