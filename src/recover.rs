//! Takes a lock even if its holder panicked: the only place in the library that does so (`cable`
//! and the command, which import nothing, have their own).
//!
//! Every lock guards state that is whole whenever user code runs: handlers are called with none
//! held, and framings, layers and a stream's look at the kernel at points at which it is. After a
//! panic in our own code such state is at worst stale; a link or node that can no longer be closed
//! would be worse.

use std::sync::{LockResult, PoisonError};

/// The value that a lock or a wait returns, whether or not another holder has panicked.
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
