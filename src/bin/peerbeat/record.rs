//! Records of a journal, read back.
//!
//! A journal may come from anywhere: nothing in it makes this panic, recurse or allocate without
//! bound, and a line that is not a record is skipped and counted by the reader.

use std::time::Duration;

/// A JSON value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Number(f64),
    Text(String),
    Array(Vec<Value>),
    Object(Vec<(String, Value)>),
}

/// One line of a journal.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Record {
    /// Since 1970.
    pub(crate) at: Duration,
    pub(crate) event: String,
    fields: Vec<(String, Value)>,
}

impl Record {
    /// Parses a line; `None` if it is not a record of a known version.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let mut parser = Parser { rest: line.trim().as_bytes(), depth: 0 };
        let Value::Object(fields) = parser.value()? else { return None };
        let mut record = Self { at: Duration::ZERO, event: String::new(), fields };
        if !parser.rest.is_empty() || record.number("v") != Some(1.0) {
            return None;
        }
        record.at = parse_time(record.text("at")?)?;
        record.event = record.text("event")?.to_owned();
        Some(record)
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Value> {
        self.fields.iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        match self.get(key)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn number(&self, key: &str) -> Option<f64> {
        self.get(key)?.number()
    }

    /// A count; 0 if there is none.
    pub(crate) fn count(&self, key: &str) -> u64 {
        self.number(key).unwrap_or_default() as u64
    }

    /// A number of milliseconds.
    pub(crate) fn ms(&self, key: &str) -> Option<Duration> {
        self.get(key)?.ms()
    }
}

impl Value {
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Object(fields) => fields.iter().find(|(name, _)| name == key).map(|(_, v)| v),
            _ => None,
        }
    }

    pub(crate) fn number(&self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number),
            _ => None,
        }
    }

    pub(crate) fn ms(&self) -> Option<Duration> {
        Duration::try_from_secs_f64(self.number()? / 1000.0).ok()
    }
}

/// `2026-03-04T05:06:07.000008Z`, as a journal has it: UTC, with or without a fraction.
fn parse_time(text: &str) -> Option<Duration> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let mut date = date.splitn(3, '-').map(|part| part.parse::<u64>().ok());
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let mut time = time.splitn(3, ':');
    let (hour, minute) = (time.next()?.parse::<u64>().ok()?, time.next()?.parse::<u64>().ok()?);
    let second: f64 = time.next()?.parse().ok()?;
    let fits = (1970..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && (0.0..61.0).contains(&second);
    if !fits {
        return None;
    }
    let seconds = days_from_1970(year, month, day) * 86_400 + hour * 3600 + minute * 60;
    // Through microseconds: a fraction of binary digits would be a nanosecond short.
    let micros = (second * 1e6).round() as u64;
    Some(Duration::from_secs(seconds) + Duration::from_micros(micros))
}

/// Years are counted from March, so that the leap day is the last of its year.
fn days_from_1970(year: u64, month: u64, day: u64) -> u64 {
    let (year, month) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1;
    days - 719_468
}

struct Parser<'a> {
    rest: &'a [u8],
    depth: u32,
}

