//! Logins, roles, permissions and endpoints.

use super::{Parsed, Parser};
use crate::tsql::ast::{Admin, CertificateFiles, CertificateSource, Endpoint, LoginChange};
use crate::tsql::lex::Kind;

impl Parser {
    pub(super) fn grant(&mut self) -> Parsed<Admin> {
        let verb = self.take().text.to_ascii_uppercase();
        if verb == "REVOKE" {
            self.accept_all(&["GRANT", "OPTION", "FOR"]);
        }
        let mut permissions = Vec::new();
        loop {
            let mut words = Vec::new();
            while self.peek().kind == Kind::Word
                && !["ON", "TO", "FROM"].iter().any(|word| self.is(word))
            {
                words.push(self.take().text.to_ascii_uppercase());
            }
            if words.is_empty() {
                return Err(self.unexpected());
            }
            if self.is_symbol("(") {
                self.skip_group()?;
            }
            permissions.push(words.join(" "));
            if !self.accept_symbol(",") {
                break;
            }
        }
        let securable = if self.accept("ON") {
            let mut words = Vec::new();
            let mut ahead = 0;
            while self.peek_at(ahead).kind == Kind::Word {
                ahead += 1;
            }
            if self.peek_at(ahead).is_symbol("::") {
                for _ in 0..ahead {
                    words.push(self.take().text.to_ascii_uppercase());
                }
                self.take();
            } else {
                words.push("OBJECT".to_string());
            }
            let name = self.path()?.parts.join(".");
            Some((words.join(" "), name))
        } else {
            None
        };
        if !self.accept("TO") {
            if verb == "REVOKE" {
                self.expect("FROM")?;
            } else {
                return Err(self.unexpected());
            }
        }
        let mut grantees = vec![self.grantee()?];
        while self.accept_symbol(",") {
            grantees.push(self.grantee()?);
        }
        self.accept_all(&["WITH", "GRANT", "OPTION"]);
        self.accept("CASCADE");
        if self.accept("AS") {
            self.identifier()?;
        }
        Ok(Admin::Grant { verb, permissions, securable, grantees })
    }

    fn grantee(&mut self) -> Parsed<String> {
        if self.is("PUBLIC") {
            return Ok(self.take().text);
        }
        self.identifier()
    }

    pub(super) fn endpoint(&mut self) -> Parsed<Admin> {
        let name = self.identifier()?;
        if self.accept("AUTHORIZATION") {
            self.identifier()?;
        }
        let mut state = "STOPPED".to_string();
        if self.accept("STATE") {
            state = self.endpoint_state()?;
        }
        self.expect("AS")?;
        self.expect("TCP")?;
        self.expect_symbol("(")?;
        self.expect("LISTENER_PORT")?;
        self.expect_symbol("=")?;
        let port = u16::try_from(self.integer()?).map_err(|_| self.unexpected())?;
        if self.accept_symbol(",") {
            self.expect("LISTENER_IP")?;
            self.expect_symbol("=")?;
            if self.is_symbol("(") {
                self.skip_group()?;
            } else {
                self.expect("ALL")?;
            }
        }
        self.expect_symbol(")")?;
        self.expect("FOR")?;
        if !self.accept("DATABASE_MIRRORING") {
            self.expect("DATA_MIRRORING")?;
        }
        self.expect_symbol("(")?;
        let mut authentication = vec!["WINDOWS".to_string(), "NEGOTIATE".to_string()];
        let mut encryption = vec!["REQUIRED".into(), "ALGORITHM".into(), "AES".into()];
        let mut role = String::new();
        loop {
            if self.accept("AUTHENTICATION") {
                self.expect_symbol("=")?;
                authentication = self.words(&["WINDOWS", "NTLM", "KERBEROS", "NEGOTIATE"], true)?;
            } else if self.accept("ENCRYPTION") {
                self.expect_symbol("=")?;
                encryption = self.words(
                    &["DISABLED", "SUPPORTED", "REQUIRED", "ALGORITHM", "AES", "RC4"],
                    false,
                )?;
            } else {
                self.expect("ROLE")?;
                self.expect_symbol("=")?;
                role = self.words(&["WITNESS", "PARTNER", "ALL"], false)?.join(" ");
            }
            if !self.accept_symbol(",") {
                break;
            }
        }
        if role.is_empty() {
            return Err(self.unexpected());
        }
        self.expect_symbol(")")?;
        Ok(Admin::CreateEndpoint(Endpoint { name, state, port, role, authentication, encryption }))
    }

    /// One or more of the known words; `CERTIFICATE name` when certificates are allowed.
    fn words(&mut self, known: &[&str], certificates: bool) -> Parsed<Vec<String>> {
        let mut words = Vec::new();
        loop {
            if certificates && self.accept("CERTIFICATE") {
                words.push("CERTIFICATE".to_string());
                words.push(self.identifier()?);
            } else if known.iter().any(|word| self.is(word)) {
                words.push(self.take().text.to_ascii_uppercase());
            } else if words.is_empty() {
                return Err(self.unexpected());
            } else {
                return Ok(words);
            }
        }
    }

    pub(super) fn endpoint_state(&mut self) -> Parsed<String> {
        self.expect_symbol("=")?;
        for state in ["STARTED", "STOPPED", "DISABLED"] {
            if self.accept(state) {
                return Ok(state.to_string());
            }
        }
        Err(self.unexpected())
    }

