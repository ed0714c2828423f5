//! `demo`: two nodes, a cable between them that is pulled, and the promises, measured.
//!
//! Measurements are taken from outside: the cable notes when it delivered the last byte to an end,
//! and the time of the verdict is taken when the node reports it. Every step has a deadline; a
//! broken promise is named on stderr and makes the exit code 1.

mod promise;
mod reports;
mod stage;
mod watch;

use std::fmt::Display;
use std::fs::{self, OpenOptions};
use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use peerbeat::cable::Cable;
use peerbeat::config::{Config, ConfigOptions};
use peerbeat::link::DownReason;
use peerbeat::node::{Node, NodeEvent};
use peerbeat::text::{Count, Measured, Seconds};

use crate::args::{DemoOptions, PictureOptions};
use crate::output::{self, complain};
use crate::text::{COLUMNS, Escaped, wrapped};
use crate::{FAILED, picture};
use promise::Promises;
use reports::{
    at_of, each, gaps_after, is_down, is_late, is_up, learnt, messages, reason, silence,
};
use stage::{Side, Stage};
use watch::{Kind, Passed, Watch};

/// Runs the story.
pub(crate) fn demo(options: &DemoOptions) -> ExitCode {
    if let Some(file) = &options.picture {
        // Before the story: a path that cannot be written must not cost ten seconds.
        if let Err(error) = OpenOptions::new().append(true).create(true).open(file) {
            return refuse(file, &error);
        }
    }
    if let Err(error) = watch_over() {
        complain(&format_args!("peerbeat demo: no thread: {error}"));
        return ExitCode::from(FAILED);
    }
    let mut stage = Stage::new(options.picture.is_some());
    let mut promises = Promises::default();
    let outcome = prepare(&mut stage).and_then(|play| play.run(&mut stage, &mut promises));
    if !stage.has_reader() {
        return output::exit_code(stage.into_written(), ExitCode::from(FAILED));
    }
    promises.show(&mut stage);
    let done = match outcome {
        Ok(()) if promises.are_held() => ExitCode::SUCCESS,
        Ok(()) => ExitCode::from(FAILED),
        Err(problem) => {
            complain(&format_args!("peerbeat demo: stopped early: {problem}"));
            ExitCode::from(FAILED)
        }
    };
    let line = format!("\n{} It took {}.", promises.summary(), Measured(stage.elapsed()));
    stage.say(&wrapped(&line, COLUMNS, 0));
    if let Some(file) = &options.picture {
        let drawn = picture::draw(&*stage.journal(), &PictureOptions::default());
        let written = drawn.and_then(|svg| fs::write(file, svg).map_err(|e| e.to_string()));
        if let Err(problem) = written {
            return refuse(file, &problem);
        }
    }
    output::exit_code(stage.into_written(), done)
}

fn refuse(picture: &Path, problem: &dyn Display) -> ExitCode {
    complain(&format_args!("peerbeat demo: {}: {problem}", Escaped(&picture.to_string_lossy())));
    ExitCode::from(FAILED)
}

/// Ends the process if the demo does not end: every wait has its deadline, but a call into a broken
/// library has none.
fn watch_over() -> io::Result<()> {
    let watch = || {
        thread::sleep(RUN_MAX);
        complain(&format_args!("BROKEN PROMISE: the demo did not end within {}", Seconds(RUN_MAX)));
        std::process::exit(FAILED.into());
    };
    thread::Builder::new().name("watch".to_owned()).spawn(watch).map(drop)
}

/// The two programs and what is between them.
struct Play {
    feed: Node,
    hub: Node,
    cable: Cable,
    watch: Watch,
    started: Instant,
}

fn prepare(stage: &mut Stage) -> Result<Play, String> {
    introduce(stage);
    let hub = start(stage, Side::Hub, HUB, Vec::new())?;
    let addr = *hub.local_addrs().first().ok_or("the hub listens nowhere")?;
    let watch = Watch::default();
    let cable = watch.lay(addr).map_err(|error| format!("no cable: {error}"))?;
    stage.head("1  Connect");
    stage.tell_now("demo", "both programs start; the cable between them is plugged in");
    let started = Instant::now();
    let port = ("CABLE".to_owned(), cable.addr().port().to_string());
    let feed = start(stage, Side::Feed, FEED, vec![port])?;
    Ok(Play { feed, hub, cable, watch, started })
}

fn introduce(stage: &mut Stage) {
    let title = stage.paint("1", "peerbeat demo: two programs, one cable, and measured promises");
    stage.say(&title);
    stage.say(&INTRODUCTION);
    stage.say(&format!("  {:<38}{}", "feed.conf", "hub.conf"));
    let mut hub = HUB.lines();
    for line in FEED.lines() {
        let line = format!("    {line:<38}{}", hub.next().unwrap_or_default());
        stage.say(&line.trim_end());
    }
}

