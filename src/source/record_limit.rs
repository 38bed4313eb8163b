//! A bound on the length of one record of a text file.

use std::ops::Range;

use datafusion::error::DataFusionError;
use memchr::memchr_iter;

use super::bytes::Decoding;
use super::quotes::{Quotes, last_place};
use crate::error::FileError;

/// Counts the bytes of the record at hand, chunk by chunk from the start of a record.
#[derive(Debug)]
pub(super) struct RecordLimit {
    file: String,
    /// What is inside quotes, if the format has them: there a newline ends no record.
    quotes: Option<Quotes>,
    terminator: u8,
    bytes_max: u64,
    /// Bytes since the last record started.
    bytes: u64,
}

impl RecordLimit {
    pub(super) fn new(decoding: &Decoding) -> Self {
        Self {
            file: decoding.file.clone(),
            quotes: decoding.marks.map(Quotes::new),
            terminator: decoding.terminator(),
            bytes_max: decoding.row_bytes_max,
            bytes: 0,
        }
    }

    /// For text in which every line break ends a record.
    pub(super) fn without_quotes(self) -> Self {
        Self { quotes: None, ..self }
    }

    /// Whether the text so far ends inside quotes.
    pub(super) fn is_inside_quotes(&self) -> bool {
        self.quotes.as_ref().is_some_and(Quotes::is_inside)
    }

    /// Counts a chunk; fails once a record is too long.
    pub(super) fn pass(&mut self, chunk: &[u8]) -> Result<(), DataFusionError> {
        let terminator = self.terminator;
        // A chunk that is shorter than the limit cannot hold a whole record that is too long.
        let is_long = chunk.len() as u64 > self.bytes_max;
        let (mut bytes, mut longest, mut start) = (self.bytes, 0, 0);
        let mut end = |at: usize| {
            longest = longest.max(bytes + (at - start) as u64);
            (bytes, start) = (0, at + 1);
        };
        let mut outside = |stretch: Range<usize>| {
            let text = &chunk[stretch.clone()];
            match is_long {
                true => memchr_iter(terminator, text).for_each(|at| end(stretch.start + at)),
                false => last_place(terminator, text).into_iter().for_each(|at| end(stretch.start + at)),
            }
        };
        match &mut self.quotes {
            Some(quotes) => quotes.pass(chunk, |stretch, is_inside| {
                if !is_inside {
                    outside(stretch);
                }
            }),
            None => outside(0..chunk.len()),
        }
        self.bytes = bytes + (chunk.len() - start) as u64;
        self.check(self.bytes)?;
        if is_long { self.check(longest) } else { Ok(()) }
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
    use datafusion::common::config::CsvOptions;
    use datafusion::datasource::file_format::file_compression_type::FileCompressionType;

    use super::*;
    use crate::source::format::{Encoding, Layout};
    use crate::source::quotes::Marks;

    fn passes(quote: Option<u8>, chunks: &[&'static str]) -> bool {
        let marks = quote.map(|quote| Marks::new(&CsvOptions { quote, ..CsvOptions::default() }));
        let encoding = Encoding { compression: FileCompressionType::UNCOMPRESSED, layout: Layout::Plain };
        let decoding =
            Decoding { file: "x".into(), encoding, marks, row_bytes_max: 10, read: Default::default() };
        let mut limit = RecordLimit::new(&decoding);
        chunks.iter().all(|chunk| limit.pass(chunk.as_bytes()).is_ok())
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
        assert!(passes(Some(b'"'), &["a 1\"\n", "2\n3\n", "4\n5\n6\n", "7\n8\n9\n"]));
    }
}
