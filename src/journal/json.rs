//! JSON, written and never read.
//!
//! Only plain printable characters are left unescaped: nothing can move a cursor or change the
//! writing direction, so that a journal on a terminal is safe too. The command uses this file as
//! well.

use std::fmt::{Display, Write};
use std::time::Duration;

use super::Escaped;

/// An object in the making; fields appear in the order of the calls.
pub(crate) struct Object {
    text: String,
}

impl Object {
    pub(crate) fn new() -> Self {
        Self { text: "{".to_owned() }
    }

    pub(crate) fn string(self, key: &str, value: &str) -> Self {
        self.raw(key, &quoted(value))
    }

    pub(crate) fn number(self, key: &str, value: impl Into<u64>) -> Self {
        let value: u64 = value.into();
        self.raw(key, &value.to_string())
    }

    pub(crate) fn bool(self, key: &str, value: bool) -> Self {
        self.raw(key, if value { "true" } else { "false" })
    }

    /// Milliseconds with up to three decimals; `None` is null.
    pub(crate) fn ms(self, key: &str, value: impl Into<Option<Duration>>) -> Self {
        match value.into() {
            Some(value) => self.raw(key, &millis(value)),
            None => self.null(key),
        }
    }

    pub(crate) fn null(self, key: &str) -> Self {
        self.raw(key, "null")
    }

    /// A value that is JSON already.
    pub(crate) fn raw(mut self, key: &str, json: &str) -> Self {
        if self.text.len() > 1 {
            self.text.push(',');
        }
        // Keys are ours, and need no escape.
        self.text.push('"');
        self.text.push_str(key);
        self.text.push_str("\":");
        self.text.push_str(json);
        self
    }

    pub(crate) fn finish(mut self) -> String {
        self.text.push('}');
        self.text
    }
}

/// A string in quotes.
pub(crate) fn quoted(text: impl Display) -> String {
    let text = text.to_string();
    let mut json = String::with_capacity(text.len() + 2);
    json.push('"');
    for c in text.chars() {
        match c {
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            '\n' => json.push_str("\\n"),
            '\r' => json.push_str("\\r"),
            '\t' => json.push_str("\\t"),
            c if Escaped::is_shown(c) => json.push(c),
            // Beyond U+FFFF a character is two escapes, a surrogate pair; never a lone one.
            c => c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| push_unit(&mut json, *unit)),
        }
    }
    json.push('"');
    json
}

fn push_unit(json: &mut String, unit: u16) {
    // Writing to a String cannot fail.
    let _ = write!(json, "\\u{unit:04x}");
}

/// Cut to whole microseconds, not rounded: a measured time never looks longer than it was.
fn millis(value: Duration) -> String {
    let micros = value.as_micros();
    let (whole, fraction) = (micros / 1000, format!("{:03}", micros % 1000));
    match fraction.trim_end_matches('0') {
        "" => whole.to_string(),
        fraction => format!("{whole}.{fraction}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_escaped_whatever_is_in_them() {
        let table = [
            ("", r#""""#),
            ("plain ü 漢", r#""plain ü 漢""#),
            ("a\"b\\c/", r#""a\"b\\c/""#),
            (
                "\0\u{1}\u{8}\t\n\u{b}\u{c}\r\u{1f}",
                r#""\u0000\u0001\u0008\t\n\u000b\u000c\r\u001f""#,
            ),
            ("\u{7f}\u{85}\u{2028}\u{202e}", r#""\u007f\u0085\u2028\u202e""#),
            ("\u{e0001}\u{1f600}", "\"\\udb40\\udc01\u{1f600}\""),
        ];
        for (text, json) in table {
            assert_eq!(quoted(text), json);
        }
    }

    #[test]
    fn milliseconds_keep_microseconds_and_no_more() {
        let table = [
            (0, "0"),
            (999, "0"),
            (1_000, "0.001"),
            (1_500_000_000, "1500"),
            (7_000_123_999, "7000.123"),
            (250_000, "0.25"),
            (100_000_000, "100"),
        ];
        for (nanos, json) in table {
            assert_eq!(millis(Duration::from_nanos(nanos)), json);
        }
        assert_eq!(millis(Duration::MAX), "18446744073709551615999.999");
    }

    #[test]
    fn fields_keep_their_order() {
        let object = Object::new()
            .string("a", "x")
            .number("b", 7_u32)
            .ms("c", None)
            .ms("d", Duration::from_micros(1_500))
            .bool("e", true)
            .raw("f", "[1,\"y\"]")
            .finish();
        assert_eq!(object, r#"{"a":"x","b":7,"c":null,"d":1.5,"e":true,"f":[1,"y"]}"#);
        assert_eq!(Object::new().finish(), "{}");
    }
}
