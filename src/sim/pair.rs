//! The smallest net: two hosts and a link between them.
//!
//! It owns a [`Net`] and hands all of it on; it only has the two hosts ready.

use std::ops::{Deref, DerefMut};

use super::{Host, Net, SimOptions};

/// Two hosts, the left of which dials the right at time zero.
///
/// ```
/// use peerbeat::sim::{Op, Pair, SimEvent, SimOptions, secs};
///
/// let mut pair = Pair::new(7, SimOptions::default(), SimOptions::default());
/// pair.at(secs(3.0), Op::Cut { a: Pair::LEFT, b: Pair::RIGHT });
/// pair.run_until(secs(60.0));
/// // Its announcement was the last that each heard of the other, at 1.5 ms and 1 ms; the limit is
/// // 5 s + 2 s.
/// let downs = pair.seen().filter(|record| matches!(record.event, SimEvent::Down { .. }));
/// assert_eq!(downs.map(|record| record.at).collect::<Vec<_>>(), [secs(7.001), secs(7.0015)]);
/// ```
pub struct Pair<'h>(Net<'h>);

impl Pair<'_> {
    /// The host that dials.
    pub const LEFT: Host = Host(0);
    /// The host that is dialled.
    pub const RIGHT: Host = Host(1);

    /// Two hosts and a connection that begins at time zero.
    pub fn new(seed: u64, left: SimOptions, right: SimOptions) -> Self {
        let mut net = Net::new(seed);
        let (left, right) = (net.add(left), net.add(right));
        net.connect(left, right);
        Self(net)
    }
}

impl<'h> Deref for Pair<'h> {
    type Target = Net<'h>;

    fn deref(&self) -> &Net<'h> {
        &self.0
    }
}

impl<'h> DerefMut for Pair<'h> {
    fn deref_mut(&mut self) -> &mut Net<'h> {
        &mut self.0
    }
}
