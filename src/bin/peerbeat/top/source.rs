//! Where the records come from: a node in this process, stdin, or a file that grows.
//!
//! Each hands lines to a bounded channel from threads of its own; the drawing thread is never held
//! up by them, and holds them up if it cannot keep up.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use peerbeat::config::Config;
use peerbeat::journal::Journal;
use peerbeat::node::{Node, NodeHandler, Peer};

/// Lines of a journal, and the end of them.
pub(crate) struct Source {
    pub(crate) lines: Receiver<String>,
    /// The node that writes them.
    pub(crate) node: Option<(Node, Journal)>,
}

/// Everything of interest is in the journal.
struct Quiet;

impl NodeHandler for Quiet {
    fn on_message(&self, _peer: &Peer, _payload: &[u8]) {}
}

/// A writer of lines that go to the channel.
struct Lines(SyncSender<String>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A picture that is late must not hold up a link: what finds no room is lost, and the
        // journal counts it.
        let text = String::from_utf8_lossy(bytes).into_owned();
        match self.0.try_send(text) {
            Ok(()) => Ok(bytes.len()),
            Err(_) => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Source {
    /// Runs the node of a configuration.
    pub(crate) fn node(config: Config) -> Result<Self, String> {
        let (sender, lines) = sync_channel(LINES_MAX);
        let journal = Journal::to(Lines(sender), config.name());
        let handler = journal.around(Quiet).stats_every(None);
        let node = Node::start(config, handler).map_err(|error| error.to_string())?;
        Ok(Self { lines, node: Some((node, journal)) })
    }

    /// Reads stdin to its end.
    pub(crate) fn stdin() -> Result<Self, String> {
        Self::read(|sender| read_all(&mut io::stdin().lock(), &sender))
    }

    /// Reads a file to its end, or goes on as it grows; a file that was cut short or put in the
    /// place of another one is read from its beginning.
    pub(crate) fn file(path: &Path, follows: bool) -> Result<Self, String> {
        let error = |error: io::Error| format!("{}: {error}", path.to_string_lossy());
        let file = File::open(path).map_err(error)?;
        let path = path.to_owned();
        Self::read(move |sender| match follows {
            true => follow(file, &path, &sender),
            false => read_all(&mut BufReader::new(file), &sender),
        })
    }

    fn read(read: impl FnOnce(SyncSender<String>) + Send + 'static) -> Result<Self, String> {
        let (sender, lines) = sync_channel(LINES_MAX);
        let thread = thread::Builder::new().name("journal".to_owned());
        thread.spawn(move || read(sender)).map_err(|error| error.to_string())?;
        Ok(Self { lines, node: None })
    }
}

fn read_all(from: &mut impl BufRead, sender: &SyncSender<String>) {
    let mut line = Vec::new();
    while let Some(text) = next_line(from, &mut line) {
        if sender.send(text).is_err() {
            return;
        }
    }
}

/// The next whole line; what follows the last end of a line stays in `line`.
fn next_line(from: &mut impl BufRead, line: &mut Vec<u8>) -> Option<String> {
    loop {
        let room = LINE_MAX.saturating_sub(line.len() as u64).max(1);
        match from.by_ref().take(room).read_until(b'\n', line) {
            Ok(count) if count > 0 => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            _ => return None,
        }
        if line.ends_with(b"\n") || line.len() as u64 >= LINE_MAX {
            return Some(String::from_utf8_lossy(&std::mem::take(line)).into_owned());
        }
    }
}

fn follow(file: File, path: &PathBuf, sender: &SyncSender<String>) {
    let mut reader = BufReader::new(file);
    let mut line = Vec::new();
    let mut read = 0;
    loop {
        while let Some(text) = next_line(&mut reader, &mut line) {
            read += text.len() as u64;
            if sender.send(text).is_err() {
                return;
            }
        }
        thread::sleep(FOLLOW_EVERY);
        let Ok(now) = fs::metadata(path) else { continue };
        let is_another = reader.get_ref().metadata().is_ok_and(|old| !is_same(&old, &now));
        if is_another {
            if let Ok(file) = File::open(path) {
                (reader, read) = (BufReader::new(file), 0);
                line.clear();
            }
        } else if now.len() < read && reader.seek(SeekFrom::Start(0)).is_ok() {
            read = 0;
            line.clear();
        }
    }
}

#[cfg(unix)]
fn is_same(old: &fs::Metadata, new: &fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    (old.dev(), old.ino()) == (new.dev(), new.ino())
}

#[cfg(not(unix))]
fn is_same(old: &fs::Metadata, new: &fs::Metadata) -> bool {
    old.created().ok() == new.created().ok()
}

/// Lines that wait to be drawn.
const LINES_MAX: usize = 65_536;
/// A journal has no longer lines.
const LINE_MAX: u64 = 1 << 20;
const FOLLOW_EVERY: Duration = Duration::from_millis(200);
