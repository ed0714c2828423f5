//! Compilers, the archive, and programs that end in time.

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

/// A program to call, with the arguments that its variable gives it, as in `CC="gcc -O1"`.
#[derive(Clone, Debug)]
pub(super) struct Tool(Vec<String>);

impl Tool {
    pub(super) fn command(&self) -> Command {
        let mut command = Command::new(&self.0[0]);
        command.args(&self.0[1..]);
        command
    }
}

/// A tool that runs here; if it does not, that is said loudly.
pub(super) fn tool(variable: &str, default: &str, what_is_skipped: &str) -> Option<Tool> {
    let value = env::var(variable).ok().filter(|value| !value.trim().is_empty());
    let value = value.unwrap_or_else(|| default.to_owned());
    let words = || value.split_whitespace().map(str::to_owned).collect();
    // A path may have spaces itself.
    let tool = Tool(if Path::new(&value).is_file() { vec![value.clone()] } else { words() });
    let mut command = tool.command();
    command.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
    if command.status().is_ok_and(|status| status.success()) {
        return Some(tool);
    }
    say_skipped(what_is_skipped, &format!("there is no {value} (${variable})"));
    None
}

pub(super) fn cc() -> Option<Tool> {
    static CC: OnceLock<Option<Tool>> = OnceLock::new();
    CC.get_or_init(|| tool("CC", "cc", "the tests of the C interface")).clone()
}

/// The static library, made as README says, but with the profile of tests.
///
/// It goes to a target directory of its own: the one of this test is locked while other tests are
/// built, and no other build leaves an archive here that could be stale.
pub(super) fn archive() -> &'static Path {
    static ARCHIVE: OnceLock<PathBuf> = OnceLock::new();
    ARCHIVE.get_or_init(|| library("staticlib", "libpeerbeat.a"))
}

/// Builds a library of some type and returns where cargo put it.
pub(super) fn library(crate_type: &str, name: &str) -> PathBuf {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(ROOT).args(["rustc", "--lib", "--features", "capi", "--crate-type"]);
    command.args([crate_type, "--quiet", "--message-format=json-render-diagnostics"]);
    command.arg("--target-dir").arg(scratch("target"));
    // Linking it into a program would take most of the tests' time.
    command.env("CARGO_PROFILE_DEV_DEBUG", "0");
    let messages = must(&mut command);
    let files = messages.lines().filter_map(|line| line.split_once("\"filenames\":["));
    let found = files.flat_map(|(_, list)| list.split('"')).find(|file| file.ends_with(name));
    let path = found.unwrap_or_else(|| panic!("cargo made no {name}: {messages}"));
    PathBuf::from(path.replace(r"\\", r"\"))
}

/// A place for what a test builds.
pub(super) fn scratch(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("capi");
    fs::create_dir_all(&folder).unwrap();
    folder.join(name)
}

/// The files of the header; the first includes the others.
pub(super) const HEADERS: [&str; 3] =
    ["src/ffi/peerbeat.h", "src/ffi/peerbeat_loop.h", "src/ffi/peerbeat_layer.h"];

/// All of the header.
pub(super) fn header() -> String {
    HEADERS.map(|file| fs::read_to_string(Path::new(ROOT).join(file)).unwrap()).concat()
}

/// Compiles a source of tests/c, or one at a path, and links it with the archive.
pub(super) fn build(compiler: &Tool, source: &Path, flags: &[&str]) -> PathBuf {
    build_with(compiler, source, flags, &[])
}

/// The same for a source that needs other libraries.
pub(super) fn build_with(
    compiler: &Tool,
    source: &Path,
    flags: &[&str],
    libraries: &[&str],
) -> PathBuf {
    let program = scratch(&format!("c-{}", source.file_name().unwrap().to_string_lossy()));
    let mut command = compiler.command();
    command.args(flags).args(["-Wall", "-Wextra", "-Werror", "-Wl,-S", "-I"]);
    command.arg(Path::new(ROOT).join("src/ffi")).arg("-I").arg(Path::new(ROOT).join("tests/c"));
    command.arg(source).arg(archive()).args(libraries).args(LIBRARIES).arg("-o").arg(&program);
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
    let output = run_to_end(program, arguments, limit);
    assert!(output.status.success(), "{}: {}", program.display(), words(&output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The same for one that may say with status 77 that this system cannot do it; returns whether it
/// could.
#[cfg(target_os = "linux")]
pub(super) fn run_if_possible(program: &Path, limit: Duration) -> bool {
    let output = run_to_end(program, &[], limit);
    let is_possible = output.status.code() != Some(77);
    let is_well = !is_possible || output.status.success();
    assert!(is_well, "{}: {}", program.display(), words(&output));
    is_possible
}

fn run_to_end(program: &Path, arguments: &[&str], limit: Duration) -> Output {
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
    child.wait_with_output().unwrap()
}

fn words(output: &Output) -> String {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    format!("{}\n{}\n{}", output.status, text(&output.stdout), text(&output.stderr))
}
