//! A whole link over a stream in memory.
//!
//! What is done with an input is `bodies/link.rs`, which the package's tests replay the corpus
//! with. Run it with `cargo fuzz run link` in this folder's parent, on stable with
//! `RUSTC_BOOTSTRAP=1 cargo fuzz run -s none link`.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../bodies/link.rs"]
mod body;

fuzz_target!(|data: &[u8]| body::run(data));
