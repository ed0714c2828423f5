//! `probe`: who listens there, and how far away it is.
//!
//! The protocol's probe asks without becoming a peer: no link of the other side is touched. A
//! server that does not answer as peerbeat does is asked again, as HTTP and as TLS, to find out
//! what it is.

mod ask;

use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use crate::args::ProbeOptions;
use crate::json::Object;
use crate::output::{self, Output, complain};
use crate::text::{COLUMNS, Escaped, Seconds, wrapped};
use crate::{FAILED, clock, signals};
use ask::{Answer, Found};

/// Probes as often as it is asked to.
pub(crate) fn probe(options: &ProbeOptions) -> ExitCode {
    signals::catch();
    let output = match Output::start(|lines| format!("-- {lines} lines lost")) {
        Ok(output) => output,
        Err(error) => {
            complain(&format_args!("peerbeat probe: stdout: {error}"));
            return ExitCode::from(FAILED);
        }
    };
    let mut is_peerbeat = true;
    let mut next = Instant::now();
    for number in 0..options.count {
        while number > 0 && Instant::now() < next && !signals::is_asked() {
            thread::sleep(SIGNAL_POLL.min(next.saturating_duration_since(Instant::now())));
        }
        if signals::is_asked() || !output.has_reader() {
            break;
        }
        next = Instant::now() + EVERY;
        let answer = ask::ask(&options.target, options.timeout);
        is_peerbeat &= answer.found.is_peerbeat();
        output.say(|| match options.json {
            true => record(&options.target, &answer),
            false => text(&answer, number == 0 || !answer.found.is_peerbeat()),
        });
    }
    let done = if is_peerbeat { 0 } else { FAILED };
    output::exit_code(output.finish(), ExitCode::from(done))
}

fn record(target: &str, answer: &Answer) -> String {
    let object = Object::new()
        .number("v", 1_u64)
        .string("at", &clock::written(SystemTime::now()))
        .string("target", target)
        .string("result", answer.found.as_str());
    let object = match &answer.addr {
        Some(addr) => object.string("addr", &addr.to_string()),
        None => object.null("addr"),
    };
    let object = object.ms("connect_ms", answer.connect).ms("answer_ms", answer.answer);
    match &answer.found {
        Found::Peerbeat { name, label, id, heartbeat_time, round_trip } => object
            .string("name", name)
            .string("label", label)
            .number("id", *id)
            .number("version", peerbeat::protocol::VERSION)
            .ms("heartbeat_time_ms", *heartbeat_time)
            .ms("round_trip_ms", *round_trip)
            .finish(),
        other => object.string("detail", &other.to_string()).finish(),
    }
}

/// The answer for a person; `is_whole`, or the round trip alone.
fn text(answer: &Answer, is_whole: bool) -> String {
    let mut lines = Vec::new();
    let mut say = |label: &str, text: String| {
        lines.push(wrapped(&format!("{label:<15} {text}"), COLUMNS, 16));
    };
    let millis = |time: Duration| {
        let hundredths = time.as_micros() / 10;
        format!("{}.{:02} ms", hundredths / 100, hundredths % 100)
    };
    if let (Some(connect), Some(addr), true) = (answer.connect, answer.addr, is_whole) {
        say("connect", format!("{}   {addr}", millis(connect)));
    }
    match &answer.found {
        Found::Peerbeat { name, label, id, heartbeat_time, round_trip } => {
            if is_whole {
                let after = answer.answer.map(millis).unwrap_or_default();
                let version = peerbeat::protocol::VERSION;
                say("peerbeat", format!("yes, version {version}; answered after {after}"));
                let mut who = format!("\"{}\"", Escaped(name));
                if !label.is_empty() {
                    who += &format!(", label \"{}\"", Escaped(label));
                }
                if *id != 0 {
                    who += &format!(", id {id}");
                }
                say("name", who);
                let value = heartbeat_time.map_or("none".to_owned(), |t| Seconds(t).to_string());
                say("heartbeat-time", value);
            }
            let trip = round_trip.map_or("not measured".to_owned(), millis);
            say("round trip", trip);
        }
        Found::Refused { .. } => say("peerbeat", format!("yes, but {}", answer.found)),
        other => say("peerbeat", format!("no: {other}")),
    }
    lines.join("\n")
}

/// Between two probes.
const EVERY: Duration = Duration::from_secs(1);
const SIGNAL_POLL: Duration = Duration::from_millis(100);
