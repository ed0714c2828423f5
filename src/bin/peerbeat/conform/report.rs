//! The result of a check for a person, a TAP reader or a program.
//!
//! Text from the other side is escaped. A terminal also shows which check is running.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use peerbeat::protocol::Escaped;

use super::conn::Failure;
use super::{Check, Format};
use crate::json::Object;
use crate::output;

/// How a check ended.
pub(crate) enum Outcome {
    Ok,
    Failed(Failure),
    /// It does not apply here, and why.
    Skipped(&'static str),
}

/// Prints as the checks go, and counts.
pub(crate) struct Report {
    format: Format,
    count: usize,
    pub(crate) failed: usize,
    skipped: usize,
}

impl Report {
    /// # Errors
    /// stdout is gone.
    pub(crate) fn begin(format: Format, planned: usize) -> io::Result<Self> {
        if format == Format::Tap {
            output::write(&format!("TAP version 13\n1..{planned}\n"))?;
        }
        Ok(Self { format, count: 0, failed: 0, skipped: 0 })
    }

    /// What is waited for now: a line on a terminal that the result replaces.
    pub(crate) fn progress(&self, check: &Check) {
        if io::stderr().is_terminal() {
            let _ = write!(io::stderr(), "\r\x1b[K...   {:<3} {}", check.rule, check.name);
        }
    }

    /// # Errors
    /// stdout is gone.
    pub(crate) fn add(
        &mut self,
        check: &Check,
        outcome: &Outcome,
        took: Duration,
    ) -> io::Result<()> {
        if io::stderr().is_terminal() {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
        self.count += 1;
        match outcome {
            Outcome::Ok => {}
            Outcome::Failed(_) => self.failed += 1,
            Outcome::Skipped(_) => self.skipped += 1,
        }
        output::write(&match self.format {
            Format::Text => text(check, outcome),
            Format::Tap => tap(self.count, check, outcome),
            Format::Json => json(check, outcome, took),
        })
    }

    /// # Errors
    /// stdout is gone.
    pub(crate) fn end(&self) -> io::Result<()> {
        let Self { count, failed, skipped, .. } = self;
        let passed = count - failed - skipped;
        match self.format {
            Format::Text => output::write(&format!(
                "\n{count} checks: {passed} ok, {failed} failed, {skipped} skipped\n"
            )),
            Format::Tap | Format::Json => Ok(()),
        }
    }
}

fn text(check: &Check, outcome: &Outcome) -> String {
    let Check { rule, name, .. } = check;
    match outcome {
        Outcome::Ok => format!("ok     {rule:<3} {name}\n"),
        Outcome::Skipped(why) => format!("skip   {rule:<3} {name}: {why}\n"),
        Outcome::Failed(failure) => {
            let mut lines = format!("FAILED {rule:<3} {name}\n");
            for (what, value) in details(failure) {
                lines += &format!("           {what:<9}{value}\n");
            }
            lines
        }
    }
}

fn tap(number: usize, check: &Check, outcome: &Outcome) -> String {
    let what = format!("{number} - {} {}", check.rule, check.name);
    match outcome {
        Outcome::Ok => format!("ok {what}\n"),
        Outcome::Skipped(why) => format!("ok {what} # SKIP {why}\n"),
        Outcome::Failed(failure) => {
            let mut lines = format!("not ok {what}\n  ---\n");
            for (what, value) in details(failure) {
                lines += &format!("  {what}: {}\n", crate::json::quoted(&value));
            }
            lines + "  ...\n"
        }
    }
}

fn json(check: &Check, outcome: &Outcome, took: Duration) -> String {
    let (result, details) = match outcome {
        Outcome::Ok => ("ok", Vec::new()),
        Outcome::Skipped(why) => ("skipped", vec![("why", (*why).to_owned())]),
        Outcome::Failed(failure) => ("failed", details(failure)),
    };
    let object = Object::new().number("v", 1u64).string("rule", check.rule);
    let object = object.string("check", check.name).string("result", result);
    let object = object.ms("took_ms", took);
    details.iter().fold(object, |object, (what, value)| object.string(what, value)).finish() + "\n"
}

fn details(failure: &Failure) -> Vec<(&'static str, String)> {
    let Failure { expected, got, bytes } = failure;
    let mut details = vec![("expected", expected.clone()), ("got", Escaped(got).to_string())];
    if !bytes.is_empty() {
        let hex: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        details.push(("bytes", hex.concat()));
    }
    details
}
