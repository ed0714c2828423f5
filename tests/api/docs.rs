//! What the documentation of a public item must hold, read off the source as the list is.
//!
//! A section `# Errors` names, as links that rustdoc checks, variants of the error that the
//! function returns; a function that returns a `Result` has the section. A type that a program
//! begins with has an example of its own, which `cargo test --doc` runs.

/// A function as it is declared, and its documentation.
struct Function {
    place: String,
    signature: String,
    doc: Vec<String>,
}

impl Function {
    /// What it returns instead of a value; `None` if it returns no `Result`.
    fn error(&self) -> Option<&str> {
        let (_, returned) = self.signature.rsplit_once(") -> ")?;
        if returned.starts_with("io::Result<") {
            return Some("io::Error");
        }
        let inside = returned.strip_prefix("Result<")?.rsplit_once('>')?.0;
        let mut depth = 0;
        let comma = inside.char_indices().rev().find(|(_, character)| {
            depth += i32::from(matches!(character, '>' | ')'))
                - i32::from(matches!(character, '<' | '('));
            *character == ',' && depth == 0
        })?;
        Some(inside[comma.0 + 1..].trim())
    }

    /// The text of the section `# Errors`.
    fn errors(&self) -> Option<String> {
        let start = self.doc.iter().position(|line| line == "# Errors")?;
        let lines = self.doc[start + 1..].iter();
        let ends = |line: &&String| !line.starts_with("# ") && !line.starts_with("```");
        Some(lines.take_while(ends).map(String::as_str).collect::<Vec<_>>().join(" "))
    }

    /// What is wrong with its documentation of errors.
    fn complaint(&self) -> Option<String> {
        let error = self.error()?;
        let Some(section) = self.errors() else {
            return Some(format!("{}: no `# Errors`, but it returns {error}", self.place));
        };
        let name = enum_of(error);
        match section.contains(&format!("[`{name}::")) {
            true => None,
            false => Some(format!("{}: `# Errors` links no variant of {name}", self.place)),
        }
    }
}

/// The enum whose variants say what an error was.
fn enum_of(error: &str) -> &str {
    match error {
        "io::Error" => "io::ErrorKind",
        "Errors" => "ErrorKind",
        "SendAllError" => "SendError",
        "Box<Violation>" => "Invariant",
        "Box<NodeViolation>" => "NodeInvariant",
        other => other,
    }
}

/// The public functions of a file, and the methods of its public traits.
fn functions(name: &str, text: &str) -> Vec<Function> {
    let (mut found, mut doc, mut in_trait) = (Vec::new(), Vec::new(), false);
    let lines: Vec<&str> = text.lines().take_while(|line| *line != "mod tests {").collect();
    for (at, line) in lines.iter().enumerate() {
        let item = line.trim_start();
        match *line {
            line if line.starts_with("pub trait ") => in_trait = true,
            "}" => in_trait = false,
            _ => {}
        }
        if let Some(text) = item.strip_prefix("///") {
            doc.push(text.trim().to_owned());
        } else if item.starts_with("#[") || item.starts_with("//") {
            // Between a doc and its item.
        } else {
            let is_function = item.starts_with("pub fn ") || (in_trait && item.starts_with("fn "));
            if is_function {
                let whole = lines[at..].iter().map(|line| line.trim());
                let mut signature = String::new();
                for part in whole {
                    signature += part;
                    signature.push(' ');
                    if part.ends_with(['{', ';']) || part == "where" {
                        break;
                    }
                }
                let signature = signature.trim_end_matches([' ', '{', ';']);
                let signature = signature.trim_end_matches(" where").replace(" where ", "");
                let place = format!("{name}:{}: {item}", at + 1);
                found.push(Function { place, signature, doc: std::mem::take(&mut doc) });
            }
            doc.clear();
        }
    }
    found
}

fn complaints(name: &str, text: &str) -> Vec<String> {
    functions(name, text).iter().filter_map(Function::complaint).collect()
}

