//! The laws, judged from what the cable saw, what the ends reported, and the script.
//!
//! Real clocks are read by threads that may have to wait for a core, so every check is made from
//! the bound that no wait can break: a heartbeat carries its sender's own clock, a message the
//! instant before it was sent, and a link's account the time of its end. Only what says "not later
//! than" needs a machine that is not starved; such a breach is marked as `upward`.

use std::time::{Duration, Instant};

use peerbeat::link::{Cause, Down, DownReason, LinkEvent};
use peerbeat::liveness::Mode;
use peerbeat::protocol::ByeCode;
use peerbeat::sim::Invariant;

use crate::seen::{Seen, What};
use crate::stage::{End, Record};

/// A law that was broken.
#[derive(Debug)]
pub(crate) struct Broken {
    pub(crate) law: Invariant,
    pub(crate) detail: String,
    /// It means that something came too late, which may be the machine's doing.
    pub(crate) upward: bool,
}

type Judged = Result<(), Broken>;

fn broken<T>(law: Invariant, detail: String) -> Result<T, Broken> {
    Err(Broken { law, detail, upward: false })
}

fn late<T>(law: Invariant, detail: String) -> Result<T, Broken> {
    Err(Broken { law, detail, upward: true })
}

/// Judges all that was seen of one connection.
pub(crate) fn judge(record: &Record, nonce: u32) -> Judged {
    for index in [0, 1] {
        let (end, peer) = (&record.ends[index], &record.ends[1 - index]);
        let (sent, heard) = (&record.ways[index], &record.ways[1 - index]);
        let side = Side { index, end, peer, sent, heard, record };
        let judged = side
            .one_reason()
            .and_then(|()| side.nothing_leaks(nonce))
            .and_then(|()| side.values_only_fall())
            .and_then(|()| side.never_closer())
            .and_then(|()| side.quiet_when_busy())
            .and_then(|()| side.no_false_death())
            .and_then(|()| side.death_in_time())
            .and_then(|()| side.gap_holds())
            .and_then(|()| side.converges());
        judged.map_err(|b| Broken { detail: format!("end {index}: {}", b.detail), ..b })?;
    }
    Ok(())
}

/// One end, and what went to and fro.
struct Side<'a> {
    index: usize,
    end: &'a End,
    peer: &'a End,
    sent: &'a Seen,
    heard: &'a Seen,
    record: &'a Record,
}

/// A heartbeat of an end's: its place among the frames, value, and the link's clock.
type Beat = (usize, Duration, Duration);

fn beats(seen: &Seen) -> Vec<Beat> {
    let beat = |(index, frame): (usize, &crate::seen::Frame)| match frame.what {
        What::Heartbeat { value, stamp } => Some((index, value, stamp)),
        _ => None,
    };
    seen.frames.iter().enumerate().filter_map(beat).collect()
}

