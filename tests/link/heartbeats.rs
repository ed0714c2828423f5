//! What the peer sees and hears of heartbeats: when, with which value, between which frames.

use std::thread;
use std::time::{Duration, Instant};

use peerbeat::link::{Cause, DownReason, Link, LinkEvent, Stream};
use peerbeat::liveness::Mode;
use peerbeat::protocol::Native;

use crate::mock::{DATA, Frame, HEARTBEAT, Mock, heartbeat, tcp_pair, timed_heartbeat};
use crate::pipe::{Pipe, pipe};
use crate::rig::{PASSES, Rig, SOON, assert_soon, fill_narrow, ms, notes, options, wait_for};

/// What was in force, what is now, and who caused it.
type Change = (Option<Duration>, Duration, Cause);

fn change(event: &LinkEvent) -> Option<Change> {
    match event {
        LinkEvent::HeartbeatTime { from, to, cause } => Some((*from, *to, *cause)),
        _ => None,
    }
}

#[test]
fn our_value_is_announced_at_once() {
    // PROTOCOL H1
    let mut rig = Rig::new(&options(60_000, 100));
    let first = rig.mock.frame();
    assert_eq!(first.value_ms(), 60_000);
    assert_soon(rig.before, first.at, "the announcement");
}

#[test]
fn without_a_value_nothing_is_sent() {
    let mut rig = Rig::new(&options(0, 100));
    assert_eq!(rig.mock.listen(ms(300)), []);
    assert_eq!(rig.link.heartbeat_time(), None);
}

#[test]
fn heartbeats_on_an_idle_line_are_never_closer_than_was_promised() {
    // lesson 7
    let mut rig = Rig::new(&options(50, 5000));
    let sent: Vec<_> = (0..10).map(|_| rig.mock.frame().timing()[0]).collect();
    assert_soon(rig.before + ms(450), Instant::now(), "the tenth heartbeat");
    for pair in sent.windows(2) {
        assert!(pair[1] - pair[0] >= 50_000, "{} us apart", pair[1] - pair[0]);
    }
}

#[test]
fn a_heartbeat_counts_from_the_last_byte_and_not_from_a_tick() {
    // lesson 9: a check every 2 s finds such a message young, and is late by as much
    let mut rig = Rig::new(&options(2000, 60_000));
    let mut gaps = Vec::new();
    assert_eq!(rig.mock.frame().kind, HEARTBEAT);
    for _ in 0..3 {
        thread::sleep(ms(20));
        rig.link.send(b"tick").unwrap();
        let [last, next] = [rig.mock.frame(), rig.mock.frame()];
        assert_eq!((last.kind, next.kind), (DATA, HEARTBEAT));
        gaps.push(next.at - last.at);
    }
    gaps.sort();
    assert!(gaps[1] < ms(3500), "{gaps:?}");
}

#[test]
fn no_heartbeat_while_data_flows() {
    let mut rig = Rig::new(&options(400, 5000));
    rig.mock.frame();
    // On a starved machine this thread itself may pause for longer than the interval.
    let (mut last, mut allowed) = (rig.before, 0);
    for _ in 0..60 {
        let before = Instant::now();
        rig.link.send(b"tick").unwrap();
        allowed += last.elapsed().as_millis() / 350;
        last = before;
        thread::sleep(ms(15));
    }
    let (mut data, mut beats) = (0, 0);
    while data < 60 {
        match rig.mock.frame().kind {
            HEARTBEAT => beats += 1,
            _ => data += 1,
        }
    }
    assert!(beats <= allowed, "{beats} heartbeats, {allowed} pauses");
}

#[test]
fn always_mode_sends_heartbeats_between_data() {
    let mut options = options(50, 5000);
    options.liveness.mode = Mode::Always;
    let mut rig = Rig::new(&options);
    wait_for("heartbeats between data", || {
        rig.link.send(b"tick").unwrap();
        rig.link.stats().heartbeats_sent >= 10
    });
    let mut sent = Vec::new();
    while sent.len() < 10 {
        let frame = rig.mock.frame();
        if frame.kind == HEARTBEAT {
            sent.push(frame.timing()[0]);
        }
    }
    assert!(sent.windows(2).all(|pair| pair[1] - pair[0] >= 50_000), "{sent:?}");
}

#[test]
fn a_smaller_value_is_adopted_announced_and_reported() {
    // PROTOCOL H2; lesson 5
    let mut rig = Rig::new(&options(60_000, 5000));
    assert_eq!(rig.mock.frame().value_ms(), 60_000);
    let said = rig.mock.say(&heartbeat(70));
    let second = rig.mock.frame();
    assert_eq!(second.value_ms(), 70);
    assert_soon(said, second.at, "the announcement of the adopted value");
    assert_eq!(rig.log.event(change).1, (Some(ms(60_000)), ms(70), Cause::Peer));
    assert_eq!(rig.link.heartbeat_time(), Some(ms(70)));
    let [third, fourth] = [rig.mock.frame(), rig.mock.frame()];
    assert!(fourth.timing()[0] - third.timing()[0] >= 70_000);
}

