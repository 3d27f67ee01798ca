//! The tables of `msdb`: rows under their documented columns.
//!
//! SQL Server keeps the state of backup history, SQL Server Agent and log shipping in ordinary
//! tables, reads them with its own procedures, and lets administrators update them by hand. So does
//! this: a procedure and an `UPDATE` change the same rows.

use std::ops::{Index, IndexMut};

use jiff::civil::DateTime;
use uuid::Uuid;

use crate::engine::catalog::columns::{ColumnDef, log_shipping as ls, msdb as m};
use crate::engine::catalog::nothing;
use crate::value::{Relation, Row, SqlType, Value};

macro_rules! tables {
    ($($(#[$doc:meta])* $variant:ident, $name:literal, $columns:expr, $identity:expr;)*) => {
        /// A table of `msdb`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        #[allow(missing_docs, reason = "each variant is the table of its name")]
        pub enum MsdbTable { $($(#[$doc])* $variant,)* }

        impl MsdbTable {
            /// Every table.
            pub const ALL: &'static [MsdbTable] = &[$(MsdbTable::$variant,)*];

            /// The table's name in schema `dbo`.
            pub const fn name(self) -> &'static str {
                match self { $(MsdbTable::$variant => $name,)* }
            }

            /// The table's columns, of every release.
            pub const fn columns(self) -> &'static [ColumnDef] {
                match self { $(MsdbTable::$variant => $columns,)* }
            }

            /// The identity column, if the table has one.
            pub const fn identity(self) -> Option<&'static str> {
                match self { $(MsdbTable::$variant => $identity,)* }
            }
        }
    };
}

tables! {
    Jobs, "sysjobs", m::SYSJOBS, None;
    JobActivity, "sysjobactivity", m::SYSJOBACTIVITY, None;
    Sessions, "syssessions", m::SYSSESSIONS, Some("session_id");
    JobHistory, "sysjobhistory", m::SYSJOBHISTORY, Some("instance_id");
    JobSteps, "sysjobsteps", m::SYSJOBSTEPS, None;
    JobServers, "sysjobservers", m::SYSJOBSERVERS, None;
    Schedules, "sysschedules", m::SYSSCHEDULES, Some("schedule_id");
    JobSchedules, "sysjobschedules", m::SYSJOBSCHEDULES, None;
    Categories, "syscategories", m::SYSCATEGORIES, Some("category_id");
    PrimaryDatabases, "log_shipping_primary_databases", ls::LOG_SHIPPING_PRIMARY_DATABASES, None;
    PrimarySecondaries, "log_shipping_primary_secondaries", ls::LOG_SHIPPING_PRIMARY_SECONDARIES, None;
    Secondary, "log_shipping_secondary", ls::LOG_SHIPPING_SECONDARY, None;
    SecondaryDatabases, "log_shipping_secondary_databases", ls::LOG_SHIPPING_SECONDARY_DATABASES, None;
    MonitorPrimary, "log_shipping_monitor_primary", ls::LOG_SHIPPING_MONITOR_PRIMARY, None;
    MonitorSecondary, "log_shipping_monitor_secondary", ls::LOG_SHIPPING_MONITOR_SECONDARY, None;
    MonitorAlert, "log_shipping_monitor_alert", ls::LOG_SHIPPING_MONITOR_ALERT, None;
    HistoryDetail, "log_shipping_monitor_history_detail", ls::LOG_SHIPPING_MONITOR_HISTORY_DETAIL, None;
    ErrorDetail, "log_shipping_monitor_error_detail", ls::LOG_SHIPPING_MONITOR_ERROR_DETAIL, None;
    LegacyPrimaries, "log_shipping_primaries", ls::LOG_SHIPPING_PRIMARIES, None;
    LegacySecondaries, "log_shipping_secondaries", ls::LOG_SHIPPING_SECONDARIES, None;
    LegacyPlans, "log_shipping_plans", ls::LOG_SHIPPING_PLANS, None;
    LegacyPlanDatabases, "log_shipping_plan_databases", ls::LOG_SHIPPING_PLAN_DATABASES, None;
    LegacyPlanHistory, "log_shipping_plan_history", ls::LOG_SHIPPING_PLAN_HISTORY, None;
    LegacyDatabases, "log_shipping_databases", ls::LOG_SHIPPING_DATABASES, None;
    LegacyMonitor, "log_shipping_monitor", ls::LOG_SHIPPING_MONITOR, None;
    DbmMonitorAlerts, "dbm_monitor_alerts", m::DBM_MONITOR_ALERTS, None;
}

impl MsdbTable {
    /// The table of a name, compared without regard to case.
    pub fn named(name: &str) -> Option<MsdbTable> {
        MsdbTable::ALL.iter().copied().find(|t| t.name().eq_ignore_ascii_case(name))
    }
}

/// One table with its rows. Every row has a value for each of the table's columns.
#[derive(Debug, Clone)]
pub struct Table {
    /// Which table.
    pub table: MsdbTable,
    rows: Vec<Row>,
    next_identity: i32,
}

/// A row seen through its table's column names.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    table: MsdbTable,
    row: &'a Row,
}

impl<'a> Record<'a> {
    /// The value of a column; NULL for a column that the table does not have.
    pub fn value(&self, column: &str) -> &'a Value {
        match position(self.table, column) {
            Some(at) => &self.row[at],
            None => &Value::Null,
        }
    }

    /// Whether the table has a column of that name.
    pub fn has_column(&self, column: &str) -> bool {
        let mut columns = self.table.columns().iter();
        columns.any(|c| c.name.eq_ignore_ascii_case(column))
    }

    /// A whole number of any width, 0 for NULL.
    pub fn int(&self, column: &str) -> i64 {
        whole_number(self.value(column)).unwrap_or(0)
    }

    /// A bit, false for NULL.
    pub fn bit(&self, column: &str) -> bool {
        self.int(column) != 0
    }

    /// Text, empty for NULL.
    pub fn text(&self, column: &str) -> &'a str {
        match self.value(column) {
            Value::String(text) => text,
            _ => "",
        }
    }

    /// An id, if there is one.
    pub fn id(&self, column: &str) -> Option<Uuid> {
        match self.value(column) {
            Value::Uuid(id) => Some(*id),
            _ => None,
        }
    }

    /// A point in time, if there is one.
    pub fn time(&self, column: &str) -> Option<DateTime> {
        match self.value(column) {
            Value::DateTime(time) => Some(*time),
            _ => None,
        }
    }

    /// Whether every named column holds the value beside it.
    pub fn matches(&self, wanted: &[(&str, Value)]) -> bool {
        wanted.iter().all(|(column, value)| same(self.value(column), value))
    }
}

