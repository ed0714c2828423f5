//! Why the values of a link are what they are, and whether they fit what was measured.
//!
//! For a person who has to decide about a heartbeat-time or a slack. Nothing here changes anything.
//! The advice follows from the numbers beside it, and warns if there are too few of them.

use std::fmt;
use std::time::Duration;

use super::{Link, Percentiles, Stats, Stream};
use crate::connection::Outgoing;
use crate::liveness::Settings;
use crate::protocol::Framing;

/// The values in force, why, what was measured, and what to make of it. Displays as lines of text.
///
/// ```no_run
/// # fn advise(link: &peerbeat::link::Link) {
/// let explained = link.explain();
/// println!("{explained}"); // all of it, in lines for people
/// if let Some(slack) = explained.smallest_slack {
///     println!("a slack of {slack:?} would have done so far");
/// }
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Explanation {
    /// What this side was configured with, or given to send by; `None` = it asks for nothing.
    pub configured: Option<Duration>,
    /// The value that the program last set on the living link, if it was smaller.
    pub set: Option<Duration>,
    /// The value that the peer last asked for, as received.
    pub received: Option<Duration>,
    /// What we send by.
    pub in_force: Option<Duration>,
    /// Where the value in force comes from.
    pub source: Source,
    /// The value that the peer's silence is measured against: the value in force, unless this side
    /// lowered it and the peer has not announced it yet, or the values were given.
    pub expected: Option<Duration>,
    /// The slack.
    pub slack: Duration,
    /// What silence may reach: `expected` + `slack`; `None` = there is no limit.
    pub limit: Option<Duration>,
    /// How late the peer was.
    pub peer_lateness: Percentiles,
    /// How late we were.
    pub own_lateness: Percentiles,
    /// The longest silence of the peer.
    pub largest_silence: Duration,
    /// How often our own process was stopped, and the longest time.
    pub stalls: (u64, Duration),
    /// The smallest slack that would have ended no link so far: the largest lateness of the peer
    /// (with one value in force all the time, its largest silence minus that) and a margin of a
    /// quarter, at least 50 ms. `None` if nothing was measured.
    pub smallest_slack: Option<Duration>,
    /// What to make of it, the most urgent first; never empty.
    pub advice: Vec<Advice>,
}

/// Where a heartbeat-time in force comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Source {
    /// No side has asked for one.
    Nobody,
    /// This side was configured with it.
    Configured,
    /// The peer asked for it, and for less than this side (H2).
    Peer,
    /// The program set it on the living link.
    Set,
    /// The handshake of a foreign protocol settled it.
    FixedIntervals,
}

/// One thing to know or to do. Displays as a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Advice {
    /// Without a heartbeat-time on either side a peer that is gone is never noticed.
    NoLimit,
    /// We ourselves were stopped or starved.
    OwnStalls {
        /// How often.
        count: u64,
        /// The longest time.
        longest: Duration,
    },
    /// The slack is smaller than what would have been needed with a margin.
    MoreSlack {
        /// The least that it should be.
        least: Duration,
    },
    /// Our own heartbeats were late enough to matter to a peer with a slack like ours.
    OwnLate {
        /// The largest lateness.
        max: Duration,
    },
    /// The peer, or the network between, is late.
    PeerLate {
        /// 999 of 1000 were no later.
        p999: Duration,
    },
    /// The slack could be smaller, and a peer that is gone be noticed sooner.
    LessSlack {
        /// What would do.
        enough: Duration,
        /// The limit that this makes.
        limit: Duration,
    },
    /// There are too few measurements to recommend a slack.
    TooFew {
        /// How many silences were measured.
        count: u64,
    },
    /// The values fit what was measured.
    Fits,
}

impl<S: Stream, F: Framing> Link<S, F> {
    /// Explains which values are in force and why, and whether they fit what was measured so far.
    pub fn explain(&self) -> Explanation {
        let stats = self.stats();
        let shared = self.shared();
        Explanation::new(&shared.options.liveness, &shared.lock().outgoing, &stats)
    }
}

impl Explanation {
    /// What to make of a connection with these settings and numbers.
    pub(crate) fn new<F: Framing>(
        settings: &Settings,
        outgoing: &Outgoing<F>,
        stats: &Stats,
    ) -> Self {
        let in_force = outgoing.timer().in_force();
        let set = outgoing.set();
        let configured = settings.given.map_or(settings.heartbeat_time, |given| given.send);
        let configured = configured.filter(|value| !value.is_zero());
        let expected = match settings.given {
            Some(given) => given.expect.filter(|value| !value.is_zero()),
            None => outgoing.timer().promise(),
        };
        let millis = |value: Option<Duration>| value.map(|value| value.as_millis());
        let source = match in_force {
            _ if settings.given.is_some() => Source::FixedIntervals,
            None => Source::Nobody,
            value if millis(value) == millis(configured) => Source::Configured,
            value if value == set => Source::Set,
            Some(_) => Source::Peer,
        };
        let mut explanation = Self {
            configured,
            set,
            received: outgoing.received(),
            in_force,
            source,
            expected,
            slack: outgoing.timer().slack(),
            limit: expected.map(|value| value.saturating_add(outgoing.timer().slack())),
            peer_lateness: stats.peer_lateness,
            own_lateness: stats.own_lateness,
            largest_silence: stats.largest_silence,
            stalls: (stats.stalls, stats.longest_stall),
            smallest_slack: smallest_slack(&stats.peer_lateness),
            advice: Vec::new(),
        };
        explanation.advice = advise(&explanation, stats);
        explanation
    }
}

