//! Transactions as the language counts them.

use super::Run;
use crate::front::{Reply, TransactionRequest};
use crate::message::SqlFailure;
use crate::tsql::eval::display;
use crate::tsql::failures::error;
use crate::tsql::tree::Expr;

impl Run<'_> {
    pub(super) async fn begin_implicit(&mut self) {
        if self.session.options.implicit_transactions && self.session.transactions == 0 {
            let _failed = self.begin_transaction(None).await;
        }
    }

    pub(super) async fn begin_transaction(
        &mut self,
        name: Option<String>,
    ) -> Result<(), SqlFailure> {
        if self.session.transactions == 0 {
            self.session.descriptor = self.host.begin()?;
            let tables = self.session.tables.clone();
            self.session.before = vec![(String::new(), tables)];
            self.session.transaction_name = name;
            let descriptor = self.session.descriptor;
            self.out.send(Reply::TransactionBegun(descriptor)).await;
        }
        self.session.transactions += 1;
        Ok(())
    }

    pub(super) async fn commit(&mut self) -> Result<(), SqlFailure> {
        match self.session.transactions {
            0 => Err(error(
                3902,
                16,
                "The COMMIT TRANSACTION request has no corresponding BEGIN TRANSACTION.",
            )),
            _ if self.session.doomed => Err(error(
                3930,
                16,
                "The current transaction cannot be committed and cannot support operations that write to the log file. Roll back the transaction.",
            )),
            1 => {
                self.host.commit()?;
                self.session.transactions = 0;
                self.session.before.clear();
                let descriptor = self.session.descriptor;
                self.out.send(Reply::TransactionCommitted(descriptor)).await;
                Ok(())
            }
            _ => {
                self.session.transactions -= 1;
                Ok(())
            }
        }
    }

    pub(super) async fn rollback(&mut self, name: Option<String>) -> Result<(), SqlFailure> {
        if self.session.transactions == 0 {
            return Err(error(
                3903,
                16,
                "The ROLLBACK TRANSACTION request has no corresponding BEGIN TRANSACTION.",
            ));
        }
        let Some(name) = name else {
            self.roll_back().await;
            return Ok(());
        };
        // The name of a savepoint undoes what came after it; the outermost transaction's, all of it.
        if self.session.doomed {
            return Err(error(
                3931,
                16,
                "The current transaction cannot be committed and cannot be rolled back to a savepoint. Roll back the entire transaction.",
            ));
        }
        if self.host.rollback_to(&name)? {
            if let Some(at) = self.session.before.iter().rposition(|(point, _)| *point == name) {
                self.restore_tables(at);
            }
            return Ok(());
        }
        if self.session.transaction_name.as_ref() == Some(&name) {
            self.roll_back().await;
            return Ok(());
        }
        Err(error(
            6401,
            16,
            format!("Cannot roll back {name}. No transaction or savepoint of that name was found."),
        ))
    }

    /// SAVE TRANSACTION: a place to which ROLLBACK can return.
    pub(super) fn save(&mut self, name: &str) -> Result<(), SqlFailure> {
        if self.session.transactions == 0 {
            return Err(error(
                628,
                16,
                "Cannot issue SAVE TRANSACTION when there is no active transaction.",
            ));
        }
        self.host.save(name)?;
        let tables = self.session.tables.clone();
        self.session.before.push((name.to_owned(), tables));
        Ok(())
    }

    /// Gives the temporary tables back what they held at the beginning of the transaction or at one of
    /// its savepoints. What they have counted for identity columns stays counted.
    pub(super) fn restore_tables(&mut self, at: usize) {
        self.session.before.truncate(at + 1);
        let Some((_, tables)) = self.session.before.last() else {
            return;
        };
        let mut tables = tables.clone();
        for (name, table) in &mut tables {
            if let Some(now) = self.session.tables.get(name) {
                table.rules.next_identity = now.rules.next_identity;
            }
        }
        // A table of a call that has ended meanwhile is gone for good.
        let level = self.session.level;
        tables.retain(|_, table| table.level <= level);
        self.session.tables = tables;
    }

    /// The name of a transaction or savepoint, which a variable may hold; 32 characters count.
    pub(super) fn transaction_name(
        &self,
        name: &Option<String>,
    ) -> Result<Option<String>, SqlFailure> {
        let Some(name) = name else {
            return Ok(None);
        };
        let text = if name.starts_with('@') {
            let (ty, value) = self.scalar(&Expr::Variable(name.clone()))?;
            display(&value, ty)
        } else {
            name.clone()
        };
        Ok(Some(text.chars().take(32).collect()))
    }

    pub(super) async fn transaction(&mut self, request: TransactionRequest) {
        let named = |name: String| Some(name).filter(|name| !name.is_empty());
        let (command, result) = match request {
            TransactionRequest::Begin(name) => (212, self.begin_transaction(named(name)).await),
            TransactionRequest::Commit => (213, self.commit().await),
            TransactionRequest::Rollback(name) => (210, self.rollback(named(name)).await),
            TransactionRequest::Save(name) => (214, self.save(&name)),
        };
        if let Err(failure) = &result {
            self.out.fail(failure).await;
        }
        self.out.done(command, None, result.is_err()).await;
    }
}