fn start(
    stage: &Stage,
    side: Side,
    text: &str,
    defines: Vec<(String, String)>,
) -> Result<Node, String> {
    let options = ConfigOptions::default().defines(defines);
    let config = Config::parse(text, &options).map_err(|errors| errors.to_string())?;
    stage.start(config, side).map_err(|error| format!("the {} did not start: {error}", side.name()))
}

impl Play {
    fn run(&self, stage: &mut Stage, promises: &mut Promises) -> Result<(), String> {
        self.connect(stage, promises)?;
        let quiet_from = self.send_data(stage, promises)?;
        self.be_idle(stage, promises, quiet_from);
        self.pull(stage, promises)?;
        self.plug(stage, promises)?;
        self.stop(stage, promises)
    }

    fn connect(&self, stage: &mut Stage, promises: &mut Promises) -> Result<(), String> {
        let both = stage.wait(0, CONNECT * 2, |seen| each(seen, is_up).len() == 2);
        let up = each(stage.since(0), is_up).into_iter().max();
        let measured = up.filter(|_| both).map(|at| at - self.started);
        promises.within("feed and hub are connected", CONNECT, measured);
        measured.ok_or("feed and hub did not connect")?;
        self.learn(stage, promises, 0, "the hub takes the feed's heartbeat-time")
    }

    /// The hub takes the heartbeat-time that the feed announces.
    fn learn(
        &self,
        stage: &mut Stage,
        promises: &mut Promises,
        mark: usize,
        what: &str,
    ) -> Result<(), String> {
        stage.wait(mark, CONNECT, |seen| learnt(seen).is_some());
        let value = learnt(stage.since(mark));
        let measured = value.map_or("nothing".to_owned(), |value| Seconds(value).to_string());
        let held = value == Some(HEARTBEAT_TIME);
        promises.add(what, &Seconds(HEARTBEAT_TIME).to_string(), &measured, held);
        value.map(drop).ok_or_else(|| "the hub never learnt the heartbeat-time".to_owned())
    }

    /// Sends data one way, and returns when the last of it passed.
    fn send_data(&self, stage: &mut Stage, promises: &mut Promises) -> Result<Instant, String> {
        stage.head("2  Send data: it is a sign of life itself, no heartbeats are needed");
        self.wait_for_announcements(stage);
        let (mark, from) = (stage.mark(), Instant::now());
        let every = format!("sends a price every {}", Seconds(DATA_EVERY));
        stage.tell_now("feed", &every);
        let mut last = from;
        let mut held_up = 0;
        for number in 0..MESSAGES {
            let now = Instant::now();
            // If this machine held up the demo itself, a heartbeat in between is right.
            held_up += u64::from(now - last >= HEARTBEAT_TIME - CABLE_EARLY_MAX);
            last = now;
            self.send(number)?;
            stage.pass(DATA_EVERY);
        }
        stage.wait(mark, CONNECT, |seen| messages(seen).len() as u64 >= MESSAGES);
        let arrived = messages(stage.since(mark));
        let whole = arrived.iter().copied().eq((0..MESSAGES).map(message));
        let promised = format!("{MESSAGES}, in order");
        let measured = match whole {
            true => promised.clone(),
            false => format!("{}, not so", arrived.len()),
        };
        let passed = self.watch.passed_since(from);
        let beats = |side| {
            let is_beat = |f: &&Passed| f.from == side && f.kind == Kind::Heartbeat && f.at < last;
            passed.iter().filter(is_beat).count() as u64
        };
        let (feed, hub) = (beats(Side::Feed), beats(Side::Hub));
        let line = format!(
            "saw {}, {} of the feed, {hub} of the hub (which has no data)",
            Count(arrived.len() as u64, "price"),
            Count(feed, "heartbeat")
        );
        stage.tell_now("cable", &line);
        promises.add("prices of the feed reach the hub", &promised, &measured, whole);
        let what = "heartbeats of the feed among its prices";
        promises.add(what, "0", &feed.to_string(), feed <= held_up);
        let last_seen = passed.iter().filter(|f| f.kind == Kind::Data).map(|f| f.at).max();
        Ok(last_seen.unwrap_or(last))
    }

