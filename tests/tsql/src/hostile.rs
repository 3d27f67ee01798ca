//! Names that break careless quoting, drawn from a seed.

/// Parts of which hostile names are made.
const PIECES: &[&str] = &[
    "]",
    "]]",
    "[",
    "'",
    "''",
    "\"",
    "N'",
    "N''",
    "--",
    "/*",
    "*/",
    ";",
    ",",
    "(",
    ")",
    "@x",
    "#t",
    "$(x)",
    "\\",
    "%",
    "..",
    "0x",
    "\r\n",
    "\n",
    "\r",
    "\t",
    "\nGO\n",
    "\r\nGO\r\n",
    "\ngo 5\n",
    "\n:r file\n",
    "\n!!dir\n",
    " OR 1=1 ",
    "'; DROP DATABASE mgc; --",
    "]; DROP DATABASE mgc; --",
    "') DROP TABLE t --",
    "{d'",
    "\u{1}",
    "\u{8}",
    "\u{b}",
    "\u{c}",
    "\u{1a}",
    "\u{1b}[2J",
    "\u{7f}",
    "\u{85}",
    "\u{a0}",
    "\u{ad}",
    "\u{200b}",
    "\u{202e}",
    "\u{2028}",
    "\u{2029}",
    "\u{feff}",
    "\u{fffd}",
    "\u{fffe}",
    "\u{fdd0}",
    // What a careless conversion takes for an apostrophe or a bracket.
    "\u{2018}",
    "\u{2019}",
    "\u{2032}",
    "\u{2bc}",
    "\u{ff07}",
    "\u{ff3b}",
    "\u{ff3d}",
    "\u{301a}",
    // Outside of the basic plane: two surrogates each.
    "\u{1f600}",
    "\u{10000}",
    "\u{10ffff}",
    "\u{1d11e}",
    "e\u{301}",
    "ß",
    "İ",
    "中文",
    "mgc",
    "a",
    " ",
];

/// The longest name, in UTF-16 units.
const LONGEST: usize = 128;

/// A stream of hostile names; the same seed gives the same names.
#[derive(Debug, Clone)]
pub struct Names {
    state: u64,
}

impl Names {
    /// Starts with a seed.
    pub fn new(seed: u64) -> Names {
        Names { state: seed }
    }

    /// A number below `end`. The generator is SplitMix64: short, and good enough to mix pieces.
    fn below(&mut self, end: usize) -> usize {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        let bound = u64::try_from(end).unwrap_or(1).max(1);
        usize::try_from((z ^ (z >> 31)) % bound).unwrap_or(0)
    }

    fn piece(&mut self) -> String {
        match self.below(10) {
            // Any character but those that quoting refuses; a surrogate alone is no character.
            0 => char::from_u32(self.below(0x11_0000) as u32)
                .filter(|c| !matches!(c, '\0' | '\u{ffff}'))
                .map(String::from),
            1 => char::from_u32(1 + self.below(0x7f) as u32).map(String::from),
            _ => None,
        }
        .unwrap_or_else(|| PIECES[self.below(PIECES.len())].to_owned())
    }

    /// A name of one to eight pieces, or, one in sixteen, as long as the server takes.
    pub fn name(&mut self) -> String {
        let mut name = String::new();
        match self.below(16) {
            0 => {
                let only = self.below(4) == 0;
                let first = self.piece();
                while units(&name) < LONGEST {
                    let piece = if only { first.clone() } else { self.piece() };
                    name.push_str(&piece);
                }
            }
            _ => (0..=self.below(8)).for_each(|_| {
                let piece = self.piece();
                name.push_str(&piece);
            }),
        }
        while units(&name) > LONGEST {
            name.pop();
        }
        name
    }
}

/// Length in UTF-16 units, as the server counts.
pub fn units(text: &str) -> usize {
    text.encode_utf16().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_never_empty_never_too_long_and_sometimes_as_long_as_possible() {
        let mut names = Names::new(1);
        let lengths: Vec<usize> = (0..5_000).map(|_| units(&names.name())).collect();
        assert!(lengths.iter().all(|length| (1..=LONGEST).contains(length)));
        assert!(lengths.iter().filter(|length| **length == LONGEST).count() > 100);
    }

    #[test]
    fn a_seed_repeats_its_names() {
        let draw = |seed| {
            let mut names = Names::new(seed);
            (0..100).map(|_| names.name()).collect::<Vec<_>>()
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }
}
