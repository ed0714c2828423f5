//! What must have been done by now, if nothing more has happened: sends, announcements, deaths, and
//! that both ends agree on the values.
//!
//! It judges from the [account](super::account) that was kept of the record, and keeps nothing.

use std::time::Duration;

use super::Invariant;
use super::account::{Account, Judged, Phase, broken};
use crate::liveness::{Mode, Time};

impl Account {
    /// Judges that it is `now`, that the process runs, and that all due until now was done.
    pub(super) fn judge_time(&self, now: Time) -> Judged {
        let late = self.granularity;
        let granted = self.stops.back().map_or(Duration::ZERO, |stop| stop.2);
        let slack = self.settings.slack.max(granted);
        let stopped_since = |since: Time| self.stops.iter().any(|stop| stop.1 > since);
        let granted = |since| match stopped_since(since) {
            true => self.resumed + slack,
            false => Time::ZERO,
        };
        let dead_at = self.silence.reached_at().max(granted(self.last_read)) + late;
        if self.held_since.is_none() && now > dead_at {
            return broken(Invariant::DeathInTime, format!("silent past {dead_at:?} and alive"));
        }
        let Some(in_force) = self.in_force.filter(|_| !self.is_broken) else { return Ok(()) };
        if self.pending > 0 {
            let dead_at = self.stuck.reached_at().max(granted(self.moved)) + late;
            if now > dead_at {
                return broken(Invariant::DeathInTime, format!("stuck past {dead_at:?} and alive"));
            }
            return Ok(());
        }
        let free = self.resumed.max(self.changed);
        let due = free.max(self.last_wrote + in_force) + late;
        if now > due {
            return broken(Invariant::GapHolds, format!("nothing sent by {due:?}"));
        }
        let free = free.max(self.last_wrote);
        let due = free.max(self.last_beat + in_force) + late;
        if now > due && self.settings.mode == Mode::Always {
            return broken(Invariant::GapHolds, format!("no heartbeat by {due:?} in mode always"));
        }
        let due = free.max(self.last_beat + self.floor()) + late;
        if now > due && self.announced != self.in_force {
            return broken(Invariant::Converges, format!("{in_force:?} not announced by {due:?}"));
        }
        Ok(())
    }

    /// Judges what two ends hold when nothing is left to be announced between them.
    pub(super) fn judge_meeting(&self, other: &Self) -> Judged {
        let quiet = [(self, other), (other, self)].iter().all(|(from, to)| {
            let announced = from.announced == from.in_force;
            let all_read = from.pending == 0 && from.wrote == to.read && to.held_since.is_none();
            from.phase == Phase::Up && announced && all_read && !from.corrupted
        });
        let Some(theirs) = other.in_force.filter(|_| quiet) else { return Ok(()) };
        let smaller = theirs.max(self.floor());
        if self.in_force.is_none_or(|ours| ours > smaller) {
            let detail = format!("holds {:?} while the peer holds {theirs:?}", self.in_force);
            return broken(Invariant::Converges, detail);
        }
        Ok(())
    }
}