/// What would have been needed, and a margin.
fn smallest_slack(lateness: &Percentiles) -> Option<Duration> {
    let margin = (lateness.max / 4).max(MARGIN_LEAST);
    (lateness.count > 0).then(|| lateness.max.saturating_add(margin))
}

fn advise(explained: &Explanation, stats: &Stats) -> Vec<Advice> {
    let Explanation { slack, peer_lateness, own_lateness, .. } = explained;
    let mut advice = Vec::new();
    let Some(expected) = explained.expected else { return vec![Advice::NoLimit] };
    if stats.stalls > 0 {
        advice.push(Advice::OwnStalls { count: stats.stalls, longest: stats.longest_stall });
    }
    if let Some(least) = explained.smallest_slack.filter(|least| slack < least) {
        advice.push(Advice::MoreSlack { least });
    }
    if stats.own_late > 0 {
        advice.push(Advice::OwnLate { max: own_lateness.max });
    }
    if peer_lateness.p999 > *slack / 2 {
        advice.push(Advice::PeerLate { p999: peer_lateness.p999 });
    }
    if peer_lateness.count < SILENCES_MIN {
        advice.push(Advice::TooFew { count: peer_lateness.count });
    } else if let Some(smallest) = explained.smallest_slack {
        // Under a tenth of the heartbeat-time a slack is called too small when a file is read.
        let enough = smallest.max(expected / 10);
        if *slack > enough.saturating_mul(4) {
            advice.push(Advice::LessSlack { enough, limit: expected.saturating_add(enough) });
        }
    }
    if advice.is_empty() {
        advice.push(Advice::Fits);
    }
    advice
}

impl Source {
    /// The source in one stable word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Nobody => "nobody",
            Self::Configured => "configured",
            Self::Peer => "peer",
            Self::Set => "set",
            Self::FixedIntervals => "given",
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nobody => "no side has asked for one",
            Self::Configured => "configured here",
            Self::Peer => "the peer asked for it",
            Self::Set => "set here while the link was up",
            Self::FixedIntervals => "settled by the handshake",
        })
    }
}

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoLimit => f.write_str(
                "no heartbeat-time is in force: a peer that is gone is never noticed; set one on \
                 either side",
            ),
            Self::OwnStalls { count, longest } => write!(
                f,
                "this process was stopped or starved {count} times, for up to {longest:.1?}: look \
                 at this machine before the peer"
            ),
            Self::MoreSlack { least } => write!(
                f,
                "the slack is small for what was measured: set at least {least:.1?}, or find out \
                 why the peer or the network is late"
            ),
            Self::OwnLate { max } => write!(
                f,
                "our own heartbeats went out up to {max:.1?} late: this machine is busy, or the \
                 peer does not read; a peer with less slack than that calls us dead"
            ),
            Self::PeerLate { p999 } => write!(
                f,
                "the peer is late: 1 of 1000 silences passed its heartbeat-time by {p999:.1?}, \
                 over half the slack; its machine is busy, or the network is slow"
            ),
            Self::LessSlack { enough, limit } => write!(
                f,
                "the slack could be {enough:.1?}: no link would have been cut so far, and a \
                 peer that is gone be noticed after {limit:.1?}"
            ),
            Self::TooFew { count } => write!(
                f,
                "only {count} silences of half a heartbeat-time or longer were measured, too few to \
                 say how much slack is needed; ask again after {SILENCES_MIN}"
            ),
            Self::Fits => f.write_str("heartbeat-time and slack fit what was measured"),
        }
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let show = |value: Option<Duration>| match value {
            Some(value) => format!("{value:?}"),
            None => "none".to_owned(),
        };
        writeln!(f, "heartbeat-time {}: {}", show(self.in_force), self.source)?;
        write!(f, "  configured {}", show(self.configured))?;
        if let Some(set) = self.set {
            write!(f, ", set {set:?}")?;
        }
        writeln!(f, ", the peer asked for {}", show(self.received))?;
        match (self.limit, self.expected) {
            (Some(limit), Some(expected)) => {
                writeln!(f, "limit {limit:?} = {expected:?} + slack {:?}", self.slack)?;
            }
            _ => writeln!(f, "no limit; slack {:?}", self.slack)?,
        }
        for (who, late) in [("the peer was", &self.peer_lateness), ("we were", &self.own_lateness)]
        {
            let Percentiles { count, p50, p999, max, .. } = late;
            writeln!(
                f,
                "{who} late by {p50:.1?} (p50), {p999:.1?} (p99.9), {max:.1?} (max) of {count}"
            )?;
        }
        writeln!(
            f,
            "longest silence {:.1?}; smallest slack that would have done {}",
            self.largest_silence,
            self.smallest_slack.map_or("unknown".to_owned(), |slack| format!("{slack:.1?}"))
        )?;
        for advice in &self.advice {
            writeln!(f, "advice: {advice}")?;
        }
        Ok(())
    }
}

/// Silences from which on a small slack is advised.
const SILENCES_MIN: u64 = 100;
/// The least margin over what was needed: a scheduler's hiccup.
const MARGIN_LEAST: Duration = Duration::from_millis(50);
