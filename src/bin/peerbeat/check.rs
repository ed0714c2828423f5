//! `check`: what configuration files mean, told without starting anything.
//!
//! For each link who dials whom, the values in force and where each was set, when silence is late
//! and when it means down; then every warning. Of several files the ends of a link are compared.

mod ends;
mod record;
mod report;

use std::path::Path;
use std::process::ExitCode;

use peerbeat::config::{Config, ConfigError, Place, Warning};

use crate::args::CheckOptions;
use crate::output::{self, complain};
use crate::{FAILED, WRONG_USAGE, json};

/// Checks the files and prints what they mean.
pub(crate) fn check(options: &CheckOptions) -> ExitCode {
    let mut files = Vec::new();
    let mut errors = Vec::new();
    for path in &options.files {
        match options.config.load(path) {
            Ok(config) => files.push(File { name: name_of(path), config }),
            Err(found) => errors.extend(found.iter().cloned()),
        }
    }
    if !errors.is_empty() {
        return refuse(&errors, options.json);
    }
    let compared = ends::compare(&files);
    let text = match options.json {
        true => record::of(&files, &compared),
        false => report::of(&files, &compared),
    };
    let warned = !compared.remarks.is_empty() || files.iter().any(|file| file.has_warnings());
    let done = match options.strict && warned {
        true => ExitCode::from(FAILED),
        false => ExitCode::SUCCESS,
    };
    output::exit_code(output::write(&text), done)
}

fn refuse(errors: &[ConfigError], as_json: bool) -> ExitCode {
    for error in errors {
        complain(error);
    }
    let written = match as_json {
        true => {
            let errors = errors.iter().map(|error| Remark::error(error).record());
            let object = json::Object::new().raw("errors", &json::array(errors)).finish();
            output::write(&format!("{object}\n"))
        }
        false => Ok(()),
    };
    output::exit_code(written, ExitCode::from(WRONG_USAGE))
}

fn name_of(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// A file that was read.
struct File {
    /// As the user named it.
    name: String,
    config: Config,
}

impl File {
    fn has_warnings(&self) -> bool {
        !self.config.warnings().is_empty()
    }

    fn remarks(&self) -> Vec<Remark> {
        self.config.warnings().iter().map(Remark::warning).collect()
    }
}

/// A warning or an error with its place.
#[derive(Debug, PartialEq)]
struct Remark {
    place: Place,
    text: String,
}

impl Remark {
    fn warning(warning: &Warning) -> Self {
        Self { place: warning.place().clone(), text: warning.kind().to_string() }
    }

    fn error(error: &ConfigError) -> Self {
        Self { place: error.place().clone(), text: error.kind().to_string() }
    }

    fn record(&self) -> String {
        json::Object::new()
            .string("file", &self.place.file)
            .number("line", self.place.line)
            .string("text", &self.text)
            .finish()
    }
}