/// Whether two values are equal as the default collation compares them; NULL equals nothing.
pub fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Null, _) | (_, Value::Null) => false,
        (Value::String(a), Value::String(b)) => same_name(a, b),
        _ => match (whole_number(a), whole_number(b)) {
            (Some(a), Some(b)) => a == b,
            _ => a == b,
        },
    }
}

/// Whether two names are the same under the default collation: without case, without trailing blanks.
pub fn same_name(a: &str, b: &str) -> bool {
    let (a, b) = (a.trim_end_matches(' '), b.trim_end_matches(' '));
    a == b || a.to_lowercase() == b.to_lowercase()
}

/// The whole number in a value of any integer type.
pub fn whole_number(value: &Value) -> Option<i64> {
    match value {
        Value::Bit(b) => Some(i64::from(*b)),
        Value::TinyInt(n) => Some(i64::from(*n)),
        Value::SmallInt(n) => Some(i64::from(*n)),
        Value::Int(n) => Some(i64::from(*n)),
        Value::BigInt(n) => Some(*n),
        Value::Numeric { unscaled, scale: 0 } => i64::try_from(*unscaled).ok(),
        Value::Variant(_, inner) => whole_number(inner),
        _ => None,
    }
}

fn position(table: MsdbTable, column: &str) -> Option<usize> {
    let found = table.columns().iter().position(|c| c.name.eq_ignore_ascii_case(column));
    debug_assert!(found.is_some(), "{} has no column {column}", table.name());
    found
}

