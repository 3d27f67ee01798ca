//! Cursors: DECLARE, OPEN, FETCH, CLOSE and DEALLOCATE.

use super::{Parsed, Parser};
use crate::tsql::lex::Kind;
use crate::tsql::tree::{CursorDefinition, CursorName, Direction, Fetch, StatementKind};

impl Parser {
    /// `name [INSENSITIVE] [SCROLL] CURSOR … FOR query`, after DECLARE.
    pub(super) fn declare_cursor(&mut self) -> Parsed<StatementKind> {
        let name = self.identifier()?;
        let mut is_static = self.accept("INSENSITIVE");
        let mut scrolls = self.accept("SCROLL");
        is_static |= self.accept("INSENSITIVE");
        self.expect("CURSOR")?;
        let mut definition = self.cursor(name)?;
        definition.is_static |= is_static;
        scrolls |= definition.scrolls;
        definition.scrolls = scrolls;
        Ok(StatementKind::DeclareCursor(Box::new(definition)))
    }

    /// What follows CURSOR.
    pub(super) fn cursor(&mut self, name: String) -> Parsed<CursorDefinition> {
        let (mut local, mut is_static) = (None, false);
        let (mut scrolls, mut forward_only) = (false, false);
        loop {
            if self.accept("LOCAL") {
                local = Some(true);
            } else if self.accept("GLOBAL") {
                local = Some(false);
            } else if self.accept("FORWARD_ONLY") || self.accept("FAST_FORWARD") {
                forward_only = true;
            } else if self.accept("SCROLL") || self.accept("KEYSET") || self.accept("DYNAMIC") {
                scrolls = true;
            } else if self.accept("STATIC") {
                is_static = true;
                scrolls = true;
            } else if !["READ_ONLY", "SCROLL_LOCKS", "OPTIMISTIC", "TYPE_WARNING"]
                .iter()
                .any(|word| self.accept(word))
            {
                break;
            }
        }
        self.expect("FOR")?;
        let query = self.query()?;
        if self.accept("FOR") {
            if self.accept("READ") {
                self.expect("ONLY")?;
            } else {
                self.expect("UPDATE")?;
                if self.accept("OF") {
                    self.identifier()?;
                    while self.accept_symbol(",") {
                        self.identifier()?;
                    }
                }
            }
        }
        Ok(CursorDefinition { name, local, scrolls: scrolls && !forward_only, is_static, query })
    }

    pub(super) fn cursor_name(&mut self) -> Parsed<CursorName> {
        if self.peek().kind == Kind::Variable {
            return Ok(CursorName { global: false, name: self.variable()? });
        }
        let global = self.is("GLOBAL") && {
            self.take();
            true
        };
        Ok(CursorName { global, name: self.identifier()? })
    }

    pub(super) fn fetch(&mut self) -> Parsed<StatementKind> {
        self.expect("FETCH")?;
        let mut count = None;
        let mut given = true;
        let direction = if self.accept("NEXT") {
            Direction::Next
        } else if self.accept("PRIOR") {
            Direction::Prior
        } else if self.accept("FIRST") {
            Direction::First
        } else if self.accept("LAST") {
            Direction::Last
        } else if self.is("ABSOLUTE") || self.is("RELATIVE") {
            let absolute = self.take().is("ABSOLUTE");
            count = Some(self.value()?);
            if absolute { Direction::Absolute } else { Direction::Relative }
        } else {
            given = false;
            Direction::Next
        };
        // FROM may be left out, but not after a direction's count.
        if !self.accept("FROM") && given && count.is_some() {
            return Err(self.unexpected());
        }
        let cursor = self.cursor_name()?;
        let mut into = Vec::new();
        if self.accept("INTO") {
            into.push(self.variable()?);
            while self.accept_symbol(",") {
                into.push(self.variable()?);
            }
        }
        Ok(StatementKind::Fetch(Box::new(Fetch { direction, count, cursor, into })))
    }
}