    /// Each end announces its value once when it is set; those are not counted.
    fn wait_for_announcements(&self, stage: &mut Stage) {
        let deadline = Instant::now() + CONNECT;
        let announced = |side, passed: &[Passed]| {
            passed.iter().any(|f| f.from == side && f.kind == Kind::Heartbeat)
        };
        while Instant::now() < deadline {
            let passed = self.watch.passed_since(self.started);
            if announced(Side::Feed, &passed) && announced(Side::Hub, &passed) {
                return;
            }
            stage.pass(Duration::from_millis(5));
        }
    }

    fn be_idle(&self, stage: &mut Stage, promises: &mut Promises, quiet_from: Instant) {
        stage.head("3  Go idle: heartbeats take the place of data");
        stage.tell_now("feed", "has nothing more to send");
        let left = (quiet_from + IDLE_FOR).saturating_duration_since(Instant::now());
        stage.pass(left);
        let passed = self.watch.passed_since(self.started);
        for side in [Side::Feed, Side::Hub] {
            let gaps = gaps_after(&passed, side, quiet_from);
            let (shortest, longest) = (gaps.iter().min(), gaps.iter().max());
            let held = gaps.len() >= 2
                && shortest.is_some_and(|gap| *gap >= HEARTBEAT_TIME - CABLE_EARLY_MAX)
                && longest.is_some_and(|gap| *gap <= HEARTBEAT_TIME + promise::TOLERANCE);
            let shown: Vec<String> = gaps.iter().map(|gap| Measured(*gap).to_string()).collect();
            let line = match shown.is_empty() {
                true => format!("saw no heartbeat of the {}", side.name()),
                false => {
                    format!("saw heartbeats of the {} after {}", side.name(), shown.join(", "))
                }
            };
            stage.tell_now("cable", &line);
            let what = format!("an idle {} sends a heartbeat", side.name());
            let measured = longest.map_or("never".to_owned(), |gap| Measured(*gap).to_string());
            let promised = format!("every {}", Seconds(HEARTBEAT_TIME));
            promises.add(&what, &promised, &measured, held);
        }
    }

    fn pull(&self, stage: &mut Stage, promises: &mut Promises) -> Result<(), String> {
        stage.head("4  Pull the cable: bytes vanish, nothing is closed, the system says nothing");
        let mark = stage.mark();
        self.cable.pull();
        stage.tell_now("cable", "PULLED");
        stage.wait(mark, LIMIT * 2, |seen| each(seen, is_down).len() == 2);
        for side in [Side::Feed, Side::Hub] {
            let last = self.watch.last_to(side);
            let after = |is: fn(&NodeEvent) -> bool| {
                at_of(stage.since(mark), side, is).zip(last).map(|(at, last)| at - last)
            };
            let (late, mut down) = (after(is_late), after(is_down));
            // The node's own number must not be early either: it knows when the byte was read.
            let own = stage.since(mark).iter().find_map(|seen| silence(seen, side));
            down = own.filter(|own| *own < LIMIT).or(down);
            let reason = stage.since(mark).iter().find_map(|seen| reason(seen, side));
            if let Some(down) = down {
                let line = format!(
                    "measured at the {}: its last byte was {} old, promised was {}",
                    side.name(),
                    Measured(down),
                    Seconds(LIMIT)
                );
                stage.tell_now("demo", &line);
            }
            let name = side.name();
            promises.not_before(
                &format!("the {name} gets a first warning of silence"),
                LATE_AFTER,
                late,
            );
            promises.verdict(&format!("the {name} knows that the other is gone"), LIMIT, down);
            let reason = reason.unwrap_or("none");
            let held = reason == DownReason::Silent.as_str();
            promises.add(&format!("the reason that the {name} reports"), "silent", reason, held);
        }
        // The feed dials on, into the void.
        stage.pass(PULLED_AFTER_DOWN);
        let vanished = Count(self.cable.status().vanished, "byte");
        stage.tell_now("cable", &format!("{vanished} vanished so far, and nothing was closed"));
        match each(stage.since(mark), is_down).len() {
            2 => Ok(()),
            _ => Err("the pulled cable was not noticed at both ends".to_owned()),
        }
    }

    fn plug(&self, stage: &mut Stage, promises: &mut Promises) -> Result<(), String> {
        stage.head("5  Plug it in: they find each other again by themselves");
        let mark = stage.mark();
        let plugged = Instant::now();
        self.cable.plug();
        stage.tell(plugged, "cable", "PLUGGED IN");
        let both = stage.wait(mark, REDIAL_MAX * 2, |seen| each(seen, is_up).len() == 2);
        let up = each(stage.since(mark), is_up).into_iter().max();
        let measured = up.filter(|_| both).map(|at| at - plugged);
        promises.within("feed and hub are connected again", REDIAL_MAX, measured);
        measured.ok_or("feed and hub did not connect again")?;
        self.learn(stage, promises, mark, "the hub learns it again on the new link")?;
        self.send(MESSAGES)?;
        let arrived = stage.wait(mark, CONNECT, |seen| messages(seen) == [message(MESSAGES)]);
        let measured = if arrived { "yes" } else { "no" };
        promises.add("the next price reaches the hub", "yes", measured, arrived);
        stage.tell_now("hub", if arrived { "gets the next price" } else { "gets no price" });
        Ok(())
    }

