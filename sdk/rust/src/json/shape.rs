use std::borrow::Cow;
use std::collections::BTreeMap;

use super::parse::{whole, Fault, Number, Reader};
use super::write::encode_as;
use super::Value;

/// What can be read from JSON. `null` stands for the zero value.
pub trait Decode: Sized {
    /// Reads the value that comes next. The path of a fault starts below this value.
    fn read(r: &mut Reader) -> Result<Self, Fault>;
}

/// Reads JSON into a shape, in one pass: a state, or the answer of a server.
pub fn read<T: Decode>(input: &[u8]) -> Result<T, String> {
    whole(input, T::read).map_err(Fault::text)
}

/// Reads a value into a shape.
pub fn decode<T: Decode>(v: &Value) -> Result<T, String> {
    read(&encode_as(v, true)?)
}

/// Lists the members of an object that are none of `known`, as problems for `validate`: a name that nobody reads is most often a
/// spelling mistake.
pub fn unknown_fields(v: &Value, known: &[&str]) -> Vec<crate::Problem> {
    let mut problems = Vec::new();
    if let Value::Object(members) = v {
        for (name, _) in members {
            if !known.contains(&name.as_str()) {
                problems.push(crate::Problem::new(name, &format!("is not known; there are {}", known.join(", "))));
            }
        }
    }
    problems
}

impl Reader<'_> {
    /// What is to be told when the value that comes next is none of those wanted.
    #[cold]
    #[inline(never)]
    fn wrong(&mut self, wanted: &str) -> Fault {
        match self.value() {
            Ok(v) => wrong(&v, wanted),
            Err(fault) => fault,
        }
    }

    /// Reads one field of an object; used by [`shape!`](crate::shape).
    #[doc(hidden)]
    #[inline(never)] // else each field of each shape would have a copy, and a module twice its size
    pub fn field<T: Decode + Default>(&mut self, name: &str) -> Result<T, Fault> {
        if self.null()? {
            return Ok(T::default());
        }
        T::read(self).map_err(|e| e.below(format_args!(".{}", name)))
    }

    /// Reads an object, or a `null` as one without members: `each` reads a member's value and says true, or says false to leave it out. Used by
    /// [`shape!`](crate::shape).
    #[doc(hidden)]
    pub fn object(&mut self, each: &mut dyn FnMut(&mut Self, &str) -> Result<bool, Fault>) -> Result<(), Fault> {
        if self.null()? {
            return Ok(());
        }
        if self.peek() != Some(b'{') {
            return Err(self.wrong("an object"));
        }
        self.members(&mut |r, name| match each(r, name) {
            Ok(false) => r.skip(),
            Ok(true) => Ok(()),
            Err(e) => Err(e),
        })
    }

    /// The number that comes next.
    fn numeric(&mut self, wanted: &str) -> Result<Number<'_>, Fault> {
        match self.peek() {
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => Err(self.wrong(wanted)),
        }
    }

    /// The string that comes next, handed to `take`.
    pub(crate) fn text<T>(&mut self, wanted: &str, take: impl FnOnce(Cow<str>) -> T) -> Result<T, Fault> {
        match self.peek() {
            Some(b'"') => self.string().map(take),
            _ => Err(self.wrong(wanted)),
        }
    }
}

#[cold]
fn wrong(v: &Value, wanted: &str) -> Fault {
    Fault::Shape(match v {
        Value::Huge(n) => format!(": {}, which is beyond all bounds, where {} should be", n, wanted),
        Value::Float(n) => format!(": {}, where {} should be", n, wanted),
        _ => format!(": {}, where {} should be", v.kind(), wanted),
    })
}

impl Decode for bool {
    fn read(r: &mut Reader) -> Result<Self, Fault> {
        match r.peek() {
            Some(b't') => r.word("true").map(|()| true),
            Some(b'f') => r.word("false").map(|()| false),
            _ => Err(r.wrong("true or false")),
        }
    }
}

impl Decode for i64 {
    fn read(r: &mut Reader) -> Result<Self, Fault> {
        let n = r.numeric("an integer")?;
        n.int().ok_or_else(|| wrong(&n.value(), "an integer"))
    }
}

impl Decode for f64 {
    fn read(r: &mut Reader) -> Result<Self, Fault> {
        let n = r.numeric("a number")?;
        match n.float() {
            f if f.is_finite() => Ok(f),
            _ => Err(wrong(&n.value(), "a number")),
        }
    }
}

impl Decode for String {
    fn read(r: &mut Reader) -> Result<Self, Fault> {
        r.text("a string", |s| s.into_owned())
    }
}

impl Decode for Value {
    fn read(r: &mut Reader) -> Result<Self, Fault> {
        r.value()
    }
}

/// Bytes, which JSON holds in base64.
impl Decode for crate::Bytes {
    fn read(r: &mut Reader) -> Result<Self, Fault> {
        match r.text("base64", |s| crate::base64::decode(&s))? {
            Some(bytes) => Ok(crate::Bytes(bytes)),
            None => Err(Fault::Shape(": is no base64".to_string())),
        }
    }
}

impl<T: Decode> Decode for Option<T> {
    fn read(r: &mut Reader) -> Result<Self, Fault> {
        if r.null()? {
            return Ok(None);
        }
        T::read(r).map(Some)
    }
}

impl<T: Decode + Default> Decode for Vec<T> {
    fn read(r: &mut Reader) -> Result<Self, Fault> {
        if r.peek() != Some(b'[') {
            return Err(r.wrong("a list"));
        }
        let mut out = Vec::new();
        r.items(&mut |r, i| {
            out.push(if r.null()? { T::default() } else { T::read(r).map_err(|e| e.below(format_args!("[{}]", i)))? });
            Ok(())
        })?;
        Ok(out)
    }
}