#[test]
fn an_undefined_value_is_adopted_from_the_peer() {
    let mut rig = Rig::new(&options(0, 5000));
    rig.mock.say(&heartbeat(80));
    assert_eq!(rig.mock.frame().value_ms(), 80);
    assert_eq!(rig.log.event(change).1, (None, ms(80), Cause::Peer));
}

#[test]
fn a_greater_value_and_zero_change_nothing() {
    let mut rig = Rig::new(&options(100, 5000));
    rig.mock.say(&[heartbeat(60_000), heartbeat(0)].concat());
    let frames = rig.mock.listen(ms(350));
    assert!(frames.iter().all(|frame| frame.value_ms() == 100), "{frames:?}");
    wait_for("reading both", || rig.link.stats().heartbeats_received == 2);
    assert_eq!(rig.log.events(), []);
}

#[test]
fn a_value_under_the_floor_is_raised_and_that_is_reported_once() {
    // lesson 1
    let mut options = options(60_000, 5000);
    options.liveness.heartbeat_time_min = ms(120);
    let mut rig = Rig::new(&options);
    rig.mock.say(&[heartbeat(1), heartbeat(1), heartbeat(2)].concat());
    let mut frames = Vec::new();
    while frames.iter().filter(|value| **value == 120).count() < 4 {
        frames.push(rig.mock.frame().value_ms());
    }
    let may_be = rig.before.elapsed().as_millis() / 120 + 3;
    assert!(frames.len() as u128 <= may_be, "{frames:?}, may be {may_be}");
    let clamped = LinkEvent::Clamped { asked: ms(1), floor: ms(120) };
    let events = rig.log.events();
    assert_eq!(events.iter().filter(|event| **event == clamped).count(), 1);
    assert_eq!(events.len(), 2, "{events:?}");
}

#[test]
fn a_flood_of_heartbeats_is_reported_once_and_kills_no_link() {
    // lesson 7
    let rig = Rig::new(&options(60_000, 5000));
    for _ in 0..3 {
        rig.mock.say(&heartbeat(60_000).repeat(5000));
    }
    wait_for("reading the flood", || rig.link.stats().heartbeats_received == 15_000);
    let floods = rig.log.events().into_iter().filter(|event| *event == LinkEvent::Flooding);
    assert_eq!(floods.count(), 1);
    assert!(rig.link.is_up());
}

#[test]
fn a_peer_that_lowers_its_value_every_time_is_not_answered_every_time() {
    // lesson 1
    let mut options = options(0, 5000);
    options.liveness.heartbeat_time_min = ms(100);
    let mut rig = Rig::new(&options);
    for value in (0..400).rev() {
        rig.mock.say(&heartbeat(10_000 + value));
        thread::sleep(ms(1));
    }
    let mut answers = vec![rig.mock.frame()];
    while answers.last().unwrap().value_ms() != 10_000 {
        answers.push(rig.mock.frame());
    }
    // The first value of all goes out at once, and so does the first that replaces it.
    let sent: Vec<_> = answers.iter().skip(1).map(|frame| frame.timing()[0]).collect();
    assert!(sent.windows(2).all(|pair| pair[1] - pair[0] >= 100_000), "{sent:?}");
}

#[test]
fn values_that_a_peer_lowers_without_end_are_reported_at_a_bounded_rate() {
    // lesson 72
    let rig = Rig::new(&options(60_000, 5000));
    let begun = Instant::now();
    let flood: Vec<u8> = (59_000..60_000).rev().flat_map(heartbeat).collect();
    rig.mock.say(&flood);
    let (mut changes, mut in_force) = (0, ms(60_000));
    while in_force > ms(59_000) {
        let (at, (from, to, cause)) = rig.log.event(change);
        assert_eq!((from, cause), (Some(in_force), Cause::Peer), "nothing is left out");
        (changes, in_force) = (changes + 1, to);
        assert!(changes <= 11 + at.duration_since(begun).as_secs(), "{changes} changes");
    }
    assert!(changes > 10, "as they come at first, but {changes}");
}

