//! Whether a statement agrees with what is documented: the procedures that it calls, the columns that it
//! reads, and so the columns and types of what it answers.
//!
//! The statement's tree is that of the vendor's parser, the documentation is `pcdr-facts`; neither knows
//! the stand-in. What the check does not understand is a problem as well, so that nothing passes unseen.

pub mod answer;
mod call;
pub mod node;
mod query;

use std::collections::{BTreeMap, BTreeSet};

use pcdr_facts::{Base, Facts, Place, Size, SqlType};
use serde_json::Value;

use answer::{AnswerColumn, ResultSet};
use node::Node;
use query::Scope;

/// Carries out SQL in a text; a part of the language more than a procedure, and so in no list of those.
const EXECUTE_SQL: &str = "sp_executesql";

/// What a check found.
#[derive(Debug, Default)]
pub struct Checked {
    /// What does not agree, or is not understood.
    pub problems: Vec<String>,
    /// Result sets, in the order of the text.
    pub answers: Vec<ResultSet>,
    /// `procedure` and `procedure.@parameter` of every call.
    pub called: BTreeSet<String>,
    /// `relation.column` of every column that is mentioned.
    pub read: BTreeSet<String>,
    /// `relation.column` of every column that came with a later release and is mentioned inside of TRY, where
    /// the error is an answer.
    pub tried: BTreeSet<String>,
}

/// Checks the tree of a batch for a release, by its year. `places` are the servers that it is sent to, by
/// their parts in log shipping; empty: any.
#[must_use]
pub fn check(facts: &Facts, year: u16, tree: &Value, places: &[Place]) -> Checked {
    let mut check = Check {
        facts,
        year,
        places,
        variables: BTreeMap::new(),
        found: Checked::default(),
        catching: false,
        trying: false,
    };
    check.script(Node(tree));
    check.found
}

struct Check<'a> {
    facts: &'a Facts,
    year: u16,
    places: &'a [Place],
    variables: BTreeMap<String, SqlType>,
    found: Checked,
    /// Inside of CATCH.
    catching: bool,
    /// Inside of TRY.
    trying: bool,
}

impl<'a> Check<'a> {
    fn problem(&mut self, text: impl Into<String>) {
        self.found.problems.push(text.into());
    }

    fn script(&mut self, script: Node<'_>) {
        for batch in script.nodes("Batches") {
            self.statements(batch.nodes("Statements"));
        }
    }

    fn statements<'n>(&mut self, statements: impl IntoIterator<Item = Node<'n>>) {
        for statement in statements {
            self.statement(statement);
        }
    }

    fn statement(&mut self, statement: Node<'_>) {
        match statement.class() {
            "SelectStatement" => {
                if let Some(query) = statement.node("QueryExpression") {
                    self.select_statement(query);
                }
            }
            "DeclareVariableStatement" => self.declare(statement),
            "ExecuteStatement" => self.execute(statement),
            "TryCatchStatement" => {
                let inside = |part| statement.node(part).map(|list| list.nodes("Statements"));
                self.trying = true;
                self.statements(inside("TryStatements").unwrap_or_default());
                self.trying = false;
                self.catching = true;
                self.statements(inside("CatchStatements").unwrap_or_default());
                self.catching = false;
            }
            "BeginEndBlockStatement" => {
                let inside = statement.node("StatementList").map(|list| list.nodes("Statements"));
                self.statements(inside.unwrap_or_default());
            }
            "IfStatement" => {
                if let Some(predicate) = statement.node("Predicate") {
                    self.condition(predicate, &[]);
                }
                self.statements(statement.node("ThenStatement"));
                self.statements(statement.node("ElseStatement"));
            }
            "RestoreStatement" => self.restore(statement),
            // The parser judges these: they call no procedure, read no column, and answer nothing.
            "PredicateSetStatement"
            | "RollbackTransactionStatement"
            | "UseStatement"
            | "ThrowStatement"
            | "KillStatement"
            | "DbccStatement"
            | "BackupDatabaseStatement"
            | "BackupTransactionLogStatement"
            | "AlterDatabaseSetStatement"
            | "CreateEndpointStatement"
            | "AlterEndpointStatement"
            | "DropEndpointStatement"
            | "DropDatabaseStatement"
            | "CreateLoginStatement"
            | "CreateUserStatement"
            | "AlterRoleStatement"
            | "AlterServerRoleStatement"
            | "GrantStatement" => {}
            other => self.problem(format!("{other} is a statement that the check does not know")),
        }
    }

    fn declare(&mut self, statement: Node<'_>) {
        for element in statement.nodes("Declarations") {
            let name = element.node("VariableName").map(Node::value).unwrap_or_default();
            match element.node("DataType").and_then(sql_type) {
                Some(ty) => {
                    self.variables.insert(name.to_lowercase(), ty);
                }
                None => self.problem(format!("{name} is of a type that the check does not know")),
            }
        }
    }

    fn restore(&mut self, statement: Node<'_>) {
        let of = match statement.text("Kind") {
            "HeaderOnly" => "RESTORE HEADERONLY",
            "FileListOnly" => "RESTORE FILELISTONLY",
            "LabelOnly" => "RESTORE LABELONLY",
            _ => return, // answers nothing
        };
        let Some(documented) = self.facts.result(of) else {
            return self.problem(format!("{of} is not documented"));
        };
        self.answered(documented);
    }

    /// Takes down a result set that is not made by a query.
    fn answered(&mut self, documented: &pcdr_facts::ResultSet) {
        let columns = documented.columns.iter().filter(|column| column.is_in(self.year));
        let columns = columns.map(|column| AnswerColumn {
            name: column.name.clone(),
            ty: column.wire(),
            // Every column may be NULL in the answer, but not everything in a header is.
            null: column.null,
        });
        let columns = columns.collect();
        self.found.answers.push(ResultSet { columns, of_failure: self.catching });
    }

    fn select_statement(&mut self, query: Node<'_>) {
        let elements = query.nodes("SelectElements");
        let assigns = elements.iter().any(|element| element.class() == "SelectSetVariable");
        let columns = self.select(query, &[]);
        if !assigns {
            self.found.answers.push(ResultSet { columns, of_failure: self.catching });
        }
    }

    fn variable(&mut self, name: &str) -> Option<SqlType> {
        let found = self.variables.get(&name.to_lowercase()).copied();
        if found.is_none() {
            self.problem(format!("{name} is not declared"));
        }
        found
    }

    fn scopes<'s>(outer: &[&'s Scope], inner: &'s Scope) -> Vec<&'s Scope> {
        outer.iter().copied().chain([inner]).collect()
    }
}

/// A type as it is written in a statement.
fn sql_type(written: Node<'_>) -> Option<SqlType> {
    if written.class() != "SqlDataTypeReference" {
        return None;
    }
    let name = written.text("SqlDataTypeOption").to_lowercase();
    let sizes: Vec<String> =
        written.nodes("Parameters").into_iter().map(|size| size.value().to_lowercase()).collect();
    let text = if sizes.is_empty() { name } else { format!("{name}({})", sizes.join(",")) };
    text.parse().ok()
}

fn plain(base: Base) -> SqlType {
    SqlType { base, size: Size::None }
}

fn nvarchar(length: usize) -> SqlType {
    let length = u16::try_from(length.max(1)).unwrap_or(u16::MAX);
    SqlType { base: Base::NVarChar, size: Size::Length(length) }
}
