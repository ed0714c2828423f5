//! One line: an item's name, its values, or the condition of an `if`.
//!
//! One function a grammar rule, each taking what it needs from the front of a [`Cursor`]. Nothing
//! is expanded here: a line is cut first, so that what a variable holds can never become syntax.

use std::borrow::Cow;

/// What may stand where something else was found.
pub(super) type Allowed = &'static str;

/// The two sides of an `if`, not yet expanded.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Condition<'a> {
    pub(super) left: Cow<'a, str>,
    pub(super) right: Cow<'a, str>,
    /// Whether the sides must be equal (`==`) or different (`!=`).
    pub(super) equal: bool,
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

/// The values after an item's name.
pub(super) fn values(rest: &str) -> Result<Vec<Cow<'_, str>>, Allowed> {
    let mut cursor = Cursor { rest };
    let mut values = Vec::new();
    while cursor.skip_blanks() {
        values.push(cursor.value()?);
    }
    Ok(values)
}

/// The condition after `if`.
pub(super) fn condition(rest: &str) -> Result<Condition<'_>, Allowed> {
    let mut cursor = Cursor { rest };
    let left = cursor.operand()?;
    cursor.skip_blanks();
    let equal = cursor.operator()?;
    let right = cursor.operand()?;
    if cursor.skip_blanks() && !is_comment(cursor.rest) {
        return Err(CONDITION);
    }
    Ok(Condition { left, right, equal })
}

/// Whether nothing but a comment follows, as after `endif`.
pub(super) fn is_comment(rest: &str) -> bool {
    rest.is_empty() || rest.starts_with('#')
}

/// What is left of a line.
struct Cursor<'a> {
    rest: &'a str,
}

impl<'a> Cursor<'a> {
    /// Whether anything follows.
    fn skip_blanks(&mut self) -> bool {
        self.rest = self.rest.trim_start_matches(BLANKS);
        !self.rest.is_empty()
    }

    fn take(&mut self, end: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }

    fn value(&mut self) -> Result<Cow<'a, str>, Allowed> {
        if !self.rest.starts_with('"') {
            let end = self.rest.find(BLANKS).unwrap_or(self.rest.len());
            return Ok(Cow::Borrowed(self.take(end)));
        }
        let value = self.quoted()?;
        if self.rest.is_empty() || self.rest.starts_with(BLANKS) { Ok(value) } else { Err(QUOTED) }
    }

    fn operand(&mut self) -> Result<Cow<'a, str>, Allowed> {
        if !self.skip_blanks() {
            return Err(CONDITION);
        }
        if self.rest.starts_with('"') {
            return self.quoted();
        }
        let end = [self.rest.find(BLANKS), self.rest.find("=="), self.rest.find("!=")];
        match end.into_iter().flatten().min().unwrap_or(self.rest.len()) {
            0 => Err(CONDITION),
            end => Ok(Cow::Borrowed(self.take(end))),
        }
    }

    fn operator(&mut self) -> Result<bool, Allowed> {
        match self.rest.get(..2) {
            Some(sign @ ("==" | "!=")) => {
                let equal = sign == "==";
                self.take(2);
                Ok(equal)
            }
            _ => Err(CONDITION),
        }
    }

    /// From a `"` to the next that no `\` precedes. Only `\\` and `\"` are escapes: a path with
    /// other backslashes stays as it is.
    fn quoted(&mut self) -> Result<Cow<'a, str>, Allowed> {
        let body = &self.rest[1..];
        let mut text = Cow::Borrowed("");
        let mut from = 0;
        let mut at = 0;
        while let Some(found) = body[at..].find(['"', '\\']) {
            at += found;
            if body[at..].starts_with('"') {
                push(&mut text, &body[from..at]);
                self.take(at + 2);
                return Ok(text);
            }
            if body[at..].starts_with(r"\\") || body[at..].starts_with(r#"\""#) {
                push(&mut text, &body[from..at]);
                from = at + 1;
                at += 2;
            } else {
                at += 1;
            }
        }
        Err(QUOTED)
    }
}

fn push<'a>(text: &mut Cow<'a, str>, part: &'a str) {
    if text.is_empty() {
        *text = Cow::Borrowed(part);
    } else {
        text.to_mut().push_str(part);
    }
}

const BLANKS: [char; 2] = [' ', '\t'];
const QUOTED: Allowed = "a closing quote, and a blank after it";
const CONDITION: Allowed = r#""x" == "y" or "x" != "y""#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_in_quotes_are_two_and_other_backslashes_stay() {
        let cut = values(r#"a "b c" "\"\\" "C:\dir\x" """#).expect("closed quotes");
        assert_eq!(cut, ["a", "b c", r#""\"#, r"C:\dir\x", ""]);
    }

    #[test]
    fn a_condition_needs_no_blanks() {
        let condition = condition(r#""a"!="b""#).expect("a condition");
        assert_eq!((&*condition.left, &*condition.right, condition.equal), ("a", "b", false));
    }
}
