//! Reading lines: what each one is, and handing its values on.
//!
//! The reader never stops at an error, only at a limit, so that a run reports everything that is
//! wrong. Structure (`if`, groups) is in [`structure`](super::structure), files are in
//! [`include`](super::include); this file owns the state and the items.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::blocks::{BlockKind, Blocks};
use super::error::ErrorKind;
use super::expand::{ENVIRONMENT, ExpandError, Variables};
use super::globals::GlobalItems;
use super::items::{self, PeerItem};
use super::lexer;
use super::limits::{MAX_LINE_BYTES, MAX_VARIABLES};
use super::options::Options;
use super::peer::PeerItems;
use super::place::Place;
use super::report::Report;
use super::value::Item;
use super::warning::WarningKind;

/// All that was read so far.
pub(super) struct Reader<'o> {
    pub(super) options: &'o Options,
    pub(super) report: Report,
    pub(super) globals: GlobalItems,
    pub(super) peers: Vec<PeerItems>,
    /// The `add-peer` that is open.
    pub(super) peer: Option<PeerItems>,
    pub(super) blocks: Blocks,
    pub(super) variables: Variables<'o>,
    /// The files that are being read, the outermost first.
    pub(super) chain: Vec<PathBuf>,
    pub(super) files: usize,
    pub(super) bytes: usize,
    /// A limit was passed: read no more.
    pub(super) stopped: bool,
}

/// The file that is being read.
pub(super) struct Source {
    /// As people name it.
    pub(super) shown: Arc<str>,
    /// Its folder, absolute: `${ccd}`.
    pub(super) folder: PathBuf,
    pub(super) included_from: Option<Arc<Place>>,
}

/// The line that is being read.
#[derive(Clone, Copy)]
pub(super) struct Line<'a> {
    pub(super) source: &'a Source,
    pub(super) number: u32,
}

impl Line<'_> {
    pub(super) fn place(&self) -> Place {
        let source = self.source;
        Place::new(source.shown.clone(), self.number, source.included_from.clone())
    }
}

/// Whose items these are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Owner {
    Global,
    Peer,
    Others,
}

