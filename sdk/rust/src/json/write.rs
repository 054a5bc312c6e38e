use std::collections::BTreeMap;

use super::Value;

/// What can be written as JSON.
pub trait Encode {
    fn encode(&self, w: &mut Writer);

    /// Tells whether this is `None` or `null`; such a field is left out of an object.
    fn is_none(&self) -> bool {
        false
    }

    /// Tells whether this is the zero value, which the other side takes for an absent field.
    fn is_zero(&self) -> bool {
        self.is_none()
    }
}

/// Writes a value as JSON, the same bytes for the same value. A number that is infinite or none at all is an error.
pub fn encode<T: Encode + ?Sized>(v: &T) -> Result<Vec<u8>, String> {
    encode_as(v, false)
}

/// Writes a value to be read again at once: with `telling`, a number that was written with a fraction or exponent has one again.
pub(super) fn encode_as<T: Encode + ?Sized>(v: &T, telling: bool) -> Result<Vec<u8>, String> {
    let mut w = Writer { out: String::new(), fault: None, telling };
    v.encode(&mut w);
    match w.fault {
        None => Ok(w.out.into_bytes()),
        Some(fault) => Err(fault),
    }
}

/// Where [`Encode`] writes to.
pub struct Writer {
    out: String,
    fault: Option<String>,
    telling: bool,
}

impl Writer {
    pub fn null(&mut self) {
        self.out.push_str("null");
    }

    pub fn bool(&mut self, b: bool) {
        self.out.push_str(if b { "true" } else { "false" });
    }

    pub fn int(&mut self, n: i64) {
        let mut digits = [0; 20];
        let mut at = digits.len();
        let mut rest = n.unsigned_abs();
        loop {
            at -= 1;
            digits[at] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        if n < 0 {
            self.out.push('-');
        }
        self.out.extend(digits[at..].iter().map(|d| *d as char));
    }

    /// Writes the shortest digits that give `n` again, with an exponent below 1e-6 and from 1e21 on, as ECMAScript does.
    pub fn float(&mut self, n: f64) {
        if !n.is_finite() {
            self.fault.get_or_insert(format!("{} is no number that JSON can write", n));
            return self.null();
        }
        let size = n.abs();
        if size < 1e15 && n == n.trunc() {
            self.int(n as i64); // and 0 instead of -0
        } else if size < 1e-6 {
            self.out.push_str(&format!("{:e}", n));
        } else if size < 1e21 {
            self.out.push_str(&n.to_string());
        } else {
            self.out.push_str(&format!("{:e}", n).replace('e', "e+"));
        }
    }

    pub fn string(&mut self, s: &str) {
        self.out.push('"');
        let mut rest = s;
        while let Some(plain) = rest.bytes().position(|b| b == b'"' || b == b'\\' || b < b' ') {
            self.out.push_str(&rest[..plain]);
            match rest.as_bytes()[plain] {
                b'"' => self.out.push_str("\\\""),
                b'\\' => self.out.push_str("\\\\"),
                8 => self.out.push_str("\\b"),
                12 => self.out.push_str("\\f"),
                b'\n' => self.out.push_str("\\n"),
                b'\r' => self.out.push_str("\\r"),
                b'\t' => self.out.push_str("\\t"),
                b => self.out.push_str(&format!("\\u{:04x}", b)),
            }
            rest = &rest[plain + 1..];
        }
        self.out.push_str(rest);
        self.out.push('"');
    }

    pub fn array<'a, T: Encode + 'a>(&mut self, items: impl IntoIterator<Item = &'a T>) {
        self.out.push('[');
        for (i, item) in items.into_iter().enumerate() {
            if i > 0 {
                self.out.push(',');
            }
            item.encode(self);
        }
        self.out.push(']');
    }

    /// Writes an object whose members `fill` gives by [`Members::add`].
    pub fn object(&mut self, fill: impl FnOnce(&mut Members)) {
        self.out.push('{');
        fill(&mut Members { w: self, first: true });
        self.out.push('}');
    }
}

/// The members of an object that is being written.
pub struct Members<'a> {
    w: &'a mut Writer,
    first: bool,
}

impl Members<'_> {
    /// Writes one member, unless its value is none.
    pub fn add<T: Encode + ?Sized>(&mut self, name: &str, v: &T) {
        if !v.is_none() {
            self.put(name, v);
        }
    }

    /// Writes one member, unless its value is zero.
    pub fn add_unless_zero<T: Encode + ?Sized>(&mut self, name: &str, v: &T) {
        if !v.is_zero() {
            self.put(name, v);
        }
    }

    #[inline(never)]
    fn put<T: Encode + ?Sized>(&mut self, name: &str, v: &T) {
        if !self.first {
            self.w.out.push(',');
        }
        self.first = false;
        self.w.string(name);
        self.w.out.push(':');
        v.encode(self.w);
    }
}

macro_rules! scalar {
    ($($type:ty, $zero:expr, $method:ident;)*) => {$(
        impl Encode for $type {
            fn encode(&self, w: &mut Writer) {
                w.$method(*self);
            }
            fn is_zero(&self) -> bool {
                *self == $zero
            }
        }
    )*};
}

scalar! { bool, false, bool; i64, 0, int; f64, 0.0, float; }

impl Encode for String {
    fn encode(&self, w: &mut Writer) {
        w.string(self);
    }
    fn is_zero(&self) -> bool {
        self.is_empty()
    }
}

impl<T: Encode> Encode for Option<T> {
    fn encode(&self, w: &mut Writer) {
        match self {
            Some(v) => v.encode(w),
            None => w.null(),
        }
    }
    fn is_none(&self) -> bool {
        self.is_none()
    }
}

impl<T: Encode> Encode for Vec<T> {
    fn encode(&self, w: &mut Writer) {
        w.array(self);
    }
    fn is_zero(&self) -> bool {
        self.is_empty()
    }
}

impl<T: Encode> Encode for BTreeMap<String, T> {
    fn encode(&self, w: &mut Writer) {
        w.object(|m| self.iter().for_each(|(name, v)| m.put(name, v)));
    }
    fn is_zero(&self) -> bool {
        self.is_empty()
    }
}

impl Encode for Value {
    fn is_zero(&self) -> bool {
        *self == Value::Null
    }
    fn encode(&self, w: &mut Writer) {
        match self {
            Value::Null => w.null(),
            Value::Bool(b) => w.bool(*b),
            Value::Int(n) => w.int(*n),
            Value::Float(n) => {
                w.float(*n);
                if w.telling && n.abs() < 1e21 && *n == n.trunc() {
                    w.out.push_str(".0");
                }
            }
            Value::Huge(text) => w.out.push_str(text),
            Value::String(s) => w.string(s),
            Value::Array(items) => w.array(items),
            Value::Object(members) => w.object(|m| members.iter().for_each(|(name, v)| m.put(name, v))),
        }
    }
    fn is_none(&self) -> bool {
        self.is_null()
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    #[test]
    fn writes_what_it_read() {
        for text in [
            "null",
            "[true,false,null,0,-1,1.5,1e-7,1e+300,0.000001,1e999]",
            r#"{"a":"\"\\\n\t\b\u0001é😀","b":{},"c":[[]],"d":null}"#,
        ] {
            let v = parse(text.as_bytes()).unwrap();
            assert_eq!(String::from_utf8(encode(&v).unwrap()).unwrap(), text);
        }
    }

    #[test]
    fn refuses_numbers_that_are_none() {
        for n in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert!(encode(&vec![n]).is_err());
        }
    }
}
