//! The command `peerbeat`: see it work, run a configuration file, look at what a file means.
//!
//! Results go to stdout, complaints to stderr. Exit code 0: fine; 1: the thing asked for failed;
//! 2: wrong usage or configuration. It uses nothing but the library's public items.

mod args;
mod check;
mod clock;
mod demo;
mod help;
mod json;
mod output;
mod run;

use std::process::ExitCode;

use args::Call;

fn main() -> ExitCode {
    match args::parse(std::env::args_os().skip(1)) {
        Ok(Call::Print(text)) => output::print(text),
        Ok(Call::Demo) => demo::demo(),
        Ok(Call::Run(options)) => run::run(options),
        Ok(Call::Check(options)) => check::check(&options),
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
