//! What is wrong with a configuration.
//!
//! Every error reads `LOCATION: ITEM: found X, allowed: Y`, so that people and scripts find the
//! same part at the same spot. What a file says is quoted, escaped and cut before it is shown. A
//! run reports all its errors, up to a limit, and the warnings beside them.

use std::fmt;
use std::time::Duration;

use super::limits::{MAX_INCLUDE_DEPTH, MAX_REPORTED};
use super::location::Location;
use super::shown::{Quoted, Seconds, cut};
use super::warning::Warning;
use crate::protocol::Escaped;

/// All errors of one configuration, in the order they were met, and the warnings beside them.
/// Never empty.
///
/// Displays one error a line.
///
/// ```
/// use peerbeat::config::{Config, ConfigOptions, ErrorKind};
///
/// let text = "datasrc-port 70000\ndatasrc-id never";
/// let errors = Config::parse(text, &ConfigOptions::default()).unwrap_err();
/// assert_eq!(errors.len(), 2);
/// for error in &errors {
///     println!("{}: {}", error.location(), error.kind());
///     assert!(matches!(error.kind(), ErrorKind::BadValue { .. }));
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Errors {
    errors: Vec<ConfigError>,
    warnings: Vec<Warning>,
}

#[allow(clippy::len_without_is_empty)] // never empty: it exists because something is wrong
impl Errors {
    pub(super) fn new(errors: Vec<ConfigError>, warnings: Vec<Warning>) -> Errors {
        debug_assert!(!errors.is_empty());
        Errors { errors, warnings }
    }

    /// The errors, in the order they were met.
    pub fn iter(&self) -> std::slice::Iter<'_, ConfigError> {
        self.errors.iter()
    }

    /// How many errors there are; at least 1.
    pub fn len(&self) -> usize {
        self.errors.len()
    }

    /// The warnings that were met beside the errors.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
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
    location: Location,
    pub(super) kind: ErrorKind,
}

impl ConfigError {
    pub(super) fn new(location: Location, kind: ErrorKind) -> ConfigError {
        ConfigError { location, kind }
    }

    /// Where it is.
    pub fn location(&self) -> &Location {
        &self.location
    }

    /// What it is.
    pub fn kind(&self) -> &ErrorKind {
        &self.kind
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.location, self.kind)
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
        /// What it has, after variables were expanded; `None` if nothing.
        found: Option<String>,
        /// What it may have.
        allowed: &'static str,
    },
    /// A host is in one of the historic forms of an IPv4 address, which people and the C library
    /// read differently.
    HostForm {
        /// `addr` or `datasrc-interface`.
        item: String,
        /// The host as it was found.
        found: String,
        /// Its parts read as decimal numbers.
        decimal: String,
        /// The address that the C library reads it as, if that differs.
        dialled: Option<String>,
    },
    /// Bytes that are not UTF-8 in a value that peerbeat reads.
    NotUtf8 {
        /// The item.
        item: String,
        /// The value, read as Latin-1.
        found: String,
    },
    /// A no-break space, which is invisible, before, in or after an item that peerbeat reads.
    NoBreakSpace {
        /// The item.
        item: String,
    },
    /// A word of other grammars.
    OtherWord {
        /// The word.
        item: String,
        /// The word of this grammar that is meant.
        meant: &'static str,
    },
    /// A group, an `if` or a `defmacro` ends too late or never.
    Unclosed {
        /// The item that opened it.
        opener: String,
        /// The item that was met before the closing one, and its line; `None` is the end of the
        /// file.
        found: Option<(String, Location)>,
        /// The item that closes it.
        closer: String,
    },
    /// An item that closes or divides a block that is not open.
    Stray {
        /// The item.
        item: String,
        /// The block that is open here instead, and where it was opened.
        open: Option<(String, Location)>,
        /// What would have to be open.
        needs: String,
    },
    /// A group that was open before an `if` is closed inside one of its branches.
    ClosedInBranch {
        /// The item that closes it.
        item: String,
        /// The item that opened it.
        opener: String,
        /// Where.
        opened: Location,
        /// The `if`.
        branch: Location,
    },
    /// One peer too many.
    TooManyPeers {
        /// The most there may be.
        max: usize,
    },
    /// The ceiling of the first wait between dials is above that of the last.
    ReconnectOrder {
        /// `reconnect-time-min` in force.
        min: Duration,
        /// `reconnect-time-max` in force.
        max: Duration,
    },
    /// A file cannot be used.
    File {
        /// `include-file`, or `file` for the one the user named.
        item: &'static str,
        /// The file.
        path: String,
        /// Why not.
        problem: FileProblem,
        /// The includes that lead to it, from the file the user named; empty for that file.
        chain: Vec<Location>,
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

/// Why a file cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileProblem {
    /// It does not exist in any place where it was looked for.
    Missing {
        /// The places; empty for the file the user named.
        tried: Vec<String>,
        /// The variables in its path that were empty.
        empty: Vec<String>,
        /// How many errors are not shown because they follow from this one.
        folded: usize,
    },
    /// It is a folder.
    Folder,
    /// It is in the chain of includes already.
    Cycle,
    /// The chain of includes is too long.
    TooDeep,
    /// It holds a zero byte; the line is that of the location.
    NotText,
    /// It is the XML of old Java adapters.
    Xml,
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
                write!(f, "{}: found {}, allowed: {allowed}", Escaped(item), Quoted(found))
            }
            ErrorKind::BadValue { item, found: None, allowed } => {
                write!(f, "{}: found nothing, allowed: {allowed}", Escaped(item))
            }
            ErrorKind::HostForm { item, found, decimal, dialled } => {
                write!(f, "{item}: found {}, which reads as {decimal}", Quoted(found))?;
                if let Some(dialled) = dialled {
                    write!(f, " but would be dialled as {dialled}")?;
                }
                f.write_str(", allowed: four numbers from 0 to 255 without leading zeros")
            }
            ErrorKind::NotUtf8 { item, found } => {
                let item = Escaped(item);
                write!(f, "{item}: found {} with bytes that are not UTF-8, ", Quoted(found))?;
                f.write_str("allowed: UTF-8 text")
            }
            ErrorKind::NoBreakSpace { item } => {
                write!(f, "{}: found a no-break space, allowed: blanks and tabs", Escaped(item))
            }
            ErrorKind::OtherWord { item, meant } => {
                write!(f, "{item}: found a word of other grammars, allowed: {meant}")
            }
            ErrorKind::TooManyPeers { max } => {
                write!(f, "add-peer: found more than {max} peers, allowed: at most {max}")
            }
            ErrorKind::ReconnectOrder { min, max } => {
                let (min, max) = (Seconds(*min), Seconds(*max));
                write!(f, "reconnect-time-min: found {min}, ")?;
                write!(f, "allowed: at most reconnect-time-max, which is {max}")
            }
            ErrorKind::File { item, path, problem, chain } => {
                write!(f, "{item}: found {}, {problem}", Quoted(path))?;
                write_chain(f, path, chain)
            }
            ErrorKind::Limit { item, unit, max } => {
                write!(f, "{item}: found more than {max} {unit}, allowed: at most {max}")
            }
            ErrorKind::Omitted { count } => {
                write!(f, "errors: found {count} more, allowed: {MAX_REPORTED} are shown")
            }
            structural => structural.fmt_structural(f),
        }
    }
}

