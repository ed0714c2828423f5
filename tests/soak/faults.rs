//! The faults: drawn by a seed, one at a time for each peer, with a rest between them.
//!
//! Each states what it may lead to. A fault that must end a link and does not was missed; an end
//! that no fault explains is false.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use peerbeat::cable::Way;

use crate::peers::{LIMIT, SLACK, World};

/// What is done to a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// The cable carries nothing, longer than the limit.
    Freeze,
    /// The cable carries nothing towards the hub, longer than the limit.
    FreezeOneWay,
    /// The cable carries nothing, but not for long.
    FreezeShort,
    /// The cable is cut: the ends of the stream are seen.
    Cut,
    /// The cable is reset.
    Reset,
    /// A byte now and then.
    Drip,
    /// One byte a write.
    Slice,
    /// Some hundred bytes now and then.
    Squeeze,
    /// The peer is silent: no data, and its heartbeats are held back.
    Mute,
    /// The peer's reader is stuck, and little is sent to it.
    StuckReader,
    /// The peer's reader is stuck, and so much is sent that nothing more fits.
    Stuffed,
    /// The peer gets no byte written.
    StuckWriter,
    /// The peer says goodbye.
    Close,
    /// The hub says goodbye.
    HubCloses,
}

const ALL: [Kind; 14] = [
    Kind::Freeze,
    Kind::FreezeOneWay,
    Kind::FreezeShort,
    Kind::Cut,
    Kind::Reset,
    Kind::Drip,
    Kind::Slice,
    Kind::Squeeze,
    Kind::Mute,
    Kind::StuckReader,
    Kind::Stuffed,
    Kind::StuckWriter,
    Kind::Close,
    Kind::HubCloses,
];

impl Kind {
    /// How links may end of it; empty if they must live. The one end's reason is the other end's
    /// `eof` or `io`, and a peer that comes again `replaced` what the hub still had.
    pub(crate) fn reasons(self) -> &'static [&'static str] {
        match self {
            Self::FreezeShort | Self::Drip | Self::Slice | Self::Squeeze | Self::StuckReader => &[],
            // A dial that was given up may be carried once the cable thaws, its goodbye too.
            Self::Freeze | Self::FreezeOneWay => &["silent", "eof", "io", "replaced", "closed"],
            Self::Mute => &["silent", "eof", "io", "replaced"],
            Self::Cut | Self::Reset => &["eof", "io", "replaced"],
            Self::Stuffed | Self::StuckWriter => {
                &["silent", "write-stalled", "eof", "io", "replaced"]
            }
            Self::Close | Self::HubCloses => &["local", "closed", "eof", "io", "replaced"],
        }
    }

    /// How long it lasts.
    fn span(self) -> Duration {
        match self {
            Self::Cut | Self::Reset | Self::Close | Self::HubCloses => Duration::from_secs(1),
            Self::FreezeShort => SLACK / 2,
            Self::Drip | Self::Slice | Self::Squeeze | Self::StuckReader => LIMIT + SLACK,
            // Once the kernel's buffers are full, a limit must pass.
            Self::Stuffed => LIMIT + SLACK * 2,
            _ => LIMIT + SLACK,
        }
    }
}

/// A fault on one peer, now or before.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fault {
    pub(crate) kind: Kind,
    pub(crate) since: Instant,
    pub(crate) until: Instant,
}

/// The plan of all peers.
#[derive(Debug)]
pub(crate) struct Faulting {
    random: u64,
    /// What goes on at each peer, or when the next thing begins.
    peers: Vec<Result<Fault, Instant>>,
    tried: BTreeMap<Kind, u64>,
}

impl Faulting {
    pub(crate) fn new(seed: u64, count: usize) -> Self {
        let mut plan = Self { random: seed, peers: Vec::new(), tried: BTreeMap::new() };
        for _ in 0..count {
            let rest = plan.rest();
            plan.peers.push(Err(Instant::now() + rest));
        }
        plan
    }

    /// Ends faults whose time is over, and begins others if all is well.
    pub(crate) fn step(&mut self, world: &World) {
        for index in 0..self.peers.len() {
            let now = Instant::now();
            match self.peers[index] {
                Ok(fault) if now >= fault.until => {
                    end(world, index, fault);
                    self.peers[index] = Err(now + self.rest());
                }
                Err(at) if now >= at && world.is_settled(index) => {
                    let kind = ALL[self.draw(ALL.len() as u64) as usize];
                    let fault = Fault { kind, since: now, until: now + kind.span() };
                    *self.tried.entry(kind).or_default() += 1;
                    begin(world, index, fault);
                    self.peers[index] = Ok(fault);
                }
                _ => {}
            }
        }
    }

    /// Turns everything off.
    pub(crate) fn stop(&mut self, world: &World) {
        for (index, peer) in self.peers.iter().enumerate() {
            if let Ok(fault) = peer {
                let now = Instant::now();
                end(world, index, Fault { until: now, ..*fault });
            }
        }
    }

    pub(crate) fn tried(&self) -> u64 {
        self.tried.values().sum()
    }

    pub(crate) fn summary(&self) -> String {
        let each = self.tried.iter().map(|(kind, count)| format!("{kind:?} {count}"));
        each.collect::<Vec<_>>().join(", ")
    }

    /// Two to eight seconds.
    fn rest(&mut self) -> Duration {
        Duration::from_millis(2000 + self.draw(6000))
    }

    /// A number below `end` (splitmix64).
    fn draw(&mut self, end: u64) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}

fn begin(world: &World, index: usize, fault: Fault) {
    // First what may happen, then what makes it happen.
    world.expect(index, fault);
    let peer = world.peer(index);
    let cable = &peer.cable;
    match fault.kind {
        Kind::Freeze | Kind::FreezeShort => {
            cable.freeze(Way::Out);
            cable.freeze(Way::In);
        }
        Kind::FreezeOneWay => cable.freeze(Way::Out),
        Kind::Cut => cable.cut(),
        Kind::Reset => cable.reset(),
        Kind::Slice => cable.slice(1),
        Kind::Drip | Kind::Squeeze => {
            cable.rate(if fault.kind == Kind::Drip { 10 } else { 3000 });
        }
        Kind::Mute => {
            peer.be_quiet(true);
            peer.faults.hold_heartbeats(true);
        }
        Kind::StuckReader => peer.faults.stall_reader(true),
        Kind::Stuffed => {
            peer.faults.stall_reader(true);
            peer.be_stuffed(true);
        }
        Kind::StuckWriter => peer.faults.stall_writer(true),
        Kind::Close => peer.close(),
        Kind::HubCloses => world.hub_closes(index),
    }
}

/// Puts everything right again.
fn end(world: &World, index: usize, fault: Fault) {
    let peer = world.peer(index);
    peer.cable.plug();
    peer.faults.hold_heartbeats(false);
    peer.faults.stall_reader(false);
    peer.faults.stall_writer(false);
    peer.be_quiet(false);
    peer.be_stuffed(false);
    world.expect_no_more(index, fault);
}
