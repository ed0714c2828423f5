//! The rules: from sources to complaints.

use super::paths::{self, Named};
use super::source::{Source, block_length, words};

/// Which modules a module may import: those on its left. `config` feeds `link` and `node`, and
/// `sim` drives connections and nodes without threads.
const MODULES: &[(&str, &[&str])] = &[
    ("text", &[]),
    ("setters", &[]),
    ("recover", &[]),
    ("guarded", &[]),
    ("protocol", &[]),
    ("liveness", &["protocol"]),
    ("config", &["protocol", "liveness"]),
    ("connection", &["protocol", "liveness"]),
    ("link", &["protocol", "liveness", "connection"]),
    ("node", &["protocol", "liveness", "connection", "config", "link"]),
    ("sim", &["protocol", "liveness", "connection", "config", "link", "node"]),
    ("ffi", &["protocol", "liveness", "connection", "config", "link", "node"]),
    ("journal", &["protocol", "liveness", "connection", "config", "link", "node"]),
    ("cable", &[]),
    (
        "bin",
        &[
            "protocol",
            "liveness",
            "connection",
            "config",
            "link",
            "node",
            "journal",
            "sim",
            "cable",
        ],
    ),
];

/// What every module may import: how foreign text and durations are shown, how a lock is
/// taken, and how code is called that may panic.
const EVERYWHERE: [&str; 3] = ["text", "recover", "guarded"];

/// The modules whose time is a value.
const CLOCKLESS: [&str; 6] = ["text", "protocol", "liveness", "connection", "config", "sim"];

/// What may be longer at its head than 15 lines, and why.
const LONG_HEADS: &[(&str, &str)] = &[
    ("src/lib.rs", "the first page of the crate: where to begin, the map of modules"),
    ("src/protocol/mod.rs", "the wire format whole, for other implementations"),
    ("src/config/mod.rs", "the file format whole"),
    ("src/link/mod.rs", "why the threads of a link are as they are"),
    ("src/node/mod.rs", "the life of a node, for its users"),
    ("src/sim/mod.rs", "the guide for those who test with it, with its examples"),
    ("src/journal/mod.rs", "the schema of the journal whole"),
    ("src/cable/mod.rs", "the table of faults, for its users, with an example"),
    ("src/link/handshake.rs", "the page of those who make single links, with its example"),
];

/// The one file of the command with `unsafe`: the handler of its signals.
const SIGNALS: &str = "src/bin/peerbeat/signals.rs";

const TOP_LEVEL: [&str; 7] =
    ["Cargo.toml", "Cargo.lock", "README.md", "LICENSE", "src", "tests", "fuzz"];

const FILE_MAX: usize = 500;
const FUNCTION_MAX: usize = 70;
const COLUMNS_MAX: usize = 100;

pub(super) fn imports(sources: &[Source]) -> Vec<String> {
    let mut complaints = Vec::new();
    for source in sources.iter().filter(|source| !source.module().is_empty()) {
        let module = source.module();
        let Some((_, allowed)) = MODULES.iter().find(|(name, _)| *name == module) else {
            complaints.push(source.complain(1, &format!("no rule for the module {module}")));
            continue;
        };
        for named in paths::all(source) {
            let Some(other) = imported_module(source, &named) else { continue };
            let is_module = MODULES.iter().any(|(name, _)| *name == other);
            let is_allowed =
                other == module || EVERYWHERE.contains(&other) || allowed.contains(&other);
            if is_module && !is_allowed {
                let what = format!("{module} imports {other}: {}", named.text());
                complaints.push(source.complain(named.line, &what));
            }
        }
    }
    complaints
}

/// The first part below the crate's root that a path names, if it begins there.
fn imported_module<'a>(source: &Source, named: &'a Named) -> Option<&'a str> {
    let supers = named.parts.iter().take_while(|part| *part == "super").count();
    let depth = source.path.split('/').count() - 2 + usize::from(!source.path.ends_with("mod.rs"));
    match named.parts.first()?.as_str() {
        "crate" | "peerbeat" => named.parts.get(1).map(String::as_str),
        "super" if supers >= depth => named.parts.get(supers).map(String::as_str),
        _ => None,
    }
}

pub(super) fn clocks(sources: &[Source]) -> Vec<String> {
    // Addresses are plain values: config checks them.
    let is_value = |named: &Named| {
        let end = named.parts.last().map_or("", String::as_str);
        named.parts.iter().any(|part| part.starts_with("Ip"))
            || end.starts_with("Addr")
            || end == "SocketAddr"
    };
    let bans = |named: &Named| {
        named.holds(&["Instant", "now"])
            || named.holds(&["SystemTime"])
            || named.starts_with(&["std", "thread"])
            || named.holds(&["thread", "sleep"])
            || named.holds(&["thread", "spawn"])
            || named.starts_with(&["std", "net"]) && !is_value(named)
    };
    let inside = |source: &&Source| CLOCKLESS.contains(&source.module());
    complain_of(sources.iter().filter(inside), bans, "no clock, thread or socket here")
}

