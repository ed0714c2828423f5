//! Turns words into options, operands and values.
//!
//! Options may come before or after operands; `--name value` and `--name=value` are the same, and
//! after `--` everything is an operand. If an option is given twice, the last one wins.

use std::ffi::OsString;
use std::time::Duration;

use super::Usage;
use super::nearest::nearest;
use crate::text::Escaped;

/// One word, by its form.
pub(super) enum Word {
    Option { name: String, value: Option<String> },
    Operand(OsString),
}

/// Seconds that an option may have, and the same in words.
pub(super) type Range = (Duration, Duration, &'static str);

/// Takes the words of a command one by one.
pub(super) struct ArgParser<I> {
    words: I,
    /// The command, for error messages; empty before it is known.
    pub(super) command: &'static str,
    /// `--` has been met.
    only_operands: bool,
}

impl<I: Iterator<Item = OsString>> ArgParser<I> {
    pub(super) fn new(words: I) -> Self {
        Self { words, command: "", only_operands: false }
    }

    pub(super) fn poll_word(&mut self) -> Result<Option<Word>, Usage> {
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
            Err(word) => return Err(self.wrong(format!("{} is not UTF-8", shown(&word)))),
        };
        Ok(Some(match word.split_once('=') {
            Some((name, value)) if name.starts_with("--") => {
                Word::Option { name: name.to_owned(), value: Some(value.to_owned()) }
            }
            _ => Word::Option { name: word, value: None },
        }))
    }

    pub(super) fn flag(&self, name: &str, value: Option<String>) -> Result<bool, Usage> {
        match value {
            None => Ok(true),
            Some(value) => Err(self.bad_value(name, &value, "no value")),
        }
    }

    /// The value after `=`, else the next word, whatever it looks like.
    pub(super) fn value(
        &mut self,
        name: &str,
        value: Option<String>,
        expected: &str,
    ) -> Result<String, Usage> {
        if let Some(value) = value {
            return Ok(value);
        }
        match self.words.next().map(OsString::into_string) {
            Some(Ok(word)) => Ok(word),
            Some(Err(word)) => Err(self.bad_value(name, &word.to_string_lossy(), expected)),
            None => Err(self.wrong(format!("{name}: missing value: expected {expected}"))),
        }
    }

    /// A value that is not empty.
    pub(super) fn text(
        &mut self,
        name: &str,
        value: Option<String>,
        expected: &str,
    ) -> Result<String, Usage> {
        let found = self.value(name, value, expected)?;
        if found.is_empty() { Err(self.bad_value(name, &found, expected)) } else { Ok(found) }
    }

    pub(super) fn seconds(
        &mut self,
        name: &str,
        value: Option<String>,
        range: Range,
    ) -> Result<Duration, Usage> {
        let (min, max, expected) = range;
        let found = self.value(name, value, expected)?;
        match parse_seconds(&found) {
            Some(seconds) if (min..=max).contains(&seconds) => Ok(seconds),
            _ => Err(self.bad_value(name, &found, expected)),
        }
    }

    /// A whole number from `min` to `max`.
    pub(super) fn number(
        &mut self,
        name: &str,
        value: Option<String>,
        (min, max): (u64, u64),
        unit: &str,
    ) -> Result<u64, Usage> {
        let expected = format!("{unit}, {min} to {max}");
        let found = self.value(name, value, &expected)?;
        match found.parse() {
            Ok(number) if is_digits(&found) && (min..=max).contains(&number) => Ok(number),
            _ => Err(self.bad_value(name, &found, &expected)),
        }
    }

    /// A word where none is allowed.
    pub(super) fn unexpected(&self, word: &OsString, expected: &str) -> Usage {
        self.wrong(format!("unexpected {}: expected {expected}", shown(word)))
    }

    /// An option that does not exist, and the one that was probably meant.
    pub(super) fn unknown(&self, name: &str, options: &[&str]) -> Usage {
        let all = options.iter().copied().chain(["--help"]);
        let hint = match nearest(name, all) {
            Some(near) => format!(": did you mean {near}?"),
            None => String::new(),
        };
        self.wrong(format!("unknown option {}{hint}", Escaped(name)))
    }

    pub(super) fn bad_value(&self, name: &str, found: &str, expected: &str) -> Usage {
        self.wrong(format!("{name}: found \"{}\", expected {expected}", Escaped(found)))
    }

    pub(super) fn wrong(&self, what: impl Into<String>) -> Usage {
        Usage { what: what.into(), command: self.command }
    }
}

pub(super) fn shown(word: &OsString) -> String {
    format!("\"{}\"", Escaped(&word.to_string_lossy()))
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Digits, with or without a point among them: what `f64` would also take (`1e9`, `inf`, `+1`) is
/// more often a mistake than a wish.
pub(super) fn parse_seconds(text: &str) -> Option<Duration> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    if !is_digits(whole) || !is_digits(fraction) {
        return None;
    }
    let nanos = format!("{fraction:0<9}");
    Some(Duration::new(whole.parse().ok()?, nanos[..9].parse().ok()?))
}
