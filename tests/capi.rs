//! The C interface as C and C++ see it: the programs of tests/c compiled against the archive that
//! this very build left, and the header held to the library name by name and byte by byte.
//!
//! Needs a C compiler (`$CC`, else `cc`); without one the tests say so on stderr, past cargo's
//! capture, and pass.

#![allow(clippy::unwrap_used, unsafe_code)]

#[path = "capi/abi.rs"]
mod abi;
#[path = "capi/from_rust.rs"]
mod from_rust;
#[path = "capi/header.rs"]
mod header;
#[path = "capi/packaging.rs"]
mod packaging;
#[path = "capi/programs.rs"]
mod programs;
#[path = "common/skip.rs"]
mod skip;
#[path = "capi/tools.rs"]
mod tools;
