//! The rules of a slot on instants of the test's own; threads only where waiting is the point.
//!
//! A link is a flag and a socket a number here: nothing of them matters but whether they live and
//! that they were ended.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;

use super::*;

#[derive(Clone, Debug, Default)]
struct FakeLink(Arc<AtomicBool>);

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
struct FakeSocket(Arc<AtomicU32>);

impl PartialEq for FakeSocket {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl FakeSocket {
    fn interrupts(&self) -> u32 {
        self.0.load(Ordering::SeqCst)
    }
}

impl Greeted for FakeSocket {
    fn interrupt(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

type TestSlot = Slot<FakeLink, FakeSocket>;

const THEIRS: Terms = Terms { ours_first: false, reject_new: false };
const OURS: Terms = Terms { ours_first: true, reject_new: false };
const REJECT: Terms = Terms { ours_first: false, reject_new: true };

fn patience() -> Instant {
    Instant::now() + Duration::from_secs(30)
}

/// A slot whose dialled link came up at the instant that is returned as well.
fn dialled(slot: &TestSlot) -> (Turn<'_, FakeLink, FakeSocket>, FakeLink, Instant) {
    let Greet::Go(number) = slot.begin_greeting(FakeSocket::default()) else { panic!() };
    let Greeting::Ours(Some(turn)) = slot.end_greeting(number, true) else { panic!() };
    let link = FakeLink::default();
    assert!(turn.go_up(link.clone()));
    let since = slot.lock().holder.as_ref().and_then(|holder| holder.link.clone()).unwrap().1;
    (turn, link, since)
}

fn poll(slot: &TestSlot, terms: Terms, now: Instant) -> Step<FakeLink, FakeSocket> {
    let mut state = slot.lock();
    let number = state.next_number();
    let step = state.poll_claim(number, terms, now);
    state.claim = None;
    step
}

fn is_refused(step: &Step<FakeLink, FakeSocket>) -> bool {
    matches!(step, Step::Refused(NoTurn::Connected(_)))
}

#[test]
fn a_free_peer_goes_to_who_claims_it_and_only_once() {
    let slot = TestSlot::new();
    let turn = slot.claim_if_free(THEIRS).unwrap().unwrap();
    assert!(slot.claim_if_free(THEIRS).is_none());
    assert!(slot.link().is_none());
    assert_eq!(slot.begin_greeting(FakeSocket::default()), Greet::Taken);
    let link = FakeLink::default();
    assert!(turn.go_up(link.clone()));
    assert_eq!(slot.link(), Some(link));
    drop(turn);
    assert!(slot.link().is_none());
    assert!(slot.claim_if_free(THEIRS).unwrap().is_ok());
}

#[test]
fn a_young_link_of_ours_is_kept_for_exactly_the_time_to_settle() {
    let slot = TestSlot::new();
    let (_turn, link, since) = dialled(&slot);
    let nano = Duration::from_nanos(1);
    assert!(is_refused(&poll(&slot, OURS, since)));
    assert!(is_refused(&poll(&slot, OURS, since + SETTLE - nano)));
    assert_eq!(poll(&slot, OURS, since + SETTLE), Step::Replace(link.clone()));
    // The greater name gives way at once.
    assert_eq!(poll(&slot, THEIRS, since), Step::Replace(link));
}

#[test]
fn an_accepted_link_is_replaced_by_a_returning_peer_whatever_the_names() {
    let slot = TestSlot::new();
    let turn = slot.claim_if_free(OURS).unwrap().unwrap();
    let link = FakeLink::default();
    turn.go_up(link.clone());
    assert_eq!(poll(&slot, OURS, Instant::now()), Step::Replace(link));
}

#[test]
fn with_reject_new_peers_a_living_link_stays_and_a_dead_one_is_waited_for() {
    let slot = TestSlot::new();
    let (_turn, link, since) = dialled(&slot);
    assert!(is_refused(&poll(&slot, REJECT, since + SETTLE * 100)));
    link.replace();
    assert_eq!(poll(&slot, REJECT, since), Step::Wait);
}

#[test]
fn while_our_hello_is_out_the_smaller_name_refuses_and_the_greater_gives_up() {
    let slot = TestSlot::new();
    let socket = FakeSocket::default();
    let Greet::Go(number) = slot.begin_greeting(socket.clone()) else { panic!() };
    let refused = slot.claim_if_free(OURS).unwrap();
    assert!(matches!(refused, Err(NoTurn::Connected(_))));
    assert_eq!(socket.interrupts(), 0);

    let turn = slot.claim_if_free(THEIRS).unwrap().unwrap();
    assert_eq!(socket.interrupts(), 1);
    // The welcome that may have come meanwhile is worth nothing.
    assert!(matches!(slot.end_greeting(number, true), Greeting::Abandoned));
    drop(turn);
    assert!(matches!(slot.end_greeting(number, false), Greeting::Abandoned));
}

#[test]
fn a_greeting_without_welcome_leaves_the_peer_free() {
    let slot = TestSlot::new();
    let Greet::Go(number) = slot.begin_greeting(FakeSocket::default()) else { panic!() };
    assert!(matches!(slot.end_greeting(number, false), Greeting::Ours(None)));
    assert!(slot.claim_if_free(OURS).unwrap().is_ok());
}

#[test]
fn a_claim_ends_the_old_link_and_waits_for_its_report() {
    let slot = TestSlot::new();
    let (turn, link, _) = dialled(&slot);
    let reported = AtomicBool::new(false);
    thread::scope(|scope| {
        let claim = scope.spawn(|| {
            let claimed = slot.claim(THEIRS, patience());
            assert!(reported.load(Ordering::SeqCst), "up before down");
            drop(claimed.unwrap());
        });
        while link.is_up() {
            thread::yield_now();
        }
        // Nobody else gets in between, our own dial least of all.
        assert!(slot.claim_if_free(THEIRS).is_none());
        assert_eq!(slot.begin_greeting(FakeSocket::default()), Greet::Taken);
        reported.store(true, Ordering::SeqCst);
        drop(turn);
        claim.join().unwrap();
    });
}

#[test]
fn a_claim_gives_up_at_its_deadline_and_not_before() {
    let slot = TestSlot::new();
    let (turn, ..) = dialled(&slot);
    let began = Instant::now();
    let time = Duration::from_millis(30);
    let claimed = slot.claim(THEIRS, began + time);
    assert!(matches!(claimed, Err(NoTurn::Connected(_))));
    assert!(began.elapsed() >= time);
    drop(turn);
    assert!(slot.claim_if_free(THEIRS).unwrap().is_ok());
}

#[test]
fn of_two_claims_the_newer_one_stays() {
    let slot = TestSlot::new();
    let (turn, link, _) = dialled(&slot);
    thread::scope(|scope| {
        let older = scope.spawn(|| slot.claim(THEIRS, patience()).map(drop));
        while link.is_up() {
            thread::yield_now();
        }
        let newer = scope.spawn(|| slot.claim(THEIRS, patience()).map(drop));
        assert!(matches!(older.join().unwrap(), Err(NoTurn::Connected(_))));
        drop(turn);
        assert_eq!(newer.join().unwrap(), Ok(()));
    });
}

#[test]
fn an_older_claim_that_wakes_late_does_not_replace_a_newer_one() {
    let slot = TestSlot::new();
    let (turn, link, _) = dialled(&slot);
    link.replace();
    let poll = |number| slot.lock().poll_claim(number, THEIRS, Instant::now());
    assert_eq!(poll(10), Step::Wait);
    // The turn ends, and before the thread of claim 10 has woken, claim 11 comes.
    drop(turn);
    assert_eq!(poll(11), Step::Granted(None));
    assert!(is_refused(&poll(10)));
    assert_eq!(slot.lock().claim, None);
}

#[test]
fn a_newer_claim_that_is_refused_does_not_take_the_older_ones_place() {
    let slot = TestSlot::new();
    let (turn, link, _) = dialled(&slot);
    let poll = |number, terms| slot.lock().poll_claim(number, terms, Instant::now());
    assert_eq!(poll(10, THEIRS), Step::Replace(link));
    assert!(is_refused(&poll(11, REJECT)));
    assert_eq!(slot.lock().claim, Some(10));
    drop(turn);
    assert_eq!(poll(10, THEIRS), Step::Granted(None));
}

#[test]
fn the_end_of_a_turn_tells_the_dialling_thread_once() {
    let slot = TestSlot::new();
    assert_eq!(slot.wait_dial(None), Next::Dial);
    for stable in [false, true] {
        let (mut turn, ..) = dialled(&slot);
        turn.stable = stable;
        drop(turn);
        // The link that has ended comes before a dial that is due.
        assert_eq!(slot.wait_dial(None), Next::Wait { stable });
        assert_eq!(slot.wait_dial(None), Next::Dial);
    }
    drop(slot.claim_if_free(THEIRS).unwrap().unwrap());
    assert_eq!(slot.wait_dial(None), Next::Wait { stable: false });
}

// lesson 39
#[test]
fn a_dial_never_begins_before_it_is_due() {
    let slot = TestSlot::new();
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::SeqCst) {
                slot.changed.notify_all();
            }
        });
        for _ in 0..10 {
            let due = Instant::now() + Duration::from_millis(5);
            assert_eq!(slot.wait_dial(Some(due)), Next::Dial);
            assert!(Instant::now() >= due);
        }
        over.store(true, Ordering::SeqCst);
    });
}

