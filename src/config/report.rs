//! The errors and warnings of a run as they gather.
//!
//! Bounded: a broken file of 16 MiB must not become a report of gigabytes. The same warning from
//! the same line is given once, so that a file included twice does not complain twice.

use std::collections::HashSet;

use super::error::{ConfigError, ErrorKind, Errors};
use super::limits::MAX_REPORTED;
use super::place::Place;
use super::warning::{Warning, WarningKind};

/// Errors and warnings, in the order they were met.
#[derive(Debug, Default)]
pub(super) struct Report {
    errors: Vec<ConfigError>,
    errors_omitted: usize,
    warnings: Vec<Warning>,
    warnings_omitted: usize,
    warned: HashSet<String>,
}

impl Report {
    pub(super) fn error(&mut self, place: &Place, kind: ErrorKind) {
        if self.errors.len() < MAX_REPORTED {
            self.errors.push(ConfigError::new(place.clone(), kind));
        } else {
            self.errors_omitted += 1;
        }
    }

    pub(super) fn warn(&mut self, place: &Place, kind: WarningKind) {
        if self.warnings.len() >= MAX_REPORTED {
            self.warnings_omitted += 1;
            return;
        }
        let warning = Warning::new(place.clone(), kind);
        if self.warned.insert(warning.to_string()) {
            self.warnings.push(warning);
        }
    }

    pub(super) fn has_errors(&self) -> bool {
        !self.errors.is_empty()
    }

    /// The warnings, or the errors if there are any.
    pub(super) fn finish(mut self) -> Result<Vec<Warning>, Errors> {
        if self.has_errors() {
            return Err(Errors::new(self.errors, self.errors_omitted));
        }
        if let (1.., Some(last)) = (self.warnings_omitted, self.warnings.last()) {
            let kind = WarningKind::Omitted { count: self.warnings_omitted };
            let place = last.place().clone();
            self.warnings.push(Warning::new(place, kind));
        }
        Ok(self.warnings)
    }
}
