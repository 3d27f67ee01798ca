//! Instances of the stand-in, clients that send batches to them, and answers as text.

#![allow(dead_code, reason = "each test file uses a part of it")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use pcdr_sim::engine::state::InstanceConfig;
use pcdr_sim::engine::world::World;
use pcdr_sim::front::{Front, FrontSession, Login, Replies, Reply, Request};
use pcdr_sim::value::{Column, Length, SqlType, Value};
use tokio::sync::mpsc;

/// Two sites with one instance each, and a share.
pub(crate) struct Lab {
    pub(crate) world: World,
    _disks: tempfile::TempDir,
}

impl Lab {
    pub(crate) fn new() -> Lab {
        let disks = tempfile::tempdir().expect("a folder");
        let world = World::new(disks.path(), 7, "2026-11-20T19:30:00Z".parse().expect("a time"))
            .expect("a world");
        world.add_site("one");
        world.add_site("two");
        world.link("one", "two", Duration::from_millis(5), 100_000_000);
        world.add_instance(InstanceConfig::new("SQL1", "one")).expect("SQL1");
        world.add_instance(InstanceConfig::new("SQL2", "two")).expect("SQL2");
        world.add_share("FS", "logs", "one").expect("a share");
        Lab { world, _disks: disks }
    }

    pub(crate) async fn client(&self, instance: &str) -> Client {
        let login = Login::sql("sa", "Sa-Passw0rd!");
        let instance = self.world.instance(instance).expect("an instance");
        Client { session: instance.login(&login).await.expect("sa logs in") }
    }
}

/// A session that sends batches.
pub(crate) struct Client {
    session: Box<dyn FrontSession>,
}

impl Client {
    /// Every reply to one batch, in order.
    pub(crate) async fn replies(&mut self, batch: &str) -> Vec<Reply> {
        let (sender, mut receiver) = mpsc::channel(64);
        let work =
            self.session.run(Request::Batch(batch.to_owned()), Replies(sender), Default::default());
        let collect = async {
            let mut all = Vec::new();
            while let Some(reply) = receiver.recv().await {
                all.push(reply);
            }
            all
        };
        tokio::join!(work, collect).1
    }

    /// What a command-line client prints for the batch.
    pub(crate) async fn text(&mut self, batch: &str) -> String {
        printed(&self.replies(batch).await)
    }

    /// The rows of all result sets, by column name.
    pub(crate) async fn rows(&mut self, batch: &str) -> Vec<BTreeMap<String, String>> {
        let replies = self.replies(batch).await;
        let mut columns: Vec<Column> = Vec::new();
        let mut rows = Vec::new();
        for reply in replies {
            match reply {
                Reply::Columns(found) => columns = found,
                Reply::Row(row) => rows.push(
                    columns
                        .iter()
                        .zip(&row)
                        .map(|(column, value)| (column.name.to_string(), cell(value, column.ty)))
                        .collect(),
                ),
                Reply::Message(message) if message.is_error() => panic!("{batch}\n{message}"),
                _ => {}
            }
        }
        rows
    }
}

/// Replies as text: a header and rows for a result set, SSMS's two lines for an error, a line for a
/// message, and the number of rows that a statement without a result set has touched.
pub(crate) fn printed(replies: &[Reply]) -> String {
    let mut out = String::new();
    let mut columns: Vec<Column> = Vec::new();
    for reply in replies {
        let _written = match reply {
            Reply::Columns(found) => {
                columns.clone_from(found);
                let header: Vec<String> = found.iter().map(header).collect();
                writeln!(out, "{}", header.join(" | "))
            }
            Reply::Row(row) => {
                let cells: Vec<String> =
                    columns.iter().zip(row).map(|(c, value)| cell(value, c.ty)).collect();
                writeln!(out, "{}", cells.join(" | ").trim_end())
            }
            Reply::Message(m) if m.is_error() => {
                let procedure = if m.procedure.is_empty() {
                    String::new()
                } else {
                    format!("Procedure {}, ", m.procedure)
                };
                writeln!(
                    out,
                    "Msg {}, Level {}, State {}, {procedure}Line {}\n{}",
                    m.number, m.severity, m.state, m.line, m.text
                )
            }
            Reply::Message(m) => writeln!(out, "{}", m.text),
            Reply::Done { rows: Some(rows), command, .. } if *command != 193 => {
                writeln!(out, "({rows} rows affected)")
            }
            _ => Ok(()),
        };
    }
    out
}

fn header(column: &Column) -> String {
    let name = if column.name.is_empty() { "(no name)" } else { &column.name };
    format!("{name} {}", type_text(column.ty))
}

fn type_text(ty: SqlType) -> String {
    let length = |length: Length| match length {
        Length::Up(n) => n.to_string(),
        Length::Max => "max".to_owned(),
    };
    match ty {
        SqlType::Numeric { precision, scale } => format!("numeric({precision},{scale})"),
        SqlType::Char(n) => format!("char({n})"),
        SqlType::VarChar(n) => format!("varchar({})", length(n)),
        SqlType::NChar(n) => format!("nchar({n})"),
        SqlType::NVarChar(n) => format!("nvarchar({})", length(n)),
        SqlType::Binary(n) => format!("binary({n})"),
        SqlType::VarBinary(n) => format!("varbinary({})", length(n)),
        SqlType::Time(n) => format!("time({n})"),
        SqlType::DateTime2(n) => format!("datetime2({n})"),
        SqlType::DateTimeOffset(n) => format!("datetimeoffset({n})"),
        SqlType::Variant => "sql_variant".to_owned(),
        other => format!("{other:?}").to_lowercase(),
    }
}

/// A value as the client shows it.
pub(crate) fn cell(value: &Value, ty: SqlType) -> String {
    match value {
        Value::Null => "NULL".to_owned(),
        Value::Bit(b) => i32::from(*b).to_string(),
        Value::TinyInt(n) => n.to_string(),
        Value::SmallInt(n) => n.to_string(),
        Value::Int(n) => n.to_string(),
        Value::BigInt(n) => n.to_string(),
        Value::Real(f) => f.to_string(),
        Value::Float(f) => f.to_string(),
        Value::Money(n) => decimal(i128::from(*n), 4),
        Value::Numeric { unscaled, scale } => decimal(*unscaled, *scale),
        Value::String(s) => s.to_string(),
        Value::Binary(b) => {
            b.iter().fold("0x".to_owned(), |text, byte| text + &format!("{byte:02X}"))
        }
        Value::Uuid(u) => u.to_string().to_uppercase(),
        Value::Date(d) => d.to_string(),
        Value::Time(t) => fraction(t.strftime("%H:%M:%S").to_string(), t.subsec_nanosecond(), ty),
        Value::DateTime(d) => {
            fraction(d.strftime("%Y-%m-%d %H:%M:%S").to_string(), d.subsec_nanosecond(), ty)
        }
        Value::DateTimeOffset { utc, offset_minutes } => format!("{utc}Z at {offset_minutes}"),
        Value::Variant(base, inner) => cell(inner, *base),
    }
}

fn fraction(text: String, nanoseconds: i32, ty: SqlType) -> String {
    let digits = match ty {
        SqlType::Time(n) | SqlType::DateTime2(n) => usize::from(n),
        SqlType::DateTime => 3,
        _ => 0,
    };
    if digits == 0 {
        return text;
    }
    format!("{text}.{}", &format!("{nanoseconds:09}")[..digits])
}

fn decimal(unscaled: i128, scale: u8) -> String {
    let scale = usize::from(scale);
    let sign = if unscaled < 0 { "-" } else { "" };
    let digits = format!("{:0>width$}", unscaled.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    if scale == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}
