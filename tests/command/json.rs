//! A small, strict JSON reader; keys keep their order.
//!
//! It fails the test if the text is not JSON.

/// A JSON value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Number(f64),
    String(String),
    Array(Vec<Value>),
    Object(Vec<(String, Value)>),
}

impl Value {
    /// The whole text as one value.
    pub(crate) fn parse(text: &str) -> Value {
        let mut parser = Parser { text, rest: text };
        let value = parser.value();
        assert!(parser.rest.is_empty(), "something follows the value in {text}");
        value
    }

    /// The field of an object; panics if there is none.
    pub(crate) fn get(&self, key: &str) -> &Value {
        let field = self.fields().iter().find(|(name, _)| name == key);
        &field.unwrap_or_else(|| panic!("no {key} in {self:?}")).1
    }

    pub(crate) fn keys(&self) -> Vec<&str> {
        self.fields().iter().map(|(name, _)| name.as_str()).collect()
    }

    pub(crate) fn str(&self, key: &str) -> &str {
        match self.get(key) {
            Value::String(text) => text,
            other => panic!("{key} is {other:?}"),
        }
    }

    pub(crate) fn number(&self, key: &str) -> f64 {
        match self.get(key) {
            Value::Number(number) => *number,
            other => panic!("{key} is {other:?}"),
        }
    }

    pub(crate) fn array(&self, key: &str) -> &[Value] {
        match self.get(key) {
            Value::Array(values) => values,
            other => panic!("{key} is {other:?}"),
        }
    }

    fn fields(&self) -> &[(String, Value)] {
        match self {
            Value::Object(fields) => fields,
            other => panic!("not an object: {other:?}"),
        }
    }
}

struct Parser<'a> {
    text: &'a str,
    rest: &'a str,
}

impl Parser<'_> {
    fn value(&mut self) -> Value {
        match self.rest.chars().next() {
            Some('{') => self.object(),
            Some('[') => self.array(),
            Some('"') => Value::String(self.string()),
            Some('-' | '0'..='9') => self.number(),
            _ if self.takes("null") => Value::Null,
            _ if self.takes("true") => Value::Bool(true),
            _ if self.takes("false") => Value::Bool(false),
            _ => self.fail("a value"),
        }
    }

    fn object(&mut self) -> Value {
        let mut fields: Vec<(String, Value)> = Vec::new();
        self.must("{");
        while !self.takes("}") {
            if !fields.is_empty() {
                self.must(",");
            }
            let key = self.string();
            assert!(fields.iter().all(|(name, _)| *name != key), "{key} twice in {}", self.text);
            self.must(":");
            fields.push((key, self.value()));
        }
        Value::Object(fields)
    }

    fn array(&mut self) -> Value {
        let mut values = Vec::new();
        self.must("[");
        while !self.takes("]") {
            if !values.is_empty() {
                self.must(",");
            }
            values.push(self.value());
        }
        Value::Array(values)
    }

    fn number(&mut self) -> Value {
        let is_part = |c: char| c.is_ascii_digit() || "+-.eE".contains(c);
        let end = self.rest.find(|c| !is_part(c)).unwrap_or(self.rest.len());
        let (number, rest) = self.rest.split_at(end);
        let digits = number.strip_prefix('-').unwrap_or(number);
        let whole = digits.split(['.', 'e', 'E']).next().unwrap_or_default();
        if whole.is_empty() || (whole.len() > 1 && whole.starts_with('0')) || digits.ends_with('.')
        {
            self.fail("a number");
        }
        self.rest = rest;
        number.parse().map(Value::Number).unwrap_or_else(|_| self.fail("a number"))
    }

    fn string(&mut self) -> String {
        let mut units = Vec::new();
        self.must("\"");
        loop {
            let Some(c) = self.rest.chars().next() else { self.fail("the end of a string") };
            self.rest = &self.rest[c.len_utf8()..];
            match c {
                '"' => return String::from_utf16(&units).expect("no lone surrogates"),
                '\\' => units.push(self.escape()),
                c if c < ' ' => self.fail("a control character that is escaped"),
                c => units.extend_from_slice(c.encode_utf16(&mut [0; 2])),
            }
        }
    }

    fn escape(&mut self) -> u16 {
        let simple = [
            ("\"", 0x22),
            ("\\", 0x5c),
            ("/", 0x2f),
            ("b", 8),
            ("f", 12),
            ("n", 10),
            ("r", 13),
            ("t", 9),
        ];
        for (letter, unit) in simple {
            if self.takes(letter) {
                return unit;
            }
        }
        self.must("u");
        let Some(digits) = self.rest.get(..4) else { self.fail("four digits") };
        self.rest = &self.rest[4..];
        u16::from_str_radix(digits, 16).unwrap_or_else(|_| self.fail("four digits"))
    }

    fn takes(&mut self, what: &str) -> bool {
        match self.rest.strip_prefix(what) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn must(&mut self, what: &str) {
        if !self.takes(what) {
            self.fail(what);
        }
    }

    fn fail(&self, wanted: &str) -> ! {
        panic!("wanted {wanted} at {:?} of {}", self.rest, self.text)
    }
}
