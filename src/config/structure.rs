//! `if`, groups and macros: opening, dividing and closing them.
//!
//! Whatever a file gets wrong here is reported where it was opened, and then closed as the writer
//! most likely meant, so that one forgotten line is one error.

use super::blocks::{Block, BlockKind};
use super::error::{ErrorKind, cut};
use super::lexer;
use super::limits::{MAX_NESTING, MAX_PEERS};
use super::peer::PeerItems;
use super::place::Place;
use super::reader::{Line, Reader, Source};
use super::warning::WarningKind;

impl Reader<'_> {
    /// A line that does not count: only what opens and closes matters, and nothing is checked
    /// that does not count itself.
    pub(super) fn read_dead(&mut self, line: Line<'_>, name: &str, rest: &str) {
        match self.blocks.top().map(|block| &block.kind) {
            Some(BlockKind::Macro) if MACRO_ENDS.contains(&name) => {
                self.blocks.pop();
            }
            Some(BlockKind::If { counts, .. }) => {
                let counts = *counts;
                match name {
                    "if" => self.push(line, if_block(false, false, false), false),
                    "else" if counts => self.divide_if(line, rest),
                    "elif" | "elseif" | "elsif" if counts => self.reject_else_if(line, name),
                    "endif" if counts => self.close_if(line, rest),
                    "endif" => self.blocks.pop().map_or((), drop),
                    _ => {}
                }
            }
            _ => {}
        }
    }

    pub(super) fn open_if(&mut self, line: Line<'_>, rest: &str) {
        let holds = self.condition(line, rest);
        // Where the condition is broken neither part counts: its errors would be guesses.
        let (live, else_live) = holds.map_or((false, false), |holds| (holds, !holds));
        self.push(line, if_block(true, true, else_live), live);
    }

    fn condition(&mut self, line: Line<'_>, rest: &str) -> Option<bool> {
        match lexer::condition(rest) {
            Ok(condition) => {
                let left = self.expand(line, "if", &condition.left, true)?;
                let right = self.expand(line, "if", &condition.right, true)?;
                Some((left == right) == condition.equal)
            }
            Err(allowed) => {
                let kind = match rest {
                    "" => ErrorKind::no_value("if", allowed),
                    rest => ErrorKind::bad_value("if", rest, allowed),
                };
                self.report.error(&line.place(), kind);
                None
            }
        }
    }

    pub(super) fn divide_if(&mut self, line: Line<'_>, rest: &str) {
        self.reject_values(line, "else", rest);
        let Some(above) = self.blocks.above_if() else {
            return self.stray(line, "else", "if".to_owned());
        };
        self.close_forgotten(line, "else", above);
        let Some(block) = self.blocks.top() else { return };
        match &mut block.kind {
            BlockKind::If { may_else, else_live, .. } if *may_else => {
                *may_else = false;
                block.live = *else_live;
            }
            _ => self.stray(line, "else", "if, and once".to_owned()),
        }
    }

    pub(super) fn reject_else_if(&mut self, line: Line<'_>, name: &str) {
        let kind = ErrorKind::no_value(name, "else, and an if inside it");
        self.report.error(&line.place(), kind);
    }

    pub(super) fn close_if(&mut self, line: Line<'_>, rest: &str) {
        self.reject_values(line, "endif", rest);
        let Some(above) = self.blocks.above_if() else {
            return self.stray(line, "endif", "if".to_owned());
        };
        self.close_forgotten(line, "endif", above);
        self.blocks.pop();
    }

    pub(super) fn open_macro(&mut self, line: Line<'_>, rest: &str) {
        let name = cut(rest);
        self.report.warn(&line.place(), WarningKind::MacroSkipped { name });
        self.push(line, BlockKind::Macro, false);
    }

    pub(super) fn open_group(&mut self, line: Line<'_>, name: &str, rest: &str) {
        if name != "peer" {
            return self.push(line, BlockKind::Group(name.to_owned()), true);
        }
        self.reject_values(line, "add-peer", rest);
        match self.blocks.group() {
            None => self.open_peer(line),
            Some(BlockKind::Peer) => self.open_peer_in_peer(line),
            Some(_) => self.push(line, BlockKind::Group("peer".to_owned()), true),
        }
    }

    fn open_peer(&mut self, line: Line<'_>) {
        let place = line.place();
        if self.peers.len() == MAX_PEERS {
            self.report.error(&place, ErrorKind::TooManyPeers { max: MAX_PEERS });
        }
        self.peer = Some(PeerItems::new(place));
        self.push(line, BlockKind::Peer, true);
    }

    /// Most likely an `end-peer` was forgotten; then the new peer begins here.
    fn open_peer_in_peer(&mut self, line: Line<'_>) {
        if self.blocks.above_group("peer") == Some(0) {
            self.close_forgotten(line, "add-peer", 1);
            return self.open_peer(line);
        }
        if let Some(peer) = &self.peer {
            let place = peer.origin.clone();
            self.report.error(&place, unclosed(&BlockKind::Peer, Some("add-peer")));
        }
        self.push(line, BlockKind::Group("peer".to_owned()), true);
    }

    /// Whether `end-NAME` is meant to close a group. With values and no such group it is an item
    /// of others that is merely called so.
    pub(super) fn closes_group(&self, name: &str, rest: &str) -> bool {
        lexer::is_comment(rest) || self.blocks.above_group(name).is_some()
    }

    pub(super) fn close_group(&mut self, line: Line<'_>, name: &str, rest: &str) {
        let closer = format!("end-{name}");
        self.reject_values(line, &closer, rest);
        let Some(above) = self.blocks.above_group(name) else {
            return self.stray(line, &closer, format!("add-{name}"));
        };
        self.close_forgotten(line, &closer, above);
        self.close_top();
    }

    /// Closes what the current file left open.
    pub(super) fn end_file(&mut self, source: &Source) {
        for block in self.blocks.left_open().iter().filter(|_| !self.stopped) {
            if !matches!(block.kind, BlockKind::If { counts: false, .. }) {
                let error = unclosed(&block.kind, None);
                self.report.error(&source.at(block.line).place(), error);
            }
        }
        while self.blocks.top().is_some() {
            self.close_top();
        }
    }

    /// Closes the `count` innermost blocks, which should have been closed before `closer`.
    fn close_forgotten(&mut self, line: Line<'_>, closer: &str, count: usize) {
        for _ in 0..count {
            let Some(block) = self.blocks.top() else { return };
            let error = unclosed(&block.kind, Some(closer));
            self.report.error(&line.source.at(block.line).place(), error);
            self.close_top();
        }
    }

    fn close_top(&mut self) {
        if let Some(Block { kind: BlockKind::Peer, .. }) = self.blocks.pop() {
            // The peers after the last that there may be were read for their errors only. One is
            // kept, so that its error is given once.
            if self.peers.len() <= MAX_PEERS {
                self.peers.extend(self.peer.take());
            }
        }
    }

    fn push(&mut self, line: Line<'_>, kind: BlockKind, live: bool) {
        if self.blocks.len() >= MAX_NESTING {
            return self.stop(line, "text", "groups and ifs inside each other", MAX_NESTING);
        }
        self.blocks.push(Block { kind, line: line.number, live });
    }

    fn reject_values(&mut self, line: Line<'_>, name: &str, rest: &str) {
        if !lexer::is_comment(rest) {
            let kind = ErrorKind::bad_value(name, rest, "nothing after it");
            self.report.error(&line.place(), kind);
        }
    }

    fn stray(&mut self, line: Line<'_>, item: &str, needs: String) {
        let place: Place = line.place();
        let open = self.blocks.describe_top(&place);
        self.report.error(&place, ErrorKind::Stray { item: cut(item), open, needs: cut(&needs) });
    }
}

fn if_block(counts: bool, may_else: bool, else_live: bool) -> BlockKind {
    BlockKind::If { counts, may_else, else_live }
}

fn unclosed(kind: &BlockKind, found: Option<&str>) -> ErrorKind {
    let (opener, closer) = (cut(&kind.opener()), cut(&kind.closer()));
    ErrorKind::Unclosed { opener, found: found.map(cut), closer }
}

/// Upstream's word for the end of a `defmacro` is not public; these are the likely ones.
const MACRO_ENDS: [&str; 5] = ["endmacro", "enddefmacro", "end-macro", "end-defmacro", "enddef"];
