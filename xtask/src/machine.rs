//! The machine's own programs and packages.

use std::path::{Path, PathBuf};

use xshell::{Shell, cmd};

/// Whether a program does not run with these arguments.
pub(crate) fn lacks(shell: &Shell, program: &str, arguments: &[&str]) -> bool {
    let command = cmd!(shell, "{program} {arguments...}");
    command.quiet().ignore_stdout().ignore_stderr().run().is_err()
}

/// Installs packages of Debian or Ubuntu, as root or through sudo. None: does nothing.
///
/// # Errors
///
/// What was missing, and why it could not be installed.
pub(crate) fn install(shell: &Shell, packages: &[&str]) -> Result<(), String> {
    if packages.is_empty() {
        return Ok(());
    }
    let is_root = cmd!(shell, "id -u").quiet().read().is_ok_and(|id| id == "0");
    let program = if is_root { "env" } else { "sudo" };
    let apt = |arguments: &[&str]| {
        let as_root: &[&str] = if is_root { &[] } else { &["-n", "env"] };
        let apt_get: &[&str] = &["DEBIAN_FRONTEND=noninteractive", "apt-get", "-q"];
        let words = [as_root, apt_get, arguments].concat();
        println!("{program} {}", words.join(" "));
        // What it says is only of interest when it fails.
        let output = cmd!(shell, "{program} {words...}").quiet().ignore_status().output();
        match output {
            Ok(output) if output.status.success() => Ok(()),
            Ok(output) => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
            Err(error) => Err(error.to_string()),
        }
    };
    apt(&["update"])
        .and_then(|()| {
            apt(&[&["install", "--yes", "--no-install-recommends"][..], packages].concat())
        })
        .map_err(|error| {
            format!(
                "Found: no {}, and apt-get could not install it: {error}",
                packages.join(" and no ")
            )
        })
}

/// Where cargo builds.
///
/// # Errors
///
/// Cargo does not say.
pub(crate) fn target(shell: &Shell) -> Result<PathBuf, String> {
    let text = cmd!(shell, "cargo metadata --locked --no-deps --format-version 1")
        .quiet()
        .read()
        .map_err(|error| error.to_string())?;
    let metadata: serde_json::Value =
        serde_json::from_str(&text).map_err(|error| format!("cargo metadata: {error}"))?;
    let folder = metadata["target_directory"].as_str().map(PathBuf::from);
    folder.ok_or_else(|| "cargo metadata names no target directory".to_owned())
}

/// Does `work` unless it was done for these very files; says whether it did.
///
/// # Errors
///
/// A file that cannot be read, or what `work` says.
pub(crate) fn once(
    shell: &Shell,
    folder: &Path,
    what: &str,
    files: &[&str],
    work: impl FnOnce() -> xshell::Result<()>,
) -> Result<bool, String> {
    let failed = |error: xshell::Error| error.to_string();
    let mut wanted = String::new();
    for file in files {
        wanted.push_str(&shell.read_file(file).map_err(failed)?);
    }
    let stamp = folder.join(format!("{what}.txt"));
    if shell.path_exists(&stamp) && shell.read_file(&stamp).map_err(failed)? == wanted {
        return Ok(false);
    }
    shell.remove_path(&stamp).map_err(failed)?;
    shell.create_dir(folder).map_err(failed)?;
    work().map_err(failed)?;
    // Written last, so that an interrupted download is not taken for a whole one.
    shell.write_file(&stamp, wanted).map_err(failed)?;
    Ok(true)
}

/// Makes a virtual environment of Python anew and installs what a file of pinned requirements names.
pub(crate) fn python_environment(
    shell: &Shell,
    environment: &Path,
    requirements: &str,
) -> xshell::Result<()> {
    shell.remove_path(environment)?;
    cmd!(shell, "python3 -m venv {environment}").quiet().run()?;
    let python = environment.join("bin").join("python");
    cmd!(
        shell,
        "{python} -m pip install --quiet --no-input --disable-pip-version-check --no-deps
            --only-binary :all: --require-hashes --requirement {requirements}"
    )
    .quiet()
    .run()
}
