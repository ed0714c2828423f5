//! `cable`: a proxy between two programs that breaks connections on words from stdin or a script.
//!
//! It only drives the library's [`Cable`]: words come in and observations go out, one a line. The
//! script runs on this thread, which otherwise waits for words.

mod words;

use std::io::{self, BufRead, Read};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use peerbeat::cable::{Cable, CableEvent, CableStatus, Line, Way};

use crate::args::CableOptions;
use crate::json::Object;
use crate::output::{self, Output, complain};
use crate::text::{Count, Escaped, Seconds};
use crate::{FAILED, WRONG_USAGE, clock, signals};
pub(crate) use words::parse_time;
use words::{Action, Step};

/// Lays the cable and obeys until the end.
pub(crate) fn cable(options: &CableOptions) -> ExitCode {
    let (listen, target) = match (address(&options.listen, true), address(&options.target, false)) {
        (Some(listen), Some(target)) => (listen, target),
        (listen, _) => {
            let found = if listen.is_none() { &options.listen } else { &options.target };
            let found = Escaped(found);
            complain(&format_args!("peerbeat cable: found \"{found}\", expected HOST:PORT"));
            return ExitCode::from(WRONG_USAGE);
        }
    };
    let steps = match words::parse_script(&options.script) {
        Ok(steps) => steps,
        Err(complaint) => {
            complain(&format_args!("peerbeat cable: --script: {complaint}"));
            return ExitCode::from(WRONG_USAGE);
        }
    };
    signals::catch();
    match start(options, &listen, &target) {
        Ok(desk) => {
            desk.work(steps);
            output::exit_code(desk.report.output.finish(), ExitCode::SUCCESS)
        }
        Err(complaint) => {
            complain(&format_args!("peerbeat cable: {complaint}"));
            ExitCode::from(FAILED)
        }
    }
}

/// `:25001` is every address of this machine, `25001` its loopback; a target needs a host.
fn address(text: &str, listens: bool) -> Option<String> {
    let is_port = |port: &str| port.parse::<u16>().is_ok_and(|port| listens || port > 0);
    match text.rsplit_once(':') {
        None if is_port(text) => Some(format!("127.0.0.1:{text}")),
        Some(("", port)) if is_port(port) && listens => Some(format!("0.0.0.0:{port}")),
        Some((host, port)) if is_port(port) && !host.is_empty() => Some(text.to_owned()),
        _ => None,
    }
}

fn start(options: &CableOptions, listen: &str, target: &str) -> Result<Desk, String> {
    let json = options.json;
    let output = Output::start(move |lines| match json {
        true => record("lost").number("lines", lines).finish(),
        false => format!("-- {} lost: stdout did not take them in time", Count(lines, "line")),
    });
    let output = output.map_err(|error| format!("stdout: {error}"))?;
    let report = Arc::new(Report { output, json });
    let tapped = Arc::clone(&report);
    let cable = Cable::tapped(listen, target, move |number, event| tapped.event(number, event));
    let cable = cable.map_err(|error| format!("{}: {error}", Escaped(listen)))?;
    let addr = cable.addr();
    report.say(
        || record("listening").string("addr", &addr.to_string()).string("target", target),
        || format!("listening on {addr}, carries to {}", Escaped(target)),
    );
    let desk = Desk {
        cable,
        report,
        until_eof: options.until_eof,
        until: options.duration.and_then(|duration| Instant::now().checked_add(duration)),
        words: read_words(),
    };
    Ok(desk)
}

/// Where commands come from.
struct Desk {
    cable: Cable,
    report: Arc<Report>,
    until_eof: bool,
    until: Option<Instant>,
    words: Receiver<String>,
}

impl Desk {
    fn work(&self, steps: Vec<Step>) {
        let start = Instant::now();
        let mut due: Vec<(Instant, Step)> = Vec::new();
        due.extend(steps.into_iter().filter_map(|step| Some((start.checked_add(step.at)?, step))));
        let mut has_stdin = true;
        while self.report.output.has_reader() && !signals::is_asked() {
            let now = Instant::now();
            if self.until.is_some_and(|until| now >= until) {
                return;
            }
            // In the order of their times, of equal ones in the script's.
            due.sort_by_key(|(at, _)| *at);
            if due.first().is_some_and(|(at, _)| *at <= now) {
                let (at, step) = due.remove(0);
                if let Some(next) = step.every.and_then(|every| at.checked_add(every)) {
                    due.push((next.max(now), step.clone()));
                }
                if !self.act(&step.words, step.action) {
                    return;
                }
                continue;
            }
            let next = due.first().map(|(at, _)| *at).into_iter().chain(self.until).min();
            let wait = next.map_or(SIGNAL_POLL, |next| (next - now).min(SIGNAL_POLL));
            match self.words.recv_timeout(wait) {
                _ if !has_stdin => thread::sleep(wait),
                Ok(words) => {
                    if !self.obey(&words) {
                        return;
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) if self.until_eof => return,
                Err(RecvTimeoutError::Disconnected) => has_stdin = false,
            }
        }
    }

    /// Returns whether to go on.
    fn obey(&self, words: &str) -> bool {
        if words.is_empty() {
            return true;
        }
        match words::parse_action(words) {
            Ok(action) => self.act(words, action),
            Err(complaint) => {
                complain(&format_args!("peerbeat cable: {complaint}"));
                true
            }
        }
    }

    fn act(&self, words: &str, action: Action) -> bool {
        let cable = &self.cable;
        let change = |way: Option<Way>, change: &dyn Fn(&mut Line)| {
            for way in way.map_or(vec![Way::Out, Way::In], |way| vec![way]) {
                cable.change(way, change);
            }
        };
        match action {
            Action::Pull(None) => cable.pull(),
            Action::Pull(way) => change(way, &|line| line.pulled = true),
            Action::Plug => cable.plug(),
            Action::Freeze(way) => change(way, &|line| line.frozen = true),
            Action::Delay(way, by) => change(way, &|line| line.delay = by),
            Action::Slice(way, bytes) => change(way, &|line| line.slice = bytes),
            Action::Rate(way, bytes) => change(way, &|line| line.rate = bytes),
            Action::Reset => cable.reset(),
            Action::Cut => cable.cut(),
            Action::DropNew => cable.drop_new(true),
            Action::Help => {
                self.report.output.say(|| words::HELP.to_owned());
                return true;
            }
            Action::Status => {
                self.report.status(&cable.status());
                return true;
            }
            Action::Quit => return false,
        }
        self.report.say(
            || record("done").string("words", words),
            || format!("{}  {}", time(), Escaped(words)),
        );
        true
    }
}

/// What is printed, in words or in JSON.
struct Report {
    output: Output,
    json: bool,
}

impl Report {
    fn say(&self, json: impl FnOnce() -> Object, text: impl FnOnce() -> String) {
        self.output.say(|| match self.json {
            true => json().finish(),
            false => text(),
        });
    }

