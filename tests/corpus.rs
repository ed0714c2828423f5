//! The corpora of the fuzz targets, replayed as regression tests.
//!
//! The bodies are the ones that the targets of `fuzz/` run, and need only std. Each target has its
//! own folder of inputs, which grows by what `cargo fuzz cmin` keeps.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

#[path = "../fuzz/bodies/config.rs"]
mod config;
#[path = "../fuzz/bodies/frames.rs"]
mod frames;
#[path = "../fuzz/bodies/hello.rs"]
mod hello;
#[path = "../fuzz/bodies/link.rs"]
mod link;
#[path = "../fuzz/bodies/ops.rs"]
mod ops;

fn inputs(target: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let entries = fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut inputs: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    inputs.sort();
    assert!(inputs.len() >= 4, "{} holds too little", folder.display());
    inputs
}

/// Runs every input of a target; one that hangs is a failure too.
fn replay(target: &str, run: fn(&[u8])) {
    for input in inputs(target) {
        let bytes = fs::read(&input).expect("an input can be read");
        let (done, is_done) = channel();
        let runs = thread::spawn(move || {
            run(&bytes);
            done.send(()).expect("the test waits");
        });
        match is_done.recv_timeout(PATIENCE) {
            Ok(()) => {}
            Err(RecvTimeoutError::Timeout) => panic!("{} hangs", input.display()),
            Err(RecvTimeoutError::Disconnected) => panic!("{} fails", input.display()),
        }
        runs.join().expect("it ran to its end");
    }
}

#[test]
fn frames_of_the_corpus_hold() {
    replay("frames", frames::run);
}

#[test]
fn hellos_of_the_corpus_hold() {
    replay("hello", hello::run);
}

#[test]
fn configurations_of_the_corpus_hold() {
    replay("config", config::run);
}

#[test]
fn ops_of_the_corpus_hold() {
    replay("ops", ops::run);
}

#[test]
fn links_of_the_corpus_hold() {
    replay("link", link::run);
}

/// How long one input may take on a machine that has much else to do.
const PATIENCE: Duration = Duration::from_secs(60);