/// A value in the shape of a column's type, so that an `int` column never holds a `bigint`.
pub fn shaped(ty: SqlType, value: Value) -> Value {
    let Some(n) = whole_number(&value) else {
        return match (ty, value) {
            (
                SqlType::NVarChar(crate::value::Length::Up(n))
                | SqlType::VarChar(crate::value::Length::Up(n)),
                Value::String(text),
            ) if text.len() > usize::from(n) && text.chars().count() > usize::from(n) => {
                Value::string(text.chars().take(usize::from(n)).collect::<String>())
            }
            (_, value) => value,
        };
    };
    match ty {
        SqlType::Bit => Value::Bit(n != 0),
        SqlType::TinyInt => u8::try_from(n).map_or(value, Value::TinyInt),
        SqlType::SmallInt => i16::try_from(n).map_or(value, Value::SmallInt),
        SqlType::Int => i32::try_from(n).map_or(value, Value::Int),
        SqlType::BigInt => Value::BigInt(n),
        SqlType::Numeric { scale: 0, .. } => match value {
            Value::Numeric { .. } => value,
            _ => Value::Numeric { unscaled: i128::from(n), scale: 0 },
        },
        _ => value,
    }
}

impl Table {
    fn new(table: MsdbTable) -> Table {
        Table { table, rows: Vec::new(), next_identity: 1 }
    }

    /// Every row, in the order of insertion.
    pub fn records(&self) -> impl DoubleEndedIterator<Item = Record<'_>> {
        self.rows.iter().map(|row| Record { table: self.table, row })
    }

    /// The first row whose columns hold the values.
    pub fn find(&self, wanted: &[(&str, Value)]) -> Option<Record<'_>> {
        self.records().find(|r| r.matches(wanted))
    }

    /// Whether there is such a row.
    pub fn has(&self, wanted: &[(&str, Value)]) -> bool {
        self.find(wanted).is_some()
    }

    /// Adds a row. Columns left out hold NULL where they may, else the type's zero; the identity
    /// column counts by itself. Returns the identity value, or 0.
    pub fn insert(&mut self, values: &[(&str, Value)]) -> i32 {
        let mut row: Row = self.table.columns().iter().map(nothing).collect();
        for (column, value) in values {
            if let Some(at) = position(self.table, column) {
                row[at] = shaped(self.table.columns()[at].ty, value.clone());
            }
        }
        let mut identity = 0;
        if let Some(at) = self.table.identity().and_then(|c| position(self.table, c)) {
            identity = self.next_identity;
            row[at] = Value::Int(identity);
            self.next_identity += 1;
        }
        self.rows.push(row);
        identity
    }

    /// Changes columns of every row that matches; returns how many there were.
    pub fn update(&mut self, wanted: &[(&str, Value)], values: &[(&str, Value)]) -> usize {
        let table = self.table;
        let mut changed = 0;
        for row in &mut self.rows {
            if (Record { table, row }).matches(wanted) {
                for (column, value) in values {
                    if let Some(at) = position(table, column) {
                        row[at] = shaped(table.columns()[at].ty, value.clone());
                    }
                }
                changed += 1;
            }
        }
        changed
    }

    /// Removes the rows that the test picks; returns how many there were.
    pub fn delete_where(&mut self, mut test: impl FnMut(Record<'_>) -> bool) -> usize {
        let table = self.table;
        let before = self.rows.len();
        self.rows.retain(|row| !test(Record { table, row }));
        before - self.rows.len()
    }

    /// Removes the rows whose columns hold the values.
    pub fn delete(&mut self, wanted: &[(&str, Value)]) -> usize {
        self.delete_where(|r| r.matches(wanted))
    }

    /// The rows under the columns that a release has.
    pub fn relation(&self, major: u8) -> Relation {
        let defs = self.table.columns();
        let kept: Vec<usize> = (0..defs.len()).filter(|&i| defs[i].since <= major).collect();
        Relation {
            columns: crate::engine::catalog::columns::of_release(defs, major),
            rows: self
                .rows
                .iter()
                .map(|row| kept.iter().map(|&i| row[i].clone()).collect())
                .collect(),
        }
    }

    /// Carries out an `UPDATE` or `DELETE` by hand: pairs of the row before and after, as
    /// [`Table::relation`] showed it; `None` after deletes the row.
    pub fn change(&mut self, major: u8, changes: Vec<(Row, Option<Row>)>) -> u64 {
        let defs = self.table.columns();
        let kept: Vec<usize> = (0..defs.len()).filter(|&i| defs[i].since <= major).collect();
        let mut changed = 0;
        for (before, after) in changes {
            let found = self.rows.iter().position(|row| {
                before.len() == kept.len() && kept.iter().zip(&before).all(|(&i, b)| row[i] == *b)
            });
            let Some(at) = found else { continue };
            changed += 1;
            match after {
                None => {
                    self.rows.remove(at);
                }
                Some(after) => {
                    for (&i, value) in kept.iter().zip(after) {
                        self.rows[at][i] = shaped(defs[i].ty, value);
                    }
                }
            }
        }
        changed
    }

    /// Carries out an `INSERT` by hand, in the order of [`Table::relation`]'s columns.
    pub fn append(&mut self, major: u8, rows: Vec<Row>) -> u64 {
        let defs = self.table.columns();
        let kept: Vec<&ColumnDef> = defs.iter().filter(|c| c.since <= major).collect();
        let count = rows.len() as u64;
        for row in rows {
            let values: Vec<(&str, Value)> = kept.iter().map(|c| c.name).zip(row).collect();
            self.insert(&values);
        }
        count
    }
}

