//! The C functions as Rust declares them: numbers, layouts, and calls from a Rust process, which
//! ThreadSanitizer can check. Built only with the feature `capi`.

#![allow(clippy::unwrap_used, unsafe_code)]

mod abi;
#[path = "../common/accept.rs"]
mod accept;
mod calls;
#[path = "../capi/numbers.rs"]
mod numbers;
mod speed;
