//! The rules of ownership on instants of the test's own; threads only where waiting is the point.
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

type TestOwnership = Ownership<FakeLink, FakeSocket>;

const THEIRS: ClaimRules = ClaimRules { ours_first: false, reject_new: false };
const OURS: ClaimRules = ClaimRules { ours_first: true, reject_new: false };
const REJECT: ClaimRules = ClaimRules { ours_first: false, reject_new: true };

fn patience() -> Instant {
    Instant::now() + Duration::from_secs(30)
}

/// An ownership whose dialled link came up at the instant that is returned as well.
fn dialled(ownership: &TestOwnership) -> (Lease<'_, FakeLink, FakeSocket>, FakeLink, Instant) {
    let HelloStart::Go(number) = ownership.begin_hello(FakeSocket::default()) else { panic!() };
    let HelloEnd::Ours(Some(lease)) = ownership.end_hello(number, true) else { panic!() };
    let link = FakeLink::default();
    assert!(lease.go_up(link.clone()));
    let since = ownership.lock().holder.as_ref().and_then(|holder| holder.link.clone()).unwrap().1;
    (lease, link, since)
}

fn poll(ownership: &TestOwnership, terms: ClaimRules, now: Instant) -> Step<FakeLink, FakeSocket> {
    let mut state = ownership.lock();
    let number = state.next_number();
    let step = state.poll_claim(number, terms, now);
    state.claim = None;
    step
}

fn is_refused(step: &Step<FakeLink, FakeSocket>) -> bool {
    matches!(step, Step::Refused(ClaimRefused::Connected(_)))
}

#[test]
fn a_free_peer_goes_to_who_claims_it_and_only_once() {
    let ownership = TestOwnership::new();
    let lease = ownership.claim_if_free(THEIRS).unwrap().unwrap();
    assert!(ownership.claim_if_free(THEIRS).is_none());
    assert!(ownership.link().is_none());
    assert_eq!(ownership.begin_hello(FakeSocket::default()), HelloStart::Taken);
    let link = FakeLink::default();
    assert!(lease.go_up(link.clone()));
    assert_eq!(ownership.link(), Some(link));
    drop(lease);
    assert!(ownership.link().is_none());
    assert!(ownership.claim_if_free(THEIRS).unwrap().is_ok());
}

#[test]
fn a_young_link_of_ours_is_kept_for_exactly_the_time_to_settle() {
    let ownership = TestOwnership::new();
    let (_turn, link, since) = dialled(&ownership);
    let nano = Duration::from_nanos(1);
    assert!(is_refused(&poll(&ownership, OURS, since)));
    assert!(is_refused(&poll(&ownership, OURS, since + SETTLE - nano)));
    assert_eq!(poll(&ownership, OURS, since + SETTLE), Step::Replace(link.clone()));
    // The greater name gives way at once.
    assert_eq!(poll(&ownership, THEIRS, since), Step::Replace(link));
}

#[test]
fn an_accepted_link_is_replaced_by_a_returning_peer_whatever_the_names() {
    let ownership = TestOwnership::new();
    let lease = ownership.claim_if_free(OURS).unwrap().unwrap();
    let link = FakeLink::default();
    lease.go_up(link.clone());
    assert_eq!(poll(&ownership, OURS, Instant::now()), Step::Replace(link));
}

#[test]
fn with_reject_new_peers_a_living_link_stays_and_a_dead_one_is_waited_for() {
    let ownership = TestOwnership::new();
    let (_turn, link, since) = dialled(&ownership);
    assert!(is_refused(&poll(&ownership, REJECT, since + SETTLE * 100)));
    link.replace();
    assert_eq!(poll(&ownership, REJECT, since), Step::Wait);
}

#[test]
fn while_our_hello_is_out_the_smaller_name_refuses_and_the_greater_gives_up() {
    let ownership = TestOwnership::new();
    let socket = FakeSocket::default();
    let HelloStart::Go(number) = ownership.begin_hello(socket.clone()) else { panic!() };
    let refused = ownership.claim_if_free(OURS).unwrap();
    assert!(matches!(refused, Err(ClaimRefused::Connected(_))));
    assert_eq!(socket.interrupts(), 0);

    let lease = ownership.claim_if_free(THEIRS).unwrap().unwrap();
    assert_eq!(socket.interrupts(), 1);
    // The welcome that may have come meanwhile is worth nothing.
    assert!(matches!(ownership.end_hello(number, true), HelloEnd::Abandoned));
    drop(lease);
    assert!(matches!(ownership.end_hello(number, false), HelloEnd::Abandoned));
}

