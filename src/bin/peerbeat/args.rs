//! The command line, taken apart.
//!
//! Options stand before or after operands; `--name value` and `--name=value` are the same, and
//! after `--` everything is an operand. Of an option given twice the last one holds. Whatever is
//! wrong is said with what was found and what is allowed.

#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use peerbeat::config::{Config, Errors, Options};
use peerbeat::protocol::Escaped;

use crate::help;

/// What is asked for.
#[derive(Debug, PartialEq)]
pub(crate) enum Call {
    /// A text on stdout, and no more.
    Print(&'static str),
    /// `demo`
    Demo,
    /// `run`
    Run(RunOptions),
    /// `check`
    Check(CheckOptions),
}

/// How a configuration file is read.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Reading {
    /// The application's name; `None` = the library's default.
    pub(crate) app_name: Option<String>,
    /// Variables and their values.
    pub(crate) defines: Vec<(String, String)>,
}

impl Reading {
    /// Reads a configuration file so.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub(crate) fn load(&self, file: &Path) -> Result<Config, Errors> {
        let mut options = Options { defines: self.defines.clone(), ..Options::default() };
        if let Some(app_name) = &self.app_name {
            options.app_name.clone_from(app_name);
        }
        Config::load(file, &options)
    }
}

/// What `run` is told.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct RunOptions {
    pub(crate) file: PathBuf,
    pub(crate) reading: Reading,
    pub(crate) json: bool,
    /// `None` = until killed.
    pub(crate) duration: Option<Duration>,
    /// `None` = nothing is sent.
    pub(crate) send_every: Option<Duration>,
    pub(crate) send_size: usize,
    /// `None` = no numbers are printed.
    pub(crate) stats_every: Option<Duration>,
    pub(crate) echo: bool,
    pub(crate) show_data: bool,
}

/// What `check` is told.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct CheckOptions {
    /// At least one.
    pub(crate) files: Vec<PathBuf>,
    pub(crate) reading: Reading,
    pub(crate) json: bool,
    pub(crate) strict: bool,
}

/// Wrong usage: what was found, and what is allowed.
#[derive(Debug, PartialEq)]
pub(crate) struct Usage {
    found: String,
    allowed: String,
    /// The call whose help explains it.
    call: &'static str,
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let space = if self.call.is_empty() { "" } else { " " };
        writeln!(f, "peerbeat{space}{}: {}, allowed: {}", self.call, self.found, self.allowed)?;
        write!(f, "Try: peerbeat{space}{} --help", self.call)
    }
}

/// Takes the words after the command's own name apart.
///
/// # Errors
/// Whatever is not a call as the help describes it.
pub(crate) fn parse(words: impl Iterator<Item = OsString>) -> Result<Call, Usage> {
    let mut words = Words { words, call: "", only_operands: false };
    let allowed = "demo, run, check, --help or --version";
    match words.poll_word()? {
        None => Err(words.wrong("found no call", allowed)),
        Some(Word::Operand(call)) => match call.to_str() {
            Some("demo") => words.parse_demo(),
            Some("run") => words.parse_run(),
            Some("check") => words.parse_check(),
            Some("help") => Ok(Call::Print(help::COMMAND)),
            _ => Err(words.wrong(&format!("found {}", shown(&call)), allowed)),
        },
        Some(Word::Option { name, .. }) => match &*name {
            "--help" | "-h" => Ok(Call::Print(help::COMMAND)),
            "--version" | "-V" => Ok(Call::Print(help::VERSION)),
            _ => Err(words.unknown(&name, allowed)),
        },
    }
}

/// One word as its form tells.
enum Word {
    Option { name: String, value: Option<String> },
    Operand(OsString),
}

struct Words<I> {
    words: I,
    call: &'static str,
    /// `--` has been met.
    only_operands: bool,
}

