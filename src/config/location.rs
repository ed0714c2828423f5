//! Locations in files, and the origin of every value.
//!
//! A value never travels without its origin, so that `check` and every error can say where it was
//! written. A location is cheap to copy: file names are shared.

use std::fmt;
use std::sync::Arc;

/// A line of a file. Displays as `file:line`, or as `file` alone if no line is meant.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Location {
    /// The file as users would name it: as it was given, or relative to the current folder.
    pub file: Arc<str>,
    /// The line, counted from 1; 0 if the file as a whole is meant.
    pub line: u32,
    included_from: Option<Arc<Location>>,
}

impl Location {
    pub(super) fn new(file: Arc<str>, line: u32, included_from: Option<Arc<Location>>) -> Self {
        Location { file, line, included_from }
    }

    /// The line of the file that included this one; `None` in the file the user named.
    ///
    /// A file can be included twice, with other variables each time. Then only this
    /// distinguishes its locations.
    pub fn included_from(&self) -> Option<&Location> {
        self.included_from.as_deref()
    }

    /// The includes that lead here, from the file the user named to this location.
    pub(super) fn chain(&self) -> Vec<Location> {
        let mut chain = vec![self.clone()];
        let mut here = self;
        while let Some(from) = here.included_from() {
            chain.push(from.clone());
            here = from;
        }
        chain.reverse();
        chain
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => f.write_str(&self.file),
            line => write!(f, "{}:{line}", self.file),
        }
    }
}

/// Where a value came from. Displays as `default`, `given` or as the location.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// Nothing sets it.
    Default,
    /// The program sets it, in [`ConfigOptions`](super::ConfigOptions).
    Given,
    /// The line that sets it.
    At(Location),
}

impl Origin {
    /// The location, if a file sets the value.
    pub fn location(&self) -> Option<&Location> {
        match self {
            Origin::Default | Origin::Given => None,
            Origin::At(location) => Some(location),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => f.write_str("default"),
            Origin::Given => f.write_str("given"),
            Origin::At(location) => location.fmt(f),
        }
    }
}

/// A value together with where it came from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Setting<T> {
    /// The value in force.
    pub value: T,
    /// What sets it.
    pub origin: Origin,
}

impl<T> Setting<T> {
    pub(super) fn default_of(value: T) -> Setting<T> {
        Setting { value, origin: Origin::Default }
    }

    pub(super) fn given(value: T) -> Setting<T> {
        Setting { value, origin: Origin::Given }
    }

    pub(super) fn at(value: T, location: &Location) -> Setting<T> {
        Setting { value, origin: Origin::At(location.clone()) }
    }
}

/// A single-valued item that a file sets although another file had set it before.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Override {
    /// The item.
    pub item: String,
    /// The line that had set it.
    pub before: Location,
    /// The line whose value is in force.
    pub now: Location,
}
