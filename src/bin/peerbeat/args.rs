//! Command-line parsing.
//!
//! Every error names what was found and what was expected, and suggests the nearest word for a
//! typo. The options of each command are a struct, filled here and nowhere else.

mod conform;
pub(crate) mod nearest;
mod parser;
#[cfg(test)]
mod tests;
mod views;

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use peerbeat::config::{Config, ConfigOptions, Environment, Errors, Os};

use crate::conform::ConformOptions;
use crate::help;
use crate::text::{COLUMNS, wrapped};
use nearest::nearest;
use parser::{ArgParser, Range, Word, shown};
pub(crate) use views::{DemoOptions, PictureOptions, ProbeOptions, TopOptions, TopSource};

/// The parsed command.
#[derive(Debug, PartialEq)]
pub(crate) enum Command {
    /// A text on stdout, and no more.
    Print(&'static str),
    /// `demo`
    Demo(DemoOptions),
    /// `run`
    Run(RunOptions),
    /// `check`
    Check(CheckOptions),
    /// `top`
    Top(TopOptions),
    /// `picture`
    Picture(PictureOptions),
    /// `probe`
    Probe(ProbeOptions),
    /// `cable`
    Cable(CableOptions),
    /// `conform`
    Conform(ConformOptions),
}

/// How a configuration file is read.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct ConfigArgs {
    /// The application's name; `None` = the library's default.
    pub(crate) app_name: Option<String>,
    /// The application's root folder; `None` = the library's default.
    pub(crate) app_root: Option<String>,
    /// The system that conditions are read for; `None` = this one.
    pub(crate) os: Option<Os>,
    /// Variables and their values.
    pub(crate) defines: Vec<(String, String)>,
}

impl ConfigArgs {
    /// Reads a configuration file so.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub(crate) fn load(&self, file: &Path) -> Result<Config, Errors> {
        Config::load(file, &self.options())
    }

    /// What is passed to the library.
    pub(crate) fn options(&self) -> ConfigOptions {
        ConfigOptions::default()
            .app_name(self.app_name.clone())
            .app_root(self.app_root.clone())
            .defines(self.defines.clone())
            .environment(Environment::default().os(self.os))
    }
}

/// The options of `run`.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct RunOptions {
    pub(crate) file: PathBuf,
    pub(crate) config: ConfigArgs,
    pub(crate) json: bool,
    /// `None` = until a signal.
    pub(crate) duration: Option<Duration>,
    pub(crate) until_eof: bool,
    /// `None` = nothing is sent.
    pub(crate) send_every: Option<Duration>,
    pub(crate) send_size: usize,
    /// `None` = every 5 s with `--json`, else never.
    pub(crate) stats_every: Option<Duration>,
    /// Where the metrics are written.
    pub(crate) metrics: Option<PathBuf>,
    pub(crate) echo: bool,
    pub(crate) show_data: bool,
}

/// The options of `check`.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct CheckOptions {
    /// At least one.
    pub(crate) files: Vec<PathBuf>,
    pub(crate) config: ConfigArgs,
    /// Where to draw the links; `None` = nowhere.
    pub(crate) picture: Option<PathBuf>,
    pub(crate) json: bool,
    pub(crate) strict: bool,
}

/// The options of `cable`.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct CableOptions {
    pub(crate) listen: String,
    pub(crate) target: String,
    pub(crate) script: String,
    pub(crate) json: bool,
    /// `None` = until a signal.
    pub(crate) duration: Option<Duration>,
    pub(crate) until_eof: bool,
}

/// Wrong usage: what is wrong, and the command whose help explains it.
#[derive(Debug, PartialEq)]
pub(crate) struct Usage {
    what: String,
    command: &'static str,
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let space = if self.command.is_empty() { "" } else { " " };
        let text = format!("peerbeat{space}{}: {}", self.command, self.what);
        writeln!(f, "{}", wrapped(&text, COLUMNS, 4))?;
        write!(f, "Try: peerbeat{space}{} --help", self.command)
    }
}

