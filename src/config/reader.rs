//! Reading lines: what each one is, and handing its values on.
//!
//! The reader never stops at an error, only at a limit, so that a run reports everything that is
//! wrong. Structure (`if`, groups) is in [`structure`](super::structure), files are in
//! [`include`](super::include), variables in [`define`](super::define); this file owns the state
//! and the items.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::blocks::{Blocks, Owner};
use super::error::ErrorKind;
use super::expand::Variables;
use super::globals::GlobalItems;
use super::items::{self, NearMiss, PeerItem};
use super::lexer;
use super::limits::MAX_LINE_BYTES;
use super::location::{Location, Override};
use super::options::ConfigOptions;
use super::peer::PeerItems;
use super::report::Report;
use super::shown::{cut, is_invisible_blank, is_marked};
use super::tls::TlsItems;
use super::value::Item;
use super::warning::{Warning, WarningKind};

/// All that was read so far.
pub(super) struct Reader<'o> {
    pub(super) options: &'o ConfigOptions,
    pub(super) report: Report,
    pub(super) globals: GlobalItems,
    pub(super) peers: Vec<PeerItems>,
    /// Peers that there are besides those that are read.
    pub(super) places_taken: usize,
    /// The `add-peer` that is open.
    pub(super) peer: Option<PeerItems>,
    pub(super) blocks: Blocks,
    pub(super) variables: Variables<'o>,
    pub(super) overrides: Vec<Override>,
    pub(super) os_conditions: Vec<OsCondition>,
    pub(super) tls: TlsItems,
    /// The identities of the files that are being read, the outermost first.
    pub(super) chain: Vec<String>,
    /// What `include-dir` has named.
    pub(super) include_dirs: Vec<IncludeDir>,
    /// The identities of the folders in which files were read.
    pub(super) read_folders: HashSet<String>,
    /// Includes so far, those that found nothing too.
    pub(super) files: usize,
    pub(super) bytes: usize,
    /// A limit was passed: read no more.
    pub(super) stopped: bool,
    /// Global items that are nothing to us.
    passed: HashSet<String>,
}

/// A folder that `include-dir` names.
pub(super) struct IncludeDir {
    pub(super) path: PathBuf,
    pub(super) shown: String,
    pub(super) location: Location,
    /// A file of it was read.
    pub(super) is_used: bool,
}

/// An `os NAME` that a condition asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OsCondition {
    /// Where.
    pub location: Location,
    /// The name, as it was written.
    pub name: String,
    /// Whether it is the system that the files were read for.
    pub held: bool,
}

/// The file that is being read.
pub(super) struct Source {
    /// As people name it.
    pub(super) shown: Arc<str>,
    /// Its folder, absolute: `${ccd}`.
    pub(super) folder: PathBuf,
    pub(super) included_from: Option<Arc<Location>>,
}

/// The line that is being read.
#[derive(Clone, Copy)]
pub(super) struct Line<'a> {
    pub(super) source: &'a Source,
    pub(super) number: u32,
}

impl Line<'_> {
    pub(super) fn location(&self) -> Location {
        let source = self.source;
        Location::new(source.shown.clone(), self.number, source.included_from.clone())
    }
}

