//! Values as they came over the wire, and their conversion with widening.

use std::sync::Arc;

use pcdr_core::{Guid, Lsn, Timestamp};
use tiberius::ColumnData;

use crate::error::SqlError;

/// Days from 1900-01-01, where `datetime` starts, to 1970-01-01.
const DAYS_1900_TO_1970: i64 = 25_567;

/// Days from 0001-01-01, where `datetime2` starts, to 1970-01-01.
const DAYS_1_TO_1970: i64 = 719_162;

const DAY: i64 = 86_400_000;

/// One value.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// NULL of any type; a NULL `sql_variant` arrives as a NULL text.
    Null,
    /// `bit`.
    Bool(bool),
    /// `tinyint` to `bigint`.
    Int(i64),
    /// `real`, `float`, `money`.
    Float(f64),
    /// `numeric`: unscaled value and scale.
    Decimal(i128, u8),
    /// Character types and `xml`.
    Text(String),
    /// `uniqueidentifier`.
    Guid(Guid),
    /// Binary types.
    Bytes(Vec<u8>),
    /// `datetime`, `datetime2`, `date`: milliseconds since 1970-01-01 on a clock of unknown zone.
    Local(i64),
    /// `datetimeoffset`: milliseconds since 1970-01-01 UTC, and minutes that its zone is ahead.
    Instant(i64, i16),
    /// `time`, which pcdr never reads.
    Other,
}

impl From<ColumnData<'static>> for Cell {
    fn from(data: ColumnData<'static>) -> Cell {
        fn or_null<T>(value: Option<T>, cell: impl FnOnce(T) -> Cell) -> Cell {
            value.map_or(Cell::Null, cell)
        }
        match data {
            ColumnData::U8(v) => or_null(v, |v| Cell::Int(v.into())),
            ColumnData::I16(v) => or_null(v, |v| Cell::Int(v.into())),
            ColumnData::I32(v) => or_null(v, |v| Cell::Int(v.into())),
            ColumnData::I64(v) => or_null(v, Cell::Int),
            ColumnData::F32(v) => or_null(v, |v| Cell::Float(v.into())),
            ColumnData::F64(v) => or_null(v, Cell::Float),
            ColumnData::Bit(v) => or_null(v, Cell::Bool),
            ColumnData::String(v) => or_null(v, |v| Cell::Text(v.into_owned())),
            ColumnData::Guid(v) => or_null(v, |v| Cell::Guid(Guid(v.as_u128()))),
            ColumnData::Binary(v) => or_null(v, |v| Cell::Bytes(v.into_owned())),
            ColumnData::Numeric(v) => or_null(v, |v| Cell::Decimal(v.value(), v.scale())),
            ColumnData::Xml(v) => or_null(v, |v| Cell::Text(v.to_string())),
            ColumnData::DateTime(v) => or_null(v, |v| {
                let millis = (i64::from(v.seconds_fragments()) * 10 + 1) / 3;
                Cell::Local((i64::from(v.days()) - DAYS_1900_TO_1970) * DAY + millis)
            }),
            ColumnData::SmallDateTime(v) => or_null(v, |v| {
                let millis = i64::from(v.seconds_fragments()) * 60_000;
                Cell::Local((i64::from(v.days()) - DAYS_1900_TO_1970) * DAY + millis)
            }),
            ColumnData::Date(v) => or_null(v, |v| Cell::Local(civil(v.days(), 0))),
            ColumnData::DateTime2(v) => {
                or_null(v, |v| Cell::Local(civil(v.date().days(), time_of_day(v.time()))))
            }
            ColumnData::DateTimeOffset(v) => or_null(v, |v| {
                let utc = v.datetime2();
                let millis = civil(utc.date().days(), time_of_day(utc.time()));
                Cell::Instant(millis, v.offset())
            }),
            ColumnData::Time(v) => or_null(v, |_| Cell::Other),
        }
    }
}

fn civil(days: u32, millis: i64) -> i64 {
    (i64::from(days) - DAYS_1_TO_1970) * DAY + millis
}

fn time_of_day(time: tiberius::time::Time) -> i64 {
    let per_second = 10u128.pow(u32::from(time.scale().min(18)));
    let millis = u128::from(time.increments()) * 1000 / per_second;
    i64::try_from(millis).unwrap_or(0)
}

/// A type that a cell can be read as.
pub trait FromCell: Sized {
    /// What is expected, for the error.
    const EXPECTED: &'static str;

    /// The value; `None` when the cell is of another type. Never called with NULL.
    fn from_cell(cell: &Cell) -> Option<Self>;
}

impl FromCell for i64 {
    const EXPECTED: &'static str = "an integer";

    fn from_cell(cell: &Cell) -> Option<i64> {
        match cell {
            Cell::Int(value) => Some(*value),
            Cell::Bool(value) => Some((*value).into()),
            Cell::Decimal(value, 0) => i64::try_from(*value).ok(),
            _ => None,
        }
    }
}

