//! The receiving half by definition.
//!
//! The verdict follows from all instants at which bytes came, from what held the reader, from our
//! own stalls, and from all values that were ever configured, heard or set.

use std::time::Duration;

use super::limit::{Pending, Said, Values};
use super::{NS, floor, ms, raise, travels};
use peerbeat::liveness::{Settings, SilenceTimer, Time, Verdict};

/// What happens to a receiving side.
#[derive(Clone, Debug)]
pub(crate) enum Hear {
    Pass(Duration),
    /// To so many nanoseconds before or after the next instant that the timer names.
    PassToNext(i8),
    Bytes,
    Heartbeat(u32),
    /// Our handler holds the reader for so long.
    Held(Duration),
    /// A wait that should have ended so long ago ended now.
    Waited(Duration),
    /// A smaller value of our own.
    Lower(Duration),
    Slack(Duration),
}

/// All that a receiving side heard and was configured with.
pub(crate) struct Receiver {
    pub(crate) settings: Settings,
    pub(crate) bytes: Vec<Time>,
    pub(crate) values: Values,
    /// The slack that was set last.
    pub(crate) slack: Duration,
    pub(crate) silence: Pending,
    pub(crate) beats: Vec<Time>,
    pub(crate) lates: Vec<Time>,
    pub(crate) clamps: usize,
    pub(crate) floods: usize,
}

impl Receiver {
    pub(crate) fn new(settings: Settings) -> Self {
        let starts = settings.given.map_or(settings.heartbeat_time, |given| given.expect);
        let configured = starts.and_then(travels);
        let fixed = settings.given.map(|_| configured);
        Self {
            settings,
            bytes: vec![],
            values: Values { configured, said: vec![], fixed },
            slack: settings.slack,
            silence: Pending::new(Time::ZERO, configured, settings.slack),
            beats: vec![],
            lates: vec![],
            clamps: 0,
            floods: 0,
        }
    }

    pub(crate) fn last_byte(&self) -> Time {
        self.bytes.last().copied().unwrap_or(Time::ZERO)
    }

    pub(crate) fn silent_at(&self) -> Time {
        self.silence.reached_at()
    }

    pub(crate) fn late_at(&self) -> Time {
        let Some((promise, slack)) = self.silence.judged_by() else { return Time::NEVER };
        self.silence.from + promise + slack / 2
    }

    /// Bytes came.
    pub(crate) fn hear(&mut self, now: Time) {
        self.bytes.push(now);
        self.silence = Pending::new(now, self.values.promise(), self.slack);
        self.lates.clear();
    }

    /// The heartbeat in the bytes that came last.
    pub(crate) fn hear_value(&mut self, raw: u32, now: Time) {
        let Some(raised) = raise(&self.settings, raw) else { return };
        self.values.said.push(Said::Announced(ms(raw.into()), raised));
        // Heard with its bytes: what is in force now judges the silence that they begin.
        let had_none = self.silence.limits.is_empty();
        self.silence.limits.clear();
        self.silence.limits.extend(self.values.promise().map(|promise| (promise, self.slack)));
        if had_none && !self.silence.limits.is_empty() {
            self.silence.from = self.silence.from.max(now);
        }
    }

    pub(crate) fn lower(&mut self, value: Duration, now: Time) {
        if let Some(value) = travels(value).filter(|_| self.settings.given.is_none()) {
            self.values.said.push(Said::Set(value));
            self.silence.change(now, self.values.promise(), self.slack);
        }
    }

    pub(crate) fn set_slack(&mut self, slack: Duration, now: Time) {
        self.slack = slack;
        self.silence.change(now, self.values.promise(), slack);
    }

    pub(crate) fn is_late_said(&self) -> bool {
        self.lates.last().is_some_and(|at| *at >= self.last_byte())
    }
}