impl<I: Iterator<Item = OsString>> Words<I> {
    fn parse_demo(&mut self) -> Result<Call, Usage> {
        self.call = "demo";
        match self.poll_word()? {
            None => Ok(Call::Demo),
            Some(Word::Option { name, value: None }) if is_help(&name) => {
                Ok(Call::Print(help::DEMO))
            }
            Some(Word::Option { name, .. }) => Err(self.unknown(&name, "--help")),
            Some(Word::Operand(word)) => {
                Err(self.wrong(&format!("found {}", shown(&word)), "no operand"))
            }
        }
    }

    fn parse_run(&mut self) -> Result<Call, Usage> {
        self.call = "run";
        let mut run = RunOptions { send_size: SEND_SIZE_DEFAULT, ..RunOptions::default() };
        let mut file = None;
        let mut send_size = None;
        while let Some(word) = self.poll_word()? {
            let (name, value) = match word {
                Word::Operand(word) if file.is_none() => {
                    file = Some(PathBuf::from(word));
                    continue;
                }
                Word::Operand(word) => {
                    return Err(self.wrong(&format!("found {}", shown(&word)), "one FILE"));
                }
                Word::Option { name, value } => (name, value),
            };
            match &*name {
                "--help" | "-h" => return Ok(Call::Print(help::RUN)),
                "--json" => run.json = self.flag(&name, value)?,
                "--echo" => run.echo = self.flag(&name, value)?,
                "--show-data" => run.show_data = self.flag(&name, value)?,
                "--duration" => run.duration = Some(self.seconds(&name, value, DURATION)?),
                "--send-every" => run.send_every = Some(self.seconds(&name, value, EVERY)?),
                "--stats-every" => run.stats_every = Some(self.seconds(&name, value, EVERY)?),
                "--send-size" => send_size = Some(self.size(&name, value)?),
                _ if self.reading(&mut run.reading, &name, &value)? => {}
                _ => return Err(self.unknown(&name, RUN_OPTIONS)),
            }
        }
        if send_size.is_some() && run.send_every.is_none() {
            return Err(self.wrong("found --send-size alone", "with --send-every"));
        }
        run.send_size = send_size.unwrap_or(SEND_SIZE_DEFAULT);
        run.file = file.ok_or_else(|| self.wrong("found no FILE", "one FILE"))?;
        Ok(Call::Run(run))
    }

    fn parse_check(&mut self) -> Result<Call, Usage> {
        self.call = "check";
        let mut check = CheckOptions::default();
        while let Some(word) = self.poll_word()? {
            let (name, value) = match word {
                Word::Operand(word) => {
                    check.files.push(PathBuf::from(word));
                    continue;
                }
                Word::Option { name, value } => (name, value),
            };
            match &*name {
                "--help" | "-h" => return Ok(Call::Print(help::CHECK)),
                "--json" => check.json = self.flag(&name, value)?,
                "--strict" => check.strict = self.flag(&name, value)?,
                _ if self.reading(&mut check.reading, &name, &value)? => {}
                _ => return Err(self.unknown(&name, CHECK_OPTIONS)),
            }
        }
        match check.files.is_empty() {
            true => Err(self.wrong("found no FILE", "one FILE or more")),
            false => Ok(Call::Check(check)),
        }
    }

