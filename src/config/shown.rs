//! Text as messages show it: quoted, escaped, cut, and read as Latin-1 if it was not UTF-8.
//!
//! A byte that was not UTF-8 travels through variables as a private character, so that it is still
//! known when it reaches one of our values, and is shown as what it most likely was.

use std::fmt;
use std::time::Duration;

use crate::protocol::Escaped;

/// Text of a file between quotes, escaped.
pub(super) struct Quoted<'a>(pub(super) &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", Escaped(&self.0.replace('"', "\\\"")))
    }
}

/// A duration in seconds, as files write it.
pub(super) struct Seconds(pub(super) Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} s", self.0.as_secs_f64())
    }
}

/// The part of a text that an error keeps: a line can be 64 KiB, and there can be 1000 errors.
/// Bytes that were not UTF-8 are shown as Latin-1.
pub(super) fn cut(text: &str) -> String {
    let mut kept: String = text.chars().take(SHOWN_CHARS).map(latin1).collect();
    if text.chars().nth(SHOWN_CHARS).is_some() {
        kept.push_str("...");
    }
    kept
}

/// A byte that was not UTF-8 travels as a private character, so that it stays known until it is
/// shown or refused.
pub(super) fn mark_byte(byte: u8) -> char {
    char::from_u32(MARKED + u32::from(byte)).unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// Returns true if the character is a marked byte.
pub(super) fn is_marked(c: char) -> bool {
    u32::from(c) >= MARKED + 0x80
}

/// Returns true for a blank that looks like one and cuts nothing: a no-break space, as UTF-8 or as
/// Latin-1.
pub(super) fn is_invisible_blank(c: char) -> bool {
    matches!(c, '\u{a0}' | '\u{2007}' | '\u{202f}') || u32::from(c) == MARKED + 0xa0
}

fn latin1(c: char) -> char {
    match is_marked(c) {
        true => char::from_u32(u32::from(c) - MARKED).unwrap_or(c),
        false => c,
    }
}

/// The last 256 code points, which no real text contains.
const MARKED: u32 = 0x10_ff00;
const SHOWN_CHARS: usize = 100;