/// Checks one answer of the timer against the definitions, and that the instant it names for the
/// next change is neither early nor late.
fn check_poll(timer: &mut SilenceTimer, model: &mut Receiver, now: Time) -> Time {
    let verdict = timer.poll(now);
    assert_eq!(timer.in_force(), model.values.in_force());
    assert_eq!(timer.silent_at(), model.silent_at());
    let silence = now.since(model.last_byte());
    match verdict {
        Verdict::Silent { silence: reported, limit } => {
            assert!(now >= model.silent_at(), "{:?} is early", now);
            assert!(now.since(model.silence.from) >= limit, "dead before its limit");
            assert_eq!(Some(limit), model.silence.limit());
            assert_eq!(reported, silence);
            Time::NEVER
        }
        Verdict::Late { silence: reported } => {
            assert!(now >= model.late_at() && now < model.silent_at());
            assert!(!model.is_late_said(), "said twice");
            assert_eq!(reported, silence);
            model.lates.push(now);
            check_poll(timer, model, now)
        }
        Verdict::Wait { next } => {
            assert!(now < model.silent_at(), "a death was missed");
            assert!(now < model.late_at() || model.is_late_said(), "lateness was missed");
            assert!(next > now, "asked to wait for the past");
            let just_before = timer.clone().poll(next - NS);
            if next < Time::NEVER {
                assert_eq!(just_before, verdict, "something happens before {:?}", next);
                let mut then = timer.clone();
                assert!(then.poll(next) != verdict, "nothing happens at {:?}", next);
            }
            next
        }
    }
}

fn check_heartbeat(timer: &mut SilenceTimer, model: &mut Receiver, value: u32, now: Time) {
    let held = model.values.in_force();
    let heard = timer.handle_heartbeat(value, now);
    let raised = raise(&model.settings, value);
    let adopts = raised.filter(|raised| held.is_none_or(|held| *raised < held));
    assert_eq!(
        heard.adopted.map(|adopted| (adopted.from, adopted.to)),
        adopts.map(|to| (held, to))
    );
    model.hear_value(value, now);
    if let Some(asked) = heard.clamped {
        assert_eq!(asked, ms(value.into()));
        assert!(asked < floor(&model.settings));
        model.clamps += 1;
    }
    model.beats.push(now);
    if heard.flooding {
        let interval = floor(&model.settings);
        let recent = model.beats.iter().filter(|at| now.since(**at) < interval).count();
        assert!(recent > 10, "{} heartbeats are no flood", recent);
        model.floods += 1;
    }
    assert!(model.clamps <= 1 && model.floods <= 1, "reported twice");
}

/// Runs the code and the model side by side.
pub(crate) fn run_watch(settings: Settings, steps: Vec<Hear>) {
    let mut timer = SilenceTimer::new(&settings, Time::ZERO);
    let mut model = Receiver::new(settings);
    let mut now = Time::ZERO;
    let mut next = check_poll(&mut timer, &mut model, now);
    for step in steps {
        match step {
            Hear::Pass(time) => now = now + time,
            Hear::PassToNext(off) => {
                if next < Time::NEVER {
                    let shifted = next.as_nanos().saturating_add_signed(off.into());
                    now = now.max(Time::from_nanos(shifted));
                }
            }
            Hear::Bytes => {
                let said = model.is_late_said().then(|| now.since(model.last_byte()));
                assert_eq!(timer.handle_received(now), said);
                model.hear(now);
            }
            Hear::Heartbeat(value) => check_heartbeat(&mut timer, &mut model, value, now),
            Hear::Held(time) => {
                timer.handle_held(time);
                model.silence.from = model.silence.from + time;
                model.silence.grace = model.silence.grace.map(|grace| grace + time);
                now = now + time;
            }
            Hear::Waited(late) => {
                let until = now - late;
                let expected = model.silence.wait_ended(until, now, model.slack);
                assert_eq!(timer.handle_waited(until, now), expected);
            }
            Hear::Slack(slack) => {
                timer.set_slack(slack, now);
                model.set_slack(slack, now);
            }
            Hear::Lower(value) => {
                timer.lower(value, now);
                model.lower(value, now);
            }
        }
        next = check_poll(&mut timer, &mut model, now);
        if matches!(timer.poll(now), Verdict::Silent { .. }) {
            break;
        }
    }
}
