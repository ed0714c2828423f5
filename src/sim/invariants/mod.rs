//! What must hold in every run, judged from the record alone.
//!
//! The checker knows the rules of the [wire protocol](crate::protocol) and the raw history: bytes
//! written, arrived and read, processes stopped, readers held. It never looks into
//! [`HeartbeatTimer`](crate::liveness::HeartbeatTimer),
//! [`SilenceTimer`](crate::liveness::SilenceTimer) or an end, so a mistake in them is not repeated
//! here.
//!
//! What the rules promise, and with which slack, is explored exhaustively in `tests/model`: no
//! false verdict if the slack covers the jitter of delays and the lateness of the sender, a dead
//! peer found within the promise + slack. These invariants hold the code that ships to those
//! bounds.
//!
//! Give it the net as often as you like; it judges each record once, in order, and time as it
//! passes between them.

mod account;
mod ending;
mod passing;

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;

use account::{Account, Phase};

use super::{Host, LinkId, Net, Nodes, Record, SimEvent, SimOptions};
use crate::liveness::Time;

/// An invariant of the house.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Invariant {
    /// No peer is dead whose bytes arrived within the limit, or while we were stopped ourselves.
    NoFalseDeath,
    /// Silence past the limit, and a write that is stuck for it, is death, at most the clock's
    /// granularity later.
    DeathInTime,
    /// Both ends come to the smaller heartbeat-time, and each announces to the other what it holds.
    Converges,
    /// While a process runs, the gap between its sends is never above the value in force.
    GapHolds,
    /// In mode idle, a link that carries bytes carries no heartbeats but announcements.
    QuietWhenBusy,
    /// Two heartbeats are never closer than the value in force, but for announcements, and those
    /// never closer than the floor.
    NeverCloser,
    /// A link goes up once and down once, for the first reason it had.
    OneReason,
    /// One of our heartbeats waits for no more than the frame that is being written (H6).
    HeartbeatsPass,
    /// What was accepted and the peer's program did not receive is counted: as unsent or
    /// unconfirmed here, or as not handed on there; and nothing is counted that it received.
    NothingLost,
    /// A queue is reported as high, and then as low again, in turn.
    QueueAlternates,
    /// A close is given up no earlier than its time limits say, unless the peer has ended its
    /// stream.
    OrderlyClose,
    /// Nothing of one connection is seen on another: values start from what this side is configured
    /// with and what the peer's HELLO says, what is received was sent there, in order, and the
    /// account of the end is of this connection.
    NothingLeaks,
}

/// An invariant broken: which, when, by whom, and what led to it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Violation {
    /// Which invariant.
    pub invariant: Invariant,
    /// When.
    pub at: Time,
    /// Who broke it.
    pub host: Host,
    /// On which connection.
    pub link: LinkId,
    /// What was found, and what was allowed.
    pub detail: String,
    /// The last records of that connection, and of hosts, before it; the breaking one is the last.
    pub history: Vec<Record>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for record in &self.history {
            writeln!(f, "{record}")?;
        }
        let (at, host, link) = (self.at.as_nanos() as f64 / 1e9, self.host.0, self.link.0);
        write!(
            f,
            "{:?} broken at {at:.6} by host {host} on link {link}: {}",
            self.invariant, self.detail
        )
    }
}

impl Error for Violation {}

/// The checker of the invariants for one run, from its beginning.
///
/// ```
/// use peerbeat::sim::{Invariants, Op, Pair, SimOptions, secs};
///
/// let mut pair = Pair::new(7, SimOptions::default(), SimOptions::default());
/// pair.connect(Pair::LEFT, Pair::RIGHT);
/// pair.at(secs(3.0), Op::Cut { a: Pair::LEFT, b: Pair::RIGHT });
/// let mut invariants = Invariants::new();
/// while pair.step().is_some_and(|now| now < secs(60.0)) {
///     invariants.check(&pair)?;
/// }
/// # Ok::<(), Box<peerbeat::sim::Violation>>(())
/// ```
#[derive(Debug, Default)]
pub struct Invariants {
    /// The number of the next record.
    next: usize,
    now: Time,
    accounts: BTreeMap<(LinkId, Host), Account>,
    stopped: BTreeMap<Host, Time>,
}

/// An invariant and what broke it.
pub(super) type Broken = (Invariant, String);

impl Invariants {
    /// A checker that has seen nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Judges what happened since the last call.
    ///
    /// # Errors
    /// The first [`Invariant`] that was broken, such as [`Invariant::NoFalseDeath`] or
    /// [`Invariant::DeathInTime`].
    pub fn check(&mut self, net: &Net<'_>) -> Result<(), Box<Violation>> {
        self.check_history(|from| net.history(from), net.now(), |record| net.options(record.host))
    }

    /// Judges what happened on the links of nodes since the last call.
    ///
    /// # Errors
    /// The first [`Invariant`] that was broken, such as [`Invariant::NoFalseDeath`] or
    /// [`Invariant::DeathInTime`].
    pub fn check_nodes(&mut self, nodes: &Nodes) -> Result<(), Box<Violation>> {
        nodes.with_core(|core| {
            self.check_history(
                |from| core.history(from),
                core.now(),
                |record| {
                    let made = record.link.and_then(|link| core.made(link, record.host));
                    made.unwrap_or_else(|| core.options(record.host))
                },
            )
        })
    }