impl<'o> Reader<'o> {
    pub(super) fn new(options: &'o Options) -> Reader<'o> {
        Reader {
            options,
            report: Report::default(),
            globals: GlobalItems::default(),
            peers: Vec::new(),
            peer: None,
            blocks: Blocks::default(),
            variables: Variables::new(options),
            chain: Vec::new(),
            files: 0,
            bytes: 0,
            stopped: false,
        }
    }

    /// Reads all lines of a file.
    pub(super) fn read_text(&mut self, source: &Source, text: &str) {
        let floor = self.blocks.enter();
        for (text, number) in text.split('\n').zip(1..) {
            self.read_line(Line { source, number }, text.strip_suffix('\r').unwrap_or(text));
            if self.stopped {
                break;
            }
        }
        self.end_file(source);
        self.blocks.leave(floor);
    }

    fn read_line(&mut self, line: Line<'_>, text: &str) {
        let Some((name, rest)) = lexer::item(text) else { return };
        if !self.blocks.is_live() {
            return self.read_dead(line, name, rest);
        }
        if text.len() > MAX_LINE_BYTES {
            return self.stop(line, "text", "bytes in a line", MAX_LINE_BYTES);
        }
        if !name.contains("${") {
            return self.read_live(line, name, rest);
        }
        if let Some(name) = self.expand(line, "text", name, false) {
            self.read_live(line, &name, rest);
        }
    }

    fn read_live(&mut self, line: Line<'_>, name: &str, rest: &str) {
        match name {
            "" => {}
            "if" => self.open_if(line, rest),
            "else" => self.divide_if(line, rest),
            "elif" | "elseif" | "elsif" => self.reject_else_if(line, name),
            "endif" => self.close_if(line, rest),
            "define" => self.define(line, rest),
            "undefine" => self.undefine(line, rest),
            "defmacro" => self.open_macro(line, rest),
            "include-file" => self.include_file(line, rest),
            "include-dir" => self.include_dir(line, rest),
            name => match name.split_once('-') {
                Some(("add", group)) if name == "add-peer" || lexer::is_comment(rest) => {
                    self.open_group(line, group, rest);
                }
                Some(("end", group)) if self.closes_group(group, rest) => {
                    self.close_group(line, group, rest);
                }
                _ => self.read_item(line, name, rest),
            },
        }
    }

    fn read_item(&mut self, line: Line<'_>, name: &str, rest: &str) {
        match self.owner() {
            Owner::Global if items::is_global(name) => {
                if let Some(item) = self.item(line, name, rest) {
                    let result = self.globals.set(&item);
                    self.note(&item.place, result);
                }
            }
            Owner::Peer => self.read_peer_item(line, name, rest),
            Owner::Global | Owner::Others => {}
        }
    }

    fn read_peer_item(&mut self, line: Line<'_>, name: &str, rest: &str) {
        let place = || line.place();
        match items::peer_item(name) {
            PeerItem::Ours => {
                let Some(item) = self.item(line, name, rest) else { return };
                let Some(peer) = &mut self.peer else { return };
                let result = peer.set(&item);
                self.note(&item.place, result);
            }
            PeerItem::Skipped => {}
            PeerItem::QueueSize => self.report.warn(&place(), WarningKind::QueueSize),
            PeerItem::BeyondTcp => {
                let Some(item) = self.item(line, name, rest) else { return };
                if !item.values.first().is_some_and(|value| value.eq_ignore_ascii_case("false")) {
                    let kind = WarningKind::PlainTcp { item: name.to_owned() };
                    self.report.warn(&item.place, kind);
                }
            }
            PeerItem::Unknown => {
                let nearest = items::nearest(name);
                let item = super::error::cut(name);
                self.report.warn(&place(), WarningKind::UnknownItem { item, nearest });
            }
        }
    }

    fn owner(&self) -> Owner {
        match self.blocks.group() {
            None => Owner::Global,
            Some(BlockKind::Peer) => Owner::Peer,
            Some(_) => Owner::Others,
        }
    }

    /// Whether items here belong to a group of others, which is skipped whole.
    pub(super) fn is_skipping(&self) -> bool {
        self.owner() == Owner::Others
    }

    /// The item with its values expanded; `None` where that failed and was reported.
    pub(super) fn item<'n>(
        &mut self,
        line: Line<'_>,
        name: &'n str,
        rest: &str,
    ) -> Option<Item<'n>> {
        let place = line.place();
        let words = match lexer::values(rest) {
            Ok(words) => words,
            Err(allowed) => {
                self.report.error(&place, ErrorKind::bad_value(name, rest, allowed));
                return None;
            }
        };
        let mut values = Vec::with_capacity(words.len());
        for word in &words {
            values.push(self.expand(line, name, word, false)?);
        }
        Some(Item { name, values, place })
    }

    /// Expands a text of the item `name`; `None` where that failed and was reported.
    ///
    /// In a condition an undefined variable of the environment is no reason for a warning:
    /// `if "${ENV:X}x" != "x"` is how files ask whether there is one.
    pub(super) fn expand(
        &mut self,
        line: Line<'_>,
        name: &str,
        text: &str,
        in_condition: bool,
    ) -> Option<String> {
        if !text.contains(['$', '%']) {
            return Some(text.to_owned());
        }
        match self.variables.expand(text, &line.source.folder.to_string_lossy()) {
            Ok(expanded) => {
                for variable in expanded.undefined {
                    if !(in_condition && variable.starts_with(ENVIRONMENT)) {
                        let name = super::error::cut(&variable);
                        self.report.warn(&line.place(), WarningKind::Undefined { name });
                    }
                }
                Some(expanded.text)
            }
            Err(ExpandError::Unclosed) => {
                let kind = ErrorKind::bad_value(name, text, "a } for every ${");
                self.report.error(&line.place(), kind);
                None
            }
            Err(ExpandError::Limit(kind)) => {
                self.report.error(&line.place(), kind);
                self.stopped = true;
                None
            }
        }
    }

    fn define(&mut self, line: Line<'_>, rest: &str) {
        let Some(item) = self.item(line, "define", rest) else { return };
        let (name, value) = match &*item.values {
            [name] => (name, String::new()),
            [name, value] => (name, value.clone()),
            _ => return self.report.error(&item.place, item.bad(DEFINE)),
        };
        if !is_variable(name) {
            return self.report.error(&item.place, item.bad(DEFINE));
        }
        if let Some(before) = self.variables.define(name, value, &item.place) {
            let name = super::error::cut(name);
            self.report.warn(&item.place, WarningKind::Redefined { name, before });
        }
        if self.variables.are_too_many() {
            self.stop(line, "define", "variables", MAX_VARIABLES);
        }
    }

    fn undefine(&mut self, line: Line<'_>, rest: &str) {
        let Some(item) = self.item(line, "undefine", rest) else { return };
        match &*item.values {
            [name] if is_variable(name) => self.variables.undefine(name),
            _ => self.report.error(&item.place, item.bad(UNDEFINE)),
        }
    }

    fn note(&mut self, place: &Place, result: Result<(), ErrorKind>) {
        if let Err(kind) = result {
            self.report.error(place, kind);
        }
    }

    /// Reports a limit and ends all reading.
    pub(super) fn stop(
        &mut self,
        line: Line<'_>,
        item: &'static str,
        unit: &'static str,
        max: usize,
    ) {
        self.report.error(&line.place(), ErrorKind::Limit { item, unit, max });
        self.stopped = true;
    }
}

impl Source {
    /// The file at `path`, which is absolute.
    pub(super) fn new(shown: &str, path: &Path, included_from: Option<Arc<Place>>) -> Source {
        let folder = path.parent().unwrap_or(path).to_owned();
        Source { shown: shown.into(), folder, included_from }
    }

    pub(super) fn at(&self, number: u32) -> Line<'_> {
        Line { source: self, number }
    }
}

/// Upstream allows letters, digits, `_` and `.`; a `-` does no harm. Not those of `ENV:`, which
/// nobody can set.
fn is_variable(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || "_.-".contains(c))
}

const DEFINE: &str = "a name of letters, digits, _ and . with one value";
const UNDEFINE: &str = "one name of letters, digits, _ and .";
