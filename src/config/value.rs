//! Values: from the words after an item's name to a checked value, or to what is allowed instead.
//!
//! One function per type of value. Numbers are read by hand, digit by digit: what the standard
//! library would also take (`1e99`, `NaN`, `inf`, `+5`) is not in the grammar.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use super::error::ErrorKind;
use super::expand::Percents;
use super::limits::MAX_NAME_BYTES;
use super::location::Location;
use super::shown::{cut, is_invisible_blank, is_marked};
use crate::liveness::Mode;

/// An item with its values expanded.
#[derive(Debug)]
pub(super) struct Item<'a> {
    pub(super) name: &'a str,
    pub(super) values: Vec<String>,
    pub(super) location: Location,
    /// Whether a value was written, even if it came to nothing.
    pub(super) is_written: bool,
    /// The variables in it that were not defined.
    pub(super) undefined: Vec<String>,
}

/// The text of a value, in which percent codes may still have to be expanded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Text {
    item: String,
    /// As it was read.
    pub(super) raw: String,
    pub(super) location: Location,
    kind: TextKind,
}

/// What a text may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TextKind {
    /// 1 to 255 bytes.
    Name,
    /// 0 to 255 bytes.
    Label,
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
    /// The error that names what is here.
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

    /// One or more values, none of them empty.
    pub(super) fn list(&self, allowed: &'static str) -> Result<&[String], ErrorKind> {
        let is_good = !self.values.is_empty() && self.values.iter().all(|value| !value.is_empty());
        if is_good { Ok(&self.values) } else { Err(self.bad(allowed)) }
    }

    /// A path.
    pub(super) fn path(&self) -> Result<&str, ErrorKind> {
        match self.one(PATH)? {
            path if path.is_empty() || path.contains('\0') => Err(self.bad(PATH)),
            path => Ok(path),
        }
    }

    /// Nothing in one of our values may be invisible or a guess.
    pub(super) fn check_text(&self) -> Result<(), ErrorKind> {
        for value in &self.values {
            if value.contains(is_marked) {
                return Err(ErrorKind::NotUtf8 { item: cut(self.name), found: cut(value) });
            }
            if value.contains(is_invisible_blank) {
                return Err(ErrorKind::NoBreakSpace { item: cut(self.name) });
            }
        }
        Ok(())
    }

    /// Seconds from 0.01 to a day.
    pub(super) fn seconds(&self) -> Result<Duration, ErrorKind> {
        match decimal_seconds(self.one(SECONDS)?) {
            Some(Seconds::Usual(value)) => Ok(value),
            _ => Err(self.bad(SECONDS)),
        }
    }

    /// Seconds from 0.01 to a day; 0 is taken as the smallest, and then `true` is returned.
    pub(super) fn slack(&self) -> Result<(Duration, bool), ErrorKind> {
        match decimal_seconds(self.one(SECONDS)?) {
            Some(Seconds::Usual(value)) => Ok((value, false)),
            Some(Seconds::Zero) => Ok((MIN_SECONDS, true)),
            _ => Err(self.bad(SECONDS)),
        }
    }

    /// Seconds from 0.01 to a day, or 0: none.
    pub(super) fn seconds_or_none(&self) -> Result<Option<Duration>, ErrorKind> {
        match decimal_seconds(self.one(SECONDS_OR_0)?) {
            Some(Seconds::Zero) => Ok(None),
            Some(Seconds::Usual(value)) => Ok(Some(value)),
            _ => Err(self.bad(SECONDS_OR_0)),
        }
    }

    /// An id; 0 means none.
    pub(super) fn id(&self) -> Result<u32, ErrorKind> {
        let id = whole(self.one(ID)?).and_then(|id| u32::try_from(id).ok());
        id.ok_or_else(|| self.bad(ID))
    }

    /// Bytes of a queue.
    pub(super) fn queue_bytes(&self) -> Result<usize, ErrorKind> {
        self.bytes(1 << 30, QUEUE_BYTES)
    }

    /// Bytes of all queues of a node.
    pub(super) fn node_queue_bytes(&self) -> Result<usize, ErrorKind> {
        self.bytes(1 << 40, NODE_QUEUE_BYTES)
    }

    fn bytes(&self, max: u64, allowed: &'static str) -> Result<usize, ErrorKind> {
        let value = whole(self.one(allowed)?).filter(|value| (1024..=max).contains(value));
        value.and_then(|value| usize::try_from(value).ok()).ok_or_else(|| self.bad(allowed))
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
        let port = |text: &String| whole(text).and_then(|port| u16::try_from(port).ok());
        let ports: Option<Vec<u16>> = self.list(PORTS)?.iter().map(port).collect();
        ports.filter(|ports| !ports.contains(&0)).ok_or_else(|| self.bad(PORTS))
    }

    /// Hosts to listen on, by name or address, `*` for all, or `unix:` and a path.
    pub(super) fn interfaces(&self) -> Result<Vec<String>, ErrorKind> {
        let host = |text: &String| match (&**text, text.strip_prefix("unix:")) {
            ("*", _) => Ok(text.clone()),
            (_, Some(path)) if is_socket_path(path) => Ok(text.clone()),
            (_, Some(_)) => Err(self.bad(UNIX)),
            (text, None) => self.host(text, INTERFACES),
        };
        self.list(INTERFACES)?.iter().map(host).collect()
    }

    /// Where to dial: hosts by name or address, or `unix:` and a path.
    pub(super) fn hosts(&self) -> Result<Vec<Target>, ErrorKind> {
        let target = |text: &String| match text.strip_prefix("unix:") {
            Some(path) if is_socket_path(path) => Ok(Target::Unix(path.to_owned())),
            Some(_) => Err(self.bad(UNIX)),
            None => Ok(Target::Host(self.host(text, HOSTS)?)),
        };
        self.list(HOSTS)?.iter().map(target).collect()
    }

    /// The error for an `addr` that is not a host.
    pub(super) fn no_host(&self) -> ErrorKind {
        self.bad(HOSTS)
    }

    fn host(&self, text: &str, allowed: &'static str) -> Result<String, ErrorKind> {
        if let Some(historic) = HistoricIpv4::of(text) {
            let HistoricIpv4 { decimal, dialled } = historic;
            let (item, found) = (cut(self.name), cut(text));
            return Err(ErrorKind::HostForm { item, found, decimal, dialled });
        }
        host(text).ok_or_else(|| self.bad(allowed))
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
    pub(super) fn name(&self) -> Result<Text, ErrorKind> {
        self.text(self.one(NAME)?, TextKind::Name)
    }

    /// A label, as HELLO carries it; it may be empty, and nothing at all if that is what a variable
    /// came to.
    pub(super) fn label(&self) -> Result<Text, ErrorKind> {
        match self.values.is_empty() && self.is_written {
            true => self.text("", TextKind::Label),
            false => self.text(self.one(LABEL)?, TextKind::Label),
        }
    }

    fn text(&self, raw: &str, kind: TextKind) -> Result<Text, ErrorKind> {
        let text = Text {
            item: self.name.to_owned(),
            raw: raw.to_owned(),
            location: self.location.clone(),
            kind,
        };
        match raw.contains('%') || kind.allows(raw) {
            true => Ok(text),
            false => Err(self.bad(kind.allowed())),
        }
    }
}

