//! A lock whose holder panicked is taken all the same: the one place of the library that says so
//! (`cable` and the command, which import nothing, say it for themselves).
//!
//! Every lock guards state that is whole whenever user code runs: handlers are called with none
//! held, and framings, layers and a stream's look at the kernel at points at which it is. What a
//! panic of ours leaves under one is at worst stale, and a link or node that cannot be closed any
//! more would be worse.

use std::sync::{LockResult, PoisonError};

/// What a lock or a wait returns, taken whether or not another holder has panicked.
pub(crate) trait Recover {
    /// The guard.
    type Guard;

    /// The guard, poisoned or not.
    fn recover(self) -> Self::Guard;
}

impl<G> Recover for LockResult<G> {
    type Guard = G;

    #[inline]
    fn recover(self) -> G {
        self.unwrap_or_else(PoisonError::into_inner)
    }
}
