//! What is wrong with a configuration.
//!
//! Every error reads `PLACE: ITEM: found X, allowed: Y`, so that people and scripts find the same
//! part at the same spot. What a file says is quoted, escaped and cut before it is shown. A run
//! reports all its errors, up to a limit.

use std::fmt;
use std::time::Duration;

use super::limits::MAX_REPORTED;
use super::place::Place;

/// All errors of one configuration, in the order they were met. Never empty.
///
/// Displays one error a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Errors(Vec<ConfigError>);

#[allow(clippy::len_without_is_empty)] // never empty: it exists because something is wrong
impl Errors {
    /// `errors` holds the first [`MAX_REPORTED`] of them, `omitted` counts the others.
    pub(super) fn new(mut errors: Vec<ConfigError>, omitted: usize) -> Errors {
        debug_assert!(!errors.is_empty());
        if let (1.., Some(last)) = (omitted, errors.last()) {
            let place = last.place.clone();
            errors.push(ConfigError::new(place, ErrorKind::Omitted { count: omitted }));
        }
        Errors(errors)
    }

    /// The errors, in the order they were met.
    pub fn iter(&self) -> std::slice::Iter<'_, ConfigError> {
        self.0.iter()
    }

    /// How many there are; at least 1.
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

impl<'a> IntoIterator for &'a Errors {
    type Item = &'a ConfigError;
    type IntoIter = std::slice::Iter<'a, ConfigError>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            error.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Errors {}

/// One thing that is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    place: Place,
    kind: ErrorKind,
}

impl ConfigError {
    pub(super) fn new(place: Place, kind: ErrorKind) -> ConfigError {
        ConfigError { place, kind }
    }

    /// Where it is.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// What it is.
    pub fn kind(&self) -> &ErrorKind {
        &self.kind
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.kind)
    }
}

impl std::error::Error for ConfigError {}

/// What can be wrong. Displays as `ITEM: found X, allowed: Y`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// An item has a value that it cannot have, too many values or none.
    BadValue {
        /// The item.
        item: String,
        /// What stands there, as it was after variables were expanded; `None` where nothing does.
        found: Option<String>,
        /// What may stand there.
        allowed: &'static str,
    },
    /// A group, an `if` or a `defmacro` ends too late or never.
    Unclosed {
        /// The item that opened it.
        opener: String,
        /// The item that was met before the closing one; `None` is the end of the file.
        found: Option<String>,
        /// The item that closes it.
        closer: String,
    },
    /// An item that closes or divides what is not open.
    Stray {
        /// The item.
        item: String,
        /// What is open here instead, and where it was opened.
        open: Option<(String, Place)>,
        /// What would have to be open.
        needs: String,
    },
    /// One peer too many.
    TooManyPeers {
        /// The most there may be.
        max: usize,
    },
    /// The shortest wait between dials is longer than the longest.
    ReconnectOrder {
        /// `reconnect-time-min` in force.
        min: Duration,
        /// `reconnect-time-max` in force.
        max: Duration,
    },
    /// A file or a folder cannot be used.
    File {
        /// `include-file`, `include-dir`, or `file` for the one the user named.
        item: &'static str,
        /// The file or folder.
        path: String,
        /// Why not.
        problem: FileProblem,
        /// The includes that lead to it, from the file the user named; empty for that file.
        chain: Vec<Place>,
    },
    /// One of the [limits](super::limits) was passed. Reading ended there, except after too many
    /// addresses of one item.
    Limit {
        /// What was being read.
        item: &'static str,
        /// The unit of `max`.
        unit: &'static str,
        /// The limit.
        max: usize,
    },
    /// More errors than are worth reading.
    Omitted {
        /// How many are not shown.
        count: usize,
    },
}

/// Why a file or a folder cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileProblem {
    /// It does not exist.
    Missing,
    /// A folder stands where a file is needed.
    Folder,
    /// Something else stands where a folder is needed.
    NotAFolder,
    /// It is in the chain of includes already.
    Cycle,
    /// The chain of includes is too long.
    TooDeep,
    /// It is not UTF-8 text; the line is that of the place.
    NotText,
    /// The system refuses it, for this reason.
    Unreadable(String),
}

impl ErrorKind {
    pub(super) fn bad_value(item: &str, found: &str, allowed: &'static str) -> ErrorKind {
        ErrorKind::BadValue { item: cut(item), found: Some(cut(found)), allowed }
    }

