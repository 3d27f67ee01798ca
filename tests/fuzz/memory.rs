//! The resident size of the process while the cases run.

use std::fmt;

/// Points of a run at which the size is looked at.
const POINTS: usize = 12;
/// Growth of the resident size that the allocator's own fragments explain, in MiB: 1,000,000 cases of
/// which each lost 40 bytes would be more.
const GROWTH_MIB: f64 = 32.0;

/// The resident size at points of a run, in MiB.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    mib: Vec<f64>,
}

impl Memory {
    /// Looks, when the next point is reached, and says what was seen.
    pub(crate) fn look(&mut self, done: usize, of: usize) -> Option<String> {
        if done * POINTS < of * (self.mib.len() + 1) {
            return None;
        }
        let now = resident_mib()?;
        self.mib.push(now);
        Some(format!("{now:.0} MiB resident"))
    }

    /// By how much the last quarter of a run is larger than its second, each at its smallest: by then
    /// allocator and caches have taken what they need, and what is freed later counts as freed.
    fn growth_mib(&self) -> f64 {
        let quarter = self.mib.len() / 4;
        let least = |part: &[f64]| part.iter().copied().fold(f64::INFINITY, f64::min);
        if quarter == 0 {
            return 0.0;
        }
        least(&self.mib[self.mib.len() - quarter..]) - least(&self.mib[quarter..2 * quarter])
    }

    pub(crate) fn grew(&self) -> bool {
        self.growth_mib() > GROWTH_MIB
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let points: Vec<String> = self.mib.iter().map(|mib| format!("{mib:.0}")).collect();
        write!(f, "resident {} MiB, grown by {:.1} MiB", points.join(" "), self.growth_mib())
    }
}

/// The resident size of this process in MiB; `None` where the system does not tell.
/// Source: proc(5), `/proc/pid/statm`, second field, in pages of 4 KiB on x86-64.
fn resident_mib() -> Option<f64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: f64 = statm.split(' ').nth(1)?.parse().ok()?;
    Some(pages * 4096.0 / f64::from(1 << 20))
}

#[test]
fn steady_growth_is_growth_and_a_warm_up_or_a_peak_is_not() {
    let of = |mib: [f64; 12]| Memory { mib: mib.into() };
    let lost = std::array::from_fn(|point| 30.0 + 6.0 * point as f64);
    assert!(of(lost).grew(), "{}", of(lost));
    let mut warmed_up = [90.0; 12];
    warmed_up[..3].fill(20.0);
    assert!(!of(warmed_up).grew());
    let mut peak = [40.0; 12];
    peak[10] = 200.0;
    assert!(!of(peak).grew());
}

#[test]
fn what_is_held_is_seen() {
    let before = resident_mib();
    let held = vec![1_u8; 64 << 20];
    let after = resident_mib();
    assert_eq!(held.iter().map(|byte| u64::from(*byte)).sum::<u64>(), 64 << 20);
    if let (Some(before), Some(after)) = (before, after) {
        assert!(after - before > GROWTH_MIB, "{before} to {after} MiB");
    }
}
