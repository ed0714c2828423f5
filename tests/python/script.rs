//! The peer in Python as a process: its lines, and what it is asked to do.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Instant;

use crate::harness::PATIENCE;
use crate::skip::say_skipped;

pub(crate) const PEER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python/peer.py");

/// Python 3, or nothing, which is reported.
pub(crate) fn python(what: &str) -> Option<Command> {
    let name = std::env::var("PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let version = Command::new(&name).arg("--version").output();
    let is_there = version.is_ok_and(|output| {
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        output.status.success() && text.starts_with("Python 3")
    });
    if !is_there {
        say_skipped(what, &format!("there is no {name}"));
        return None;
    }
    let mut command = Command::new(name);
    // No bytecode beside the sources.
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    Some(command)
}

/// A running peer, which does not outlive its test.
pub(crate) struct Peer {
    child: Child,
    stdin: ChildStdin,
    lines: Receiver<String>,
    pub(crate) seen: Vec<String>,
}

impl Peer {
    /// Starts it with these words; `None` = there is no Python, which has been reported.
    pub(crate) fn start(what: &str, line: &str) -> Option<Self> {
        let mut command = python(what)?;
        command.arg(PEER).args(line.split_whitespace());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (sender, lines) = channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let stdin = child.stdin.take().unwrap();
        Some(Self { child, stdin, lines, seen: Vec::new() })
    }

    /// The rest of the next line that begins so; those before it are kept in `seen`.
    pub(crate) fn wait_for(&mut self, beginning: &str) -> String {
        let until = Instant::now() + PATIENCE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let Ok(line) = self.lines.recv_timeout(left) else {
                panic!("no {beginning:?} after {:#?}", self.seen)
            };
            self.seen.push(line.clone());
            if let Some(rest) = line.strip_prefix(beginning) {
                return rest.trim().to_owned();
            }
        }
    }

    pub(crate) fn port(&mut self) -> u16 {
        self.wait_for("listening").parse().unwrap()
    }

    pub(crate) fn ask(&mut self, line: &str) {
        writeln!(self.stdin, "{line}").unwrap();
    }

    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let status = Command::new("sh").args(["-c", "kill -$0 $1", name, &pid]).status().unwrap();
        assert!(status.success(), "kill -{name} {pid}");
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ended_already = self.child.kill();
        let _ended_already = self.child.wait();
    }
}
