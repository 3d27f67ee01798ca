//! CREATE TABLE, ALTER TABLE and indexes: columns and constraints.

use super::{Parsed, Parser};
use crate::tsql::lex::Token;
use crate::tsql::tree::{
    AlterTable, ColumnDefinition, ConstraintDefinition, ConstraintKind, StatementKind, TableShape,
};
use crate::value::SqlType;

impl Parser {
    /// `(name type …, …)` of a table or a table variable.
    pub(super) fn table_shape(&mut self) -> Parsed<TableShape> {
        self.expect_symbol("(")?;
        let mut shape = TableShape::default();
        loop {
            self.table_element(&mut shape)?;
            // A comma may stand before the closing parenthesis.
            if !self.accept_symbol(",") || self.is_symbol(")") {
                break;
            }
        }
        self.expect_symbol(")")?;
        Ok(shape)
    }

    /// A column or a constraint.
    fn table_element(&mut self, shape: &mut TableShape) -> Parsed<()> {
        let constraint = ["CONSTRAINT", "PRIMARY", "UNIQUE", "CHECK", "FOREIGN"];
        if constraint.iter().any(|word| self.is(word)) {
            return self.table_constraint(shape);
        }
        if self.accept("INDEX") {
            let name = self.identifier()?;
            let unique = self.accept("UNIQUE");
            self.index_options()?;
            let columns = self.key_columns()?;
            if unique {
                let kind = ConstraintKind::UniqueIndex(columns);
                shape.constraints.push(ConstraintDefinition { name: Some(name), kind });
            }
            return Ok(());
        }
        self.column_definition(shape)
    }

    fn column_definition(&mut self, shape: &mut TableShape) -> Parsed<()> {
        let name = self.identifier()?;
        if self.accept("AS") {
            let from = self.at;
            self.value()?;
            let computed = Some(self.text_of(from, self.at));
            self.accept("PERSISTED");
            shape.columns.push(ColumnDefinition {
                name,
                ty: SqlType::Int,
                nullable: true,
                identity: None,
                default: None,
                computed,
            });
            return Ok(());
        }
        let ty = self.type_name()?;
        let mut column = ColumnDefinition {
            name,
            ty,
            nullable: true,
            identity: None,
            default: None,
            computed: None,
        };
        let mut constraint_name = None;
        loop {
            let mut add = |kind: ConstraintKind| {
                let name = constraint_name.take();
                shape.constraints.push(ConstraintDefinition { name, kind });
            };
            if self.accept_all(&["NOT", "NULL"]) {
                column.nullable = false;
            } else if self.accept("NULL") || self.accept("ROWGUIDCOL") || self.accept("SPARSE") {
            } else if self.accept("IDENTITY") {
                column.nullable = false;
                column.identity = Some((1, 1));
                if self.accept_symbol("(") {
                    let seed = self.integer()?;
                    self.expect_symbol(",")?;
                    column.identity = Some((seed, self.integer()?));
                    self.expect_symbol(")")?;
                }
            } else if self.accept("CONSTRAINT") {
                constraint_name = Some(self.identifier()?);
            } else if self.accept("COLLATE") {
                self.identifier()?;
            } else if self.accept("DEFAULT") {
                let from = self.at;
                let value = self.value()?;
                column.default = Some((value, self.text_of(from, self.at)));
                constraint_name = None;
            } else if self.accept_all(&["PRIMARY", "KEY"]) {
                column.nullable = false;
                add(ConstraintKind::PrimaryKey(vec![column.name.clone()]));
                self.index_options()?;
            } else if self.accept("UNIQUE") {
                add(ConstraintKind::Unique(vec![column.name.clone()]));
                self.index_options()?;
            } else if self.accept("CHECK") {
                let text = self.check()?;
                add(ConstraintKind::Check(text, Some(column.name.clone())));
            } else if self.is("REFERENCES") || self.is("FOREIGN") {
                if self.accept("FOREIGN") {
                    self.expect("KEY")?;
                }
                let kind = self.references(vec![column.name.clone()])?;
                add(kind);
            } else {
                shape.columns.push(column);
                return Ok(());
            }
        }
    }

    /// The condition of CHECK, as the catalog keeps it.
    fn check(&mut self) -> Parsed<String> {
        self.accept_all(&["NOT", "FOR", "REPLICATION"]);
        self.expect_symbol("(")?;
        let from = self.at;
        self.condition()?;
        let text = self.text_of(from, self.at);
        self.expect_symbol(")")?;
        Ok(text)
    }

    /// `REFERENCES table (columns)`: what happens to rows that refer to others is always NO ACTION;
    /// the other actions are refused.
    fn references(&mut self, columns: Vec<String>) -> Parsed<ConstraintKind> {
        self.expect("REFERENCES")?;
        let table = self.path()?;
        let others = if self.is_symbol("(") { self.name_list()? } else { Vec::new() };
        while self.is("ON") && (self.peek_at(1).is("DELETE") || self.peek_at(1).is("UPDATE")) {
            self.take();
            self.take();
            self.expect("NO")?;
            self.expect("ACTION")?;
        }
        Ok(ConstraintKind::ForeignKey(columns, table, others))
    }

    fn index_options(&mut self) -> Parsed<()> {
        if !self.accept("CLUSTERED") {
            self.accept("NONCLUSTERED");
        }
        self.storage_clauses()
    }