#[test]
fn a_busy_sender_keeps_a_silent_receiver_that_has_no_value() {
    // PROTOCOL H1: without the announcement the receiver would never send, and die of it
    let (one, two) = tcp_pair();
    let (busy_notes, busy_log) = notes(|_, _| {});
    let busy = Link::start_with(one, Native::default(), &options(100, 3000), busy_notes).unwrap();
    let (quiet_notes, _log) = notes(|_, _| {});
    let quiet = Link::start_with(two, Native::default(), &options(0, 3000), quiet_notes).unwrap();
    let began = Instant::now();
    while began.elapsed() < ms(3400) {
        busy.send(&[7; 100]).unwrap();
        thread::sleep(ms(5));
    }
    assert!(busy.is_up() && quiet.is_up());
    assert_eq!(quiet.heartbeat_time(), Some(ms(100)));
    assert!(!busy_log.events().iter().any(|event| matches!(event, LinkEvent::Late { .. })));
}

/// The place of the first heartbeat with a value in a stream of frames: bytes before it, and the
/// data frames after it.
fn place(bytes: &[u8], value_ms: u32) -> (usize, usize) {
    let (mut at, mut found) = (0, None);
    let mut after = 0;
    while at < bytes.len() {
        let length = u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
        let body = &bytes[at + 4..at + 4 + length];
        match body[0] {
            HEARTBEAT if body[1..5] == value_ms.to_be_bytes() => {
                found = found.or(Some(at));
            }
            HEARTBEAT => {}
            DATA => {
                assert_eq!(length, 101);
                after += usize::from(found.is_some());
            }
            other => assert_eq!((other, at + 4 + length), (4, bytes.len()), "BYE comes last"),
        }
        at += 4 + length;
    }
    (found.expect("the value is announced"), after)
}

#[test]
fn an_announcement_goes_out_at_the_next_edge_of_a_batch_under_way() {
    // PROTOCOL H1, H6; lessons 16, 22. The pipe takes 10 bytes, then only what is read from it.
    let (ours, theirs) = pipe(10);
    let (notes, log) = notes(|_, _| {});
    let mut options = options(60_000, 60_000);
    options.close_timeout = Duration::from_secs(5);
    let link = Link::start_with(ours, Native::default(), &options, notes).unwrap();
    for place in 0..200u8 {
        link.try_send(&[place; 100]).unwrap();
    }
    // Get into the middle of a frame of the batch.
    let mut taken = Vec::new();
    let mut piece = [0; 1];
    while taken.len() < 1234 {
        Stream::read(&theirs, &mut piece).unwrap();
        taken.push(piece[0]);
    }
    Stream::write(&theirs, &heartbeat(5000)).unwrap();
    log.event(change);
    while taken.len() < 2000 {
        Stream::read(&theirs, &mut piece).unwrap();
        taken.push(piece[0]);
    }
    link.close();
    taken.extend(theirs.read_all());
    let (at, after) = place(&taken, 5000);
    // What the pipe held, the write under way, the rest of its frame, one frame more.
    assert!(at <= 1234 + 10 + 10 + 2 * 105, "announced after {at} bytes");
    assert!(after >= 180, "{after} frames after the announcement");
}

#[test]
fn an_announcement_gets_between_the_writes_of_a_thread_that_never_rests() {
    let (ours, theirs) = pipe(1 << 20);
    ours.slow_writes(ms(2));
    let link = Link::start_with(ours, Native::default(), &options(0, 500), |_: &_, _: &_| ());
    let link = link.unwrap();
    let receives = thread::spawn(move || theirs.read_all());
    let sending = link.clone();
    let sends = thread::spawn(move || while sending.send(b"tick").is_ok() {});
    thread::sleep(ms(100));
    let began = Instant::now();
    let _in_force = link.set_heartbeat_time(ms(30_000)).unwrap();
    wait_for("the announcement", || link.stats().heartbeats_sent == 1);
    let took = began.elapsed();
    link.close();
    sends.join().unwrap();
    drop(receives.join().unwrap());
    assert!(took < SOON, "it took {took:?}");
}

#[test]
fn an_announcement_overtakes_what_is_queued() {
    // PROTOCOL H6: the stream is full of data, the queue too, and the peer begins to read
    let (mut rig, door) = Rig::narrow(&options(60_000, 60_000));
    let sent = fill_narrow(&rig.link, 10_000);
    rig.mock.say(&heartbeat(30_000));
    rig.log.event(change);
    door.open_when(|| true, 50_000);
    let mut before = 0;
    let mut frames: Vec<Frame> = Vec::new();
    while frames.last().is_none_or(|frame| frame.payload[..4] != 30_000u32.to_be_bytes()) {
        frames.push(rig.mock.frame());
        before += frames.last().unwrap().payload.len() + 5;
    }
    assert!(frames.len() < sent.len() - 100, "{} of {} frames", frames.len(), sent.len());
    // The write under way at the announcement may take more once there is room: what one write
    // takes, and the rest of a frame.
    assert!(before <= PASSES + 50_000 + 10_005 + 33, "{before} bytes, {PASSES} were out");
}

