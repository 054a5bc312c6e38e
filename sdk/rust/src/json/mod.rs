//! JSON as the ABI needs it: a [`Value`] for what has no fixed shape, and [`Decode`] and [`Encode`] for what has one.
//!
//! The rules are those of hostfuncs/ABI.md: an absent field, and one that is `null`, has its zero value; a field that nobody knows is
//! ignored; a value of another type than the shape's is an error that names the field.

mod parse;
mod shape;
mod write;

pub use parse::{parse, Fault, Reader};
#[doc(hidden)]
pub use shape::wire_name;
pub use shape::{decode, read, unknown_fields, Decode};
pub use write::{encode, Encode, Members, Writer};

/// Any JSON value. The default is `null`.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Null,
    Bool(bool),
    /// A number that is written without fraction and exponent and fits.
    Int(i64),
    /// Any other number that is finite.
    Float(f64),
    /// A number beyond all bounds, as it was written.
    Huge(String),
    String(String),
    Array(Vec<Value>),
    /// Members in the order in which they were written. Of several with one name the last counts.
    Object(Vec<(String, Value)>),
}

impl Default for Value {
    fn default() -> Self {
        Value::Null
    }
}

impl Value {
    /// The member of an object with that name; `None` when there is none, or this is no object.
    pub fn get(&self, name: &str) -> Option<&Value> {
        match self {
            Value::Object(members) => members.iter().rev().find(|(n, _)| n == name).map(|(_, v)| v),
            _ => None,
        }
    }

    /// A number without fraction.
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Value::Int(n) => Some(*n),
            _ => None,
        }
    }

    /// Any number.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Value::Int(n) => Some(*n as f64),
            Value::Float(n) => Some(*n),
            _ => None,
        }
    }

    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Value::Bool(b) => Some(*b),
            _ => None,
        }
    }

    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::String(s) => Some(s),
            _ => None,
        }
    }

    /// The elements of an array; none of anything else.
    pub fn items(&self) -> &[Value] {
        match self {
            Value::Array(items) => items,
            _ => &[],
        }
    }

    pub fn is_null(&self) -> bool {
        *self == Value::Null
    }

    /// What it is, for messages: `a string`.
    pub fn kind(&self) -> &'static str {
        match self {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Int(_) => "a number",
            Value::Float(_) => "a number",
            Value::Huge(_) => "a number beyond all bounds",
            Value::String(_) => "a string",
            Value::Array(_) => "a list",
            Value::Object(_) => "an object",
        }
    }
}
