//! The places of handshakes under way: how many there are, and which is given up when all are
//! taken.
//!
//! A stranger may connect and say nothing, or a byte now and then, until its deadline. When every
//! place is taken, a newcomer takes one over, with its thread: so however many come, there are no
//! more sockets and threads than places. Who has to go comes from the source that holds most of
//! them, so that what one host does costs no other host its place: first connections that were
//! refused already and are only waited for, then those that have not sent a byte, then those whose
//! HELLO is not whole, of each the oldest. Who has just come goes after all of these, whatever it
//! has sent: its HELLO may be in the kernel, unread. Only a connection whose HELLO is being decided
//! stays.
//!
//! Invariant: a place whose thread is at work for another one has no thread yet; one is coming.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

use super::endpoint::Endpoint;

/// How far a connection has come. The order is that in which they stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// It was refused, and is kept for a moment so that it can read why.
    Leaving,
    /// It has not sent a byte.
    Silent,
    /// A part of its HELLO is there.
    Partial,
    /// Its HELLO is whole and is being decided: it keeps its place.
    Deciding,
}

/// The handshakes under way; `S` is a handle on a socket.
#[derive(Debug)]
pub(super) struct Places<S> {
    max: usize,
    last_number: u64,
    /// In the order in which they came.
    held: Vec<Place<S>>,
    /// How many places each source holds.
    by_source: HashMap<Option<IpAddr>, usize>,
}

/// A connection that holds a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place<S> {
    pub(crate) number: u64,
    /// The thread that serves it.
    pub(super) worker: u64,
    pub(crate) addr: Endpoint,
    pub(super) stream: S,
    since: Instant,
    /// Its thread has not come to it yet.
    waits: bool,
    stage: Stage,
}

/// What became of a newcomer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Entered<S> {
    /// A place was free: the newcomer needs a thread, whose number this is.
    Free(u64),
    /// This one made room, and its thread serves the newcomer next.
    Instead {
        displaced: Place<S>,
        /// Its thread is at work for it, so it must be woken, and refuses it.
        was_served: bool,
    },
    /// All that hold a place keep it.
    Full,
}

impl<S: Clone> Places<S> {
    pub(super) fn new(max: usize) -> Self {
        Self { max, last_number: 0, held: Vec::new(), by_source: HashMap::new() }
    }

    /// Gives a connection that was accepted at `now` a place.
    pub(super) fn enter(&mut self, addr: Endpoint, stream: S, now: Instant) -> Entered<S> {
        let (number, from) = (self.last_number + 1, source(&addr));
        let newcomer = |worker| {
            let (since, waits, stage) = (now, true, Stage::Silent);
            Place { number, worker, addr, stream, since, waits, stage }
        };
        if self.held.len() < self.max {
            self.last_number = number;
            self.add(newcomer(number));
            return Entered::Free(number);
        }
        let Some(index) = self.who_goes(from, now) else { return Entered::Full };
        self.last_number = number;
        let displaced = self.remove(index);
        self.add(newcomer(displaced.worker));
        Entered::Instead { was_served: !displaced.waits, displaced }
    }

    /// The next connection that the thread serves, if one waits for it.
    pub(super) fn next(&mut self, worker: u64) -> Option<Place<S>> {
        let place = self.held.iter_mut().find(|place| place.worker == worker && place.waits)?;
        place.waits = false;
        Some(place.clone())
    }

    /// Records how far a connection has come; `false` = it has lost its place.
    pub(super) fn set_stage(&mut self, number: u64, stage: Stage) -> bool {
        let place = self.held.iter_mut().find(|place| place.number == number);
        place.map(|place| place.stage = stage).is_some()
    }

    /// Gives a place back, if it is still held.
    pub(super) fn leave(&mut self, number: u64) -> Option<Place<S>> {
        let index = self.held.iter().position(|place| place.number == number)?;
        Some(self.remove(index))
    }

    /// The sockets of all.
    pub(super) fn streams(&self) -> Vec<S> {
        self.held.iter().map(|place| place.stream.clone()).collect()
    }

    /// The one that makes room for a newcomer of this source, which counts already.
    fn who_goes(&self, newcomer: Option<IpAddr>, now: Instant) -> Option<usize> {
        let may_go =
            self.held.iter().enumerate().filter(|(_, place)| place.stage < Stage::Deciding);
        let first = may_go.min_by_key(|(_, place)| {
            let source = source(&place.addr);
            let held = self.by_source.get(&source).copied().unwrap_or_default();
            let share = held + usize::from(source == newcomer);
            let is_fresh = now.saturating_duration_since(place.since) < HEARD_WITHIN;
            // Of equal ones the first, which is the oldest.
            match is_fresh && place.stage > Stage::Leaving {
                true => (usize::MAX - share, Stage::Deciding),
                false => (usize::MAX - share, place.stage),
            }
        });
        first.map(|(index, _)| index)
    }

    fn add(&mut self, place: Place<S>) {
        *self.by_source.entry(source(&place.addr)).or_default() += 1;
        self.held.push(place);
    }

    fn remove(&mut self, index: usize) -> Place<S> {
        let place = self.held.remove(index);
        let source = source(&place.addr);
        match self.by_source.get_mut(&source) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(self.by_source.remove(&source)),
        }
        place
    }
}

