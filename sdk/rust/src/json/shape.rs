use std::collections::BTreeMap;

use super::Value;

/// What can be read from JSON. `null` stands for the zero value.
pub trait Decode: Sized {
    /// Reads `v`. The error starts with the path to what is wrong below `v`: `.limit: a string, where an integer should be`.
    fn decode(v: &Value) -> Result<Self, String>;
}

/// Reads a value into a shape.
pub fn decode<T: Decode>(v: &Value) -> Result<T, String> {
    T::decode(v).map_err(|e| e.trim_start_matches(['.', ':', ' '].as_slice()).to_string())
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

fn wrong<T>(v: &Value, wanted: &str) -> Result<T, String> {
    Err(match v {
        Value::Huge(n) => format!(": {}, which is beyond all bounds, where {} should be", n, wanted),
        Value::Float(n) => format!(": {}, where {} should be", n, wanted),
        _ => format!(": {}, where {} should be", v.kind(), wanted),
    })
}

/// Reads one field of an object: the last of that name, but all must be right. It is used by [`shape!`](crate::shape).
#[doc(hidden)]
#[inline(never)] // else each field of each shape would have a copy, and a module twice its size
pub fn field<T: Decode + Default>(v: &Value, name: &str) -> Result<T, String> {
    let mut out = T::default();
    if let Value::Object(members) = v {
        for (_, v) in members.iter().filter(|(n, _)| n == name) {
            out = match v {
                Value::Null => T::default(),
                v => T::decode(v).map_err(|e| below(name, e))?,
            }
        }
    }
    Ok(out)
}

fn below(name: &str, e: String) -> String {
    format!(".{}{}", name, e)
}

/// Refuses what can't be read as an object; used by [`shape!`](crate::shape).
#[doc(hidden)]
pub fn object(v: &Value) -> Result<(), String> {
    match v {
        Value::Null | Value::Object(_) => Ok(()),
        _ => wrong(v, "an object"),
    }
}

impl Decode for bool {
    fn decode(v: &Value) -> Result<Self, String> {
        v.as_bool().map_or_else(|| wrong(v, "true or false"), Ok)
    }
}

impl Decode for i64 {
    fn decode(v: &Value) -> Result<Self, String> {
        v.as_i64().map_or_else(|| wrong(v, "an integer"), Ok)
    }
}

impl Decode for f64 {
    fn decode(v: &Value) -> Result<Self, String> {
        v.as_f64().map_or_else(|| wrong(v, "a number"), Ok)
    }
}

impl Decode for String {
    fn decode(v: &Value) -> Result<Self, String> {
        v.as_str().map_or_else(|| wrong(v, "a string"), |s| Ok(s.to_string()))
    }
}

impl Decode for Value {
    fn decode(v: &Value) -> Result<Self, String> {
        Ok(v.clone())
    }
}

/// Bytes, which JSON holds in base64.
impl Decode for crate::Bytes {
    fn decode(v: &Value) -> Result<Self, String> {
        match v.as_str().map(crate::base64::decode) {
            Some(Some(bytes)) => Ok(crate::Bytes(bytes)),
            Some(None) => Err(": is no base64".to_string()),
            None => wrong(v, "base64"),
        }
    }
}

impl<T: Decode> Decode for Option<T> {
    fn decode(v: &Value) -> Result<Self, String> {
        match v {
            Value::Null => Ok(None),
            v => T::decode(v).map(Some),
        }
    }
}

impl<T: Decode + Default> Decode for Vec<T> {
    fn decode(v: &Value) -> Result<Self, String> {
        let items = match v {
            Value::Array(items) => items,
            _ => return wrong(v, "a list"),
        };
        let one = |(i, item): (usize, &Value)| match item {
            Value::Null => Ok(T::default()),
            item => T::decode(item).map_err(|e| format!("[{}]{}", i, e)),
        };
        items.iter().enumerate().map(one).collect()
    }
}

impl<T: Decode + Default> Decode for BTreeMap<String, T> {
    fn decode(v: &Value) -> Result<Self, String> {
        match v {
            Value::Object(members) => members.iter().map(|(name, _)| Ok((name.clone(), field(v, name)?))).collect(),
            _ => wrong(v, "an object"),
        }
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
/// let v = millwright::json::parse(br#"{"wait_s":5}"#)?;
/// let config: Config = millwright::json::decode(&v)?;
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
            fn decode(v: &$crate::json::Value) -> Result<Self, String> {
                $crate::json::object(v)?;
                Ok($name { $($field: $crate::json::field(v, $crate::json::wire_name(stringify!($field)))?,)* })
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
