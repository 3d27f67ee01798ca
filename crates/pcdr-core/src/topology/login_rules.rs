//! The rules about who logs in where: pcdr to the instances, log shipping to its monitor.

use super::Role;
use super::file::{ConnectionRow, File, Method, SecretRow, method_name};
use super::read::{Findings, Span, quoted};
use super::rules::instance_of;
use super::violation::Code;

/// Checks every rule about logins, and that the Management Shell is a program.
pub(super) fn check(file: &File, findings: &mut Findings) {
    connection(file, findings);
    monitor_login(file, findings);
}

fn connection(file: &File, findings: &mut Findings) {
    if let Some((row, method)) =
        file.connection.as_ref().and_then(|row| Some((row, row.authentication?)))
    {
        fitting_keys(row, method, findings);
        match method {
            Method::SqlLogin => {
                let codes = (Code::NoPasswordSource, Code::TwoPasswordSources);
                secret_source(
                    ("[connection]", &row.head),
                    &row.password,
                    "password",
                    codes,
                    findings,
                );
            }
            Method::AccessToken => {
                let codes = (Code::NoTokenSource, Code::TwoTokenSources);
                secret_source(
                    ("[connection]", &row.head),
                    &row.access_token,
                    "access_token",
                    codes,
                    findings,
                );
            }
            Method::Kerberos => full_host_names(file, findings),
        }
    }
    let command = file.management_shell.as_ref().and_then(|row| row.command.as_ref());
    if let Some(command) = command.filter(|command| command.get_ref().is_empty()) {
        let message = "`command` in [management_shell] needs a program, found an empty list";
        let remedy = "Write program and arguments, or take the line out for powershell.exe.";
        findings.report(Code::EmptyCommand, command.span(), message, remedy);
    }
    let by = file.management_shell.as_ref().and_then(|row| row.by_person.as_ref());
    if let (Some(by), Some(_)) = (by.filter(|by| *by.get_ref()), command) {
        let message =
            "a person runs the cmdlets by hand, found a `command` in [management_shell] beside it";
        let remedy = "Take one of the two lines out.";
        findings.report(Code::CommandOfAPerson, by.span(), message, remedy);
    }
}

/// The login that reports to the monitor is of a monitor, has a password, and nothing else has one there.
fn monitor_login(file: &File, findings: &mut Findings) {
    let Some(row) = &file.log_shipping else { return };
    let Some(login) = &row.monitor_login else {
        let sources = [&row.monitor_password.env, &row.monitor_password.file];
        if let Some(source) = sources.into_iter().flatten().next() {
            let message = "[log_shipping] names a password for the monitor and no `monitor_login`";
            let remedy = "Name the login, or take the line out for Windows authentication.";
            findings.report(Code::MonitorPasswordWithoutLogin, source.span(), message, remedy);
        }
        return;
    };
    if instance_of(file, Role::Monitor).is_none() {
        let message = format!(
            "`monitor_login` needs an instance with role monitor, found none for {}",
            quoted(login.get_ref())
        );
        let remedy = "Add the monitor to [[instances]], or take the login out.";
        findings.report(Code::MonitorLoginWithoutMonitor, login.span(), message, remedy);
    }
    let codes = (Code::NoPasswordSource, Code::TwoPasswordSources);
    let place = ("[log_shipping]", &row.head);
    secret_source(place, &row.monitor_password, "monitor_password", codes, findings);
}

/// Exactly one place for the secret.
fn secret_source(
    (title, head): (&str, &Span),
    secret: &SecretRow,
    what: &str,
    (none, two): (Code, Code),
    findings: &mut Findings,
) {
    let plain = what.replace('_', " ");
    if !secret.is_written {
        let start = head.start;
        let message = format!("{title} needs `{what}_env` or `{what}_file`, found neither");
        let remedy = format!("Name the environment variable or the file that holds the {plain}.");
        findings.report(none, start..start, message, remedy);
    }
    if let (Some(_), Some(file)) = (&secret.env, &secret.file) {
        let message = format!("{title} needs one of `{what}_env` and `{what}_file`, found both");
        let remedy = format!("Keep the one that holds the {plain}.");
        findings.report(two, file.span(), message, remedy);
    }
}

/// A key of another authentication would be ignored, and its writer would not know.
fn fitting_keys(row: &ConnectionRow, method: Method, findings: &mut Findings) {
    let keys = [
        ("login", &row.login, Method::SqlLogin),
        ("password_env", &row.password.env, Method::SqlLogin),
        ("password_file", &row.password.file, Method::SqlLogin),
        ("access_token_env", &row.access_token.env, Method::AccessToken),
        ("access_token_file", &row.access_token.file, Method::AccessToken),
    ];
    for (key, text, fits) in keys {
        let Some(text) = text.as_ref().filter(|_| fits != method) else { continue };
        let (method, fits) = (method_name(method), method_name(fits));
        let message =
            format!("[connection] authenticates by {method}, found `{key}`, which is of {fits}");
        let remedy = format!("Take it out, or write `authentication = \"{fits}\"`.");
        findings.report(Code::KeyOfOtherAuthentication, text.span(), message, remedy);
    }
}

/// The service principal name is formed of the host that is connected to, and directories know
/// SQL Server by its fully qualified name.
fn full_host_names(file: &File, findings: &mut Findings) {
    for row in &file.instances {
        let Some(host) = row.connect_host.as_ref().or(row.host.as_ref()) else { continue };
        let name = host.get_ref();
        let is_address = name.parse::<core::net::IpAddr>().is_ok();
        if is_address || !name.trim_end_matches('.').contains('.') {
            let message = format!(
                "kerberos needs the fully qualified name of every host, found {}",
                quoted(name)
            );
            let remedy = "Write the name that the instance's service principal name \
                          (MSSQLSvc/host:port) has.";
            findings.report(Code::KerberosNeedsFullName, host.span(), message, remedy);
        }
    }
}