    /// The options of every call that reads a file; says whether `name` is one.
    fn reading(
        &mut self,
        reading: &mut Reading,
        name: &str,
        value: &Option<String>,
    ) -> Result<bool, Usage> {
        match name {
            "--app-name" => {
                let found = self.value(name, value.clone(), APP_NAME)?;
                if found.is_empty() {
                    return Err(self.bad_value(name, &found, APP_NAME));
                }
                reading.app_name = Some(found);
            }
            "--define" => {
                let found = self.value(name, value.clone(), DEFINE)?;
                match found.split_once('=') {
                    Some((variable, value)) if !variable.is_empty() => {
                        reading.defines.push((variable.to_owned(), value.to_owned()));
                    }
                    _ => return Err(self.bad_value(name, &found, DEFINE)),
                }
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn poll_word(&mut self) -> Result<Option<Word>, Usage> {
        let Some(word) = self.words.next() else { return Ok(None) };
        if self.only_operands || !word.as_encoded_bytes().starts_with(b"-") || word == "-" {
            return Ok(Some(Word::Operand(word)));
        }
        if word == "--" {
            self.only_operands = true;
            return self.poll_word();
        }
        let word = match word.into_string() {
            Ok(word) => word,
            Err(word) => return Err(self.wrong(&format!("found {}", shown(&word)), "UTF-8")),
        };
        Ok(Some(match word.split_once('=') {
            Some((name, value)) if name.starts_with("--") => {
                Word::Option { name: name.to_owned(), value: Some(value.to_owned()) }
            }
            _ => Word::Option { name: word, value: None },
        }))
    }

    fn flag(&self, name: &str, value: Option<String>) -> Result<bool, Usage> {
        match value {
            None => Ok(true),
            Some(value) => Err(self.bad_value(name, &value, "no value")),
        }
    }

    /// The value after `=`, else the next word, whatever it looks like.
    fn value(&mut self, name: &str, value: Option<String>, allowed: &str) -> Result<String, Usage> {
        if let Some(value) = value {
            return Ok(value);
        }
        match self.words.next().map(OsString::into_string) {
            Some(Ok(word)) => Ok(word),
            Some(Err(word)) => Err(self.bad_value(name, &word.to_string_lossy(), allowed)),
            None => Err(self.wrong(&format!("{name}: found no value"), allowed)),
        }
    }

    fn seconds(
        &mut self,
        name: &str,
        value: Option<String>,
        range: (Duration, Duration, &str),
    ) -> Result<Duration, Usage> {
        let (min, max, allowed) = range;
        let found = self.value(name, value, allowed)?;
        match parse_seconds(&found) {
            Some(seconds) if (min..=max).contains(&seconds) => Ok(seconds),
            _ => Err(self.bad_value(name, &found, allowed)),
        }
    }

    fn size(&mut self, name: &str, value: Option<String>) -> Result<usize, Usage> {
        let allowed = "bytes, 0 to 16777215";
        let found = self.value(name, value, allowed)?;
        match found.parse() {
            Ok(size) if is_digits(&found) && size <= SEND_SIZE_MAX => Ok(size),
            _ => Err(self.bad_value(name, &found, allowed)),
        }
    }

    fn unknown(&self, name: &str, allowed: &str) -> Usage {
        self.wrong(&format!("found {}", Escaped(name)), allowed)
    }

    fn bad_value(&self, name: &str, found: &str, allowed: &str) -> Usage {
        self.wrong(&format!("{name}: found \"{}\"", Escaped(found)), allowed)
    }

    fn wrong(&self, found: &str, allowed: &str) -> Usage {
        Usage { found: found.to_owned(), allowed: allowed.to_owned(), call: self.call }
    }
}

fn is_help(name: &str) -> bool {
    matches!(name, "--help" | "-h")
}

fn shown(word: &OsString) -> String {
    format!("\"{}\"", Escaped(&word.to_string_lossy()))
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Digits, with or without a point among them: what `f64` would also take (`1e9`, `inf`, `+1`) is
/// more often a mistake than a wish.
fn parse_seconds(text: &str) -> Option<Duration> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    if !is_digits(whole) || !is_digits(fraction) {
        return None;
    }
    let nanos = format!("{fraction:0<9}");
    Some(Duration::new(whole.parse().ok()?, nanos[..9].parse().ok()?))
}

const RUN_OPTIONS: &str = "--app-name, --define, --json, --duration, --send-every, --send-size, \
                           --stats-every, --echo, --show-data, --help";
const CHECK_OPTIONS: &str = "--app-name, --define, --json, --strict, --help";
const APP_NAME: &str = "a name";
const DEFINE: &str = "NAME=VALUE";
const DURATION: (Duration, Duration, &str) =
    (Duration::ZERO, Duration::from_secs(1_000_000_000), "seconds, 0 to 1000000000");
const EVERY: (Duration, Duration, &str) =
    (Duration::from_millis(1), Duration::from_secs(86_400), "seconds, 0.001 to 86400");
const SEND_SIZE_DEFAULT: usize = 64;
/// A frame holds its type byte besides.
const SEND_SIZE_MAX: usize = peerbeat::protocol::FRAME_MAX - 1;
