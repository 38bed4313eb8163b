//! The limits as people write them: `512MB`, `1.5GiB`, `50%`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use bytesize::ByteSize;

use super::budget;
use crate::error::{Error, Result};

/// Of what the process may use, unless a limit is set; the rest is for what nobody counts: code, buffers
/// of decoders, the allocator's own.
const DEFAULT_PERCENT: f64 = 75.0;

/// How much memory and disk queries may take. The default is three quarters of the memory that the process
/// may use, and nine tenths of what is free in the system's folder for temporary files.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Limits {
    /// Memory of all queries of the process together.
    pub memory: Option<MemoryLimit>,
    /// The folder below which temporary files are made.
    pub temp_dir: Option<PathBuf>,
    /// Bytes of temporary files at any one time; 0 for none at all.
    pub temp_bytes_max: Option<u64>,
}

/// A limit of memory.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum MemoryLimit {
    /// So many bytes.
    Bytes(u64),
    /// So many hundredths of what the process may use.
    Percent(f64),
}

impl MemoryLimit {
    /// The limit in bytes.
    pub fn bytes(self) -> usize {
        let bytes = match self {
            Self::Bytes(bytes) => bytes,
            Self::Percent(percent) => {
                budget::usable_bytes().map_or(u64::MAX, |usable| share(usable, percent))
            }
        };
        usize::try_from(bytes).unwrap_or(usize::MAX)
    }
}

fn share(bytes: u64, percent: f64) -> u64 {
    (bytes as f64 * percent / 100.0) as u64
}

impl Default for MemoryLimit {
    fn default() -> Self {
        Self::Percent(DEFAULT_PERCENT)
    }
}

impl FromStr for MemoryLimit {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = |why: &str| {
            let message = format!("'{text}' is not a limit of memory{why}");
            Error::usage_help(message, "write for example 512MB, 1.5GiB or 50%")
        };
        if let Some(percent) = text.trim().strip_suffix('%') {
            let percent: f64 = percent.trim().parse().map_err(|_| wrong(""))?;
            return match percent > 0.0 && percent <= 100.0 {
                true => Ok(Self::Percent(percent)),
                false => Err(wrong(": a share is more than 0% and at most 100%")),
            };
        }
        match size(text) {
            Some(0) => Err(wrong(": nothing can run in 0 bytes")),
            Some(bytes) => Ok(Self::Bytes(bytes)),
            None => Err(wrong("")),
        }
    }
}

impl fmt::Display for MemoryLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => f.write_str(&shown(*bytes)),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

/// Reads a size of temporary files.
///
/// # Errors
/// Text that is no size.
pub fn temp_bytes(text: &str) -> Result<u64> {
    size(text).ok_or_else(|| {
        let message = format!("'{text}' is not a size of temporary files");
        Error::usage_help(message, "write for example 10GB or 500MiB, or 0 for none")
    })
}

/// A number of bytes with or without a unit: kB, MB, GB are powers of 1,000, KiB, MiB, GiB of 1,024.
fn size(text: &str) -> Option<u64> {
    text.trim().parse().ok().map(|ByteSize(bytes)| bytes)
}

/// A number of bytes for people: `256.0 MB`.
pub(super) fn shown(bytes: u64) -> String {
    ByteSize::b(bytes).display().si().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_shares_are_read() {
        for (text, bytes) in [
            ("1000", 1_000),
            ("512MB", 512_000_000),
            ("512 mb", 512_000_000),
            ("512M", 512_000_000),
            ("1.5GiB", 3 << 29),
            ("64KiB", 65_536),
            ("2g", 2_000_000_000),
        ] {
            assert_eq!(text.parse::<MemoryLimit>().unwrap(), MemoryLimit::Bytes(bytes), "{text}");
        }
        assert_eq!("50%".parse::<MemoryLimit>().unwrap(), MemoryLimit::Percent(50.0));
        assert_eq!("12.5 %".parse::<MemoryLimit>().unwrap(), MemoryLimit::Percent(12.5));
        assert_eq!(temp_bytes("10GB").unwrap(), 10_000_000_000);
        assert_eq!(temp_bytes("0").unwrap(), 0);
    }

    #[test]
    fn nonsense_is_refused_by_name() {
        for text in
            ["", "0", "0MB", "0%", "101%", "-5%", "-1", "lots", "5 parsecs", "NaN%", "%", "1e999%", "GB"]
        {
            let error = text.parse::<MemoryLimit>().unwrap_err();
            assert_eq!(error.exit_code(), 2, "{text}");
            assert!(error.to_string().contains(&format!("'{text}'")), "{error}");
        }
        for text in ["", "-1", "ten", "50%"] {
            assert_eq!(temp_bytes(text).unwrap_err().exit_code(), 2, "{text}");
        }
    }

    #[test]
    fn a_share_is_a_share_of_what_may_be_used() {
        assert_eq!(share(1_000_000, 75.0), 750_000);
        let half = MemoryLimit::Percent(50.0).bytes();
        assert!(half > 0 && half < MemoryLimit::Percent(100.0).bytes().max(2));
        assert_eq!(MemoryLimit::Bytes(5).bytes(), 5);
    }
}