impl Parser<'_> {
    fn value(&mut self) -> Option<Value> {
        self.blanks();
        let value = match *self.rest.first()? {
            b'"' => Value::Text(self.string()?),
            b'{' => self.nested(Self::object)?,
            b'[' => self.nested(Self::array)?,
            b't' => self.word("true", Value::Bool(true))?,
            b'f' => self.word("false", Value::Bool(false))?,
            b'n' => self.word("null", Value::Null)?,
            _ => self.number()?,
        };
        self.blanks();
        Some(value)
    }

    fn nested(&mut self, parse: fn(&mut Self) -> Option<Value>) -> Option<Value> {
        self.depth += 1;
        let value = if self.depth <= DEPTH_MAX { parse(self) } else { None };
        self.depth -= 1;
        value
    }

    fn object(&mut self) -> Option<Value> {
        let mut fields = Vec::new();
        self.eat(b'{')?;
        self.blanks();
        while self.eat(b'}').is_none() {
            if !fields.is_empty() {
                self.eat(b',')?;
                self.blanks();
            }
            let key = self.string()?;
            self.blanks();
            self.eat(b':')?;
            fields.push((key, self.value()?));
        }
        Some(Value::Object(fields))
    }

    fn array(&mut self) -> Option<Value> {
        let mut values = Vec::new();
        self.eat(b'[')?;
        self.blanks();
        while self.eat(b']').is_none() {
            if !values.is_empty() {
                self.eat(b',')?;
            }
            values.push(self.value()?);
        }
        Some(Value::Array(values))
    }

    fn string(&mut self) -> Option<String> {
        self.eat(b'"')?;
        let mut bytes = Vec::new();
        loop {
            let plain = self.rest.iter().position(|byte| matches!(byte, b'"' | b'\\'))?;
            bytes.extend_from_slice(&self.rest[..plain]);
            let end = self.rest[plain];
            self.rest = &self.rest[plain + 1..];
            if end == b'"' {
                return String::from_utf8(bytes).ok();
            }
            let escape = *self.rest.first()?;
            self.rest = &self.rest[1..];
            let c = match escape {
                b'"' | b'\\' | b'/' => char::from(escape),
                b'n' => '\n',
                b'r' => '\r',
                b't' => '\t',
                b'b' => '\u{8}',
                b'f' => '\u{c}',
                b'u' => self.unicode()?,
                _ => return None,
            };
            bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }

    /// Four hexadecimal digits, or two times that with `\u` between: a surrogate pair.
    fn unicode(&mut self) -> Option<char> {
        let first = self.unit()?;
        if !(0xd800..0xdc00).contains(&first) {
            return char::from_u32(first.into());
        }
        self.eat(b'\\')?;
        self.eat(b'u')?;
        let second = self.unit()?;
        char::decode_utf16([first, second]).next()?.ok()
    }

    fn unit(&mut self) -> Option<u16> {
        let digits = std::str::from_utf8(self.rest.get(..4)?).ok()?;
        let unit = u16::from_str_radix(digits, 16).ok()?;
        self.rest = &self.rest[4..];
        Some(unit)
    }

    fn number(&mut self) -> Option<Value> {
        let is_part = |byte: &u8| byte.is_ascii_digit() || b"+-.eE".contains(byte);
        let length = self.rest.iter().take_while(|byte| is_part(byte)).count();
        let number: f64 = std::str::from_utf8(&self.rest[..length]).ok()?.parse().ok()?;
        self.rest = &self.rest[length..];
        number.is_finite().then_some(Value::Number(number))
    }

    fn word(&mut self, word: &str, value: Value) -> Option<Value> {
        self.rest = self.rest.strip_prefix(word.as_bytes())?;
        Some(value)
    }

    fn eat(&mut self, byte: u8) -> Option<()> {
        let (first, rest) = self.rest.split_first()?;
        (*first == byte).then(|| self.rest = rest)
    }

    fn blanks(&mut self) {
        self.rest = self.rest.trim_ascii_start();
    }
}

/// A journal has objects in objects, and no more.
const DEPTH_MAX: u32 = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::UNIX_EPOCH;

    const HEAD: &str = r#""v":1,"at":"2026-11-28T13:42:39.000008Z","event":"late""#;

    #[test]
    fn records_are_read_as_they_were_written() {
        let line = format!(
            r#"{{{HEAD},"peer":"a\"\\\n\u0041\ud83d\ude00ü","silent_ms":1500.25,"x":null,"y":[1,{{}}],"z":{{"p50_ms":2,"ok":true}}}}"#
        );
        let record = Record::parse(&line).expect("a record");
        assert_eq!(record.event, "late");
        assert_eq!(record.text("peer"), Some("a\"\\\nA\u{1f600}ü"));
        assert_eq!(record.ms("silent_ms"), Some(Duration::from_micros(1_500_250)));
        assert_eq!((record.number("x"), record.count("x")), (None, 0));
        let z = record.get("z").expect("an object");
        assert_eq!(z.get("p50_ms").and_then(Value::ms), Some(Duration::from_millis(2)));
        assert_eq!(z.get("ok"), Some(&Value::Bool(true)));
    }

    #[test]
    fn times_come_back_as_they_were_written() {
        for seconds in [0, 951_782_399, 951_782_400, 1_709_164_800, 4_107_542_400] {
            let time = Duration::from_secs(seconds) + Duration::from_micros(123_457);
            let written = crate::clock::written(UNIX_EPOCH + time);
            assert_eq!(parse_time(&written), Some(time), "{written}");
        }
        for wrong in ["", "2026-01-01", "2026-13-01T00:00:00Z", "1960-01-01T00:00:00Z", "xTyZ"] {
            assert_eq!(parse_time(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_line_that_is_not_a_record_is_none_and_never_a_panic() {
        let deep = "[".repeat(100_000);
        let whole = format!("{{{HEAD}}}");
        for wrong in ["", "{", "null", "[1]", "{}", "{\"v\":2}", &deep, r#"{"v":1,"at":"x"}"#] {
            assert_eq!(Record::parse(wrong), None);
        }
        assert!(Record::parse(&whole).is_some());
        for end in 0..whole.len() {
            assert_eq!(Record::parse(&whole[..end]), None, "cut at {end}");
        }
        assert_eq!(Record::parse(&(whole + "x")), None);
    }
}
