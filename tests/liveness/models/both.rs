//! Both halves together, as a host with a loop of its own drives them.
//!
//! What the host is asked to do follows from the two other models, from the instant that it was
//! last asked to wait for, and from the heartbeat that it was asked for and has not sent yet.

use std::time::Duration;

use super::limit::Said;
use super::receiver::Receiver;
use super::sender::Sender;
use super::{NS, floor, ms, raise, travels};
use peerbeat::liveness::{Action, DueHeartbeat, Liveness, Settings, Time};

/// What happens to a host.
#[derive(Clone, Debug)]
pub(crate) enum Do {
    /// Time passes; the host looks at its clock only after it.
    Pass(Duration),
    /// To so many nanoseconds before or after the instant that it was asked to wait for.
    PassToNext(i8),
    Sent,
    /// The heartbeat that it was asked for, if it was, is written.
    BeatSent,
    Received,
    Heartbeat(u32),
    Lower(Duration),
    Slack(Duration),
    Pending,
}

struct Host {
    sender: Sender,
    receiver: Receiver,
    /// The instant to wait for.
    until: Option<Time>,
    asked: Option<DueHeartbeat>,
}

/// Runs the code and the model side by side.
pub(crate) fn run_both(settings: Settings, steps: Vec<Do>) {
    let mut liveness = Liveness::new(&settings, Time::ZERO);
    let (sender, receiver) = (Sender::new(settings), Receiver::new(settings));
    let mut host = Host { sender, receiver, until: None, asked: None };
    let mut now = Time::ZERO;
    let mut next = host.check_polls(&mut liveness, now);
    for step in steps {
        match step {
            Do::Pass(time) => now = now + time,
            Do::PassToNext(off) if next < Time::NEVER => {
                let shifted = next.as_nanos().saturating_add_signed(off.into());
                now = now.max(Time::from_nanos(shifted));
            }
            Do::PassToNext(_) => {}
            step => host.apply(&mut liveness, &step, now),
        }
        next = host.check_polls(&mut liveness, now);
        assert_eq!(liveness.heartbeat_timer().in_force(), host.sender.in_force());
        assert_eq!(liveness.heartbeat_timer().due(), host.sender.due());
        assert_eq!(liveness.silence_timer().in_force(), host.receiver.values.in_force());
        assert_eq!(liveness.silence_timer().silent_at(), host.receiver.silent_at());
        if now >= host.receiver.silent_at() || now >= host.sender.stalled_at() {
            break;
        }
    }
}

impl Host {
    fn apply(&mut self, liveness: &mut Liveness, step: &Do, now: Time) {
        let settings = self.sender.settings;
        match *step {
            Do::Sent => {
                liveness.handle_sent(now);
                self.sender.send_bytes(now);
                self.asked = self.asked.filter(|beat| beat.even_busy);
            }
            Do::BeatSent => {
                if let Some(beat) = self.asked.take() {
                    liveness.handle_heartbeat_sent(beat.value_ms(), now);
                    self.sender.send_beat(beat.value, now);
                }
            }
            Do::Pending => {
                liveness.handle_pending(now);
                self.sender.wait(now);
            }
            Do::Received | Do::Heartbeat(_) => {
                let silence = now.since(self.receiver.last_byte());
                let said = self.receiver.is_late_said().then_some(silence);
                assert_eq!(liveness.handle_received(now), said);
                self.receiver.hear(now);
                self.until = None;
                if let Do::Heartbeat(value) = *step {
                    self.check_heartbeat(liveness, value, now);
                }
            }
            Do::Lower(value) => {
                let before = self.sender.in_force();
                self.sender.say(travels(value).map(Said::Set), now);
                self.receiver.lower(value, now);
                assert_eq!(liveness.lower(value, now), self.sender.in_force() != before);
                self.until = None;
            }
            Do::Slack(slack) => {
                liveness.set_slack(slack, now);
                self.receiver.set_slack(slack, now);
                self.sender.slack = slack;
                self.sender.say(None, now);
                self.until = None;
            }
            Do::Pass(_) | Do::PassToNext(_) => {}
        }
        assert_eq!(settings, self.receiver.settings, "one host");
    }

    fn check_heartbeat(&mut self, liveness: &mut Liveness, value: u32, now: Time) {
        let settings = self.receiver.settings;
        let held = self.receiver.values.in_force();
        let heard = liveness.handle_heartbeat(value, now);
        let raised = raise(&settings, value);
        let adopts = raised.filter(|raised| held.is_none_or(|held| *raised < held));
        assert_eq!(heard.adopted.map(|a| (a.from, a.to)), adopts.map(|to| (held, to)));
        if let Some(asked) = heard.clamped {
            assert!(asked == ms(value.into()) && asked < floor(&settings));
        }
        self.receiver.hear_value(value, now);
        let said = raised.map(|raised| Said::Announced(ms(value.into()), raised));
        self.sender.say(said, now);
    }

    /// Asks until there is nothing to do but to wait, and checks every answer.
    fn check_polls(&mut self, liveness: &mut Liveness, now: Time) -> Time {
        for _ in 0..5 {
            let action = liveness.poll(now);
            let until = self.until.take();
            let slack = self.receiver.slack;
            let stalled =
                until.and_then(|until| self.receiver.silence.wait_ended(until, now, slack));
            let stalled_too = until.and_then(|until| self.sender.wait_ended(until, now));
            let stalled = stalled.or(stalled_too);
            let stuck_at = self.sender.stalled_at();
            let (silent_at, late_at) = (self.receiver.silent_at(), self.receiver.late_at());
            let silence = now.since(self.receiver.last_byte());
            let due = self.sender.beat_at(now).filter(|_| self.asked.is_none());
            let expected = match (stalled, due) {
                (Some(late), _) => Action::Stalled { late },
                _ if now >= silent_at => {
                    let limit = self.receiver.silence.limit().unwrap_or_default();
                    Action::Silent { silence, limit }
                }
                _ if now >= late_at && !self.receiver.is_late_said() => {
                    self.receiver.lates.push(now);
                    Action::Late { silence }
                }
                _ if now >= stuck_at => {
                    let since = self.sender.pending.as_ref().map_or(now, |(since, _)| *since);
                    Action::WriteStalled { pending: now.since(since) }
                }
                (None, Some(beat)) => {
                    self.asked = Some(beat);
                    Action::SendHeartbeat { value_ms: beat.value_ms() }
                }
                (None, None) => return self.check_wait(liveness, action, now),
            };
            assert_eq!(action, expected, "at {now:?}");
            if matches!(action, Action::Silent { .. } | Action::WriteStalled { .. }) {
                return Time::NEVER;
            }
        }
        panic!("it always asks for something more");
    }

    /// A wait is neither longer than until what comes next, nor does anything come before.
    fn check_wait(&mut self, liveness: &Liveness, action: Action, now: Time) -> Time {
        let Action::Wait { until } = action else { panic!("nothing is due, but got {action:?}") };
        let silent_at = self.receiver.silent_at();
        let unsaid = !self.receiver.is_late_said();
        let late_at = if unsaid { self.receiver.late_at() } else { Time::NEVER };
        let due = if self.asked.is_none() { self.sender.due() } else { Time::NEVER };
        let due = due.min(self.sender.stalled_at());
        assert!(until > now && until <= silent_at && until <= late_at && until <= due);
        if until < Time::NEVER {
            assert_eq!(liveness.clone().poll(until - NS), action, "something happens before");
        }
        self.until = Some(until);
        until
    }
}
