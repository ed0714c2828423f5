//! Every path that code names, with the groups of `use` taken apart.

use super::source::Source;

/// A path such as `crate::link::Link`, and the line it begins in.
pub(super) struct Named {
    pub(super) line: usize,
    pub(super) parts: Vec<String>,
}

impl Named {
    pub(super) fn starts_with(&self, parts: &[&str]) -> bool {
        self.parts.len() >= parts.len() && self.parts.iter().zip(parts).all(|(a, b)| a == b)
    }

    /// These parts follow each other, anywhere in the path.
    pub(super) fn holds(&self, parts: &[&str]) -> bool {
        self.parts.windows(parts.len()).any(|run| run == parts)
    }

    pub(super) fn text(&self) -> String {
        self.parts.join("::")
    }
}

/// All paths of a file.
pub(super) fn all(source: &Source) -> Vec<Named> {
    let mut reader = Reader { source, at: 0, found: Vec::new() };
    while reader.at < source.code.len() {
        if reader.word().is_none() {
            reader.at += reader.rest().chars().next().map_or(1, char::len_utf8);
        }
    }
    reader.found
}

struct Reader<'a> {
    source: &'a Source,
    at: usize,
    found: Vec<Named>,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        &self.source.code[self.at..]
    }

    /// Reads the path that begins here, if one does.
    fn word(&mut self) -> Option<()> {
        let begins = self.rest().starts_with(|c: char| c.is_alphabetic() || c == '_');
        begins.then(|| self.path(Vec::new()))
    }

    fn path(&mut self, mut parts: Vec<String>) {
        let line = self.source.line_of(self.at);
        loop {
            let rest = self.rest();
            let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            if end == 0 {
                break;
            }
            parts.push(rest[..end].to_owned());
            self.at += end;
            if !self.eat("::") {
                break;
            }
            if self.eat("{") {
                self.group(&parts);
                return;
            }
        }
        self.found.push(Named { line, parts });
    }

    /// `a, b::{c, d}}` after the prefix that `parts` hold.
    fn group(&mut self, parts: &[String]) {
        while self.at < self.source.code.len() && !self.eat("}") {
            self.blanks();
            let from = self.at;
            self.path(parts.to_vec());
            self.blanks();
            let stuck = !self.eat(",") && self.at == from;
            if stuck && !self.rest().starts_with('}') {
                self.at += self.rest().chars().next().map_or(1, char::len_utf8);
            }
        }
    }

    fn blanks(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    /// Takes `text`, with blanks before it, if it is next.
    fn eat(&mut self, text: &str) -> bool {
        let trimmed = self.rest().trim_start();
        let is_next = trimmed.starts_with(text);
        if is_next {
            self.at = self.source.code.len() - trimmed.len() + text.len();
            self.blanks();
        }
        is_next
    }
}
