//! Compilers, the archive of this build, and programs that end in time.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use crate::skip::say_skipped;

pub(super) const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// What a program that links the archive needs besides it.
pub(super) const LIBRARIES: [&str; 3] = ["-lpthread", "-ldl", "-lm"];

/// A tool that runs here; where it does not, that is said loudly.
pub(super) fn tool(variable: &str, default: &str, what_is_skipped: &str) -> Option<String> {
    let name = env::var(variable).unwrap_or_else(|_| default.to_owned());
    let mut command = Command::new(&name);
    command.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
    if command.status().is_ok_and(|status| status.success()) {
        return Some(name);
    }
    say_skipped(what_is_skipped, &format!("there is no {name} (${variable})"));
    None
}

pub(super) fn cc() -> Option<String> {
    static CC: OnceLock<Option<String>> = OnceLock::new();
    CC.get_or_init(|| tool("CC", "cc", "the tests of the C interface")).clone()
}

/// The static library that this build made: the newest beside this test's program.
pub(super) fn archive() -> PathBuf {
    let program = env::current_exe().unwrap();
    let folder = program.parent().unwrap();
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let is_ours = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        name.starts_with("libpeerbeat") && name.ends_with(".a")
    };
    let newest =
        entries.filter(is_ours).max_by_key(|path| path.metadata().unwrap().modified().unwrap());
    newest.unwrap_or_else(|| panic!("no libpeerbeat*.a in {}", folder.display()))
}

/// A place for what a test builds.
pub(super) fn scratch(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

pub(super) fn header() -> String {
    fs::read_to_string(Path::new(ROOT).join("src/ffi/peerbeat.h")).unwrap()
}

/// Compiles a source of tests/c, or one at a path, and links it with the archive.
pub(super) fn build(compiler: &str, source: &Path, flags: &[&str]) -> PathBuf {
    let program = scratch(&format!("c-{}", source.file_name().unwrap().to_string_lossy()));
    let mut command = Command::new(compiler);
    // The archive's debug information would take most of the linker's time.
    command.args(flags).args(["-Wall", "-Wextra", "-Werror", "-Wl,-S", "-I"]);
    command.arg(Path::new(ROOT).join("src/ffi")).arg("-I").arg(Path::new(ROOT).join("tests/c"));
    command.arg(source).arg(archive()).args(LIBRARIES).arg("-o").arg(&program);
    must(&mut command);
    program
}

/// Runs a command that has to succeed.
pub(super) fn must(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", words(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// Runs a program that has to end well within a time.
pub(super) fn run(program: &Path, arguments: &[&str], limit: Duration) -> String {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let began = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if began.elapsed() > limit {
            child.kill().unwrap();
            let output = child.wait_with_output().unwrap();
            panic!("{} ran longer than {limit:?}: {}", program.display(), words(&output));
        }
        thread::sleep(Duration::from_millis(5));
    }
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}: {}", program.display(), words(&output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn words(output: &Output) -> String {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    format!("{}\n{}\n{}", output.status, text(&output.stdout), text(&output.stderr))
}
