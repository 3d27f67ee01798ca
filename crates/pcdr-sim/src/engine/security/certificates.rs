//! The master key and the certificates of master.
//!
//! The files are the stand-in's own: they carry a thumbprint, and the private key's file a mark of the
//! password that opens it. What matters here is who has which certificate.

use std::path::PathBuf;

use super::{Certificate, has_server_permission};
use crate::engine::errors;
use crate::engine::paths;
use crate::engine::state::WorldState;
use crate::message::{SqlFailure, SqlMessage};
use crate::tsql::ast::{Admin, CertificateFiles};

fn refused(number: i32, text: impl Into<String>) -> SqlFailure {
    SqlMessage::new(number, 16, text).into()
}

fn no_file() -> SqlFailure {
    refused(
        15_208,
        "The certificate, asymmetric key, or private key file is not valid or does not exist; or you do not have permissions for it.",
    )
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok())
        .collect()
}

/// A mark of the password that only the same password makes again (FNV-1a).
fn mark(password: &str) -> String {
    let hash = password.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    format!("{hash:016x}")
}

/// The statements about the master key and certificates. `None`: not one of them.
pub(crate) fn certificate(
    state: &mut WorldState,
    key: &str,
    login: &str,
    database: &str,
    statement: &Admin,
) -> Option<Result<u16, SqlFailure>> {
    if !matches!(
        statement,
        Admin::CreateMasterKey
            | Admin::CreateCertificate { .. }
            | Admin::BackupCertificate { .. }
            | Admin::DropCertificate { .. }
    ) {
        return None;
    }
    Some(carry_out(state, key, login, database, statement).map(|()| 0))
}

fn carry_out(
    state: &mut WorldState,
    key: &str,
    login: &str,
    database: &str,
    statement: &Admin,
) -> Result<(), SqlFailure> {
    let thumbprint = [state.random.guid(), state.random.guid()];
    let thumbprint: Vec<u8> =
        thumbprint.iter().flat_map(|guid| *guid.as_bytes()).take(20).collect();
    let instance = state.instances.get(key).ok_or_else(errors::killed)?;
    if !database.eq_ignore_ascii_case("master") {
        // Only the server's own certificates encrypt backups.
        return Err(refused(
            40_510,
            "This statement is not supported in this version of SQL Server.",
        ));
    }
    if !has_server_permission(instance, login, "CONTROL SERVER") {
        return Err(errors::no_securable("create", "certificate", "").into());
    }
    let place = |path: &str, writes: bool| -> Result<PathBuf, SqlFailure> {
        match paths::resolve(state, &state.root, instance, path) {
            Ok(place) if !writes || place.write_error.is_none() => Ok(place.path),
            Ok(_) | Err(_) => Err(no_file()),
        }
    };
    match statement {
        Admin::CreateMasterKey if instance.security.master_key => {
            return Err(refused(
                15_578,
                "There is already a master key in the database. Please drop it before performing this statement.",
            ));
        }
        Admin::CreateCertificate { name, .. } => {
            if instance.security.certificates.contains_key(&name.to_lowercase()) {
                return Err(refused(
                    15_232,
                    format!(
                        "A certificate with name '{name}' already exists or this certificate already has been added to the database."
                    ),
                ));
            }
            if !instance.security.master_key {
                return Err(refused(
                    15_581,
                    "Please create a master key in the database or open the master key in the session before performing this operation.",
                ));
            }
        }
        Admin::BackupCertificate { name, .. } | Admin::DropCertificate { name }
            if !instance.security.certificates.contains_key(&name.to_lowercase()) =>
        {
            return Err(errors::no_securable("find", "certificate", name).into());
        }
        _ => {}
    }
    match statement {
        Admin::BackupCertificate { name, to } => {
            let own = &instance.security.certificates[&name.to_lowercase()];
            let write = |path: &str, text: String| {
                let path = place(path, true)?;
                if path.exists() {
                    return Err(no_file());
                }
                std::fs::write(path, text).map_err(|_| no_file())
            };
            write(&to.file, format!("certificate {}\n", hex(&own.thumbprint)))?;
            if let Some((file, password)) = &to.private_key {
                write(file, format!("key {} {}\n", hex(&own.thumbprint), mark(password)))?;
            }
        }
        Admin::CreateCertificate { name, from } => {
            let new = match from {
                Some(files) => read(files, name, |path| place(path, false))?,
                None => Certificate { name: name.clone(), thumbprint, has_private_key: true },
            };
            if let Some(instance) = state.instances.get_mut(key) {
                instance.security.certificates.insert(name.to_lowercase(), new);
            }
        }
        Admin::CreateMasterKey => {
            if let Some(instance) = state.instances.get_mut(key) {
                instance.security.master_key = true;
            }
        }
        Admin::DropCertificate { name } => {
            if let Some(instance) = state.instances.get_mut(key) {
                instance.security.certificates.remove(&name.to_lowercase());
            }
        }
        _ => {}
    }
    Ok(())
}

/// A certificate from its files.
fn read(
    files: &CertificateFiles,
    name: &str,
    place: impl Fn(&str) -> Result<PathBuf, SqlFailure>,
) -> Result<Certificate, SqlFailure> {
    let text = |path: &str| std::fs::read_to_string(place(path)?).map_err(|_| no_file());
    let public = text(&files.file)?;
    let print = public.trim().strip_prefix("certificate ").ok_or_else(no_file)?.to_owned();
    let mut has_private_key = false;
    if let Some((file, password)) = &files.private_key {
        let key = text(file)?;
        let rest = key.trim().strip_prefix("key ").ok_or_else(no_file)?;
        let (of, marked) = rest.split_once(' ').ok_or_else(no_file)?;
        if marked != mark(password) {
            return Err(refused(15_465, "The private key password is invalid."));
        }
        if of != print {
            return Err(no_file());
        }
        has_private_key = true;
    }
    let thumbprint = unhex(&print).ok_or_else(no_file)?;
    Ok(Certificate { name: name.to_owned(), thumbprint, has_private_key })
}