impl<T: Decode + Default> Decode for BTreeMap<String, T> {
    fn read(r: &mut Reader) -> Result<Self, Fault> {
        let mut out = BTreeMap::new();
        r.object(&mut |r, name| {
            out.insert(name.to_string(), r.field(name)?);
            Ok(true)
        })?;
        Ok(out)
    }
}

/// Defines a struct that is read from JSON and written as JSON under the names of its fields, which are all public:
///
/// ```
/// millwright::shape! {
///     /// What NAME.toml says below [config].
///     Config {
///         /// Seconds; 300 unless told.
///         wait_s: Option<i64>,
///         names: Vec<String>,
///     }
/// }
/// let config: Config = millwright::json::read(br#"{"wait_s":5}"#)?;
/// assert_eq!((config.wait_s, config.names.len()), (Some(5), 0));
/// assert_eq!(Config::FIELDS, ["wait_s", "names"]);
/// # Ok::<(), String>(())
/// ```
///
/// Fields are `bool`, `i64`, `f64`, `String`, `Value`, [`Bytes`](crate::Bytes), other shapes, and `Option`, `Vec` and `BTreeMap<String, _>` of these.
/// An absent field has its zero value; use `Option` where absent and zero differ. When the struct is written, `None` is left out; so is
/// the zero value of a field with a mark: `name[omitzero]: String`.
#[macro_export]
macro_rules! shape {
    ($(#[$meta:meta])* $name:ident { $($(#[$about:meta])* $field:ident$([$mark:ident])?: $type:ty,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, Default, PartialEq)]
        pub struct $name { $($(#[$about])* pub $field: $type,)* }

        impl $name {
            /// The names of the fields in JSON.
            #[allow(dead_code)]
            pub const FIELDS: &'static [&'static str] = &[$($crate::json::wire_name(stringify!($field)),)*];
        }

        impl $crate::json::Decode for $name {
            fn read(r: &mut $crate::json::Reader) -> Result<Self, $crate::json::Fault> {
                let mut out = $name::default();
                r.object(&mut |r, name| {
                    $(if name == $crate::json::wire_name(stringify!($field)) {
                        out.$field = r.field(name)?;
                        return Ok(true);
                    })*
                    Ok(false)
                })?;
                Ok(out)
            }
        }

        impl $crate::json::Encode for $name {
            fn encode(&self, w: &mut $crate::json::Writer) {
                w.object(|_m| { $($crate::shape!(@add _m, $crate::json::wire_name(stringify!($field)), &self.$field $(, $mark)?);)* });
            }
        }
    };
    (@add $m:ident, $name:expr, $v:expr) => { $m.add($name, $v) };
    (@add $m:ident, $name:expr, $v:expr, omitzero) => { $m.add_unless_zero($name, $v) };
}

/// The name of a field without the `r#` in front of one that Rust has a meaning for.
#[doc(hidden)]
pub const fn wire_name(field: &'static str) -> &'static str {
    match field.as_bytes() {
        b"r#type" => "type",
        _ => field,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{encode, parse};
    use super::*;

    crate::shape! {
        Inner { r#type[omitzero]: String, n: Option<i64>, }
    }
    crate::shape! {
        Outer { inner: Inner, list: Vec<Inner>, by_name: BTreeMap<String, f64>, raw: Value, on[omitzero]: bool, }
    }

    fn read(text: &str) -> Result<Outer, String> {
        decode(&parse(text.as_bytes())?)
    }

    #[test]
    fn absent_null_and_unknown() {
        assert_eq!(read("{}"), Ok(Outer::default()));
        assert_eq!(read("null"), Ok(Outer::default()));
        assert_eq!(read(r#"{"inner":null,"list":null,"by_name":null,"raw":null,"on":null,"new":[1]}"#), Ok(Outer::default()));
        assert_eq!(Inner::FIELDS, ["type", "n"]);
    }

    #[test]
    fn there_and_back() {
        let text = r#"{"inner":{"type":"x","n":0},"list":[{"type":"y"}],"by_name":{"a":1.5,"b":0},"raw":[{}],"on":true}"#;
        assert_eq!(String::from_utf8(encode(&read(text).unwrap()).unwrap()).unwrap(), text);
    }

    #[test]
    fn errors_name_the_field() {
        for (text, want) in [
            ("[]", "a list, where an object should be"),
            (r#"{"inner":{"n":1.5}}"#, "inner.n: 1.5, where an integer should be"),
            (r#"{"list":[null,{"n":"x"}]}"#, "list[1].n: a string, where an integer should be"),
            (r#"{"by_name":{"a":{}}}"#, "by_name.a: an object, where a number should be"),
            (r#"{"on":1}"#, "on: a number, where true or false should be"),
            (r#"{"on":1,"on":true}"#, "on: a number, where true or false should be"),
            (r#"{"inner":{"n":1e999}}"#, "inner.n: 1e999, which is beyond all bounds, where an integer should be"),
            (r#"{"list":{}}"#, "list: an object, where a list should be"),
        ] {
            assert_eq!(read(text), Err(want.to_string()));
        }
    }

    #[test]
    fn unknown_names_are_problems() {
        let problems = unknown_fields(&parse(br#"{"typ":1,"n":2}"#).unwrap(), Inner::FIELDS);
        assert_eq!(problems, [crate::Problem::new("typ", "is not known; there are type, n")]);
    }
}
