//! The C functions as Rust declares them: numbers, layouts, and calls in a process of Rust's, which
//! ThreadSanitizer can look into. Built only with the feature `capi`.

#![allow(clippy::unwrap_used, unsafe_code)]

mod abi;
#[path = "../common/accept.rs"]
mod accept;
mod calls;
#[path = "../capi/numbers.rs"]
mod numbers;
mod speed;