/// Whom a connection is put down to: the address, of IPv6 its network of 64 bits, because a host
/// has all of that. All that come by Unix sockets are one source, `None`.
pub(super) fn source(addr: &Endpoint) -> Option<IpAddr> {
    Some(match addr.as_tcp()?.ip() {
        IpAddr::V4(ip) => ip.into(),
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64).into(),
    })
}

/// How long a connection has to send its HELLO before it counts as silent or slow.
const HEARD_WITHIN: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    fn addr(host: u8, port: u16) -> Endpoint {
        SocketAddr::from(([127, 0, 0, host], port)).into()
    }

    /// Places that are all taken: one for each of these hosts, all served.
    fn full(hosts: &[u8]) -> Places<u16> {
        let mut places = Places::new(hosts.len());
        for (port, host) in (1..).zip(hosts) {
            let entered = places.enter(addr(*host, port), port, Instant::now());
            let Entered::Free(worker) = entered else { panic!() };
            assert_eq!(places.next(worker).map(|place| place.stream), Some(port));
        }
        places
    }

    /// Who makes room for a newcomer from this host.
    fn displaced(places: &mut Places<u16>, host: u8) -> Option<u16> {
        // When none of those that were there is fresh any more.
        displaced_at(places, host, Instant::now() + HEARD_WITHIN)
    }

    fn displaced_at(places: &mut Places<u16>, host: u8, now: Instant) -> Option<u16> {
        match places.enter(addr(host, 999), 999, now) {
            Entered::Instead { displaced, .. } => Some(displaced.stream),
            Entered::Full => None,
            Entered::Free(_) => panic!("a place was free"),
        }
    }

    // lesson 66
    #[test]
    fn the_oldest_that_has_not_sent_a_byte_makes_room() {
        let mut places = full(&[1, 1, 1]);
        assert!(places.set_stage(1, Stage::Partial));
        assert_eq!(displaced(&mut places, 1), Some(2));
        assert_eq!(displaced(&mut places, 1), Some(3));
    }

    #[test]
    fn those_that_were_refused_go_first_and_those_that_are_decided_stay() {
        let mut places = full(&[1, 1, 1, 1]);
        places.set_stage(1, Stage::Deciding);
        places.set_stage(2, Stage::Partial);
        places.set_stage(4, Stage::Leaving);
        let gone: Vec<_> = (2..5).map(|host| displaced(&mut places, host)).collect();
        assert_eq!(gone, [Some(4), Some(3), Some(2)]);
        let mut decided = full(&[1]);
        decided.set_stage(1, Stage::Deciding);
        assert_eq!(displaced(&mut decided, 2), None);
        assert!(decided.leave(1).is_some() && decided.leave(1).is_none());
    }

    #[test]
    fn who_has_just_come_stays_longer_than_those_that_had_the_time_to_speak() {
        let mut places = full(&[1, 1]);
        let soon = Instant::now() + HEARD_WITHIN;
        places.set_stage(1, Stage::Partial);
        places.set_stage(2, Stage::Partial);
        assert_eq!(displaced_at(&mut places, 1, soon), Some(1));
        assert_eq!(displaced_at(&mut places, 1, soon), Some(2), "not the newcomer, unheard yet");
        assert_eq!(displaced_at(&mut places, 1, soon), Some(999), "of those the oldest");
        let mut leaving = full(&[1, 1]);
        leaving.set_stage(2, Stage::Leaving);
        assert_eq!(displaced_at(&mut leaving, 1, soon - HEARD_WITHIN), Some(2));
    }

    #[test]
    fn the_source_with_most_places_makes_room_whoever_was_first() {
        let mut places = full(&[1, 2, 2, 3]);
        assert_eq!(displaced(&mut places, 4), Some(2));
        assert_eq!(displaced(&mut places, 4), Some(999), "the newcomers are two now");
    }

    #[test]
    fn a_thread_serves_who_took_the_place_over_and_no_more_than_one_waits_for_it() {
        let mut places = full(&[1]);
        let first = places.enter(addr(1, 7), 7, Instant::now());
        assert!(matches!(first, Entered::Instead { was_served: true, .. }), "{first:?}");
        let second = places.enter(addr(1, 8), 8, Instant::now());
        let Entered::Instead { was_served: false, displaced } = second else {
            panic!("{second:?}");
        };
        assert_eq!(displaced.stream, 7);
        assert!(!places.set_stage(1, Stage::Deciding), "it has lost its place");
        let next = places.next(1).expect("the last one waits");
        assert_eq!((next.stream, places.next(1)), (8, None));
        assert!(places.set_stage(next.number, Stage::Deciding));
        assert_eq!(places.streams(), [8]);
    }

    #[test]
    fn hosts_of_ipv6_count_by_their_network() {
        let [one, same, other]: [Endpoint; 3] =
            ["[2001:db8::1]:1", "[2001:db8::ffff:1]:2", "[2001:db8:0:1::1]:1"]
                .map(|text| text.parse::<SocketAddr>().expect("an address").into());
        assert_eq!(source(&one), source(&same));
        assert_ne!(source(&one), source(&other));
    }
}
