//! The rules of ownership on instants of the test's own.
//!
//! A link is a flag and a socket a number here: nothing of them matters but whether they live and
//! that they were ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use super::*;

#[derive(Clone, Debug, Default)]
pub(crate) struct FakeLink(Arc<AtomicBool>);

impl PartialEq for FakeLink {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Held for FakeLink {
    fn is_up(&self) -> bool {
        !self.0.load(Ordering::SeqCst)
    }

    fn replace(&self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct FakeSocket(Arc<AtomicU32>);

impl PartialEq for FakeSocket {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl FakeSocket {
    pub(crate) fn interrupts(&self) -> u32 {
        self.0.load(Ordering::SeqCst)
    }
}

impl Greeted for FakeSocket {
    fn interrupt(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

type Rules = Ownership<FakeLink, FakeSocket>;

pub(crate) const THEIRS: ClaimRules = ClaimRules { ours_first: false, reject_new: false };
pub(crate) const OURS: ClaimRules = ClaimRules { ours_first: true, reject_new: false };
pub(crate) const REJECT: ClaimRules = ClaimRules { ours_first: false, reject_new: true };

const NANO: Duration = Duration::from_nanos(1);

/// An ownership whose dialled link came up at `since`.
fn dialled(since: Time) -> (Rules, FakeLink) {
    let mut rules = Rules::new();
    let HelloStart::Go(number) = rules.begin_hello(FakeSocket::default()) else { panic!() };
    assert_eq!(rules.end_hello(number, true), HelloEnd::Ours(Some(number)));
    let link = FakeLink::default();
    assert!(rules.go_up(number, link.clone(), since));
    (rules, link)
}

/// What a claim that comes at `now` is answered first, and takes back.
fn poll(rules: &mut Rules, terms: ClaimRules, now: Time) -> Step<FakeLink, FakeSocket> {
    let step = rules.poll_claim(&mut Claim::default(), terms, Time::NEVER, now);
    rules.claim = None;
    step
}

fn is_refused(step: &Step<FakeLink, FakeSocket>) -> bool {
    matches!(step, Step::Refused(ClaimRefused::Connected(_)))
}

#[test]
fn a_young_link_of_ours_is_kept_for_exactly_the_time_to_settle() {
    let since = Time::from_nanos(7);
    let (mut rules, link) = dialled(since);
    assert!(is_refused(&poll(&mut rules, OURS, since)));
    assert!(is_refused(&poll(&mut rules, OURS, since + DIALLED_KEPT_FOR - NANO)));
    assert_eq!(poll(&mut rules, OURS, since + DIALLED_KEPT_FOR), Step::Replace(link.clone()));
    // The greater name gives way at once.
    assert_eq!(poll(&mut rules, THEIRS, since), Step::Replace(link));
}

#[test]
fn an_accepted_link_is_replaced_by_a_returning_peer_whatever_the_names() {
    let mut rules = Rules::new();
    let Step::Granted { number, .. } = poll(&mut rules, OURS, Time::ZERO) else { panic!() };
    let link = FakeLink::default();
    rules.go_up(number, link.clone(), Time::ZERO);
    assert_eq!(poll(&mut rules, OURS, Time::ZERO), Step::Replace(link));
}

#[test]
fn with_reject_new_peers_a_living_link_stays_and_a_dead_one_is_waited_for() {
    let (mut rules, link) = dialled(Time::ZERO);
    assert!(is_refused(&poll(&mut rules, REJECT, Time::ZERO + DIALLED_KEPT_FOR * 100)));
    link.replace();
    assert_eq!(poll(&mut rules, REJECT, Time::ZERO), Step::Wait);
}

#[test]
fn while_our_hello_is_out_the_smaller_name_refuses_and_the_greater_gives_up() {
    let (mut rules, socket) = (Rules::new(), FakeSocket::default());
    let HelloStart::Go(ours) = rules.begin_hello(socket.clone()) else { panic!() };
    assert!(is_refused(&poll(&mut rules, OURS, Time::ZERO)));
    let Step::Granted { abandoned, .. } = poll(&mut rules, THEIRS, Time::ZERO) else { panic!() };
    assert_eq!(abandoned, Some(socket));
    // The welcome that may have come meanwhile is worth nothing.
    assert_eq!(rules.end_hello(ours, true), HelloEnd::Abandoned);
    rules.end_lease(false);
    assert_eq!(rules.end_hello(ours, false), HelloEnd::Abandoned);
}

#[test]
fn a_greeting_without_welcome_leaves_the_peer_free() {
    let mut rules = Rules::new();
    let HelloStart::Go(number) = rules.begin_hello(FakeSocket::default()) else { panic!() };
    assert_eq!(rules.end_hello(number, false), HelloEnd::Ours(None));
    assert!(matches!(poll(&mut rules, OURS, Time::ZERO), Step::Granted { .. }));
}

#[test]
fn a_claim_gives_up_at_its_deadline_and_not_before() {
    let (mut rules, link) = dialled(Time::ZERO);
    let deadline = Time::from_nanos(1000);
    let mut claim = Claim::default();
    let poll =
        |rules: &mut Rules, claim: &mut Claim, now| rules.poll_claim(claim, THEIRS, deadline, now);
    assert_eq!(poll(&mut rules, &mut claim, Time::ZERO), Step::Replace(link.clone()));
    assert!(claim.replaced);
    link.replace();
    assert_eq!(poll(&mut rules, &mut claim, deadline - NANO), Step::Wait);
    assert_eq!(rules.claim(), claim.number);
    assert!(is_refused(&poll(&mut rules, &mut claim, deadline)));
    assert_eq!(rules.claim(), None);
}

#[test]
fn a_claim_that_a_pause_refuses_is_gone_and_the_peer_is_dialled_after_it() {
    let (mut rules, link) = dialled(Time::ZERO);
    let mut claim = Claim::default();
    let poll = |rules: &mut Rules, claim: &mut Claim| {
        rules.poll_claim(claim, THEIRS, Time::NEVER, Time::ZERO)
    };
    assert_eq!(poll(&mut rules, &mut claim), Step::Replace(link.clone()));
    link.replace();
    assert_eq!(poll(&mut rules, &mut claim), Step::Wait);
    rules.pause();
    assert_eq!(poll(&mut rules, &mut claim), Step::Refused(ClaimRefused::Paused));
    assert_eq!(rules.claim(), None);
    rules.end_lease(false);
    // A connection that was being made when the pause came says no HELLO.
    assert!(matches!(rules.begin_hello(FakeSocket::default()), HelloStart::Taken));
    rules.resume();
    assert!(matches!(rules.begin_hello(FakeSocket::default()), HelloStart::Go(_)));
}

#[test]
fn an_older_claim_that_wakes_late_does_not_replace_a_newer_one() {
    let (mut rules, link) = dialled(Time::ZERO);
    link.replace();
    let (mut old, mut new) = (Claim::default(), Claim::default());
    let poll = |rules: &mut Rules, claim: &mut Claim| {
        rules.poll_claim(claim, THEIRS, Time::NEVER, Time::ZERO)
    };
    assert_eq!(poll(&mut rules, &mut old), Step::Wait);
    // The lease ends, and before the older claim has looked again, another one comes.
    rules.end_lease(false);
    assert!(matches!(poll(&mut rules, &mut new), Step::Granted { abandoned: None, .. }));
    assert!(is_refused(&poll(&mut rules, &mut old)));
    assert_eq!(rules.claim(), None);
}

#[test]
fn a_newer_claim_that_is_refused_does_not_take_the_older_ones_place() {
    let (mut rules, link) = dialled(Time::ZERO);
    let (mut old, mut new) = (Claim::default(), Claim::default());
    let poll = |rules: &mut Rules, claim: &mut Claim, terms| {
        rules.poll_claim(claim, terms, Time::NEVER, Time::ZERO)
    };
    assert_eq!(poll(&mut rules, &mut old, THEIRS), Step::Replace(link));
    assert!(is_refused(&poll(&mut rules, &mut new, REJECT)));
    assert_eq!(rules.claim(), old.number);
    rules.end_lease(false);
    assert!(matches!(poll(&mut rules, &mut old, THEIRS), Step::Granted { .. }));
}

#[test]
fn the_end_of_a_lease_tells_the_dialling_side_once() {
    let mut rules = Rules::new();
    assert_eq!(rules.poll_dial(None, Time::ZERO), DialTurn::Dial);
    for stable in [false, true] {
        let Step::Granted { .. } = poll(&mut rules, THEIRS, Time::ZERO) else { panic!() };
        assert_eq!(rules.poll_dial(None, Time::ZERO), DialTurn::Rest);
        rules.end_lease(stable);
        // The link that has ended comes before a dial that is due.
        assert_eq!(rules.poll_dial(None, Time::ZERO), DialTurn::Lost { stable });
        assert_eq!(rules.poll_dial(None, Time::ZERO), DialTurn::Dial);
    }
}

#[test]
fn a_dial_that_was_asked_for_is_not_made_after_a_link_that_came_first() {
    let mut rules = Rules::new();
    assert!(rules.dial_now());
    let Step::Granted { .. } = poll(&mut rules, THEIRS, Time::ZERO) else { panic!() };
    rules.end_lease(false);
    let due = Time::from_nanos(1000);
    assert_eq!(rules.poll_dial(None, Time::ZERO), DialTurn::Lost { stable: false });
    assert_eq!(rules.poll_dial(Some(due), Time::ZERO), DialTurn::Wait { until: due });
}

#[test]
fn a_stable_link_counts_even_if_it_was_replaced_by_one_that_was_not() {
    let mut rules = Rules::new();
    for stable in [true, false] {
        let Step::Granted { .. } = poll(&mut rules, THEIRS, Time::ZERO) else { panic!() };
        rules.end_lease(stable);
    }
    assert_eq!(rules.poll_dial(None, Time::ZERO), DialTurn::Lost { stable: true });
    assert_eq!(rules.poll_dial(None, Time::ZERO), DialTurn::Dial);
}

// lesson 39
#[test]
fn a_dial_never_begins_before_it_is_due_unless_the_program_asks() {
    let mut rules = Rules::new();
    let due = Time::from_nanos(1000);
    assert_eq!(rules.poll_dial(Some(due), due - NANO), DialTurn::Wait { until: due });
    assert_eq!(rules.poll_dial(Some(due), due), DialTurn::Dial);
    assert!(rules.dial_now());
    assert_eq!(rules.poll_dial(Some(due), Time::ZERO), DialTurn::Dial);
    assert_eq!(rules.poll_dial(Some(due), Time::ZERO), DialTurn::Wait { until: due });
}

#[test]
fn a_dial_that_was_asked_for_while_one_was_under_way_is_not_made_after_it() {
    let mut rules = Rules::new();
    assert_eq!(rules.poll_dial(None, Time::ZERO), DialTurn::Dial);
    // Its name is being resolved.
    assert!(rules.dial_now());
    assert_eq!(rules.look(), Look::GoOn);
    assert!(rules.enter_blocked() && rules.leave_blocked());
    let due = Time::from_nanos(1000);
    assert_eq!(rules.poll_dial(Some(due), Time::ZERO), DialTurn::Wait { until: due });
}

#[test]
fn a_resume_during_a_dial_that_fails_dials_again_at_once() {
    let mut rules = Rules::new();
    assert_eq!(rules.poll_dial(None, Time::ZERO), DialTurn::Dial);
    assert!(rules.enter_blocked());
    rules.pause();
    rules.resume();
    assert!(rules.leave_blocked());
    assert_eq!(rules.look(), Look::GoOn);
    let due = Time::from_nanos(1000);
    assert_eq!(rules.poll_dial(Some(due), Time::ZERO), DialTurn::Dial);
}

// lesson 48
#[test]
fn a_stop_lets_nothing_begin() {
    let (mut rules, link) = dialled(Time::ZERO);
    rules.stop();
    assert_eq!(rules.interrupted(), (Some(link), None));
    assert_eq!(poll(&mut rules, THEIRS, Time::ZERO), Step::Refused(ClaimRefused::Stopping));
    assert_eq!(rules.poll_dial(None, Time::ZERO), DialTurn::Stop);
    assert_eq!(rules.begin_hello(FakeSocket::default()), HelloStart::Stop);
    assert!(!rules.enter_blocked() && !rules.dial_now());
    assert_eq!(rules.look(), Look::Stop);
}

#[test]
fn a_pause_keeps_both_sides_out_and_a_resume_dials_at_once() {
    let mut rules = Rules::new();
    let socket = FakeSocket::default();
    let HelloStart::Go(number) = rules.begin_hello(socket.clone()) else { panic!() };
    rules.pause();
    assert_eq!(rules.interrupted(), (None, Some(socket)));
    // A welcome that came just before is given up.
    assert_eq!(rules.end_hello(number, true), HelloEnd::Abandoned);
    assert_eq!(poll(&mut rules, THEIRS, Time::ZERO), Step::Refused(ClaimRefused::Paused));
    assert_eq!(rules.poll_dial(None, Time::ZERO), DialTurn::Rest);
    rules.resume();
    assert_eq!(rules.poll_dial(Some(Time::NEVER), Time::ZERO), DialTurn::Dial);
}
