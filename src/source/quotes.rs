//! What is inside quotes in delimited text, told without taking the text apart.

use std::ops::Range;

use datafusion::common::config::CsvOptions;
use memchr::{memchr, memchr_iter, memrchr};

/// Stretches between quotes are mostly shorter than what a search at the speed of memory is made for.
const SHORT_BYTES: usize = 16;

/// Whether a stretch has a byte.
pub(super) fn has(byte: u8, stretch: &[u8]) -> bool {
    match stretch.len() < SHORT_BYTES {
        true => stretch.contains(&byte),
        false => memchr(byte, stretch).is_some(),
    }
}

/// The last place of a byte in a stretch.
pub(super) fn last_place(byte: u8, stretch: &[u8]) -> Option<usize> {
    match stretch.len() < SHORT_BYTES {
        true => stretch.iter().rposition(|other| *other == byte),
        false => memrchr(byte, stretch),
    }
}

/// The marks of a delimited text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Marks {
    pub(super) quote: u8,
    delimiter: u8,
    /// What ends a record; line breaks of any kind if nothing is said.
    terminator: Option<u8>,
    escape: Option<u8>,
    comment: Option<u8>,
}

impl Marks {
    pub(super) fn new(options: &CsvOptions) -> Self {
        Self {
            quote: options.quote,
            delimiter: options.delimiter,
            terminator: options.terminator,
            escape: options.escape,
            comment: options.comment,
        }
    }

    /// The byte that ends a record, or is the last of those that do.
    pub(super) fn terminator(self) -> u8 {
        self.terminator.unwrap_or(b'\n')
    }

    fn ends_record(self, byte: u8) -> bool {
        match self.terminator {
            Some(terminator) => byte == terminator,
            None => matches!(byte, b'\n' | b'\r'),
        }
    }

    /// Whether a field starts behind a byte, or at the start of the text.
    fn starts_field(self, before: Option<u8>) -> bool {
        before.is_none_or(|byte| byte == self.delimiter || self.ends_record(byte))
    }
}

/// Follows a text chunk by chunk from the start of a record, and tells what is inside quotes as the decoder
/// will: a quote opens at the start of a field only (`5" disk` is a value), two inside are one.
///
/// Looks at quotes only, at the speed of memory where there are few; with an escape or comments in the
/// format, at every byte.
#[derive(Debug, Clone)]
pub(super) struct Quotes {
    marks: Marks,
    is_inside: bool,
    /// The last byte so far.
    last: Option<u8>,
    /// Whether that was a quote which closed: another one takes it back.
    has_closed: bool,
    /// Whether the last byte was an escape inside quotes.
    is_escaped: bool,
    is_comment: bool,
    /// Whether the last byte ended a comment, which only a newline does.
    is_fresh: bool,
}

impl Quotes {
    pub(super) fn new(marks: Marks) -> Self {
        Self {
            marks,
            is_inside: false,
            last: None,
            has_closed: false,
            is_escaped: false,
            is_comment: false,
            is_fresh: false,
        }
    }

    /// Whether the text so far ends inside quotes.
    pub(super) fn is_inside(&self) -> bool {
        self.is_inside
    }

    /// Goes on with a chunk. Gives its stretches inside and outside of quotes, in order; quotes themselves may
    /// be part of either.
    pub(super) fn pass(&mut self, chunk: &[u8], stretch: impl FnMut(Range<usize>, bool)) {
        match self.marks.escape.is_some() || self.marks.comment.is_some() {
            true => self.pass_each(chunk, stretch),
            false => self.pass_quotes(chunk, stretch),
        }
    }

    /// The same by the quotes alone.
    fn pass_quotes(&mut self, chunk: &[u8], mut stretch: impl FnMut(Range<usize>, bool)) {
        let (mut start, mut behind) = (0, 0);
        for at in memchr_iter(self.marks.quote, chunk) {
            let before = if at == 0 { self.last } else { Some(chunk[at - 1]) };
            // What is between two quotes breaks up a pair.
            self.has_closed &= at == behind;
            behind = at + 1;
            let was_inside = self.is_inside;
            if self.quote(before) {
                stretch(start..at, was_inside);
                start = at;
            }
        }
        self.has_closed &= behind == chunk.len();
        self.end(chunk, start, stretch);
    }

