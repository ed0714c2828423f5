//! A Rust file as the rules see it: its lines, its code without comments and literals, its
//! functions.

/// One file.
pub(super) struct Source {
    /// From the root of the package, with forward slashes.
    pub(super) path: String,
    pub(super) text: String,
    /// The text with everything in comments and literals blanked, line for line.
    pub(super) code: String,
    /// Where each line of the code ends.
    ends: Vec<usize>,
}

/// A function with a body.
pub(super) struct Function<'a> {
    pub(super) name: &'a str,
    /// The line of `fn`, from 1.
    pub(super) line: usize,
    /// The lines from `fn` to the closing brace.
    pub(super) lines: usize,
    /// It is `extern`, with any calling convention.
    pub(super) is_extern: bool,
    /// What is between the braces.
    pub(super) body: &'a str,
}

impl Source {
    pub(super) fn new(path: &str, text: &str) -> Self {
        let code = blank(text);
        let ends = code.match_indices('\n').map(|(at, _)| at).collect();
        Self { path: path.to_owned(), text: text.to_owned(), code, ends }
    }

    /// The module that the file is in: `src/MODULE/...`; the empty one for `src/lib.rs`.
    pub(super) fn module(&self) -> &str {
        let mut parts = self.path.split('/');
        match (parts.next(), parts.next()) {
            (Some("src"), Some(module)) => module.trim_end_matches(".rs").trim_end_matches("lib"),
            _ => "",
        }
    }

    pub(super) fn line_of(&self, at: usize) -> usize {
        self.ends.partition_point(|end| *end < at) + 1
    }

    /// A complaint about a line.
    pub(super) fn complain(&self, line: usize, what: &str) -> String {
        format!("{}:{line}: {what}", self.path)
    }

    /// Every function that has a name and a body, nested ones too.
    pub(super) fn functions(&self) -> Vec<Function<'_>> {
        let mut found = Vec::new();
        for at in words(&self.code, "fn") {
            let after = &self.code[at + 2..];
            let name = after.trim_start();
            let end = name.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(name.len());
            let name = &name[..end];
            let Some(open) = body_start(after).filter(|_| !name.is_empty()) else { continue };
            let Some(length) = block_length(&after[open..]) else { continue };
            let whole = &self.code[at..at + 2 + open + length];
            let before = self.code[..at].trim_end();
            found.push(Function {
                name,
                line: self.line_of(at),
                lines: whole.matches('\n').count() + 1,
                is_extern: before.ends_with("extern") || before.ends_with("\""),
                body: after[open + 1..open + length - 1].trim(),
            });
        }
        found
    }
}

/// The positions of a whole word in blanked code.
pub(super) fn words<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(word).map(|(at, _)| at).filter(move |at| {
        let before = code[..*at].chars().next_back().is_some_and(is_part);
        let after = code[at + word.len()..].chars().next().is_some_and(is_part);
        !before && !after
    })
}

/// The brace that opens a function's body; `None` if a semicolon ends its declaration. Array types
/// in the signature hold semicolons too, inside brackets.
fn body_start(signature: &str) -> Option<usize> {
    let mut depth = 0usize;
    for (at, c) in signature.char_indices() {
        match c {
            '(' | '[' => depth += 1,
            ')' | ']' => depth = depth.saturating_sub(1),
            '{' if depth == 0 => return Some(at),
            ';' if depth == 0 => return None,
            _ => {}
        }
    }
    None
}

/// The length of the block that begins at the front, braces included.
pub(super) fn block_length(code: &str) -> Option<usize> {
    let mut depth = 0usize;
    for (at, c) in code.char_indices() {
        match c {
            '{' | '(' => depth += 1,
            '}' | ')' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(at + 1);
        }
    }
    None
}

/// Puts blanks for everything in comments and inside literals; newlines and quotes stay.
fn blank(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let (kept, length) = match c {
            '/' if rest.starts_with("//") => (0, rest.find('\n').unwrap_or(rest.len())),
            '/' if rest.starts_with("/*") => (0, block_comment(rest)),
            '"' => (1, string(rest)),
            'r' | 'b' | 'c' if !ends_in_word(&out) => match literal_prefix(rest) {
                Some(length) => (0, length),
                None => (1, 1),
            },
            '\'' => (1, character(rest)),
            _ => (c.len_utf8(), c.len_utf8()),
        };
        out.push_str(&rest[..kept]);
        for c in rest[kept..length].chars() {
            out.push(if c == '\n' { '\n' } else { ' ' });
        }
        if length > 1 && rest[..length].ends_with('"') {
            out.pop();
            out.push('"');
        }
        rest = &rest[length..];
    }
    out
}

fn ends_in_word(code: &str) -> bool {
    code.chars().next_back().is_some_and(|c| c.is_alphanumeric() || c == '_')
}

fn block_comment(text: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    loop {
        let rest = &text[at..];
        if rest.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with("*/") {
            depth -= 1;
            at += 2;
        } else {
            at += rest.chars().next().map_or(0, char::len_utf8);
        }
        if depth == 0 || at >= text.len() {
            return at;
        }
    }
}

/// The length of a string literal that begins with its quote.
fn string(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            '"' if !escaped => return at + 1,
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    text.len()
}

/// The length of a raw, byte or C string, or of a byte; `None` if a name begins with that letter.
fn literal_prefix(text: &str) -> Option<usize> {
    let letters = text.len() - text.trim_start_matches(['r', 'b', 'c']).len();
    let rest = &text[letters..];
    let hashes = rest.len() - rest.trim_start_matches('#').len();
    let is_raw = text[..letters].contains('r');
    if letters > 2 {
        None
    } else if is_raw && rest[hashes..].starts_with('"') {
        let end = format!("\"{}", "#".repeat(hashes));
        let from = letters + hashes + 1;
        Some(text[from..].find(&end).map_or(text.len(), |at| from + at + end.len()))
    } else if rest.starts_with('"') {
        Some(letters + string(rest))
    } else if rest.starts_with('\'') && text.starts_with('b') {
        Some(letters + character(rest))
    } else {
        None
    }
}

/// The length of a character literal; 1 if the quote begins a lifetime.
fn character(text: &str) -> usize {
    let inside = &text[1..];
    if let Some(escape) = inside.strip_prefix('\\') {
        let skipped = escape.chars().next().map_or(0, char::len_utf8);
        return escape[skipped..].find('\'').map_or(1, |end| 2 + skipped + end + 1);
    }
    let length = inside.chars().next().map_or(0, char::len_utf8);
    if inside[length..].starts_with('\'') { 1 + length + 1 } else { 1 }
}