macro_rules! narrower {
    ($($type:ty),*) => {$(
        impl FromCell for $type {
            const EXPECTED: &'static str = concat!("an integer in the range of ", stringify!($type));

            fn from_cell(cell: &Cell) -> Option<$type> {
                i64::from_cell(cell).and_then(|value| value.try_into().ok())
            }
        }
    )*};
}

narrower!(i32, u16, u64);

impl FromCell for u128 {
    const EXPECTED: &'static str = "an integer that is not negative";

    fn from_cell(cell: &Cell) -> Option<u128> {
        match cell {
            Cell::Decimal(value, 0) => u128::try_from(*value).ok(),
            _ => i64::from_cell(cell).and_then(|value| u128::try_from(value).ok()),
        }
    }
}

impl FromCell for bool {
    const EXPECTED: &'static str = "a bit";

    fn from_cell(cell: &Cell) -> Option<bool> {
        match cell {
            Cell::Bool(value) => Some(*value),
            Cell::Int(value) => Some(*value != 0),
            _ => None,
        }
    }
}

impl FromCell for f64 {
    const EXPECTED: &'static str = "a number";

    fn from_cell(cell: &Cell) -> Option<f64> {
        match cell {
            Cell::Float(value) => Some(*value),
            #[allow(clippy::cast_precision_loss, reason = "only percentages are read")]
            Cell::Int(value) => Some(*value as f64),
            _ => None,
        }
    }
}

impl FromCell for String {
    const EXPECTED: &'static str = "a text";

    /// As it came: a name may end in blanks, so who reads a padded `char` column trims it.
    fn from_cell(cell: &Cell) -> Option<String> {
        match cell {
            Cell::Text(text) => Some(text.clone()),
            _ => None,
        }
    }
}

impl FromCell for Guid {
    const EXPECTED: &'static str = "a uniqueidentifier";

    fn from_cell(cell: &Cell) -> Option<Guid> {
        match cell {
            Cell::Guid(value) => Some(*value),
            Cell::Text(text) => text.trim().parse().ok(),
            _ => None,
        }
    }
}

impl FromCell for Lsn {
    const EXPECTED: &'static str = "a numeric(25,0)";

    fn from_cell(cell: &Cell) -> Option<Lsn> {
        match cell {
            Cell::Decimal(value, 0) => u128::try_from(*value).ok().and_then(Lsn::new),
            Cell::Int(value) => u128::try_from(*value).ok().and_then(Lsn::new),
            _ => None,
        }
    }
}

/// A time that needs the zone of the server's clock to become an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LocalTime(i64);

impl LocalTime {
    /// The Agent's pair of numbers, YYYYMMDD and HHMMSS; `None` when they are no date and time.
    pub(crate) fn from_agent(date: i32, time: i32) -> Option<LocalTime> {
        let part = |number: i32, divisor: i32, modulus: i32| number / divisor % modulus;
        let text = format!(
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.000Z",
            date / 10_000,
            part(date, 100, 100),
            part(date, 1, 100),
            time / 10_000,
            part(time, 100, 100),
            part(time, 1, 100)
        );
        let time: Timestamp = text.parse().ok()?;
        Some(LocalTime(time.unix_millis()))
    }

    /// The instant, on a clock that is `offset` minutes ahead of UTC.
    pub(crate) fn at_offset(self, offset: i16) -> Timestamp {
        Timestamp::from_unix_millis(self.0.saturating_sub(i64::from(offset) * 60_000))
    }

    /// The instant, when the clock is UTC.
    pub(crate) fn utc(self) -> Timestamp {
        self.at_offset(0)
    }
}

impl FromCell for LocalTime {
    const EXPECTED: &'static str = "a datetime";

    fn from_cell(cell: &Cell) -> Option<LocalTime> {
        match cell {
            Cell::Local(millis) => Some(LocalTime(*millis)),
            _ => None,
        }
    }
}

/// An instant, and minutes that the server's clock is ahead of UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ServerTime {
    pub(crate) now: Timestamp,
    pub(crate) offset_minutes: i16,
}

impl FromCell for ServerTime {
    const EXPECTED: &'static str = "a datetimeoffset";

    fn from_cell(cell: &Cell) -> Option<ServerTime> {
        match cell {
            Cell::Instant(millis, offset_minutes) => Some(ServerTime {
                now: Timestamp::from_unix_millis(*millis),
                offset_minutes: *offset_minutes,
            }),
            _ => None,
        }
    }
}

/// One result set.
#[derive(Debug, Clone)]
pub struct ResultSet {
    /// Column names, in order.
    pub columns: Arc<Vec<String>>,
    /// Rows, in order.
    pub rows: Vec<Row>,
}

