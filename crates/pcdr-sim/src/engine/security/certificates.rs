//! The master key and the certificates of master.
//!
//! The encoding is the stand-in's own: it carries a thumbprint, the dates and the subject, and the private
//! key's file a mark of the password that opens it. What matters here is who has which certificate.

use std::path::PathBuf;

use jiff::{Timestamp, ToSpan};

use super::has_server_permission;
use crate::engine::errors;
use crate::engine::paths;
use crate::engine::state::WorldState;
use crate::message::{SqlFailure, SqlMessage};
use crate::tsql::ast::{Admin, CertificateFiles, CertificateSource};

/// A certificate of master.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// As created.
    pub name: String,
    /// `certificate_id`.
    pub id: i32,
    /// `thumbprint`.
    pub thumbprint: Vec<u8>,
    /// `subject`.
    pub subject: String,
    /// `start_date`.
    pub start: Timestamp,
    /// `expiry_date`.
    pub expiry: Timestamp,
    /// The user of master that owns it.
    pub owner: String,
    /// Its private key is there: it can encrypt and decrypt.
    pub has_private_key: bool,
}

/// The length of a thumbprint (SHA-1).
const THUMBPRINT: usize = 20;

impl Certificate {
    /// Its public part.
    pub fn encoded(&self) -> Vec<u8> {
        let mut bytes = self.thumbprint.clone();
        for date in [self.start, self.expiry] {
            bytes.extend(date.as_millisecond().to_be_bytes());
        }
        bytes.extend(self.subject.as_bytes());
        bytes
    }

    /// From its public part; `None` for bytes that are none.
    fn decoded(bytes: &[u8], name: &str, owner: &str) -> Option<Certificate> {
        let (thumbprint, rest) = bytes.split_at_checked(THUMBPRINT)?;
        let (start, rest) = rest.split_at_checked(8)?;
        let (expiry, subject) = rest.split_at_checked(8)?;
        let date = |bytes: &[u8]| {
            let number = i64::from_be_bytes(bytes.try_into().ok()?);
            Timestamp::from_millisecond(number).ok()
        };
        Some(Certificate {
            name: name.to_owned(),
            id: 0,
            thumbprint: thumbprint.to_vec(),
            subject: std::str::from_utf8(subject).ok()?.to_owned(),
            start: date(start)?,
            expiry: date(expiry)?,
            owner: owner.to_owned(),
            has_private_key: false,
        })
    }
}

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
    now: Timestamp,
    login: &str,
    database: &str,
    statement: &Admin,
) -> Option<Result<u16, SqlFailure>> {
    if !matches!(
        statement,
        Admin::CreateMasterKey
            | Admin::DropMasterKey
            | Admin::CreateCertificate { .. }
            | Admin::BackupCertificate { .. }
            | Admin::DropCertificate { .. }
    ) {
        return None;
    }
    Some(carry_out(state, key, now, login, database, statement).map(|()| 0))
}

fn carry_out(
    state: &mut WorldState,
    key: &str,
    now: Timestamp,
    login: &str,
    database: &str,
    statement: &Admin,
) -> Result<(), SqlFailure> {
    let thumbprint = [state.random.guid(), state.random.guid()];
    let thumbprint: Vec<u8> =
        thumbprint.iter().flat_map(|guid| *guid.as_bytes()).take(THUMBPRINT).collect();
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
        Admin::DropMasterKey => {
            if !instance.security.master_key {
                return Err(errors::no_securable("find", "symmetric key", "master key").into());
            }
            let mut own = instance.security.certificates.values();
            if let Some(own) = own.find(|own| own.has_private_key) {
                let name = &own.name;
                return Err(refused(
                    15_580,
                    format!(
                        "Cannot drop master key because certificate '{name}' is encrypted by it."
                    ),
                ));
            }
        }
        Admin::CreateCertificate { name, owner, from } => {
            if instance.security.certificates.contains_key(&name.to_lowercase()) {
                return Err(refused(
                    15_232,
                    format!(
                        "A certificate with name '{name}' already exists or this certificate already has been added to the database."
                    ),
                ));
            }
            let has_owner = owner.as_ref().is_none_or(|owner| {
                let users = instance.database("master").map(|master| &master.security.users);
                users.is_some_and(|all| all.keys().any(|user| user.eq_ignore_ascii_case(owner)))
            });
            if !has_owner {
                let owner = owner.as_deref().unwrap_or_default();
                return Err(errors::no_securable("find", "user", owner).into());
            }
            let has_key = match from {
                CertificateSource::New { .. } => true,
                CertificateSource::Files(files) => files.private_key.is_some(),
                CertificateSource::Binary(_) => false,
            };
            if has_key && !instance.security.master_key {
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
    if let Admin::DropCertificate { name } = statement
        && instance
            .endpoint
            .as_ref()
            .and_then(|endpoint| endpoint.definition.certificate())
            .is_some_and(|used| used.eq_ignore_ascii_case(name))
    {
        // The documents say that it cannot be dropped while an endpoint needs it; which number, they do not.
        return Err(refused(
            15_352,
            "The certificate cannot be dropped because one or more entities are either signed or encrypted using it.",
        ));
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
            write(&to.file, format!("certificate {}\n", hex(&own.encoded())))?;
            if let Some((file, password)) = &to.private_key {
                write(file, format!("key {} {}\n", hex(&own.encoded()), mark(password)))?;
            }
        }
        Admin::CreateCertificate { name, owner, from } => {
            let owner = owner.as_deref().unwrap_or("dbo");
            let new = match from {
                CertificateSource::Files(files) => {
                    read(files, name, owner, |path| place(path, false))?
                }
                CertificateSource::Binary(bytes) => {
                    Certificate::decoded(bytes, name, owner).ok_or_else(no_file)?
                }
                CertificateSource::New { subject, start, expiry } => {
                    let start = start.as_deref().map_or(Ok(now), date)?;
                    let later = || start.checked_add((365 * 24).hours()).unwrap_or(Timestamp::MAX);
                    Certificate {
                        name: name.clone(),
                        id: 0,
                        thumbprint,
                        subject: subject.clone(),
                        start,
                        expiry: expiry.as_deref().map_or_else(|| Ok(later()), date)?,
                        owner: owner.to_owned(),
                        has_private_key: true,
                    }
                }
            };
            if let Some(instance) = state.instances.get_mut(key) {
                instance.security.certificates_so_far += 1;
                let id = FIRST_CERTIFICATE + instance.security.certificates_so_far;
                let new = Certificate { id, ..new };
                instance.security.certificates.insert(name.to_lowercase(), new);
            }
        }
        Admin::DropMasterKey => {
            if let Some(instance) = state.instances.get_mut(key) {
                instance.security.master_key = false;
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

/// What is below is the server's own.
const FIRST_CERTIFICATE: i32 = 255;

/// A date as CREATE CERTIFICATE takes it: a day, in UTC.
fn date(text: &str) -> Result<Timestamp, SqlFailure> {
    let day: Option<jiff::civil::Date> = text.trim().parse().ok();
    let moment = day.and_then(|day| day.to_zoned(jiff::tz::TimeZone::UTC).ok());
    moment.map(|moment| moment.timestamp()).ok_or_else(|| {
        refused(241, "Conversion failed when converting date and/or time from character string.")
    })
}

/// A certificate from its files.
fn read(
    files: &CertificateFiles,
    name: &str,
    owner: &str,
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
    let bytes = unhex(&print).ok_or_else(no_file)?;
    let read = Certificate::decoded(&bytes, name, owner).ok_or_else(no_file)?;
    Ok(Certificate { has_private_key, ..read })
}
