use std::borrow::Cow;

use super::Value;

/// How deep arrays and objects may nest: a guest's stack is small.
const MAX_DEPTH: usize = 64;

/// Reads one JSON value and nothing else around it but white space. The error says what was found at which byte.
///
/// A `\u` escape that is half of a surrogate pair becomes U+FFFD, as bytes that are no UTF-8 do.
pub fn parse(input: &[u8]) -> Result<Value, String> {
    whole(input, |r| r.value()).map_err(Fault::text)
}

/// Runs `read` on the whole of an input.
pub(super) fn whole<T>(input: &[u8], read: impl FnOnce(&mut Reader) -> Result<T, Fault>) -> Result<T, Fault> {
    let text = String::from_utf8_lossy(input);
    let mut r = Reader { text: &text, at: 0, depth: 0 };
    r.space();
    let v = read(&mut r)?;
    r.space();
    match r.peek() {
        None => Ok(v),
        Some(_) => Err(r.unexpected("the end")),
    }
}

/// Why something could not be read.
#[derive(Debug)]
pub enum Fault {
    /// It is no JSON.
    Syntax(String),
    /// It is JSON of another shape. The text starts with the path to it: `.limit: a string, where an integer should be`.
    Shape(String),
}

impl Fault {
    pub(super) fn text(self) -> String {
        match self {
            Fault::Syntax(text) => text,
            Fault::Shape(text) => text.trim_start_matches(['.', ':', ' '].as_slice()).to_string(),
        }
    }

    /// Puts a step in front of the path.
    pub(super) fn below(self, step: std::fmt::Arguments) -> Fault {
        match self {
            Fault::Shape(text) => Fault::Shape(format!("{}{}", step, text)),
            syntax => syntax,
        }
    }
}

