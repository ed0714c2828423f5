//! Values: from the words after an item's name to a checked value, or to what is allowed instead.
//!
//! One function a type of value. Numbers are read by hand, digit by digit: what the standard
//! library would also take (`1e99`, `NaN`, `inf`, `+5`) is not in the grammar.

use std::net::Ipv6Addr;
use std::time::Duration;

use super::error::ErrorKind;
use super::limits::MAX_NAME_BYTES;
use super::place::Place;
use crate::liveness::Mode;

/// An item with its values expanded.
#[derive(Debug)]
pub(super) struct Item<'a> {
    pub(super) name: &'a str,
    pub(super) values: Vec<String>,
    pub(super) place: Place,
}

/// The port we listen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Port {
    /// This one.
    Fixed(u16),
    /// Any free one (`auto`).
    Auto,
}

impl Item<'_> {
    /// The error that names what stands here.
    pub(super) fn bad(&self, allowed: &'static str) -> ErrorKind {
        match self.values.is_empty() {
            true => ErrorKind::no_value(self.name, allowed),
            false => ErrorKind::bad_value(self.name, &self.values.join(" "), allowed),
        }
    }

    /// The one value.
    pub(super) fn one(&self, allowed: &'static str) -> Result<&str, ErrorKind> {
        match &*self.values {
            [value] => Ok(value),
            _ => Err(self.bad(allowed)),
        }
    }

    /// One or more values. A value that a variable gave may be a list itself.
    pub(super) fn list(&self, allowed: &'static str) -> Result<Vec<&str>, ErrorKind> {
        let mut list = Vec::new();
        for value in &self.values {
            let before = list.len();
            list.extend(value.split_ascii_whitespace());
            if list.len() == before {
                return Err(self.bad(allowed));
            }
        }
        if list.is_empty() { Err(self.bad(allowed)) } else { Ok(list) }
    }

    /// Seconds from 0.01 to a day.
    pub(super) fn seconds(&self) -> Result<Duration, ErrorKind> {
        let value = decimal_seconds(self.one(SECONDS)?);
        value.filter(is_usual).ok_or_else(|| self.bad(SECONDS))
    }

    /// Seconds from 0.01 to a day, or 0 for none.
    pub(super) fn seconds_or_none(&self) -> Result<Option<Duration>, ErrorKind> {
        match decimal_seconds(self.one(SECONDS_OR_0)?) {
            Some(Duration::ZERO) => Ok(None),
            Some(value) if is_usual(&value) => Ok(Some(value)),
            _ => Err(self.bad(SECONDS_OR_0)),
        }
    }

    /// An id; 0 means none.
    pub(super) fn id(&self) -> Result<u32, ErrorKind> {
        whole(self.one(ID)?).ok_or_else(|| self.bad(ID))
    }

    /// Bytes of a queue.
    pub(super) fn queue_bytes(&self) -> Result<usize, ErrorKind> {
        let value = whole(self.one(QUEUE_BYTES)?).and_then(|value| usize::try_from(value).ok());
        value.filter(|value| QUEUE_RANGE.contains(value)).ok_or_else(|| self.bad(QUEUE_BYTES))
    }

    /// The port to listen on; `None` for 0.
    pub(super) fn listening_port(&self) -> Result<Option<Port>, ErrorKind> {
        let value = self.one(LISTENING_PORT)?;
        if value.eq_ignore_ascii_case("auto") {
            return Ok(Some(Port::Auto));
        }
        match whole(value).map(u16::try_from) {
            Some(Ok(0)) => Ok(None),
            Some(Ok(port)) => Ok(Some(Port::Fixed(port))),
            _ => Err(self.bad(LISTENING_PORT)),
        }
    }

    /// Ports to dial.
    pub(super) fn ports(&self) -> Result<Vec<u16>, ErrorKind> {
        let port = |text: &&str| whole(text).and_then(|port| u16::try_from(port).ok());
        let ports: Option<Vec<u16>> = self.list(PORTS)?.iter().map(port).collect();
        ports.filter(|ports| !ports.contains(&0)).ok_or_else(|| self.bad(PORTS))
    }

    /// Hosts, by name or address.
    pub(super) fn hosts(&self) -> Result<Vec<String>, ErrorKind> {
        let hosts: Option<Vec<String>> = self.list(HOSTS)?.into_iter().map(host).collect();
        hosts.ok_or_else(|| self.bad(HOSTS))
    }

    /// True by presence alone.
    pub(super) fn boolean(&self) -> Result<bool, ErrorKind> {
        match &*self.values {
            [] => Ok(true),
            [value] if value.eq_ignore_ascii_case("true") => Ok(true),
            [value] if value.eq_ignore_ascii_case("false") => Ok(false),
            _ => Err(self.bad(BOOLEAN)),
        }
    }

    /// `idle` or `always`.
    pub(super) fn mode(&self) -> Result<Mode, ErrorKind> {
        match self.one(MODE)? {
            value if value.eq_ignore_ascii_case("idle") => Ok(Mode::Idle),
            value if value.eq_ignore_ascii_case("always") => Ok(Mode::Always),
            _ => Err(self.bad(MODE)),
        }
    }

    /// A name, as HELLO carries it.
    pub(super) fn name(&self) -> Result<String, ErrorKind> {
        let value = self.one(NAME)?;
        if is_name(value) { Ok(value.to_owned()) } else { Err(self.bad(NAME)) }
    }

    /// A label, as HELLO carries it; it may be empty.
    pub(super) fn label(&self) -> Result<String, ErrorKind> {
        let value = self.one(LABEL)?;
        let good = value.is_empty() || is_name(value);
        if good { Ok(value.to_owned()) } else { Err(self.bad(LABEL)) }
    }
}

