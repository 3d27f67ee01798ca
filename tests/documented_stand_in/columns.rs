//! Tables and views, and the columns of whatever is answered.

use std::collections::BTreeSet;

use pcdr_facts::{Aspect, Column, Relation};
use pcdr_sim::value;

use crate::client::Client;

/// A type of the stand-in as the documentation writes it.
pub(crate) fn written(ty: value::SqlType) -> String {
    use value::{Length, SqlType as T};
    let sized = |name: &str, length: Length| match length {
        Length::Up(length) => format!("{name}({length})"),
        Length::Max => format!("{name}(max)"),
    };
    match ty {
        T::Numeric { precision, scale } => format!("numeric({precision},{scale})"),
        T::Char(length) => format!("char({length})"),
        T::NChar(length) => format!("nchar({length})"),
        T::Binary(length) => format!("binary({length})"),
        T::VarChar(length) => sized("varchar", length),
        T::NVarChar(length) => sized("nvarchar", length),
        T::VarBinary(length) => sized("varbinary", length),
        T::DateTime2(digits) => format!("datetime2({digits})"),
        T::DateTimeOffset(digits) => format!("datetimeoffset({digits})"),
        T::Variant => "sql_variant".to_owned(),
        other => format!("{other:?}").to_lowercase(),
    }
}

/// What differs between the columns of an answer and the documented ones in a release.
pub(crate) fn differences(
    year: u16,
    found: &[value::Column],
    documented: &[Column],
    part: bool,
    grows: bool,
) -> Vec<String> {
    let mut wrong = Vec::new();
    let is_optional = |column: &Column| {
        column.lacks(Aspect::Existence) || (column.lacks(Aspect::Since) && !column.is_in(year))
    };
    let mut at = 0;
    let mut order_is_known = !part;
    for column in documented {
        order_is_known &= !column.lacks(Aspect::Order);
        // The documentation may have two columns of one name, in this order.
        let same = |one: &value::Column| one.name == column.name;
        let place = found.iter().skip(at).position(same).map(|place| at + place);
        let place = place.or_else(|| found.iter().position(same).filter(|_| !order_is_known));
        let Some(place) = place else {
            if column.is_in(year) && !is_optional(column) {
                wrong.push(format!("{} is missing", column.name));
            }
            continue;
        };
        let one = &found[place];
        if !column.is_in(year) && !is_optional(column) {
            wrong.push(format!("{} came only with {:?}", column.name, column.since));
        }
        if order_is_known {
            if place != at {
                let before = &found[at].name;
                wrong.push(format!("{before} stands where {} belongs", column.name));
            }
            at = place + 1;
        }
        let (ty, wanted) = (written(one.ty), column.wire().to_string());
        let plain = |ty: &str| ty.split('(').next().map(str::to_owned);
        let is_same = match column {
            _ if column.lacks(Aspect::Type) => true, // nothing is claimed
            _ if column.lacks(Aspect::Length) => plain(&ty) == plain(&wanted),
            _ => ty == wanted,
        };
        if !is_same {
            wrong.push(format!("{} is {ty}, not {}", column.name, column.wire()));
        }
        if column.null.is_some_and(|null| null != one.nullable) {
            wrong.push(format!("{} may be NULL: {}", column.name, one.nullable));
        }
    }
    let known: BTreeSet<&str> = documented.iter().map(|column| column.name.as_str()).collect();
    if !(part || grows && year >= 2019) {
        let more = found.iter().filter(|one| !known.contains(&*one.name));
        wrong.extend(more.map(|one| format!("{} is not documented", one.name)));
    }
    wrong
}

pub(crate) async fn relation(client: &mut Client, relation: &Relation) -> Vec<String> {
    let name = relation.full_name();
    let answer = client.ask(&format!("SELECT TOP (0) * FROM {name};")).await;
    let Some(found) = answer.sets.first() else {
        return vec![format!("{:?}", answer.errors)];
    };
    let mut wrong =
        differences(client.year, found, &relation.columns, relation.part, relation.grows);
    if relation.database.as_deref() == Some("msdb") {
        wrong.extend(listed_columns(client, &relation.name, found).await);
    }
    wrong
}

/// What the server's own list of columns says otherwise than a query of the table does.
pub(crate) async fn listed_columns(
    client: &mut Client,
    table: &str,
    queried: &[value::Column],
) -> Vec<String> {
    let batch = format!(
        "SELECT c.COLUMN_NAME, c.DATA_TYPE, c.CHARACTER_MAXIMUM_LENGTH, c.IS_NULLABLE \
         FROM msdb.INFORMATION_SCHEMA.COLUMNS AS c WHERE c.TABLE_SCHEMA = N'dbo' \
         AND c.TABLE_NAME = N'{table}' ORDER BY c.ORDINAL_POSITION;"
    );
    let answer = client.ask(&batch).await;
    let listed: Vec<String> = answer.rows.iter().map(|row| format!("{row:?}")).collect();
    let expected = queried.iter().map(|column| {
        let ty = written(column.ty);
        let (plain, size) = ty.split_once('(').unwrap_or((&ty, ""));
        let length = match size.trim_end_matches(')') {
            _ if plain == "ntext" => value::Value::Int(1_073_741_823),
            "max" => value::Value::Int(-1),
            size if plain.ends_with("char") || plain.ends_with("binary") => {
                value::Value::Int(size.parse().unwrap())
            }
            _ => value::Value::Null,
        };
        let text = |text: &str| value::Value::string(text);
        let null = text(if column.nullable { "YES" } else { "NO" });
        format!("{:?}", vec![text(&column.name), text(plain), length, null])
    });
    let expected: Vec<String> = expected.collect();
    let differ = expected.iter().zip(&listed).find(|(a, b)| a != b);
    match differ {
        _ if expected.len() != listed.len() => {
            vec![format!("INFORMATION_SCHEMA lists {} columns", listed.len())]
        }
        Some((expected, listed)) => vec![format!("listed as {listed}, not {expected}")],
        None => Vec::new(),
    }
}