/// Reads JSON from its beginning to its end, once: what [`Decode`](super::Decode) reads from.
pub struct Reader<'a> {
    text: &'a str,
    at: usize, // a byte of text, always at the border of a character
    depth: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\n' | b'\t' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    #[cold]
    #[inline(never)]
    fn unexpected(&self, wanted: &str) -> Fault {
        Fault::Syntax(match self.text[self.at..].chars().next() {
            Some(c) => format!("no JSON: {:?} at byte {}, where {} should be", c, self.at, wanted),
            None => format!("no JSON: it ends at byte {}, where {} should be", self.at, wanted),
        })
    }

    /// The value that comes next.
    pub(super) fn value(&mut self) -> Result<Value, Fault> {
        match self.peek() {
            Some(b'{') => {
                let mut members = Vec::new();
                self.members(&mut |r, name| {
                    let v = r.value()?;
                    members.push((name.to_string(), v));
                    Ok(())
                })?;
                Ok(Value::Object(members))
            }
            Some(b'[') => {
                let mut items = Vec::new();
                self.items(&mut |r, _| {
                    let v = r.value()?;
                    items.push(v);
                    Ok(())
                })?;
                Ok(Value::Array(items))
            }
            Some(b'"') => Ok(Value::String(self.string()?.into_owned())),
            Some(b'-' | b'0'..=b'9') => self.number().map(Number::value),
            Some(b't') => self.word("true").map(|()| Value::Bool(true)),
            Some(b'f') => self.word("false").map(|()| Value::Bool(false)),
            _ => self.word("null").map(|()| Value::Null),
        }
    }

    /// Goes past the value that comes next.
    pub(super) fn skip(&mut self) -> Result<(), Fault> {
        match self.peek() {
            Some(b'{') => self.members(&mut |r, _| r.skip()),
            Some(b'[') => self.items(&mut |r, _| r.skip()),
            Some(b'"') => self.string().map(drop),
            Some(b'-' | b'0'..=b'9') => self.number().map(drop),
            Some(b't') => self.word("true"),
            Some(b'f') => self.word("false"),
            _ => self.word("null"),
        }
    }

    /// Goes past a `null`, if there is one.
    pub(super) fn null(&mut self) -> Result<bool, Fault> {
        if self.peek() != Some(b'n') {
            return Ok(false);
        }
        self.word("null").map(|()| true)
    }

    pub(super) fn word(&mut self, word: &str) -> Result<(), Fault> {
        if !self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
            return Err(self.unexpected("a value"));
        }
        self.at += word.len();
        Ok(())
    }

    /// Goes into an array or object. It tells whether there is anything in it.
    fn open(&mut self, end: u8) -> Result<bool, Fault> {
        if self.depth >= MAX_DEPTH {
            return Err(Fault::Syntax(format!("no JSON of ours: it nests deeper than {} at byte {}", MAX_DEPTH, self.at)));
        }
        self.at += 1;
        self.space();
        let filled = self.peek() != Some(end);
        if filled {
            self.depth += 1;
        } else {
            self.at += 1;
        }
        Ok(filled)
    }

    /// Goes on behind an element. It tells whether another one follows.
    fn next(&mut self, end: u8) -> Result<bool, Fault> {
        self.space();
        let more = match self.peek() {
            Some(b',') => true,
            Some(b) if b == end => false,
            _ => return Err(self.unexpected("a comma or the end of the list or object")),
        };
        self.at += 1;
        if more {
            self.space();
        } else {
            self.depth -= 1;
        }
        Ok(more)
    }

    /// Calls `each` at every element of an array, with its index; it must read the element.
    pub(super) fn items(&mut self, each: &mut dyn FnMut(&mut Self, usize) -> Result<(), Fault>) -> Result<(), Fault> {
        let mut more = self.open(b']')?;
        let mut i = 0;
        while more {
            each(self, i)?;
            i += 1;
            more = self.next(b']')?;
        }
        Ok(())
    }

    /// Calls `each` at every member of an object, with its name; it must read the value.
    pub(super) fn members(&mut self, each: &mut dyn FnMut(&mut Self, &str) -> Result<(), Fault>) -> Result<(), Fault> {
        let mut more = self.open(b'}')?;
        while more {
            if self.peek() != Some(b'"') {
                return Err(self.unexpected("a name"));
            }
            let name = self.string()?;
            self.space();
            if self.peek() != Some(b':') {
                return Err(self.unexpected("a colon"));
            }
            self.at += 1;
            self.space();
            each(self, &name)?;
            more = self.next(b'}')?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), Fault> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        if self.at == start {
            return Err(self.unexpected("a digit"));
        }
        Ok(())
    }

    pub(super) fn number(&mut self) -> Result<Number<'a>, Fault> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        let mut point = None;
        if self.peek() == Some(b'.') {
            self.at += 1;
            point = Some(self.at);
            self.digits()?;
        }
        let places = point.map(|p| self.at - p);
        let mut exponent = false;
        if let Some(b'e' | b'E') = self.peek() {
            exponent = true;
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(Number { text: &self.text[start..self.at], places, exponent })
    }

    /// The string that comes next; it is copied only where something in it is escaped.
    pub(super) fn string(&mut self) -> Result<Cow<'a, str>, Fault> {
        self.at += 1;
        let start = self.at;
        self.plain();
        if self.peek() == Some(b'"') {
            self.at += 1;
            return Ok(Cow::Borrowed(&self.text[start..self.at - 1]));
        }
        let mut out = self.text[start..self.at].to_string();
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(Cow::Owned(out));
                }
                Some(b'\\') => out.push(self.escape()?),
                _ => return Err(self.unexpected("the end of a string")),
            }
            let start = self.at;
            self.plain();
            out.push_str(&self.text[start..self.at]);
        }
    }

    /// Goes to what is not plain text in a string.
    fn plain(&mut self) {
        let rest = &self.text.as_bytes()[self.at..];
        self.at += rest.iter().position(|b| *b == b'"' || *b == b'\\' || *b < b' ').unwrap_or(rest.len());
    }

    fn escape(&mut self) -> Result<char, Fault> {
        self.at += 1;
        let c = match self.peek() {
            Some(c @ (b'"' | b'\\' | b'/')) => c as char,
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode(),
            _ => return Err(self.unexpected("an escaped character")),
        };
        self.at += 1;
        Ok(c)
    }

    /// Reads the `uXXXX` of an escape, and of a second one when both make one character.
    fn unicode(&mut self) -> Result<char, Fault> {
        self.at += 1;
        let first = self.hex4()?;
        if (0xd800..0xdc00).contains(&first) && self.text[self.at..].starts_with("\\u") {
            let back = self.at;
            self.at += 2;
            let second = self.hex4()?;
            if (0xdc00..0xe000).contains(&second) {
                let c = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
                return Ok(char::from_u32(c).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            self.at = back;
        }
        Ok(char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn hex4(&mut self) -> Result<u32, Fault> {
        let mut n = 0;
        for _ in 0..4 {
            match self.peek().and_then(|b| (b as char).to_digit(16)) {
                Some(d) => n = n * 16 + d,
                None => return Err(self.unexpected("a hexadecimal digit")),
            }
            self.at += 1;
        }
        Ok(n)
    }
}

/// A number as it is written.
pub(super) struct Number<'a> {
    text: &'a str,
    places: Option<usize>, // digits after the point
    exponent: bool,
}

/// Powers of ten that an f64 holds exactly.
const TENS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
];

impl Number<'_> {
    /// The number, if it has no fraction and no exponent and fits.
    pub(super) fn int(&self) -> Option<i64> {
        if self.places.is_some() || self.exponent {
            return None;
        }
        match self.short() {
            Some(n) => Some(n),
            None => self.text.parse().ok(),
        }
    }

    /// The number, which is infinite when it lies beyond all bounds.
    pub(super) fn float(&self) -> f64 {
        let places = self.places.unwrap_or(0);
        match self.short() {
            // Both are exact, and so their quotient is rounded once.
            Some(n) if n.abs() < 1 << 53 && places < TENS.len() => n as f64 / TENS[places],
            _ => self.text.parse().unwrap_or(f64::INFINITY),
        }
    }

    /// The digits as one integer, if they are few.
    fn short(&self) -> Option<i64> {
        if self.text.len() > 18 || self.exponent {
            return None;
        }
        let digits = self.text.bytes().filter(u8::is_ascii_digit);
        let n = digits.fold(0, |n, b| n * 10 + i64::from(b - b'0'));
        Some(if self.text.starts_with('-') { -n } else { n })
    }

    pub(super) fn value(self) -> Value {
        if let Some(n) = self.int() {
            return Value::Int(n);
        }
        match self.float() {
            n if n.is_finite() => Value::Float(n),
            _ => Value::Huge(self.text.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads() {
        let text = |s: &str| Value::String(s.to_string());
        for (input, want) in [
            ("null", Value::Null),
            (" true ", Value::Bool(true)),
            ("-12", Value::Int(-12)),
            ("9223372036854775807", Value::Int(i64::MAX)),
            ("9223372036854775808", Value::Float(9223372036854775808.0)),
            ("1.5e2", Value::Float(150.0)),
            ("-1e999", Value::Huge("-1e999".to_string())),
            (r#""a\n\"\u00e9\ud83d\ude00""#, text("a\n\"é😀")),
            (r#""\ud83dx""#, text("\u{fffd}x")),
            (r#""\ud83d\u0041""#, text("\u{fffd}A")),
            ("[]", Value::Array(vec![])),
            ("[1, 2]", Value::Array(vec![Value::Int(1), Value::Int(2)])),
            (r#"{"a" : {}}"#, Value::Object(vec![("a".to_string(), Value::Object(vec![]))])),
        ] {
            assert_eq!(parse(input.as_bytes()), Ok(want), "{}", input);
        }
    }

    #[test]
    fn the_last_of_two_members_counts() {
        let v = parse(br#"{"a":1,"a":2}"#).unwrap();
        assert_eq!(v.get("a").and_then(Value::as_i64), Some(2));
    }

    #[test]
    fn refuses() {
        let deep = "[".repeat(100_000);
        for input in [
            "", " ", "{", "[1", "[1,]", "{,}", r#"{"a"}"#, r#"{"a":}"#, r#"{a:1}"#, "tru", "nul", "01", "-", "1.", ".5", "1e", "+1", "NaN", "\"a", "\"\n\"",
            r#""\x""#, r#""\u12g4""#, "1 2", "]", &deep,
        ] {
            assert!(parse(input.as_bytes()).is_err(), "{:.20}", input);
        }
    }

    #[test]
    fn bytes_that_are_no_text_become_replacement_characters() {
        assert_eq!(parse(b"\"a\xffb\""), Ok(Value::String("a\u{fffd}b".to_string())));
    }
}
