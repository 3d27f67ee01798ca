//! Reading of bytes that a client sent, with every length checked.

use super::WireError;

/// A position in a message.
pub(super) struct Cursor<'a> {
    what: &'static str,
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    /// `what` names the message in errors.
    pub(super) fn new(what: &'static str, bytes: &'a [u8]) -> Cursor<'a> {
        Cursor { what, rest: bytes }
    }

    pub(super) fn fail(&self, why: impl Into<String>) -> WireError {
        WireError::malformed(self.what, why)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next byte, which stays.
    pub(super) fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    pub(super) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], WireError> {
        match self.rest.split_at_checked(count) {
            Some((taken, rest)) => {
                self.rest = rest;
                Ok(taken)
            }
            None => {
                Err(self
                    .fail(format!("{count} bytes were announced, {} are there", self.rest.len())))
            }
        }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    pub(super) fn u8(&mut self) -> Result<u8, WireError> {
        Ok(self.array::<1>()?[0])
    }

    pub(super) fn u16(&mut self) -> Result<u16, WireError> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    pub(super) fn i16(&mut self) -> Result<i16, WireError> {
        Ok(i16::from_le_bytes(self.array()?))
    }

    pub(super) fn u32(&mut self) -> Result<u32, WireError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(super) fn i32(&mut self) -> Result<i32, WireError> {
        Ok(i32::from_le_bytes(self.array()?))
    }

    pub(super) fn u64(&mut self) -> Result<u64, WireError> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// `count` UTF-16 code units. Unpaired surrogates become U+FFFD: the engine's strings are
    /// Unicode, and no name or statement that means something contains one.
    pub(super) fn utf16(&mut self, count: usize) -> Result<String, WireError> {
        Ok(utf16(self.take(count.saturating_mul(2))?))
    }

    /// B_VARCHAR: a length of one byte, in characters.
    pub(super) fn b_varchar(&mut self) -> Result<String, WireError> {
        let count = self.u8()?;
        self.utf16(count.into())
    }

    /// US_VARCHAR: a length of two bytes, in characters.
    pub(super) fn us_varchar(&mut self) -> Result<String, WireError> {
        let count = self.u16()?;
        self.utf16(count.into())
    }
}

/// Little-endian UTF-16; an odd last byte is dropped.
pub(super) fn utf16(bytes: &[u8]) -> String {
    let units = bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
    char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
}

/// `text` as little-endian UTF-16.
pub(super) fn to_utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}