impl Text {
    /// Our name if no file sets it.
    pub(super) fn default_name(whole: &Location) -> Text {
        let (item, raw) = ("datasrc-name".to_owned(), "%a-%h".to_owned());
        Text { item, raw, location: whole.clone(), kind: TextKind::Name }
    }

    /// The text with its percents filled in.
    pub(super) fn fill(&self, percents: &Percents) -> Result<String, ErrorKind> {
        if !self.raw.contains('%') {
            return Ok(self.raw.clone());
        }
        let filled = percents.fill(&self.raw);
        match self.kind.allows(&filled) {
            true => Ok(filled),
            false => Err(ErrorKind::bad_value(&self.item, &filled, self.kind.allowed())),
        }
    }
}

impl TextKind {
    fn allows(self, text: &str) -> bool {
        (self == TextKind::Label && text.is_empty()) || is_name(text)
    }

    fn allowed(self) -> &'static str {
        match self {
            TextKind::Name => NAME,
            TextKind::Label => LABEL,
        }
    }
}

/// Where to dial, before ports are added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Host(String),
    Unix(String),
}

/// Returns true if HELLO can carry this as a name: 1 to 255 bytes without control characters.
pub(super) fn is_name(text: &str) -> bool {
    (1..=MAX_NAME_BYTES).contains(&text.len()) && !text.contains(char::is_control)
}

