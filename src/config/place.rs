//! Where things stand: places in files, and the origin of every value.
//!
//! A value never travels without its origin, so that `check` and every error can say where it was
//! written. A place is cheap to copy: file names are shared.

use std::fmt;
use std::sync::Arc;

/// A line of a file. Displays as `file:line`, or as `file` alone where no line is meant.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// The file as users would name it: as it was given, or relative to the current folder.
    pub file: Arc<str>,
    /// The line, counted from 1; 0 where the file as a whole is meant.
    pub line: u32,
    included_from: Option<Arc<Place>>,
}

impl Place {
    pub(super) fn new(file: Arc<str>, line: u32, included_from: Option<Arc<Place>>) -> Place {
        Place { file, line, included_from }
    }

    /// The line of the file that included this one; `None` in the file the user named.
    ///
    /// A file can be included twice, with other variables each time. Then only this tells its
    /// places apart.
    pub fn included_from(&self) -> Option<&Place> {
        self.included_from.as_deref()
    }

    /// The includes that lead here, from the file the user named to this place.
    pub(super) fn chain(&self) -> Vec<Place> {
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

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => f.write_str(&self.file),
            line => write!(f, "{}:{line}", self.file),
        }
    }
}

/// Where a value came from. Displays as `default` or as the place.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// No file sets it.
    Default,
    /// The line that sets it.
    At(Place),
}

impl Origin {
    /// The place, where a file sets the value.
    pub fn place(&self) -> Option<&Place> {
        match self {
            Origin::Default => None,
            Origin::At(place) => Some(place),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => f.write_str("default"),
            Origin::At(place) => place.fmt(f),
        }
    }
}

/// A value together with where it came from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Setting<T> {
    /// The value in force.
    pub value: T,
    /// Who says so.
    pub origin: Origin,
}

impl<T> Setting<T> {
    pub(super) fn default_of(value: T) -> Setting<T> {
        Setting { value, origin: Origin::Default }
    }

    pub(super) fn at(value: T, place: &Place) -> Setting<T> {
        Setting { value, origin: Origin::At(place.clone()) }
    }
}