    fn event(&self, number: u64, event: CableEvent<'_>) {
        let begin = |word| record(word).number("connection", number);
        match event {
            CableEvent::Opened { from } => self.say(
                || begin("opened").string("from", &from.to_string()),
                || format!("{}  connection {number} from {from}", time()),
            ),
            CableEvent::Failed { error } => self.say(
                || begin("failed").string("detail", &error.to_string()),
                || format!("{}  connection {number} failed: target: {error}", time()),
            ),
            CableEvent::Closed => {
                self.say(|| begin("closed"), || format!("{}  connection {number} closed", time()))
            }
            _ => {}
        }
    }

    fn status(&self, status: &CableStatus) {
        let way = |line: &Line| {
            Object::new()
                .bool("pulled", line.pulled)
                .bool("frozen", line.frozen)
                .ms("delay_ms", line.delay)
                .number("slice_bytes", line.slice as u64)
                .number("rate_bytes", line.rate)
                .finish()
        };
        self.say(
            || {
                record("status")
                    .number("open", status.open as u64)
                    .number("opened", status.opened)
                    .number("dropped", status.dropped)
                    .number("failed", status.failed)
                    .number("passed_out_bytes", status.passed_out)
                    .number("passed_in_bytes", status.passed_in)
                    .number("vanished_bytes", status.vanished)
                    .raw("out", &way(&status.way_out))
                    .raw("in", &way(&status.way_in))
                    .bool("drops_new", status.drops_new)
            },
            || text(status),
        );
    }
}

fn text(status: &CableStatus) -> String {
    let way = |line: &Line| {
        let mut does = Vec::new();
        if line.pulled {
            does.push("pulled".to_owned());
        }
        if line.frozen {
            does.push("frozen".to_owned());
        }
        if !line.delay.is_zero() {
            does.push(format!("delay {}", Seconds(line.delay)));
        }
        if line.slice > 0 {
            does.push(format!("slice {}", line.slice));
        }
        if line.rate > 0 {
            does.push(format!("rate {} a second", Count(line.rate, "byte")));
        }
        if does.is_empty() { "plugged in".to_owned() } else { does.join(", ") }
    };
    format!(
        "out: {}; {}\nin:  {}; {}\n{} open of {}, {} dropped, {} failed; {} vanished{}",
        way(&status.way_out),
        Count(status.passed_out, "byte"),
        way(&status.way_in),
        Count(status.passed_in, "byte"),
        status.open,
        status.opened,
        status.dropped,
        status.failed,
        Count(status.vanished, "byte"),
        if status.drops_new { "; new connections are closed at once" } else { "" },
    )
}

fn record(word: &str) -> Object {
    let at = clock::written(SystemTime::now());
    Object::new().number("v", 1_u64).string("at", &at).string("event", word)
}

/// The time of day.
fn time() -> String {
    clock::written(SystemTime::now())[11..23].to_owned()
}

/// The lines of stdin, their excess cut off.
fn read_words() -> Receiver<String> {
    let (sender, lines) = channel();
    let read = move || {
        loop {
            let mut line = Vec::new();
            match io::stdin().lock().take(LINE_MAX).read_until(b'\n', &mut line) {
                Ok(0) => return,
                Ok(_) => {
                    let line = String::from_utf8_lossy(&line).trim().to_owned();
                    if sender.send(line).is_err() {
                        return;
                    }
                }
                // In the background the terminal cannot be read.
                Err(_) => thread::sleep(STDIN_RETRY),
            }
        }
    };
    // Without a thread there are no words, as with a stdin that is closed.
    let _ = thread::Builder::new().name("stdin".to_owned()).spawn(read);
    lines
}

/// How often signals are looked at.
const SIGNAL_POLL: Duration = Duration::from_millis(100);
const LINE_MAX: u64 = 4096;
const STDIN_RETRY: Duration = Duration::from_secs(1);
