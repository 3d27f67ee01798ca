//! Copying backup files with verification, as pcdr does, against a plain copy that is durable too, of the same
//! files on the same disk, two at once, taking turns in one run.
//!
//! Reach: at least 0.9 times the rate of the plain copy. `PCDR_FILES` and `PCDR_MEGABYTES` say how many files there
//! are, and how large.
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout)]

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use pcdr_core::Topology;
use pcdr_core::ports::{BackupFiles, Unwatched};
use pcdr_core::step::FileAction;
use pcdr_sql::{Fleet, FleetOptions, Password};

/// Copies at once, as a topology has it that says nothing.
const AT_ONCE: usize = 2;

/// Turns of each.
const TURNS: usize = 5;

fn main() {
    let mut names =
        std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).peekable();
    if names.peek().is_some() && !names.any(|name| "file_copy".contains(&name)) {
        return;
    }
    let number = |name: &str, default: usize| {
        std::env::var(name).ok().and_then(|n| n.parse().ok()).unwrap_or(default)
    };
    let (files, megabytes) = (number("PCDR_FILES", 16), number("PCDR_MEGABYTES", 16));
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let (from, to) = (folder.path().join("from"), folder.path().join("to"));
    fs::create_dir(&from).unwrap();
    fs::create_dir(&to).unwrap();
    let names: Vec<String> = (0..files).map(|file| format!("mgc_{file:014}.trn")).collect();
    let mut content: Vec<u8> = (0..megabytes << 20).map(|at| (at / 3 % 253) as u8).collect();
    for (name, mark) in names.iter().zip(1u64..) {
        content[..8].copy_from_slice(&mark.to_le_bytes());
        fs::write(from.join(name), &content).unwrap();
    }
    File::open(&from).unwrap().sync_all().unwrap();

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (mut plain, mut verified) = (Vec::new(), Vec::new());
    for _ in 0..TURNS {
        plain.push(runtime.block_on(timed(&to, &names, |name| plain_copy(&from, &to, name))));
        let share = shares(&from, &to);
        verified.push(
            runtime.block_on(timed(&to, &names, |name| verified_copy(Arc::clone(&share), name))),
        );
    }
    let bytes = (files * megabytes) << 20;
    println!("file_copy: {files} files of {megabytes} MiB, {AT_ONCE} at once, {TURNS} turns each");
    let rate = |times: &[Duration]| {
        let all: Duration = times.iter().sum();
        (bytes * TURNS) as f64 / all.as_secs_f64() / 1e6
    };
    let (plain, verified) = (rate(&plain), rate(&verified));
    println!(
        "  plain {plain:.0} MB/s, verified {verified:.0} MB/s: {:.2} of it (reach: 0.9)",
        verified / plain
    );
}

/// Copies every file, a few at once, into an empty folder.
async fn timed<F: Future<Output = ()>>(
    to: &Path,
    names: &[String],
    copy: impl Fn(String) -> F,
) -> Duration {
    let began = Instant::now();
    let copies = futures_util::stream::iter(names.iter().cloned().map(copy));
    copies.buffer_unordered(AT_ONCE).for_each(|()| async {}).await;
    let took = began.elapsed();
    assert_eq!(fs::read_dir(to).unwrap().count(), names.len());
    for name in names {
        fs::remove_file(to.join(name)).unwrap();
    }
    took
}

/// As the system copies, and then to the disk.
async fn plain_copy(from: &Path, to: &Path, name: String) {
    let (from, to) = (from.join(&name), to.join(&name));
    let copied = tokio::task::spawn_blocking(move || {
        fs::copy(&from, &to).unwrap();
        File::options().write(true).open(&to).unwrap().sync_all().unwrap();
        File::open(to.parent().unwrap()).unwrap().sync_all().unwrap();
    });
    copied.await.unwrap();
}

async fn verified_copy(files: Arc<dyn BackupFiles>, name: String) {
    let copy = FileAction::Copy { name, size_bytes: None, replaces_unreadable: false };
    let copied = files.run(&"mgc".into(), &copy, &Unwatched).await;
    copied.unwrap_or_else(|error| panic!("{error}"));
}

/// The shares of the example, mounted at these folders. Nothing is connected to.
fn shares(from: &Path, to: &Path) -> Arc<dyn BackupFiles> {
    let mounted = |text: &str, name: &str, folder: &Path| {
        let place = format!("name = \"{name}\"\n");
        assert!(text.contains(&place), "{name}");
        let mount: PathBuf = folder.to_owned();
        text.replace(&place, &format!("{place}mount = '{}'\n", mount.display()))
    };
    let text = mounted(pcdr_core::topology::EXAMPLE, "log-backups", from);
    let text = mounted(&text, "log-copies", to);
    let topology = Topology::parse(&text).unwrap_or_else(|found| panic!("{found:?}"));
    let password = Some(Password::new("not used"));
    let options = FleetOptions { password, ..FleetOptions::default() };
    Fleet::connect(&topology, &options).unwrap().files()
}
