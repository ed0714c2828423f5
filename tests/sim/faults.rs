//! What each fault does to a link, to the nanosecond if that is known.

use std::cell::Cell;
use std::time::Duration;

use super::{LEFT, RIGHT, downs, options};
use peerbeat::connection::LinkEvent;
use peerbeat::liveness::Mode;
use peerbeat::sim::{Conditions, Invariants, Net, Op, Pair, Record, SimEvent, SimOptions, secs};

const MS: Duration = Duration::from_millis(1);

fn pair() -> Pair<'static> {
    Pair::new(1, options(2.0, 1.0), options(2.0, 1.0))
}

/// Runs until `seconds` and holds the run to the invariants.
fn run(mut pair: Pair<'_>, seconds: f64) -> Pair<'_> {
    pair.run_until(secs(seconds));
    Invariants::new().check(&pair).unwrap_or_else(|violation| panic!("{violation}"));
    pair
}

#[test]
fn both_sides_learn_the_smaller_value() {
    for (left, right) in [(2.0, 5.0), (5.0, 2.0), (2.0, 0.0), (0.0, 2.0)] {
        let pair = run(Pair::new(1, options(left, 1.0), options(right, 1.0)), 60.0);
        let two = Duration::from_secs(2);
        let is_learnt = |event: &SimEvent| match event {
            SimEvent::Event(LinkEvent::HeartbeatTime { to, .. }) => *to == two,
            _ => false,
        };
        let learnt = pair.seen().filter(|seen| is_learnt(&seen.event));
        assert_eq!(learnt.count(), 1, "{left} and {right}");
        let beats = pair
            .seen()
            .filter(|seen| matches!(seen.event, SimEvent::HeartbeatSent { value } if value == two));
        assert_eq!(beats.count(), 2 * 30, "{left} and {right}");
    }
}

#[test]
fn without_a_value_on_either_side_silence_has_no_limit() {
    let mut pair = Pair::new(1, options(0.0, 1.0), options(0.0, 1.0));
    pair.at(secs(1.0), Op::Cut { a: LEFT, b: RIGHT });
    let pair = run(pair, 100_000.0);
    assert!(pair.is_up(LEFT, RIGHT) && pair.is_up(RIGHT, LEFT));
}

#[test]
fn a_cut_one_way_is_silence_for_one_and_an_end_for_the_other() {
    let mut pair = pair();
    pair.at(secs(3.0), Op::CutOneWay { from: LEFT, to: RIGHT });
    let pair = run(pair, 60.0);
    // RIGHT last heard of LEFT at 2.0015 s and gives up 3 s later; its end arrives.
    assert_eq!(downs(&pair, RIGHT), [(5.0015, "silent")]);
    assert_eq!(downs(&pair, LEFT), [(5.002, "eof")]);
}

#[test]
fn a_peer_that_gives_up_while_our_goodbye_is_under_way_looks_like_one_that_has_read_it() {
    let mut pair = pair();
    pair.at(secs(3.0), Op::CutOneWay { from: LEFT, to: RIGHT });
    // RIGHT is silent for its limit at 5.0015 s. What LEFT says then meets the end on its way.
    pair.at(secs(5.0017), Op::Send { from: LEFT, to: RIGHT, size: 9, times: 1, every: MS });
    pair.at(secs(5.0017), Op::Close { from: LEFT, to: RIGHT });
    let pair = run(pair, 60.0);
    assert_eq!(downs(&pair, RIGHT), [(5.0015, "silent")]);
    let end = pair.seen_by(LEFT).find_map(|seen| match &seen.event {
        SimEvent::Down { down, .. } => Some((seen.at, down.unconfirmed_bytes)),
        _ => None,
    });
    assert_eq!(end, Some((secs(5.002), Some(0))));
}

#[test]
fn a_cut_shorter_than_the_limit_is_survived() {
    let mut pair = pair();
    pair.at(secs(4.1), Op::Cut { a: LEFT, b: RIGHT });
    pair.at(secs(4.7), Op::Heal { a: LEFT, b: RIGHT });
    let pair = run(pair, 60.0);
    assert!(pair.is_up(LEFT, RIGHT) && pair.is_up(RIGHT, LEFT));
}

#[test]
fn a_stopped_process_is_dead_for_the_peer_and_blames_no_peer() {
    let mut pair = pair();
    pair.at(secs(10.5), Op::Stop { host: LEFT });
    pair.at(secs(30.0), Op::Resume { host: LEFT });
    let pair = run(pair, 60.0);
    assert_eq!(downs(&pair, RIGHT), [(13.0015, "silent")]);
    assert_eq!(downs(&pair, LEFT), [(30.0, "eof")]);
}

#[test]
fn after_a_stop_a_dead_peer_gets_one_more_slack() {
    // lesson 33
    let mut pair = pair();
    pair.at(secs(10.5), Op::Stop { host: LEFT });
    pair.at(secs(10.5), Op::Cut { a: LEFT, b: RIGHT });
    pair.at(secs(30.0), Op::Resume { host: LEFT });
    let pair = run(pair, 60.0);
    assert_eq!(downs(&pair, LEFT), [(31.0, "silent")]);
    assert!(
        pair.seen_by(LEFT)
            .any(|seen| matches!(seen.event, SimEvent::Event(LinkEvent::Stalled { .. })))
    );
}

#[test]
fn every_silence_has_a_slack_of_grace_of_its_own() {
    // RIGHT forgives much, so that the link lives through what LEFT goes through, twice.
    let mut pair = Pair::new(1, options(2.0, 1.0), options(2.0, 60.0));
    for second in [10.0, 40.0] {
        pair.at(secs(second + 0.1), Op::CutOneWay { from: RIGHT, to: LEFT });
        pair.at(secs(second + 0.5), Op::Stop { host: LEFT });
        pair.at(secs(second + 4.5), Op::Resume { host: LEFT });
        // TCP sends again 3 s after the loss at 12.0 s: half a second before the grace ends.
        pair.at(secs(second + 4.9), Op::Heal { a: LEFT, b: RIGHT });
    }
    let pair = run(pair, 100.0);
    assert_eq!(downs(&pair, LEFT), []);
    let stalls = pair
        .seen_by(LEFT)
        .filter(|seen| matches!(seen.event, SimEvent::Event(LinkEvent::Stalled { .. })));
    assert_eq!(stalls.count(), 2);
}

#[test]
fn a_peer_that_stops_reading_is_write_stalled() {
    let small = options(2.0, 1.0).socket_bytes(4096);
    let mut pair = Pair::new(1, small, small);
    pair.at(secs(5.0), Op::SlowReader { host: RIGHT, each: Duration::MAX });
    pair.at(secs(5.0), Op::Send { from: LEFT, to: RIGHT, size: 3000, times: 3, every: MS });
    let pair = run(pair, 60.0);
    // The first message is read, the second waits on the way, the third is stuck at 5.002 s.
    assert_eq!(downs(&pair, LEFT), [(8.002, "write-stalled")]);
}

#[test]
fn after_a_stop_a_stuck_write_gets_one_more_slack() {
    for (reads_again, expected) in [(12.9, vec![]), (60.0, vec![(13.0, "write-stalled")])] {
        let small = options(2.0, 1.0).socket_bytes(4096);
        let mut pair = Pair::new(1, small, small);
        pair.at(secs(5.0), Op::SlowReader { host: RIGHT, each: Duration::MAX });
        pair.at(secs(5.0), Op::Send { from: LEFT, to: RIGHT, size: 3000, times: 3, every: MS });
        pair.at(secs(6.0), Op::Stop { host: LEFT });
        pair.at(secs(12.0), Op::Resume { host: LEFT });
        pair.at(secs(reads_again), Op::SlowReader { host: RIGHT, each: Duration::ZERO });
        assert_eq!(downs(&run(pair, 59.0), LEFT), expected);
    }
}

#[test]
fn a_slow_reader_is_waited_for() {
    // lessons 15 and 32
    let right = options(2.0, 1.0).message_time(Duration::from_secs(2));
    let small = options(2.0, 1.0).socket_bytes(4096);
    let mut pair = Pair::new(1, small, right);
    pair.at(secs(5.0), Op::Send { from: LEFT, to: RIGHT, size: 1500, times: 30, every: MS });
    let pair = run(pair, 120.0);
    let read = pair.seen_by(RIGHT).filter(|seen| matches!(seen.event, SimEvent::Message(_)));
    assert_eq!(read.count(), 30);
    assert!(pair.is_up(LEFT, RIGHT) && pair.is_up(RIGHT, LEFT));
}

#[test]
fn a_large_message_on_a_slow_line_is_life() {
    // lesson 25
    let mut pair = pair();
    let bandwidth = Some(100);
    pair.set_conditions(Conditions::default().bandwidth(bandwidth).split(Some(1)));
    let op = Op::Send { from: LEFT, to: RIGHT, size: 50_000, times: 1, every: MS };
    pair.at(secs(5.0), op);
    let pair = run(pair, 600.0);
    let message = pair.seen_by(RIGHT).find(|seen| matches!(seen.event, SimEvent::Message(_)));
    assert!(message.is_some_and(|seen| seen.at > secs(500.0)));
    let beats = pair
        .seen_by(LEFT)
        .filter(|seen| matches!(seen.event, SimEvent::HeartbeatSent { .. }) && seen.at > secs(5.0));
    assert!(beats.count() > 0, "the kernel took the message at once, so the line idles for us");
}

#[test]
fn data_replaces_heartbeats_in_mode_idle_only() {
    for (mode, expected) in [(Mode::Idle, 1), (Mode::Always, 10)] {
        let mut left = options(2.0, 1.0);
        left.liveness = left.liveness.mode(mode);
        let mut pair = Pair::new(1, left, options(2.0, 1.0));
        let op = Op::Send { from: LEFT, to: RIGHT, size: 9, times: 20, every: MS * 1000 };
        pair.at(secs(0.5), op);
        let pair = run(pair, 20.0);
        let beats = pair.seen_by(LEFT);
        let beats = beats.filter(|seen| matches!(seen.event, SimEvent::HeartbeatSent { .. }));
        assert_eq!(beats.count(), expected, "{mode:?}");
    }
}

#[test]
fn ends_have_their_reasons() {
    let cases = [
        (Op::Close { from: LEFT, to: RIGHT }, [(3.001, "local"), (3.0005, "closed")]),
        (Op::Reset { a: LEFT, b: RIGHT }, [(3.0, "io"), (3.0, "io")]),
    ];
    for (op, expected) in cases {
        let mut pair = pair();
        pair.at(secs(3.0), op);
        let pair = run(pair, 20.0);
        assert_eq!([downs(&pair, LEFT), downs(&pair, RIGHT)].concat(), expected, "{op:?}");
    }
    let mut pair = pair();
    pair.at(secs(3.0), Op::Kill { host: LEFT });
    assert_eq!(downs(&run(pair, 20.0), RIGHT), [(3.0005, "eof")]);
    let mut pair = self::pair();
    pair.at(secs(3.0), Op::PowerOff { host: LEFT });
    assert_eq!(downs(&run(pair, 20.0), RIGHT), [(5.0015, "silent")]);
}

#[test]
fn a_changed_byte_is_seen_for_what_it_is() {
    let mut reasons = Vec::new();
    for seed in 0..200 {
        let mut pair = Pair::new(seed, options(2.0, 1.0), options(2.0, 1.0));
        pair.at(secs(3.0), Op::Corrupt { from: LEFT, to: RIGHT });
        let pair = run(pair, 20.0);
        reasons.extend(downs(&pair, RIGHT).iter().map(|(_, word)| *word));
    }
    assert!(reasons.contains(&"protocol"), "{reasons:?}");
}

#[test]
fn a_machine_that_comes_back_is_a_new_connection() {
    let left = options(2.0, 1.0).redial(Some(Duration::from_secs(1)));
    let mut pair = Pair::new(1, left, options(2.0, 1.0));
    pair.at(secs(3.0), Op::PowerOff { host: RIGHT });
    pair.at(secs(20.0), Op::Start { host: RIGHT });
    let pair = run(pair, 60.0);
    assert_eq!(downs(&pair, LEFT), [(5.001, "silent")]);
    let failed =
        pair.seen_by(LEFT).filter(|seen| matches!(seen.event, SimEvent::DialFailed { .. }));
    assert!(failed.count() > 0, "no dial was answered for a while");
    assert!(pair.is_up(LEFT, RIGHT) && pair.is_up(RIGHT, LEFT));
}

#[test]
fn a_dead_process_refuses_at_once_and_a_stopped_one_not_at_all() {
    for (op, expected) in [(Op::Kill { host: RIGHT }, 1.001), (Op::Stop { host: RIGHT }, 11.0)] {
        let mut net = Net::new(1);
        let (left, right) = (net.add(SimOptions::default()), net.add(SimOptions::default()));
        assert_eq!((left, right), (LEFT, RIGHT));
        net.apply(op);
        net.at(secs(1.0), Op::Connect { from: left, to: right });
        net.run_until(secs(60.0));
        let failed =
            net.seen_by(left).find(|seen| matches!(seen.event, SimEvent::DialFailed { .. }));
        assert_eq!(failed.map(|seen| seen.at), Some(secs(expected)), "{op:?}");
    }
}

#[test]
fn a_coarse_clock_makes_verdicts_late_by_no_more_than_it_is_coarse() {
    let coarse = options(2.0, 1.0).granularity(MS * 50);
    for seed in 0..50 {
        let mut pair = Pair::new(seed, coarse, coarse);
        pair.at(secs(3.0), Op::PowerOff { host: LEFT });
        let pair = run(pair, 20.0);
        let (at, word) = downs(&pair, RIGHT)[0];
        let is_read =
            |seen: &&Record| matches!(seen.event, SimEvent::Read { .. }) && seen.host == RIGHT;
        let heard = pair.history(0).iter().rev().find(is_read);
        let due = heard.expect("it heard of LEFT").at.as_nanos() as f64 / 1e9 + 3.0;
        assert!(word == "silent" && at >= due - 1e-9 && at <= due + 0.05, "{at} for {due}");
    }
}

#[test]
fn a_program_sends_closes_holds_and_waits() {
    let mut pair = pair();
    pair.on(RIGHT, |context, event| match event {
        SimEvent::Up { .. } => context.set_timer(MS * 100, 7),
        SimEvent::Timer(7) => context.send(LEFT, b"seven").expect("there is a link"),
        SimEvent::Message(_) => {
            context.hold(Duration::from_secs(1));
            context.close(LEFT);
        }
        _ => {}
    });
    pair.on(LEFT, |context, event| {
        if let SimEvent::Message(message) = event {
            assert_eq!(message, b"seven");
            context.send(RIGHT, b"and back").expect("there is a link");
        }
    });
    let pair = run(pair, 20.0);
    assert_eq!(downs(&pair, RIGHT), [(1.1015, "local")]);
    assert_eq!(downs(&pair, LEFT), [(0.102, "closed")]);
}

#[test]
fn settling_means_that_no_byte_is_on_its_way() {
    let mut pair = pair();
    assert!(pair.settle(Duration::from_secs(1)));
    assert_eq!(pair.now(), secs(0.0015));
    pair.send(LEFT, RIGHT, b"x").expect("there is a link");
    assert!(!pair.settle(MS / 10));
    assert!(pair.settle(MS));
    assert_eq!(
        pair.seen_by(RIGHT).last().map(|seen| &seen.event),
        Some(&SimEvent::Message(vec![b'x']))
    );
}

#[test]
fn a_program_has_state_that_its_test_can_see() {
    let failed_over = &Cell::new(None);
    let mut net = Net::new(1);
    let [adapter, primary, backup] = [(); 3].map(|()| net.add(options(5.0, 2.0)));
    net.on(adapter, move |context, event| match event {
        SimEvent::Down { .. } => drop(context.connect(backup)),
        SimEvent::Up { peer } if *peer == backup => failed_over.set(Some(context.now())),
        _ => {}
    });
    net.connect(adapter, primary);
    net.at(secs(3.0), Op::Cut { a: adapter, b: primary });
    net.run_until(secs(60.0));
    assert_eq!(failed_over.get(), Some(secs(7.002)));
}

#[test]
fn a_heartbeat_passes_a_long_queue() {
    let left = options(2.0, 10.0);
    let left = left.liveness(left.liveness.mode(Mode::Always)).socket_bytes(1024);
    let mut pair = Pair::new(1, left, options(2.0, 10.0));
    let bandwidth = Some(500);
    pair.set_conditions(Conditions::default().bandwidth(bandwidth));
    let op = Op::Send { from: LEFT, to: RIGHT, size: 500, times: 40, every: Duration::ZERO };
    pair.at(secs(1.0), op);
    let pair = run(pair, 30.0);
    let beats = pair.seen_by(LEFT);
    let beats = beats.filter(|seen| matches!(seen.event, SimEvent::HeartbeatSent { .. })).count();
    assert!(beats > 8, "{beats}");
}

#[test]
fn a_queue_that_fills_and_empties_is_reported_in_turn() {
    let left = options(2.0, 10.0).socket_bytes(1024).queue_bytes(10_000);
    let mut pair = Pair::new(1, left, options(2.0, 10.0));
    pair.set_conditions(Conditions::default().bandwidth(2_000));
    for start in [1.0, 20.0] {
        let op = Op::Send { from: LEFT, to: RIGHT, size: 500, times: 19, every: Duration::ZERO };
        pair.at(secs(start), op);
    }
    let pair = run(pair, 40.0);
    let word = |seen: &Record| match &seen.event {
        SimEvent::Event(event) => Some(event.as_str()).filter(|word| word.starts_with("queue")),
        _ => None,
    };
    let words: Vec<_> = pair.seen_by(LEFT).filter_map(word).collect();
    assert_eq!(words, ["queue-high", "queue-low", "queue-high", "queue-low"]);
}

#[test]
fn what_a_refusal_drops_is_counted_and_not_sent() {
    let mut refused = 0;
    for seed in 0..100 {
        let left = options(0.5, 10.0).socket_bytes(1024);
        let right = options(0.5, 10.0).message_time(MS * 10);
        let mut pair = Pair::new(seed, left, right);
        pair.at(secs(1.9), Op::Corrupt { from: RIGHT, to: LEFT });
        let op = Op::Send { from: LEFT, to: RIGHT, size: 300, times: 80, every: Duration::ZERO };
        pair.at(secs(1.9), op);
        let pair = run(pair, 20.0);
        refused += usize::from(downs(&pair, LEFT).iter().any(|(_, word)| *word == "protocol"));
    }
    assert!(refused > 0, "none of 100 changed bytes broke the protocol");
}