/// The database `msdb` of one instance.
#[derive(Debug, Clone)]
pub struct Msdb {
    tables: Vec<Table>,
    /// Backup and restore history.
    pub history: super::history::History,
    /// Options of `sp_configure` that were changed: value as set, value in use.
    pub configuration: std::collections::BTreeMap<&'static str, (i32, i32)>,
    /// What the Agent remembers beside its tables.
    pub agent: super::AgentMemory,
}

impl Default for Msdb {
    fn default() -> Msdb {
        let mut msdb = Msdb {
            tables: MsdbTable::ALL.iter().map(|&t| Table::new(t)).collect(),
            history: Default::default(),
            configuration: Default::default(),
            agent: super::AgentMemory::default(),
        };
        for name in [
            "[Uncategorized (Local)]",
            "Database Maintenance",
            "Full-Text",
            "Jobs from MSX",
            "Database Engine Tuning Advisor",
            LOG_SHIPPING_CATEGORY,
            "Database Mirroring",
            "Data Collector",
        ] {
            msdb[MsdbTable::Categories].insert(&[
                ("category_class", Value::Int(1)),
                ("category_type", Value::TinyInt(1)),
                ("name", Value::string(name)),
            ]);
        }
        msdb
    }
}

/// The category of the jobs that log shipping creates.
pub const LOG_SHIPPING_CATEGORY: &str = "Log Shipping";

impl Index<MsdbTable> for Msdb {
    type Output = Table;

    fn index(&self, table: MsdbTable) -> &Table {
        // `tables` is built from `ALL`, in its order.
        &self.tables[table as usize]
    }
}

impl IndexMut<MsdbTable> for Msdb {
    fn index_mut(&mut self, table: MsdbTable) -> &mut Table {
        &mut self.tables[table as usize]
    }
}
