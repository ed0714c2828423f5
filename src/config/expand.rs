//! Variables and percents: what is defined, and putting values in their place.
//!
//! Inserted text is never looked at again, so expansion ends, and a value cannot smuggle in another
//! variable. What it may insert is bounded, per line and in total.

use std::collections::HashMap;
use std::mem;
use std::path::Path;

use super::error::ErrorKind;
use super::lexer::{Allowed, Cutter};
use super::limits::{MAX_EXPANSION_BYTES, MAX_LINE_BYTES, MAX_VARIABLE_DEPTH, MAX_VARIABLES};
use super::location::{Location, Origin, Setting};
use super::options::ConfigOptions;
use super::shown::cut;

/// The variables of a run.
pub(super) struct Variables<'o> {
    options: &'o ConfigOptions,
    defined: HashMap<String, Defined>,
    inserted_bytes: usize,
    /// The application's name as far as the files have been read.
    pub(super) app_name: Setting<String>,
    /// The application's root folder as far as the files have been read, absolute.
    pub(super) root: Setting<String>,
    /// Whether `${APP_NAME}`, or `%a` in an include path, has been used.
    pub(super) app_name_used: bool,
    /// Whether the root has decided about an include.
    pub(super) root_used: bool,
}

struct Defined {
    value: String,
    /// `None` for those the options give: nothing in a file changes them.
    location: Option<Location>,
    /// The undefined variables that `value` was made of.
    undefined: Vec<String>,
}

/// What expanding a text has met.
#[derive(Debug, Default)]
pub(super) struct Marks {
    /// The variables that were not defined, and those of which a value was made.
    pub(super) undefined: Vec<String>,
    /// The variables that were empty, `ENV:` ones included.
    pub(super) empty: Vec<String>,
}

/// Why a text cannot be expanded.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ExpandError {
    /// Something else is allowed.
    Wrong(Allowed),
    /// One of the limits; reading cannot go on.
    Limit(ErrorKind),
}

/// Where expanded text goes.
trait Sink {
    fn write(&mut self, text: &str);
    fn insert(&mut self, text: &str);
}

impl Sink for String {
    fn write(&mut self, text: &str) {
        self.push_str(text);
    }

    fn insert(&mut self, text: &str) {
        self.push_str(text);
    }
}

impl Sink for Cutter {
    fn write(&mut self, text: &str) {
        Cutter::write(self, text);
    }

    fn insert(&mut self, text: &str) {
        Cutter::insert(self, text);
    }
}