    pub(super) fn no_value(item: &str, allowed: &'static str) -> ErrorKind {
        ErrorKind::BadValue { item: cut(item), found: None, allowed }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ErrorKind::BadValue { item, found: Some(found), allowed } => {
                write!(f, "{}: found {}, allowed: {allowed}", Plain(item), Quoted(found))
            }
            ErrorKind::BadValue { item, found: None, allowed } => {
                write!(f, "{}: found nothing, allowed: {allowed}", Plain(item))
            }
            ErrorKind::Unclosed { opener, found, closer } => {
                let found = found.as_deref().unwrap_or("the end of the file");
                write!(f, "{}: found {}, ", Plain(opener), Plain(found))?;
                write!(f, "allowed: {} before it", Plain(closer))
            }
            ErrorKind::Stray { item, open, needs } => write_stray(f, item, open.as_ref(), needs),
            ErrorKind::TooManyPeers { max } => {
                write!(f, "add-peer: found more than {max} peers, allowed: at most {max}")
            }
            ErrorKind::ReconnectOrder { min, max } => {
                let (min, max) = (Seconds(*min), Seconds(*max));
                write!(f, "reconnect-time-min: found {min}, ")?;
                write!(f, "allowed: at most reconnect-time-max, which is {max}")
            }
            ErrorKind::File { item, path, problem, chain } => {
                write!(f, "{item}: found {}, ", Quoted(path))?;
                write!(f, "{problem}")?;
                write_chain(f, path, chain)
            }
            ErrorKind::Limit { item, unit, max } => {
                write!(f, "{item}: found more than {max} {unit}, allowed: at most {max}")
            }
            ErrorKind::Omitted { count } => {
                write!(f, "errors: found {count} more, allowed: {MAX_REPORTED} are shown")
            }
        }
    }
}

impl fmt::Display for FileProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FileProblem::Missing => f.write_str("which does not exist, allowed: one that does"),
            FileProblem::Folder => f.write_str("which is a folder, allowed: a file"),
            FileProblem::NotAFolder => f.write_str("which is not a folder, allowed: a folder"),
            FileProblem::Cycle => {
                f.write_str("which is being read already, allowed: a file outside this chain")
            }
            FileProblem::TooDeep => {
                let max = super::limits::MAX_INCLUDE_DEPTH;
                write!(f, "a deeper include than {max}, allowed: at most {max}")
            }
            FileProblem::NotText => {
                f.write_str("which is not text at this line, allowed: UTF-8 text")
            }
            FileProblem::Unreadable(reason) => {
                write!(f, "which cannot be read ({reason}), allowed: what can be read")
            }
        }
    }
}

fn write_stray(
    f: &mut fmt::Formatter<'_>,
    item: &str,
    open: Option<&(String, Place)>,
    needs: &str,
) -> fmt::Result {
    write!(f, "{}: found ", Plain(item))?;
    match open {
        Some((opener, place)) => write!(f, "inside {} of {place}", Plain(opener))?,
        None => f.write_str("with nothing open in this file")?,
    }
    write!(f, ", allowed: only after {}", Plain(needs))
}

fn write_chain(f: &mut fmt::Formatter<'_>, path: &str, chain: &[Place]) -> fmt::Result {
    if chain.is_empty() {
        return Ok(());
    }
    f.write_str(" (chain: ")?;
    for place in chain {
        write!(f, "{place} > ")?;
    }
    write!(f, "{})", Plain(path))
}

/// Text of a file between quotes, escaped.
pub(super) struct Quoted<'a>(pub(super) &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", Plain(&self.0.replace('"', "\\\"")))
    }
}

/// Text of a file without quotes: control characters escaped, so that it cannot move a terminal's
/// cursor or begin a line of its own.
pub(super) struct Plain<'a>(pub(super) &'a str);

impl fmt::Display for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                    write!(f, "{}", c.escape_unicode())?;
                }
                c if c.is_control() => write!(f, "{}", c.escape_debug())?,
                c => write!(f, "{c}")?,
            }
        }
        Ok(())
    }
}

/// A duration in seconds, as files write it.
pub(super) struct Seconds(pub(super) Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} s", self.0.as_secs_f64())
    }
}

/// The part of a text that an error keeps: a line can be 64 KiB, and there can be 1000 errors.
pub(super) fn cut(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARS) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}...", &text[..end]),
    }
}

const SHOWN_CHARS: usize = 100;
