//! The configuration file. (placeholder: the config worktree replaces it)
#![allow(missing_docs)]
/// Replaced.
pub struct Config {}