    /// The same byte by byte.
    fn pass_each(&mut self, chunk: &[u8], mut stretch: impl FnMut(Range<usize>, bool)) {
        let mut start = 0;
        for (at, byte) in chunk.iter().enumerate() {
            let before = if at == 0 { self.last } else { Some(chunk[at - 1]) };
            let was_inside = self.is_inside;
            if self.step(before, *byte) {
                stretch(start..at, was_inside);
                start = at;
            }
        }
        self.end(chunk, start, stretch);
    }

    fn end(&mut self, chunk: &[u8], start: usize, mut stretch: impl FnMut(Range<usize>, bool)) {
        if let Some(last) = chunk.last() {
            stretch(start..chunk.len(), self.is_inside);
            self.last = Some(*last);
        }
    }

    /// Takes a quote; gives whether it opened or closed.
    fn quote(&mut self, before: Option<u8>) -> bool {
        let opens = !self.is_inside && (self.has_closed || self.marks.starts_field(before));
        let turns = self.is_inside || opens;
        self.has_closed = self.is_inside;
        self.is_inside ^= turns;
        turns
    }

    /// Takes any byte; gives whether it was a quote that opened or closed.
    fn step(&mut self, before: Option<u8>, byte: u8) -> bool {
        if self.is_comment {
            self.is_comment = byte != b'\n';
            self.is_fresh = !self.is_comment;
            return false;
        }
        let before = before.filter(|_| !std::mem::take(&mut self.is_fresh));
        if self.is_inside && std::mem::take(&mut self.is_escaped) {
            return false;
        }
        if byte == self.marks.quote {
            return self.quote(before);
        }
        self.has_closed = false;
        self.is_escaped = self.is_inside && Some(byte) == self.marks.escape;
        let starts_record = before.is_none_or(|before| self.marks.ends_record(before));
        self.is_comment = !self.is_inside && starts_record && Some(byte) == self.marks.comment;
        false
    }
}

/// The line in which the last quote opens, counted from 1.
#[derive(Debug)]
pub(super) struct OpenLine {
    quotes: Quotes,
    /// Bytes since quotes closed, the quote counted; between two quotes that are one it is alone.
    outside: usize,
    breaks: usize,
    line: usize,
}

impl OpenLine {
    pub(super) fn new(marks: Marks) -> Self {
        Self { quotes: Quotes::new(marks), outside: 0, breaks: 0, line: 1 }
    }

    pub(super) fn pass(&mut self, chunk: &[u8]) {
        let Self { quotes, outside, breaks, line } = self;
        let mut was_inside = quotes.is_inside();
        quotes.pass(chunk, |stretch, is_inside| {
            match is_inside {
                true if !was_inside && *outside != 1 => *line = *breaks + 1,
                true => {}
                false if was_inside => *outside = stretch.len(),
                false => *outside += stretch.len(),
            }
            was_inside = is_inside;
            *breaks += memchr_iter(b'\n', &chunk[stretch]).count();
        });
    }

