//! Ownership as threads meet it: who waits, who is woken, and who holds the lease.
//!
//! A link is a flag and a socket a number here, as in the tests of the rules.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::*;
use crate::node::held::DialTurn;
use crate::node::ownership::tests::{FakeLink, FakeSocket, OURS, THEIRS};

type TestTurns = Turns<FakeLink, FakeSocket>;

fn turns() -> Arc<TestTurns> {
    Arc::new(TestTurns::new(&Clock::start()))
}

const WAIT_MAX: Duration = Duration::from_secs(30);

fn patience(turns: &TestTurns) -> Time {
    turns.clock.now() + WAIT_MAX
}

/// The lease of a dialled link that has come up.
fn dialled(turns: &Arc<TestTurns>) -> (Lease<FakeLink, FakeSocket>, FakeLink) {
    let HelloStart::Go(number) = turns.begin_hello(FakeSocket::default()) else { panic!() };
    let HelloEnd::Ours(Some(lease)) = turns.end_hello(number, true) else { panic!() };
    let link = FakeLink::default();
    assert!(lease.go_up(link.clone()));
    (lease, link)
}

/// Waits for what the dialling side does next, as its thread does.
fn wait_dial(turns: &TestTurns, due: Option<Time>) -> DialTurn {
    turns.wait_for(|rules, now| match rules.poll_dial(due, now) {
        DialTurn::Wait { until } => Err(until),
        DialTurn::Rest => Err(Time::NEVER),
        turn => Ok(turn),
    })
}

#[test]
fn a_free_peer_goes_to_who_claims_it_and_only_once() {
    let turns = turns();
    let lease = turns.claim_if_free(THEIRS).unwrap().unwrap();
    assert!(turns.claim_if_free(THEIRS).is_none());
    assert!(turns.link().is_none());
    assert_eq!(turns.begin_hello(FakeSocket::default()), HelloStart::Taken);
    let link = FakeLink::default();
    assert!(lease.go_up(link.clone()));
    assert_eq!(turns.link(), Some(link));
    drop(lease);
    assert!(turns.link().is_none());
    assert!(turns.claim_if_free(THEIRS).unwrap().is_ok());
}

#[test]
fn while_our_hello_is_out_the_smaller_name_refuses_and_the_greater_gives_up() {
    let turns = turns();
    let socket = FakeSocket::default();
    let HelloStart::Go(number) = turns.begin_hello(socket.clone()) else { panic!() };
    let refused = turns.claim_if_free(OURS).unwrap();
    assert!(matches!(refused, Err(ClaimRefused::Connected(_))));
    assert_eq!(socket.interrupts(), 0);

    let lease = turns.claim_if_free(THEIRS).unwrap().unwrap();
    assert_eq!(socket.interrupts(), 1);
    // The welcome that may have come meanwhile is worth nothing.
    assert!(matches!(turns.end_hello(number, true), HelloEnd::Abandoned));
    drop(lease);
    assert!(matches!(turns.end_hello(number, false), HelloEnd::Abandoned));
}

#[test]
fn a_claim_ends_the_old_link_and_waits_for_its_report() {
    let turns = turns();
    let (lease, link) = dialled(&turns);
    let reported = AtomicBool::new(false);
    thread::scope(|scope| {
        let claim = scope.spawn(|| {
            let claimed = turns.claim(THEIRS, patience(&turns));
            assert!(reported.load(Ordering::SeqCst), "up before down");
            drop(claimed.unwrap());
        });
        while link.is_up() {
            thread::yield_now();
        }
        // No other gets in between, our own dial least of all.
        assert!(turns.claim_if_free(THEIRS).is_none());
        assert_eq!(turns.begin_hello(FakeSocket::default()), HelloStart::Taken);
        reported.store(true, Ordering::SeqCst);
        drop(lease);
        claim.join().unwrap();
    });
}

#[test]
fn a_claim_gives_up_at_its_deadline_and_not_before() {
    let turns = turns();
    let (lease, _link) = dialled(&turns);
    let deadline = turns.clock.now() + Duration::from_millis(30);
    let claimed = turns.claim(THEIRS, deadline);
    assert!(matches!(claimed, Err(ClaimRefused::Connected(_))));
    assert!(turns.clock.now() >= deadline);
    drop(lease);
    assert!(turns.claim_if_free(THEIRS).unwrap().is_ok());
}

