//! A bound on the length of one record of a text file.

use bytes::Bytes;
use datafusion::error::DataFusionError;
use memchr::{memchr_iter, memchr2_iter, memrchr};

use crate::error::FileError;

/// Watches the chunks of one text on their way to a decoder, which would keep a record that never ends
/// until memory is gone.
///
/// In chunks shorter than the limit the place of the last record's start is a guess where quotes are
/// involved, so a record may be longer than the limit by one chunk before it is refused.
#[derive(Debug)]
pub(super) struct RecordLimit {
    file: String,
    /// The quote in which newlines do not end a record, if the format has one.
    quote: Option<u8>,
    bytes_max: u64,
    /// Bytes since the last record started.
    bytes: u64,
    in_quotes: bool,
}

impl RecordLimit {
    pub(super) fn new(file: String, quote: Option<u8>, bytes_max: u64) -> Self {
        Self { file, quote, bytes_max, bytes: 0, in_quotes: false }
    }

    /// Counts a chunk; fails once the record that it belongs to is too long.
    pub(super) fn pass(&mut self, chunk: &Bytes) -> Result<(), DataFusionError> {
        if chunk.len() as u64 > self.bytes_max {
            return self.pass_each(chunk);
        }
        let quotes = self.quote.map_or(0, |quote| memchr_iter(quote, chunk).count());
        let ends_in_quotes = self.in_quotes != (quotes % 2 == 1);
        let outside = match self.quote {
            // What follows the last quote is inside it.
            Some(quote) if ends_in_quotes => &chunk[..memrchr(quote, chunk).unwrap_or(0)],
            Some(_) | None => &chunk[..],
        };
        self.in_quotes = ends_in_quotes;
        self.bytes = match memrchr(b'\n', outside) {
            Some(newline) => (chunk.len() - newline - 1) as u64,
            None => self.bytes + chunk.len() as u64,
        };
        self.check(self.bytes)
    }

    /// Counts record by record, for chunks that may hold a whole record that is too long.
    fn pass_each(&mut self, chunk: &Bytes) -> Result<(), DataFusionError> {
        let mut start = 0;
        for at in memchr2_iter(self.quote.unwrap_or(b'\n'), b'\n', chunk) {
            if chunk[at] != b'\n' {
                self.in_quotes = !self.in_quotes;
            } else if !self.in_quotes {
                self.check(self.bytes + (at - start) as u64)?;
                (self.bytes, start) = (0, at + 1);
            }
        }
        self.bytes += (chunk.len() - start) as u64;
        self.check(self.bytes)
    }

    /// Fails if a record of this length is too long.
    fn check(&self, bytes: u64) -> Result<(), DataFusionError> {
        if bytes <= self.bytes_max {
            return Ok(());
        }
        let limit = bytesize::ByteSize(self.bytes_max).display().iec();
        let trouble = format!("a record is longer than query.max_row_bytes ({limit})");
        Err(FileError::new(&self.file, trouble)
            .with_help("if it is meant to be, raise the limit: SET query.max_row_bytes = '1GiB'")
            .into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passes(quote: Option<u8>, chunks: &[&'static str]) -> bool {
        let mut limit = RecordLimit::new("x".into(), quote, 10);
        chunks.iter().all(|chunk| limit.pass(&Bytes::from_static(chunk.as_bytes())).is_ok())
    }

    #[test]
    fn records_are_counted_across_chunks() {
        assert!(passes(None, &["12345", "67890", "\n12345"]));
        assert!(!passes(None, &["12345", "678901", "\n"]));
        assert!(!passes(None, &["1\n234567890123\n4\n"]));
        assert!(!passes(Some(b'"'), &["1\n\"2345\n67890\"\n4\n"]));
        assert!(passes(None, &["1\n2\n3\n4\n5\n6\n7\n8\n9\n"]));
    }

    #[test]
    fn newlines_in_quotes_end_no_record() {
        assert!(!passes(Some(b'"'), &["a,\"1\n", "2\n3\n", "4\n5\n6"]));
        assert!(passes(Some(b'"'), &["a,\"1\n", "2\"\n", "3,4\n", "5,\"6\"\n"]));
        assert!(passes(None, &["a,\"1\n", "2\n3\n", "4\n5\n6"]));
    }
}
