//! `--trace-sql`: every batch that was sent, as a script that can be read and run again.

use std::fmt;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use pcdr_core::Timestamp;

use crate::connection::Password;
use crate::quote;
use crate::statement::Statement;

/// Where the batches of every connection go. Cloning shares it.
#[derive(Clone)]
pub struct Trace {
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    sink: Box<dyn Write + Send>,
    secrets: Vec<Password>,
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Trace")
    }
}

impl Trace {
    /// A trace into a file, which is created, or emptied. Only its owner may read it, where the
    /// file system knows owners.
    ///
    /// # Errors
    ///
    /// The file cannot be created.
    pub fn to_file(path: impl AsRef<Path>) -> std::io::Result<Trace> {
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt;
            options.mode(0o600);
        }
        Ok(Trace::to_writer(options.open(path)?))
    }

    /// A trace into anything that takes bytes.
    pub fn to_writer(sink: impl Write + Send + 'static) -> Trace {
        Trace { inner: Arc::new(Mutex::new(Inner { sink: Box::new(sink), secrets: Vec::new() })) }
    }

    /// Masks a secret wherever a batch would show it.
    pub fn mask(&self, secret: &Password) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if !inner.secrets.iter().any(|known| known.is(secret)) {
            inner.secrets.push(secret.clone());
        }
    }

    /// Writes one batch, after it ended, so that a reader finds its outcome before it. Whoever runs it again
    /// has to fill in the secrets that were sent apart from it. A trace that cannot be written does not
    /// stop the run.
    pub(crate) fn record(
        &self,
        server: &str,
        took: Duration,
        outcome: &str,
        statement: &Statement,
    ) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let started = now.saturating_sub(took).as_millis();
        let started = Timestamp::from_unix_millis(i64::try_from(started).unwrap_or(i64::MAX));
        let mut text = format!(
            "-- {started} {} took {:.3} ms: {}\n{}\nGO\n",
            quote::comment(server),
            took.as_secs_f64() * 1000.0,
            quote::comment(outcome),
            quote::script(&statement.script()).trim_end(),
        );
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        for secret in &inner.secrets {
            text = secret.mask(&text);
        }
        let written = inner.sink.write_all(text.as_bytes()).and_then(|()| inner.sink.flush());
        if let Err(error) = written {
            tracing::warn!(%error, "the SQL trace cannot be written");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn text(shared: &Shared) -> String {
        String::from_utf8(shared.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn a_trace_is_a_script_of_comment_batch_and_separator() {
        let shared = Shared::default();
        let trace = Trace::to_writer(shared.clone());
        trace.record("sql1", Duration::from_millis(12), "2 rows", &Statement::query("SELECT 1;"));
        let text = text(&shared);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].starts_with("-- ") && lines[0].contains("sql1 took 12.000 ms: 2 rows"));
        assert_eq!(&lines[1..], ["SELECT 1;", "GO"]);
    }

    #[test]
    fn a_server_name_with_line_breaks_does_not_leave_its_comment() {
        let shared = Shared::default();
        let trace = Trace::to_writer(shared.clone());
        trace.record(
            "a\nDROP DATABASE b\nGO\n",
            Duration::ZERO,
            "ok\r\nGO",
            &Statement::query("SELECT 1;"),
        );
        assert_eq!(text(&shared).lines().count(), 3);
    }

    #[test]
    fn a_secret_never_reaches_the_trace() {
        let shared = Shared::default();
        let trace = Trace::to_writer(shared.clone());
        trace.mask(&Password::new("hunter2"));
        trace.record("sql1", Duration::ZERO, "hunter2", &Statement::query("SELECT N'hunter2';"));
        assert!(!text(&shared).contains("hunter2"));
    }

    #[test]
    fn a_secret_that_is_sent_apart_is_left_to_be_filled_in() {
        let shared = Shared::default();
        let trace = Trace::to_writer(shared.clone());
        let secrets = vec![Password::new("hunter2")];
        let statement = Statement { secrets, ..Statement::change("EXEC p @word = @P1;") };
        trace.record("sql1", Duration::ZERO, "ok", &statement);
        let text = text(&shared);
        let lines: Vec<&str> = text.lines().skip(1).collect();
        assert_eq!(lines, ["DECLARE @P1 nvarchar(128) = N'***';", "EXEC p @word = @P1;", "GO"]);
        assert!(!format!("{statement:?}").contains("hunter2"));
    }
}
