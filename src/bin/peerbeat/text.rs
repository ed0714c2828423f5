//! Text and numbers as people read them.
//!
//! Nothing that a peer or a file says reaches a terminal unescaped, and no number goes without its
//! unit.

use std::fmt::{self, Display};
use std::time::Duration;

/// Somebody else's text: what could move a cursor, begin a line or turn the writing direction is
/// escaped.
pub(crate) struct Plain<'a>(pub(crate) &'a str);

impl Display for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match is_shown(c) {
                true => write!(f, "{c}")?,
                false => write!(f, "{}", c.escape_default())?,
            }
        }
        Ok(())
    }
}

/// Whether a terminal shows the character and does nothing else.
pub(crate) fn is_shown(c: char) -> bool {
    let invisible = matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e007f}');
    !c.is_control() && !invisible
}

/// A time as it was set: `7 s`, `0.25 s`.
pub(crate) struct Seconds(pub(crate) Duration);

impl Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fraction = format!("{:09}", self.0.subsec_nanos());
        match fraction.trim_end_matches('0') {
            "" => write!(f, "{} s", self.0.as_secs()),
            fraction => write!(f, "{}.{fraction} s", self.0.as_secs()),
        }
    }
}

/// A time as it was measured: `7.0003 s`. Cut, not rounded: a measured time never looks longer than
/// it was.
pub(crate) struct Measured(pub(crate) Duration);

impl Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenths_of_ms = self.0.subsec_micros() / 100;
        write!(f, "{}.{tenths_of_ms:04} s", self.0.as_secs())
    }
}

/// A count with its word: `1 message`, `2 messages`.
pub(crate) struct Count(pub(crate) u64, pub(crate) &'static str);

impl Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.0 == 1 { "" } else { "s" };
        write!(f, "{} {}{plural}", self.0, self.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_others_cannot_move_the_cursor() {
        let text = "a\u{1b}[2Jb\r\n\u{7f}\u{9b}\u{202e}\u{200b}ü\"\\";
        let shown = "a\\u{1b}[2Jb\\r\\n\\u{7f}\\u{9b}\\u{202e}\\u{200b}ü\"\\";
        assert_eq!(Plain(text).to_string(), shown);
    }

    #[test]
    fn times_have_units_and_no_needless_digits() {
        let table = [
            (0, "0 s", "0.0000 s"),
            (7_000_000, "7 s", "7.0000 s"),
            (100_000, "0.1 s", "0.1000 s"),
            (1_500_399, "1.500399 s", "1.5003 s"),
        ];
        for (micros, set, measured) in table {
            let time = Duration::from_micros(micros);
            assert_eq!(Seconds(time).to_string(), set);
            assert_eq!(Measured(time).to_string(), measured);
        }
        assert_eq!(Count(1, "message").to_string(), "1 message");
        assert_eq!(Count(0, "message").to_string(), "0 messages");
    }
}
