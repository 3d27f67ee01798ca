//! MERGE.

use super::{Parsed, Parser};
use crate::message::SqlMessage;
use crate::tsql::tree::{ArgumentValue, Cte, Merge, MergeAction, MergeBranch, MergeWhen};

impl Parser {
    pub(super) fn merge(&mut self, ctes: Vec<Cte>) -> Parsed<Merge> {
        self.expect("MERGE")?;
        let top = self.change_top()?;
        self.accept("INTO");
        let target = self.target()?;
        self.table_hints()?;
        let alias = self.alias()?;
        self.expect("USING")?;
        let source = self.joined()?;
        self.expect("ON")?;
        let on = self.condition()?;
        let mut branches = Vec::new();
        while self.accept("WHEN") {
            branches.push(self.merge_branch()?);
        }
        if branches.is_empty() {
            return Err(self.unexpected());
        }
        let output = self.output()?;
        self.option_clause()?;
        if !self.is_symbol(";") {
            let line = self.peek().line;
            return Err(SqlMessage::new(
                10713,
                15,
                "A MERGE statement must be terminated by a semi-colon (;).",
            )
            .at_line(line)
            .into());
        }
        Ok(Merge { top, target, alias, source, on, branches, output, ctes })
    }

    fn merge_branch(&mut self) -> Parsed<MergeBranch> {
        let when = if self.accept("NOT") {
            self.expect("MATCHED")?;
            if self.accept("BY") {
                if self.accept("SOURCE") {
                    MergeWhen::NotMatchedBySource
                } else {
                    self.expect("TARGET")?;
                    MergeWhen::NotMatched
                }
            } else {
                MergeWhen::NotMatched
            }
        } else {
            self.expect("MATCHED")?;
            MergeWhen::Matched
        };
        let condition = if self.accept("AND") { Some(self.condition()?) } else { None };
        self.expect("THEN")?;
        let action = if when == MergeWhen::NotMatched {
            self.expect("INSERT")?;
            let columns = if self.is_symbol("(") { self.name_list()? } else { Vec::new() };
            if self.accept("DEFAULT") {
                self.expect("VALUES")?;
                MergeAction::Insert(columns, None)
            } else {
                self.expect("VALUES")?;
                self.expect_symbol("(")?;
                let mut values = Vec::new();
                loop {
                    values.push(if self.accept("DEFAULT") {
                        ArgumentValue::Default
                    } else {
                        ArgumentValue::Value(self.value()?)
                    });
                    if !self.accept_symbol(",") {
                        break;
                    }
                }
                self.expect_symbol(")")?;
                MergeAction::Insert(columns, Some(values))
            }
        } else if self.accept("DELETE") {
            MergeAction::Delete
        } else {
            self.expect("UPDATE")?;
            self.expect("SET")?;
            MergeAction::Update(self.update_assignments()?)
        };
        Ok(MergeBranch { when, condition, action })
    }
}
