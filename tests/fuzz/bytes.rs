//! Damage to bytes and text.

use pcdr_tests::Random;

/// Numbers at the edges of types, as text.
pub(crate) const EDGES: [&str; 24] = [
    "0",
    "1",
    "-1",
    "2",
    "127",
    "128",
    "255",
    "256",
    "32767",
    "-32768",
    "65535",
    "65536",
    "2147483647",
    "-2147483648",
    "2147483648",
    "4294967295",
    "9223372036854775807",
    "-9223372036854775808",
    "18446744073709551615",
    "1e308",
    "1e-400",
    "99999999999999999999999999999999999999",
    "0.0000000000000000000000000000000000001",
    "1e999",
];

/// Text that is at the edge of something.
pub(crate) const ODD: [&str; 12] = [
    "\u{0}",
    "\u{feff}",
    "ß",
    "İ",
    "\u{10ffff}",
    "e\u{301}",
    "😀",
    "\u{2028}",
    "ﬃ",
    "'",
    "]",
    "\u{202e}",
];

pub(crate) fn pick<'a, T: ?Sized>(random: &mut Random, from: &[&'a T]) -> &'a T {
    from[random.below(from.len() as u64) as usize]
}

pub(crate) fn below(random: &mut Random, limit: usize) -> usize {
    random.below(limit as u64) as usize
}

/// Changes a few bytes: bits, values at the edge, pieces left out, doubled or moved.
pub(crate) fn damage(random: &mut Random, bytes: &mut Vec<u8>) {
    for _ in 0..=random.below(4) {
        if bytes.is_empty() {
            bytes.push(0);
        }
        let at = below(random, bytes.len());
        match random.below(7) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes[at] = random.below(256) as u8,
            2 => bytes[at] = [0, 0xFF, 0x7F, 0x80, 8, 0xFE, 1][below(random, 7)],
            3 => bytes.truncate(at),
            4 => {
                let end = bytes.len().min(at + 1 + below(random, 12));
                let copy = bytes[at..end].to_vec();
                bytes.splice(at..at, copy);
            }
            5 => {
                let end = bytes.len().min(at + 1 + below(random, 12));
                bytes.drain(at..end);
            }
            _ => {
                // A length that lies: four bytes at once.
                let huge = [0xFFFF_FFFF_u32, 0x7FFF_FFFF, 0xFFFF_FFFE, 0x8000_0000, 0x00FF_FFFF];
                let lie = huge[below(random, huge.len())].to_le_bytes();
                for (byte, lie) in bytes[at..].iter_mut().zip(lie) {
                    *byte = lie;
                }
            }
        }
    }
}

/// Damages text without leaving text: characters, digits, words.
pub(crate) fn damage_text(random: &mut Random, text: &str) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    for _ in 0..=random.below(3) {
        let at = below(random, chars.len() + 1).min(chars.len());
        match random.below(6) {
            0 if at < chars.len() => drop(chars.remove(at)),
            1 => {
                let odd = pick(random, &ODD);
                chars.splice(at..at, odd.chars());
            }
            2 => {
                // Another number in the place of one.
                let Some(start) = chars[at..].iter().position(char::is_ascii_digit) else {
                    continue;
                };
                let start = at + start;
                let length = chars[start..].iter().take_while(|c| c.is_ascii_digit()).count();
                let edge = pick(random, &EDGES);
                chars.splice(start..start + length, edge.chars());
            }
            3 => {
                let end = chars.len().min(at + below(random, 24));
                let copy: Vec<char> = chars[at..end].to_vec();
                let to = below(random, chars.len() + 1);
                chars.splice(to..to, copy);
            }
            4 => {
                let end = chars.len().min(at + below(random, 16));
                chars.drain(at..end);
            }
            _ => {
                let symbols = [
                    "(", ")", "'", "\"", "[", "]", "{", "}", ",", ";", "--", "/*", "*/", "=", ".",
                    "@", "#", "\n", "-", "null", "true", "0x", "N'",
                ];
                chars.splice(at..at, pick(random, &symbols).chars());
            }
        }
    }
    chars.into_iter().collect()
}
