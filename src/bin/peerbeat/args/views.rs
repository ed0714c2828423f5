//! The command lines of the commands that draw: `demo`, `top` and `picture`.
//!
//! Their options are defined here, beside the code that fills them.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use super::parser::{ArgParser, Range, Word};
use super::{Command, ConfigArgs, Usage};
use crate::help;

/// Where `top` has its records from.
#[derive(Debug, PartialEq)]
pub(crate) enum TopSource {
    /// A node of this configuration file.
    Node(PathBuf),
    /// A journal on stdin.
    Stdin,
    /// A journal that grows.
    Journal(PathBuf),
}

/// The options of `top`.
#[derive(Debug, PartialEq)]
pub(crate) struct TopOptions {
    pub(crate) source: TopSource,
    pub(crate) config: ConfigArgs,
    pub(crate) once: bool,
    pub(crate) report: bool,
    /// How long `--once` waits for the peers of a node.
    pub(crate) wait: Duration,
    pub(crate) every: Duration,
    /// Of what is printed once.
    pub(crate) columns: usize,
}

/// The options of `demo`.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct DemoOptions {
    /// Where its run is drawn.
    pub(crate) picture: Option<PathBuf>,
}

/// The options of `picture`.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct PictureOptions {
    /// `-` = stdin.
    pub(crate) journal: PathBuf,
    pub(crate) peer: Option<String>,
    /// Since 1970.
    pub(crate) at: Option<Duration>,
    /// Since 1970; `None` = the beginning.
    pub(crate) from: Option<Duration>,
    /// The end of the journal alone.
    pub(crate) last: Option<Duration>,
}

/// The options of `probe`.
#[derive(Debug, PartialEq)]
pub(crate) struct ProbeOptions {
    /// `host:port`
    pub(crate) target: String,
    pub(crate) count: u64,
    pub(crate) timeout: Duration,
    pub(crate) json: bool,
}

