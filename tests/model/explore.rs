//! Follows every choice of a model until no new state appears.

use std::collections::HashMap;
use std::fmt::Debug;
use std::hash::{BuildHasherDefault, Hash, Hasher};

/// What a choice leads to.
pub(crate) enum Next<S> {
    State(S),
    /// A law was broken.
    Broken(&'static str, S),
}

/// The way to a broken law, a line a tick.
pub(crate) type Path = String;

/// What an exploration saw.
pub(crate) struct Explored {
    /// The states that there are.
    pub(crate) states: usize,
    /// The first law broken, and the shortest way there.
    pub(crate) broken: Option<(&'static str, Path)>,
}

/// Explores from `start`, breadth first, so that the first broken law has the shortest way.
///
/// # Panics
/// With more than `STATES_MAX` states: what was cut off would pass for proved.
pub(crate) fn explore<S: Clone + Eq + Hash + Debug>(
    start: S,
    mut choices: impl FnMut(&S, &mut dyn FnMut(Next<S>)),
) -> Explored {
    let mut known: HashMap<S, (), BuildHasherDefault<Mix>> = HashMap::default();
    let mut states = vec![(start.clone(), 0)];
    known.insert(start, ());
    let mut at = 0;
    while at < states.len() {
        let state = states[at].0.clone();
        let mut broken = None;
        choices(&state, &mut |next| match next {
            Next::State(next) => {
                if known.insert(next.clone(), ()).is_none() {
                    states.push((next, at));
                }
            }
            Next::Broken(law, last) => {
                broken.get_or_insert((law, last));
            }
        });
        if let Some((law, last)) = broken {
            let path = path(&states, at, &last);
            return Explored { states: states.len(), broken: Some((law, path)) };
        }
        assert!(states.len() < STATES_MAX, "more than {STATES_MAX} states");
        at += 1;
    }
    Explored { states: states.len(), broken: None }
}

fn path<S: Debug>(states: &[(S, usize)], mut at: usize, last: &S) -> Path {
    let mut lines = vec![format!("{last:?}")];
    loop {
        let (state, from) = &states[at];
        lines.push(format!("{state:?}"));
        if at == 0 {
            lines.reverse();
            return lines.join("\n");
        }
        at = *from;
    }
}

const STATES_MAX: usize = 20_000_000;

/// The states are small and hashed by the million, unoptimised too.
#[derive(Default)]
struct Mix(u64);

impl Hasher for Mix {
    fn finish(&self) -> u64 {
        self.0 ^ self.0 >> 29
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(byte.into());
        }
    }

    fn write_u8(&mut self, byte: u8) {
        self.write_u64(byte.into());
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

/// A short queue that lies in the state itself.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Queue {
    items: u128,
    count: u8,
}

impl Hash for Queue {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        hasher.write_u64(self.items as u64);
        hasher.write_u64((self.items >> 64) as u64 ^ u64::from(self.count) << 56);
    }
}

impl Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl Queue {
    pub(crate) fn push(&mut self, item: u8) {
        assert!(self.count < 16, "a queue of 16 was too short");
        self.items |= u128::from(item) << (8 * self.count);
        self.count += 1;
    }

    pub(crate) fn pop(&mut self) -> Option<u8> {
        let item = self.first()?;
        self.items >>= 8;
        self.count -= 1;
        Some(item)
    }

    pub(crate) fn len(&self) -> u8 {
        self.count
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(crate) fn first(&self) -> Option<u8> {
        self.iter().next()
    }

    /// Adds one to every item.
    pub(crate) fn age(&mut self) {
        let ones = u128::from_le_bytes([1; 16]);
        let used = if self.count == 16 { u128::MAX } else { (1 << (8 * self.count)) - 1 };
        self.items += ones & used;
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = u8> + use<> {
        let (items, count) = (self.items, self.count);
        (0..count).map(move |index| (items >> (8 * index)) as u8)
    }
}
