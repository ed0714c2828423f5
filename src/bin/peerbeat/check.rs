//! `check`: what configuration files mean, without starting anything.
//!
//! For each link who dials whom, the values in force and where each was set, after how much silence
//! the peer is late and down; then every warning. For several files, or the folder of a deployment,
//! the two ends of each link are compared.

mod deployment;
mod ends;
mod picture;
mod record;
mod report;

use std::path::Path;
use std::process::ExitCode;

use peerbeat::config::{Config, ConfigError, Location, Warning};

use crate::args::CheckOptions;
use crate::output::{self, complain};
use crate::{FAILED, WRONG_USAGE, json};

/// Checks the files and prints what they mean.
pub(crate) fn check(options: &CheckOptions) -> ExitCode {
    let found = match deployment::applications(options) {
        Ok(found) => found,
        Err(usage) => {
            complain(&usage);
            return ExitCode::from(WRONG_USAGE);
        }
    };
    let mut files = Vec::new();
    let (mut errors, mut warnings) = (Vec::new(), Vec::new());
    for application in &found.applications {
        match application.load(options) {
            Ok(config) => files.push(File { name: name_of(&application.path), config }),
            Err(found) => {
                errors.extend(found.iter().map(Diagnostic::error));
                warnings.extend(found.warnings().iter().map(Diagnostic::warning));
            }
        }
    }
    if !errors.is_empty() {
        warnings.extend(files.iter().flat_map(File::diagnostics));
        return refuse(&errors, &warnings, options.json);
    }
    let estate = Estate { compared: ends::compare(&files), files, parts: found.parts };
    if let Some(path) = &options.picture {
        if let Err(error) = std::fs::write(path, picture::of(&estate)) {
            complain(&format_args!("peerbeat check: --picture {}: {error}", name_of(path)));
            return ExitCode::from(FAILED);
        }
    }
    let text = match options.json {
        true => record::of(&estate),
        false => report::of(&estate),
    };
    let warned = !estate.compared.diagnostics.is_empty()
        || estate.files.iter().any(|file| !file.config.warnings().is_empty());
    let done = match options.strict && warned {
        true => ExitCode::from(FAILED),
        false => ExitCode::SUCCESS,
    };
    output::exit_code(output::write(&text), done)
}

/// Errors and the warnings beside them; nothing else can be reported about such files.
fn refuse(errors: &[Diagnostic], warnings: &[Diagnostic], as_json: bool) -> ExitCode {
    for error in errors {
        complain(&format_args!("{}: {}", error.location, error.text));
    }
    for warning in warnings {
        complain(&format_args!("warning: {}: {}", warning.location, warning.text));
    }
    let written = match as_json {
        true => {
            let object = json::Object::new()
                .raw("errors", &json::array(errors.iter().map(Diagnostic::record)))
                .raw("warnings", &json::array(warnings.iter().map(Diagnostic::record)))
                .finish();
            output::write(&format!("{object}\n"))
        }
        false => Ok(()),
    };
    output::exit_code(written, ExitCode::from(WRONG_USAGE))
}

fn name_of(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// Everything that was read, and what comparing it showed.
struct Estate {
    files: Vec<File>,
    compared: ends::Compared,
    /// Files of a deployment that are not applications, and why.
    parts: Vec<(String, &'static str)>,
}

/// An application's file that was read.
struct File {
    /// As the user named it.
    name: String,
    config: Config,
}

impl File {
    fn diagnostics(&self) -> impl Iterator<Item = Diagnostic> {
        self.config.warnings().iter().map(Diagnostic::warning)
    }
}

/// A warning or an error with its location.
#[derive(Clone, Debug, PartialEq)]
struct Diagnostic {
    location: Location,
    text: String,
}

impl Diagnostic {
    fn warning(warning: &Warning) -> Self {
        Self { location: warning.location().clone(), text: warning.kind().to_string() }
    }

    fn error(error: &ConfigError) -> Self {
        Self { location: error.location().clone(), text: error.kind().to_string() }
    }

    fn record(&self) -> String {
        json::Object::new()
            .string("file", &self.location.file)
            .number("line", self.location.line)
            .string("text", &self.text)
            .finish()
    }
}
