use super::Value;

/// How deep arrays and objects may nest: a guest's stack is small.
const MAX_DEPTH: usize = 64;

/// Reads one JSON value and nothing else around it but white space. The error says what was found at which byte.
///
/// A `\u` escape that is half of a surrogate pair becomes U+FFFD, as bytes that are no UTF-8 do.
pub fn parse(input: &[u8]) -> Result<Value, String> {
    let text = String::from_utf8_lossy(input);
    let mut p = Parser { text: &text, at: 0 };
    p.space();
    let v = p.value(0)?;
    p.space();
    match p.peek() {
        None => Ok(v),
        Some(_) => Err(p.unexpected("the end")),
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize, // a byte of text, always at the border of a character
}

impl Parser<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\n' | b'\t' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    fn unexpected(&self, wanted: &str) -> String {
        match self.text[self.at..].chars().next() {
            Some(c) => format!("no JSON: {:?} at byte {}, where {} should be", c, self.at, wanted),
            None => format!("no JSON: it ends at byte {}, where {} should be", self.at, wanted),
        }
    }

    fn value(&mut self, depth: usize) -> Result<Value, String> {
        match self.peek() {
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'"') => self.string().map(Value::String),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true", Value::Bool(true)),
            Some(b'f') => self.word("false", Value::Bool(false)),
            Some(b'n') => self.word("null", Value::Null),
            _ => Err(self.unexpected("a value")),
        }
    }

    fn word(&mut self, word: &str, v: Value) -> Result<Value, String> {
        if !self.text[self.at..].starts_with(word) {
            return Err(self.unexpected("a value"));
        }
        self.at += word.len();
        Ok(v)
    }

    /// Goes into an array or object. It tells whether there is anything in it.
    fn open(&mut self, depth: usize, end: u8) -> Result<bool, String> {
        if depth >= MAX_DEPTH {
            return Err(format!("no JSON of ours: it nests deeper than {} at byte {}", MAX_DEPTH, self.at));
        }
        self.at += 1;
        self.space();
        let filled = self.peek() != Some(end);
        if !filled {
            self.at += 1;
        }
        Ok(filled)
    }

    /// Goes on behind an element. It tells whether another one follows.
    fn next(&mut self, end: u8) -> Result<bool, String> {
        self.space();
        let more = match self.peek() {
            Some(b',') => true,
            Some(b) if b == end => false,
            _ => return Err(self.unexpected("a comma or the end of the list or object")),
        };
        self.at += 1;
        self.space();
        Ok(more)
    }

    fn array(&mut self, depth: usize) -> Result<Value, String> {
        let mut items = Vec::new();
        let mut more = self.open(depth, b']')?;
        while more {
            items.push(self.value(depth + 1)?);
            more = self.next(b']')?;
        }
        Ok(Value::Array(items))
    }

    fn object(&mut self, depth: usize) -> Result<Value, String> {
        let mut members = Vec::new();
        let mut more = self.open(depth, b'}')?;
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
            members.push((name, self.value(depth + 1)?));
            more = self.next(b'}')?;
        }
        Ok(Value::Object(members))
    }

    fn digits(&mut self) -> Result<(), String> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        if self.at == start {
            return Err(self.unexpected("a digit"));
        }
        Ok(())
    }

    fn number(&mut self) -> Result<Value, String> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        let mut whole = true;
        if self.peek() == Some(b'.') {
            whole = false;
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            whole = false;
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        let text = &self.text[start..self.at];
        if let (true, Ok(n)) = (whole, text.parse()) {
            return Ok(Value::Int(n));
        }
        match text.parse::<f64>() {
            Ok(n) if n.is_finite() => Ok(Value::Float(n)),
            _ => Ok(Value::Huge(text.to_string())),
        }
    }

    fn string(&mut self) -> Result<String, String> {
        self.at += 1;
        let mut out = String::new();
        loop {
            let rest = &self.text[self.at..];
            let plain = rest.bytes().position(|b| b == b'"' || b == b'\\' || b < b' ').unwrap_or(rest.len());
            out.push_str(&rest[..plain]);
            self.at += plain;
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(out);
                }
                Some(b'\\') => out.push(self.escape()?),
                _ => return Err(self.unexpected("the end of a string")),
            }
        }
    }

    fn escape(&mut self) -> Result<char, String> {
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
    fn unicode(&mut self) -> Result<char, String> {
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

    fn hex4(&mut self) -> Result<u32, String> {
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
