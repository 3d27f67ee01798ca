//! Calls of procedures, right ones and wrong ones, and questions for result sets.

use pcdr_facts::{Kind, Needed, Parameter, Procedure, SqlType};

use crate::client::{Answer, Client};
use crate::columns::differences;

/// Errors of a call that say what the procedure's parameters are; any other comes from its own work.
pub(crate) const OF_THE_CALL: [i32; 12] =
    [102, 119, 137, 201, 206, 245, 257, 2812, 8114, 8144, 8145, 8162];

/// A value that a type holds, and that names what there is.
pub(crate) fn right(parameter: &Parameter) -> String {
    let of_that_name = match parameter.name.as_str() {
        "@database" | "@primary_database" => "N'shipped'",
        "@secondary_database" => "N'received'",
        "@primary_server" | "@secondary_server" | "@monitor_server" => "N'SQL1'",
        "action" => "'QUERYSTATE'",
        "service" => "'SQLServerAgent'",
        _ => "",
    };
    match parameter.ty.integers() {
        _ if !of_that_name.is_empty() => of_that_name.to_owned(),
        Some(_) => "1".to_owned(),
        None if parameter.ty.is_text() => "N'D:\\x'".to_owned(),
        None if parameter.ty.to_string() == "uniqueidentifier" => {
            "'0F2C5A10-89AB-4CDE-8F01-23456789ABCD'".to_owned()
        }
        None => "'2026-03-01'".to_owned(),
    }
}

/// A value that a type does not take; `None` for texts, which take everything.
pub(crate) fn wrong(ty: SqlType) -> Option<&'static str> {
    (!ty.is_text()).then_some("N'not at all'")
}

pub(crate) struct Call<'a> {
    procedure: &'a Procedure,
    arguments: Vec<(&'a str, String)>,
}

impl Call<'_> {
    pub(crate) fn batch(&self) -> String {
        let procedure = self.procedure;
        let database = procedure.database.as_deref().unwrap_or("master");
        let arguments = self.arguments.iter().map(|(name, value)| {
            if procedure.positional { value.clone() } else { format!("{name} = {value}") }
        });
        let arguments: Vec<String> = arguments.collect();
        let full = format!("{database}.{}.{}", procedure.schema, procedure.name);
        format!("EXEC {full} {};", arguments.join(", "))
    }
}

/// A call with what is needed, and one more.
pub(crate) fn call<'a>(
    procedure: &'a Procedure,
    year: u16,
    more: Option<&'a Parameter>,
) -> Call<'a> {
    let in_release: Vec<&Parameter> = procedure.parameters_in(year).collect();
    let last = more.and_then(|more| in_release.iter().position(|p| p.name == more.name));
    let given = in_release.into_iter().enumerate().filter(|(at, parameter)| {
        let is_wanted = more.is_some_and(|more| more.name == parameter.name);
        // By position, everything before is given too.
        let before = procedure.positional && last.is_some_and(|last| *at < last);
        parameter.needed == Needed::Yes || is_wanted || before
    });
    let arguments =
        given.map(|(_, parameter)| (parameter.name.as_str(), right(parameter))).collect();
    Call { procedure, arguments }
}

/// The same without one argument, or with another value for it.
pub(crate) fn changed<'a>(mut call: Call<'a>, name: &str, to: Option<&str>) -> Call<'a> {
    match to {
        Some(value) => {
            let argument = call.arguments.iter_mut().find(|(of, _)| *of == name);
            value.clone_into(&mut argument.unwrap().1);
        }
        None => call.arguments.retain(|(of, _)| *of != name),
    }
    call
}

