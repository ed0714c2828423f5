//! peerbeat inside C and C++ programs: the functions of `peerbeat.h`.
//!
//! The header is the documentation; a test compares it with this module, name by name and byte by
//! byte. This module owns pointers, status codes and the guard, and no logic: every function checks
//! its arguments, calls the same Rust that other callers use, and translates the answer. `unsafe`
//! lives in no other module of the library, and one operation at a time.
//!
//! Invariant: no body runs outside the guard, so that a panic never leaves us; and no handle
//! of a parent process is touched in a forked child.
//!
//! # Safety
//!
//! What the header says holds for each function: pointers are null or valid for what they are
//! declared as, texts end with a zero byte, a struct is as long as its `struct_size` says, and a
//! handle is not used after it was freed.

// The one contract of all functions is written above and in the header.
#![allow(clippy::missing_safety_doc)]

mod alive;
mod attach;
mod callback;
mod cancel;
mod config;
mod connection;
mod convert;
mod event;
mod fault;
mod fork;
mod guard;
mod handle;
mod handshakes;
mod layer;
mod link;
mod listener;
mod liveness;
mod node;
mod node_ask;
mod node_parts;
mod notify;
mod open;
mod options;
mod peers;
mod pointer;
mod publish;
mod queue;
mod receive;
mod secure;
mod signals;
mod stack;
mod status;
mod structs;

use std::ffi::{CStr, c_char, c_int};

pub use attach::*;
pub use config::*;
pub use connection::*;
pub use convert::{STATE_DOWN, STATE_LATE, STATE_UP};
pub use event::{peerbeat_event_text, peerbeat_event_word};
pub use fault::*;
pub use layer::*;
pub use link::*;
pub use listener::*;
pub use liveness::*;
pub use node::*;
pub use node_ask::*;
pub use node_parts::{OnEvent, OnMessage, PeerbeatHandler, PeerbeatNode};
pub use open::*;
pub use options::{PeerbeatOptions, peerbeat_options_init};
pub use publish::*;
pub use receive::*;
pub use status::*;
pub use structs::*;

/// The version of the library, such as `0.1.0`.
#[unsafe(no_mangle)]
pub extern "C" fn peerbeat_version() -> *const c_char {
    guard::light(|| VERSION.as_ptr())
}

/// The number that moves when programs must be compiled again.
#[unsafe(no_mangle)]
pub extern "C" fn peerbeat_abi_version() -> c_int {
    guard::light(|| ABI_VERSION)
}

/// `PEERBEAT_ABI_VERSION`.
pub const ABI_VERSION: c_int = 1;

const VERSION: &CStr =
    match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
        Ok(version) => version,
        Err(_) => panic!("a version has no zero byte inside"),
    };
