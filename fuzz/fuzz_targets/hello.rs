//! HELLO, read from a stranger and written by us.
//!
//! What is done with an input is `bodies/hello.rs`, which the package's tests replay the corpus
//! with. Run it with `cargo fuzz run hello` in this folder's parent, on stable with
//! `RUSTC_BOOTSTRAP=1 cargo fuzz run -s none hello`.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../bodies/hello.rs"]
mod body;

fuzz_target!(|data: &[u8]| body::run(data));