pub(crate) async fn procedure(client: &mut Client, procedure: &Procedure) -> Vec<String> {
    let year = client.year;
    let mut wrong_answers = Vec::new();
    let mut expect = |batch: &str, answer: &Answer, number: i32, says: &str| {
        let first = answer.errors.first();
        if first.is_none_or(|(found, text)| *found != number || !text.contains(says)) {
            wrong_answers.push(format!("{number} {says}, not {first:?}: {batch}"));
        }
    };
    for parameter in &procedure.parameters {
        let name = parameter.name.as_str();
        if !parameter.is_in(year) {
            let batch = format!(
                "{}, {name} = {};",
                call(procedure, year, None).batch().trim_end_matches(';'),
                right(parameter)
            );
            expect(&batch, &client.ask(&batch).await, 8145, name);
            continue;
        }
        let complete = || call(procedure, year, Some(parameter));
        if parameter.needed == Needed::Yes && !procedure.positional {
            let batch = changed(complete(), name, None).batch();
            expect(&batch, &client.ask(&batch).await, 201, name);
        }
        if let Some(value) = wrong(parameter.ty) {
            let batch = changed(complete(), name, Some(value)).batch();
            expect(&batch, &client.ask(&batch).await, 8114, &parameter.ty.to_string());
        }
        if parameter.ty.integers().is_some_and(|(_, high)| (2..i64::MAX).contains(&high)) {
            let too_large = (parameter.ty.integers().unwrap().1 + 1).to_string();
            let batch = changed(complete(), name, Some(&too_large)).batch();
            expect(&batch, &client.ask(&batch).await, 8114, &parameter.ty.to_string());
        }
        if procedure.positional || parameter.ty.to_string() == "ntext" {
            continue; // an extended procedure's arguments have no direction, and ntext is no variable
        }
        let declared = format!("DECLARE @given {};", parameter.ty);
        let batch = changed(complete(), name, Some("@given OUTPUT")).batch();
        let batch = format!("{declared} {batch}");
        let answer = client.ask(&batch).await;
        if !parameter.output {
            expect(&batch, &answer, 8162, name);
        } else if OF_THE_CALL.contains(&answer.number()) {
            expect(&batch, &answer, 0, "takes it as OUTPUT");
        }
    }
    if !procedure.positional {
        let batch =
            format!("{} @no_such = 1;", call(procedure, year, None).batch().trim_end_matches(';'));
        let batch = if batch.contains('=') && batch.matches('=').count() > 1 {
            batch.replace(" @no_such", ", @no_such")
        } else {
            batch
        };
        expect(&batch, &client.ask(&batch).await, 8145, "@no_such");
    }
    // Last, because these may do something.
    let accepted = [None].into_iter().chain(procedure.parameters_in(year).map(Some));
    for parameter in accepted {
        let batch = call(procedure, year, parameter).batch();
        let answer = client.ask(&batch).await;
        if OF_THE_CALL.contains(&answer.number()) {
            wrong_answers.push(format!("{:?}: {batch}", answer.errors));
        }
    }
    wrong_answers
}

pub(crate) async fn result_of(client: &mut Client, procedure: &Procedure) -> Vec<String> {
    let mut one = call(procedure, client.year, None);
    if let Some(either) = procedure.parameters.iter().find(|p| p.needed == Needed::One) {
        one.arguments.push((&either.name, right(either)));
    }
    let answer = client.ask(&one.batch()).await;
    match answer.sets.first() {
        Some(found) => differences(client.year, found, &procedure.result, false, false),
        None => vec![format!("no result set but {:?}: {}", answer.errors, one.batch())],
    }
}

/// How a result set is asked for.
pub(crate) fn question(of: &str, kind: Kind) -> String {
    match (kind, of) {
        (Kind::Restore, _) => format!("{of} FROM DISK = N'D:\\shipped.bak';"),
        (Kind::View, _) => format!("SELECT * FROM {of};"),
        (Kind::Function, "sys.dm_os_enumerate_filesystem") => {
            format!("SELECT * FROM {of}(N'D:\\', N'*');")
        }
        (Kind::Function, "sys.dm_os_volume_stats") => format!("SELECT * FROM {of}(1, 1);"),
        (Kind::Function, _) => format!("SELECT * FROM {of}(N'D:\\shipped.bak');"),
        (Kind::Procedure, "xp_dirtree") => "EXEC master.sys.xp_dirtree N'D:\\', 1, 1;".to_owned(),
        (Kind::Procedure, "xp_fileexist" | "xp_subdirs") => {
            format!("EXEC master.sys.{of} N'D:\\';")
        }
        (Kind::Procedure, "sp_help_job" | "sp_help_jobactivity") => format!("EXEC msdb.dbo.{of};"),
        (Kind::Procedure, _) => format!("EXEC master.sys.{of};"),
    }
}