/// What a number of seconds is.
enum Seconds {
    /// Exactly 0.
    Zero,
    /// From 0.01 to a day.
    Usual(Duration),
    /// Too small or too large.
    Unusual,
}

/// Digits, and perhaps a point and digits. Those after the ninth of a fraction only decide whether
/// the number is in the range.
fn decimal_seconds(text: &str) -> Option<Seconds> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || whole.len() + fraction.len() == 0 {
        return None;
    }
    if !text.contains(|c: char| ('1'..='9').contains(&c)) {
        return Some(Seconds::Zero);
    }
    let significant = whole.trim_start_matches('0');
    let Ok(seconds) = (if significant.is_empty() { "0" } else { significant }).parse() else {
        return Some(Seconds::Unusual);
    };
    let nanos = fraction.bytes().chain(std::iter::repeat(b'0')).take(9);
    let nanos = nanos.fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0'));
    let value = Duration::new(seconds, nanos);
    let is_more = fraction.bytes().skip(9).any(|digit| digit != b'0');
    let is_usual = (MIN_SECONDS..=MAX_SECONDS).contains(&value);
    Some(match is_usual && !(is_more && value == MAX_SECONDS) {
        true => Seconds::Usual(value),
        false => Seconds::Unusual,
    })
}

/// Digits and nothing else.
fn whole(text: &str) -> Option<u64> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

fn is_socket_path(path: &str) -> bool {
    // The root and the home are absolute.
    let is_absolute = ["/", "%r/", "%u/"].iter().any(|begin| path.starts_with(begin));
    is_absolute && path.len() <= SOCKET_PATH_MAX && !path.contains(char::is_control)
}

/// One of the forms of an IPv4 address that the C library takes besides four decimal numbers: fewer
/// parts, octal numbers with a leading zero, hexadecimal ones with `0x`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct HistoricIpv4 {
    /// Its parts read as decimal numbers, which is what most people mean.
    pub(crate) decimal: String,
    /// What the C library dials, if it dials anything and that differs.
    pub(crate) dialled: Option<String>,
}

impl fmt::Display for HistoricIpv4 {
    /// What it reads as, and what it is dialled as if that differs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "reads as {}", self.decimal)?;
        match &self.dialled {
            Some(dialled) => write!(f, " but would be dialled as {dialled}"),
            None => Ok(()),
        }
    }
}

impl HistoricIpv4 {
    /// `None` if the host is a strict address, or not made of numbers.
    pub(crate) fn of(host: &str) -> Option<HistoricIpv4> {
        let parts: Vec<&str> = host.split('.').collect();
        let hexadecimal = |part: &str| {
            let digits = part.strip_prefix("0x").or_else(|| part.strip_prefix("0X"))?;
            let is_good = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit());
            is_good.then(|| digits.to_owned())
        };
        let is_decimal = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        let is_number = |part: &&str| is_decimal(part) || hexadecimal(part).is_some();
        if parts.len() > 4 || !parts.iter().all(is_number) {
            return None;
        }
        if host.parse::<Ipv4Addr>().is_ok() {
            return None;
        }
        let read = |part: &&str| match hexadecimal(part) {
            Some(digits) => u64::from_str_radix(&digits, 16).ok().map(|n| n.to_string()),
            None => {
                let digits = part.trim_start_matches('0');
                Some(if digits.is_empty() { "0".to_owned() } else { digits.to_owned() })
            }
        };
        let decimal: Option<Vec<String>> = parts.iter().map(read).collect();
        let decimal = cut(&decimal.map_or_else(|| host.to_owned(), |parts| parts.join(".")));
        let dialled = inet_aton(&parts).map(|address| address.to_string());
        Some(HistoricIpv4 { dialled: dialled.filter(|dialled| *dialled != decimal), decimal })
    }
}