/// Tests of what has no clock have no use for time that passes.
pub(super) fn no_sleep(sources: &[Source]) -> Vec<String> {
    let of_core = |source: &&Source| {
        let path = source.path.strip_prefix("tests/").unwrap_or_default();
        CLOCKLESS.iter().any(|module| path.starts_with(module))
            || CLOCKLESS.contains(&source.module())
    };
    let mut complaints = Vec::new();
    for source in sources.iter().filter(of_core) {
        for word in ["sleep", "park_timeout", "recv_timeout", "wait_timeout"] {
            for at in words(&source.code, word) {
                let what = format!("{word}: a test of the core takes no time");
                complaints.push(source.complain(source.line_of(at), &what));
            }
        }
    }
    complaints
}

/// A listener's `accept` has no end: `accept` of tests/common has. What is measured, and the
/// examples, wait as programs do.
pub(super) fn no_endless_accept(sources: &[Source]) -> Vec<String> {
    let may = ["tests/common/accept.rs", "tests/bench/", "tests/compare/", "tests/examples/"];
    let mut complaints = Vec::new();
    for source in sources.iter().filter(|source| !may.iter().any(|at| source.path.starts_with(at)))
    {
        for at in words(&source.code, "accept").filter(|at| source.code[..*at].ends_with('.')) {
            if source.code[at..].starts_with("accept()") {
                let what = "accept() has no end that names itself: use tests/common/accept.rs";
                complaints.push(source.complain(source.line_of(at), what));
            }
        }
    }
    complaints
}

pub(super) fn time_of_day(sources: &[Source]) -> Vec<String> {
    let bans = |named: &Named| named.holds(&["SystemTime"]) || named.holds(&["UNIX_EPOCH"]);
    // The journal and the command only show it.
    let outside = sources.iter().filter(|source| !["bin", "journal"].contains(&source.module()));
    complain_of(outside, bans, "wall clocks are stepped, and links die of it")
}

pub(super) fn no_writev(sources: &[Source]) -> Vec<String> {
    let bans = |word: &str| word == "write_vectored" || word == "IoSlice";
    let bans = |named: &Named| named.parts.iter().any(|part| bans(part));
    complain_of(sources.iter(), bans, "writev raises SIGPIPE in a C host")
}

/// `cable` and the command import nothing of that kind, and do so themselves.
pub(super) fn one_recovery(sources: &[Source]) -> Vec<String> {
    let bans = |named: &Named| named.parts.iter().any(|part| part == "PoisonError");
    let others = ["recover", "cable", "bin"];
    let outside = |source: &&Source| !others.contains(&source.module());
    complain_of(sources.iter().filter(outside), bans, "a lock is taken with `recover`")
}

pub(super) fn no_unsafe(sources: &[Source]) -> Vec<String> {
    let bans = |named: &Named| named.holds(&["unsafe"]);
    let outside = |source: &&Source| source.module() != "ffi" && source.path != SIGNALS;
    complain_of(sources.iter().filter(outside), bans, "unsafe lives in ffi alone")
}

fn complain_of<'a>(
    sources: impl Iterator<Item = &'a Source>,
    bans: impl Fn(&Named) -> bool,
    why: &str,
) -> Vec<String> {
    let mut complaints = Vec::new();
    for source in sources {
        for named in paths::all(source).iter().filter(|named| bans(named)) {
            complaints.push(source.complain(named.line, &format!("{}: {why}", named.text())));
        }
    }
    complaints
}

/// The whole body of a C function is one call of `guard`, or of a function in the module of that
/// name, so that no panic can leave it.
pub(super) fn guarded(sources: &[Source]) -> Vec<String> {
    let mut complaints = Vec::new();
    for source in sources.iter().filter(|source| source.path != SIGNALS) {
        let functions = source.functions();
        for function in functions.iter().filter(|function| function.is_extern) {
            if !is_one_guard(function.body) {
                let what = format!("{} has code outside the guard", function.name);
                complaints.push(source.complain(function.line, &what));
            }
            if source.module() != "ffi" {
                let what = format!("{} belongs into ffi", function.name);
                complaints.push(source.complain(function.line, &what));
            }
        }
    }
    complaints
}

fn is_one_guard(body: &str) -> bool {
    let Some(rest) = body.strip_prefix("guard") else { return false };
    let rest = match rest.strip_prefix("::") {
        Some(name) => name.trim_start_matches(|c: char| c.is_alphanumeric() || c == '_'),
        None => rest.strip_prefix('!').unwrap_or(rest).trim_start(),
    };
    let Some(length) = block_length(rest).filter(|_| rest.starts_with(['(', '{'])) else {
        return false;
    };
    rest[length..].chars().all(|c| c.is_whitespace() || c == ';')
}

