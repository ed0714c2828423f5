//! What one connection is judged by: the invariants of the simulator, from what the links recorded
//! themselves and their programs saw.
//!
//! Checks that those cannot make are added here: that the record agrees with the wire, what the
//! kernel held when a verdict was passed, and what must hold on a line without faults. Only "too
//! late" needs a machine that is not starved; such a breach is marked as `upward`.

use std::time::Duration;

use peerbeat::link::{Down, DownReason, LinkEvent};
use peerbeat::sim::{Invariant, SimEvent};

use crate::seen::{Frame, Seen};
use crate::stage::{End, HOSTS, Record};

/// Something that must not be.
#[derive(Debug)]
pub(crate) struct Broken {
    pub(crate) detail: String,
    /// It means that something came too late, which may be the machine's doing.
    pub(crate) upward: bool,
}

type Judged = Result<(), Broken>;

fn broken<T>(detail: String) -> Result<T, Broken> {
    Err(Broken { detail, upward: false })
}

fn late<T>(detail: String) -> Result<T, Broken> {
    Err(Broken { detail, upward: true })
}

/// Judges all that was seen of one connection.
pub(crate) fn judge(record: &Record) -> Judged {
    let sides = [0, 1].map(|index| Side::new(record, index));
    sides.iter().try_for_each(Side::is_told_once)?;
    sides.iter().try_for_each(Side::is_true_to_the_wire)?;
    sides.iter().for_each(Side::tell_unread);
    record.links.check(&[0, 1].map(|index| record.ends[index].options()), record.over).map_err(
        |violation| {
            let late = [Invariant::DeathInTime, Invariant::GapHolds, Invariant::Converges];
            Broken { upward: late.contains(&violation.invariant), detail: violation.to_string() }
        },
    )?;
    sides.iter().try_for_each(Side::is_fair)
}

/// One end, and what went to and fro.
struct Side<'a> {
    index: usize,
    end: &'a End,
    peer: &'a End,
    sent: &'a Seen,
    heard: &'a Seen,
    record: &'a Record,
    /// What its connection recorded and its program saw, and how far its clock was.
    events: Vec<(Duration, SimEvent)>,
}

impl<'a> Side<'a> {
    fn new(record: &'a Record, index: usize) -> Self {
        let history = record.links.history();
        let own = history.into_iter().filter(|seen| seen.host == HOSTS[index]);
        let at = |nanos| Duration::from_nanos(nanos);
        Self {
            index,
            end: &record.ends[index],
            peer: &record.ends[1 - index],
            sent: &record.ways[index],
            heard: &record.ways[1 - index],
            record,
            events: own.map(|seen| (at(seen.at.as_nanos()), seen.event)).collect(),
        }
    }

    fn down(&self) -> &Down {
        self.end.downs[0].as_ref().expect("the stage waits for it")
    }

    fn wrong(&self, what: &str, detail: String) -> Judged {
        broken(format!("end {}: {what}: {detail}", self.index))
    }

    /// The handle reports the same end as the handler, and the handler was given no change that the
    /// connection has not recorded.
    fn is_told_once(&self) -> Judged {
        if self.end.downs[0] != self.end.downs[1] {
            return self.wrong("two accounts", format!("{:?}", self.end.downs));
        }
        let mut recorded = self.events.iter().filter_map(|(_, event)| match event {
            SimEvent::Event(LinkEvent::HeartbeatTime { to, cause, .. }) => Some((*to, *cause)),
            _ => None,
        });
        let is_recorded = self.end.told.iter().all(|told| match told {
            LinkEvent::HeartbeatTime { to, cause, .. } => {
                recorded.any(|change| change == (*to, *cause))
            }
            _ => false,
        });
        match is_recorded {
            true => Ok(()),
            false => self.wrong("told of changes that were none", format!("{:?}", self.end.told)),
        }
    }

    /// What the cable saw begins what the connection recorded: the same heartbeats, made at the
    /// same microseconds, the same messages, and no byte that it does not know of.
    fn is_true_to_the_wire(&self) -> Judged {
        let (mut beats, mut messages) = (Vec::new(), Vec::new());
        let (mut wrote, mut read) = (0, 0);
        for (at, event) in &self.events {
            match event {
                SimEvent::Queued { heartbeat: Some(value), .. } => {
                    beats.push((*value, Duration::from_micros(at.as_micros() as u64)));
                }
                SimEvent::Sent(message) => messages.push(&message[..16]),
                SimEvent::Wrote { bytes } => wrote += bytes,
                SimEvent::Read { bytes } => read += bytes,
                _ => {}
            }
        }
        let (mut beats, mut messages) = (beats.into_iter(), messages.into_iter());
        for frame in &self.sent.frames {
            let is_next = match frame {
                Frame::Heartbeat { value, stamp } => beats.next() == Some((*value, *stamp)),
                Frame::Data(head) => messages.next() == Some(head),
                Frame::Bye => true,
            };
            if !is_next {
                return self.wrong("a frame that it did not record", format!("{frame:?}"));
            }
        }
        let total = self.sent.total;
        if total > wrote {
            return self.wrong("recorded as written", format!("{wrote} bytes, and sent {total}"));
        }
        let passed = self.heard.chunks.last().map_or(0, |chunk| chunk.total);
        if read > passed {
            return self.wrong("recorded as read", format!("{read} bytes of {passed}"));
        }
        Ok(())
    }

    /// Bytes that the kernel held when the limit came must have been read.
    fn tell_unread(&self) {
        let (Some(limit), DownReason::Silent) = (self.down().limit, &self.down().reason) else {
            return;
        };
        let last_read = self.down().up.saturating_sub(self.down().silence);
        // By the earliest clock that the link's may be.
        let came_at = self.end.origin + last_read + limit;
        let arrived = self.heard.chunks.iter().rfind(|chunk| chunk.after < came_at);
        let alive =
            self.events.iter().take_while(|(_, seen)| !matches!(seen, SimEvent::Ending { .. }));
        let read = alive.map(|(_, event)| match event {
            SimEvent::Read { bytes } => *bytes,
            _ => 0,
        });
        let arrived = arrived.map_or(0, |chunk| chunk.total);
        let unread = arrived.saturating_sub(read.sum());
        if unread > 0 {
            self.record.links.tell_unread(HOSTS[self.index], unread);
        }
    }

    /// On a line without faults both ends live, reach the smallest value that no floor forbids, and
    /// announce it.
    fn is_fair(&self) -> Judged {
        if !self.record.is_fair {
            return Ok(());
        }
        let down = self.down();
        let is_right = match self.index == self.record.closer {
            true => {
                matches!(down.reason, DownReason::Local { .. }) && down.unconfirmed_bytes == Some(0)
            }
            false => matches!(down.reason, DownReason::Closed { .. }),
        };
        if !is_right || down.unsent_frames > 0 {
            return late(format!("end {}: after a fair life: {down:?}", self.index));
        }
        let said = self.sent.frames.iter().rev().find_map(|frame| match frame {
            Frame::Heartbeat { value, .. } => Some(*value),
            _ => None,
        });
        let expected = self.end.meets(self.peer);
        if (self.end.in_force, said) != (expected, expected) {
            let held = self.end.in_force;
            return late(format!(
                "end {}: holds {held:?}, said {said:?}, not {expected:?}",
                self.index
            ));
        }
        Ok(())
    }
}