/// Parses the words after the command's own name.
///
/// # Errors
/// Whatever is not a command as the help describes it.
pub(crate) fn parse(words: impl Iterator<Item = OsString>) -> Result<Command, Usage> {
    let mut args = ArgParser::new(words);
    match args.poll_word()? {
        None => Err(args.wrong(format!("missing command: expected {}", listed()))),
        Some(Word::Operand(word)) => match word.to_str() {
            Some("demo") => args.parse_demo(),
            Some("run") => args.parse_run(),
            Some("check") => args.parse_check(),
            Some("top") => args.parse_top(),
            Some("picture") => args.parse_picture(),
            Some("probe") => args.parse_probe(),
            Some("cable") => args.parse_cable(),
            Some("conform") => args.parse_conform(),
            Some("help") => args.parse_help(),
            _ => Err(args.unknown_command(&word)),
        },
        Some(Word::Option { name, .. }) => match &*name {
            "--help" | "-h" => Ok(Command::Print(help::COMMAND)),
            "--version" | "-V" => Ok(Command::Print(help::VERSION)),
            _ => Err(args.unknown(&name, &["--version"])),
        },
    }
}

impl<I: Iterator<Item = OsString>> ArgParser<I> {
    fn unknown_command(&self, word: &OsString) -> Usage {
        let what = match nearest(&word.to_string_lossy(), COMMANDS.map(|(name, _)| name)) {
            Some(near) => format!("unknown command {}: did you mean {near}?", shown(word)),
            None => format!("unknown command {}: expected {}", shown(word), listed()),
        };
        self.wrong(what)
    }

    /// `help`, alone or with a command.
    fn parse_help(&mut self) -> Result<Command, Usage> {
        match self.poll_word()? {
            None | Some(Word::Option { .. }) => Ok(Command::Print(help::COMMAND)),
            Some(Word::Operand(word)) => {
                let named = COMMANDS.iter().find(|(name, _)| word == *name);
                match named {
                    Some((_, text)) => Ok(Command::Print(text)),
                    None => Err(self.unknown_command(&word)),
                }
            }
        }
    }

    fn parse_run(&mut self) -> Result<Command, Usage> {
        self.command = "run";
        let mut run = RunOptions { send_size: SEND_SIZE_DEFAULT, ..RunOptions::default() };
        let mut file = None;
        let mut send_size = None;
        while let Some(word) = self.poll_word()? {
            let (name, value) = match word {
                Word::Operand(word) if file.is_none() => {
                    file = Some(PathBuf::from(word));
                    continue;
                }
                Word::Operand(word) => return Err(self.unexpected(&word, "one FILE")),
                Word::Option { name, value } => (name, value),
            };
            match &*name {
                "--help" | "-h" => return Ok(Command::Print(help::RUN)),
                "--json" => run.json = self.flag(&name, value)?,
                "--echo" => run.echo = self.flag(&name, value)?,
                "--show-data" => run.show_data = self.flag(&name, value)?,
                "--until-eof" => run.until_eof = self.flag(&name, value)?,
                "--duration" => run.duration = Some(self.seconds(&name, value, DURATION)?),
                "--send-every" => run.send_every = Some(self.seconds(&name, value, EVERY)?),
                "--stats-every" => run.stats_every = Some(self.seconds(&name, value, EVERY)?),
                "--metrics" => {
                    run.metrics = Some(self.text(&name, value, "a file")?.into());
                }
                "--send-size" => {
                    let size = self.number(&name, value, (0, SEND_SIZE_MAX), "bytes")?;
                    send_size = Some(size as usize);
                }
                _ if self.config_args(&mut run.config, &name, &value)? => {}
                _ => return Err(self.unknown(&name, RUN_OPTIONS)),
            }
        }
        if send_size.is_some() && run.send_every.is_none() {
            return Err(self.wrong("--send-size needs --send-every"));
        }
        run.send_size = send_size.unwrap_or(SEND_SIZE_DEFAULT);
        run.file = file.ok_or_else(|| self.wrong("missing FILE"))?;
        Ok(Command::Run(run))
    }

    fn parse_check(&mut self) -> Result<Command, Usage> {
        self.command = "check";
        let mut check = CheckOptions::default();
        while let Some(word) = self.poll_word()? {
            let (name, value) = match word {
                Word::Operand(word) => {
                    check.files.push(PathBuf::from(word));
                    continue;
                }
                Word::Option { name, value } => (name, value),
            };
            match &*name {
                "--help" | "-h" => return Ok(Command::Print(help::CHECK)),
                "--json" => check.json = self.flag(&name, value)?,
                "--strict" => check.strict = self.flag(&name, value)?,
                "--picture" => {
                    check.picture = Some(self.text(&name, value, "a file")?.into());
                }
                _ if self.config_args(&mut check.config, &name, &value)? => {}
                _ => return Err(self.unknown(&name, CHECK_OPTIONS)),
            }
        }
        match (check.files.len(), &check.config.app_name) {
            (0, _) => Err(self.wrong("missing FILE or DIR: expected one or more")),
            (2.., Some(_)) => Err(self.wrong(
                "--app-name needs a single file: each of several is an application of its own",
            )),
            _ => Ok(Command::Check(check)),
        }
    }

