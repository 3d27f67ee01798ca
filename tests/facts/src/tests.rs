//! That the data is well formed, and that bad data would be noticed.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with the place and the value")]

use std::collections::BTreeSet;

use super::*;

fn facts() -> Facts {
    Facts::load().unwrap()
}

/// What is wrong with a procedure.
fn problems(procedure: &Procedure) -> Vec<String> {
    let mut found = Vec::new();
    let mut names = BTreeSet::new();
    for parameter in &procedure.parameters {
        let mut wrong =
            |what: &str| found.push(format!("{} {}: {what}", procedure.name, parameter.name));
        if !names.insert(parameter.name.to_lowercase()) {
            wrong("is there twice");
        }
        if parameter.name.starts_with('@') == procedure.positional {
            wrong("has an @ exactly when it is given by name");
        }
        if parameter.needed != Needed::No && (parameter.default.is_some() || parameter.output) {
            wrong("is needed, so it has no default and gives nothing back");
        }
        let other = parameter.instead_of.as_deref();
        let is_mutual = other
            .and_then(|other| procedure.parameter(other))
            .is_some_and(|other| other.instead_of.as_deref() == Some(&parameter.name));
        if (parameter.needed == Needed::One) != is_mutual {
            wrong("and its alternative name each other");
        }
        for value in parameter.default.iter().chain(&parameter.then) {
            let is_word =
                matches!(value.as_str(), "NULL" | "unchanged" | "caller" | "today" | "master");
            let fits = match parameter.ty.integers() {
                Some((low, high)) => value.parse().is_ok_and(|n: i64| (low..=high).contains(&n)),
                None => parameter.ty.is_text(),
            };
            if !is_word && !fits {
                wrong("has a default that its type cannot hold");
            }
        }
        if parameter.since.is_some() && !procedure.is_in(2025) {
            wrong("came after its procedure had gone");
        }
    }
    if procedure.since.is_some() && procedure.until.is_some() {
        found.push(format!("{} came and went", procedure.name));
    }
    found.extend(twice(&procedure.name, &procedure.result));
    found
}

fn twice(of: &str, columns: &[Column]) -> Option<String> {
    let names: BTreeSet<String> = columns.iter().map(|c| c.name.to_lowercase()).collect();
    (names.len() != columns.len()).then(|| format!("{of} has a column twice"))
}

#[test]
fn every_procedure_is_well_formed() {
    let found: Vec<String> = facts().procedures.iter().flat_map(problems).collect();
    assert_eq!(found, [""; 0]);
}

#[test]
fn a_procedure_that_is_not_well_formed_is_noticed() {
    let text = r#"[[procedures]]
        name = "sp_x"
        schema = "dbo"
        runs_on = ["primary"]
        parameters = [
          { name = "@a", type = "int", needed = "yes" },
          { name = "@b", type = "bit", default = "1" },
          { name = "@c", type = "sysname", needed = "one", instead_of = "@d" },
          { name = "@d", type = "int", needed = "one", instead_of = "@c" },
        ]"#;
    let read = |text: &str| {
        let mut facts = Facts::default();
        facts.add(text).map(|()| problems(&facts.procedures[0]))
    };
    assert_eq!(read(text).unwrap(), [""; 0]);
    for (good, bad) in [
        ("\"@b\"", "\"@A\""),
        ("\"@b\"", "\"b\""),
        ("default = \"1\"", "default = \"2\""),
        ("default = \"1\"", "default = \"one\""),
        ("needed = \"yes\"", "needed = \"yes\", output = true"),
        ("instead_of = \"@d\"", "instead_of = \"@a\""),
    ] {
        assert!(!read(&text.replacen(good, bad, 1)).unwrap().is_empty(), "{bad}");
    }
    for (good, bad) in [
        ("\"int\"", "\"integer\""),
        ("\"int\"", "\"int(4)\""),
        ("\"sysname\"", "\"nvarchar\""),
        ("\"yes\"", "\"maybe\""),
        ("\"primary\"", "\"witness\""),
        ("output", "gives"),
        ("schema", "shema"),
    ] {
        let changed = text.replacen("needed = \"yes\"", "needed = \"yes\", output = false", 1);
        assert!(read(&changed.replacen(good, bad, 1)).is_err(), "{bad}");
    }
}

