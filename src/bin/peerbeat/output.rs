//! stdout and stderr, without a panic and without a wait.
//!
//! `println!` panics if the reader of a pipe has gone away; here it is an error value. Code that
//! must not be held up by a reader (the node's threads) hands lines to an [`Output`], whose own
//! thread writes them: lines beyond its limit are dropped and counted, a non-blocking stdout is
//! waited for, and a closed pipe is an end, not a failure.

mod lines;

use std::fmt::Display;
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use crate::FAILED;
pub(crate) use lines::Output;

/// Writes `text` to stdout at once, however long its reader takes.
///
/// # Errors
/// What the system says; `BrokenPipe` if the reader is gone.
pub(crate) fn write(text: &str) -> io::Result<()> {
    write_patiently(&mut stdout()?, &mut text.as_bytes(), || true)
}

/// Writes `text` to stdout as the whole output of a command.
pub(crate) fn print(text: &str) -> ExitCode {
    exit_code(write(text), ExitCode::SUCCESS)
}

/// The exit code of a command whose output ended like this: `done` if it could be written, and also
/// if its reader did not want the rest.
pub(crate) fn exit_code(written: io::Result<()>, done: ExitCode) -> ExitCode {
    match written {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            complain(&format_args!("peerbeat: stdout: {error}"));
            ExitCode::from(FAILED)
        }
        _ => done,
    }
}

/// Writes an error to stderr. If even that fails, there is no way to report it.
pub(crate) fn complain(text: &dyn Display) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// stdout without a buffer, so that a write that was cut short says how much it took.
#[cfg(unix)]
fn stdout() -> io::Result<File> {
    use std::os::fd::AsFd;
    Ok(File::from(io::stdout().as_fd().try_clone_to_owned()?))
}

/// stdout without a buffer, so that a write that was cut short says how much it took.
#[cfg(windows)]
fn stdout() -> io::Result<File> {
    use std::os::windows::io::AsHandle;
    Ok(File::from(io::stdout().as_handle().try_clone_to_owned()?))
}

/// Writes all of `bytes`, of which what was not written is left. While a non-blocking `out` takes
/// nothing, `goes_on` is asked whether to try again; if not, the error is `WouldBlock`.
fn write_patiently(
    out: &mut impl Write,
    bytes: &mut &[u8],
    goes_on: impl Fn() -> bool,
) -> io::Result<()> {
    while !bytes.is_empty() {
        match out.write(bytes) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(count) => *bytes = &bytes[count..],
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                if !goes_on() {
                    return Err(error);
                }
                thread::sleep(RETRY);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// How long a full stdout that does not block is left alone.
const RETRY: Duration = Duration::from_millis(5);

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    /// Takes three bytes a write, and every other time nothing.
    struct Slow(Vec<u8>, Cell<u32>);

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.1.set(self.1.get() + 1);
            if self.1.get() % 2 == 0 {
                return Err(ErrorKind::WouldBlock.into());
            }
            let count = bytes.len().min(3);
            self.0.extend(&bytes[..count]);
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_non_blocking_output_gets_every_byte_once() {
        let mut slow = Slow(Vec::new(), Cell::new(0));
        write_patiently(&mut slow, &mut &b"0123456789"[..], || true).expect("written");
        assert_eq!(slow.0, b"0123456789");
        let mut rest = &b"abcdef"[..];
        let given_up = write_patiently(&mut slow, &mut rest, || false).expect_err("given up");
        assert_eq!(given_up.kind(), ErrorKind::WouldBlock);
        assert_eq!([&slow.0[10..], rest].concat(), b"abcdef", "what was not written is left");
    }
}
