//! Text and numbers as people read them.
//!
//! No number goes without its unit; text from outside is shown as [`Escaped`], and nothing is wider
//! than a terminal.

pub(crate) use peerbeat::protocol::Escaped;
pub(crate) use peerbeat::text::{Count, Measured, Seconds};

/// Text in lines of at most `columns`, cut at blanks; every line but the first begins with `indent`
/// blanks. A word that is longer than a line gets a line of its own.
pub(crate) fn wrapped(text: &str, columns: usize, indent: usize) -> String {
    let mut lines = String::with_capacity(text.len() + 16);
    let mut column = 0;
    // Blanks at the beginning are the caller's indent.
    let begin = text.len() - text.trim_start_matches(' ').len();
    lines.push_str(&text[..begin]);
    column += begin;
    let mut is_first_word = true;
    let mut is_line_empty = true;
    for word in text[begin..].split(' ') {
        let width = word.chars().count();
        if !is_first_word && column + 1 + width > columns && !is_line_empty {
            lines.truncate(lines.trim_end_matches(' ').len());
            lines.push('\n');
            lines.push_str(&" ".repeat(indent));
            column = indent;
        } else if !is_first_word {
            lines.push(' ');
            column += 1;
        }
        lines.push_str(word);
        column += width;
        is_first_word = false;
        is_line_empty = false;
    }
    lines
}

/// The width of a terminal, unless it reports another one.
pub(crate) const COLUMNS: usize = 80;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_at_blanks_and_no_word_is() {
        assert_eq!(wrapped("aa bb cc", 5, 2), "aa bb\n  cc");
        assert_eq!(wrapped("  a  b", 80, 4), "  a  b");
        assert_eq!(wrapped("aaaaaaaaa b", 5, 1), "aaaaaaaaa\n b");
        assert_eq!(wrapped("a bbbbbbbbb", 5, 1), "a\n bbbbbbbbb");
        assert_eq!(wrapped("ü漢 ü漢", 5, 0), "ü漢 ü漢");
        assert_eq!(wrapped("", 5, 0), "");
    }
}
