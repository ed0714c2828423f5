//! The STOMP adapter of tests/examples against a real RabbitMQ.
//!
//! One broker: links that are idle and busy for some heartbeat times, one whose heartbeats we stop
//! until the broker cuts it, and at the end the broker is frozen.

use std::io::Write;
use std::net::TcpStream;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use peerbeat::link::{Down, DownReason, Faults, Link, LinkEvent, LinkHandler, LinkOptions};
use peerbeat::liveness::FixedIntervals;

use crate::broker::Broker;
use crate::examples::stomp::greeting::Greeted;
use crate::examples::stomp::{Stomp, frame};

/// RabbitMQ rounds to whole seconds, so there is no shorter one.
const BEAT: Duration = Duration::from_secs(1);
const SLACK: Duration = Duration::from_millis(1500);
const LIMIT: Duration = Duration::from_millis(2500);

type StompLink = Link<TcpStream, Stomp>;

enum Seen {
    Message(Vec<u8>),
    Event(LinkEvent),
    Down(Down, Instant),
}

struct Recorder(Sender<Seen>);

impl LinkHandler<TcpStream, Stomp> for Recorder {
    fn on_message(&mut self, _: &StompLink, frame: &[u8]) {
        let _test_is_over = self.0.send(Seen::Message(frame.to_vec()));
    }

    fn on_event(&mut self, _: &StompLink, event: &LinkEvent) {
        if let LinkEvent::Down(down) = event {
            let _test_is_over = self.0.send(Seen::Down(down.clone(), Instant::now()));
            return;
        }
        let _test_is_over = self.0.send(Seen::Event(event.clone()));
    }
}

fn start(session: Greeted<FixedIntervals>, faults: Option<Faults>) -> (StompLink, Receiver<Seen>) {
    let (to, seens) = channel();
    let mut options = LinkOptions::default().faults(faults);
    options.liveness.given = Some(session.answer);
    options.liveness.slack = SLACK;
    let Greeted { stream, received, .. } = session;
    options.received = received;
    let link = Link::start_with(stream, Stomp, &options, Recorder(to)).unwrap();
    (link, seens)
}

/// What a link said until it went down, and when that was.
fn until_down(seens: &Receiver<Seen>, deadline: Duration) -> (Vec<Seen>, Down, Instant) {
    let (mut before, until) = (Vec::new(), Instant::now() + deadline);
    loop {
        match seens.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(Seen::Down(down, at)) => return (before, down, at),
            Ok(seen) => before.push(seen),
            Err(RecvTimeoutError::Timeout) => panic!("not down within {deadline:?}"),
            Err(RecvTimeoutError::Disconnected) => {
                panic!("the handler is gone without LinkEvent::Down")
            }
        }
    }
}

/// Past the capture of the test harness: what was skipped must not pass for tested.
fn loudly(text: &str) {
    let _nobody_reads = writeln!(std::io::stderr(), "{text}");
}

#[test]
fn a_session_with_rabbitmq_holds_is_cut_and_notices_a_freeze() {
    hold_be_cut_and_notice_a_freeze(3);
}

#[test]
#[ignore = "takes a minute: heartbeats of RabbitMQ come in whole seconds"]
fn a_session_with_rabbitmq_holds_for_a_minute() {
    hold_be_cut_and_notice_a_freeze(60);
}

fn hold_be_cut_and_notice_a_freeze(beats: u32) {
    let Some(broker) = Broker::start() else {
        loudly("SKIPPED: no RabbitMQ here (Debian: apt-get install rabbitmq-server)");
        return;
    };
    let began = Instant::now();
    let log =
        |text: String| loudly(&format!("rabbitmq {:7.3}: {text}", began.elapsed().as_secs_f64()));
    let session = || broker.session(BEAT);
    let first = session();
    log(format!("three sessions with {:?}", first.answer));
    assert_eq!(first.answer.expect, Some(BEAT));
    let (idle, idle_seens) = start(first, None);
    let (busy, busy_seens) = start(session(), None);
    let faults = Faults::default();
    let (mute, mute_seens) = start(session(), Some(faults.clone()));

    let busy_sends = thread::spawn({
        let busy = busy.clone();
        move || chatter(&busy, began + beats * BEAT)
    });
    thread::sleep(BEAT);
    assert!(mute.is_up());
    let held_at = Instant::now();
    faults.hold_heartbeats(true);
    log("one of them sends no heartbeats from now on".to_owned());
    let (_, down, at) = until_down(&mute_seens, 10 * BEAT);
    log(format!("the broker cut it after {:.3?}: {down}", at - held_at));
    assert!(
        matches!(down.reason, DownReason::Eof | DownReason::Closed { .. } | DownReason::Io { .. }),
        "cut by the broker, not by us: {down:?}"
    );

    let sent = busy_sends.join().unwrap();
    assert!(idle.is_up() && busy.is_up(), "idle {:?}, busy {:?}", idle.down(), busy.down());
    let (of_idle, of_busy) = (idle.stats(), busy.stats());
    log(format!("idle for {beats} heartbeat times: {of_idle:?}"));
    log(format!("busy for {beats} heartbeat times, {sent} messages: {of_busy:?}"));
    let beats = u64::from(beats);
    assert!(of_idle.heartbeats_sent >= beats, "one every 750 ms");
    assert!(of_busy.heartbeats_sent <= beats / 2 + 1, "messages replace heartbeats");

    broker.signal("STOP");
    let frozen_at = Instant::now();
    log("the broker is frozen".to_owned());
    for (name, seens) in [("idle", &idle_seens), ("busy", &busy_seens)] {
        let (before, down, at) = until_down(seens, 4 * LIMIT);
        log(format!(
            "{name}: {down} {:.3?} after that, silence {:?}",
            at - frozen_at,
            down.silence
        ));
        assert_eq!(down.reason, DownReason::Silent);
        assert!(down.silence >= LIMIT && down.limit == Some(LIMIT), "{down:?}");
        let count = |wanted: fn(&Seen) -> bool| before.iter().filter(|seen| wanted(seen)).count();
        let late = count(|seen| matches!(seen, Seen::Event(LinkEvent::Late { .. })));
        assert!(late >= 1, "late before the end");
        if name == "busy" {
            let back = count(|seen| matches!(seen, Seen::Message(m) if m.starts_with(b"MESSAGE")));
            assert_eq!(back, sent, "every message came back");
        }
    }
}

/// Subscribes to a topic and sends to it until `until`; returns how many messages.
fn chatter(link: &StompLink, until: Instant) -> usize {
    let topic = [("id", "0"), ("destination", "/topic/peerbeat")];
    link.send(&frame("SUBSCRIBE", &topic, b"")).unwrap();
    // What is sent before the broker has made the subscription is lost.
    thread::sleep(BEAT);
    let mut sent = 0;
    while Instant::now() < until {
        link.send(&frame("SEND", &topic[1..], format!("tick {sent}").as_bytes())).unwrap();
        sent += 1;
        thread::sleep(BEAT / 10);
    }
    thread::sleep(BEAT / 2);
    sent
}
