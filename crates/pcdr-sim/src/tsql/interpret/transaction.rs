//! Transactions as the language counts them.

use super::Run;
use crate::front::{Reply, TransactionRequest};
use crate::message::SqlFailure;
use crate::tsql::failures::error;

impl Run<'_> {
    pub(super) async fn begin_implicit(&mut self) {
        if self.session.options.implicit_transactions && self.session.transactions == 0 {
            let _failed = self.begin_transaction().await;
        }
    }

    pub(super) async fn begin_transaction(&mut self) -> Result<(), SqlFailure> {
        if self.session.transactions == 0 {
            self.session.descriptor = self.host.begin()?;
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

    pub(super) async fn rollback(&mut self) -> Result<(), SqlFailure> {
        if self.session.transactions == 0 {
            return Err(error(
                3903,
                16,
                "The ROLLBACK TRANSACTION request has no corresponding BEGIN TRANSACTION.",
            ));
        }
        self.roll_back().await;
        Ok(())
    }

    pub(super) async fn transaction(&mut self, request: TransactionRequest) {
        let (command, result) = match request {
            TransactionRequest::Begin => (212, self.begin_transaction().await),
            TransactionRequest::Commit => (213, self.commit().await),
            TransactionRequest::Rollback => (210, self.rollback().await),
        };
        if let Err(failure) = &result {
            self.out.fail(failure).await;
        }
        self.out.done(command, None, result.is_err()).await;
    }
}
