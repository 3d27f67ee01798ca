//! Traces of stages, kept for the vendor's own T-SQL parser.
//!
//! Where `PCDR_TRACES` names a folder, as `cargo xtask test` does, every batch that a test sends is written
//! there once a process; `cargo xtask tsql` judges them.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Mutex, OnceLock};

use pcdr_sql::Trace;

/// A trace into a file, kept for the parser too.
pub(crate) fn trace_to(path: &Path) -> Trace {
    Trace::to_writer(Kept { own: File::create(path).unwrap() })
}

struct Kept {
    own: File,
}

/// What this process has sent, by its text without comments, and the file that keeps it.
struct Sent {
    known: BTreeSet<String>,
    file: File,
}

fn sent() -> Option<&'static Mutex<Sent>> {
    static SENT: OnceLock<Option<Mutex<Sent>>> = OnceLock::new();
    let open = || {
        let folder = std::env::var_os("PCDR_TRACES")?;
        let name = format!("stage-{}.sql", std::process::id());
        let file = File::create(Path::new(&folder).join(name)).unwrap();
        Some(Mutex::new(Sent { known: BTreeSet::new(), file }))
    };
    SENT.get_or_init(open).as_ref()
}

impl Write for Kept {
    fn write(&mut self, record: &[u8]) -> io::Result<usize> {
        self.write_all(record)?;
        Ok(record.len())
    }

    /// A trace writes one record at a time: a comment, the batch, `GO`.
    fn write_all(&mut self, record: &[u8]) -> io::Result<()> {
        self.own.write_all(record)?;
        let Some(sent) = sent() else { return Ok(()) };
        let mut sent = sent.lock().unwrap();
        let text = String::from_utf8_lossy(record);
        let (_comment, batch) = text.split_once('\n').unwrap_or_default();
        if sent.known.insert(batch.to_owned()) {
            sent.file.write_all(record)?;
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.own.flush()
    }
}