    /// `WITH (…)`, `ON filegroup` and `TEXTIMAGE_ON filegroup`: where and how a table is stored.
    pub(super) fn storage_clauses(&mut self) -> Parsed<()> {
        loop {
            if self.is("WITH") && self.peek_at(1).is_symbol("(") {
                self.take();
                self.skip_group()?;
            } else if self.accept("TEXTIMAGE_ON")
                || self.is("ON")
                    && !self.peek_at(1).is("DELETE")
                    && !self.peek_at(1).is("UPDATE")
                    && self.accept("ON")
            {
                if !self.accept("PRIMARY") {
                    self.identifier()?;
                }
            } else {
                return Ok(());
            }
        }
    }

    /// `(a ASC, b DESC)`.
    fn key_columns(&mut self) -> Parsed<Vec<String>> {
        self.expect_symbol("(")?;
        let mut names = Vec::new();
        loop {
            names.push(self.identifier()?);
            if !self.accept("ASC") {
                self.accept("DESC");
            }
            if !self.accept_symbol(",") {
                break;
            }
        }
        self.expect_symbol(")")?;
        Ok(names)
    }

    fn table_constraint(&mut self, shape: &mut TableShape) -> Parsed<()> {
        let name = if self.accept("CONSTRAINT") { Some(self.identifier()?) } else { None };
        let kind = if self.accept("CHECK") {
            ConstraintKind::Check(self.check()?, None)
        } else if self.accept_all(&["FOREIGN", "KEY"]) {
            let columns = self.name_list()?;
            self.references(columns)?
        } else if self.accept("DEFAULT") {
            let from = self.at;
            let value = self.value()?;
            let text = self.text_of(from, self.at);
            self.expect("FOR")?;
            ConstraintKind::Default(value, text, self.identifier()?)
        } else {
            let primary = self.accept_all(&["PRIMARY", "KEY"]);
            if !primary {
                self.expect("UNIQUE")?;
            }
            self.index_options()?;
            let columns = self.key_columns()?;
            self.index_options()?;
            for column in &mut shape.columns {
                let named = columns.iter().any(|n| crate::tsql::tree::same_name(n, &column.name));
                if named && primary {
                    column.nullable = false;
                }
            }
            if primary {
                ConstraintKind::PrimaryKey(columns)
            } else {
                ConstraintKind::Unique(columns)
            }
        };
        shape.constraints.push(ConstraintDefinition { name, kind });
        Ok(())
    }

    /// ALTER TABLE.
    pub(super) fn alter_table(&mut self) -> Parsed<StatementKind> {
        self.take();
        self.take();
        let table = self.path()?;
        if self.accept("WITH") && !self.accept("CHECK") {
            self.expect("NOCHECK")?;
        }
        if self.accept("ADD") {
            let mut shape = TableShape::default();
            loop {
                if self.is("DEFAULT") {
                    self.table_constraint(&mut shape)?;
                } else {
                    self.table_element(&mut shape)?;
                }
                if !self.accept_symbol(",") {
                    break;
                }
            }
            return Ok(StatementKind::AlterTable(table, Box::new(AlterTable::Add(shape))));
        }
        if self.accept_all(&["ALTER", "COLUMN"]) {
            let mut shape = TableShape::default();
            self.column_definition(&mut shape)?;
            return match shape.columns.pop() {
                Some(column) if shape.constraints.is_empty() && column.computed.is_none() => {
                    Ok(StatementKind::AlterTable(table, Box::new(AlterTable::AlterColumn(column))))
                }
                _ => Err(self.unexpected()),
            };
        }
        self.expect("DROP")?;
        let column = self.accept("COLUMN");
        if !column {
            self.accept("CONSTRAINT");
        }
        let if_exists = self.accept_all(&["IF", "EXISTS"]);
        let mut names = vec![self.identifier()?];
        while self.accept_symbol(",") {
            names.push(self.identifier()?);
        }
        let alter = if column {
            AlterTable::DropColumn(names, if_exists)
        } else {
            AlterTable::DropConstraint(names, if_exists)
        };
        Ok(StatementKind::AlterTable(table, Box::new(alter)))
    }

    /// `CREATE [UNIQUE] [CLUSTERED | NONCLUSTERED] INDEX`.
    pub(super) fn begins_index(&self) -> bool {
        let word = |token: &Token| {
            ["UNIQUE", "CLUSTERED", "NONCLUSTERED"].iter().any(|word| token.is(word))
        };
        let ahead = (1..4).find(|i| !word(self.peek_at(*i))).unwrap_or(4);
        self.peek_at(ahead).is("INDEX")
    }

    pub(super) fn create_index(&mut self) -> Parsed<StatementKind> {
        self.take();
        let unique = self.accept("UNIQUE");
        if !self.accept("CLUSTERED") {
            self.accept("NONCLUSTERED");
        }
        self.expect("INDEX")?;
        let name = self.identifier()?;
        self.expect("ON")?;
        let table = self.path()?;
        let columns = self.key_columns()?;
        if self.accept("INCLUDE") {
            self.name_list()?;
        }
        self.storage_clauses()?;
        Ok(StatementKind::CreateIndex { name, unique, table, columns })
    }

    pub(super) fn drop_index(&mut self) -> Parsed<StatementKind> {
        self.take();
        self.take();
        let if_exists = self.accept_all(&["IF", "EXISTS"]);
        let mut names = Vec::new();
        loop {
            let name = self.identifier()?;
            self.expect("ON")?;
            names.push((name, self.path()?));
            if !self.accept_symbol(",") {
                return Ok(StatementKind::DropIndex(names, if_exists));
            }
        }
    }
}
