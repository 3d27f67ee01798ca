//! The one collation of the stand-in, SQL_Latin1_General_CP1_CI_AS, and its code page 1252.

/// As it stands in TYPE_INFO: LCID 1033, ignore case, kana and width, sort id 52.
pub(super) const BYTES: [u8; 5] = [0x09, 0x04, 0xD0, 0x00, 0x34];

/// Bytes 0x80 to 0x9F of code page 1252; the five that are unassigned map to their C1 controls.
const UPPER: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}',
    '\u{90}', '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

/// `varchar` bytes as text. A collation with the UTF-8 flag (SQL Server 2019) is honoured, every
/// other one is read as code page 1252.
pub(super) fn decode(collation: [u8; 5], bytes: &[u8]) -> String {
    let is_utf8 = collation[3] & 0x04 != 0;
    if is_utf8 {
        return String::from_utf8_lossy(bytes).into_owned();
    }
    bytes
        .iter()
        .map(|byte| match byte {
            0x80..=0x9F => UPPER[usize::from(byte - 0x80)],
            other => char::from(*other),
        })
        .collect()
}

/// Text as `varchar` bytes; what the code page lacks becomes `?`, as in SQL Server.
pub(super) fn encode(text: &str) -> Vec<u8> {
    text.chars()
        .map(|letter| {
            let code = u32::from(letter);
            match u8::try_from(code) {
                Ok(byte) if !(0x80..=0x9F).contains(&byte) => byte,
                _ => UPPER
                    .iter()
                    .position(|upper| *upper == letter)
                    .map_or(b'?', |index| 0x80 + index as u8),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_survives_the_way_through_text() {
        let bytes: Vec<u8> = (0..=255).collect();
        assert_eq!(encode(&decode(BYTES, &bytes)), bytes);
    }

    #[test]
    fn letters_outside_of_the_code_page_become_question_marks() {
        assert_eq!(encode("a€Ж😀"), b"a\x80??");
    }
}
