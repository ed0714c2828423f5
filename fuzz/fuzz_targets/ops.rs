//! The rules of heartbeats against the models that the properties use.
//!
//! What is done with an input is `bodies/ops.rs`, which the package's tests replay the corpus
//! with. Run it with `cargo fuzz run ops` in this folder's parent, on stable with
//! `RUSTC_BOOTSTRAP=1 cargo fuzz run -s none ops`.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../bodies/ops.rs"]
mod body;

fuzz_target!(|data: &[u8]| body::run(data));