#[test]
fn of_two_claims_the_newer_one_stays() {
    let turns = turns();
    let (lease, link) = dialled(&turns);
    thread::scope(|scope| {
        let older = scope.spawn(|| turns.claim(THEIRS, patience(&turns)).map(drop));
        while link.is_up() {
            thread::yield_now();
        }
        let newer = scope.spawn(|| turns.claim(THEIRS, patience(&turns)).map(drop));
        assert!(matches!(older.join().unwrap(), Err(ClaimRefused::Connected(_))));
        drop(lease);
        assert_eq!(newer.join().unwrap(), Ok(()));
    });
}

// lesson 39
#[test]
fn a_dial_never_begins_before_it_is_due() {
    let turns = turns();
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::SeqCst) {
                turns.changed.notify_all();
            }
        });
        for _ in 0..10 {
            let due = turns.clock.now() + Duration::from_millis(5);
            assert_eq!(wait_dial(&turns, Some(due)), DialTurn::Dial);
            assert!(turns.clock.now() >= due);
        }
        over.store(true, Ordering::SeqCst);
    });
}

// lesson 48
#[test]
fn a_stop_wakes_all_threads_and_lets_none_begin() {
    let turns = turns();
    let (lease, link) = dialled(&turns);
    thread::scope(|scope| {
        let claim = scope.spawn(|| turns.claim(THEIRS, patience(&turns)).map(drop));
        let dial = scope.spawn(|| wait_dial(&turns, Some(patience(&turns))));
        while link.is_up() {
            thread::yield_now();
        }
        assert_eq!(turns.stop(), Some(link));
        assert_eq!(claim.join().unwrap(), Err(ClaimRefused::Stopping));
        assert_eq!(dial.join().unwrap(), DialTurn::Stop);
    });
    assert_eq!(turns.begin_hello(FakeSocket::default()), HelloStart::Stop);
    assert!(!turns.enter_blocked());
    assert!(matches!(turns.claim_if_free(THEIRS), Some(Err(ClaimRefused::Stopping))));
    drop(lease);
    assert_eq!(turns.stop(), None);
}

#[test]
fn a_stop_interrupts_a_greeting_and_lets_go_of_a_blocked_call() {
    let turns = turns();
    assert!(turns.enter_blocked());
    assert!(!turns.wait_unblocked(turns.clock.now()));
    turns.stop();
    assert!(!turns.leave_blocked());
    assert!(turns.wait_unblocked(turns.clock.now()));

    let turns = self::turns();
    let socket = FakeSocket::default();
    let HelloStart::Go(number) = turns.begin_hello(socket.clone()) else { panic!() };
    turns.stop();
    assert_eq!(socket.interrupts(), 1);
    assert!(matches!(turns.end_hello(number, true), HelloEnd::Stopped));
}

#[test]
fn a_link_that_comes_up_while_the_node_stops_is_refused() {
    let turns = turns();
    let lease = turns.claim_if_free(THEIRS).unwrap().unwrap();
    assert_eq!(turns.stop(), None);
    assert!(!lease.go_up(FakeLink::default()));
}

#[test]
fn a_name_that_comes_back_waits_until_those_before_it_have_ended() {
    let [first, second, third] = [(); 3].map(|()| turns());
    let lease = first.claim_if_free(THEIRS).unwrap().unwrap();
    first.stop();
    first.precede(&second);
    assert!(!second.is_over());
    assert!(second.claim_if_free(THEIRS).is_none());
    assert_eq!(second.begin_hello(FakeSocket::default()), HelloStart::Taken);
    assert!(second.poll_claim(&mut Claim::default(), THEIRS, Time::NEVER).is_none());
    // It is taken out as well before it ever had its turn.
    second.stop();
    second.precede(&third);
    let mut claim = Claim::default();
    assert!(third.poll_claim(&mut claim, THEIRS, Time::NEVER).is_none());
    let waiting = thread::scope(|scope| {
        let waiting = scope.spawn(|| third.claim(THEIRS, patience(&third)).map(|_lease| ()));
        while third.lock().rules.claim() == claim.number {
            thread::yield_now();
        }
        drop(lease);
        waiting.join().unwrap()
    });
    assert_eq!(waiting, Ok(()));
    assert!(first.is_over() && second.is_over() && third.is_over());
}

#[test]
fn a_name_that_has_ended_holds_no_one_up() {
    let [first, second] = [(); 2].map(|()| turns());
    drop(first.claim_if_free(THEIRS).unwrap());
    first.stop();
    first.precede(&second);
    assert!(second.claim_if_free(THEIRS).unwrap().is_ok());
}
