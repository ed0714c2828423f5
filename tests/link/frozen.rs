//! A process that is really stopped, SIGSTOP and SIGCONT, with a link in it and its peer outside.
//!
//! The stopped process is this test binary again, running [`the_process_that_is_stopped`] alone.
//! These tests take longest, so their module has a name that sorts early.

use std::io::Read;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use peerbeat::link::Link;
use peerbeat::protocol::Native;

use crate::accept::accept;
use crate::mock::{Got, HEARTBEAT, LONG, Mock};
use crate::rig::{assert_soon, ms, notes, options};

/// The variable with the port of the process's peer.
const PORT: &str = "PEERBEAT_STOPPED_PORT";
/// Its heartbeat-time and slack, in milliseconds.
const HEARTBEAT_TIME: u64 = 100;
const SLACK: u64 = 900;
const LIMIT: Duration = Duration::from_millis(HEARTBEAT_TIME + SLACK);

/// The process, killed at the end whatever came.
struct Stopped {
    child: Child,
    mock: Mock,
}

impl Stopped {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "frozen::the_process_that_is_stopped", "--ignored", "--nocapture"])
            .env(PORT, listener.local_addr().unwrap().port().to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mock = Mock::over(accept(&listener));
        Self { child, mock }
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let status = Command::new("sh").args(["-c", "kill -$0 $1", name, &pid]).status().unwrap();
        assert!(status.success(), "kill -{name} {pid}");
    }

    /// Stops the process for three limits and lets it go on; the instant before it did.
    fn stop_for_three_limits(&self) -> Instant {
        self.signal("STOP");
        thread::sleep(LIMIT * 3);
        let before = Instant::now();
        self.signal("CONT");
        before
    }

    /// What the process said when its link had ended.
    fn words(mut self) -> String {
        let mut words = String::new();
        self.child.stdout.take().unwrap().read_to_string(&mut words).unwrap();
        words
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }
}

#[test]
#[ignore = "run by the tests below, in a process that they stop"]
fn the_process_that_is_stopped() {
    let Ok(port) = std::env::var(PORT) else { return };
    let port: u16 = port.parse().unwrap();
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let (notes, _log) = notes(|_, _| {});
    let options = options(HEARTBEAT_TIME, SLACK);
    let link = Link::start_with(stream, Native::default(), &options, notes).unwrap();
    let down = link.wait_down(LONG * 6).expect("the test ends the link");
    let stats = link.stats();
    println!("down {} after {} stalls", down.reason.as_str(), stats.stalls);
    println!("{} silences were late", stats.peer_late);
}

// lessons 11, 12, 31, 33
#[test]
fn a_process_that_was_stopped_for_three_limits_blames_no_living_peer_and_sends_no_burst() {
    let mut stopped = Stopped::start();
    let beating = stopped.mock.beat(HEARTBEAT_TIME as u32, ms(HEARTBEAT_TIME));
    let mut frames = stopped.mock.listen(LIMIT / 2);
    stopped.stop_for_three_limits();
    frames.extend(stopped.mock.listen(LIMIT * 2));
    assert!(matches!(stopped.mock.next(LONG), Got::Frame(_)), "the link has ended");
    assert!(frames.iter().all(|frame| frame.kind == HEARTBEAT), "{frames:?}");
    let sent: Vec<u64> = frames.iter().map(|frame| frame.timing()[0]).collect();
    let gaps: Vec<u64> = sent.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let stop = gaps.iter().position(|gap| *gap > 2_000_000).expect("it was stopped");
    // The announcement that followed at once is no beat of an interval.
    let beats = &gaps[stop + 1..];
    assert!(beats.iter().all(|gap| *gap >= HEARTBEAT_TIME * 1000), "a burst: {gaps:?}");
    assert!(beats.len() >= 5, "it does not beat any more: {gaps:?}");
    drop(beating);
    stopped.mock.finish();
    let words = stopped.words();
    assert!(words.contains("down eof after "), "{words}");
    assert!(!words.contains("after 0 stalls"), "{words}");
}

#[test]
fn a_process_that_was_stopped_calls_no_living_peer_late() {
    // A machine that is busy may hold up the peer as well, until its link has ended even, but not
    // each time.
    let mut seen = Vec::new();
    for _ in 0..5 {
        let mut stopped = Stopped::start();
        let beating = stopped.mock.beat(HEARTBEAT_TIME as u32, ms(HEARTBEAT_TIME));
        stopped.mock.listen(LIMIT / 2);
        stopped.stop_for_three_limits();
        stopped.mock.listen(LIMIT / 2);
        drop(beating);
        let _ended = stopped.mock.stream.shutdown(Shutdown::Write);
        let words = stopped.words();
        let was_stopped = words.contains("down eof after ") && !words.contains("after 0 stalls");
        if was_stopped && words.contains("\n0 silences were late") {
            return;
        }
        seen.push(words);
    }
    panic!("late each time: {seen:?}");
}

// lesson 33
#[test]
fn a_process_that_was_stopped_finds_a_dead_peer_dead_after_one_slack() {
    // The grace is given once a silence: if the machine holds the process up as well, a try proves
    // nothing.
    let tries = (0..5).find_map(|_| end_after_a_stop());
    let (resumed, ended, words) = tries.expect("one of five silences with no stall but ours");
    let after = ended - resumed;
    assert!(after >= ms(SLACK), "blamed {after:?} after it went on: {words}");
    assert_soon(resumed + ms(SLACK), ended, "the verdict");
}

/// Stops a process whose peer says nothing more: when it went on, when it called the peer dead, and
/// what it said; `None` if it was stalled more than once.
fn end_after_a_stop() -> Option<(Instant, Instant, String)> {
    let mut stopped = Stopped::start();
    let beating = stopped.mock.beat(HEARTBEAT_TIME as u32, ms(HEARTBEAT_TIME));
    stopped.mock.listen(LIMIT / 2);
    drop(beating);
    let resumed = stopped.stop_for_three_limits();
    let (_, end) = stopped.mock.rest();
    let ended = Instant::now();
    assert_eq!(end, Got::Eof);
    let words = stopped.words();
    assert!(words.contains("down silent after "), "{words}");
    words.contains("after 1 stalls").then_some((resumed, ended, words))
}