impl Side<'_> {
    fn down(&self) -> &Down {
        &self.end.notes.downs[0].1
    }

    /// The values that may be in force here: configured, or lowered to, by one of the two ends;
    /// what comes from the other end no lower than our floor.
    fn allowed(&self) -> Vec<Duration> {
        let values = |end: &End| {
            let lowered: Vec<_> = end.lowered.iter().map(|(_, value)| *value).collect();
            [end.settings.heartbeat_time.into_iter().collect(), lowered].concat()
        };
        let floors = [self.end.settings, self.peer.settings].map(|s| s.heartbeat_time_min);
        let mut allowed = [values(self.end), values(self.peer)].concat();
        // A value that a floor raised comes back raised.
        let raised: Vec<_> =
            allowed.iter().flat_map(|v| floors.map(|floor| (*v).max(floor))).collect();
        allowed.extend(raised);
        allowed
    }

    /// From when on at the latest each smaller value was in force for sending.
    fn steps(&self) -> Vec<(Instant, Duration)> {
        let floor = self.end.settings.heartbeat_time_min;
        let configured = self.end.settings.heartbeat_time.map(|v| (self.end.origin.1, v));
        let heard = beats(self.heard)
            .into_iter()
            .filter_map(|(index, value, _)| Some((self.passed_on(index)?, value.max(floor))));
        configured.into_iter().chain(heard).chain(self.end.lowered.iter().copied()).collect()
    }

    /// When a frame from the peer had been passed on to us.
    fn passed_on(&self, index: usize) -> Option<Instant> {
        let end = self.heard.frame_ends[index];
        self.heard.chunks.iter().find(|chunk| chunk.total >= end).map(|chunk| chunk.after)
    }

    fn one_reason(&self) -> Judged {
        let notes = &self.end.notes;
        if notes.downs.len() != 1 || notes.after_end {
            return broken(Invariant::OneReason, format!("{:?} and more", notes.downs));
        }
        let down = self.down();
        if self.end.down.as_ref() != Some(down) {
            return broken(
                Invariant::OneReason,
                format!("{down:?}, and by the handle {:?}", self.end.down),
            );
        }
        let is_told = match &down.reason {
            DownReason::Closed { code, text } => {
                self.peer.closed.is_some() && *code == ByeCode::CLOSE && text.is_empty()
            }
            DownReason::Local { detail } => self.end.closed.is_some() && detail.is_empty(),
            // On a busy machine the other end may have died, or its goodbye come too late.
            DownReason::Eof | DownReason::Io { .. } if self.record.is_fair => {
                return late(Invariant::OneReason, format!("on a fair line: {down:?}"));
            }
            DownReason::Eof | DownReason::Io { .. } => true,
            DownReason::Silent => true,
            DownReason::WriteStalled { .. } => !self.end.disturbed.is_empty(),
            _ => false,
        };
        match is_told {
            true => Ok(()),
            false => broken(Invariant::OneReason, format!("nothing gave it the reason {down:?}")),
        }
    }

    /// Messages are the peer's of this connection, in order; all that were accepted and did not
    /// arrive at the cable are counted as unsent.
    fn nothing_leaks(&self, nonce: u32) -> Judged {
        let got = &self.end.notes.messages;
        if !self.peer.accepted.starts_with(got) {
            return broken(
                Invariant::NothingLeaks,
                "messages that were not sent, or not so".to_owned(),
            );
        }
        if got.iter().any(|head| head[..4] != nonce.to_be_bytes()) {
            return broken(Invariant::NothingLeaks, "messages of another connection".to_owned());
        }
        let seen = self.sent.frames.iter().filter(|f| matches!(f.what, What::Data(_))).count();
        let missed = self.end.accepted.len() - seen;
        if (missed as u64) < self.down().unsent_frames {
            let detail = format!("{missed} did not arrive, counted {:?}", self.down());
            return broken(Invariant::NothingLeaks, detail);
        }
        let is_closed = matches!(self.down().reason, DownReason::Local { .. });
        if self.record.is_fair && is_closed && (missed > 0 || got.len() < self.arrived_before_bye())
        {
            return late(Invariant::NothingLeaks, format!("{missed} lost in an orderly close"));
        }
        Ok(())
    }

    /// How many messages from the peer were passed on before the end was closed.
    fn arrived_before_bye(&self) -> usize {
        let closed = self.end.closed.unwrap_or(self.record.closed_at);
        let frames = self.heard.frames.iter().enumerate();
        let data = frames.filter(|(_, frame)| matches!(frame.what, What::Data(_)));
        let settled = closed - Duration::from_millis(50);
        data.filter(|(index, _)| self.passed_on(*index).is_some_and(|at| at < settled)).count()
    }

    /// What is reported and sent begins with what is configured, and is of this connection.
    fn values_only_fall(&self) -> Judged {
        let mut held = self.end.settings.heartbeat_time;
        let allowed = self.allowed();
        for (_, event) in &self.end.notes.events {
            let LinkEvent::HeartbeatTime { from, to, cause } = event else { continue };
            // A value of the program is reported when the peer can be held to it: what was heard
            // meanwhile may be reported before.
            let follows = *from == held || *cause == Cause::Local || !self.end.lowered.is_empty();
            if !follows || from.is_some_and(|from| *to >= from) || !allowed.contains(to) {
                return broken(Invariant::NothingLeaks, format!("held {held:?}, then {event:?}"));
            }
            held = held.map_or(Some(*to), |held| Some(held.min(*to)));
        }
        let said = beats(self.sent);
        let falls = said.windows(2).all(|pair| pair[1].1 <= pair[0].1);
        match said.iter().find(|(_, value, _)| !allowed.contains(value)) {
            None if falls => Ok(()),
            other => {
                broken(Invariant::NothingLeaks, format!("said {said:?}, not allowed {other:?}"))
            }
        }
    }

    /// By the sender's own clock.
    fn never_closer(&self) -> Judged {
        let (said, mut last_change) = (beats(self.sent), None::<Duration>);
        for pair in said.windows(2) {
            let [(_, before, at), (_, value, then)] = [pair[0], pair[1]];
            let gap = then.saturating_sub(at);
            if value == before {
                if gap + MICRO < value {
                    return broken(
                        Invariant::NeverCloser,
                        format!("{gap:?} apart, with {value:?}"),
                    );
                }
                continue;
            }
            // News wait for the floor, or until a heartbeat is due without them.
            let floor = self.end.settings.heartbeat_time_min.min(value);
            if last_change.is_some_and(|last| then.saturating_sub(last) + MICRO < floor) {
                return broken(Invariant::NeverCloser, format!("news again at {then:?}: {said:?}"));
            }
            last_change = Some(then);
        }
        Ok(())
    }

    /// A heartbeat without news comes no sooner than its value after the message before it, which
    /// was written after the instant that it carries.
    fn quiet_when_busy(&self) -> Judged {
        if self.end.settings.mode == Mode::Always {
            return Ok(());
        }
        // The clock of what a message carries began no earlier than the link's.
        let (mut said, mut sent) = (None, None::<Duration>);
        for frame in &self.sent.frames {
            match &frame.what {
                What::Data(head) => {
                    let stamp = u64::from_be_bytes(head[8..].try_into().unwrap());
                    sent = Some(Duration::from_micros(stamp));
                }
                What::Heartbeat { value, stamp } => {
                    let gap = sent.map(|sent| (*stamp + MICRO).saturating_sub(sent));
                    if said == Some(*value) && gap.is_some_and(|gap| gap < *value) {
                        let detail = format!("a heartbeat {gap:?} after data, with {value:?}");
                        return broken(Invariant::QuietWhenBusy, detail);
                    }
                    said = Some(*value);
                }
                What::Bye => {}
            }
        }
        Ok(())
    }

    /// Between what instants the link's own time lies.
    fn at(&self, time: Duration) -> (Instant, Instant) {
        let (before, after) = self.end.origin;
        (before + time, after + time)
    }

    fn no_false_death(&self) -> Judged {
        let down = self.down();
        let value = down.heartbeat_time;
        // A value that this end lowered binds once the peer has announced it; before that the old
        // one does, or 10 s.
        let promise = down.limit.map(|limit| limit.saturating_sub(down.slack));
        let first = Duration::from_secs(10);
        let is_held = |promise: Duration| match self.end.lowered.is_empty() {
            true => Some(promise) == value,
            false => promise == first || self.allowed().contains(&promise),
        };
        if !promise.map_or(value.is_none(), |promise| Some(promise) >= value && is_held(promise))
            || down.slack != self.end.settings.slack
            || value.is_some_and(|value| !self.allowed().contains(&value))
        {
            return broken(Invariant::NoFalseDeath, format!("not our limit: {down:?}"));
        }
        let Some(limit) = down.limit else {
            let dies = matches!(down.reason, DownReason::Silent | DownReason::WriteStalled { .. });
            return match dies {
                true => broken(Invariant::NoFalseDeath, format!("dead without a limit: {down:?}")),
                false => Ok(()),
            };
        };
        match down.reason {
            DownReason::Silent if down.silence < limit => {
                return broken(Invariant::NoFalseDeath, format!("early: {down:?}"));
            }
            // Its limit may be an older, longer one; never a shorter one.
            DownReason::WriteStalled { pending } if pending < limit => {
                return broken(Invariant::NoFalseDeath, format!("early: {down:?}"));
            }
            DownReason::Silent => {}
            _ => return Ok(()),
        }
        if self.record.is_fair {
            return late(Invariant::NoFalseDeath, format!("on a fair line: {down:?}"));
        }
        // Bytes that the kernel held when the limit came were not seen.
        let last_read = self.at(down.up - down.silence).1;
        let came_at = self.at(down.up - down.silence + limit).0;
        let missed =
            |chunk: &&crate::seen::Chunk| chunk.before > last_read && chunk.after < came_at;
        match self.heard.chunks.iter().find(missed) {
            Some(chunk) => broken(Invariant::NoFalseDeath, format!("{chunk:?} unseen: {down:?}")),
            None => Ok(()),
        }
    }

    /// Whether something kept this end, or its way, in a span of time.
    fn was_disturbed(&self, from: Instant, until: Instant) -> bool {
        self.end.disturbed.iter().any(|(since, to)| *since <= until && from <= *to + TOLERANCE)
    }

    /// When the end was over: by its own account, or closed by us.
    fn over(&self) -> Instant {
        let died = self.at(self.down().up).0;
        died.min(self.record.closed_at).min(self.end.closed.unwrap_or(died))
    }

    fn death_in_time(&self) -> Judged {
        let over = self.over();
        let last = self.heard.chunks.iter().rev().find(|chunk| chunk.after <= over);
        let last = last.map_or(self.end.origin.1, |chunk| chunk.after);
        let floor = self.end.settings.heartbeat_time_min;
        let heard = beats(self.heard).into_iter().filter_map(|(index, value, _)| {
            self.passed_on(index).filter(|at| *at <= last).map(|_| value.max(floor))
        });
        let Some(value) = self.end.settings.heartbeat_time.into_iter().chain(heard).min() else {
            return Ok(());
        };
        let limit = value + self.end.settings.slack;
        let silence = over.saturating_duration_since(last);
        if silence > limit + TOLERANCE && !self.was_disturbed(last, over) {
            let detail = format!("alive after {silence:?}, the limit is {limit:?}");
            return late(Invariant::DeathInTime, detail);
        }
        Ok(())
    }

    fn gap_holds(&self) -> Judged {
        let (steps, over) = (self.steps(), self.over());
        let mut arrivals: Vec<Instant> = self.sent.frames.iter().map(|f| f.arrived).collect();
        arrivals.insert(0, self.end.origin.1);
        arrivals.push(over);
        for pair in arrivals.windows(2).filter(|pair| pair[1] <= over) {
            let held = steps.iter().filter(|(at, _)| *at <= pair[0]).map(|(_, value)| *value).min();
            let gap = pair[1].saturating_duration_since(pair[0]);
            let allowed = held.map(|held| held + TOLERANCE);
            if allowed.is_some_and(|allowed| gap > allowed) && !self.was_disturbed(pair[0], pair[1])
            {
                return late(
                    Invariant::GapHolds,
                    format!("nothing sent for {gap:?}, holds {held:?}"),
                );
            }
        }
        Ok(())
    }

    /// Of a fair connection: both hold the smallest of all values that no floor forbids.
    fn converges(&self) -> Judged {
        if !self.record.is_fair {
            return Ok(());
        }
        let expected = self.end.meets(self.peer);
        if self.end.in_force != expected {
            let detail = format!("holds {:?}, not {expected:?}", self.end.in_force);
            return late(Invariant::Converges, detail);
        }
        let last = beats(self.sent).last().map(|(_, value, _)| *value);
        if last != expected {
            return late(Invariant::Converges, format!("said {last:?} last, holds {expected:?}"));
        }
        let is_told = match self.index == self.record.closer {
            true => matches!(self.down().reason, DownReason::Local { .. }),
            false => matches!(self.down().reason, DownReason::Closed { .. }),
        };
        match is_told {
            true => Ok(()),
            false => late(Invariant::OneReason, format!("after a fair life: {:?}", self.down())),
        }
    }
}

/// The finest that a heartbeat's clock shows.
const MICRO: Duration = Duration::from_micros(1);
/// How late anything may be on a machine that is not starved.
const TOLERANCE: Duration = Duration::from_millis(700);
