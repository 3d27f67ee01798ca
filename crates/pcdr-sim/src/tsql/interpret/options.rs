//! SET options.

use super::{Run, undeclared};
use crate::message::{SqlFailure, SqlMessage};
use crate::tsql::eval::display;
use crate::tsql::failures::error;
use crate::tsql::host::Sink as _;
use crate::tsql::language::{DateOrder, Language};

impl Run<'_> {
    pub(super) async fn set_option(
        &mut self,
        names: &[String],
        words: &[String],
    ) -> Result<(), SqlFailure> {
        let word = words.last().map_or("", String::as_str);
        let value = match word.strip_prefix('@') {
            Some(_) => {
                let lower = word.to_lowercase();
                match self.frame().variables.get(&lower) {
                    Some((ty, value)) => display(value, *ty),
                    None => return Err(undeclared(word)),
                }
            }
            None => word.to_string(),
        };
        let on = value.eq_ignore_ascii_case("ON");
        for name in names {
            let options = &mut self.session.options;
            match name.as_str() {
                "NOCOUNT" => {
                    options.no_count = on;
                    self.out.no_count = on;
                }
                "XACT_ABORT" => options.abort_transaction = on,
                "IMPLICIT_TRANSACTIONS" => options.implicit_transactions = on,
                "ANSI_NULLS" => options.nulls_are_equal = !on,
                "CONCAT_NULL_YIELDS_NULL" => options.null_joins_as_empty = !on,
                "PARSEONLY" | "NOEXEC" => options.no_execute = on,
                "FMTONLY" => options.format_only = on,
                "ROWCOUNT" => options.row_count = value.parse().ok().filter(|n| *n > 0),
                "LOCK_TIMEOUT" => options.lock_timeout = value.parse().unwrap_or(-1),
                "IDENTITY_INSERT" => {
                    options.identity_insert =
                        on.then(|| words.first().map(|w| w.to_lowercase()).unwrap_or_default());
                }
                "QUOTED_IDENTIFIER" => options.quotes_are_strings = !on,
                "ANSI_WARNINGS" => options.cuts_text = !on,
                "ANSI_DEFAULTS" => {
                    options.quotes_are_strings = !on;
                    options.cuts_text = !on;
                    options.implicit_transactions = on;
                }
                "DATEFORMAT" => {
                    options.language.order = DateOrder::named(&value).ok_or_else(|| {
                        error(
                            2741,
                            16,
                            format!(
                                "SET DATEFORMAT date order '{}' is invalid.",
                                value.to_lowercase()
                            ),
                        )
                    })?;
                }
                "DATEFIRST" => {
                    let first = value.parse().ok().filter(|n| (1..=7).contains(n));
                    options.language.first_weekday = first.ok_or_else(|| {
                        error(2742, 16, format!("SET DATEFIRST {value} is out of range."))
                    })?;
                }
                "LANGUAGE" => {
                    options.language = Language::named(&value).ok_or_else(|| {
                        error(
                            2740,
                            16,
                            format!("SET LANGUAGE failed because '{value}' is not an official language name or a language alias on this SQL Server."),
                        )
                    })?;
                    let name = options.language.name();
                    let text = format!("Changed language setting to {name}.");
                    self.out.message(SqlMessage::new(5703, 0, text)).await;
                }
                // The rest changes nothing that this server computes.
                _ => {}
            }
        }
        Ok(())
    }
}
