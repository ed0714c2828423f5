//! What is open: `if`s, groups and the body of a `defmacro`.
//!
//! One stack for all files of a chain of includes; a file sees only what it opened itself, so
//! whatever opens in a file closes in it. An `if` and a group never overlap: what was opened later
//! closes first.

use super::shown::cut;

/// Something that is open.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) kind: BlockKind,
    pub(super) line: u32,
    /// Whether the lines in it count.
    pub(super) live: bool,
    /// Its end was reported as wrong: once is enough.
    pub(super) is_told: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum BlockKind {
    /// An `if` whose conditions decide: whether a branch was taken, and whether `else` has come.
    If { taken: bool, had_else: bool },
    /// An `if` inside a branch that is skipped.
    DeadIf,
    /// The `add-peer` that we read.
    Peer,
    /// A group of others: what opened it, and its name.
    Group { opener: String, name: String },
    /// A misspelled `add-peer`, which ends at a misspelled `end-peer`.
    PeerLike { opener: String },
    /// The body of a `defmacro`.
    Macro,
}

impl BlockKind {
    pub(super) fn opener(&self) -> &str {
        match self {
            BlockKind::If { .. } | BlockKind::DeadIf => "if",
            BlockKind::Peer => "add-peer",
            BlockKind::Group { opener, .. } | BlockKind::PeerLike { opener } => opener,
            BlockKind::Macro => "defmacro",
        }
    }

    pub(super) fn closer(&self) -> String {
        match self {
            BlockKind::If { .. } | BlockKind::DeadIf => "endif".to_owned(),
            BlockKind::Peer | BlockKind::PeerLike { .. } => "end-peer".to_owned(),
            BlockKind::Group { name, .. } => format!("end-{name}"),
            BlockKind::Macro => "endmacro".to_owned(),
        }
    }

    pub(super) fn is_if(&self) -> bool {
        matches!(self, BlockKind::If { .. } | BlockKind::DeadIf)
    }

    /// Returns true if `end-NAME` closes it.
    fn ends_by(&self, name: &str) -> bool {
        match self {
            BlockKind::Peer | BlockKind::PeerLike { .. } => name == "peer",
            BlockKind::Group { name: own, .. } => name == own,
            _ => false,
        }
    }
}

/// Whose items lines are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    Global,
    Peer,
    Others,
}

/// The group that an end belongs to.
pub(super) enum Ended {
    /// This many blocks are open inside it.
    Inside(usize),
    /// It was opened before the `if` that is open.
    BeforeIf { opener: String, opened: u32, branch: u32 },
    /// None is open in this file.
    No,
}

/// The stack of what is open.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    open: Vec<Block>,
    /// How many of them were open before the current file.
    floor: usize,
}

impl Blocks {
    /// Begins a file; returns what [`leave`](Blocks::leave) wants back.
    pub(super) fn enter(&mut self) -> usize {
        std::mem::replace(&mut self.floor, self.open.len())
    }

    /// Ends a file. What it left open must have been taken.
    pub(super) fn leave(&mut self, floor: usize) {
        self.floor = floor;
    }

    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    pub(super) fn push(&mut self, block: Block) {
        self.open.push(block);
    }

    /// Returns true if lines count here.
    pub(super) fn is_live(&self) -> bool {
        self.open.last().is_none_or(|block| block.live)
    }

    /// Whose items these are: by the innermost group, of whatever file.
    pub(super) fn owner(&self) -> Owner {
        match self.open.iter().rev().map(|block| &block.kind).find(|kind| !kind.is_if()) {
            None => Owner::Global,
            Some(BlockKind::Peer) => Owner::Peer,
            Some(_) => Owner::Others,
        }
    }

    pub(super) fn pop(&mut self) -> Option<Block> {
        if self.open.len() > self.floor { self.open.pop() } else { None }
    }

    /// What the current file opened, the outermost first.
    pub(super) fn own(&self) -> &[Block] {
        &self.open[self.floor..]
    }

    /// The innermost of what the current file opened.
    pub(super) fn top(&mut self) -> Option<&mut Block> {
        self.open[self.floor..].last_mut()
    }

    /// How many blocks are open inside the innermost `if` of the current file.
    pub(super) fn above_if(&self) -> Option<usize> {
        self.own().iter().rev().position(|block| block.kind.is_if())
    }

    /// Notes that the end of the group, and of the `if` around what closes it, were reported.
    pub(super) fn tell(&mut self, opened: u32, branch: u32) {
        for block in &mut self.open[self.floor..] {
            block.is_told |= block.line == opened || block.line == branch;
        }
    }

    pub(super) fn ended_by(&self, name: &str) -> Ended {
        let own = self.own();
        let Some(inside) = own.iter().rev().position(|block| block.kind.ends_by(name)) else {
            return Ended::No;
        };
        let branch = own.iter().rev().take(inside).find(|block| block.kind.is_if());
        match branch {
            None => Ended::Inside(inside),
            Some(branch) => {
                let group = &own[own.len() - 1 - inside];
                let opener = cut(group.kind.opener());
                Ended::BeforeIf { opener, opened: group.line, branch: branch.line }
            }
        }
    }
}
