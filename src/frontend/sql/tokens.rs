//! Tokens by byte offsets, for those who look at SQL while it is still being written.

use std::ops::Range;

use sqlparser::dialect::GenericDialect;
use sqlparser::tokenizer::{Token, Tokenizer};

use super::byte_span;
use crate::error::Script;

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
    let script = Script::new("", text);
    let mut found = Vec::new();
    let result = Tokenizer::new(&GenericDialect {}, text).tokenize_with_location_into_buf(&mut found);
    let tokens: Vec<_> = found
        .into_iter()
        .filter(|token| token.token != Token::EOF)
        .filter_map(|token| Some((token.token, byte_span(&script, token.span)?)))
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
}
