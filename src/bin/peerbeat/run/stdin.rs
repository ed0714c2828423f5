//! Words on stdin while the node runs.
//!
//! A thread reads lines and hands them on; it is never waited for. A background job of a shell
//! cannot read the terminal, so reading is tried again. An unknown word is reported and otherwise
//! ignored.

use std::io::{self, BufRead, Read};
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::thread;
use std::time::Duration;

use peerbeat::node::Node;

use crate::args::nearest::nearest;
use crate::output::complain;
use crate::text::Escaped;

/// The lines that came, and their end.
pub(super) struct Stdin {
    lines: Receiver<String>,
}

impl Stdin {
    /// Begins to read. Without a thread, nothing is ever read.
    pub(super) fn start() -> Self {
        let (sender, lines) = channel();
        let read = move || {
            while let Some(line) = next_line() {
                if sender.send(line).is_err() {
                    return;
                }
            }
        };
        let _ = thread::Builder::new().name("stdin".to_owned()).spawn(read);
        Self { lines }
    }

    /// Does what has been asked for; returns whether stdin has ended.
    pub(super) fn obey(&self, node: &Node) -> bool {
        loop {
            match self.lines.try_recv() {
                Ok(line) => {
                    if let Err(complaint) = obey(node, &line) {
                        complain(&format_args!("peerbeat run: {complaint}"));
                    }
                }
                Err(TryRecvError::Empty) => return false,
                Err(TryRecvError::Disconnected) => return true,
            }
        }
    }
}

/// The next line, its excess cut off; `None` at the end.
fn next_line() -> Option<String> {
    loop {
        let mut line = Vec::new();
        match io::stdin().lock().take(LINE_MAX).read_until(b'\n', &mut line) {
            Ok(0) => return None,
            Ok(_) => return Some(String::from_utf8_lossy(&line).trim().to_owned()),
            // In the background, the terminal belongs to another process.
            Err(_) => thread::sleep(STDIN_RETRY),
        }
    }
}

fn obey(node: &Node, line: &str) -> Result<(), String> {
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    let name = rest.trim();
    let find = || {
        let peers = node.peers();
        let unknown = || match nearest(name, peers.iter().map(|peer| peer.name())) {
            Some(near) => format!("no peer \"{}\": did you mean {near}?", Escaped(name)),
            None => format!("no peer \"{}\"", Escaped(name)),
        };
        peers.iter().find(|peer| peer.name() == name).cloned().ok_or_else(unknown)
    };
    match (word, name) {
        ("", _) => {}
        ("dial", "") => {
            // A peer that is connected stays so.
            let count = node.peers().iter().filter(|peer| peer.dial_now()).count();
            if count == 0 {
                return Err("no peer to dial: all are connected or have no address".to_owned());
            }
        }
        ("dial", name) => {
            if !find()?.dial_now() {
                return Err(format!("{}: connected, or without an address", Escaped(name)));
            }
        }
        ("close", name) if !name.is_empty() => find()?.close(),
        _ => {
            let hint = match nearest(word, WORDS) {
                Some(near) if near != word => format!(": did you mean {near}?"),
                _ => ": expected dial, dial PEER or close PEER".to_owned(),
            };
            return Err(format!("unknown words \"{}\"{hint}", Escaped(line)));
        }
    }
    Ok(())
}

const WORDS: [&str; 2] = ["dial", "close"];
/// No word here is longer.
const LINE_MAX: u64 = 4096;
const STDIN_RETRY: Duration = Duration::from_secs(1);
