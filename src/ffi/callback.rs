//! What is set up around each call of a function of a layer, which may come on any thread.
//!
//! Invariant: while such a function runs, its thread cannot begin a call on a handle: the layer's
//! state is locked then, and the call might wait for it.

use std::cell::Cell;
use std::thread;

use super::cancel;
use super::fork;

thread_local! {
    static IS_INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread runs a function of a layer.
#[inline]
pub(super) fn is_inside() -> bool {
    IS_INSIDE.get()
}

/// Calls a function of a layer.
pub(super) fn call<T>(function: impl FnOnce() -> T) -> T {
    // The first connection's first function comes before the first handle.
    fork::begin();
    let process = fork::generation();
    let before = IS_INSIDE.replace(true);
    if !before {
        // A thread of the host has it held back already.
        cancel::never_here();
    }
    let answer = function();
    IS_INSIDE.set(before);
    while fork::generation() != process {
        // The host has forked in the function and returned from it in the child: what goes on from
        // here would use the parent's connection.
        thread::park();
    }
    answer
}
