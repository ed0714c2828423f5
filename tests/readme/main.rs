//! The claims of README, as far as a test can check them: names and figures against the files that
//! own them, its configuration files and commands against the command, its programs compiled and
//! run.
//!
//! The Rust programs are also compiled as tests of the documentation; the one in C is in
//! `tests/capi`, and the two commands at the top are run by `.ci/run`. `rules` names the tests that
//! prove the rest. No test can check these: that `demo` takes about ten seconds (it prints how long
//! it took), what an operator should do about a reason, and that the figures are those of today's
//! code (they are compared with the file that the measurement wrote). Files that a package does not
//! contain are not compared there, and reported as skipped.

// Helpers of tests may unwrap as tests do.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

mod claims;
mod command;
#[allow(dead_code)]
#[path = "../command/harness.rs"]
mod harness;
#[allow(dead_code)]
#[path = "../command/json.rs"]
mod json;
#[cfg(unix)]
mod programs;
mod rules;
#[path = "../common/skip.rs"]
mod skip;

/// Asked at run time, because checkouts may share a target folder.
fn root() -> PathBuf {
    let set = std::env::var_os("CARGO_MANIFEST_DIR");
    set.map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from)
}

fn readme() -> String {
    read(Path::new("README.md"))
}

fn read(path: &Path) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path:?}: {error}"))
}

/// The text of a file that a package does not carry; `None` in a package.
fn read_in_checkout(path: &str) -> Option<String> {
    let is_checkout = root().join(".ci").exists();
    if !is_checkout {
        skip::say_skipped("a claim of README", &format!("{path} is not in a package"));
        return None;
    }
    Some(read(Path::new(path)))
}

/// What is in the fenced blocks of a kind, in their order.
fn blocks<'a>(readme: &'a str, kind: &str) -> Vec<&'a str> {
    let start = format!("\n```{kind}\n");
    let bodies = readme.split(start.as_str()).skip(1);
    bodies.map(|rest| rest.split_once("\n```").expect("a block ends").0).collect()
}

/// What is under a heading of the second level.
fn section<'a>(readme: &'a str, title: &str) -> &'a str {
    let heading = format!("\n## {title}\n");
    let (_, rest) = readme.split_once(heading.as_str()).unwrap_or_else(|| panic!("no {title:?}"));
    rest.split("\n## ").next().unwrap_or_default()
}

/// The first cells of a table's rows, without its head, with everything that follows.
fn rows(section: &str) -> Vec<Vec<String>> {
    let lines = section.lines().filter(|line| line.starts_with('|')).skip(2);
    let cells =
        |line: &str| line.trim_matches('|').split('|').map(|c| c.trim().to_owned()).collect();
    lines.map(cells).collect()
}

/// What is between backticks.
fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}