impl<'o> Reader<'o> {
    /// `app_name` is the application's name if nothing sets it.
    pub(super) fn new(options: &'o ConfigOptions, app_name: &str) -> Reader<'o> {
        Reader {
            options,
            report: Report::default(),
            globals: GlobalItems::default(),
            peers: Vec::new(),
            places_taken: 0,
            peer: None,
            blocks: Blocks::default(),
            variables: Variables::new(options, app_name),
            overrides: Vec::new(),
            os_conditions: Vec::new(),
            tls: TlsItems::default(),
            chain: Vec::new(),
            include_dirs: Vec::new(),
            read_folders: HashSet::new(),
            files: 0,
            bytes: 0,
            stopped: false,
            passed: HashSet::new(),
        }
    }

    /// Reads all lines of a file.
    pub(super) fn read_text(&mut self, source: &Source, text: &str) {
        let floor = self.blocks.enter();
        // The first byte of every marked one.
        let mut is_utf8 = !text.as_bytes().contains(&0xf4);
        for (text, number) in text.split('\n').zip(1..) {
            let line = Line { source, number };
            let errors = self.report.error_count();
            self.read_line(line, text.strip_suffix('\r').unwrap_or(text));
            if !is_utf8 && errors == self.report.error_count() && text.contains(is_marked) {
                is_utf8 = true; // for all that is still to be said
                self.report.warn(&line.location(), WarningKind::NotUtf8);
            }
            if self.stopped {
                break;
            }
        }
        self.end_file(source);
        self.blocks.leave(floor);
    }

    fn read_line(&mut self, line: Line<'_>, text: &str) {
        let text = self.without_invisible_blanks(line, text);
        let Some((name, rest)) = lexer::item(&text) else { return };
        if !self.blocks.is_live() {
            return self.read_dead(line, name, rest);
        }
        if text.len() > MAX_LINE_BYTES {
            return self.stop(line, "text", "bytes in a line", MAX_LINE_BYTES);
        }
        if !name.contains("${") {
            return self.read_live(line, name, rest);
        }
        if let Some(text) = self.expand_name(line, name, rest) {
            if let Some((name, rest)) = lexer::item(&text) {
                self.read_live(line, name, rest);
            }
        }
    }

    /// A no-break space before, in or after one of our items or values is an error, and then
    /// taken for a blank; elsewhere it is nothing.
    fn without_invisible_blanks<'t>(&mut self, line: Line<'_>, text: &'t str) -> Cow<'t, str> {
        if text.is_ascii()
            || !text.contains(is_invisible_blank)
            || text.trim_start().starts_with('#')
        {
            return Cow::Borrowed(text);
        }
        let visible = text.replace(is_invisible_blank, " ");
        let Some((name, _)) = lexer::item(&visible) else { return Cow::Borrowed(text) };
        let is_ours = match self.blocks.owner() {
            _ if items::is_grammar(name) => is_if(name) || self.blocks.is_live(),
            _ if !self.blocks.is_live() => false,
            Owner::Global => items::is_global(name),
            Owner::Peer => items::peer_item(name) == PeerItem::Ours,
            Owner::Others => false,
        };
        let name_as_written = lexer::item(text).map(|(name, _)| name);
        // In the values of a `define` it is nothing until it arrives in ours.
        if !is_ours || (name_as_written == Some(name) && items::is_grammar(name)) {
            return Cow::Borrowed(text);
        }
        self.error(line, ErrorKind::NoBreakSpace { item: cut(name) });
        match items::is_grammar(name) {
            true => Cow::Owned(visible), // or everything after it would be wrong
            false => Cow::Borrowed(""),
        }
    }

    fn read_live(&mut self, line: Line<'_>, name: &str, rest: &str) {
        if self.ends_peer_like(name) {
            return self.close_top();
        }
        match name {
            "" => {}
            "if" | "elseif" | "else" | "endif" => self.read_if(line, name, rest),
            "elif" | "elsif" | "end-if" | "fi" => self.read_other_word(line, name, rest),
            "define" => self.define(line, rest),
            "undefine" => self.undefine(line, rest),
            "defmacro" => self.open_macro(line, rest),
            "include-file" => self.include_file(line, rest),
            "include-dir" => self.include_dir(line, rest),
            "add-peer" => self.open_group(line, name, rest),
            name if lexer::is_comment(rest) && self.is_like_add_peer(name) => {
                self.open_peer_like(line, name);
            }
            name => match name.split_once('-') {
                Some(("add" | "start", _)) if lexer::is_comment(rest) => {
                    self.open_group(line, name, rest);
                }
                Some(("end", group)) if self.closes_group(group, rest) => {
                    self.close_group(line, name, rest);
                }
                _ => self.read_item(line, name, rest),
            },
        }
    }

    fn is_like_add_peer(&self, name: &str) -> bool {
        self.blocks.owner() == Owner::Global && items::is_like(name, "add-peer")
    }

    fn read_item(&mut self, line: Line<'_>, name: &str, rest: &str) {
        match self.blocks.owner() {
            Owner::Others => {}
            Owner::Peer => self.read_peer_item(line, name, rest),
            Owner::Global if !items::is_global(name) => self.pass_item(line, name, rest),
            // No value may look like this: the author has another grammar in mind.
            Owner::Global if rest.starts_with('=') => {
                let nearest = items::near_miss(&format!("{name}="));
                if let Some(NearMiss::Nearest(nearest)) = nearest {
                    let item = format!("{name} =");
                    self.warn(line, WarningKind::NearMiss { item, nearest });
                }
            }
            Owner::Global => self.read_global_item(line, name, rest),
        }
    }

    /// An item of others, unless it is nearly ours.
    fn pass_item(&mut self, line: Line<'_>, name: &str, rest: &str) {
        self.tls.note(name, rest, || line.location(), None);
        if self.passed.contains(name) {
            return;
        }
        let item = || cut(name);
        let (kind, family) = match items::near_miss(name) {
            None => {
                if self.passed.len() < PASSED_MAX {
                    self.passed.insert(name.to_owned());
                }
                return;
            }
            Some(NearMiss::Nearest(nearest)) => {
                return self.warn(line, WarningKind::NearMiss { item: item(), nearest });
            }
            Some(NearMiss::OutsidePeer) => {
                return self.warn(line, WarningKind::OutsidePeer { item: item() });
            }
            Some(NearMiss::WebSocketPort) => (WarningKind::WebSocketPort, name),
            Some(NearMiss::Discovery) => {
                let family = name.split('-').next().unwrap_or_default();
                (WarningKind::Discovery { item: item() }, family)
            }
        };
        // One is enough for all items of the kind.
        self.report.warn_once(family, Warning::new(line.location(), kind));
    }

    fn read_global_item(&mut self, line: Line<'_>, name: &str, rest: &str) {
        if let Some(item) = self.item(line, name, rest) {
            self.take_global_item(item);
        }
    }

    /// Takes one of our global items, and reports what comes of it.
    pub(super) fn take_global_item(&mut self, item: Item<'_>) {
        let Some(item) = self.checked(item) else { return };
        let name = item.name;
        let taken = match name {
            "application-name" => item.name().map(|name| {
                let name = self.variables.percents().fill(&name.raw);
                let late = self.variables.set_app_name(name, &item.location);
                late.then_some(WarningKind::ApplicationLate { item: "application-name" })
            }),
            "application-root" => item.path().map(|root| {
                let root = self.variables.percents().fill(root);
                let late = self.variables.set_root(&root, &item.location);
                late.then_some(WarningKind::ApplicationLate { item: "application-root" })
            }),
            _ => self.globals.set(&item),
        };
        if self.note(&item, taken) && name != "datasrc-interface" {
            note_repeat(&mut self.globals.set_at, &item, &mut self.report, &mut self.overrides);
        } else {
            self.globals.set_at.insert(name.to_owned(), item.location);
        }
    }

    fn read_peer_item(&mut self, line: Line<'_>, name: &str, rest: &str) {
        if let Some(peer) = &self.peer {
            self.tls.note(name, rest, || line.location(), Some(&peer.origin));
        }
        match items::peer_item(name) {
            PeerItem::Ours => {
                if let Some(item) = self.item(line, name, rest) {
                    self.take_peer_item(item);
                }
            }
            PeerItem::Skipped => {}
            PeerItem::QueueSize => self.warn(line, WarningKind::QueueSize),
            PeerItem::BeyondTcp => {
                let item = self.item(line, name, rest);
                let Some(item) = item.and_then(|item| self.checked(item)) else { return };
                if !item.values.first().is_some_and(|value| value.eq_ignore_ascii_case("false")) {
                    self.warn(line, WarningKind::PlainTcp { item: name.to_owned() });
                }
            }
            PeerItem::Unknown => {
                // A guess that will not be shown is not made.
                let is_shown = !self.report.is_full();
                let nearest = is_shown.then(|| items::nearest_peer_item(name)).flatten();
                self.warn(line, WarningKind::UnknownItem { item: cut(name), nearest });
            }
        }
    }

    /// Takes one of our items for the peer that is open, and reports what comes of it.
    pub(super) fn take_peer_item(&mut self, item: Item<'_>) {
        let Some(item) = self.checked(item) else { return };
        let Some(peer) = &mut self.peer else { return };
        let taken = peer.set(&item);
        if self.note(&item, taken) && !["addr", "port"].contains(&item.name) {
            let Some(peer) = &mut self.peer else { return };
            note_repeat(&mut peer.set_at, &item, &mut self.report, &mut self.overrides);
        } else if let Some(peer) = &mut self.peer {
            peer.set_at.insert(item.name.to_owned(), item.location);
        }
    }

    /// One of our items with its values expanded; `None` if that failed and was reported.
    fn item<'n>(&mut self, line: Line<'_>, name: &'n str, rest: &str) -> Option<Item<'n>> {
        let (values, marks) = self.expand_values(line, name, rest)?;
        self.warn_undefined(line, &marks);
        Some(Item {
            name,
            values,
            location: line.location(),
            is_written: !rest.is_empty(),
            undefined: marks.undefined,
        })
    }

    /// The item, unless its text is not what ours may be; then that was reported.
    fn checked<'n>(&mut self, item: Item<'n>) -> Option<Item<'n>> {
        match item.check_text() {
            Ok(()) => Some(item),
            Err(kind) => {
                self.report.error(&item.location, kind);
                None
            }
        }
    }

    /// Reports what became of one of our items. Returns true if it was taken.
    fn note(&mut self, item: &Item<'_>, taken: Result<Option<WarningKind>, ErrorKind>) -> bool {
        match taken {
            Ok(warning) => {
                if let Some(kind) = warning {
                    self.report.warn(&item.location, kind);
                }
                true
            }
            Err(kind) => {
                match item.undefined.is_empty() {
                    true => self.report.error(&item.location, kind),
                    false => self.report.follow_up(&item.location, kind),
                }
                false
            }
        }
    }

    pub(super) fn note_os(&mut self, condition: OsCondition) {
        if self.os_conditions.len() < OS_CONDITIONS_MAX {
            self.os_conditions.push(condition);
        }
    }

    /// Reports an error, but not inside a group of others.
    pub(super) fn error(&mut self, line: Line<'_>, kind: ErrorKind) {
        if self.blocks.owner() != Owner::Others {
            self.report.error(&line.location(), kind);
        }
    }

    /// Warns, but not inside a group of others.
    pub(super) fn warn(&mut self, line: Line<'_>, kind: WarningKind) {
        if self.blocks.owner() != Owner::Others {
            self.report.warn(&line.location(), kind);
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
        self.report.error(&line.location(), ErrorKind::Limit { item, unit, max });
        self.stopped = true;
    }
}