    pub(super) fn login(&mut self) -> Parsed<Admin> {
        let name = self.identifier()?;
        let (mut password, mut sid, mut default_database) = (None, None, None);
        let mut must_change = false;
        let windows = self.accept_all(&["FROM", "WINDOWS"]);
        if self.accept("WITH") {
            loop {
                let key = self.peek().text.to_ascii_uppercase();
                self.take();
                self.expect_symbol("=")?;
                match key.as_str() {
                    "PASSWORD" => {
                        if self.peek().kind == Kind::Binary {
                            // A hashed password cannot be checked against what a client sends.
                            return Err(self.unexpected());
                        }
                        password = Some(self.text()?);
                        must_change = self.accept("MUST_CHANGE");
                    }
                    "SID" => {
                        if self.peek().kind != Kind::Binary {
                            return Err(self.unexpected());
                        }
                        sid = Some(crate::tsql::convert::parse_hex(&self.take().text));
                    }
                    "DEFAULT_DATABASE" => default_database = Some(self.identifier()?),
                    "DEFAULT_LANGUAGE" => {
                        self.identifier()?;
                    }
                    "CHECK_POLICY" | "CHECK_EXPIRATION" => {
                        if !self.accept("ON") {
                            self.expect("OFF")?;
                        }
                    }
                    _ => {
                        self.at = self.at.saturating_sub(2);
                        return Err(self.unexpected());
                    }
                }
                if !self.accept_symbol(",") {
                    break;
                }
            }
        }
        if windows == password.is_some() {
            return Err(self.unexpected());
        }
        Ok(Admin::CreateLogin { name, password, sid, default_database, must_change })
    }

    pub(super) fn alter_login(&mut self) -> Parsed<Admin> {
        let name = self.identifier()?;
        let change = if self.accept("ENABLE") {
            LoginChange::Enabled(true)
        } else if self.accept("DISABLE") {
            LoginChange::Enabled(false)
        } else {
            self.expect("WITH")?;
            if self.accept("DEFAULT_DATABASE") {
                self.expect_symbol("=")?;
                LoginChange::DefaultDatabase(self.identifier()?)
            } else {
                self.expect("PASSWORD")?;
                self.expect_symbol("=")?;
                let password = self.text()?;
                if self.accept("UNLOCK") {
                    LoginChange::Unlock(password)
                } else {
                    LoginChange::Password(password)
                }
            }
        };
        Ok(Admin::AlterLogin { name, change })
    }

    pub(super) fn membership(&mut self) -> Parsed<(String, bool, String)> {
        let role = self.identifier()?;
        let add = self.accept("ADD");
        if !add {
            self.expect("DROP")?;
        }
        self.expect("MEMBER")?;
        Ok((role, add, self.identifier()?))
    }

    /// Behind `CREATE MASTER KEY`. The password protects what the stand-in keeps in memory only.
    pub(super) fn master_key(&mut self) -> Parsed<Admin> {
        self.expect("ENCRYPTION")?;
        self.expect("BY")?;
        self.password()?;
        Ok(Admin::CreateMasterKey)
    }

    /// `PASSWORD = '…'`.
    fn password(&mut self) -> Parsed<String> {
        self.expect("PASSWORD")?;
        self.expect_symbol("=")?;
        self.text()
    }

    /// `FILE = '…' [WITH PRIVATE KEY (FILE = '…', … BY PASSWORD = '…')]`.
    fn certificate_files(&mut self, direction: &str) -> Parsed<CertificateFiles> {
        self.expect("FILE")?;
        self.expect_symbol("=")?;
        let file = self.text()?;
        let mut private_key = None;
        if self.accept_all(&["WITH", "PRIVATE", "KEY"]) {
            self.expect_symbol("(")?;
            self.expect("FILE")?;
            self.expect_symbol("=")?;
            let key = self.text()?;
            self.expect_symbol(",")?;
            self.expect(direction)?;
            self.expect("BY")?;
            private_key = Some((key, self.password()?));
            self.expect_symbol(")")?;
        }
        Ok(CertificateFiles { file, private_key })
    }

    pub(super) fn certificate(&mut self) -> Parsed<Admin> {
        let name = self.identifier()?;
        let owner = if self.accept("AUTHORIZATION") { Some(self.identifier()?) } else { None };
        let from = if self.accept("FROM") {
            if self.accept("BINARY") {
                self.expect_symbol("=")?;
                if self.peek().kind != Kind::Binary {
                    return Err(self.unexpected());
                }
                CertificateSource::Binary(crate::tsql::convert::parse_hex(&self.take().text))
            } else {
                CertificateSource::Files(self.certificate_files("DECRYPTION")?)
            }
        } else {
            self.new_certificate()?
        };
        Ok(Admin::CreateCertificate { name, owner, from })
    }

    fn new_certificate(&mut self) -> Parsed<CertificateSource> {
        self.expect("WITH")?;
        self.expect("SUBJECT")?;
        self.expect_symbol("=")?;
        let subject = self.text()?;
        let (mut start, mut expiry) = (None, None);
        while self.accept_symbol(",") {
            let date = if self.accept("START_DATE") {
                &mut start
            } else {
                self.expect("EXPIRY_DATE")?;
                &mut expiry
            };
            self.expect_symbol("=")?;
            *date = Some(self.text()?);
        }
        Ok(CertificateSource::New { subject, start, expiry })
    }

    pub(super) fn backup_certificate(&mut self) -> Parsed<Admin> {
        let name = self.identifier()?;
        self.expect("TO")?;
        Ok(Admin::BackupCertificate { name, to: self.certificate_files("ENCRYPTION")? })
    }
}