impl<'o> Variables<'o> {
    /// `app_name` is the application's name if nothing sets it.
    pub(super) fn new(options: &'o ConfigOptions, app_name: &str) -> Variables<'o> {
        let fixed = |(name, value): &(String, String)| {
            let defined = Defined { value: value.clone(), location: None, undefined: Vec::new() };
            (name.clone(), defined)
        };
        let absolute = |root: &str| absolute(options, root);
        Variables {
            options,
            defined: options.defines.iter().map(fixed).collect(),
            inserted_bytes: 0,
            app_name: match &options.app_name {
                Some(name) => Setting::given(name.clone()),
                None => Setting::default_of(app_name.to_owned()),
            },
            root: match &options.app_root {
                Some(root) => Setting::given(absolute(root)),
                None => Setting::default_of(absolute("")),
            },
            app_name_used: false,
            root_used: false,
        }
    }

    /// Takes `application-name` from a file. Returns true if it comes too late for a use of the
    /// name before it.
    pub(super) fn set_app_name(&mut self, name: String, at: &Location) -> bool {
        let late = self.app_name_used && self.app_name.value != name;
        set_unless_given(&mut self.app_name, name, at) && late
    }

    /// Takes `application-root` from a file; as [`set_app_name`](Variables::set_app_name).
    pub(super) fn set_root(&mut self, root: &str, at: &Location) -> bool {
        let root = absolute(self.options, root);
        let late = self.root_used && self.root.value != root;
        set_unless_given(&mut self.root, root, at) && late
    }

    /// Defines a variable. If that changes a value that a file or peerbeat has given it, returns
    /// where; `Some(None)` means built in.
    pub(super) fn define(
        &mut self,
        name: &str,
        value: String,
        undefined: Vec<String>,
        at: &Location,
    ) -> Option<Option<Location>> {
        let undefined = undefined.iter().take(MAX_MARKS).map(|name| cut(name)).collect();
        match self.defined.get_mut(name) {
            Some(Defined { location: None, .. }) => None,
            Some(Defined { value: old, location: Some(location), undefined: marks }) => {
                *marks = undefined;
                let differs = *old != value;
                *old = value;
                let before = mem::replace(location, at.clone());
                differs.then_some(Some(before))
            }
            None => {
                let defined = Defined { value, location: Some(at.clone()), undefined };
                self.defined.insert(name.to_owned(), defined);
                BUILT_IN.contains(&name).then_some(None)
            }
        }
    }

    /// Returns true if there can be no more.
    pub(super) fn are_too_many(&self) -> bool {
        self.defined.len() > MAX_VARIABLES
    }

    /// Forgets a variable. The built-in meaning of its name comes back.
    pub(super) fn undefine(&mut self, name: &str) {
        if self.defined.get(name).is_some_and(|defined| defined.location.is_some()) {
            self.defined.remove(name);
        }
    }

    /// The values of `text` after `${NAME}` was replaced. `folder` is that of the current file.
    pub(super) fn values(
        &mut self,
        text: &str,
        folder: &str,
    ) -> Result<(Vec<String>, Marks), ExpandError> {
        let mut cutter = Cutter::default();
        let marks = self.expand(text, folder, &mut cutter)?;
        Ok((cutter.finish().map_err(ExpandError::Wrong)?, marks))
    }

    /// `text` as one value after `${NAME}` was replaced.
    pub(super) fn text(
        &mut self,
        text: &str,
        folder: &str,
    ) -> Result<(String, Marks), ExpandError> {
        let mut expanded = String::new();
        let marks = self.expand(text, folder, &mut expanded)?;
        Ok((expanded, marks))
    }

    fn expand(
        &mut self,
        text: &str,
        folder: &str,
        sink: &mut impl Sink,
    ) -> Result<Marks, ExpandError> {
        let mut marks = Marks::default();
        // The names that are open, outermost first.
        let mut open: Vec<String> = Vec::new();
        let mut written = 0;
        let mut rest = text;
        while let Some(at) = rest.find(['$', '}']) {
            let (before, after) = rest.split_at(at);
            self.put(before, false, &mut open, &mut written, sink)?;
            rest = if let Some(after) = after.strip_prefix("${") {
                if open.len() >= MAX_VARIABLE_DEPTH {
                    return Err(limit("variables inside variables", MAX_VARIABLE_DEPTH));
                }
                open.push(String::new());
                after
            } else if let (true, Some(name)) = (after.starts_with('}'), open.pop()) {
                let value = self.value(&name, folder, &mut marks);
                self.put(&value, true, &mut open, &mut written, sink)?;
                &after[1..]
            } else {
                self.put(&after[..1], false, &mut open, &mut written, sink)?;
                &after[1..]
            };
        }
        self.put(rest, false, &mut open, &mut written, sink)?;
        match open.is_empty() {
            true => Ok(marks),
            false => Err(ExpandError::Wrong("a } for each ${")),
        }
    }

    /// Adds text to the innermost name that is open, else to the sink, of which `written` is the
    /// length.
    fn put(
        &mut self,
        text: &str,
        is_value: bool,
        open: &mut [String],
        written: &mut usize,
        sink: &mut impl Sink,
    ) -> Result<(), ExpandError> {
        self.inserted_bytes = self.inserted_bytes.saturating_add(text.len());
        if self.inserted_bytes > MAX_EXPANSION_BYTES {
            return Err(limit("bytes of expanded variables in all files", MAX_EXPANSION_BYTES));
        }
        let length = open.last().map_or(*written, String::len);
        if length + text.len() > MAX_LINE_BYTES {
            return Err(limit("bytes in a line after expansion", MAX_LINE_BYTES));
        }
        match (open.last_mut(), is_value) {
            (Some(name), _) => name.push_str(text),
            (None, true) => sink.insert(text),
            (None, false) => sink.write(text),
        }
        if open.is_empty() {
            *written += text.len();
        }
        Ok(())
    }

    fn value(&mut self, name: &str, folder: &str, marks: &mut Marks) -> String {
        let environment = &self.options.environment;
        let value = match self.defined.get(name) {
            Some(defined) => {
                for name in &defined.undefined {
                    mark(&mut marks.undefined, name);
                }
                Some(defined.value.clone())
            }
            None => match name {
                "ccd" => Some(folder.to_owned()),
                "APP_NAME" => {
                    self.app_name_used = true;
                    Some(self.app_name.value.clone())
                }
                "HOST_NAME" => Some(environment.resolve_host_name().to_owned()),
                "HOME_DIR" => environment.resolve_home_dir(),
                name => name
                    .strip_prefix(ENVIRONMENT)
                    .map(|name| environment.variable(name).unwrap_or_default()),
            },
        };
        if value.is_none() {
            mark(&mut marks.undefined, name);
        }
        let value = value.unwrap_or_default();
        if value.is_empty() {
            mark(&mut marks.empty, name);
        }
        value
    }

    /// What percent codes expand to, as far as the files have been read.
    pub(super) fn percents(&self) -> Percents {
        let environment = &self.options.environment;
        Percents {
            app_name: self.app_name.value.clone(),
            host_name: environment.resolve_host_name().to_owned(),
            root: self.root.value.clone(),
            home: environment.resolve_home_dir().unwrap_or_default(),
        }
    }
}

/// What `%a`, `%h`, `%r` and `%u` expand to.
#[derive(Clone, Debug, Default)]
pub(super) struct Percents {
    app_name: String,
    pub(super) host_name: String,
    root: String,
    home: String,
}

impl Percents {
    /// `text` with its percents filled in. Any other `%x` stays as it is.
    pub(super) fn fill(&self, text: &str) -> String {
        let mut filled = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find('%') {
            filled.push_str(&rest[..at]);
            rest = &rest[at..];
            let value = match rest.as_bytes().get(1) {
                Some(b'a') => &*self.app_name,
                Some(b'h') => &self.host_name,
                Some(b'r') => &self.root,
                Some(b'u') => &self.home,
                Some(b'%') => "%",
                _ => {
                    filled.push('%');
                    rest = &rest[1..];
                    continue;
                }
            };
            filled.push_str(value);
            rest = &rest[2..];
        }
        filled.push_str(rest);
        filled
    }
}

/// A root folder from the working directory.
fn absolute(options: &ConfigOptions, root: &str) -> String {
    let base = Path::new(options.environment.working_dir.as_deref().unwrap_or_default());
    let path = if root.is_empty() { base.to_owned() } else { base.join(root) };
    options.files.absolute(&path).to_string_lossy().into_owned()
}

fn set_unless_given(setting: &mut Setting<String>, value: String, at: &Location) -> bool {
    let is_free = setting.origin != Origin::Given;
    if is_free {
        *setting = Setting::at(value, at);
    }
    is_free
}

fn mark(marks: &mut Vec<String>, name: &str) {
    if marks.len() < MAX_MARKS && !marks.iter().any(|marked| marked == name) {
        marks.push(name.to_owned());
    }
}

fn limit(unit: &'static str, max: usize) -> ExpandError {
    ExpandError::Limit(ErrorKind::Limit { item: "text", unit, max })
}

/// The beginning of the names of environment variables.
const ENVIRONMENT: &str = "ENV:";
/// Undefined or empty variables of one value that are remembered.
const MAX_MARKS: usize = 8;
const BUILT_IN: [&str; 4] = ["ccd", "APP_NAME", "HOST_NAME", "HOME_DIR"];
