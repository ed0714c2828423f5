//! stdout and stderr, without a panic.
//!
//! `println!` panics where the reader of a pipe has gone away; here that is a value, which means:
//! nobody listens, end quietly.

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

use crate::FAILED;

/// Writes `text` to stdout at once.
///
/// # Errors
/// What the system says; `BrokenPipe` where the reader is gone.
pub(crate) fn write(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

/// Writes `text` to stdout as the whole of a call.
pub(crate) fn print(text: &str) -> ExitCode {
    exit_code(write(text), ExitCode::SUCCESS)
}

/// The exit code of a call whose output ended so: `done` where it could be written, and also where
/// nobody wanted to read on.
pub(crate) fn exit_code(written: io::Result<()>, done: ExitCode) -> ExitCode {
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            complain(&format_args!("peerbeat: stdout: {error}"));
            ExitCode::from(FAILED)
        }
        _ => done,
    }
}

/// Writes a complaint to stderr. Where even that fails there is nobody left to tell.
pub(crate) fn complain(text: &dyn Display) {
    let _ = writeln!(io::stderr(), "{text}");
}