impl ErrorKind {
    /// The kinds about what opens and closes.
    fn fmt_structural(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ErrorKind::Unclosed { opener, found, closer } => {
                write!(f, "{}: found ", Escaped(opener))?;
                match found {
                    Some((found, at)) => write!(f, "{} at {at}", Escaped(found))?,
                    None => f.write_str("the end of the file")?,
                }
                write!(f, ", allowed: {} before it", Escaped(closer))
            }
            ErrorKind::Stray { item, open, needs } => {
                write!(f, "{}: found ", Escaped(item))?;
                match open {
                    Some((opener, at)) => write!(f, "inside {} of {at}", Escaped(opener))?,
                    None => f.write_str("with nothing open in this file")?,
                }
                write!(f, ", allowed: only after {}", Escaped(needs))
            }
            ErrorKind::ClosedInBranch { item, opener, opened, branch } => {
                let (item, opener) = (Escaped(item), Escaped(opener));
                write!(
                    f,
                    "{item}: found inside if of {branch}, but {opener} of {opened} was open "
                )?;
                f.write_str("before it, allowed: only after its endif")
            }
            _ => Ok(()), // unreachable: `fmt` shows the others itself
        }
    }
}

impl fmt::Display for FileProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FileProblem::Missing { tried, empty, folded } => {
                f.write_str("which does not exist")?;
                for (index, place) in tried.iter().enumerate() {
                    let word = if index == 0 { "as" } else { "or" };
                    write!(f, " {word} {}", Escaped(place))?;
                }
                for name in empty {
                    write!(f, "; ${{{}}} is empty", Escaped(name))?;
                }
                match folded {
                    0 => {}
                    1 => f.write_str(" (1 more error follows from it)")?,
                    more => write!(f, " ({more} more errors follow from it)")?,
                }
                f.write_str(", allowed: a file that exists")
            }
            FileProblem::Folder => f.write_str("which is a folder, allowed: a file"),
            FileProblem::Cycle => {
                f.write_str("which is being read already, allowed: a file outside this chain")
            }
            FileProblem::TooDeep => {
                let max = MAX_INCLUDE_DEPTH;
                write!(f, "a deeper include than {max}, allowed: at most {max}")
            }
            FileProblem::NotText => {
                f.write_str("which holds a zero byte at this line, allowed: text")
            }
            FileProblem::Xml => f.write_str(
                "which is the XML of old Java adapters, allowed: the same written with add-peer",
            ),
            FileProblem::Unreadable(reason) => {
                write!(f, "which cannot be read ({reason}), allowed: what can be read")
            }
        }
    }
}

fn write_chain(f: &mut fmt::Formatter<'_>, path: &str, chain: &[Location]) -> fmt::Result {
    if chain.is_empty() {
        return Ok(());
    }
    f.write_str(" (chain: ")?;
    for location in chain {
        write!(f, "{location} > ")?;
    }
    write!(f, "{})", Escaped(path))
}
