//! Repeatable random numbers: splitmix64.
//!
//! One small generator decides all that is left to chance in a run. It owns no entropy and reads
//! nothing from outside, so the same seed makes the same run on every machine.

use std::time::Duration;

/// A generator of numbers that is good enough to make trouble, and always the same trouble.
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// Starts from `seed`; every seed is good, 0 as well.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`; 0 if the bound is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.number()) * u128::from(bound)) >> 64) as u64
    }

    /// True once in `n` times.
    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    /// A duration up to `max`, `max` included.
    pub fn duration(&mut self, max: Duration) -> Duration {
        match u64::try_from(max.as_nanos()) {
            Ok(0) => Duration::ZERO,
            Ok(nanos) => Duration::from_nanos(self.below(nanos.saturating_add(1))),
            Err(_) => Duration::from_nanos(self.number()),
        }
    }

    /// One of `choices`.
    ///
    /// # Panics
    /// If there are none.
    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }
}