/// What the C library makes of numbers with points between them: the last one fills the rest.
fn inet_aton(parts: &[&str]) -> Option<Ipv4Addr> {
    let number = |part: &&str| match part.as_bytes() {
        [b'0', b'x' | b'X', ..] => u32::from_str_radix(&part[2..], 16).ok(),
        [b'0', _, ..] => u32::from_str_radix(part, 8).ok(),
        _ => part.parse().ok(),
    };
    let numbers: Option<Vec<u32>> = parts.iter().map(number).collect();
    let numbers = numbers?;
    let (last, first) = numbers.split_last()?;
    let rest_bits = 32 - 8 * u32::try_from(first.len()).ok()?;
    if first.iter().any(|number| *number > 255) || u64::from(*last) >> rest_bits != 0 {
        return None;
    }
    let high = first.iter().fold(0, |high: u64, number| high << 8 | u64::from(*number));
    u32::try_from(high << rest_bits | u64::from(*last)).ok().map(Into::into)
}

/// A host with its percents filled in; a `%` in an IPv6 address begins its scope.
pub(super) fn fill_host(text: &str, percents: &Percents) -> Result<String, ErrorKind> {
    if text.contains(':') || !text.contains('%') {
        return Ok(text.to_owned());
    }
    let filled = percents.fill(text);
    host(&filled).ok_or_else(|| ErrorKind::bad_value("addr", &filled, HOSTS))
}

/// A host without the brackets of an IPv6 address. `host:port` is not a host.
fn host(text: &str) -> Option<String> {
    let text = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let (address, _scope) = text.split_once('%').unwrap_or((text, ""));
    let good = match text.contains(':') {
        true => address.parse::<Ipv6Addr>().is_ok(),
        false => {
            !text.contains(|c: char| c.is_control() || c.is_whitespace() || "#/\"[]\\".contains(c))
        }
    };
    (good && is_name(text)).then(|| text.to_owned())
}

const MIN_SECONDS: Duration = Duration::from_millis(10);
const MAX_SECONDS: Duration = Duration::from_secs(86400);
/// What a socket's address holds on every system.
const SOCKET_PATH_MAX: usize = 103;

const SECONDS: &str = "seconds from 0.01 to 86400";
const SECONDS_OR_0: &str = "seconds from 0.01 to 86400, or 0 for none";
const ID: &str = "a whole number from 0 to 4294967295";
const QUEUE_BYTES: &str = "a whole number from 1024 to 1073741824";
const NODE_QUEUE_BYTES: &str = "a whole number from 1024 to 1099511627776";
const LISTENING_PORT: &str = "a port from 1 to 65535, 0 or auto";
const PORTS: &str = "ports from 1 to 65535";
const HOSTS: &str = "host names or addresses, without port";
const INTERFACES: &str = "host names or addresses, or * for all";
const UNIX: &str = "unix: and an absolute path of at most 103 bytes";
const PATH: &str = "one path";
const BOOLEAN: &str = "TRUE, FALSE or nothing";
const MODE: &str = "idle or always";
const NAME: &str = "one value of 1 to 255 bytes without control characters";
const LABEL: &str = "one value of 0 to 255 bytes without control characters";

#[cfg(test)]
mod tests {
    use super::*;

    // lesson 69
    #[test]
    fn historic_forms_of_addresses_are_read_as_people_and_as_the_c_library_do() {
        let form = |host: &str| {
            HistoricIpv4::of(host).map(|form| (form.decimal, form.dialled.unwrap_or_default()))
        };
        let cases = [
            ("192.168.001.010", "192.168.1.10", "192.168.1.8"),
            ("010.000.000.001", "10.0.0.1", "8.0.0.1"),
            ("127.1", "127.1", "127.0.0.1"),
            ("0x7f.1", "127.1", "127.0.0.1"),
            ("2130706433", "2130706433", "127.0.0.1"),
            ("0", "0", "0.0.0.0"),
            ("300.1.1.1", "300.1.1.1", ""),
            ("127.0.0.09", "127.0.0.9", ""),
            ("127.000.000.001", "127.0.0.1", ""),
            ("1.2.3.256", "1.2.3.256", ""),
            ("0X7F.0.0.1", "127.0.0.1", ""),
            ("4294967296", "4294967296", ""),
        ];
        for (host, decimal, dialled) in cases {
            assert_eq!(form(host), Some((decimal.to_owned(), dialled.to_owned())), "{host}");
        }
        for host in ["127.0.0.1", "1.2.3.4.5", "1.2.3.4.", "0x", "host1", "1e3", "::1", "a.1", ""] {
            assert_eq!(form(host), None, "{host}");
        }
    }
}
