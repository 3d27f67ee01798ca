//! Who logs in, and where the secret for that comes from.

use std::env::VarError;
use std::fmt;

use pcdr_core::topology::{Authentication, SecretSource};
use secrecy::{ExposeSecret, SecretString};

use crate::error::SqlError;
use crate::trace::Trace;

/// Longest file that is read for a secret: an access token has a few thousand characters.
const LONGEST_SECRET: u64 = 64 << 10;

/// A password or an access token. It has no [`Display`](fmt::Display), and its
/// [`Debug`](fmt::Debug) shows nothing.
#[derive(Clone)]
pub struct Password(SecretString);

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

impl Password {
    /// A secret from somewhere else, for example a keyring.
    pub fn new(password: impl Into<String>) -> Password {
        Password(SecretString::from(password.into()))
    }

    /// The secret that the topology points to: an environment variable, or the first line of a file.
    ///
    /// # Errors
    ///
    /// [`SqlError::Secret`], naming the variable or file, never its content.
    pub fn read(source: &SecretSource) -> Result<Password, SqlError> {
        match source {
            SecretSource::Environment(variable) => match std::env::var(variable) {
                Ok(password) if !password.is_empty() => Ok(Password::new(password)),
                Ok(_) => Err(SqlError::Secret(format!("environment variable {variable} is empty"))),
                Err(VarError::NotPresent) => {
                    Err(SqlError::Secret(format!("environment variable {variable} is not set")))
                }
                Err(VarError::NotUnicode(_)) => {
                    Err(SqlError::Secret(format!("environment variable {variable} is not Unicode")))
                }
            },
            SecretSource::File(file) => {
                let text = read_file(file)
                    .map_err(|error| SqlError::Secret(format!("file {file}: {error}")))?;
                match text.lines().next() {
                    Some(line) if !line.is_empty() => Ok(Password::new(line)),
                    _ => Err(SqlError::Secret(format!("the first line of file {file} is empty"))),
                }
            }
        }
    }

    /// The text without the secret.
    pub(crate) fn mask(&self, text: &str) -> String {
        match self.0.expose_secret() {
            "" => text.to_owned(),
            secret => text.replace(secret, "***"),
        }
    }

    /// Reads it without holding up others: a file may be on another machine, or a pipe.
    ///
    /// # Errors
    ///
    /// As [`Password::read`].
    pub(crate) async fn read_aside(source: SecretSource) -> Result<Password, SqlError> {
        let reading = tokio::task::spawn_blocking(move || Password::read(&source));
        reading.await.unwrap_or_else(|_| Err(interrupted()))
    }

    /// Its length in UTF-16 code units, as SQL Server counts characters.
    pub(crate) fn length(&self) -> usize {
        self.0.expose_secret().encode_utf16().count()
    }

    /// Shows it to the driver, and to nobody else.
    pub(super) fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// Whether both are the same secret.
    pub(crate) fn is(&self, other: &Password) -> bool {
        self.0.expose_secret() == other.0.expose_secret()
    }
}

impl PartialEq for Password {
    fn eq(&self, other: &Password) -> bool {
        self.is(other)
    }
}

impl Eq for Password {}

fn interrupted() -> SqlError {
    SqlError::Secret("reading it was interrupted".to_owned())
}

fn read_file(file: &str) -> std::io::Result<String> {
    use std::io::Read;
    let mut text = String::new();
    std::fs::File::open(file)?.take(LONGEST_SECRET).read_to_string(&mut text)?;
    Ok(text)
}

/// Who logs in.
#[derive(Debug, Clone)]
pub enum Credentials {
    /// A SQL login.
    SqlLogin {
        /// Its name.
        login: String,
        /// Its password.
        password: Password,
    },
    /// An access token of Microsoft Entra; read for every connection, because it expires within
    /// about an hour and whoever wrote it renews it.
    AccessToken(SecretSource),
    /// The Kerberos ticket of the account that this process runs under. Needs the cargo feature
    /// `kerberos`.
    Kerberos,
}

impl Credentials {
    /// The credentials that the topology names. A password is read now, a token when it is needed.
    ///
    /// # Errors
    ///
    /// [`SqlError::Secret`].
    pub fn read(authentication: &Authentication) -> Result<Credentials, SqlError> {
        Ok(match authentication {
            Authentication::SqlLogin { login, password } => {
                Credentials::SqlLogin { login: login.clone(), password: Password::read(password)? }
            }
            Authentication::AccessToken(source) => Credentials::AccessToken(source.clone()),
            Authentication::Kerberos => Credentials::Kerberos,
        })
    }

