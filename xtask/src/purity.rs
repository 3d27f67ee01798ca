//! Proof that `pcdr-core` decides and never acts.
//!
//! Two halves. The *dependency tree*, with every feature and for every platform, may hold only crates
//! that somebody has read and listed in [`REVIEWED`]; what is known to act is listed in [`DENIED`], so
//! that the message can say why. The *source* may not use the parts of the standard library that act,
//! see [`crate::scan`]. `libc` is among the reviewed ones: on some processors `cpufeatures` asks it
//! which instructions there are, and the core itself forbids the unsafe code that calling it takes.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use xshell::{Shell, cmd};

use crate::report::Checked;
use crate::scan;

/// Crates that act, and how. A name that ends in `*` stands for every name that starts so.
const DENIED: &[(&str, &str)] = &[
    ("tokio*", "opens sockets, reads clocks, spawns"),
    ("mio", "opens sockets"),
    ("socket2", "opens sockets"),
    ("async-std", "opens sockets, reads clocks, spawns"),
    ("async-io", "opens sockets, reads clocks"),
    ("async-global-executor", "spawns"),
    ("async-executor", "spawns"),
    ("async-process", "spawns"),
    ("smol*", "opens sockets, reads clocks, spawns"),
    ("futures-executor", "spawns and blocks"),
    ("futures-timer", "reads clocks"),
    ("hyper*", "opens sockets"),
    ("reqwest", "opens sockets"),
    ("ureq", "opens sockets"),
    ("curl*", "opens sockets"),
    ("tiberius", "opens sockets"),
    ("rustls*", "does network protocols"),
    ("native-tls", "does network protocols"),
    ("openssl*", "does network protocols"),
    ("rand*", "draws randomness"),
    ("getrandom", "draws randomness"),
    ("fastrand", "draws randomness"),
    ("oorandom", "draws randomness"),
    ("ahash", "draws randomness for its hash keys"),
    ("uuid", "draws randomness and reads clocks"),
    ("ulid", "draws randomness and reads clocks"),
    ("time", "reads clocks"),
    ("chrono", "reads clocks"),
    ("jiff", "reads clocks and time zone files"),
    ("quanta", "reads clocks"),
    ("coarsetime", "reads clocks"),
    ("web-time", "reads clocks"),
    ("iana-time-zone", "reads the machine's settings"),
    ("rayon*", "spawns threads"),
    ("crossbeam*", "spawns threads"),
    ("threadpool", "spawns threads"),
    ("num_cpus", "reads the machine's settings"),
    ("tempfile", "writes files"),
    ("memmap*", "reads files"),
    ("walkdir", "reads files"),
    ("rustix", "calls the operating system"),
    ("nix", "calls the operating system"),
    ("windows*", "calls the operating system"),
    ("winapi*", "calls the operating system"),
    ("tracing*", "hands events to whatever the process has installed"),
    ("log", "hands events to whatever the process has installed"),
];

/// Crates that were read and found to compute only. The features that the workspace selects count:
/// `blake3` without `mmap` and `rayon`, `futures-util` without its random `select!`.
const REVIEWED: &[&str] = &[
    "arrayref",
    "arrayvec",
    "async-trait",
    "blake3",
    "cfg-if",
    "constant_time_eq",
    "cpufeatures",
    "dyn-clone",
    "either",
    "equivalent",
    "fixedbitset",
    "futures-core",
    "futures-io",
    "futures-macro",
    "futures-sink",
    "futures-task",
    "futures-util",
    "hashbrown",
    "indexmap",
    "itertools",
    "itoa",
    "libc",
    "memchr",
    "pcdr-core",
    "petgraph",
    "pin-project-lite",
    "pin-utils",
    "proc-macro2",
    "quote",
    "ref-cast",
    "ref-cast-impl",
    "ryu",
    "schemars",
    "schemars_derive",
    "serde",
    "serde_core",
    "serde_derive",
    "serde_derive_internals",
    "serde_json",
    "serde_path_to_error",
    "serde_spanned",
    "slab",
    "smallvec",
    "syn",
    "thiserror",
    "thiserror-impl",
    "toml",
    "toml_datetime",
    "toml_parser",
    "toml_writer",
    "unicode-ident",
    "winnow",
    "zmij",
];

