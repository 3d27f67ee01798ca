//! LOGIN7.
//!
//! Source: \[MS-TDS\] 2.2.6.4.

use super::WireError;
use super::cursor::{Cursor, utf16};
use crate::front::{Agreed, Login};

/// Oldest version whose rows and completions this server can write: TDS 7.2 (SQL Server 2005).
const OLDEST: u32 = 0x7209_0002;
const NEWEST: u32 = 0x7400_0004;
/// TDS 8.0, which differs from 7.4 only in when TLS starts.
const STRICT: u32 = 0x0800_0000;

/// OptionFlags3: a feature extension block is there.
const HAS_EXTENSION: u8 = 0x10;
/// Feature of a login by a token or an account of Microsoft Entra.
const FEDERATED_LOGIN: u8 = 0x02;
const END_OF_FEATURES: u8 = 0xFF;
/// Library of a federated login: the client brings the token along.
const SECURITY_TOKEN: u8 = 0x01;

/// A decoded LOGIN7.
#[derive(Debug)]
pub(super) struct Login7 {
    pub(super) login: Login,
    /// The client wants to be known by its Windows account.
    pub(super) integrated: bool,
}

impl Login7 {
    /// Decodes one; `encrypted` says whether what follows it will be.
    pub(super) fn decode(payload: &[u8], encrypted: bool) -> Result<Login7, WireError> {
        let mut fixed = Cursor::new("LOGIN7", payload);
        let length = fixed.u32()?;
        if length as usize > payload.len() {
            return Err(fixed
                .fail(format!("its length is {length}, but {} bytes were sent", payload.len())));
        }
        let requested = fixed.u32()?;
        let packet_size = fixed.u32()?;
        let _client_version = fixed.u32()?;
        let process_id = fixed.u32()?;
        let _connection_id = fixed.u32()?;
        let _option_flags_1 = fixed.u8()?;
        let option_flags_2 = fixed.u8()?;
        let type_flags = fixed.u8()?;
        let option_flags_3 = fixed.u8()?;
        let _time_zone = fixed.u32()?;
        let _locale = fixed.u32()?;

        let version = match requested {
            STRICT => STRICT,
            OLDEST..=NEWEST => requested,
            0x7400_0005..=0x7FFF_FFFF => NEWEST,
            older => {
                return Err(fixed
                    .fail(format!("TDS 7.2 or later is needed, the client speaks {older:#010x}")));
            }
        };
        let host_name = utf16(field(payload, &mut fixed, "host name")?);
        let user_name = utf16(field(payload, &mut fixed, "user name")?);
        let password = reveal(field(payload, &mut fixed, "password")?);
        let application_name = utf16(field(payload, &mut fixed, "application name")?);
        let _server_name = field(payload, &mut fixed, "server name")?;
        let extension = (fixed.u16()?, fixed.u16()?);
        let interface_name = utf16(field(payload, &mut fixed, "interface name")?);
        let _language = field(payload, &mut fixed, "language")?;
        let database = utf16(field(payload, &mut fixed, "database")?);

        let access_token = match option_flags_3 & HAS_EXTENSION {
            0 => None,
            _ => access_token(payload, extension)?,
        };

        let packet_size = match packet_size {
            0 => 4096,
            size => size.clamp(512, 32767) as u16,
        };
        Ok(Login7 {
            login: Login {
                host_name,
                user_name,
                password,
                access_token,
                application_name,
                database,
                interface_name,
                read_only_intent: type_flags & 0x20 != 0,
                process_id,
                connection: Agreed {
                    encrypted,
                    tds_version: version,
                    packet_size_bytes: packet_size,
                },
            },
            integrated: option_flags_2 & 0x80 != 0,
        })
    }
}

/// The field whose offset and length in characters come next in the fixed part.
fn field<'a>(payload: &'a [u8], fixed: &mut Cursor<'_>, what: &str) -> Result<&'a [u8], WireError> {
    let offset = usize::from(fixed.u16()?);
    let bytes = usize::from(fixed.u16()?) * 2;
    if bytes == 0 {
        return Ok(&[]); // the offset of an empty field means nothing
    }
    payload
        .get(offset..offset + bytes)
        .ok_or_else(|| fixed.fail(format!("its {what} lies outside of it")))
}

/// The token among the features that the client asks for; every other feature may be ignored.
///
/// `at` is offset and length of the place that holds the offset of the features.
fn access_token(payload: &[u8], at: (u16, u16)) -> Result<Option<String>, WireError> {
    let from = |offset: usize| payload.get(offset..).unwrap_or_default();
    let mut place = Cursor::new("LOGIN7 extension", from(usize::from(at.0)));
    if at.1 < 4 {
        return Err(place.fail(format!("4 bytes are needed for its offset, found {}", at.1)));
    }
    let offset = usize::try_from(place.u32()?).unwrap_or(usize::MAX);
    let mut features = Cursor::new("FEATUREEXT", from(offset));
    let mut token = None;
    loop {
        let feature = features.u8()?;
        if feature == END_OF_FEATURES {
            return Ok(token);
        }
        let length = usize::try_from(features.u32()?).unwrap_or(usize::MAX);
        let data = features.take(length)?;
        if feature == FEDERATED_LOGIN {
            let mut data = Cursor::new("FEDAUTH", data);
            let library = data.u8()? >> 1;
            if library != SECURITY_TOKEN {
                return Err(data.fail(format!("library {library} is not supported, 1 is")));
            }
            let length = usize::try_from(data.u32()?).unwrap_or(usize::MAX);
            token = Some(utf16(data.take(length)?));
            // A nonce may follow; this server gave none.
        }
    }
}

/// Undoes the obfuscation of a password: every byte xor 0xA5, then its halves swapped.
fn reveal(bytes: &[u8]) -> String {
    let bytes: Vec<u8> = bytes.iter().map(|byte| (byte ^ 0xA5).rotate_left(4)).collect();
    utf16(&bytes)
}
