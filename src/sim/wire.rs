//! The virtual network: what happens to bytes between two kernels.
//!
//! A [`Path`] is one direction between two hosts, with its conditions and its faults; a [`Pipe`] is
//! one direction of one connection on it. As TCP, a pipe keeps order and loses nothing: a cut only
//! holds bytes back until it is healed and TCP's next retransmission, or forever. A pipe has room
//! for so many bytes, in both kernels and on the way together; room returns when the far program
//! reads.

use std::collections::VecDeque;
use std::time::Duration;

use super::Rng;
use crate::liveness::Time;

/// What one direction between two hosts does to the bytes on it.
///
/// ```
/// use peerbeat::sim::Conditions;
/// use std::time::Duration;
///
/// let slow = Conditions::default().delay(Duration::from_millis(80)).bandwidth(125_000);
/// # let _ = slow;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Conditions {
    /// How long every byte is on its way; at least 1 µs. Default 0.5 ms.
    pub delay: Duration,
    /// Up to how much longer some are, by chance; order is kept. Default none.
    pub jitter: Duration,
    /// Bytes a second that the line carries, for all connections together; `None` (default) = any.
    pub bandwidth: Option<u64>,
    /// Bytes arrive in pieces of 1 to this many, by chance; `None` (default) = in segments of 1448.
    pub split: Option<usize>,
}

impl Conditions {
    setters! {
        delay: [Duration],
        jitter: [Duration],
        bandwidth: into [Option<u64>],
        split: into [Option<usize>],
    }
}

impl Default for Conditions {
    fn default() -> Self {
        let delay = Duration::from_micros(500);
        Self { delay, jitter: Duration::ZERO, bandwidth: None, split: None }
    }
}

/// One direction between two hosts.
#[derive(Debug)]
pub(super) struct Path {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) conditions: Conditions,
    pub(super) is_cut: bool,
    /// The next byte to arrive will be another than was sent.
    pub(super) corrupts: bool,
    /// When the line has carried what it was given.
    line_free: Time,
}

impl Path {
    pub(super) fn new(from: usize, to: usize, conditions: Conditions) -> Self {
        Self { from, to, conditions, is_cut: false, corrupts: false, line_free: Time::ZERO }
    }

    fn delay(&self) -> Duration {
        self.conditions.delay.max(Duration::from_micros(1))
    }
}

/// What travels.
#[derive(Debug)]
pub(super) enum Piece {
    /// The dialling kernel asks for a connection.
    Syn,
    /// The dialled kernel makes it, for a node.
    Made,
    Bytes(Vec<u8>),
    /// The end of the stream.
    Fin,
    /// The far kernel knows no such connection.
    Reset,
}

/// One direction of one connection.
#[derive(Debug)]
pub(super) struct Pipe {
    /// The index of its path.
    pub(super) path: usize,
    flying: VecDeque<(Time, Piece)>,
    /// In the far kernel, not read yet.
    pub(super) arrived: VecDeque<Piece>,
    /// Bytes that the near kernel still takes.
    pub(super) room: usize,
    /// Room that the near kernel has not heard of, as the way back is cut.
    unheard: usize,
    last_arrival: Time,
}

impl Pipe {
    pub(super) fn new(path: usize, room: usize) -> Self {
        let (flying, arrived) = (VecDeque::new(), VecDeque::new());
        Self { path, flying, arrived, room, unheard: 0, last_arrival: Time::ZERO }
    }

    /// Gives bytes to the near kernel, and returns how many it took.
    pub(super) fn write(
        &mut self,
        bytes: &[u8],
        path: &mut Path,
        rng: &mut Rng,
        now: Time,
    ) -> usize {
        let count = bytes.len().min(self.room);
        self.room -= count;
        let mut rest = &bytes[..count];
        while !rest.is_empty() {
            let size = match path.conditions.split {
                Some(most) => 1 + rng.below(most as u64) as usize,
                None => SEGMENT,
            };
            let (piece, later) = rest.split_at(size.min(rest.len()));
            self.push(Piece::Bytes(piece.to_vec()), path, rng, now);
            rest = later;
        }
        count
    }

    /// Puts a piece on its way.
    pub(super) fn push(&mut self, piece: Piece, path: &mut Path, rng: &mut Rng, now: Time) {
        let mut sent = now;
        if let (Some(bandwidth), Piece::Bytes(bytes)) = (path.conditions.bandwidth, &piece) {
            let nanos = bytes.len() as u64 * 1_000_000_000 / bandwidth.max(1);
            sent = path.line_free.max(now) + Duration::from_nanos(nanos);
            path.line_free = sent;
        }
        let at = sent + path.delay() + rng.duration(path.conditions.jitter);
        self.last_arrival = self.last_arrival.max(at);
        self.flying.push_back((self.last_arrival, piece));
    }

    /// The near kernel resets the connection: what it still holds is lost, and what is on the line
    /// arrives before the reset.
    pub(super) fn reset(&mut self, path: &mut Path, rng: &mut Rng, now: Time) {
        let on_the_line = now + path.delay() + path.conditions.jitter;
        self.flying.retain(|(at, _)| *at <= on_the_line);
        self.last_arrival = self.flying.back().map_or(Time::ZERO, |(at, _)| *at);
        self.push(Piece::Reset, path, rng, now);
    }

    /// The connection has been reset: what the near kernel holds is lost.
    pub(super) fn destroy(&mut self) {
        self.flying.clear();
    }

    /// When the next piece arrives; [`Time::NEVER`] if none is on its way or the path is cut.
    pub(super) fn next_arrival(&self, path: &Path) -> Time {
        match self.flying.front() {
            Some((at, _)) if !path.is_cut => *at,
            _ => Time::NEVER,
        }
    }

    /// Takes the next piece off the line.
    pub(super) fn arrive(&mut self) -> Option<Piece> {
        self.flying.pop_front().map(|(_, piece)| piece)
    }

    /// Whether anything is on its way, or held back by a cut.
    pub(super) fn is_flying(&self) -> bool {
        !self.flying.is_empty()
    }

    /// The path has been healed: what was lost arrives with TCP's next retransmission, each of
    /// which waits twice as long as the one before, from 0.2 s to 120 s.
    pub(super) fn handle_healed(&mut self, path: &Path, now: Time) {
        let Some(&(lost, _)) = self.flying.front() else { return };
        let (mut again, mut wait) = (lost, Duration::from_millis(200));
        while again < now {
            again = again + wait;
            wait = (wait * 2).min(Duration::from_secs(120));
        }
        let again = again + path.delay();
        for (at, _) in &mut self.flying {
            *at = (*at).max(again);
        }
        self.last_arrival = self.last_arrival.max(again);
    }

    /// The far program has read `count` bytes; the near kernel hears of it unless the way back is
    /// cut.
    pub(super) fn handle_read(&mut self, count: usize, way_back_is_cut: bool) {
        self.unheard += count;
        if !way_back_is_cut {
            self.room += std::mem::take(&mut self.unheard);
        }
    }
}

/// The bytes of a segment on an ordinary line.
const SEGMENT: usize = 1448;
