//! The errors and warnings of a run as they gather.
//!
//! Bounded: a broken file of 16 MiB must not become a report of gigabytes. The same warning from
//! the same line is given once, so that a file included twice does not complain twice, and errors
//! that follow from a missing include are counted with it.

use std::collections::HashSet;

use super::error::{ConfigError, ErrorKind, Errors, FileProblem};
use super::limits::MAX_REPORTED;
use super::location::Location;
use super::warning::{Warning, WarningKind};

/// Errors and warnings, in the order they were met.
#[derive(Debug, Default)]
pub(super) struct Report {
    errors: Vec<ConfigError>,
    errors_omitted: usize,
    /// The first include that found nothing, among `errors`.
    missing: Option<usize>,
    warnings: Vec<Warning>,
    warnings_omitted: usize,
    warned: HashSet<String>,
}

impl Report {
    /// A report that goes on after these warnings.
    pub(super) fn after(warnings: Vec<Warning>) -> Report {
        let warned = warnings.iter().map(Warning::to_string).collect();
        Report { warnings, warned, ..Report::default() }
    }

    /// Adds what another one gathered.
    pub(super) fn add(&mut self, other: Report) {
        for warning in other.warnings {
            self.warn_once(&warning.to_string(), warning);
        }
        for error in other.errors {
            self.error(&error.location().clone(), error.kind);
        }
        self.warnings_omitted += other.warnings_omitted;
        self.errors_omitted += other.errors_omitted;
    }

    pub(super) fn error(&mut self, location: &Location, kind: ErrorKind) {
        if self.errors.len() < MAX_REPORTED {
            let is_missing =
                matches!(&kind, ErrorKind::File { problem: FileProblem::Missing { .. }, .. });
            if is_missing {
                self.missing.get_or_insert(self.errors.len());
            }
            self.errors.push(ConfigError::new(location.clone(), kind));
        } else {
            self.errors_omitted += 1;
        }
    }

    /// An error of an item in which a variable was not defined: if an include is missing, that is
    /// why.
    pub(super) fn follow_up(&mut self, location: &Location, kind: ErrorKind) {
        let missing = self.missing.and_then(|at| self.errors.get_mut(at));
        match missing.map(|error| &mut error.kind) {
            Some(ErrorKind::File { problem: FileProblem::Missing { folded, .. }, .. }) => {
                *folded += 1;
            }
            _ => self.error(location, kind),
        }
    }

    pub(super) fn warn(&mut self, location: &Location, kind: WarningKind) {
        if self.is_full() {
            self.warnings_omitted += 1; // without the cost of showing it
            return;
        }
        let warning = Warning::new(location.clone(), kind);
        self.warn_once(&warning.to_string(), warning);
    }

    /// Warns, unless it was done with the same `key` before.
    pub(super) fn warn_once(&mut self, key: &str, warning: Warning) {
        if self.is_full() {
            self.warnings_omitted += 1;
        } else if self.warned.insert(key.to_owned()) {
            self.warnings.push(warning);
        }
    }

    /// Returns true if further warnings are only counted.
    pub(super) fn is_full(&self) -> bool {
        self.warnings.len() >= MAX_REPORTED
    }

    pub(super) fn has_errors(&self) -> bool {
        !self.errors.is_empty()
    }

    pub(super) fn error_count(&self) -> usize {
        self.errors.len() + self.errors_omitted
    }

    pub(super) fn is_missing_include(&self) -> bool {
        self.missing.is_some()
    }

    pub(super) fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// The warnings, or the errors with the warnings if there are any.
    pub(super) fn finish(mut self) -> Result<Vec<Warning>, Errors> {
        if let (1.., Some(last)) = (self.warnings_omitted, self.warnings.last()) {
            let kind = WarningKind::Omitted { count: self.warnings_omitted };
            let location = last.location().clone();
            self.warnings.push(Warning::new(location, kind));
        }
        if let (1.., Some(last)) = (self.errors_omitted, self.errors.last()) {
            let kind = ErrorKind::Omitted { count: self.errors_omitted };
            let location = last.location().clone();
            self.errors.push(ConfigError::new(location, kind));
        }
        match self.errors.is_empty() {
            true => Ok(self.warnings),
            false => Err(Errors::new(self.errors, self.warnings)),
        }
    }
}
