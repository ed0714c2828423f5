//! Reports that belong to no link, made by a thread of their own: refused connections and problems
//! with accepting.
//!
//! A thread that accepts or shakes hands puts a report here and goes on: a handler that is slow
//! with reports about strangers keeps no peer out. Refusals are limited in rate for each source
//! address, with a count of what was held back; strangers cannot make the memory grow, nor a log.
//!
//! Invariant: at most [`QUEUE_MAX`] refusals wait, and [`SOURCES_MAX`] sources are remembered.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use super::clock::Clock;
use super::endpoint::Endpoint;
use super::places::source;
use super::runtime::PeerRuntime;
use super::{NodeEvent, RefusedReason};
use crate::connection::Rate;
use crate::liveness::Time;
use crate::recover::Recover;

/// A connection that was turned away.
#[derive(Clone)]
pub(crate) struct Refusal {
    /// The peer, if it is known.
    pub(crate) runtime: Option<Arc<PeerRuntime>>,
    pub(crate) name: String,
    pub(crate) reason: RefusedReason,
    pub(crate) detail: String,
}

/// An event and the peer it is about.
pub(crate) type Report = (Option<Arc<PeerRuntime>>, NodeEvent);

/// The reports that wait, and how often each source was reported lately.
pub(crate) struct Reports {
    clock: Clock,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Report>,
    sources: HashMap<Option<IpAddr>, Source>,
    /// When it was last looked which sources can be forgotten.
    tidied: Time,
    closed: bool,
}

#[derive(Default)]
struct Source {
    rate: Rate,
    /// The latest that is held back.
    latest: Option<(Endpoint, Refusal)>,
}

impl Reports {
    pub(super) fn new(clock: &Clock) -> Self {
        Self { clock: clock.clone(), state: Mutex::default(), changed: Condvar::new() }
    }

    /// Reports something that is seldom.
    pub(super) fn add(&self, runtime: Option<Arc<PeerRuntime>>, event: NodeEvent) {
        self.lock().queue.push_back((runtime, event));
        self.changed.notify_one();
        self.clock.wake();
    }

    /// Reports a refusal, at once or when its rate allows.
    pub(super) fn add_refusal(&self, addr: Endpoint, refusal: Refusal) {
        self.lock().add_refusal(addr, refusal, self.now());
        self.changed.notify_one();
        self.clock.wake();
    }

    /// The next report that is due; `Err` = there is none before this instant, or before one is
    /// added.
    pub(crate) fn poll(&self) -> Result<Report, Time> {
        let mut state = self.lock();
        let now = self.now();
        state.take(now).ok_or_else(|| state.due().unwrap_or(Time::NEVER))
    }

    /// The next report, waiting for it; `None` = it is closed and all is reported.
    pub(super) fn next(&self) -> Option<Report> {
        let mut state = self.lock();
        loop {
            let now = self.now();
            if let Some(report) = state.take(now) {
                return Some(report);
            }
            if state.closed {
                return None;
            }
            state = match state.due() {
                Some(due) => {
                    let waited = self.changed.wait_timeout(state, due.since(now));
                    waited.recover().0
                }
                None => self.changed.wait(state).recover(),
            };
        }
    }

    /// Lets [`next`](Self::next) end once all is reported, what is held back included.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_one();
    }

    fn now(&self) -> Time {
        self.clock.now()
    }

    /// None of our code panics while it is locked, so the data behind a poisoned lock is whole.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().recover()
    }
}

impl State {
    fn add_refusal(&mut self, addr: Endpoint, refusal: Refusal, now: Time) {
        let full = self.queue.len() >= QUEUE_MAX;
        let source = self.source(&addr, now);
        match source.rate.admit(now) {
            Some(count) if !full => {
                source.latest = None;
                self.queue.push_back(event(addr, refusal, count));
            }
            Some(count) => {
                source.rate.hold_back(count);
                source.latest = Some((addr, refusal));
            }
            None => source.latest = Some((addr, refusal)),
        }
    }

    /// The next report that may be made by now.
    fn take(&mut self, now: Time) -> Option<Report> {
        self.queue.pop_front().or_else(|| self.take_due(now))
    }

    /// When something that is held back may be reported.
    fn due(&self) -> Option<Time> {
        self.sources.values().filter_map(|source| source.rate.due()).min()
    }

    /// The source of a connection; all that would be too many are one.
    fn source(&mut self, addr: &Endpoint, now: Time) -> &mut Source {
        let mut key = source(addr);
        if self.sources.len() >= SOURCES_MAX && !self.sources.contains_key(&key) {
            if now.since(self.tidied) >= TIDY_EVERY {
                self.tidied = now;
                self.sources.retain(|_, source| !source.rate.is_idle(now));
            }
            if self.sources.len() >= SOURCES_MAX {
                key = OTHERS;
            }
        }
        self.sources.entry(key).or_default()
    }

