//! Many threads on one link: every frame whole, every thread's frames in order, heartbeats between.

use std::io::ErrorKind;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use peerbeat::link::{Link, LinkOptions, Stream};
use peerbeat::liveness::Mode;
use peerbeat::protocol::Native;
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use crate::mock::{BYE, DATA, Frame, HEARTBEAT, LONG, Mock};
use crate::pipe::{Pipe, pipe};
use crate::rig::{Rig, ms, notes, options};

/// A message of a thread: its name, its place, and bytes that follow from both.
fn message(thread: u8, place: u16, size: usize) -> Vec<u8> {
    let [high, low] = place.to_be_bytes();
    let fill = thread.wrapping_mul(31).wrapping_add(low);
    let mut bytes = vec![fill; size.max(3)];
    bytes[..3].copy_from_slice(&[thread, high, low]);
    bytes
}

/// Returns what is wrong with the frames that the threads' messages of these sizes became.
fn check(frames: &[Frame], sizes: &[Vec<usize>]) -> Result<(), String> {
    let mut next = vec![0usize; sizes.len()];
    for frame in frames.iter().filter(|frame| frame.kind == DATA) {
        let thread = usize::from(frame.payload[0]);
        let place = next[thread];
        let size = *sizes[thread].get(place).ok_or("more than was sent")?;
        if frame.payload != message(thread as u8, place as u16, size) {
            return Err(format!("thread {thread}: not message {place} of {size} bytes"));
        }
        next[thread] += 1;
    }
    match next.iter().zip(sizes).all(|(next, sizes)| *next == sizes.len()) {
        true => Ok(()),
        false => Err(format!("arrived: {next:?}")),
    }
}

/// The clock readings of the heartbeats.
fn beats(frames: &[Frame]) -> Vec<u64> {
    let beats = frames.iter().filter(|frame| frame.kind == HEARTBEAT);
    beats.map(|frame| frame.timing()[0]).collect()
}

/// Lets every thread send its messages, pausing as given before each.
fn send_all<S: Stream>(link: &Link<S>, sizes: &[Vec<usize>], pauses: &[u64]) {
    thread::scope(|scope| {
        for (name, sizes) in sizes.iter().enumerate() {
            scope.spawn(move || {
                for (place, size) in sizes.iter().enumerate() {
                    let pause = pauses[(name + place) % pauses.len()];
                    if pause > 0 {
                        thread::sleep(Duration::from_micros(pause));
                    }
                    let bytes = message(name as u8, place as u16, *size);
                    link.send_timeout(&bytes, LONG * 10).unwrap();
                }
            });
        }
    });
}

/// Sizes without a generator: small, large, and around the edges of the buffers.
fn sizes(threads: usize, each: usize) -> Vec<Vec<usize>> {
    let kinds = [3, 64, 700, 4096, 5, 65_531, 3, 20_000, 65_536, 17, 300_000, 4091];
    let of = |thread: usize| (0..each).map(|i| kinds[(thread * 5 + i * 7) % kinds.len()]).collect();
    (0..threads).map(of).collect()
}

#[test]
fn frames_of_8_threads_stay_whole_and_in_order_between_heartbeats() {
    // lessons 22, 39: the sender is woken all the time, by messages and in a stream by itself
    // every 0.1 to 0.4 ms, and no heartbeat goes out early for it
    let mut options = options(20, 600_000);
    options.liveness.mode = Mode::Always;
    options.queue_bytes = 200_000;
    options.close_timeout = LONG * 10;
    let mut rig = Rig::new(&options);
    let sizes = sizes(8, 150);
    let link = rig.link.clone();
    let sent = sizes.clone();
    let sends = thread::spawn(move || {
        send_all(&link, &sent, &[0, 0, 0, 0, 300, 0, 0, 4000]);
        link.close();
    });
    let (frames, _) = rig.mock.rest();
    sends.join().unwrap();
    check(&frames, &sizes).unwrap();
    let beats = beats(&frames);
    assert!(beats.len() >= 3, "{} heartbeats", beats.len());
    assert!(beats.windows(2).all(|pair| pair[1] - pair[0] >= 20_000), "{beats:?}");
    assert_eq!(frames.last().unwrap().kind, BYE);
}

/// Sends through a pipe of odd capacity, read in odd pieces, and returns what arrived.
fn through_a_pipe(capacity: usize, piece: usize, spoil: impl Fn(&Pipe)) -> Vec<u8> {
    let (ours, theirs) = pipe(capacity);
    spoil(&ours);
    let mut options = options(20, 600_000);
    options.liveness.mode = Mode::Always;
    options.queue_bytes = 3000;
    options.close_timeout = LONG * 10;
    let (notes, _log) = notes(|_, _| {});
    let link = Link::start_with(ours, Native::default(), &options, notes).unwrap();
    let reads = thread::spawn(move || {
        let (mut all, mut buffer) = (Vec::new(), vec![0; piece]);
        loop {
            match theirs.read(&mut buffer) {
                Ok(0) => return all,
                Ok(count) => all.extend_from_slice(&buffer[..count]),
                Err(e) => panic!("{e}"),
            }
        }
    });
    send_all(&link, &PIPED.map(|sizes| sizes.to_vec()), &[0, 0, 200]);
    link.close();
    reads.join().unwrap()
}

