//! One line: an item's name, its values, or a condition.
//!
//! One function per grammar rule. The value of a variable is split like literal text, except in
//! quotes and in a comparison: there it stays one value and can never become syntax.

use std::borrow::Cow;

/// What is allowed where something else was found.
pub(super) type Allowed = &'static str;

/// One part of a condition; parts are joined by `and`. Nothing in it is expanded.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Term<'a> {
    /// `left == right`, or `!=` if not `equal`.
    Compare { left: Cow<'a, str>, right: Cow<'a, str>, equal: bool },
    /// `os name`
    Os(Cow<'a, str>),
}

/// Cuts a line into the item's name and what follows it. `None` for blank lines and comments.
pub(super) fn item(line: &str) -> Option<(&str, &str)> {
    let line = line.trim_matches(BLANKS);
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    let end = line.find(BLANKS).unwrap_or(line.len());
    let (name, rest) = line.split_at(end);
    Some((name, rest.trim_start_matches(BLANKS)))
}

/// Returns true if nothing but a comment follows, as after `endif`.
pub(super) fn is_comment(rest: &str) -> bool {
    rest.is_empty() || rest.starts_with('#')
}

/// Returns true if one value follows, as written.
pub(super) fn is_one_value(rest: &str) -> bool {
    let mut cutter = Cutter::default();
    cutter.write(rest);
    matches!(cutter.finish().as_deref(), Ok([_]))
}

/// The terms after `if` or `elseif`.
pub(super) fn condition(rest: &str) -> Result<Vec<Term<'_>>, Allowed> {
    let mut cursor = Cursor { rest };
    let mut terms = vec![cursor.term()?];
    while cursor.skip_blanks() && !is_comment(cursor.rest) {
        match cursor.word() {
            "and" => terms.push(cursor.term()?),
            "or" | "||" | "&&" => return Err(ONLY_AND),
            _ => return Err(CONDITION),
        }
    }
    Ok(terms)
}

/// What is left of a condition.
struct Cursor<'a> {
    rest: &'a str,
}

impl<'a> Cursor<'a> {
    /// Returns true if anything follows.
    fn skip_blanks(&mut self) -> bool {
        self.rest = self.rest.trim_start_matches(BLANKS);
        !self.rest.is_empty()
    }

    fn take(&mut self, end: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }

    fn word(&mut self) -> &'a str {
        let end = self.rest.find(BLANKS).unwrap_or(self.rest.len());
        self.take(end)
    }

    fn term(&mut self) -> Result<Term<'a>, Allowed> {
        if !self.skip_blanks() {
            return Err(CONDITION);
        }
        let is_word = !self.rest.starts_with('"');
        let negated = self.rest.starts_with('!');
        let left = self.operand()?;
        if negated || (is_word && left == "not") {
            return Err(ONLY_AND);
        }
        self.skip_blanks();
        match self.operator() {
            Some(equal) => {
                self.skip_blanks();
                Ok(Term::Compare { left, right: self.operand()?, equal })
            }
            None if is_word && left == "os" => Ok(Term::Os(self.operand()?)),
            None => Err(CONDITION),
        }
    }

    fn operand(&mut self) -> Result<Cow<'a, str>, Allowed> {
        if self.rest.starts_with('"') {
            return self.quoted();
        }
        let end = [self.rest.find(BLANKS), self.rest.find("=="), self.rest.find("!=")];
        match end.into_iter().flatten().min().unwrap_or(self.rest.len()) {
            0 if self.rest.starts_with('!') => Err(ONLY_AND),
            0 => Err(CONDITION),
            end => Ok(Cow::Borrowed(self.take(end))),
        }
    }

    fn operator(&mut self) -> Option<bool> {
        let sign = self.rest.get(..2).filter(|sign| matches!(*sign, "==" | "!="))?;
        self.take(2);
        Some(sign == "==")
    }

    /// From a `"` to the next that no `\` precedes.
    fn quoted(&mut self) -> Result<Cow<'a, str>, Allowed> {
        let mut cutter = Cutter::default();
        for (at, c) in self.rest.char_indices() {
            cutter.push(c);
            if cutter.state == State::Closed {
                self.take(at + 1);
                return cutter.finish().map(|mut words| Cow::Owned(words.remove(0)));
            }
        }
        Err(QUOTED)
    }
}

/// Cuts values, character by character.
#[derive(Debug, Default)]
pub(super) struct Cutter {
    done: Vec<String>,
    word: String,
    state: State,
    is_broken: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Between values.
    #[default]
    Between,
    /// In a value without quotes.
    Bare,
    /// In a value in quotes.
    Quoted,
    /// In quotes, after a `\`.
    Escape,
    /// After the closing quote.
    Closed,
}