#[test]
fn a_greeting_without_welcome_leaves_the_peer_free() {
    let ownership = TestOwnership::new();
    let HelloStart::Go(number) = ownership.begin_hello(FakeSocket::default()) else { panic!() };
    assert!(matches!(ownership.end_hello(number, false), HelloEnd::Ours(None)));
    assert!(ownership.claim_if_free(OURS).unwrap().is_ok());
}

#[test]
fn a_claim_ends_the_old_link_and_waits_for_its_report() {
    let ownership = TestOwnership::new();
    let (lease, link, _) = dialled(&ownership);
    let reported = AtomicBool::new(false);
    thread::scope(|scope| {
        let claim = scope.spawn(|| {
            let claimed = ownership.claim(THEIRS, patience());
            assert!(reported.load(Ordering::SeqCst), "up before down");
            drop(claimed.unwrap());
        });
        while link.is_up() {
            thread::yield_now();
        }
        // Nobody else gets in between, our own dial least of all.
        assert!(ownership.claim_if_free(THEIRS).is_none());
        assert_eq!(ownership.begin_hello(FakeSocket::default()), HelloStart::Taken);
        reported.store(true, Ordering::SeqCst);
        drop(lease);
        claim.join().unwrap();
    });
}

#[test]
fn a_claim_gives_up_at_its_deadline_and_not_before() {
    let ownership = TestOwnership::new();
    let (lease, ..) = dialled(&ownership);
    let began = Instant::now();
    let time = Duration::from_millis(30);
    let claimed = ownership.claim(THEIRS, began + time);
    assert!(matches!(claimed, Err(ClaimRefused::Connected(_))));
    assert!(began.elapsed() >= time);
    drop(lease);
    assert!(ownership.claim_if_free(THEIRS).unwrap().is_ok());
}

#[test]
fn of_two_claims_the_newer_one_stays() {
    let ownership = TestOwnership::new();
    let (lease, link, _) = dialled(&ownership);
    thread::scope(|scope| {
        let older = scope.spawn(|| ownership.claim(THEIRS, patience()).map(drop));
        while link.is_up() {
            thread::yield_now();
        }
        let newer = scope.spawn(|| ownership.claim(THEIRS, patience()).map(drop));
        assert!(matches!(older.join().unwrap(), Err(ClaimRefused::Connected(_))));
        drop(lease);
        assert_eq!(newer.join().unwrap(), Ok(()));
    });
}

#[test]
fn an_older_claim_that_wakes_late_does_not_replace_a_newer_one() {
    let ownership = TestOwnership::new();
    let (lease, link, _) = dialled(&ownership);
    link.replace();
    let poll = |number| ownership.lock().poll_claim(number, THEIRS, Instant::now());
    assert_eq!(poll(10), Step::Wait);
    // The lease ends, and before the thread of claim 10 has woken, claim 11 comes.
    drop(lease);
    assert_eq!(poll(11), Step::Granted(None));
    assert!(is_refused(&poll(10)));
    assert_eq!(ownership.lock().claim, None);
}

#[test]
fn a_newer_claim_that_is_refused_does_not_take_the_older_ones_place() {
    let ownership = TestOwnership::new();
    let (lease, link, _) = dialled(&ownership);
    let poll = |number, terms| ownership.lock().poll_claim(number, terms, Instant::now());
    assert_eq!(poll(10, THEIRS), Step::Replace(link));
    assert!(is_refused(&poll(11, REJECT)));
    assert_eq!(ownership.lock().claim, Some(10));
    drop(lease);
    assert_eq!(poll(10, THEIRS), Step::Granted(None));
}

#[test]
fn the_end_of_a_turn_tells_the_dialling_thread_once() {
    let ownership = TestOwnership::new();
    assert_eq!(ownership.wait_dial(None), Next::Dial);
    for stable in [false, true] {
        let (mut lease, ..) = dialled(&ownership);
        lease.stable = stable;
        drop(lease);
        // The link that has ended comes before a dial that is due.
        assert_eq!(ownership.wait_dial(None), Next::Wait { stable });
        assert_eq!(ownership.wait_dial(None), Next::Dial);
    }
    drop(ownership.claim_if_free(THEIRS).unwrap().unwrap());
    assert_eq!(ownership.wait_dial(None), Next::Wait { stable: false });
}