impl ResultSet {
    pub(crate) fn new(columns: Vec<String>) -> ResultSet {
        ResultSet { columns: Arc::new(columns), rows: Vec::new() }
    }

    pub(crate) fn push(&mut self, cells: impl Iterator<Item = ColumnData<'static>>) {
        self.rows.push(Row {
            columns: Arc::clone(&self.columns),
            cells: cells.map(Cell::from).collect(),
        });
    }

    /// Name of the first column: the tag of pcdr's own result sets.
    pub(crate) fn tag(&self) -> &str {
        self.columns.first().map_or("", String::as_str)
    }

    pub(crate) fn has(&self, column: &str) -> bool {
        self.columns.iter().any(|name| name == column)
    }
}

/// One row; read by column name.
#[derive(Debug, Clone)]
pub struct Row {
    columns: Arc<Vec<String>>,
    cells: Vec<Cell>,
}

impl Row {
    #[cfg(test)]
    pub(crate) fn of(columns: &[&str], cells: Vec<Cell>) -> Row {
        Row { columns: Arc::new(columns.iter().map(|c| (*c).to_owned()).collect()), cells }
    }

    fn cell(&self, column: &str) -> Result<&Cell, SqlError> {
        let index = self.columns.iter().position(|name| name.eq_ignore_ascii_case(column));
        index
            .and_then(|index| self.cells.get(index))
            .ok_or_else(|| SqlError::Protocol(format!("the answer has no column {column}")))
    }

    /// A value that may be NULL.
    ///
    /// # Errors
    ///
    /// [`SqlError::Protocol`] when the column is missing or of another type. The value is not shown.
    pub fn optional<T: FromCell>(&self, column: &str) -> Result<Option<T>, SqlError> {
        match self.cell(column)? {
            Cell::Null => Ok(None),
            cell => T::from_cell(cell).map(Some).ok_or_else(|| {
                SqlError::Protocol(format!("column {column} is not {}", T::EXPECTED))
            }),
        }
    }

    /// A value that is never NULL.
    ///
    /// # Errors
    ///
    /// As [`Row::optional`], and when it is NULL.
    pub fn get<T: FromCell>(&self, column: &str) -> Result<T, SqlError> {
        self.optional(column)?.ok_or_else(|| SqlError::Protocol(format!("column {column} is NULL")))
    }

    /// A value whose column exists only in newer versions; missing counts as NULL.
    pub(crate) fn newer<T: FromCell>(&self, column: &str) -> Result<Option<T>, SqlError> {
        match self.cell(column) {
            Ok(_) => self.optional(column),
            Err(_) => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tiberius::numeric::Numeric;
    use tiberius::time::{DateTime, DateTime2};

    #[test]
    fn an_lsn_of_25_digits_arrives_exactly() {
        let value = 4_500_000_001_234_500_001_000_001;
        let cell = Cell::from(ColumnData::Numeric(Some(Numeric::new_with_scale(value, 0))));
        assert_eq!(Lsn::from_cell(&cell).unwrap().to_string(), value.to_string());
    }

    #[test]
    fn integers_widen_and_overflows_are_refused() {
        let row = Row::of(&["n"], vec![Cell::from(ColumnData::U8(Some(7)))]);
        assert_eq!(row.get::<i32>("N").unwrap(), 7);
        assert!(row.get::<bool>("n").unwrap());
        let big = Row::of(&["n"], vec![Cell::Int(1 << 40)]);
        assert!(big.get::<i32>("n").is_err());
        assert_eq!(big.get::<i64>("n").unwrap(), 1 << 40);
    }

    #[test]
    fn a_datetime_becomes_an_instant_by_the_offset_of_its_server() {
        // 2026-03-01T12:00:00.003 on a server two hours ahead.
        let days = 46_080; // since 1900-01-01
        let cell = Cell::from(ColumnData::DateTime(Some(DateTime::new(days, 12 * 3600 * 300 + 1))));
        let time = LocalTime::from_cell(&cell).unwrap().at_offset(120);
        assert_eq!(time.to_string(), "2026-03-01T10:00:00.003Z");
    }

    #[test]
    fn datetime2_counts_in_its_own_scale() {
        let date = tiberius::time::Date::new(719_162 + 1);
        let time = tiberius::time::Time::new(15_000_000, 7);
        let cell = Cell::from(ColumnData::DateTime2(Some(DateTime2::new(date, time))));
        assert_eq!(cell, Cell::Local(DAY + 1500));
    }

    #[test]
    fn null_of_any_type_is_null_and_an_error_where_it_cannot_be() {
        let row = Row::of(&["v"], vec![Cell::from(ColumnData::String(None))]);
        assert_eq!(row.optional::<i32>("v").unwrap(), None);
        assert!(row.get::<i32>("v").is_err());
        assert!(row.get::<i32>("missing").is_err());
        assert_eq!(row.newer::<i32>("missing").unwrap(), None);
    }
}