    /// What was held back and may be reported by now.
    fn take_due(&mut self, now: Time) -> Option<Report> {
        let closed = self.closed;
        let is_due =
            |source: &&mut Source| source.rate.due().is_some_and(|due| closed || due <= now);
        let source = self.sources.values_mut().find(is_due)?;
        let count = source.rate.report(now);
        let (addr, refusal) = source.latest.take()?;
        Some(event(addr, refusal, count))
    }
}

fn event(addr: Endpoint, refusal: Refusal, count: u64) -> Report {
    let Refusal { runtime, name, reason, detail } = refusal;
    (runtime, NodeEvent::Refused { addr, name, reason, detail, count })
}

const QUEUE_MAX: usize = 256;
const SOURCES_MAX: usize = 1024;
const TIDY_EVERY: Duration = Duration::from_secs(1);
/// Represents the sources that are too many: no connection comes from here.
const OTHERS: Option<IpAddr> = Some(IpAddr::V4(Ipv4Addr::UNSPECIFIED));

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    fn from(host: u8, port: u16) -> Endpoint {
        SocketAddr::from(([10, 0, 0, host], port)).into()
    }

    fn refusal() -> Refusal {
        let (name, detail) = ("x".to_owned(), String::new());
        Refusal { runtime: None, name, reason: RefusedReason::TooMany, detail }
    }

    /// What is reported by `now`: the port of the one that is shown, and how many it represents.
    fn taken(state: &mut State, now: Time) -> Vec<(u16, u64)> {
        let shown = |(_, event)| match event {
            NodeEvent::Refused { addr, count, .. } => {
                (addr.as_tcp().map_or(0, |addr| addr.port()), count)
            }
            other => panic!("{other:?}"),
        };
        std::iter::from_fn(|| state.take(now)).map(shown).collect()
    }

    #[test]
    fn one_that_comes_again_and_again_is_reported_at_the_instants_of_the_rate() {
        let mut state = State::default();
        let at = |millis| Time::ZERO + Duration::from_millis(millis);
        let mut reported = Vec::new();
        // A connection every 100 ms, each from another port, for five seconds.
        for number in 0..50 {
            let now = at(u64::from(number) * 100);
            state.add_refusal(from(1, number), refusal(), now);
            reported.extend(taken(&mut state, now).into_iter().map(|report| (now, report)));
        }
        let ten = (0..10).map(|number| (at(u64::from(number) * 100), (number, 1)));
        let paced = [19, 29, 39, 49].map(|number| (at(u64::from(number) * 100), (number, 10)));
        assert_eq!(reported, ten.chain(paced).collect::<Vec<_>>());
        // The last one is not left unreported, nor reported early.
        state.add_refusal(from(1, 50), refusal(), at(4901));
        assert_eq!(state.due(), Some(at(5900)));
        let before = Time::from_nanos(at(5900).as_nanos() - 1);
        assert_eq!(
            (taken(&mut state, before), taken(&mut state, at(5900))),
            (vec![], vec![(50, 1)])
        );
        // After a quiet while it is seldom again.
        state.add_refusal(from(1, 51), refusal(), at(60_000));
        assert_eq!((taken(&mut state, at(60_000)), state.due()), (vec![(51, 1)], None));
    }

    /// The counts of all reports, in their order.
    fn counts(reports: &Reports) -> Vec<u64> {
        reports.close();
        let count = |(_, event)| match event {
            NodeEvent::Refused { count, .. } => count,
            other => panic!("{other:?}"),
        };
        std::iter::from_fn(|| reports.next()).map(count).collect()
    }

    #[test]
    fn a_flood_from_one_source_is_counted_and_others_are_reported_beside_it() {
        let reports = Reports::new(&Clock::start());
        for port in 1..=1000 {
            reports.add_refusal(from(1, port), refusal());
        }
        reports.add_refusal(from(2, 1), refusal());
        let counts = counts(&reports);
        assert_eq!(counts.iter().sum::<u64>(), 1001, "{counts:?}");
        assert!(counts.len() <= 10 + 1 + 2, "{counts:?}");
    }

    #[test]
    fn no_number_of_sources_makes_it_grow_and_none_is_lost() {
        let reports = Reports::new(&Clock::start());
        for host in 0..20_000_u32 {
            let ip = Ipv4Addr::from_bits(0x0a00_0000 + host);
            reports.add_refusal(SocketAddr::from((ip, 1)).into(), refusal());
        }
        let state = reports.lock();
        assert!(state.queue.len() <= QUEUE_MAX && state.sources.len() <= SOURCES_MAX + 1);
        drop(state);
        assert_eq!(counts(&reports).iter().sum::<u64>(), 20_000);
    }
}
