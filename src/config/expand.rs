//! Variables: what is defined, and putting values in their place.
//!
//! Inserted text is never looked at again, so expansion ends, and a value cannot smuggle in
//! another variable. What it may insert is bounded, line by line and over all.

use std::collections::HashMap;
use std::mem;

use super::error::ErrorKind;
use super::limits::{MAX_EXPANSION_BYTES, MAX_LINE_BYTES, MAX_VARIABLE_DEPTH, MAX_VARIABLES};
use super::options::Options;
use super::place::Place;

/// The variables of a run.
pub(super) struct Variables<'o> {
    options: &'o Options,
    defined: HashMap<String, Defined>,
    inserted_bytes: usize,
}

struct Defined {
    value: String,
    /// `None` for those the options give: nothing in a file changes them.
    place: Option<Place>,
}

/// A text after expansion.
#[derive(Debug, Default)]
pub(super) struct Expanded {
    pub(super) text: String,
    /// The variables in it that were not defined.
    pub(super) undefined: Vec<String>,
}

/// Why a text cannot be expanded.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ExpandError {
    /// A `${` without its `}`.
    Unclosed,
    /// One of the limits; reading cannot go on.
    Limit(ErrorKind),
}

impl<'o> Variables<'o> {
    pub(super) fn new(options: &'o Options) -> Variables<'o> {
        let fixed = |(name, value): &(String, String)| {
            (name.clone(), Defined { value: value.clone(), place: None })
        };
        let defined = options.defines.iter().map(fixed).collect();
        Variables { options, defined, inserted_bytes: 0 }
    }

    /// Defines a variable. If it was defined before, returns where; `Some(None)` means built in.
    pub(super) fn define(
        &mut self,
        name: &str,
        value: String,
        at: &Place,
    ) -> Option<Option<Place>> {
        match self.defined.get_mut(name) {
            Some(Defined { place: None, .. }) => None,
            Some(Defined { value: old, place: Some(place) }) => {
                *old = value;
                Some(Some(mem::replace(place, at.clone())))
            }
            None => {
                let defined = Defined { value, place: Some(at.clone()) };
                self.defined.insert(name.to_owned(), defined);
                BUILT_IN.contains(&name).then_some(None)
            }
        }
    }

    /// Whether there can be no more.
    pub(super) fn are_too_many(&self) -> bool {
        self.defined.len() > MAX_VARIABLES
    }

    /// Forgets a variable. The built-in meaning of its name comes back.
    pub(super) fn undefine(&mut self, name: &str) {
        if self.defined.get(name).is_some_and(|defined| defined.place.is_some()) {
            self.defined.remove(name);
        }
    }

    /// `text` with `${NAME}`, `%a`, `%h` and `%r` replaced. `folder` is that of the current file.
    pub(super) fn expand(&mut self, text: &str, folder: &str) -> Result<Expanded, ExpandError> {
        let mut expanded = Expanded::default();
        // The text, and after it the names that are open, outermost first.
        let mut open = vec![String::new()];
        let mut rest = text;
        while let Some(at) = rest.find(['$', '%', '}']) {
            self.insert(&mut open, &rest[..at], 0)?;
            rest = &rest[at..];
            rest = if let Some(after) = rest.strip_prefix("${") {
                if open.len() > MAX_VARIABLE_DEPTH {
                    return Err(limit("variables inside variables", MAX_VARIABLE_DEPTH));
                }
                open.push(String::new());
                after
            } else if rest.starts_with('}') && open.len() > 1 {
                let name = open.pop().unwrap_or_default();
                let value = self.value(&name, folder);
                self.insert(&mut open, value.as_deref().unwrap_or_default(), name.len())?;
                if value.is_none() {
                    expanded.undefined.push(name);
                }
                &rest[1..]
            } else if let (Some(value), 1) = (self.percent(rest), open.len()) {
                self.insert(&mut open, &value, 0)?;
                &rest[2..]
            } else {
                self.insert(&mut open, &rest[..1], 0)?;
                &rest[1..]
            };
        }
        self.insert(&mut open, rest, 0)?;
        expanded.text = open.pop().unwrap_or_default();
        if open.is_empty() { Ok(expanded) } else { Err(ExpandError::Unclosed) }
    }

    /// Adds to the innermost text. `cost` is what was spent besides, so that cutting long names
    /// for nothing is bounded as well.
    fn insert(&mut self, open: &mut [String], part: &str, cost: usize) -> Result<(), ExpandError> {
        self.inserted_bytes = self.inserted_bytes.saturating_add(part.len() + cost);
        if self.inserted_bytes > MAX_EXPANSION_BYTES {
            return Err(limit("bytes of expanded variables in all files", MAX_EXPANSION_BYTES));
        }
        let Some(innermost) = open.last_mut() else { return Ok(()) };
        if innermost.len() + part.len() > MAX_LINE_BYTES {
            return Err(limit("bytes in a line after expansion", MAX_LINE_BYTES));
        }
        innermost.push_str(part);
        Ok(())
    }

    fn value(&self, name: &str, folder: &str) -> Option<String> {
        if let Some(defined) = self.defined.get(name) {
            return Some(defined.value.clone());
        }
        let environment = &self.options.environment;
        match name {
            "ccd" => Some(folder.to_owned()),
            "APP_NAME" => Some(self.options.app_name.clone()),
            "HOST_NAME" => Some(environment.host_name().to_owned()),
            "HOME_DIR" => environment.home_dir(),
            name => environment.variable(name.strip_prefix(ENVIRONMENT)?),
        }
    }

    fn percent(&self, rest: &str) -> Option<String> {
        match rest.get(..2)? {
            "%a" => Some(self.options.app_name.clone()),
            "%h" => Some(self.options.environment.host_name().to_owned()),
            "%r" => Some(self.options.environment.root(&*self.options.files)),
            _ => None,
        }
    }
}

fn limit(unit: &'static str, max: usize) -> ExpandError {
    ExpandError::Limit(ErrorKind::Limit { item: "text", unit, max })
}

/// The beginning of the names of environment variables.
pub(super) const ENVIRONMENT: &str = "ENV:";
const BUILT_IN: [&str; 4] = ["ccd", "APP_NAME", "HOST_NAME", "HOME_DIR"];
