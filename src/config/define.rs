//! Variables in lines: defining them, expanding with them, and reporting those that are not
//! defined.
//!
//! The variables themselves are in [`expand`](super::expand), which knows nothing of lines.

use super::blocks::Owner;
use super::error::ErrorKind;
use super::expand::{ExpandError, Marks};
use super::lexer;
use super::limits::MAX_VARIABLES;
use super::reader::{Line, Reader};
use super::shown::{cut, is_marked};
use super::warning::{Warning, WarningKind};

impl Reader<'_> {
    /// Warns about the variables that were not defined, once a name and file.
    pub(super) fn warn_undefined(&mut self, line: Line<'_>, marks: &Marks) {
        for name in &marks.undefined {
            if VERSIONS.contains(&&**name) {
                self.warn_version(line, name);
            } else if !self.report.is_missing_include() {
                // With one, that is what would have defined it.
                let kind = WarningKind::Undefined { name: cut(name) };
                self.warn_by_name(line, name, kind);
            }
        }
    }

    fn warn_version(&mut self, line: Line<'_>, name: &str) {
        let kind = WarningKind::ApplicationVersion { name: name.to_owned() };
        self.warn_by_name(line, name, kind);
    }

    /// Warns once a name and file.
    pub(super) fn warn_by_name(&mut self, line: Line<'_>, name: &str, kind: WarningKind) {
        if self.blocks.owner() != Owner::Others {
            let key = format!("${{{}}} in {}", cut(name), line.source.shown);
            self.report.warn_once(&key, Warning::new(line.location(), kind));
        }
    }

    pub(super) fn expand_values(
        &mut self,
        line: Line<'_>,
        name: &str,
        rest: &str,
    ) -> Option<(Vec<String>, Marks)> {
        let folder = line.source.folder.to_string_lossy();
        match self.variables.values(rest, &folder) {
            Ok(expanded) => Some(expanded),
            Err(error) => self.fail(line, name, rest, error),
        }
    }

    /// Expands a side of a condition. An undefined variable there is empty without a warning: that
    /// is how files ask whether it is.
    pub(super) fn expand_condition(
        &mut self,
        line: Line<'_>,
        name: &str,
        text: &str,
    ) -> Option<String> {
        let folder = line.source.folder.to_string_lossy();
        let (text, marks) = match self.variables.text(text, &folder) {
            Ok(expanded) => expanded,
            Err(error) => return self.fail(line, name, text, error),
        };
        for name in marks.undefined.iter().filter(|name| VERSIONS.contains(&&***name)) {
            self.warn_version(line, name);
        }
        Some(text)
    }

    /// Expands a line whose name holds a variable: what it comes to decides what it is, and its
    /// values are not expanded a second time.
    pub(super) fn expand_name(&mut self, line: Line<'_>, name: &str, rest: &str) -> Option<String> {
        let folder = line.source.folder.to_string_lossy();
        match self.variables.text(name, &folder) {
            // What is inserted is not expanded again, so none of our names can contain this.
            Ok((name, _)) if name.contains("${") => None,
            Ok((name, _)) => {
                let gap = if rest.is_empty() { "" } else { " " };
                Some(format!("{name}{gap}{rest}"))
            }
            Err(error) => self.fail(line, "text", name, error),
        }
    }

    fn fail<T>(&mut self, line: Line<'_>, name: &str, text: &str, error: ExpandError) -> Option<T> {
        match error {
            ExpandError::Wrong(allowed) => {
                self.error(line, ErrorKind::bad_value(name, text, allowed));
            }
            ExpandError::Limit(kind) => {
                self.report.error(&line.location(), kind);
                self.stopped = true;
            }
        }
        None
    }

    pub(super) fn define(&mut self, line: Line<'_>, rest: &str) {
        let Some((values, marks)) = self.expand_values(line, "define", rest) else { return };
        for name in marks.undefined.iter().filter(|name| VERSIONS.contains(&&***name)) {
            self.warn_version(line, name);
        }
        // One value as written may be several once it is expanded, and still counts as one.
        let written = rest.split_once(lexer::BLANKS).map_or("", |(_, value)| value);
        let (name, value) = match &*values {
            [name] => (name, String::new()),
            [name, value] => (name, value.clone()),
            [name, several @ ..] if lexer::is_one_value(written) => (name, several.join(" ")),
            [] => return self.error(line, ErrorKind::no_value("define", DEFINE)),
            _ => return self.error(line, ErrorKind::bad_value("define", rest, DEFINE)),
        };
        if !is_variable(name) {
            let found = values.join(" ");
            return self.error(line, ErrorKind::bad_value("define", &found, DEFINE));
        }
        let before = self.variables.define(name, value, marks.undefined, &line.location());
        if let Some(before) = before {
            self.warn(line, WarningKind::Redefined { name: cut(name), before });
        }
        if self.variables.are_too_many() {
            self.stop(line, "define", "variables", MAX_VARIABLES);
        }
    }

    pub(super) fn undefine(&mut self, line: Line<'_>, rest: &str) {
        let Some((values, _)) = self.expand_values(line, "undefine", rest) else { return };
        match &*values {
            [name] if is_variable(name) => self.variables.undefine(name),
            [] => self.error(line, ErrorKind::no_value("undefine", UNDEFINE)),
            values => {
                let found = values.join(" ");
                self.error(line, ErrorKind::bad_value("undefine", &found, UNDEFINE));
            }
        }
    }
}

/// Upstream allows letters, digits, `_` and `.`; a `-` does no harm. Not those of `ENV:`, which
/// cannot be set.
fn is_variable(name: &str) -> bool {
    let allowed = |c: char| c.is_alphanumeric() || "_.-".contains(c) || is_marked(c);
    !name.is_empty() && name.chars().all(allowed)
}

const DEFINE: &str = "a name of letters, digits, _ and . with one value";
const UNDEFINE: &str = "one name of letters, digits, _ and .";
/// Variables that only the application knows.
const VERSIONS: [&str; 2] = ["MAJOR_VERSION", "MINOR_VERSION"];
