//! The decoder, fed any bytes in any pieces.
//!
//! What is done with an input is `bodies/frames.rs`, which the package's tests replay the corpus
//! with. Run it with `cargo fuzz run frames` in this folder's parent, on stable with
//! `RUSTC_BOOTSTRAP=1 cargo fuzz run -s none frames`.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../bodies/frames.rs"]
mod body;

fuzz_target!(|data: &[u8]| body::run(data));
