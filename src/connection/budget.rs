//! Bytes that may wait to be sent on several connections together, and one connection's part.
//!
//! A part grows in steps as bytes come to wait and is given back as they leave, so most messages
//! change nothing that is shared. It may be so many times what is still free: a peer that reads
//! nothing leaves room for the others, however few or many they are. Once a part was refused the
//! budget is *short*, until half of it is free: then every part gives back what leaves it at once,
//! and one that has more than it may have takes nothing, so that those that all want more than
//! there is end up with equal parts.
//!
//! Invariant: the parts together are never more than the budget was when they grew.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Bytes that may wait to be sent on all links that are given clones of it.
///
/// It is shared fairly: a link may hold eight times what is still free, and one message whatever is
/// free. What is refused is [`SendError::Full`](super::SendError::Full).
///
/// ```
/// use peerbeat::connection::QueueBudget;
/// use peerbeat::link::LinkOptions;
///
/// let budget = QueueBudget::new(64 << 20);
/// let options = LinkOptions::default().queue_budget(budget.clone());
/// // Links that are opened with these options share the 64 MiB.
/// # drop(options);
/// println!("{} of {} bytes wait", budget.used(), budget.bytes());
/// ```
#[derive(Clone)]
pub struct QueueBudget(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    max: AtomicUsize,
    used: AtomicUsize,
    is_short: AtomicBool,
}

impl QueueBudget {
    /// One of so many bytes.
    pub fn new(bytes: usize) -> Self {
        let (max, used) = (AtomicUsize::new(bytes), AtomicUsize::new(0));
        Self(Arc::new(Inner { max, used, is_short: AtomicBool::new(false) }))
    }

    /// How many bytes it is of.
    pub fn bytes(&self) -> usize {
        self.0.max.load(Ordering::Relaxed)
    }

    /// Makes it one of so many bytes. What waits already goes on waiting if that is less.
    pub fn set_bytes(&self, bytes: usize) {
        self.0.max.store(bytes, Ordering::Relaxed);
    }

    /// What the links hold of it now, in steps of 4 KiB for each.
    pub fn used(&self) -> usize {
        self.0.used.load(Ordering::Relaxed)
    }

    /// Takes `more` for a part that then is `part`.
    fn take(&self, more: usize, part: usize) -> bool {
        let max = self.bytes();
        let taken = |used: usize| {
            let then = used.checked_add(more)?;
            let free = max.checked_sub(then)?;
            (part / FREE_TIMES <= free).then_some(then)
        };
        self.0.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, taken).is_ok()
    }

    fn give_back(&self, bytes: usize) {
        let used = self.0.used.fetch_sub(bytes, Ordering::Relaxed) - bytes;
        if self.is_short() && used <= self.bytes() / 2 {
            self.0.is_short.store(false, Ordering::Relaxed);
        }
    }

    #[inline]
    fn is_short(&self) -> bool {
        self.0.is_short.load(Ordering::Relaxed)
    }
}

/// Clones are equal, others are not.
impl PartialEq for QueueBudget {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for QueueBudget {}

impl fmt::Debug for QueueBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "QueueBudget({} of {})", self.used(), self.bytes())
    }
}

/// What one connection holds of a budget, if there is one.
#[derive(Debug, Default)]
pub(super) struct Part {
    budget: Option<QueueBudget>,
    held: usize,
}

impl Part {
    pub(super) fn of(budget: QueueBudget) -> Self {
        Self { budget: Some(budget), held: 0 }
    }

    /// Whether so many bytes may wait in all; then they are taken.
    #[inline]
    pub(super) fn grows_to(&mut self, bytes: usize) -> bool {
        let Some(budget) = &self.budget else { return true };
        (bytes <= self.held && !budget.is_short()) || self.grow(bytes)
    }

    /// How many bytes may wait in all without more being taken.
    pub(super) fn held_max(&self) -> usize {
        match &self.budget {
            None => usize::MAX,
            Some(budget) if budget.is_short() => 0,
            Some(_) => self.held,
        }
    }

    #[cold]
    fn grow(&mut self, bytes: usize) -> bool {
        let Some(budget) = &self.budget else { return true };
        let steps = bytes.checked_next_multiple_of(STEP_BYTES).filter(|_| !budget.is_short());
        for part in steps.into_iter().chain([bytes.max(self.held)]) {
            if budget.take(part - self.held, part) {
                self.held = part;
                return true;
            }
        }
        budget.0.is_short.store(true, Ordering::Relaxed);
        false
    }

    /// So many bytes still wait: gives back what is more than twice that, or all if others want it.
    #[inline]
    pub(super) fn shrink_to(&mut self, bytes: usize) {
        let Some(budget) = &self.budget else { return };
        let keeps = if budget.is_short() { self.held } else { self.held / 2 };
        if self.held > 0 && (bytes == 0 || keeps > bytes) {
            self.give_back(bytes);
        }
    }

    #[cold]
    fn give_back(&mut self, bytes: usize) {
        let part = bytes.min(self.held);
        if let Some(budget) = &self.budget {
            budget.give_back(self.held - part);
        }
        self.held = part;
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.give_back(0);
    }
}

/// A part may be so many times what is still free.
const FREE_TIMES: usize = 8;
/// A part grows by so much.
const STEP_BYTES: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_part_alone_may_be_eight_ninths_and_is_given_back() {
        let budget = QueueBudget::new(9000);
        let mut part = Part::of(budget.clone());
        assert!(part.grows_to(8000));
        assert_eq!(budget.used(), 8000);
        part.shrink_to(5000);
        assert_eq!(budget.used(), 8000, "little is kept");
        assert!(!part.grows_to(8010));
        part.shrink_to(4900);
        assert_eq!(budget.used(), 4900, "not while the budget is short");
        part.shrink_to(4000);
        assert!(part.grows_to(4096));
        part.shrink_to(3000);
        assert_eq!(budget.used(), 4096, "and again, once half of it is free");
        drop(part);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn parts_that_all_want_more_end_up_equal_and_within_the_budget() {
        let budget = QueueBudget::new(1 << 20);
        let mut parts: Vec<Part> = (0..10).map(|_| Part::of(budget.clone())).collect();
        let mut sizes = [0; 10];
        // The first is there long before the others.
        while parts[0].grows_to(sizes[0] + 100) {
            sizes[0] += 100;
        }
        assert!(sizes[0] > 900_000);
        for _ in 0..100_000 {
            // A part that writes a little wants it back.
            sizes[0] = sizes[0].saturating_sub(50);
            parts[0].shrink_to(sizes[0]);
            for (part, size) in parts.iter_mut().zip(&mut sizes) {
                if part.grows_to(*size + 100) {
                    *size += 100;
                }
            }
            assert!(budget.used() <= 1 << 20);
        }
        let (least, most) = (sizes.iter().min().unwrap(), sizes.iter().max().unwrap());
        assert!(least * 2 >= *most, "{sizes:?}");
    }

    #[test]
    fn a_smaller_budget_refuses_until_enough_has_left() {
        let budget = QueueBudget::new(100_000);
        let mut part = Part::of(budget.clone());
        assert!(part.grows_to(50_000));
        budget.set_bytes(20_000);
        assert!(!part.grows_to(60_000));
        part.shrink_to(5000);
        assert!(part.grows_to(6000));
        assert!(part.held <= 8192);
    }
}
