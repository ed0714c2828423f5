//! Configuration files, several that include each other.
//!
//! What is done with an input is `bodies/config.rs`, which the package's tests replay the corpus
//! with. Run it with `cargo fuzz run config` in this folder's parent, on stable with
//! `RUSTC_BOOTSTRAP=1 cargo fuzz run -s none config`.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../bodies/config.rs"]
mod body;

fuzz_target!(|data: &[u8]| body::run(data));
