//! The C interface as C and C++ see it: the programs of tests/c compiled against an archive that
//! this test builds for itself, and the header compared with the archive name by name.
//!
//! Needs a C compiler (`$CC`, else `cc`); without one the tests say so on stderr, past cargo's
//! capture, and pass. The Rust side of the same interface is in tests/ffi, which needs the feature
//! `capi`.

#![allow(clippy::unwrap_used)]

mod abi;
#[cfg(unix)]
mod feed;
mod header;
mod numbers;
mod packaging;
mod programs;
mod readme;
#[path = "../common/skip.rs"]
mod skip;
mod tools;
