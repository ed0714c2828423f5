//! What is open: `if`s, groups and the body of a `defmacro`.
//!
//! One stack for all files of a chain of includes; a file sees only what it opened itself, so
//! whatever opens in a file closes in it. An `if` and a group never overlap: what was opened later
//! closes first. Where a file breaks that, what was left open is reported and closed.

use super::place::Place;

/// Something that is open.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) kind: BlockKind,
    pub(super) line: u32,
    /// Whether the lines in it count.
    pub(super) live: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum BlockKind {
    /// An `if`: whether it counts itself, its `else` may come, and the lines after that count.
    If { counts: bool, may_else: bool, else_live: bool },
    /// The `add-peer` that we read.
    Peer,
    /// A group of others; the part of its name after `add-`.
    Group(String),
    /// The body of a `defmacro`.
    Macro,
}

impl BlockKind {
    pub(super) fn opener(&self) -> String {
        match self {
            BlockKind::If { .. } => "if".to_owned(),
            BlockKind::Peer => "add-peer".to_owned(),
            BlockKind::Group(name) => format!("add-{name}"),
            BlockKind::Macro => "defmacro".to_owned(),
        }
    }

    pub(super) fn closer(&self) -> String {
        match self {
            BlockKind::If { .. } => "endif".to_owned(),
            BlockKind::Peer => "end-peer".to_owned(),
            BlockKind::Group(name) => format!("end-{name}"),
            BlockKind::Macro => "endmacro".to_owned(),
        }
    }

    fn is_group(&self, name: &str) -> bool {
        match self {
            BlockKind::Peer => name == "peer",
            BlockKind::Group(own) => name == own,
            _ => false,
        }
    }
}

/// The stack of what is open.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    open: Vec<Block>,
    /// How many of them were open before the current file.
    floor: usize,
}

impl Blocks {
    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    pub(super) fn push(&mut self, block: Block) {
        self.open.push(block);
    }

    pub(super) fn pop(&mut self) -> Option<Block> {
        if self.open.len() > self.floor { self.open.pop() } else { None }
    }

    /// Begins a file; returns what [`leave`](Blocks::leave) wants back.
    pub(super) fn enter(&mut self) -> usize {
        std::mem::replace(&mut self.floor, self.open.len())
    }

    /// Ends a file. What it left open must have been taken.
    pub(super) fn leave(&mut self, floor: usize) {
        self.floor = floor;
    }

    /// What the current file opened, the outermost first.
    pub(super) fn left_open(&self) -> &[Block] {
        &self.open[self.floor..]
    }

    /// The innermost of what the current file opened.
    pub(super) fn top(&mut self) -> Option<&mut Block> {
        self.open[self.floor..].last_mut()
    }

    /// Whether lines count here.
    pub(super) fn is_live(&self) -> bool {
        self.open.last().is_none_or(|block| block.live)
    }

    /// The innermost group, of whatever file: whose items are these?
    pub(super) fn group(&self) -> Option<&BlockKind> {
        let kinds = self.open.iter().rev().map(|block| &block.kind);
        kinds.into_iter().find(|kind| !matches!(kind, BlockKind::If { .. }))
    }

    /// How many blocks the current file left open inside its innermost `if`; `None` without one.
    pub(super) fn above_if(&self) -> Option<usize> {
        self.above(|kind| matches!(kind, BlockKind::If { .. }))
    }

    /// How many blocks the current file left open inside its innermost group of that name.
    pub(super) fn above_group(&self, name: &str) -> Option<usize> {
        self.above(|kind| kind.is_group(name))
    }

    fn above(&self, wanted: impl Fn(&BlockKind) -> bool) -> Option<usize> {
        self.left_open().iter().rev().position(|block| wanted(&block.kind))
    }

    /// The innermost of what the current file opened, as an error names it.
    pub(super) fn describe_top(&self, place: &Place) -> Option<(String, Place)> {
        let block = self.left_open().last()?;
        let mut opened = place.clone();
        opened.line = block.line;
        Some((block.kind.opener(), opened))
    }
}