#[test]
fn every_errors_section_names_variants() {
    let (mut complaints, mut judged) = (Vec::new(), 0);
    for (name, text) in super::files() {
        let functions = functions(&name, &text);
        judged += functions.iter().filter(|function| function.error().is_some()).count();
        complaints.extend(functions.iter().filter_map(Function::complaint));
    }
    assert!(complaints.is_empty(), "{complaints:#?}");
    assert!(judged > 70, "{judged} functions: the sources were not read");
}

#[test]
fn an_errors_section_without_variants_is_seen() {
    let function = |doc: &str, signature: &str| {
        complaints(
            "a.rs",
            &format!("impl A {{\n    /// Does.{doc}\n    {signature} {{\n    }}\n}}\n"),
        )
    };
    let errors = "\n    ///\n    /// # Errors\n    ///";
    let send = "pub fn send(&self, f: impl Fn(u8) -> u8) -> Result<Vec<(u8, u8)>, SendError>";
    let vague = function(&format!("{errors} Why it was not."), send);
    assert_eq!(vague.len(), 1, "{vague:?}");
    assert!(vague[0].contains("SendError"), "{vague:?}");
    let of_another = function(&format!("{errors} [`RecvError::Closed`]."), send);
    assert_eq!(of_another.len(), 1);
    let unchecked = function(&format!("{errors} `SendError::Full`."), send);
    assert_eq!(unchecked.len(), 1, "what rustdoc does not check");
    let behind =
        format!("{errors} Why not.\n    ///\n    /// # Panics\n    /// [`SendError::Full`]");
    assert_eq!(function(&behind, send).len(), 1, "another section's");
    assert_eq!(function("", send).len(), 1, "no section");
    assert!(function(&format!("{errors} [`SendError::Full`] if so."), send).is_empty());
    assert!(function("", "pub fn length(&self) -> usize").is_empty());
    let read = "pub fn read(&self) -> io::Result<usize>";
    assert_eq!(function(&format!("{errors} As `Read::read`."), read).len(), 1);
    assert!(function(&format!("{errors} [`io::ErrorKind::TimedOut`]."), read).is_empty());
    let method = "pub trait A {\n    /// # Errors\n    /// Some.\n    fn f(\n        \
        &self,\n    ) -> Result<(), Errors>;\n}\nfn g() -> Result<(), Errors> {\n}\n";
    assert_eq!(complaints("a.rs", method).len(), 1);
}

/// The types that a program begins with.
const MAIN: &str = "Cable Config ConfigBuilder ConfigOptions Errors PeerBuilder \
    Connection Down Histogram LinkEvent QueueBudget Stats Journal JournalHandler \
    Batch Explanation Faults Inbox Layer Layered Link LinkHandler LinkOptions Stream Until \
    FixedIntervals HeartbeatTimer Liveness Settings SilenceTimer Time \
    Node NodeEvent NodeHandler NodeOptions NodeStats Peer Transport \
    Decoder Framing Hello Conditions Context Invariants Net NodeInvariants Nodes Pair Script \
    SimOptions";

/// The public types of a file whose documentation has an example.
fn with_examples(text: &str) -> Vec<&str> {
    let (mut found, mut has_example) = (Vec::new(), false);
    for line in text.lines() {
        if let Some(doc) = line.strip_prefix("///") {
            has_example |= doc.trim_start().starts_with("```");
        } else if !line.starts_with(['#', '/']) {
            let kinds = ["pub struct ", "pub enum ", "pub trait "];
            let named = kinds.iter().find_map(|kind| line.strip_prefix(kind));
            let name = named.and_then(|rest| rest.split(|c: char| !c.is_alphanumeric()).next());
            found.extend(name.filter(|_| has_example));
            has_example = false;
        }
    }
    found
}

#[test]
fn main_types_have_an_example() {
    let files = super::files();
    let found: Vec<_> = files.iter().flat_map(|(_, text)| with_examples(text)).collect();
    let without: Vec<_> = MAIN.split_whitespace().filter(|name| !found.contains(name)).collect();
    assert!(without.is_empty(), "without an example: {without:?}");
    let text = "/// ```\n/// ```\n#[must_use]\npub struct A<'a> {\n}\n/// B.\npub enum B {}\n";
    assert_eq!(with_examples(text), ["A"]);
}
