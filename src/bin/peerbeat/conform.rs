//! `conform`: tests an implementation of the wire protocol against its rules, one line per check.
//!
//! It acts as a well-behaved peer and as a broken one. Checks run one after the other, each on a
//! new connection. A check is a function from the bench to a failure: what was expected, what
//! arrived, and the bytes.

mod beats;
mod bench;
mod conn;
mod ends;
mod frames;
mod handshake;
mod report;

use std::io;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use crate::{FAILED, output};
use bench::Bench;
use conn::Failure;
use report::{Outcome, Report};

/// How results are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Format {
    #[default]
    Text,
    Tap,
    Json,
}

/// The options of `conform`.
#[derive(Debug, PartialEq)]
pub(crate) struct ConformOptions {
    /// Where it listens; with `listen` where we do.
    pub(crate) addr: String,
    /// The name that we go by: a peer that it knows.
    pub(crate) name: String,
    pub(crate) listen: bool,
    /// Its slack, its floor and its time for a handshake.
    pub(crate) slack: Duration,
    pub(crate) floor: Duration,
    pub(crate) handshake: Duration,
    /// What "at once" may take.
    pub(crate) tolerance: Duration,
    /// How long it may take to dial us again.
    pub(crate) wait: Duration,
    /// Only checks whose rule or name holds this.
    pub(crate) only: Option<String>,
    pub(crate) format: Format,
}

impl Default for ConformOptions {
    fn default() -> Self {
        Self {
            addr: String::new(),
            name: String::new(),
            listen: false,
            slack: Duration::from_secs(2),
            floor: Duration::from_millis(100),
            handshake: Duration::from_secs(10),
            tolerance: Duration::from_secs(1),
            wait: Duration::from_secs(60),
            only: None,
            format: Format::Text,
        }
    }
}

/// One rule, held by one function.
pub(crate) struct Check {
    pub(crate) rule: &'static str,
    pub(crate) name: &'static str,
    run: Run,
}

enum Run {
    Always(fn(&Bench<'_>) -> Result<(), Failure>),
    /// `Some` = it does not apply, and why.
    Perhaps(fn(&Bench<'_>) -> Result<Option<&'static str>, Failure>),
}

const fn check(
    rule: &'static str,
    name: &'static str,
    run: fn(&Bench<'_>) -> Result<(), Failure>,
) -> Check {
    Check { rule, name, run: Run::Always(run) }
}

const CHECKS: &[Check] = &[
    check("S2", "nothing comes before our HELLO is whole", handshake::nothing_before_hello),
    check("S3", "a frame that is no HELLO comes first", handshake::another_frame_first),
    check("S3", "a second HELLO", handshake::second_hello),
    check("S4", "a HELLO that drips", handshake::slow_hello),
    check("S6", "another version", handshake::another_version),
    check("F1", "lengths that cannot be", frames::hostile_lengths),
    check("F2", "types that are not known", frames::unknown_types),
    check("F2", "longer HEARTBEATs", frames::longer_heartbeats),
    check("F3", "payloads that are too short", frames::short_payloads),
    check("F4", "HELLOs that cannot be", handshake::bad_hellos),
    check("F5", "HELLOs without a value, and longer ones", handshake::hello_of_other_lengths),
    check("F", "HELLO in pieces of one byte", handshake::hello_byte_by_byte),
    check("F", "frames cut at every byte", frames::split_anywhere),
    check("F", "many frames in one piece", frames::many_at_once),
    check("F", "DATA of any length", frames::data_of_any_length),
    check("H1", "the value is announced at the start", beats::announced_at_start),
    check("H1", "a new value is announced while data flows", beats::announced_while_busy),
    check("H2", "a smaller value is adopted", beats::adopts_smaller),
    check("H2", "0 changes nothing", |bench| beats::keeps_at(bench, 0)),
    check("H2", "a greater value changes nothing", |bench| beats::keeps_at(bench, u32::MAX)),
    check("H2", "1 ms is raised to the floor", beats::raises_to_the_floor),
    check("H3", "an idle side sends heartbeats in time, and never early", beats::beats_when_idle),
    check("H4", "silence ends the link in time, and never early", beats::silence_kills),
    check("H4", "part of a frame is life", beats::parts_are_life),
    check("H5", "a silent side is left without BYE", beats::death_is_abrupt),
    check("H5", "BYE ends the link", ends::closes_after_bye),
    check("H5", "the end of the stream ends the link", ends::closes_after_eof),
    check("H5", "data, BYE and the end in one go are read", ends::closes_while_data_flows),
    Check { rule: "P", name: "a probe is answered", run: Run::Perhaps(handshake::probe) },
];

/// Runs the checks and reports how they ended.
pub(crate) fn conform(options: &ConformOptions) -> ExitCode {
    match run(options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(FAILED),
        Err(error) => output::exit_code(Err(error), ExitCode::SUCCESS),
    }
}

fn run(options: &ConformOptions) -> io::Result<bool> {
    let bench = match Bench::new(options) {
        Ok(bench) => bench,
        Err(error) => {
            output::complain(&format_args!("peerbeat conform: {}: {error}", options.addr));
            return Ok(false);
        }
    };
    if let Some(addr) = bench.listening() {
        output::complain(&format_args!("listening on {addr}"));
    }
    let is_wanted = |check: &&Check| {
        let only = options.only.as_deref().unwrap_or_default();
        check.rule == only || check.name.contains(only)
    };
    let checks: Vec<_> = CHECKS.iter().filter(is_wanted).collect();
    let mut report = Report::begin(options.format, checks.len())?;
    for check in &checks {
        report.progress(check);
        let began = Instant::now();
        let outcome = match check.run {
            Run::Always(run) => run(&bench).map(|()| None),
            Run::Perhaps(run) => run(&bench),
        };
        let outcome = match outcome {
            Ok(None) => Outcome::Ok,
            Ok(Some(why)) => Outcome::Skipped(why),
            Err(failure) => Outcome::Failed(failure),
        };
        report.add(check, &outcome, began.elapsed())?;
    }
    report.end()?;
    Ok(report.failed == 0 && !checks.is_empty())
}