    /// The line; `None` if the text does not end inside quotes.
    pub(super) fn line(&self) -> Option<usize> {
        self.quotes.is_inside().then_some(self.line)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::csv::ReaderBuilder;
    use datafusion::arrow::csv::reader::Format;
    use datafusion::arrow::datatypes::{DataType, Field, Schema};

    use super::*;

    fn marks(escape: Option<u8>, comment: Option<u8>, terminator: Option<u8>) -> Marks {
        Marks { quote: b'"', delimiter: b',', terminator, escape, comment }
    }

    fn is_inside(marks: Marks, chunks: &[&str]) -> bool {
        let mut quotes = Quotes::new(marks);
        chunks.iter().for_each(|chunk| quotes.pass(chunk.as_bytes(), |_, _| {}));
        quotes.is_inside()
    }

    #[test]
    fn a_quote_opens_at_the_start_of_a_field_only() {
        let plain = marks(None, None, None);
        for (text, expected) in [
            ("a,\"b", true),
            ("\"", true),
            ("a\n\"b\n", true),
            ("a\r\n\"b", true),
            ("5\" disk", false),
            ("5\"\" disk\n", false),
            ("a \"b", false),
            ("\"a\"", false),
            ("\"a\"\"", true),
            ("\"a\"\"\"", false),
            ("\"a\"b\"c", false),
            ("\"a\"b\"c,\"d", true),
            ("\"\"", false),
            ("\"\"\"", true),
            ("", false),
        ] {
            assert_eq!(is_inside(plain, &[text]), expected, "{text}");
        }
    }

    #[test]
    fn stretches_are_told_in_order() {
        let mut quotes = Quotes::new(marks(None, None, None));
        let mut seen = Vec::new();
        let text = "a,\"b\nc\",d";
        quotes.pass(text.as_bytes(), |stretch, inside| seen.push((&text[stretch], inside)));
        assert_eq!(seen, [("a,", false), ("\"b\nc", true), ("\",d", false)]);
    }

    #[test]
    fn the_line_is_that_of_the_quote_which_opened_last() {
        let mut line = OpenLine::new(marks(None, None, None));
        for chunk in ["a,b\r\n1,\"x\r\ny\"\r\n", "2,", "\"z\r\n", "3,4\r\n"] {
            line.pass(chunk.as_bytes());
        }
        assert_eq!(line.line(), Some(4));
        line.pass(b"\"");
        assert_eq!(line.line(), None);
        // That and this are one quote, inside the value.
        line.pass(b"\"\n");
        assert_eq!(line.line(), Some(4));
        line.pass(b"\",x\n\"");
        assert_eq!(line.line(), Some(8));
    }

    /// What the decoder itself holds to be open at the end: a quote and a line break complete a record then.
    fn decoder_is_inside(text: &str, marks: Marks) -> bool {
        let schema = Schema::new(vec![Field::new("a", DataType::Utf8, true); 40]);
        let mut format = Format::default().with_truncated_rows(true);
        if let Some(escape) = marks.escape {
            format = format.with_escape(escape);
        }
        if let Some(comment) = marks.comment {
            format = format.with_comment(comment);
        }
        if let Some(terminator) = marks.terminator {
            format = format.with_terminator(terminator);
        }
        let builder = ReaderBuilder::new(Arc::new(schema)).with_format(format).with_batch_size(100);
        let mut decoder = builder.build_decoder();
        let mut feed = |text: &[u8]| {
            let mut rest = text;
            while !rest.is_empty() {
                rest = &rest[decoder.decode(rest).unwrap()..];
            }
            decoder.capacity()
        };
        feed(text.as_bytes());
        let terminator = marks.terminator();
        let before = feed(&[terminator]);
        feed(&[b'"', terminator]) < before
    }

    #[test]
    fn the_decoder_sees_the_same() {
        let mut random = fastrand::Rng::with_seed(20_261_127);
        let kinds = [
            marks(None, None, None),
            marks(Some(b'\\'), None, None),
            marks(None, Some(b'#'), None),
            marks(Some(b'\\'), Some(b'#'), None),
            marks(None, None, Some(b';')),
        ];
        let mut open = 0;
        for round in 0..40_000 {
            let marks = kinds[round % kinds.len()];
            let pieces = ["\"", "\"", "\"", ",", "\n", "\r\n", "a", " ", "\\", "#", ";"];
            let text: String =
                (0..random.usize(0..14)).map(|_| pieces[random.usize(0..pieces.len())]).collect();
            let cut = random.usize(0..=text.len());
            let expected = decoder_is_inside(&text, marks);
            open += usize::from(expected);
            assert_eq!(is_inside(marks, &[&text[..cut], &text[cut..]]), expected, "{text:?} {marks:?}");
        }
        assert!(open > 4_000, "{open}");
    }
}
