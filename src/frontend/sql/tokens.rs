//! Tokens by byte offsets, for those who look at SQL while it is still being written.

use std::ops::Range;
use std::str::Chars;

use sqlparser::dialect::GenericDialect;

use sqlparser::tokenizer::{Location, Token, Tokenizer};

/// The tokens of a text, blanks and comments too, as far as it is made of tokens.
#[derive(Debug)]
pub struct Tokens {
    /// Each token with its bytes in the text.
    pub tokens: Vec<(Token, Range<usize>)>,
    /// Why the rest of the text is no token.
    pub rest: Option<Rest>,
}

/// The end of a text that could not be tokenized.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rest {
    /// The byte at which it starts.
    pub start: usize,
    /// Whether more text may make it whole: an open string, quoted name, comment or dollar quote.
    pub is_unfinished: bool,
}

/// Takes a text apart, by the rules by which scripts are split.
pub fn tokens(text: &str) -> Tokens {
    let mut found = Vec::new();
    let result = Tokenizer::new(&GenericDialect {}, text).tokenize_with_location_into_buf(&mut found);
    // Tokens come in order: one walk finds the bytes of them all, however long the lines are.
    let mut walk = Walk { rest: text.chars(), bytes: text.len(), line: 1, column: 1 };
    let tokens: Vec<_> = found
        .into_iter()
        .filter(|token| token.token != Token::EOF)
        .map(|token| (token.token, walk.to(token.span.start)..walk.to(token.span.end)))
        .collect();
    let rest = result.err().map(|error| {
        let said = error.message;
        // The reported place is the end of some tokens and the start of others: the last whole token knows better.
        let start = tokens.last().map_or(0, |(_, span)| span.end);
        let is_unfinished = said.starts_with("Unterminated")
            || said.starts_with("Unexpected EOF")
            || said.ends_with("before EOF.");
        Rest { start, is_unfinished }
    });
    Tokens { tokens, rest }
}

/// A way through a text that only goes forward.
struct Walk<'a> {
    rest: Chars<'a>,
    bytes: usize,
    line: u64,
    column: u64,
}

impl Walk<'_> {
    /// Goes on to a place; gives its byte. A place beyond the end is the end.
    fn to(&mut self, place: Location) -> usize {
        while (self.line, self.column) < (place.line, place.column) {
            match self.rest.next() {
                Some('\n') => (self.line, self.column) = (self.line + 1, 1),
                Some(_) => self.column += 1,
                None => break,
            }
        }
        self.bytes - self.rest.as_str().len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_open_is_told_from_what_is_wrong() {
        let rest = |text: &str| tokens(text).rest.map(|rest| (rest.start, rest.is_unfinished));
        assert_eq!(rest("select 'a', \"b\", $$c$$ -- d"), None);
        assert_eq!(rest("select 'open"), Some((7, true)));
        assert_eq!(rest("select /* open"), Some((7, true)));
        assert_eq!(rest("select $$open"), Some((7, true)));
        assert_eq!(rest("é, \"open"), Some((4, true)));
    }

    #[test]
    fn tokens_cover_the_text() {
        for text in ["select 'é\nb', \"c\" -- d\r\n;\t$$e\n$$ /* f\n */ .5\n", "日本 as x", ""] {
            let tokens = tokens(text).tokens;
            let spans: Vec<_> = tokens.iter().map(|(_, span)| span.clone()).collect();
            assert!(spans.windows(2).all(|pair| pair[0].end == pair[1].start), "{text:?}: {spans:?}");
            assert_eq!(spans.last().map_or(0, |span| span.end), text.len());
        }
    }
}