// lesson 48
#[test]
fn a_stop_wakes_everybody_and_lets_nobody_begin() {
    let slot = TestSlot::new();
    let (turn, link, _) = dialled(&slot);
    thread::scope(|scope| {
        let claim = scope.spawn(|| slot.claim(THEIRS, patience()).map(drop));
        let dial = scope.spawn(|| slot.wait_dial(Some(patience())));
        while link.is_up() {
            thread::yield_now();
        }
        assert_eq!(slot.stop(), Some(link));
        assert_eq!(claim.join().unwrap(), Err(NoTurn::Stopping));
        assert_eq!(dial.join().unwrap(), Next::Stop);
    });
    assert_eq!(slot.begin_greeting(FakeSocket::default()), Greet::Stop);
    assert!(!slot.enter_blocked());
    assert!(matches!(slot.claim_if_free(THEIRS), Some(Err(NoTurn::Stopping))));
    drop(turn);
    assert_eq!(slot.stop(), None);
}

#[test]
fn a_stop_interrupts_a_greeting_and_lets_go_of_a_blocked_call() {
    let slot = TestSlot::new();
    assert!(slot.enter_blocked());
    assert!(!slot.wait_unblocked(Instant::now()));
    slot.stop();
    assert!(!slot.leave_blocked());
    assert!(slot.wait_unblocked(Instant::now()));

    let slot = TestSlot::new();
    let socket = FakeSocket::default();
    let Greet::Go(number) = slot.begin_greeting(socket.clone()) else { panic!() };
    slot.stop();
    assert_eq!(socket.interrupts(), 1);
    assert!(matches!(slot.end_greeting(number, true), Greeting::Stopped));
}

#[test]
fn a_link_that_comes_up_while_the_node_stops_is_told_so() {
    let slot = TestSlot::new();
    let turn = slot.claim_if_free(THEIRS).unwrap().unwrap();
    assert_eq!(slot.stop(), None);
    assert!(!turn.go_up(FakeLink::default()));
}