impl<I: Iterator<Item = OsString>> ArgParser<I> {
    pub(super) fn parse_probe(&mut self) -> Result<Command, Usage> {
        self.command = "probe";
        let timeout = Duration::from_secs(3);
        let mut probe = ProbeOptions { target: String::new(), count: 1, timeout, json: false };
        while let Some(word) = self.poll_word()? {
            let (name, value) = match word {
                Word::Operand(word) if probe.target.is_empty() => {
                    probe.target = word.to_string_lossy().into_owned();
                    continue;
                }
                Word::Operand(word) => return Err(self.unexpected(&word, "one HOST:PORT")),
                Word::Option { name, value } => (name, value),
            };
            match &*name {
                "--help" | "-h" => return Ok(Command::Print(help::PROBE)),
                "--json" => probe.json = self.flag(&name, value)?,
                "--count" => probe.count = self.number(&name, value, (1, 1_000_000), "times")?,
                "--timeout" => probe.timeout = self.seconds(&name, value, TIMEOUT)?,
                _ => return Err(self.unknown(&name, PROBE_OPTIONS)),
            }
        }
        let target = probe.target.rsplit_once(':');
        let is_address = target.is_some_and(|(host, port)| {
            !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0)
        });
        match (is_address, &*probe.target) {
            (true, _) => Ok(Command::Probe(probe)),
            (false, "") => Err(self.wrong("missing HOST:PORT")),
            (false, found) => {
                let found = crate::text::Escaped(found);
                Err(self.wrong(format!("found \"{found}\", expected HOST:PORT")))
            }
        }
    }

    pub(super) fn parse_demo(&mut self) -> Result<Command, Usage> {
        self.command = "demo";
        let mut demo = DemoOptions::default();
        while let Some(word) = self.poll_word()? {
            let (name, value) = match word {
                Word::Operand(word) => return Err(self.unexpected(&word, "no operand")),
                Word::Option { name, value } => (name, value),
            };
            match &*name {
                "--help" | "-h" => return Ok(Command::Print(help::DEMO)),
                "--picture" => {
                    let file = self.value(&name, value, "a file")?;
                    demo.picture = Some(PathBuf::from(file));
                }
                _ => return Err(self.unknown(&name, &["--picture"])),
            }
        }
        Ok(Command::Demo(demo))
    }

    pub(super) fn parse_top(&mut self) -> Result<Command, Usage> {
        self.command = "top";
        let mut top = TopOptions {
            source: TopSource::Stdin,
            config: ConfigArgs::default(),
            once: false,
            report: false,
            wait: Duration::from_secs(5),
            every: Duration::from_secs(1),
            columns: 80,
        };
        let mut source = None;
        while let Some(word) = self.poll_word()? {
            let (name, value) = match word {
                Word::Operand(word) if source.is_none() => {
                    source = Some(match word == "-" {
                        true => TopSource::Stdin,
                        false => TopSource::Node(PathBuf::from(word)),
                    });
                    continue;
                }
                Word::Operand(word) => return Err(self.unexpected(&word, "one FILE or -")),
                Word::Option { name, value } => (name, value),
            };
            match &*name {
                "--help" | "-h" => return Ok(Command::Print(help::TOP)),
                "--follow" => {
                    let file = self.value(&name, value, "a journal's file")?;
                    source = Some(TopSource::Journal(PathBuf::from(file)));
                }
                "--once" => top.once = self.flag(&name, value)?,
                "--report" => top.report = self.flag(&name, value)?,
                "--wait" => top.wait = self.seconds(&name, value, WAIT)?,
                "--every" => top.every = self.seconds(&name, value, REDRAW)?,
                "--columns" => {
                    top.columns = self.number(&name, value, (40, 500), "columns")? as usize;
                }
                _ if self.config_args(&mut top.config, &name, &value)? => {}
                _ => return Err(self.unknown(&name, TOP_OPTIONS)),
            }
        }
        let missing = || self.wrong("missing FILE: expected one, - or --follow JOURNAL");
        top.source = source.ok_or_else(missing)?;
        Ok(Command::Top(top))
    }

    pub(super) fn parse_picture(&mut self) -> Result<Command, Usage> {
        self.command = "picture";
        let mut picture = PictureOptions::default();
        let mut journal = None;
        while let Some(word) = self.poll_word()? {
            let (name, value) = match word {
                Word::Operand(word) if journal.is_none() => {
                    journal = Some(PathBuf::from(word));
                    continue;
                }
                Word::Operand(word) => return Err(self.unexpected(&word, "one JOURNAL")),
                Word::Option { name, value } => (name, value),
            };
            match &*name {
                "--help" | "-h" => return Ok(Command::Print(help::PICTURE)),
                "--peer" => picture.peer = Some(self.value(&name, value, "a peer's name")?),
                "--at" => picture.at = Some(self.time(&name, value)?),
                "--from" => picture.from = Some(self.time(&name, value)?),
                "--last" => {
                    let found = self.value(&name, value, LAST)?;
                    let last = crate::cable::parse_time(&found).filter(|last| !last.is_zero());
                    picture.last = Some(last.ok_or_else(|| self.bad_value(&name, &found, LAST))?);
                }
                _ => return Err(self.unknown(&name, PICTURE_OPTIONS)),
            }
        }
        picture.journal =
            journal.ok_or_else(|| self.wrong("missing JOURNAL: expected one or -"))?;
        Ok(Command::Picture(picture))
    }

    /// A time as a journal has it.
    fn time(&mut self, name: &str, value: Option<String>) -> Result<Duration, Usage> {
        let found = self.value(name, value, TIME)?;
        crate::picture::parse_time(&found).ok_or_else(|| self.bad_value(name, &found, TIME))
    }
}

const TOP_OPTIONS: &[&str] =
    &["--follow", "--once", "--report", "--wait", "--every", "--columns", "--app-name", "--define"];
const PICTURE_OPTIONS: &[&str] = &["--peer", "--at", "--from", "--last"];
const TIME: &str = "a time in UTC: 2026-11-28T13:42:39";
const LAST: &str = "a time: 90s, 5min, 1h";
const WAIT: Range = (Duration::ZERO, Duration::from_secs(3600), "seconds, 0 to 3600");
const REDRAW: Range =
    (Duration::from_millis(100), Duration::from_secs(3600), "seconds, 0.1 to 3600");
const PROBE_OPTIONS: &[&str] = &["--count", "--timeout", "--json"];
const TIMEOUT: Range =
    (Duration::from_millis(10), Duration::from_secs(600), "seconds, 0.01 to 600");