/// Checks the dependency tree and the source of `pcdr-core`.
pub(crate) fn check(shell: &Shell) -> Checked {
    let tree = cmd!(
        shell,
        "cargo tree --locked --package pcdr-core --edges normal --prefix none --all-features --target all"
    )
    .quiet()
    .read()
    .map_err(|error| error.to_string())?;
    let crates = crates_in(&tree);
    // Crates that act first: the unreviewed ones are mostly there because of them.
    let mut problems: Vec<String> = crates.iter().filter_map(|name| denied(name)).collect();
    problems.extend(crates.iter().filter_map(|name| unreviewed(name)));

    let root = shell.current_dir();
    let files = sources_below(&root.join("crates/pcdr-core/src"))?;
    for file in &files {
        let text = shell.read_file(file).map_err(|error| error.to_string())?;
        let shown = file.strip_prefix(&root).unwrap_or(file).display();
        problems.extend(scan::findings(&text).into_iter().map(|finding| {
            format!(
                "{shown}:{}: {} {}. {}",
                finding.line, finding.path, finding.why, finding.remedy
            )
        }));
    }

    if problems.is_empty() {
        Ok(format!("{} crates, {} source files", crates.len(), files.len()))
    } else {
        Err(problems.join("\n"))
    }
}

/// The names in the output of `cargo tree --prefix none`: the first word of each line.
fn crates_in(tree: &str) -> BTreeSet<&str> {
    tree.lines().filter_map(|line| line.split_whitespace().next()).collect()
}

/// Says why the crate `name` is denied, if it is.
fn denied(name: &str) -> Option<String> {
    let (_, why) = DENIED.iter().find(|(pattern, _)| match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => name == *pattern,
    })?;
    Some(format!(
        "pcdr-core depends on {name}, which {why}. Move what needs it into an adapter behind a port. \
         {}",
        found_by(name)
    ))
}

/// Says that nobody has read the crate `name`, if so; a denied one needs no reading.
fn unreviewed(name: &str) -> Option<String> {
    if REVIEWED.contains(&name) || denied(name).is_some() {
        return None;
    }
    Some(format!(
        "pcdr-core depends on {name}, which nobody has reviewed. Read what it does with the selected \
         features; if it only computes, add it to REVIEWED in xtask/src/purity.rs, else to DENIED. {}",
        found_by(name)
    ))
}

fn found_by(name: &str) -> String {
    format!("Found by: cargo tree -p pcdr-core -e normal --all-features --target all -i {name}")
}

/// Every Rust file below `folder`, sorted, without files named `tests.rs`, which hold unit tests.
fn sources_below(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let cannot = |error: std::io::Error| format!("cannot read {}: {error}", folder.display());
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(cannot)? {
        let path = entry.map_err(cannot)?.path();
        if path.is_dir() {
            files.extend(sources_below(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs")
            && path.file_name().is_some_and(|name| name != "tests.rs")
        {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crates_that_act_are_refused_with_the_reason() {
        for name in ["tokio", "tokio-util", "getrandom", "rand", "rand_core", "crossbeam-deque"] {
            let problem = denied(name).unwrap();
            assert!(problem.contains("behind a port"), "{problem}");
        }
    }

    #[test]
    fn an_unknown_crate_is_refused_until_somebody_reads_it() {
        assert!(unreviewed("made-up").unwrap().contains("REVIEWED"));
    }

    #[test]
    fn no_reviewed_crate_is_denied() {
        let refused: Vec<_> = REVIEWED.iter().filter_map(|name| denied(name)).collect();
        assert_eq!(refused, Vec::<String>::new());
    }

    #[test]
    fn the_tree_is_read_by_first_words() {
        let tree = "pcdr-core v0.1.0 (/somewhere)\nserde v1.0.229\nserde v1.0.229 (*)\n";
        assert_eq!(crates_in(tree).into_iter().collect::<Vec<_>>(), ["pcdr-core", "serde"]);
    }
}
