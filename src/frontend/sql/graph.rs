//! The statement forms `EXPLAIN GRAPH q` and `EXPLAIN ANALYZE GRAPH q`: told apart by their first words, so that
//! what is explained is parsed as a statement of its own, and errors in it point at their place.

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Token, TokenWithSpan};

/// What a graph is to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GraphOf {
    /// The stages as they are planned.
    Plan,
    /// The stages as they ran: rows, times.
    Run,
}

/// The statement whose graph is asked for, if one is; without tokens, if it was forgotten.
pub(super) fn explained(tokens: &[TokenWithSpan]) -> Option<(GraphOf, Vec<TokenWithSpan>)> {
    let mut words = tokens
        .iter()
        .enumerate()
        .filter(|(_, token)| !matches!(token.token, Token::Whitespace(_)))
        .map(|(at, token)| (at, &token.token))
        .peekable();
    words.next_if(|(_, word)| is_keyword(word, Keyword::EXPLAIN))?;
    let before = words.next_if(|(_, word)| is_keyword(word, Keyword::ANALYZE));
    words.next_if(|(_, word)| is_graph(word))?;
    // The two words may stand in either order.
    let behind = before.is_none().then(|| words.next_if(|(_, word)| is_keyword(word, Keyword::ANALYZE)));
    let of = if before.or(behind.flatten()).is_some() { GraphOf::Run } else { GraphOf::Plan };
    let start = words.peek().map_or(tokens.len(), |(at, _)| *at);
    Some((of, tokens[start..].to_vec()))
}

fn is_keyword(token: &Token, keyword: Keyword) -> bool {
    matches!(token, Token::Word(word) if word.keyword == keyword)
}

fn is_graph(token: &Token) -> bool {
    matches!(token, Token::Word(word) if word.quote_style.is_none() && word.value.eq_ignore_ascii_case("graph"))
}

#[cfg(test)]
mod tests {
    use sqlparser::dialect::GenericDialect;
    use sqlparser::tokenizer::Tokenizer;

    use super::*;

    fn asked(sql: &str) -> Option<(GraphOf, String)> {
        let tokens = Tokenizer::new(&GenericDialect {}, sql).tokenize_with_location().unwrap();
        let tokens: Vec<_> = tokens.into_iter().filter(|token| token.token != Token::EOF).collect();
        let (of, rest) = explained(&tokens)?;
        Some((of, rest.iter().map(|token| token.token.to_string()).collect()))
    }

    #[test]
    fn the_words_come_first_in_any_case_with_comments_between() {
        for (sql, of) in [
            ("EXPLAIN GRAPH select 1", GraphOf::Plan),
            ("explain /* the */ graph -- of\n select 1", GraphOf::Plan),
            ("Explain Analyze Graph select 1", GraphOf::Run),
            ("explain graph analyze select 1", GraphOf::Run),
        ] {
            assert_eq!(asked(sql), Some((of, "select 1".into())), "{sql}");
        }
        assert_eq!(asked("explain graph (select 1)"), Some((GraphOf::Plan, "(select 1)".into())));
        assert_eq!(asked("explain graph analyze analyze t"), Some((GraphOf::Run, "analyze t".into())));
        assert_eq!(asked("explain graph"), Some((GraphOf::Plan, String::new())));
    }

    #[test]
    fn other_statements_are_left_alone() {
        for sql in [
            "explain \"graph\" select 1",
            "explain select * from graph",
            "explain analyze select graph from graph",
            "explain from graph",
            "explain verbose select 1",
            "describe graph",
            "select 1",
            "graph select 1",
            "",
        ] {
            assert_eq!(asked(sql), None, "{sql}");
        }
    }
}
