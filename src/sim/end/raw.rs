//! A connection before it is a node's link: bytes in and out, without rules.
//!
//! Its handshake is the node's own. What went over the wire meanwhile is recorded when the link
//! comes up, with the settings that the node gives it then.

use std::sync::Arc;

use super::{End, Phase, World};
use crate::link::LinkOptions;
use crate::protocol::Native;
use crate::sim::op::SimOptions;
use crate::sim::record::SimEvent;
use crate::sim::wire::Piece;

/// What went over a connection before it was a link.
#[derive(Debug, Default)]
pub(super) struct Raw {
    read: usize,
    wrote: usize,
    /// A bit of what arrived is not what was sent.
    is_corrupted: bool,
    /// The node wants no more of it: reading finds the end.
    is_interrupted: bool,
}

/// What is found by reading.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::sim) enum RawInput {
    /// The dialled kernel has made the connection.
    Made,
    Bytes(Vec<u8>),
    /// The other side has ended its stream, or ours was ended by the node.
    End,
    Reset,
}

impl End {
    /// The connection begins: dialled, or accepted by the kernel.
    pub(in crate::sim) fn open_raw(&mut self, world: &mut World<'_>) {
        self.phase = Phase::Raw;
        if self.dials {
            world.out.push(Piece::Syn, world.path, world.rng, world.now);
        }
    }

    pub(in crate::sim) fn corrupt_raw(&mut self) {
        self.raw.is_corrupted = true;
    }

    pub(in crate::sim) fn interrupt_raw(&mut self) {
        self.raw.is_interrupted |= self.phase == Phase::Raw;
    }

    pub(in crate::sim) fn read_raw(&mut self, world: &mut World<'_>) -> Option<RawInput> {
        if self.phase != Phase::Raw {
            return None;
        }
        loop {
            return Some(match world.inward.arrived.pop_front() {
                Some(Piece::Syn) => continue,
                Some(Piece::Made) => RawInput::Made,
                Some(Piece::Bytes(bytes)) => {
                    world.inward.handle_read(bytes.len(), world.path.is_cut);
                    self.raw.read += bytes.len();
                    RawInput::Bytes(bytes)
                }
                Some(Piece::Fin) => RawInput::End,
                Some(Piece::Reset) => RawInput::Reset,
                None if self.raw.is_interrupted => RawInput::End,
                None => return None,
            });
        }
    }

    /// Writes what the kernel takes of `bytes`, and returns how much that is.
    pub(in crate::sim) fn write_raw(&mut self, world: &mut World<'_>, bytes: &[u8]) -> usize {
        if self.phase != Phase::Raw || self.is_shut {
            return 0;
        }
        let count = world.out.write(bytes, world.path, world.rng, world.now);
        self.raw.wrote += count;
        count
    }

    /// Ends our direction.
    pub(in crate::sim) fn shut_raw(&mut self, world: &mut World<'_>) {
        if self.phase == Phase::Raw && !std::mem::replace(&mut self.is_shut, true) {
            world.out.push(Piece::Fin, world.path, world.rng, world.now);
        }
    }

    /// Closes the socket.
    pub(in crate::sim) fn close_raw(&mut self, world: &mut World<'_>) {
        if self.phase == Phase::Raw {
            self.shut_both(world);
            self.phase = Phase::Over;
        }
    }

    /// The handshake is done: the connection is a link from here on, with these options.
    pub(in crate::sim) fn go_up(
        &mut self,
        world: &mut World<'_>,
        options: &LinkOptions,
    ) -> SimOptions {
        // A node makes a link of a connection that it holds, in the turn in which it read it.
        debug_assert_eq!(self.phase, Phase::Raw, "a link is made once, of a raw connection");
        self.options.liveness = options.liveness;
        self.options.queue_bytes = options.queue_bytes;
        self.options.close_timeout = options.close_timeout;
        self.options.close_max = options.close_max;
        self.framing = Arc::new(Native::with_frame_max(options.frame_max));
        let unread = world.inward.arrived.iter().map(|piece| match piece {
            Piece::Bytes(bytes) => bytes.len(),
            _ => 0,
        });
        let (read, wrote) = (self.raw.read, self.raw.wrote);
        let arrived = read + unread.sum::<usize>();
        self.tell(world, SimEvent::Opened { peer: self.peer });
        if self.raw.is_corrupted {
            self.tell(world, SimEvent::Corrupted);
        }
        self.tell(world, SimEvent::Queued { bytes: wrote, heartbeat: None });
        self.tell(world, SimEvent::Wrote { bytes: wrote });
        self.tell(world, SimEvent::Arrived { bytes: arrived });
        self.tell(world, SimEvent::Read { bytes: read });
        self.come_up(world, options.peer_heartbeat_time_ms, &options.received);
        if let Some(budget) = &options.queue_budget {
            self.outgoing.set_budget(budget.clone());
        }
        self.options
    }

    /// Whether bytes that arrive are recorded: of a node's handshake they are later.
    pub(in crate::sim) fn is_raw(&self) -> bool {
        self.phase == Phase::Raw
    }
}