    fn parse_cable(&mut self) -> Result<Command, Usage> {
        self.command = "cable";
        let mut cable = CableOptions::default();
        let mut operands = Vec::new();
        while let Some(word) = self.poll_word()? {
            let (name, value) = match word {
                Word::Operand(word) if operands.len() < 2 => {
                    operands.push(word.to_string_lossy().into_owned());
                    continue;
                }
                Word::Operand(word) => return Err(self.unexpected(&word, "LISTEN TARGET")),
                Word::Option { name, value } => (name, value),
            };
            match &*name {
                "--help" | "-h" => return Ok(Command::Print(help::CABLE)),
                "--json" => cable.json = self.flag(&name, value)?,
                "--until-eof" => cable.until_eof = self.flag(&name, value)?,
                "--duration" => cable.duration = Some(self.seconds(&name, value, DURATION)?),
                "--script" => {
                    cable.script = self.value(&name, value, "steps: '2s pull; 5s plug'")?
                }
                _ => return Err(self.unknown(&name, CABLE_OPTIONS)),
            }
        }
        match <[String; 2]>::try_from(operands) {
            Ok([listen, target]) => {
                (cable.listen, cable.target) = (listen, target);
                Ok(Command::Cable(cable))
            }
            Err(found) => {
                let missing = if found.is_empty() { "LISTEN and TARGET" } else { "TARGET" };
                Err(self.wrong(format!("missing {missing}: expected addresses with a port")))
            }
        }
    }

    /// The options of every command that reads a file; returns whether `name` is one.
    fn config_args(
        &mut self,
        config: &mut ConfigArgs,
        name: &str,
        value: &Option<String>,
    ) -> Result<bool, Usage> {
        match name {
            "--app-name" => {
                config.app_name = Some(self.text(name, value.clone(), APP_NAME)?);
            }
            "--app-root" => {
                config.app_root = Some(self.text(name, value.clone(), "a folder")?);
            }
            "--os" => {
                let found = self.value(name, value.clone(), OS)?;
                let os = Os::from_name(&found);
                config.os = Some(os.ok_or_else(|| self.bad_value(name, &found, OS))?);
            }
            "--define" => {
                let found = self.value(name, value.clone(), DEFINE)?;
                match found.split_once('=') {
                    Some((variable, value)) if !variable.is_empty() => {
                        config.defines.push((variable.to_owned(), value.to_owned()));
                    }
                    _ => return Err(self.bad_value(name, &found, DEFINE)),
                }
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// The commands, for a sentence.
fn listed() -> String {
    let names = COMMANDS.map(|(name, _)| name);
    let (last, others) = names.split_last().unwrap_or((&"", &[]));
    format!("{} or {last}", others.join(", "))
}

/// The commands and their help texts.
const COMMANDS: [(&str, &str); 8] = [
    ("demo", help::DEMO),
    ("run", help::RUN),
    ("check", help::CHECK),
    ("top", help::TOP),
    ("picture", help::PICTURE),
    ("probe", help::PROBE),
    ("cable", help::CABLE),
    ("conform", help::CONFORM),
];
const RUN_OPTIONS: &[&str] = &[
    "--app-name",
    "--app-root",
    "--os",
    "--define",
    "--json",
    "--duration",
    "--until-eof",
    "--send-every",
    "--send-size",
    "--stats-every",
    "--metrics",
    "--echo",
    "--show-data",
];
const CHECK_OPTIONS: &[&str] =
    &["--app-name", "--app-root", "--os", "--define", "--picture", "--json", "--strict"];
const CABLE_OPTIONS: &[&str] = &["--script", "--json", "--duration", "--until-eof"];
const APP_NAME: &str = "a name";
const OS: &str = "linux, win32 or darwin";
const DEFINE: &str = "NAME=VALUE";
const DURATION: Range =
    (Duration::ZERO, Duration::from_secs(1_000_000_000), "seconds, 0 to 1000000000");
const EVERY: Range =
    (Duration::from_millis(1), Duration::from_secs(86_400), "seconds, 0.001 to 86400");
const SEND_SIZE_DEFAULT: usize = 64;
/// A frame holds its type byte besides.
const SEND_SIZE_MAX: u64 = peerbeat::protocol::FRAME_MAX as u64 - 1;
