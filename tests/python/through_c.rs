//! Python on the shared library, by a module that reads its structs from the header.

use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::script::python;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The shared library with the C functions, in a target directory of its own: that of this test is
/// locked while other tests are built.
fn library() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("python");
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(ROOT).args(["rustc", "--quiet", "--lib", "--features", "capi"]);
    command.args(["--crate-type", "cdylib", "--profile", "dev", "--target-dir"]).arg(&target);
    let output = command.env("CARGO_PROFILE_DEV_DEBUG", "0").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    target.join("debug").join(format!("{DLL_PREFIX}peerbeat{DLL_SUFFIX}"))
}

#[test]
fn a_program_in_python_has_nodes_links_events_and_numbers_through_c() {
    let Some(mut command) = python("Python through the C interface") else { return };
    let program = Path::new(ROOT).join("tests/python/program.py");
    let header = Path::new(ROOT).join("src/ffi/peerbeat.h");
    let output = command.arg(program).arg(library()).arg(header).output().unwrap();
    let (text, errors) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{text}{errors}");
    let found: Vec<&str> = text.lines().collect();
    for expected in [
        "hub listening",
        "hub up feed",
        "hub message feed price 0",
        "hub message feed price 1",
        "heartbeat-time 500",
        "received 3 connects 1",
        "down closed True",
        "readable True",
        "last stopped",
        "left b'hello right' None 1",
        "left b'tock'",
        "end: orderly close",
        "error True",
        "refused True True",
    ] {
        assert!(found.iter().any(|line| line.trim() == expected), "no {expected:?} in:\n{text}");
    }
}