    /// For the driver; whatever secret it holds is masked in the trace.
    pub(super) async fn method(
        &self,
        trace: Option<&Trace>,
    ) -> Result<tiberius::AuthMethod, SqlError> {
        match self {
            Credentials::SqlLogin { login, password } => {
                Ok(tiberius::AuthMethod::sql_server(login, password.0.expose_secret()))
            }
            Credentials::AccessToken(source) => {
                let token = read_token(source.clone()).await?;
                if let Some(trace) = trace {
                    trace.mask(&token);
                }
                Ok(tiberius::AuthMethod::aad_token(token.0.expose_secret()))
            }
            Credentials::Kerberos => kerberos(),
        }
    }
}

/// Reading may take long where the file is on another machine, or a pipe.
async fn read_token(source: SecretSource) -> Result<Password, SqlError> {
    let reading = tokio::task::spawn_blocking(move || {
        let token = Password::read(&source)?;
        let text = token.0.expose_secret().trim();
        if text.is_empty() || !text.chars().all(|c| c.is_ascii_graphic()) {
            let place = match &source {
                SecretSource::Environment(variable) => format!("environment variable {variable}"),
                SecretSource::File(file) => format!("the first line of file {file}"),
            };
            return Err(SqlError::Secret(format!(
                "{place} is no access token: a token is one word of printable ASCII characters"
            )));
        }
        Ok(Password::new(text))
    });
    reading.await.unwrap_or_else(|_| Err(interrupted()))
}

#[cfg(all(unix, feature = "kerberos"))]
fn kerberos() -> Result<tiberius::AuthMethod, SqlError> {
    Ok(tiberius::AuthMethod::Integrated)
}

#[cfg(not(all(unix, feature = "kerberos")))]
fn kerberos() -> Result<tiberius::AuthMethod, SqlError> {
    Err(SqlError::NotBuiltIn)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variable(name: &str) -> SecretSource {
        SecretSource::Environment(name.to_owned())
    }

    fn file(folder: &tempfile::TempDir, text: &str) -> SecretSource {
        let file = folder.path().join("secret");
        std::fs::write(&file, text).unwrap();
        SecretSource::File(file.to_str().unwrap().to_owned())
    }

    #[test]
    fn a_password_shows_nothing_when_debugged() {
        assert!(!format!("{:?}", Password::new("hunter2")).contains("hunter2"));
    }

    #[test]
    fn only_the_first_line_of_a_password_file_is_the_password() {
        let folder = tempfile::tempdir().unwrap();
        let password = Password::read(&file(&folder, "hunter2\r\nsecond line\n")).unwrap();
        assert_eq!(password.mask("a hunter2 b"), "a *** b");
    }

    #[test]
    fn a_missing_variable_or_file_is_named() {
        let error = Password::read(&variable("PCDR_NO_SUCH_VARIABLE")).unwrap_err();
        assert!(error.to_string().contains("PCDR_NO_SUCH_VARIABLE"));
        let missing = SecretSource::File("/no/such/file".to_owned());
        assert!(Password::read(&missing).unwrap_err().to_string().contains("/no/such/file"));
    }

    #[tokio::test]
    async fn a_token_is_one_word_and_nothing_else_is_repeated_in_the_refusal() {
        let folder = tempfile::tempdir().unwrap();
        for text in ["Bearer eyJ0", "{ \"accessToken\": \"eyJ0\" }", "   \n", "eyJ0\u{fc}", ""] {
            let error = read_token(file(&folder, text)).await.unwrap_err();
            assert!(matches!(error, SqlError::Secret(_)), "{error}");
            assert!(!error.to_string().contains("eyJ0"), "{error}");
        }
        let token = read_token(file(&folder, " eyJ0.eyJh-_.c2ln \r\n")).await.unwrap();
        assert_eq!(token.mask("eyJ0.eyJh-_.c2ln"), "***");
    }

    #[cfg(not(all(unix, feature = "kerberos")))]
    #[tokio::test]
    async fn kerberos_without_its_feature_says_how_to_build_it() {
        let error = Credentials::Kerberos.method(None).await.unwrap_err();
        let error = error.at("sql1", "a connection was needed");
        assert!(error.remedy.contains("--features kerberos"), "{error}");
    }
}
