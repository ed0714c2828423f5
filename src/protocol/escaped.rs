//! Text from a peer or a file, made safe to print.
//!
//! A name in a HELLO and a value in a file may hold anything. Code that prints one uses this, so
//! that it cannot move a terminal's cursor, begin a line of its own or turn the writing direction.

use std::fmt;

/// Displays the text on one line: control characters and those that a terminal does not show are
/// escaped as in Rust (`\n`, `\u{202e}`), everything else stays.
///
/// ```
/// use peerbeat::protocol::Escaped;
///
/// assert_eq!(Escaped("rates\u{1b}[2J").to_string(), r"rates\u{1b}[2J");
/// assert_eq!(Escaped("Börse \"A\"").to_string(), "Börse \"A\"");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Escaped<'a>(pub &'a str);

impl Escaped<'_> {
    /// Returns true if a terminal shows the character and does nothing else.
    pub fn is_shown(c: char) -> bool {
        let invisible = matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}');
        !c.is_control() && !invisible
    }
}

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match Escaped::is_shown(c) {
                true => write!(f, "{c}")?,
                false => write!(f, "{}", c.escape_default())?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_others_cannot_move_the_cursor() {
        let text = "a\u{1b}[2Jb\r\n\u{7f}\u{9b}\u{202e}\u{200b}\u{feff}ü\"\\";
        let shown = "a\\u{1b}[2Jb\\r\\n\\u{7f}\\u{9b}\\u{202e}\\u{200b}\\u{feff}ü\"\\";
        assert_eq!(Escaped(text).to_string(), shown);
    }
}