    fn stop(&self, stage: &mut Stage, promises: &mut Promises) -> Result<(), String> {
        stage.head("6  Stop in order: a goodbye is no alarm");
        let mark = stage.mark();
        let asked = Instant::now();
        self.feed.shutdown();
        stage.tell(asked, "feed", "stops and says goodbye");
        stage.wait(mark, STOP_MAX * 2, |seen| at_of(seen, Side::Hub, is_down).is_some());
        let down = at_of(stage.since(mark), Side::Hub, is_down).map(|at| at - asked);
        promises.within("the hub knows that the feed has stopped", STOP_MAX, down);
        let reason = stage.since(mark).iter().find_map(|seen| reason(seen, Side::Hub));
        let reason = reason.unwrap_or("none");
        promises.add("the reason that the hub reports", "closed", reason, reason == "closed");
        self.hub.shutdown();
        let (ended, all) = channel();
        for node in [self.feed.clone(), self.hub.clone()] {
            let ended = ended.clone();
            let join = move || {
                node.join();
                // The demo may have given up waiting.
                let _ = ended.send(Instant::now());
            };
            thread::Builder::new().spawn(join).map_err(|error| error.to_string())?;
        }
        let mut last = None;
        for _ in 0..2 {
            last = all.recv_timeout(STOP_MAX * 2).ok();
        }
        stage.pass(Duration::ZERO);
        stage.tell_now("demo", "both programs have ended");
        promises.within("all threads of both have ended", STOP_MAX, last.map(|at| at - asked));
        Ok(())
    }

    /// Sends one price from the feed to the hub.
    fn send(&self, number: u64) -> Result<(), String> {
        let hub = self.feed.peer("hub").ok_or("the feed has no peer hub")?;
        hub.try_send(&message(number)).map_err(|error| format!("the feed cannot send: {error}"))
    }
}

/// What the feed sends.
fn message(number: u64) -> Vec<u8> {
    format!("price {number}").into_bytes()
}

const INTRODUCTION: &str = "
The feed sends prices to the hub. It expects to hear from the hub every 1 s
(heartbeat-time), and allows 0.5 s more (slack), so a loss must be known after
1.5 s of silence: not before, and not noticeably later. The hub has no
heartbeat-time of its own; it takes the feed's.
";

/// The feed's configuration. `${CABLE}` is the port of the cable.
const FEED: &str = "\
datasrc-name feed
add-peer
    remote-name hub
    addr 127.0.0.1
    port ${CABLE}
    heartbeat-time 1
    heartbeat-slack-time 0.5
    connect-timeout 0.5
    reconnect-time-min 0.1
    reconnect-time-max 0.5
end-peer";

/// The hub's configuration.
const HUB: &str = "\
datasrc-name hub
datasrc-interface 127.0.0.1
datasrc-port auto
add-peer
    remote-name feed
    heartbeat-time 0
    heartbeat-slack-time 0.5
end-peer";

/// Far longer than the story takes with every wait at its deadline.
const RUN_MAX: Duration = Duration::from_secs(40);
/// As [`FEED`] says.
const HEARTBEAT_TIME: Duration = Duration::from_secs(1);
/// Heartbeat-time and half the slack.
const LATE_AFTER: Duration = Duration::from_millis(1250);
/// Heartbeat-time and slack.
const LIMIT: Duration = Duration::from_millis(1500);
const CONNECT: Duration = Duration::from_secs(2);
/// A dial that was under way fails after connect-timeout, and the next one follows within
/// reconnect-time-max.
const REDIAL_MAX: Duration = Duration::from_secs(1);
/// How long the cable stays out after both ends know.
const PULLED_AFTER_DOWN: Duration = Duration::from_secs(1);
const STOP_MAX: Duration = Duration::from_millis(500);
const MESSAGES: u64 = 12;
const DATA_EVERY: Duration = Duration::from_millis(200);
/// Long enough for three heartbeats of each end.
const IDLE_FOR: Duration = Duration::from_millis(3300);
/// How much sooner the cable may see a frame than it was sent, compared with the frame before it:
/// the cable is a thread of a busy machine too.
const CABLE_EARLY_MAX: Duration = Duration::from_millis(250);