impl Source {
    /// The file at `path`, which is absolute.
    pub(super) fn new(shown: &str, path: &Path, included_from: Option<Arc<Location>>) -> Source {
        let folder = path.parent().unwrap_or(path).to_owned();
        Source { shown: shown.into(), folder, included_from }
    }

    pub(super) fn at(&self, number: u32) -> Line<'_> {
        Line { source: self, number }
    }
}

/// Remembers where an item was set. Set before in the same file it is a warning; from another file
/// it overrides on purpose.
fn note_repeat(
    set_at: &mut HashMap<String, Location>,
    item: &Item<'_>,
    report: &mut Report,
    overrides: &mut Vec<Override>,
) {
    let now = item.location.clone();
    let Some(before) = set_at.insert(item.name.to_owned(), now.clone()) else { return };
    match before.file == now.file {
        true if before.line == now.line => {} // the file was included twice
        true => {
            let kind = WarningKind::Doubled { item: item.name.to_owned(), before };
            report.warn(&now, kind);
        }
        false if overrides.len() < OVERRIDES_MAX => {
            overrides.push(Override { item: item.name.to_owned(), before, now });
        }
        false => {}
    }
}

fn is_if(name: &str) -> bool {
    matches!(name, "if" | "elseif" | "else" | "endif")
}

/// Names of others that are remembered, so that they are compared with ours once.
const PASSED_MAX: usize = 4096;
const OS_CONDITIONS_MAX: usize = 1000;
const OVERRIDES_MAX: usize = 1000;
