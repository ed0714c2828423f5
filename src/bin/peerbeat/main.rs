//! The command `peerbeat`: see it work, run a configuration file, look at what a file means.
//!
//! Results go to stdout, errors to stderr. Exit code 0: fine; 1: the thing asked for failed; 2:
//! wrong usage or configuration. It uses nothing but the library's public items.

mod args;
mod cable;
mod check;
#[path = "../../journal/time.rs"]
mod clock;
mod conform;
mod demo;
mod help;
#[path = "../../journal/json.rs"]
mod journal_json;
mod json;
mod notify;
mod output;
mod picture;
mod probe;
mod record;
mod run;
#[allow(unsafe_code)]
mod signals;
mod text;
mod top;

use std::process::ExitCode;

use args::Command;
// For the journal's file, which finds it here.
use text::Escaped;

fn main() -> ExitCode {
    match args::parse(std::env::args_os().skip(1)) {
        Ok(Command::Print(text)) => output::print(text),
        Ok(Command::Demo(options)) => demo::demo(&options),
        Ok(Command::Run(options)) => run::run(options),
        Ok(Command::Check(options)) => check::check(&options),
        Ok(Command::Top(options)) => top::top(&options),
        Ok(Command::Picture(options)) => picture::picture(&options),
        Ok(Command::Probe(options)) => probe::probe(&options),
        Ok(Command::Cable(options)) => cable::cable(&options),
        Ok(Command::Conform(options)) => conform::conform(&options),
        Err(usage) => {
            output::complain(&usage);
            ExitCode::from(WRONG_USAGE)
        }
    }
}

/// The thing asked for was tried and failed.
const FAILED: u8 = 1;
/// Wrong usage or configuration: nothing was started.
const WRONG_USAGE: u8 = 2;