pub(super) fn file_length(sources: &[Source]) -> Vec<String> {
    let long = |source: &&Source| source.text.lines().count() > FILE_MAX;
    let complain = |source: &Source| {
        let lines = source.text.lines().count();
        source.complain(lines, &format!("{lines} lines, allowed: {FILE_MAX}"))
    };
    sources.iter().filter(long).map(complain).collect()
}

pub(super) fn function_length(sources: &[Source]) -> Vec<String> {
    let mut complaints = Vec::new();
    for source in sources {
        for function in source.functions().iter().filter(|f| f.lines > FUNCTION_MAX) {
            let what =
                format!("{} has {} lines, allowed: {FUNCTION_MAX}", function.name, function.lines);
            complaints.push(source.complain(function.line, &what));
        }
    }
    complaints
}

/// Rows of tables in documentation and lines inside literals are as long as what they say;
/// everything else can be broken.
pub(super) fn line_length(sources: &[Source]) -> Vec<String> {
    let mut complaints = Vec::new();
    for source in sources {
        for (index, (line, code)) in source.text.lines().zip(source.code.lines()).enumerate() {
            let columns = line.chars().count();
            let start = line.trim_start();
            let is_row = start.starts_with("//! |") || start.starts_with("/// |");
            let is_comment = line.contains("// ") || start.starts_with("//");
            let indent = line.len() - start.len();
            let words: usize = code.split_whitespace().map(|word| word.chars().count() + 1).sum();
            let is_literal = !is_comment && indent + words <= COLUMNS_MAX;
            if columns > COLUMNS_MAX && !is_row && !is_literal {
                let what = format!("{columns} columns, allowed: {COLUMNS_MAX}");
                complaints.push(source.complain(index + 1, &what));
            }
        }
    }
    complaints
}

pub(super) fn heads(sources: &[Source]) -> Vec<String> {
    let mut complaints = Vec::new();
    for source in sources {
        let lines = source.text.lines().take_while(|line| line.starts_with("//!")).count();
        let may_be_long = LONG_HEADS.iter().any(|(path, _)| *path == source.path);
        if lines < 3 || lines > 15 && !may_be_long {
            let what = format!("{lines} lines of //! at its head, allowed: 3 to 15");
            complaints.push(source.complain(1, &what));
        }
    }
    complaints
}

/// `if let PATTERN = VALUE && ...`, or a `let` behind `&&`: cargo refuses them with the declared
/// rust-version.
pub(super) fn let_chains(sources: &[Source]) -> Vec<String> {
    let mut complaints = Vec::new();
    for source in sources {
        for at in words(&source.code, "let") {
            let before = source.code[..at].trim_end();
            let is_condition = before.ends_with("if") || before.ends_with("while");
            if before.ends_with("&&") || is_condition && is_chained(&source.code[at..]) {
                let what = "a chain of lets, which the declared rust-version does not know";
                complaints.push(source.complain(source.line_of(at), what));
            }
        }
    }
    complaints
}

/// Whether `&&` follows the value of a `let` outside all brackets, before the block.
fn is_chained(code: &str) -> bool {
    let Some(equals) = code.find(" = ") else { return false };
    let mut depth = 0usize;
    for (at, c) in code[equals..].char_indices() {
        match c {
            '(' | '[' => depth += 1,
            ')' | ']' => depth = depth.saturating_sub(1),
            '{' | ';' if depth == 0 => return false,
            '&' if depth == 0 && code[equals + at..].starts_with("&& ") => return true,
            _ => {}
        }
    }
    false
}

pub(super) fn top_level(mut names: Vec<String>) -> Vec<String> {
    names.dedup();
    let fits = |name: &str| name.starts_with('.') || TOP_LEVEL.contains(&name);
    let strange = names.into_iter().filter(|name| !fits(name));
    strange.map(|name| format!("{name} does not belong at the top level")).collect()
}

/// The deployment under tests/config has a folder `shared` of its own. The words are put together
/// here, or this file would break its own rule.
pub(super) fn no_outside(sources: &[Source]) -> Vec<String> {
    let shared = ["..", "shared"].join("/");
    let work = ["", "work", ""].join("/");
    let documents = ["DESIGN", "PROTOCOL", "CONFIG", "LESSONS", "STYLE", "TOOLS", "PERF"];
    let documents: Vec<String> = documents.iter().map(|name| [name, "md"].join(".")).collect();
    let refers = |line: &str| {
        let documents = documents.iter().any(|document| line.contains(document));
        line.contains(&shared) || line.contains(&work) || documents
    };
    let mut complaints = Vec::new();
    for source in sources.iter().filter(|source| !source.path.starts_with("tests/config/pricing/"))
    {
        for (index, line) in source.text.lines().enumerate() {
            if refers(line) {
                let what = "refers to a place that is not in the package";
                complaints.push(source.complain(index + 1, what));
            }
        }
    }
    complaints
}

/// Whether the blanked code names this word at all.
pub(super) fn names(source: &Source, word: &str) -> bool {
    words(&source.code, word).next().is_some()
}
