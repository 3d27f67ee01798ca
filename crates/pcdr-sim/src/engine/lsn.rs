//! Log sequence numbers.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::value::Value;

/// A log sequence number: VLF sequence number × 10^15 + block offset × 10^5 + slot.
///
/// Source: the decimal form of `numeric(25,0)` in `msdb.dbo.backupset` and RESTORE HEADERONLY.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Lsn(pub u128);

const BLOCK: u128 = 100_000;
const VLF: u128 = 1_000_000_000_000_000;
/// Blocks (of 512 bytes) after which a new VLF begins.
const BLOCKS_A_VLF: u128 = 16_384;

impl Lsn {
    /// Zero, which no record carries.
    pub const ZERO: Lsn = Lsn(0);

    /// Builds an LSN of its three parts.
    pub const fn new(vlf: u32, block: u64, slot: u32) -> Lsn {
        Lsn(vlf as u128 * VLF + block as u128 * BLOCK + slot as u128)
    }

    /// Sequence number of the virtual log file.
    pub const fn vlf(self) -> u128 {
        self.0 / VLF
    }

    /// Block offset inside the VLF, in 512-byte blocks.
    pub const fn block(self) -> u128 {
        (self.0 % VLF) / BLOCK
    }

    /// Slot inside the block, from 1.
    pub const fn slot(self) -> u128 {
        self.0 % BLOCK
    }

    /// The next slot of the same block.
    #[must_use]
    pub const fn next_slot(self) -> Lsn {
        if self.slot() >= 60_000 {
            return self.next_block(8);
        }
        Lsn(self.0 + 1)
    }

    /// Slot 1 of the block that follows after `blocks` 512-byte blocks, in the next VLF when this
    /// one is full.
    #[must_use]
    pub const fn next_block(self, blocks: u128) -> Lsn {
        let block = self.block() + if blocks == 0 { 1 } else { blocks };
        if block >= BLOCKS_A_VLF {
            return Lsn((self.vlf() + 1) * VLF + 16 * BLOCK + 1);
        }
        Lsn(self.vlf() * VLF + block * BLOCK + 1)
    }

    /// As a column's value.
    pub fn value(self) -> Value {
        Value::lsn(self.0)
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Debug for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

// As text: a JSON number of this size would lose digits in most readers.
impl Serialize for Lsn {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Lsn {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Lsn, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map(Lsn).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_example_splits_into_its_three_parts() {
        let lsn = Lsn(39_000_000_172_000_001);
        assert_eq!((lsn.vlf(), lsn.block(), lsn.slot()), (39, 1720, 1));
        assert_eq!(Lsn::new(39, 1720, 1), lsn);
    }

    #[test]
    fn a_full_vlf_is_followed_by_the_next_one() {
        let lsn = Lsn::new(39, 16_380, 4);
        assert!(lsn.next_block(8) > lsn);
        assert_eq!(lsn.next_block(8).vlf(), 40);
    }
}