// lesson 39
#[test]
fn a_dial_never_begins_before_it_is_due() {
    let ownership = TestOwnership::new();
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::SeqCst) {
                ownership.changed.notify_all();
            }
        });
        for _ in 0..10 {
            let due = Instant::now() + Duration::from_millis(5);
            assert_eq!(ownership.wait_dial(Some(due)), Next::Dial);
            assert!(Instant::now() >= due);
        }
        over.store(true, Ordering::SeqCst);
    });
}

// lesson 48
#[test]
fn a_stop_wakes_everybody_and_lets_nobody_begin() {
    let ownership = TestOwnership::new();
    let (lease, link, _) = dialled(&ownership);
    thread::scope(|scope| {
        let claim = scope.spawn(|| ownership.claim(THEIRS, patience()).map(drop));
        let dial = scope.spawn(|| ownership.wait_dial(Some(patience())));
        while link.is_up() {
            thread::yield_now();
        }
        assert_eq!(ownership.stop(), Some(link));
        assert_eq!(claim.join().unwrap(), Err(ClaimRefused::Stopping));
        assert_eq!(dial.join().unwrap(), Next::Stop);
    });
    assert_eq!(ownership.begin_hello(FakeSocket::default()), HelloStart::Stop);
    assert!(!ownership.enter_blocked());
    assert!(matches!(ownership.claim_if_free(THEIRS), Some(Err(ClaimRefused::Stopping))));
    drop(lease);
    assert_eq!(ownership.stop(), None);
}

#[test]
fn a_stop_interrupts_a_greeting_and_lets_go_of_a_blocked_call() {
    let ownership = TestOwnership::new();
    assert!(ownership.enter_blocked());
    assert!(!ownership.wait_unblocked(Instant::now()));
    ownership.stop();
    assert!(!ownership.leave_blocked());
    assert!(ownership.wait_unblocked(Instant::now()));

    let ownership = TestOwnership::new();
    let socket = FakeSocket::default();
    let HelloStart::Go(number) = ownership.begin_hello(socket.clone()) else { panic!() };
    ownership.stop();
    assert_eq!(socket.interrupts(), 1);
    assert!(matches!(ownership.end_hello(number, true), HelloEnd::Stopped));
}

#[test]
fn a_link_that_comes_up_while_the_node_stops_is_told_so() {
    let ownership = TestOwnership::new();
    let lease = ownership.claim_if_free(THEIRS).unwrap().unwrap();
    assert_eq!(ownership.stop(), None);
    assert!(!lease.go_up(FakeLink::default()));
}

#[test]
fn a_name_that_comes_back_waits_until_those_before_it_have_ended() {
    let [first, second, third] = [(); 3].map(|()| Arc::new(TestOwnership::new()));
    let lease = first.claim_if_free(THEIRS).unwrap().unwrap();
    first.stop();
    first.precede(&second);
    assert!(!second.is_over());
    assert!(second.claim_if_free(THEIRS).is_none());
    assert_eq!(second.begin_hello(FakeSocket::default()), HelloStart::Taken);
    assert_eq!(poll(&second, THEIRS, Instant::now()), Step::Wait);
    // It is taken out as well before it ever had its turn.
    second.stop();
    second.precede(&third);
    assert_eq!(poll(&third, THEIRS, Instant::now()), Step::Wait);
    let waiting = thread::scope(|scope| {
        let waiting = scope.spawn(|| third.claim(THEIRS, patience()).map(|_lease| ()));
        while third.lock().claim.is_none() {
            thread::yield_now();
        }
        drop(lease);
        waiting.join().unwrap()
    });
    assert_eq!(waiting, Ok(()));
    assert!(first.is_over() && second.is_over() && third.is_over());
}

#[test]
fn a_name_that_has_ended_holds_nobody_up() {
    let [first, second] = [(); 2].map(|()| Arc::new(TestOwnership::new()));
    drop(first.claim_if_free(THEIRS).unwrap());
    first.stop();
    first.precede(&second);
    assert!(second.claim_if_free(THEIRS).unwrap().is_ok());
}
