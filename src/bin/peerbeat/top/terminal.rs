//! The terminal: its size, its keys, and lines that are drawn over the last ones.
//!
//! No alternate screen, and the cursor is not hidden: whatever ends the program, the last picture
//! stays. What `stty` has set is put back when this is dropped.

use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use super::frame::Size;
use crate::output;

/// A key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    Char(char),
    Enter,
    Escape,
    Erase,
    Up,
    Down,
    PageUp,
    PageDown,
    Home,
    End,
    /// ctrl-C or ctrl-D.
    Interrupt,
}

/// The screen, and the keys if there are any.
pub(crate) struct Terminal {
    /// What stty knows the terminal by; `None` = stdout is none.
    tty: Option<Tty>,
    keys: Option<Receiver<Key>>,
    /// As `stty -g` prints it.
    saved: Option<String>,
    /// Lines of the last picture.
    drawn: usize,
    size: Size,
}

#[derive(Clone, Copy)]
enum Tty {
    Stdin,
    /// stdin is something else: a journal.
    Controlling,
}

impl Terminal {
    /// The terminal that stdout is, if it is one, and its keys.
    pub(crate) fn open(reads_keys: bool) -> Self {
        let tty = match io::stdout().is_terminal() && !is_dumb() {
            true if io::stdin().is_terminal() => Some(Tty::Stdin),
            true => Some(Tty::Controlling),
            false => None,
        };
        let mut terminal = Self { tty, keys: None, saved: None, drawn: 0, size: DEFAULT_SIZE };
        if let Some(tty) = tty.filter(|_| reads_keys) {
            terminal.saved = stty(tty, &["-g"]);
            let is_set = terminal.saved.is_some()
                && stty(tty, &["-icanon", "-echo", "-isig", "min", "1", "time", "0"]).is_some();
            terminal.keys = if is_set { read_keys(tty) } else { None };
        }
        terminal.look();
        terminal
    }

    pub(crate) fn is_terminal(&self) -> bool {
        self.tty.is_some()
    }

    pub(crate) fn keys(&self) -> Option<&Receiver<Key>> {
        self.keys.as_ref()
    }

    pub(crate) fn size(&self) -> Size {
        self.size
    }

    /// Asks for the size again; if it is another one, what was drawn is wiped.
    pub(crate) fn look(&mut self) {
        let Some(size) = self.tty.and_then(|tty| parse_size(&stty(tty, &["size"])?)) else {
            return;
        };
        if size != self.size && self.drawn > 0 {
            // Lines may have been wrapped: their number is not known any more.
            let _ = output::write("\x1b[H\x1b[J");
            self.drawn = 0;
        }
        self.size = size;
    }

    /// Draws lines over the last ones, or prints them below each other if there is no terminal.
    ///
    /// # Errors
    /// What the system says; `BrokenPipe` if the reader is gone.
    pub(crate) fn draw(&mut self, lines: &[String]) -> io::Result<()> {
        let mut text = String::new();
        if !self.is_terminal() {
            for line in lines {
                text.push_str(line.trim_end());
                text.push('\n');
            }
            text.push('\n');
            return output::write(&text);
        }
        if self.drawn > 0 {
            text = format!("\r\x1b[{}A", self.drawn);
        }
        for line in lines {
            text.push_str(line);
            text.push_str("\x1b[K\n");
        }
        text.push_str("\x1b[J");
        self.drawn = lines.len();
        output::write(&text)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if let (Some(tty), Some(saved)) = (self.tty, &self.saved) {
            let _ = stty(tty, &[saved]);
        }
    }
}

fn is_dumb() -> bool {
    std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb")
}

/// What `stty` prints, if there is one and it succeeds.
fn stty(tty: Tty, arguments: &[&str]) -> Option<String> {
    let stdin = match tty {
        Tty::Stdin => Stdio::inherit(),
        Tty::Controlling => Stdio::from(File::open("/dev/tty").ok()?),
    };
    let mut stty = Command::new("stty");
    let output = stty.args(arguments).stdin(stdin).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn parse_size(text: &str) -> Option<Size> {
    let (lines, columns) = text.split_once(' ')?;
    let (lines, columns) = (lines.parse().ok()?, columns.parse().ok()?);
    // A terminal that does not know its size reports 0.
    (lines > 0 && columns > 0).then_some(Size { columns, lines })
}

fn read_keys(tty: Tty) -> Option<Receiver<Key>> {
    let (sender, keys) = channel();
    let mut from: Box<dyn Read + Send> = match tty {
        Tty::Stdin => Box::new(io::stdin()),
        Tty::Controlling => Box::new(File::open("/dev/tty").ok()?),
    };
    let read = move || {
        let mut bytes = [0; 64];
        while let Ok(count) = from.read(&mut bytes) {
            if count == 0 {
                return;
            }
            for key in parse_keys(&bytes[..count]) {
                if sender.send(key).is_err() {
                    return;
                }
            }
        }
    };
    thread::Builder::new().name("keys".to_owned()).spawn(read).ok()?;
    Some(keys)
}

/// The keys in what was read at once; an escape that nothing follows is the key itself.
fn parse_keys(bytes: &[u8]) -> Vec<Key> {
    const SEQUENCES: [(&[u8], Key); 12] = [
        (b"[A", Key::Up),
        (b"[B", Key::Down),
        (b"OA", Key::Up),
        (b"OB", Key::Down),
        (b"[5~", Key::PageUp),
        (b"[6~", Key::PageDown),
        (b"[H", Key::Home),
        (b"[F", Key::End),
        (b"OH", Key::Home),
        (b"OF", Key::End),
        (b"[1~", Key::Home),
        (b"[4~", Key::End),
    ];
    let mut keys = Vec::new();
    let mut rest = bytes;
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        keys.push(match first {
            3 | 4 => Key::Interrupt,
            b'\r' | b'\n' => Key::Enter,
            8 | 127 => Key::Erase,
            0x1b => match SEQUENCES.iter().find(|(text, _)| rest.starts_with(text)) {
                Some((text, key)) => {
                    rest = &rest[text.len()..];
                    *key
                }
                // Another sequence is nothing that is known here.
                None if rest.first().is_some_and(|byte| b"[O".contains(byte)) => {
                    let end = rest.iter().skip(1).position(|byte| (0x40..0x7f).contains(byte));
                    rest = end.map_or(&[], |end| &rest[end + 2..]);
                    continue;
                }
                None => Key::Escape,
            },
            0x20..0x7f => Key::Char(char::from(*first)),
            _ => continue,
        });
    }
    keys
}

/// Without a terminal, or without stty.
const DEFAULT_SIZE: Size = Size { columns: 80, lines: 24 };

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_with_their_sequences() {
        let keys = parse_keys(b"q\x1b[A\x1b[6~\x1bOB\x1b[1;5C/\x7f\r\x03\xff");
        let expected = [
            Key::Char('q'),
            Key::Up,
            Key::PageDown,
            Key::Down,
            Key::Char('/'),
            Key::Erase,
            Key::Enter,
            Key::Interrupt,
        ];
        assert_eq!(keys, expected);
        assert_eq!(parse_keys(b"\x1b"), [Key::Escape]);
        assert_eq!(parse_keys(b"\x1b["), []);
    }

    #[test]
    fn sizes_are_lines_and_columns() {
        assert_eq!(parse_size("24 80"), Some(DEFAULT_SIZE));
        assert_eq!(parse_size("0 0"), None);
        assert_eq!(parse_size("x"), None);
    }
}