#[test]
fn names_are_unique() {
    let facts = facts();
    let procedures: BTreeSet<String> =
        facts.procedures.iter().map(|p| p.name.to_lowercase()).collect();
    assert_eq!(procedures.len(), facts.procedures.len());
    let relations: BTreeSet<String> = facts.relations.iter().map(Relation::full_name).collect();
    assert_eq!(relations.len(), facts.relations.len());
    let results: BTreeSet<&str> = facts.results.iter().map(|r| r.of.as_str()).collect();
    assert_eq!(results.len(), facts.results.len());
    let columns = facts.relations.iter().filter_map(|r| twice(&r.full_name(), &r.columns));
    // sp_who2 really has two columns of one name.
    let results = facts.results.iter().filter(|r| r.of != "sp_who2");
    let columns: Vec<String> =
        columns.chain(results.filter_map(|r| twice(&r.of, &r.columns))).collect();
    assert_eq!(columns, [""; 0]);
}

#[test]
fn every_release_has_the_parameters_of_its_time() {
    let facts = facts();
    let add = facts.procedure("SP_ADD_LOG_SHIPPING_PRIMARY_DATABASE").unwrap();
    let count = |year| add.parameters_in(year).count();
    assert_eq!((count(2005), count(2008), count(2022), count(2025)), (18, 19, 19, 21));
    assert!(!facts.procedure("xp_copy_file").unwrap().is_in(2017));
    assert!(facts.procedure("xp_copy_file").unwrap().is_in(2019));
    assert!(!facts.procedure("sp_change_primary_role").unwrap().is_in(2012));
}

#[test]
fn all_of_the_documented_is_there() {
    let facts = facts();
    let of_log_shipping = facts
        .procedures
        .iter()
        .filter(|p| p.name.contains("log_shipping") || p.name.contains("logshipping"));
    let tables = facts.relations.iter().filter(|r| r.name.starts_with("log_shipping_"));
    let parameters: usize = facts.procedures.iter().map(|p| p.parameters.len()).sum();
    let columns = facts.relations.iter().map(|r| r.columns.len()).sum::<usize>()
        + facts.results.iter().map(|r| r.columns.len()).sum::<usize>()
        + facts.procedures.iter().map(|p| p.result.len()).sum::<usize>();
    println!(
        "{} procedures with {parameters} parameters, {} tables and views and {} result sets with \
         {columns} columns",
        facts.procedures.len(),
        facts.relations.len(),
        facts.results.len()
    );
    // Numbers of the vendor's own overviews: 28 procedures of log shipping and three for role changes,
    // 16 tables of log shipping.
    assert_eq!((of_log_shipping.count(), tables.count()), (28, 16));
    assert_eq!(facts.results.iter().filter(|r| r.kind == Kind::Restore).count(), 3);
    let headers = facts.result("RESTORE HEADERONLY").unwrap();
    let count = |year| headers.columns.iter().filter(|c| c.is_in(year)).count();
    assert_eq!((count(2012), count(2014), count(2022)), (53, 56, 59));
}

#[test]
fn a_type_reads_as_it_is_written() {
    for text in
        ["int", "nvarchar(500)", "varbinary(max)", "numeric(25,0)", "datetime2(7)", "char(1)"]
    {
        assert_eq!(text.parse::<SqlType>().unwrap().to_string(), text);
    }
    assert_eq!("sysname".parse::<SqlType>().unwrap().to_string(), "nvarchar(128)");
    for text in ["", "int(", "numeric", "numeric(25)", "nvarchar()", "char(max,1)", "NVARCHAR(5)"] {
        assert!(text.parse::<SqlType>().is_err(), "{text}");
    }
}
