//! FOR XML PATH and FOR JSON PATH: rows as one text.

use super::convert::to_text;
use super::tree::Shape;
use crate::value::{Column, Row, SqlType, Value};

/// Renders rows, of which there is at least one.
pub(super) fn render(shape: &Shape, columns: &[Column], rows: &[Row]) -> String {
    match shape {
        Shape::Rows => String::new(),
        Shape::Xml { element, root, .. } => {
            let body: String = rows.iter().map(|row| xml_row(element, columns, row)).collect();
            match root {
                Some(root) => format!("<{root}>{body}</{root}>"),
                None => body,
            }
        }
        Shape::Json { root, nulls, array } => {
            let rows: Vec<String> = rows.iter().map(|row| json_row(columns, row, *nulls)).collect();
            let body = rows.join(",");
            let body = if *array { format!("[{body}]") } else { body };
            match root {
                Some(root) => format!("{{{}:{body}}}", json_string(root)),
                None => body,
            }
        }
    }
}

fn xml_row(element: &str, columns: &[Column], row: &[Value]) -> String {
    let mut attributes = String::new();
    let mut body = String::new();
    for (column, value) in columns.iter().zip(row) {
        if value.is_null() {
            continue;
        }
        let style =
            matches!(column.ty, SqlType::DateTime | SqlType::SmallDateTime | SqlType::DateTime2(_))
                .then_some(126);
        let text = escape_xml(&to_text(value, column.ty, style));
        match &*column.name {
            "" | "*" | "text()" => body += &text,
            name => match name.strip_prefix('@') {
                Some(name) => attributes += &format!(" {name}=\"{text}\""),
                None => body += &format!("<{name}>{text}</{name}>"),
            },
        }
    }
    if element.is_empty() {
        return body;
    }
    format!("<{element}{attributes}>{body}</{element}>")
}

fn escape_xml(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('\r', "&#x0D;")
}

/// An object under construction: dots in column names nest.
#[derive(Default)]
struct Object(Vec<(String, Node)>);

enum Node {
    Text(String),
    Object(Object),
}

impl Object {
    fn put(&mut self, path: &[&str], text: String) {
        match path {
            [] => {}
            [name] => self.0.push(((*name).to_string(), Node::Text(text))),
            [name, rest @ ..] => {
                if let Some((last, Node::Object(inner))) = self.0.last_mut()
                    && last == name
                {
                    inner.put(rest, text);
                    return;
                }
                let mut inner = Object::default();
                inner.put(rest, text);
                self.0.push(((*name).to_string(), Node::Object(inner)));
            }
        }
    }

    fn write(&self) -> String {
        let members: Vec<String> = self
            .0
            .iter()
            .map(|(name, node)| {
                let text = match node {
                    Node::Text(text) => text.clone(),
                    Node::Object(inner) => inner.write(),
                };
                format!("{}:{text}", json_string(name))
            })
            .collect();
        format!("{{{}}}", members.join(","))
    }
}

fn json_row(columns: &[Column], row: &[Value], nulls: bool) -> String {
    let mut object = Object::default();
    for (column, value) in columns.iter().zip(row) {
        if value.is_null() && !nulls {
            continue;
        }
        // Column names come from the query; more than a few dots only cost depth.
        let path: Vec<&str> = column.name.splitn(8, '.').collect();
        object.put(&path, json_value(value, column.ty));
    }
    object.write()
}

fn json_value(value: &Value, ty: SqlType) -> String {
    match value {
        Value::Null => "null".to_string(),
        Value::Bit(b) => b.to_string(),
        Value::TinyInt(_)
        | Value::SmallInt(_)
        | Value::Int(_)
        | Value::BigInt(_)
        | Value::Numeric { .. } => to_text(value, ty, None),
        Value::Money(_) => to_text(value, ty, Some(2)),
        Value::Real(f) => format!("{f:e}"),
        Value::Float(f) => format!("{f:.15e}"),
        Value::Variant(base, inner) => json_value(inner, *base),
        Value::DateTime(_) | Value::DateTimeOffset { .. } => {
            json_string(&to_text(value, ty, Some(126)))
        }
        _ => json_string(&to_text(value, ty, None)),
    }
}

fn json_string(text: &str) -> String {
    // SQL Server also escapes the solidus.
    serde_json::Value::from(text).to_string().replace('/', "\\/")
}
