//! THROW and RAISERROR.

use super::{Flow, Outcome, Run};
use crate::message::{SqlFailure, SqlMessage};
use crate::tsql::convert::{float, integer};
use crate::tsql::eval::display;
use crate::tsql::failures::error;
use crate::tsql::host::Sink as _;
use crate::tsql::tree::Expr;
use crate::value::{SqlType, Value};

impl Run<'_> {
    pub(super) fn throw(&mut self, arguments: Option<&(Expr, Expr, Expr)>, line: u32) -> Outcome {
        let failure = match arguments {
            None => match self.frame().rethrow.last() {
                Some(failure) => failure.clone(),
                None => {
                    return Err(self.raised(error(
                        10704,
                        15,
                        "To rethrow an error, a THROW statement must be used inside a CATCH block. Insert the THROW statement inside a CATCH block, or add error parameters to the THROW statement.",
                    )));
                }
            },
            Some((number, message, state)) => {
                let number = self.scalar_as(number, SqlType::Int);
                let text = self.scalar_as(message, SqlType::nvarchar(2048));
                let state = self.scalar_as(state, SqlType::TinyInt);
                let (number, text, state) = match (number, text, state) {
                    (Ok(n), Ok(t), Ok(s)) => (n, t, s),
                    (Err(f), _, _) | (_, Err(f), _) | (_, _, Err(f)) => return Err(self.raised(f)),
                };
                let number = integer(&number).unwrap_or(0) as i32;
                if number < 50_000 {
                    return Err(self.raised(error(
                        35100,
                        16,
                        format!("Error number {number} in the THROW statement is outside the valid range. Specify an error number in the valid range of 50000 to 2147483647."),
                    )
                    .with_state(10)));
                }
                let state = integer(&state).unwrap_or(0) as u8;
                SqlMessage::new(number, 16, display(&text, SqlType::nvarchar(2048)))
                    .with_state(state)
                    .at_line(line)
                    .into()
            }
        };
        let mut raised = self.raised(failure);
        // A rethrown error keeps its line; a new one has that of its statement.
        raised.by_throw = true;
        Err(raised)
    }

    pub(super) async fn raise_error(
        &mut self,
        message: &Expr,
        severity: &Expr,
        state: &Expr,
        arguments: &[Expr],
        set_error: bool,
    ) -> Outcome {
        let evaluated = (|| {
            let (ty, value) = self.scalar(message)?;
            let arguments =
                arguments.iter().map(|a| self.scalar(a)).collect::<Result<Vec<_>, _>>()?;
            let number = |value: &Value| integer(value).and_then(|n| i32::try_from(n).ok());
            let severity = number(&self.scalar_as(severity, SqlType::Int)?).unwrap_or(0);
            let state = number(&self.scalar_as(state, SqlType::Int)?).unwrap_or(0);
            let (id, format) = match number(&value) {
                Some(id) => {
                    return Err(error(
                        18054,
                        16,
                        format!(
                            "Error {id}, severity {severity}, state {state} was raised, but no message with that error number was found in sys.messages. If error is larger than 50000, make sure the user-defined message is added using sp_addmessage."
                        ),
                    ));
                }
                None => (50000, display(&value, ty)),
            };
            let text = format_message(&format, &arguments)?;
            let message = SqlMessage::new(id, severity.clamp(0, 25) as u8, text)
                .with_state(state.clamp(0, 255) as u8);
            Ok(message)
        })();
        let message = match evaluated {
            Ok(message) => message,
            Err(failure) => return Err(self.raised(failure)),
        };
        if message.is_error() {
            let mut raised = self.raised(message.into());
            raised.by_raiserror = true;
            return Err(raised);
        }
        self.session.error = if set_error { message.number } else { 0 };
        self.out.message(message).await;
        Ok(Flow::Next)
    }
}

/// RAISERROR's format: `%s`, `%d`, `%i`, `%u`, `%x`, `%o` with flags and widths, and `%%`.
pub(in crate::tsql) fn format_message(
    format: &str,
    arguments: &[(SqlType, Value)],
) -> Result<String, SqlFailure> {
    let mut out = String::new();
    let mut arguments = arguments.iter();
    let mut chars = format.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let mut spec = String::new();
        while let Some(&c) = chars.peek() {
            if c.is_ascii_digit() || "-+#. *".contains(c) {
                spec.push(c);
                chars.next();
            } else {
                break;
            }
        }
        while matches!(chars.peek(), Some('l' | 'h' | 'I' | '6' | '4')) {
            chars.next();
        }
        let kind = chars.next();
        let value = match kind {
            Some('%') => {
                out.push('%');
                continue;
            }
            Some('s' | 'd' | 'i' | 'u' | 'x' | 'X' | 'o') => match arguments.next() {
                None => "(null)".to_string(),
                Some((_, value)) if value.is_null() => "(null)".to_string(),
                Some((ty, value)) => {
                    let text = matches!(value, Value::String(_));
                    let number = integer(value);
                    match (kind, number) {
                        (Some('s'), None) if text => display(value, *ty),
                        (Some('x'), Some(n)) => format!("{n:x}"),
                        (Some('X'), Some(n)) => format!("{n:X}"),
                        (Some('o'), Some(n)) => format!("{n:o}"),
                        (Some('d' | 'i' | 'u'), Some(n)) => n.to_string(),
                        _ => {
                            let _ = float(value);
                            return Err(error(
                                2786,
                                16,
                                "The data type of substitution parameter 1 does not match the expected type of the format specification.",
                            ));
                        }
                    }
                }
            },
            _ => {
                return Err(error(2787, 16, format!("Invalid format specification: '%{spec}'.")));
            }
        };
        let left = spec.starts_with('-');
        let (width, precision) =
            spec.trim_start_matches(['-', '+', '#', ' ']).split_once('.').map_or_else(
                || (spec.trim_start_matches(['-', '+', '#', ' ']).parse().ok(), None),
                |(w, p)| (w.parse().ok(), p.parse::<usize>().ok()),
            );
        let width: usize = width.unwrap_or(0).min(2047);
        let value: String = match precision {
            Some(n) if kind == Some('s') => value.chars().take(n).collect(),
            _ => value,
        };
        if left {
            out.push_str(&format!("{value:<width$}"));
        } else {
            out.push_str(&format!("{value:>width$}"));
        }
    }
    Ok(out.chars().take(2047).collect())
}
