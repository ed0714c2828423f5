//! `if`, groups and macros: opening, dividing and closing them.
//!
//! A branch of an `if` must close what it opens, as must a file. A mistake here is reported, and
//! the block is then closed as the writer most likely meant, so that one forgotten line is one
//! error.

use super::blocks::{Block, BlockKind, Ended, Owner};
use super::error::ErrorKind;
use super::items;
use super::lexer::{self, Term};
use super::limits::{MAX_NESTING, MAX_PEERS};
use super::location::Location;
use super::options::Os;
use super::peer::PeerItems;
use super::reader::{Line, OsCondition, Reader, Source};
use super::shown::cut;
use super::warning::WarningKind;

impl Reader<'_> {
    /// A line that does not count: only what opens and closes matters, and nothing is checked
    /// that does not count itself.
    pub(super) fn read_dead(&mut self, line: Line<'_>, name: &str, rest: &str) {
        let Some(block) = self.blocks.top() else { return };
        match (&block.kind, name) {
            (BlockKind::Macro, name) if MACRO_ENDS.contains(&name) => {
                self.blocks.pop();
            }
            (kind, "if") if kind.is_if() => self.push(line, BlockKind::DeadIf, false),
            (BlockKind::If { .. }, "else" | "elseif" | "endif") => self.read_if(line, name, rest),
            (BlockKind::If { .. }, name) if OTHER_WORDS.iter().any(|(word, _)| *word == name) => {
                self.read_other_word(line, name, rest);
            }
            (BlockKind::DeadIf, "endif" | "end-if" | "fi") => {
                self.blocks.pop();
            }
            _ => {}
        }
    }

    /// `if`, `elseif`, `else` or `endif`.
    pub(super) fn read_if(&mut self, line: Line<'_>, name: &str, rest: &str) {
        match name {
            "if" => {
                let live = self.holds(line, "if", rest);
                self.push(line, BlockKind::If { taken: live, had_else: false }, live);
            }
            "elseif" => self.divide_if(line, name, Some(rest)),
            "else" => {
                if rest.starts_with("if") && rest[2..].starts_with([' ', '\t']) {
                    self.reject_word(line, "else if", "elseif");
                    return self.divide_if(line, name, Some(&rest[3..]));
                }
                self.reject_values(line, name, rest);
                self.divide_if(line, name, None);
            }
            _ => {
                self.reject_values(line, "endif", rest);
                self.close_if(line, "endif");
            }
        }
    }

    /// Words of other grammars; they are reported and then obeyed.
    pub(super) fn read_other_word(&mut self, line: Line<'_>, name: &str, rest: &str) {
        let meant = OTHER_WORDS.iter().find(|(word, _)| *word == name).map(|(_, meant)| *meant);
        if self.blocks.owner() == Owner::Others && self.blocks.above_if() != Some(0) {
            return; // an item of that group
        }
        self.reject_word(line, name, meant.unwrap_or_default());
        match self.blocks.above_if() {
            None => {}
            Some(_) if meant == Some("elseif") => self.divide_if(line, name, Some(rest)),
            Some(_) => self.close_if(line, name),
        }
    }

    fn reject_word(&mut self, line: Line<'_>, item: &str, meant: &'static str) {
        let kind = ErrorKind::OtherWord { item: item.to_owned(), meant };
        self.report.error(&line.location(), kind);
    }

    /// Begins another branch: `elseif` with its condition, or `else`.
    fn divide_if(&mut self, line: Line<'_>, name: &str, condition: Option<&str>) {
        let Some(above) = self.blocks.above_if() else {
            return self.stray(line, name, "if");
        };
        self.close_forgotten(line, name, above);
        let Some(Block { kind: BlockKind::If { taken, had_else }, .. }) = self.blocks.top() else {
            return;
        };
        if *had_else {
            return self.stray(line, name, "if, and before its else");
        }
        let was_taken = *taken;
        let live = !was_taken && condition.is_none_or(|rest| self.holds(line, "elseif", rest));
        if let Some(block) = self.blocks.top() {
            block.live = live;
            block.kind = BlockKind::If { taken: was_taken || live, had_else: condition.is_none() };
        }
    }

    fn close_if(&mut self, line: Line<'_>, name: &str) {
        let Some(above) = self.blocks.above_if() else {
            return self.stray(line, name, "if");
        };
        self.close_forgotten(line, name, above);
        self.blocks.pop();
    }

    /// Whether a condition holds. One that cannot be read is an error and does not.
    fn holds(&mut self, line: Line<'_>, item: &str, rest: &str) -> bool {
        let terms = match lexer::condition(rest) {
            Ok(terms) => terms,
            Err(allowed) => {
                let kind = match rest {
                    "" => ErrorKind::no_value(item, allowed),
                    rest => ErrorKind::bad_value(item, rest, allowed),
                };
                self.error(line, kind);
                return false;
            }
        };
        // Every term is checked, so that an error in the last one is reported too.
        let fails = terms.iter().filter(|term| !self.term_holds(line, item, term)).count();
        fails == 0
    }

    fn term_holds(&mut self, line: Line<'_>, item: &str, term: &Term<'_>) -> bool {
        match term {
            Term::Compare { left, right, equal } => {
                let left = self.expand_condition(line, item, left);
                let right = self.expand_condition(line, item, right);
                matches!((left, right), (Some(left), Some(right)) if (left == right) == *equal)
            }
            Term::Os(name) => {
                let Some(name) = self.expand_condition(line, item, name) else { return false };
                let os = Os::from_name(&name);
                let held = os.is_some_and(|os| os == self.options.environment.resolve_os());
                if os.is_none() {
                    self.warn(line, WarningKind::UnknownOs { name: cut(&name) });
                }
                self.note_os(OsCondition { location: line.location(), name: cut(&name), held });
                held
            }
        }
    }

    pub(super) fn open_macro(&mut self, line: Line<'_>, rest: &str) {
        self.warn(line, WarningKind::MacroSkipped { name: cut(rest) });
        self.push(line, BlockKind::Macro, false);
    }

    /// `add-NAME` or `start-NAME` without values, or `add-peer` with some.
    pub(super) fn open_group(&mut self, line: Line<'_>, opener: &str, rest: &str) {
        let name = opener.split_once('-').map_or("", |(_, name)| name).to_owned();
        let group = BlockKind::Group { opener: opener.to_owned(), name };
        if opener != "add-peer" || self.blocks.owner() == Owner::Others {
            if lexer::is_comment(rest) {
                self.push(line, group, true);
            }
            return;
        }
        self.reject_values(line, "add-peer", rest);
        if self.blocks.owner() == Owner::Peer {
            // Most likely an `end-peer` was forgotten; then the new peer begins here.
            match self.blocks.ended_by("peer") {
                Ended::Inside(0) => self.close_forgotten(line, "add-peer", 1),
                _ => {
                    let found = Some(("add-peer".to_owned(), line.location()));
                    if let Some(peer) = &self.peer {
                        let at = peer.origin.clone();
                        self.report.error(&at, unclosed(&BlockKind::Peer, found));
                    }
                    return self.push(line, group, true);
                }
            }
        }
        self.begin_peer(&line.location());
        self.push(line, BlockKind::Peer, true);
    }

    /// Begins a peer; its items go to it until its end.
    pub(super) fn begin_peer(&mut self, at: &Location) {
        if self.places_taken + self.peers.len() == MAX_PEERS {
            self.report.error(at, ErrorKind::TooManyPeers { max: MAX_PEERS });
        }
        self.peer = Some(PeerItems::new(at.clone()));
    }

    pub(super) fn end_peer(&mut self) {
        // The peers after the last that there may be were read for their errors only. One is
        // kept, so that its error is given once.
        if self.peers.len() <= MAX_PEERS {
            self.peers.extend(self.peer.take());
        }
    }

    /// Skips a misspelled `add-peer`.
    pub(super) fn open_peer_like(&mut self, line: Line<'_>, opener: &str) {
        self.warn(line, WarningKind::PeerMisspelt { item: cut(opener) });
        self.push(line, BlockKind::PeerLike { opener: opener.to_owned() }, true);
    }

    /// Returns true if `name` ends the misspelled `add-peer` that is open.
    pub(super) fn ends_peer_like(&mut self, name: &str) -> bool {
        let Some(Block { kind: BlockKind::PeerLike { .. }, .. }) = self.blocks.top() else {
            return false;
        };
        name == "end-peer" || items::is_like(name, "end-peer")
    }

    /// Returns true if `end-NAME` is meant to close a group. With values and no such group it is an
    /// item of others that is merely called so.
    pub(super) fn closes_group(&self, name: &str, rest: &str) -> bool {
        lexer::is_comment(rest) || !matches!(self.blocks.ended_by(name), Ended::No)
    }

    pub(super) fn close_group(&mut self, line: Line<'_>, closer: &str, rest: &str) {
        if closer == "end-peer" && self.blocks.owner() != Owner::Others {
            self.reject_values(line, closer, rest);
        }
        let name = closer.split_once('-').map_or("", |(_, name)| name);
        match self.blocks.ended_by(name) {
            Ended::Inside(inside) => {
                self.close_forgotten(line, closer, inside);
                self.close_top();
            }
            Ended::BeforeIf { opener, opened, branch } => {
                self.blocks.tell(opened, branch);
                let at = |number| line.source.at(number).location();
                let (opened, branch) = (at(opened), at(branch));
                let kind = ErrorKind::ClosedInBranch { item: cut(closer), opener, opened, branch };
                self.report.error(&line.location(), kind);
            }
            Ended::No if closer == "end-peer" => self.stray(line, closer, "add-peer"),
            Ended::No => self.close_by_other_name(line, closer),
        }
    }

    /// The end of a group of others that is not open: most likely that of the innermost one,
    /// misspelt.
    fn close_by_other_name(&mut self, line: Line<'_>, closer: &str) {
        if let Some(Block { kind: BlockKind::Group { .. }, .. }) = self.blocks.top() {
            return self.close_forgotten(line, closer, 1);
        }
        let kind = WarningKind::GroupNotOpen { closer: cut(closer) };
        self.report.warn(&line.location(), kind);
    }

    /// Closes what the current file left open.
    pub(super) fn end_file(&mut self, source: &Source) {
        for block in self.blocks.own().iter().filter(|_| !self.stopped) {
            if block.kind != BlockKind::DeadIf && !block.is_told {
                self.report.error(&source.at(block.line).location(), unclosed(&block.kind, None));
            }
        }
        while self.blocks.top().is_some() {
            self.close_top();
        }
    }

    /// Closes the `count` innermost blocks, which should have been closed before `closer`: groups
    /// of others with a warning, unless a branch of an `if` ends.
    fn close_forgotten(&mut self, line: Line<'_>, closer: &str, count: usize) {
        let ends_branch = !closer.starts_with("end-") || closer == "end-if";
        for _ in 0..count {
            let Some(block) = self.blocks.top() else { return };
            let (kind, is_told) = (block.kind.clone(), block.is_told);
            let opened = line.source.at(block.line).location();
            match kind {
                _ if is_told => {}
                BlockKind::Group { opener, .. } if !ends_branch => {
                    let (opener, closer) = (cut(&opener), cut(closer));
                    let kind = WarningKind::GroupClosedBy { opener, opened, closer };
                    self.report.warn(&line.location(), kind);
                }
                kind => {
                    let found = Some((cut(closer), line.location()));
                    self.report.error(&opened, unclosed(&kind, found));
                }
            }
            self.close_top();
        }
    }

    pub(super) fn close_top(&mut self) {
        if let Some(Block { kind: BlockKind::Peer, .. }) = self.blocks.pop() {
            self.end_peer();
        }
    }

    fn push(&mut self, line: Line<'_>, kind: BlockKind, live: bool) {
        if self.blocks.len() >= MAX_NESTING {
            return self.stop(line, "text", "groups and ifs inside each other", MAX_NESTING);
        }
        self.blocks.push(Block { kind, line: line.number, live, is_told: false });
    }

    fn reject_values(&mut self, line: Line<'_>, name: &str, rest: &str) {
        if !lexer::is_comment(rest) {
            let kind = ErrorKind::bad_value(name, rest, "nothing after it");
            self.error(line, kind);
        }
    }

    fn stray(&mut self, line: Line<'_>, item: &str, needs: &str) {
        let open = self
            .blocks
            .own()
            .last()
            .map(|block| (cut(block.kind.opener()), line.source.at(block.line).location()));
        let kind = ErrorKind::Stray { item: cut(item), open, needs: needs.to_owned() };
        self.report.error(&line.location(), kind);
    }
}

fn unclosed(kind: &BlockKind, found: Option<(String, Location)>) -> ErrorKind {
    let (opener, closer) = (cut(kind.opener()), cut(&kind.closer()));
    ErrorKind::Unclosed { opener, found, closer }
}

/// Words of other grammars, and what they mean.
pub(super) const OTHER_WORDS: [(&str, &str); 4] =
    [("elif", "elseif"), ("elsif", "elseif"), ("end-if", "endif"), ("fi", "endif")];

/// Upstream's word for the end of a `defmacro` is not public; these are the likely ones.
const MACRO_ENDS: [&str; 5] = ["endmacro", "enddefmacro", "end-macro", "end-defmacro", "enddef"];
