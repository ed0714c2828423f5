//! The command line of `conform`.
//!
//! The name is checked against the protocol's limits here, so that every HELLO that a check sends
//! can be encoded.

use std::ffi::OsString;
use std::time::Duration;

use peerbeat::protocol::Hello;

use super::parser::{ArgParser, Range, Word};
use super::{Command, Usage};
use crate::conform::{ConformOptions, Format};
use crate::help;

impl<I: Iterator<Item = OsString>> ArgParser<I> {
    pub(super) fn parse_conform(&mut self) -> Result<Command, Usage> {
        self.command = "conform";
        let mut conform = ConformOptions::default();
        let (mut addr, mut named, mut formats) = (None, None, [false; 2]);
        while let Some(word) = self.poll_word()? {
            let (name, value) = match word {
                Word::Operand(word) if addr.is_none() => {
                    addr = Some(word.to_string_lossy().into_owned());
                    continue;
                }
                Word::Operand(word) => return Err(self.unexpected(&word, "one HOST:PORT")),
                Word::Option { name, value } => (name, value),
            };
            match &*name {
                "--help" | "-h" => return Ok(Command::Print(help::CONFORM)),
                "--name" => named = Some(self.name(&name, value)?),
                "--listen" => conform.listen = self.flag(&name, value)?,
                "--slack" => conform.slack = self.seconds(&name, value, SECONDS)?,
                "--floor" => conform.floor = self.seconds(&name, value, SECONDS)?,
                "--handshake" => conform.handshake = self.seconds(&name, value, SECONDS)?,
                "--tolerance" => conform.tolerance = self.seconds(&name, value, SECONDS)?,
                "--wait" => conform.wait = self.seconds(&name, value, SECONDS)?,
                "--only" => conform.only = Some(self.value(&name, value, "a rule or a word")?),
                "--tap" => formats[0] = self.flag(&name, value)?,
                "--json" => formats[1] = self.flag(&name, value)?,
                _ => return Err(self.unknown(&name, OPTIONS)),
            }
        }
        conform.format = match formats {
            [false, false] => Format::Text,
            [true, false] => Format::Tap,
            [false, true] => Format::Json,
            [true, true] => return Err(self.wrong("--tap and --json exclude each other")),
        };
        conform.addr = addr.ok_or_else(|| self.wrong("missing HOST:PORT"))?;
        let port = conform.addr.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
        if port.is_none() {
            let found = peerbeat::protocol::Escaped(&conform.addr);
            return Err(self.wrong(format!("found \"{found}\", expected HOST:PORT")));
        }
        let missing = "missing --name NAME: of a peer that the other side knows";
        conform.name = named.ok_or_else(|| self.wrong(missing))?;
        Ok(Command::Conform(conform))
    }

    fn name(&mut self, option: &str, value: Option<String>) -> Result<String, Usage> {
        let expected = "1 to 255 bytes without control characters";
        let name = self.value(option, value, expected)?;
        let hello = Hello::default().name(&name);
        match hello.encode(&mut Vec::new()) {
            Ok(()) => Ok(name),
            Err(_) => Err(self.bad_value(option, &name, expected)),
        }
    }
}

const OPTIONS: &[&str] = &[
    "--name",
    "--listen",
    "--wait",
    "--slack",
    "--floor",
    "--handshake",
    "--tolerance",
    "--only",
    "--tap",
    "--json",
];
const SECONDS: Range =
    (Duration::from_millis(1), Duration::from_secs(86_400), "seconds, 0.001 to 86400");