    pub(super) fn check_history<'a>(
        &mut self,
        history: impl Fn(usize) -> &'a [Record],
        now: Time,
        options: impl Fn(&Record) -> &'a SimOptions,
    ) -> Result<(), Box<Violation>> {
        let judged = history(self.next).iter().try_for_each(|record| {
            self.next += 1;
            self.judge(record, options(record))
        });
        judged.and_then(|()| self.pass(now)).map_err(|mut violation| {
            let unjudged = history(self.next).len();
            let known = history(0);
            let known = &known[..known.len() - unjudged];
            let is_about = |seen: &&Record| seen.link.is_none_or(|link| link == violation.link);
            let about: Vec<_> = known.iter().rev().filter(is_about).take(SHOWN).cloned().collect();
            violation.history = about.into_iter().rev().collect();
            violation
        })
    }

    /// Judges one record of a side with these options.
    ///
    /// # Errors
    /// The first [`Invariant`] that was broken, such as [`Invariant::NoFalseDeath`] or
    /// [`Invariant::DeathInTime`], without its history.
    pub fn judge(&mut self, record: &Record, options: &SimOptions) -> Result<(), Box<Violation>> {
        let (at, host) = (record.at, record.host);
        match record.link {
            // Each is judged when something happens to it, and all of them at the end: what was
            // due in between is due still.
            Some(link) if self.accounts.len() > ENDS_JUDGED_TOGETHER => self.pass_link(at, link)?,
            _ => self.pass(at)?,
        }
        let Some(link) = record.link else {
            self.judge_host(record);
            return Ok(());
        };
        let account = self.accounts.entry((link, host)).or_insert_with(|| Account::new(options));
        let judged = account.judge(at, &record.event);
        let (peer, over) = (account.peer.unwrap_or(host), account.phase == Phase::Over);
        let corrupted = account.corrupted;
        let other = self.accounts.get_mut(&(link, peer));
        let judged = judged.and_then(|()| match (&record.event, other) {
            (SimEvent::Message(message), Some(other)) if !corrupted => {
                other.judge_delivered(message)
            }
            _ => Ok(()),
        });
        let is_gone = |other: &Account| other.phase == Phase::Over;
        let mut judged = judged;
        if over && self.accounts.get(&(link, peer)).is_none_or(is_gone) {
            let ours = self.accounts.remove(&(link, host));
            let theirs = self.accounts.remove(&(link, peer));
            if let (Some(ours), Some(theirs)) = (&ours, &theirs) {
                judged = judged
                    .and_then(|()| ours.judge_loss(theirs))
                    .and_then(|()| theirs.judge_loss(ours));
            }
        }
        judged.map_err(|(invariant, detail)| violation(invariant, at, host, link, detail))
    }

    /// Judges that the time is now `now`, and nothing more has happened.
    ///
    /// # Errors
    /// The first [`Invariant`] that was broken, such as [`Invariant::NoFalseDeath`] or
    /// [`Invariant::DeathInTime`], without its history.
    pub fn pass(&mut self, now: Time) -> Result<(), Box<Violation>> {
        // What an instant leaves behind is judged once it is over.
        if now <= self.now {
            return Ok(());
        }
        self.now = now;
        self.accounts.keys().try_for_each(|(link, host)| self.judge_time(now, *link, *host))
    }

    /// Judges the ends of one link, as [`pass`](Self::pass) does those of all.
    fn pass_link(&mut self, now: Time, link: LinkId) -> Result<(), Box<Violation>> {
        let ends = self.accounts.range_mut((link, Host(0))..=(link, Host(usize::MAX)));
        let mut passed = Vec::new();
        for ((_, host), account) in ends {
            if std::mem::replace(&mut account.judged, now) < now {
                passed.push(*host);
            }
        }
        passed.into_iter().try_for_each(|host| self.judge_time(now, link, host))
    }

    fn judge_time(&self, now: Time, link: LinkId, host: Host) -> Result<(), Box<Violation>> {
        let Some(account) = self.accounts.get(&(link, host)) else { return Ok(()) };
        if account.phase != Phase::Up || self.stopped.contains_key(&host) {
            return Ok(());
        }
        let other = account.peer.and_then(|peer| self.accounts.get(&(link, peer)));
        account
            .judge_time(now)
            .and_then(|()| other.map_or(Ok(()), |other| account.judge_meeting(other)))
            .map_err(|(invariant, detail)| violation(invariant, now, host, link, detail))
    }

    fn judge_host(&mut self, record: &Record) {
        let host = record.host;
        match record.event {
            SimEvent::Stopped => drop(self.stopped.insert(host, record.at)),
            SimEvent::Resumed => {
                let since = self.stopped.remove(&host).unwrap_or(record.at);
                for ((_, whose), account) in &mut self.accounts {
                    if *whose == host {
                        account.handle_stop(since, record.at);
                    }
                }
            }
            SimEvent::Died => {
                self.stopped.remove(&host);
                self.accounts.retain(|(_, whose), _| *whose != host);
            }
            _ => {}
        }
    }
}

fn violation(
    invariant: Invariant,
    at: Time,
    host: Host,
    link: LinkId,
    detail: String,
) -> Box<Violation> {
    Box::new(Violation { invariant, at, host, link, detail, history: Vec::new() })
}

/// So many ends are all judged at every instant.
const ENDS_JUDGED_TOGETHER: usize = 8;
/// How many records a violation shows.
const SHOWN: usize = 60;