const PIPED: [&[usize]; 3] = [&[3, 500, 4, 2000, 3], &[9000, 3, 3, 3, 77], &[128; 40]];

/// Splits bytes into frames, as the mock does.
fn split(mut bytes: &[u8]) -> Vec<Frame> {
    let mut frames = Vec::new();
    while let Some(head) = bytes.first_chunk::<4>() {
        let (body, rest) = bytes[4..].split_at(u32::from_be_bytes(*head) as usize);
        let at = std::time::Instant::now();
        frames.push(Frame { at, kind: body[0], payload: body[1..].to_vec() });
        bytes = rest;
    }
    assert_eq!(bytes, [], "half a frame at the end");
    frames
}

#[test]
fn every_partial_write_goes_on_where_it_stopped() {
    // lesson 23
    for (capacity, piece) in [(1, 1), (7, 3), (64, 64), (1000, 999)] {
        let frames = split(&through_a_pipe(capacity, piece, |_| {}));
        check(&frames, &PIPED.map(|sizes| sizes.to_vec())).unwrap();
        assert_eq!(frames.last().unwrap().kind, BYE);
    }
}

#[test]
fn writes_and_reads_that_end_for_nothing_are_repeated() {
    // lessons 28, 36, 37
    for kind in [ErrorKind::Interrupted, ErrorKind::WouldBlock, ErrorKind::TimedOut] {
        let frames = split(&through_a_pipe(50, 50, |pipe| pipe.hiccup(kind)));
        check(&frames, &PIPED.map(|sizes| sizes.to_vec())).unwrap();
    }
}

#[test]
fn a_stream_of_small_messages_arrives_whole_in_order() {
    // Queued, batched, written by the caller that fills a batch.
    let mut rig = Rig::new(&options(50, 3_600_000));
    let link = rig.link.clone();
    let sends = thread::spawn(move || {
        for place in 0..200_000u32 {
            link.send(&place.to_be_bytes()).unwrap();
        }
    });
    let mut next = 0u32;
    while next < 200_000 {
        let frame = rig.mock.no_heartbeat();
        assert_eq!(frame.payload, next.to_be_bytes());
        next += 1;
    }
    sends.join().unwrap();
    assert_eq!(rig.link.stats().messages_accepted, 200_000);
}

#[test]
fn the_end_of_a_stream_does_not_wait_for_more() {
    // Whatever the adaptive path is doing when the last message comes, that message goes out.
    let mut rig = Rig::new(&options(60_000, 3_600_000));
    rig.mock.frame();
    for round in 0..300u32 {
        for _ in 0..round {
            rig.link.send(&round.to_be_bytes()).unwrap();
        }
        for _ in 0..round {
            assert_eq!(rig.mock.frame().payload, round.to_be_bytes());
        }
    }
}

/// What each thread sends, how it pauses, and the link's options, for any of them.
fn a_run() -> impl Strategy<Value = (Vec<Vec<usize>>, Vec<u64>, bool, usize)> {
    let size = prop_oneof![4 => 3..200usize, 2 => 200..5000usize, 1 => 60_000..70_000usize];
    let of_thread = prop::collection::vec(size, 0..60);
    let pause = prop_oneof![5 => Just(0u64), 2 => 1..200u64, 1 => 1000..15_000u64];
    (
        prop::collection::vec(of_thread, 1..8),
        prop::collection::vec(pause, 1..6),
        any::<bool>(),
        prop_oneof![Just(500usize), Just(50_000), Just(8 << 20)],
    )
}

fn run_once(
    sizes: &[Vec<usize>],
    pauses: &[u64],
    options: &LinkOptions,
    reads_late: bool,
) -> Result<(), TestCaseError> {
    let (stream, mut mock) = Mock::pair();
    let (notes, _log) = notes(|_, _| {});
    let link = Arc::new(Link::start_with(stream, Native::default(), options, notes).unwrap());
    let frames = thread::scope(|scope| {
        let reads = scope.spawn(move || {
            if reads_late {
                thread::sleep(ms(15));
            }
            mock.rest().0
        });
        send_all(&link, sizes, pauses);
        link.close();
        reads.join().unwrap()
    });
    check(&frames, sizes).map_err(TestCaseError::fail)?;
    let beats = beats(&frames);
    let in_force = options.liveness.heartbeat_time.unwrap().as_micros() as u64;
    prop_assert!(beats.windows(2).all(|pair| pair[1] - pair[0] >= in_force), "{beats:?}");
    let down = link.wait_down(LONG).expect("closed");
    prop_assert_eq!((down.unsent_frames, down.unsent_bytes), (0, 0));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 25,
        failure_persistence: None,
        max_shrink_iters: 20,
        ..ProptestConfig::default()
    })]

    // lesson 22
    #[test]
    fn any_threads_sizes_and_pauses_keep_frames_whole_and_heartbeats_apart(
        (sizes, pauses, always, queue_bytes) in a_run(),
        reads_late in any::<bool>(),
    ) {
        let mut options = options(5, 60_000);
        options.liveness.heartbeat_time_min = ms(1);
        options.liveness.mode = if always { Mode::Always } else { Mode::Idle };
        options.queue_bytes = queue_bytes;
        options.close_timeout = LONG * 10;
        run_once(&sizes, &pauses, &options, reads_late)?;
    }
}
