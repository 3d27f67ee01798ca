//! Values of the language.

use std::sync::Arc;

use jiff::civil::DateTime;

use super::ast::Block;
use super::failure::ErrorRecord;

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `$null`.
    Null,
    /// `System.Boolean` and switches.
    Bool(bool),
    /// Whole numbers.
    Integer(i64),
    /// `System.Double`.
    Real(f64),
    /// `System.String`.
    String(Arc<str>),
    /// `System.DateTime`, universal.
    DateTime(DateTime),
    /// A member of an enumeration: a name to people, a number to `ConvertTo-Json`.
    Enum(EnumValue),
    /// An array.
    Array(Arc<Vec<Value>>),
    /// A hashtable, in the order of writing; keys compare without case.
    Hash(Arc<Vec<(Value, Value)>>),
    /// An object with named properties.
    Object(Arc<Object>),
    /// An error, as `$_` in a catch block.
    Error(Arc<ErrorRecord>),
    /// A script block.
    ScriptBlock(Arc<Block>),
}

/// A member of an enumeration.
#[derive(Debug, Clone, PartialEq)]
pub struct EnumValue {
    /// For example `Normal`.
    pub name: Arc<str>,
    /// Underlying number.
    pub number: i64,
}

/// An object with named properties.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Object {
    /// Its .NET type name.
    pub type_name: String,
    /// In order; names compare without case.
    pub properties: Vec<(String, Value)>,
}

impl Value {
    /// A string.
    pub fn string(text: impl AsRef<str>) -> Value {
        Value::String(Arc::from(text.as_ref()))
    }

    /// An array.
    pub fn array(values: Vec<Value>) -> Value {
        Value::Array(Arc::new(values))
    }

    /// An object of a type.
    pub fn object(type_name: &str, properties: Vec<(&str, Value)>) -> Value {
        Value::Object(Arc::new(Object {
            type_name: type_name.to_owned(),
            properties: properties
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect(),
        }))
    }

    /// A member of an enumeration.
    pub fn enumeration(name: &str, number: i64) -> Value {
        Value::Enum(EnumValue { name: Arc::from(name), number })
    }

    /// What a pipeline of these values is when it is used as one value.
    pub fn collect(mut values: Vec<Value>) -> Value {
        match values.len() {
            0 => Value::Null,
            1 => values.remove(0),
            _ => Value::array(values),
        }
    }

    /// What goes down a pipeline: an array's elements, otherwise the value itself.
    pub fn enumerate(self) -> Vec<Value> {
        match self {
            Value::Array(items) => Arc::unwrap_or_clone(items),
            other => vec![other],
        }
    }

    /// Truth as `if` sees it. Source: "about_Booleans".
    pub fn is_true(&self) -> bool {
        match self {
            Value::Null => false,
            Value::Bool(b) => *b,
            Value::Integer(n) => *n != 0,
            Value::Real(n) => *n != 0.0,
            Value::String(s) => !s.is_empty(),
            Value::Enum(e) => e.number != 0,
            Value::Array(items) => match items.as_slice() {
                [] => false,
                [one] => one.is_true(),
                _ => true,
            },
            _ => true,
        }
    }

    /// The value as text, as `"$x"` gives it (invariant culture).
    pub fn text(&self) -> String {
        match self {
            Value::Null => String::new(),
            Value::Bool(true) => "True".into(),
            Value::Bool(false) => "False".into(),
            Value::Integer(n) => n.to_string(),
            Value::Real(n) => n.to_string(),
            Value::String(s) => s.to_string(),
            Value::DateTime(t) => t.strftime("%m/%d/%Y %H:%M:%S").to_string(),
            Value::Enum(e) => e.name.to_string(),
            Value::Array(items) => items.iter().map(Value::text).collect::<Vec<_>>().join(" "),
            Value::Hash(_) => "System.Collections.Hashtable".into(),
            Value::Object(object) => {
                let inside: Vec<String> = object
                    .properties
                    .iter()
                    .map(|(name, value)| format!("{name}={}", value.text()))
                    .collect();
                format!("@{{{}}}", inside.join("; "))
            }
            Value::Error(error) => error.message.clone(),
            Value::ScriptBlock(_) => "{ script block }".into(),
        }
    }

    /// The short name of the .NET type.
    pub fn type_name(&self) -> &str {
        match self {
            Value::Null => "null",
            Value::Bool(_) => "Boolean",
            Value::Integer(_) => "Int32",
            Value::Real(_) => "Double",
            Value::String(_) => "String",
            Value::DateTime(_) => "DateTime",
            Value::Enum(_) => "Enum",
            Value::Array(_) => "Object[]",
            Value::Hash(_) => "Hashtable",
            Value::Object(object) => &object.type_name,
            Value::Error(_) => "ErrorRecord",
            Value::ScriptBlock(_) => "ScriptBlock",
        }
    }

    /// A property, or `None` where the value has none of that name.
    pub fn property(&self, name: &str) -> Option<Value> {
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        match self {
            Value::Hash(entries) => {
                let found = entries.iter().find(|(key, _)| key.text().eq_ignore_ascii_case(name));
                match found {
                    Some((_, value)) => Some(value.clone()),
                    None if is("Count") => Some(Value::Integer(entries.len() as i64)),
                    None if is("Keys") => {
                        Some(Value::array(entries.iter().map(|(key, _)| key.clone()).collect()))
                    }
                    None if is("Values") => {
                        Some(Value::array(entries.iter().map(|(_, value)| value.clone()).collect()))
                    }
                    None => None,
                }
            }
            Value::Object(object) => object
                .properties
                .iter()
                .find(|(known, _)| known.eq_ignore_ascii_case(name))
                .map(|(_, value)| value.clone()),
            Value::Error(error) => error.property(name),
            Value::String(s) if is("Length") => {
                Some(Value::Integer(s.encode_utf16().count() as i64))
            }
            Value::Array(items) => {
                if is("Count") || is("Length") {
                    return Some(Value::Integer(items.len() as i64));
                }
                let found: Vec<Value> =
                    items.iter().filter_map(|item| item.property(name)).collect();
                (!found.is_empty()).then(|| Value::collect(found))
            }
            Value::DateTime(t) => match () {
                () if is("Year") => Some(Value::Integer(i64::from(t.year()))),
                () if is("Month") => Some(Value::Integer(i64::from(t.month()))),
                () if is("Day") => Some(Value::Integer(i64::from(t.day()))),
                () => None,
            },
            Value::Enum(e) if is("value__") => Some(Value::Integer(e.number)),
            Value::Null if is("Count") => Some(Value::Integer(0)),
            Value::Bool(b) if is("IsPresent") => Some(Value::Bool(*b)),
            Value::Bool(_) | Value::Integer(_) | Value::Real(_) if is("Count") => {
                Some(Value::Integer(1))
            }
            _ => None,
        }
    }
}
