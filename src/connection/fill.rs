//! How full the queue is, as far as the program hears of it.
//!
//! Over 80 % it is high, under half it is low again: what lies between changes nothing, so that a
//! queue on one edge is not reported with every message.
//!
//! Invariant: what is taken alternates, beginning with high. A queue that was emptied before anyone
//! looked is counted with the next one.

/// The state of the queue, and what of it was reported.
#[derive(Debug)]
pub(crate) struct Fill {
    /// Bytes that may wait.
    limit: usize,
    /// More is high.
    high: usize,
    /// No more is low.
    low: usize,
    /// The least that changes nothing, and how much more does not either: one comparison a message.
    calm_from: usize,
    calm_span: usize,
    is_high: bool,
    was_high: bool,
    crossed: u64,
}

/// What is to be reported of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Crossing {
    pub(super) is_high: bool,
    /// Bytes that wait.
    pub(super) bytes: usize,
    /// How many crossings this is.
    pub(super) count: u64,
}

impl Fill {
    pub(super) fn new(limit: usize) -> Self {
        let (high, low) = (limit / 5 * 4, limit / 2);
        let (calm_from, calm_span) = (0, high);
        let (is_high, was_high, crossed) = (false, false, 0);
        Self { limit, high, low, calm_from, calm_span, is_high, was_high, crossed }
    }

    fn set_calm(&mut self) {
        (self.calm_from, self.calm_span) = match self.is_high {
            false => (0, self.high),
            true => (self.low + 1, usize::MAX - self.low - 1),
        };
    }

    /// How many bytes may wait.
    #[inline]
    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// How many bytes may wait, and not one more without something to report.
    pub(super) fn calm_max(&self) -> usize {
        self.limit.min(self.calm_from.saturating_add(self.calm_span))
    }

    pub(super) fn set_limit(&mut self, limit: usize) {
        *self = Self {
            is_high: self.is_high,
            was_high: self.was_high,
            crossed: self.crossed,
            ..Self::new(limit)
        };
        self.set_calm();
    }

    /// So many bytes wait now.
    #[inline]
    pub(super) fn handle_pending(&mut self, bytes: usize) {
        if bytes.wrapping_sub(self.calm_from) > self.calm_span {
            self.cross();
        }
    }

    #[cold]
    fn cross(&mut self) {
        self.is_high = !self.is_high;
        self.crossed += 1;
        self.set_calm();
    }

    /// Whether there is something to report.
    #[inline]
    pub(super) fn has_crossed(&self) -> bool {
        self.is_high != self.was_high
    }

    /// Takes what there is to report while `bytes` wait.
    pub(super) fn take(&mut self, bytes: usize) -> Option<Crossing> {
        if !self.has_crossed() {
            return None;
        }
        self.was_high = self.is_high;
        let count = std::mem::take(&mut self.crossed);
        Some(Crossing { is_high: self.is_high, bytes, count })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn over_four_fifths_is_high_until_it_is_no_more_than_half() {
        let mut fill = Fill::new(1000);
        let mut look = |bytes| {
            fill.handle_pending(bytes);
            fill.take(bytes).map(|crossing| (crossing.is_high, crossing.count))
        };
        assert_eq!((look(800), look(801), look(1000)), (None, Some((true, 1)), None));
        assert_eq!((look(501), look(801), look(501)), (None, None, None));
        assert_eq!((look(500), look(800), look(0)), (Some((false, 1)), None, None));
        assert_eq!(look(801), Some((true, 1)));
    }

    #[test]
    fn another_limit_moves_the_edges_and_not_the_state() {
        let mut fill = Fill::new(1000);
        fill.handle_pending(900);
        fill.set_limit(100_000);
        fill.handle_pending(50_001);
        assert_eq!(fill.take(50_001).map(|crossing| crossing.is_high), Some(true));
        fill.handle_pending(50_000);
        assert_eq!(fill.take(50_000).map(|crossing| crossing.is_high), Some(false));
        fill.set_limit(10);
        fill.handle_pending(8);
        assert_eq!(fill.take(8), None);
        fill.handle_pending(9);
        assert_eq!(fill.take(9).map(|crossing| crossing.is_high), Some(true));
    }

    #[test]
    fn what_nobody_saw_is_counted_with_the_next() {
        let mut fill = Fill::new(1000);
        for bytes in [900, 100, 900, 100] {
            fill.handle_pending(bytes);
        }
        assert_eq!(fill.take(100), None);
        fill.handle_pending(900);
        assert_eq!(fill.take(900), Some(Crossing { is_high: true, bytes: 900, count: 5 }));
        assert_eq!(fill.take(900), None);
    }
}