impl Cutter {
    /// Takes text as written: blanks cut it, and quotes count.
    pub(super) fn write(&mut self, text: &str) {
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            // What means nothing special is taken in one go.
            let plain = match self.state {
                State::Bare => rest.find(BLANKS).unwrap_or(rest.len()),
                State::Quoted => rest.find(['"', '\\']).unwrap_or(rest.len()),
                _ => 0,
            };
            if plain == 0 {
                self.push(c);
            }
            let (taken, after) = rest.split_at(plain);
            self.word.push_str(taken);
            rest = if plain == 0 { &rest[c.len_utf8()..] } else { after };
        }
    }

    /// Takes what a variable holds: as written, but in quotes it cannot end them.
    pub(super) fn insert(&mut self, text: &str) {
        match self.state {
            State::Quoted | State::Escape => {
                self.flush_escape();
                self.word.push_str(text);
            }
            _ => self.write(text),
        }
    }

    /// The values; an error if quotes were not closed, or not followed by a blank.
    pub(super) fn finish(mut self) -> Result<Vec<String>, Allowed> {
        if self.is_broken || matches!(self.state, State::Quoted | State::Escape) {
            return Err(QUOTED);
        }
        if self.state != State::Between {
            self.done.push(self.word);
        }
        Ok(self.done)
    }

    /// Only `\\` and `\"` are escapes: a path with other backslashes stays as it is.
    fn push(&mut self, c: char) {
        match (self.state, c) {
            (State::Between, c) if BLANKS.contains(&c) => {}
            (State::Between, '"') => self.state = State::Quoted,
            (State::Bare | State::Closed, c) if BLANKS.contains(&c) => {
                self.done.push(std::mem::take(&mut self.word));
                self.state = State::Between;
            }
            (State::Between | State::Bare, c) => {
                self.state = State::Bare;
                self.word.push(c);
            }
            (State::Quoted, '"') => self.state = State::Closed,
            (State::Quoted, '\\') => self.state = State::Escape,
            (State::Quoted, c) => self.word.push(c),
            (State::Escape, '"' | '\\') => {
                self.state = State::Quoted;
                self.word.push(c);
            }
            (State::Escape, c) => {
                self.flush_escape();
                self.word.push(c);
            }
            (State::Closed, _) => self.is_broken = true,
        }
    }

    fn flush_escape(&mut self) {
        if self.state == State::Escape {
            self.word.push('\\');
            self.state = State::Quoted;
        }
    }
}

pub(super) const BLANKS: [char; 2] = [' ', '\t'];
const QUOTED: Allowed = "a closing quote, and a blank after it";
const CONDITION: Allowed = r#""x" == "y", "x" != "y" or os NAME, several joined by and"#;
const ONLY_AND: Allowed = "comparisons joined by and; or and not are not in this grammar";

#[cfg(test)]
mod tests {
    use super::*;

    fn values(text: &str) -> Result<Vec<String>, Allowed> {
        let mut cutter = Cutter::default();
        cutter.write(text);
        cutter.finish()
    }

    #[test]
    fn escapes_in_quotes_are_two_and_other_backslashes_stay() {
        let cut = values(r#"a "b c" "\"\\" "C:\dir\x" """#).expect("closed quotes");
        assert_eq!(cut, ["a", "b c", r#""\"#, r"C:\dir\x", ""]);
        assert_eq!(values(r#""a\"#), Err(QUOTED));
        assert_eq!(values(r#""a"b"#), Err(QUOTED));
    }

    #[test]
    fn what_is_inserted_is_cut_outside_quotes_alone() {
        let mut cutter = Cutter::default();
        cutter.insert(r#"a "b c"#);
        cutter.write(r#" d" ""#);
        cutter.insert(r#"e" f"#);
        cutter.write(r#"" g"#);
        assert_eq!(cutter.finish().expect("values"), ["a", "b c d", r#"e" f"#, "g"]);
    }

    #[test]
    fn a_condition_needs_no_blanks_and_joins_its_terms_by_and() {
        let compare = |left: &'static str, right: &'static str, equal| Term::Compare {
            left: left.into(),
            right: right.into(),
            equal,
        };
        assert_eq!(condition(r#""a"!="b""#), Ok(vec![compare("a", "b", false)]));
        let terms = condition(r#"os win32 and "x y" == ${Z} and os == os and os "linux" # all"#);
        let expected = vec![
            Term::Os("win32".into()),
            compare("x y", "${Z}", true),
            compare("os", "os", true),
            Term::Os("linux".into()),
        ];
        assert_eq!(terms, Ok(expected));
        for wrong in [r#""a" == "b" or "c" == "d""#, r#"not "a" == "b""#, r#"!os linux"#] {
            assert_eq!(condition(wrong), Err(ONLY_AND), "{wrong}");
        }
        for wrong in ["", "os", r#""os" linux"#, r#""a" = "b""#, r#""a" == "b" and"#, "a == b c"] {
            assert_eq!(condition(wrong), Err(CONDITION), "{wrong}");
        }
    }
}