/// Whether HELLO can carry this as a name: 1 to 255 bytes without control characters.
pub(super) fn is_name(text: &str) -> bool {
    (1..=MAX_NAME_BYTES).contains(&text.len()) && !text.contains(char::is_control)
}

/// Digits, and perhaps a point and digits. More than nine digits after the point are dropped.
fn decimal_seconds(text: &str) -> Option<Duration> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || whole.len() + fraction.len() == 0 {
        return None;
    }
    let seconds = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let nanos = fraction.bytes().chain(std::iter::repeat(b'0')).take(9);
    Some(Duration::new(seconds, nanos.fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0'))))
}

/// Digits and nothing else.
fn whole(text: &str) -> Option<u32> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

fn is_usual(value: &Duration) -> bool {
    (MIN_SECONDS..=MAX_SECONDS).contains(value)
}

/// A host without the brackets of an IPv6 address. `host:port` is not a host.
fn host(text: &str) -> Option<String> {
    let text = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let (address, _scope) = text.split_once('%').unwrap_or((text, ""));
    let good = match text.contains(':') {
        true => address.parse::<Ipv6Addr>().is_ok(),
        false => {
            !text.contains(|c: char| c.is_control() || c.is_whitespace() || "#/\"[]".contains(c))
        }
    };
    (good && is_name(text)).then(|| text.to_owned())
}

const MIN_SECONDS: Duration = Duration::from_millis(10);
const MAX_SECONDS: Duration = Duration::from_secs(86400);
const QUEUE_RANGE: std::ops::RangeInclusive<usize> = 1024..=1 << 30;

const SECONDS: &str = "seconds from 0.01 to 86400";
const SECONDS_OR_0: &str = "seconds from 0.01 to 86400, or 0 for none";
const ID: &str = "a whole number from 0 to 4294967295";
const QUEUE_BYTES: &str = "a whole number from 1024 to 1073741824";
const LISTENING_PORT: &str = "a port from 1 to 65535, 0 or auto";
const PORTS: &str = "ports from 1 to 65535";
const HOSTS: &str = "host names or addresses, without port";
const BOOLEAN: &str = "TRUE, FALSE or nothing";
const MODE: &str = "idle or always";
pub(super) const NAME: &str = "one value of 1 to 255 bytes without control characters";
const LABEL: &str = "one value of 0 to 255 bytes without control characters";
