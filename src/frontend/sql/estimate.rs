//! The statement form `EXPLAIN ESTIMATE q`: told apart by its first words, as `EXPLAIN GRAPH` is.

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Token, TokenWithSpan};

/// The statement that is to be estimated, if one is; without tokens, if it was forgotten.
pub(super) fn estimated(tokens: &[TokenWithSpan]) -> Option<Vec<TokenWithSpan>> {
    let mut words =
        tokens.iter().enumerate().filter(|(_, token)| !matches!(token.token, Token::Whitespace(_)));
    let is_explain = |token: &Token| matches!(token, Token::Word(word) if word.keyword == Keyword::EXPLAIN);
    let is_estimate = |token: &Token| matches!(token, Token::Word(word) if word.quote_style.is_none() && word.value.eq_ignore_ascii_case("estimate"));
    words.next().filter(|(_, token)| is_explain(&token.token))?;
    words.next().filter(|(_, token)| is_estimate(&token.token))?;
    let start = words.next().map_or(tokens.len(), |(at, _)| at);
    Some(tokens[start..].to_vec())
}

#[cfg(test)]
mod tests {
    use sqlparser::dialect::GenericDialect;
    use sqlparser::tokenizer::Tokenizer;

    use super::*;

    #[test]
    fn the_words_come_first() {
        let rest = |sql: &str| {
            let tokens = Tokenizer::new(&GenericDialect {}, sql).tokenize_with_location().unwrap();
            let tokens: Vec<_> = tokens.into_iter().filter(|token| token.token != Token::EOF).collect();
            let rest = estimated(&tokens)?;
            Some(rest.iter().map(|token| token.token.to_string()).collect::<String>())
        };
        assert_eq!(rest("explain /* how much */ Estimate\nselect 1").as_deref(), Some("select 1"));
        assert_eq!(rest("explain estimate").as_deref(), Some(""));
        for other in ["explain select estimate", "explain \"estimate\"", "estimate select 1", ""] {
            assert_eq!(rest(other), None, "{other}");
        }
    }
}