#[test]
fn an_announcement_has_its_turn_between_direct_writes() {
    // PROTOCOL H1: a thread that writes nearly always must not keep the sender from its turn
    let mut took = Vec::new();
    for _ in 0..9 {
        let (ours, theirs) = pipe(1 << 24);
        ours.slow_writes(ms(4));
        let (notes, _log) = notes(|_, _| {});
        let options = options(60_000, 60_000).queue_bytes(50_000);
        let link = Link::start_with(ours, Native::default(), &options, notes).unwrap();
        read_beat(&theirs, 60_000);
        thread::sleep(ms(30));
        let sender = link.clone();
        let sends = thread::spawn(move || while sender.send(&[0; 20_000]).is_ok() {});
        thread::sleep(ms(20));
        let said = Instant::now();
        Stream::write(&theirs, &heartbeat(5000)).unwrap();
        read_beat(&theirs, 5000);
        took.push(said.elapsed());
        link.end(DownReason::Replaced, None);
        sends.join().unwrap();
    }
    // Not the worst of them: that is the machine's. A sender that is not let in waits for seconds.
    took.sort();
    assert!(took[4] < ms(1500), "announcements took {took:?}");
}

/// Reads until a heartbeat with this value.
fn read_beat(stream: &Pipe, value_ms: u32) {
    let mut bytes = vec![0; 1 << 20];
    let value = value_ms.to_be_bytes();
    loop {
        let count = Stream::read(stream, &mut bytes).unwrap();
        if bytes[..count].windows(9).any(|it| it[4] == HEARTBEAT && it[5..] == value) {
            return;
        }
    }
}

#[test]
fn the_round_trip_is_what_the_echo_fields_say() {
    let mut rig = Rig::new(&options(60_000, 5000));
    let first = rig.mock.frame();
    let [sent, echo, age] = first.timing();
    assert_eq!((echo, age), (0, 0), "nothing to echo yet");
    thread::sleep(ms(60));
    let held = first.at.elapsed().as_micros() as u64;
    rig.mock.say(&timed_heartbeat(50_000, [777_000, sent, held]));
    let second = rig.mock.frame();
    let [_, echo, age] = second.timing();
    assert_eq!(echo, 777_000);
    assert!(age < 2_000_000, "an echo {age} us old, sent at once");
    let round_trip = rig.link.stats().round_trip.expect("measured");
    assert!(round_trip < rig.before.elapsed() - ms(60), "{round_trip:?}");
}

#[test]
fn an_echo_that_cannot_be_ours_is_no_round_trip() {
    let mut rig = Rig::new(&options(60_000, 5000));
    rig.mock.frame();
    for timing in [[1, u64::MAX, 0], [1, 1, u64::MAX], [0, 0, 0], [u64::MAX; 3]] {
        rig.mock.say(&timed_heartbeat(60_000, timing));
    }
    wait_for("the heartbeats", || rig.link.stats().heartbeats_received == 4);
    assert_eq!(rig.link.stats().round_trip, None);
    assert!(rig.link.is_up());
}

#[test]
#[cfg(target_os = "linux")]
fn a_quiet_link_wakes_up_a_few_times_an_interval() {
    // lesson 13
    if !crate::alone::alone("heartbeats::a_quiet_link_wakes_up_a_few_times_an_interval") {
        return;
    }
    let mut options = options(50, 400);
    options.name = "quiet".to_owned();
    let rig = Rig::new(&options);
    let beating = rig.mock.beat(50, ms(50));
    thread::sleep(ms(300));
    let before = wakeups("quiet");
    thread::sleep(ms(1000));
    let woken = wakeups("quiet") - before;
    drop(beating);
    // 20 intervals, two threads: each at most three times an interval.
    assert!(woken <= 20 * 6, "{woken} wake-ups in 20 intervals");
    assert!(woken >= 20, "{woken} wake-ups: this counts something else");
}

/// Voluntary context switches of the two threads of the link of this name.
#[cfg(target_os = "linux")]
fn wakeups(name: &str) -> u64 {
    let mut sum = 0;
    for task in std::fs::read_dir("/proc/self/task").unwrap() {
        let path = task.unwrap().path();
        let thread_name = std::fs::read_to_string(path.join("comm")).unwrap();
        if thread_name.starts_with("pb-") && thread_name.trim_end().ends_with(name) {
            let status = std::fs::read_to_string(path.join("status")).unwrap();
            let line = status.lines().find(|line| line.starts_with("voluntary")).unwrap();
            sum += line.split_whitespace().last().unwrap().parse::<u64>().unwrap();
        }
    }
    sum
}

/// A mock never speaks of its own accord: a guard for the tests above.
#[test]
fn the_mock_writes_what_protocol_says() {
    let (_, mock) = Mock::pair();
    assert_eq!(mock.held(), 0);
    assert_eq!(heartbeat(5000), [0, 0, 0, 5, 2, 0, 0, 0x13, 0x88]);
}
