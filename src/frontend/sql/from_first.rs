//! `FROM t WHERE …`: the SELECT that is left out, put in among the tokens.
//!
//! The parser knows `FROM t` and `FROM t SELECT a`, but nothing between or after.

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Token, TokenWithSpan, Whitespace};

/// The tokens with `SELECT *` before each FROM that starts a query without a SELECT of its own.
///
/// The new tokens have the place of their FROM.
pub(super) fn with_select(tokens: &[TokenWithSpan]) -> Vec<TokenWithSpan> {
    let starts = starts(tokens);
    let mut all = Vec::with_capacity(tokens.len() + 4 * starts.len());
    for (at, token) in tokens.iter().enumerate() {
        if starts.contains(&at) {
            let space = Token::Whitespace(Whitespace::Space);
            for word in [Token::make_keyword("SELECT"), space.clone(), Token::Mul, space] {
                all.push(TokenWithSpan { token: word, span: token.span });
            }
        }
        all.push(token.clone());
    }
    all
}

/// How far the query in one pair of parentheses has been read.
#[derive(Clone, Copy, PartialEq)]
enum State {
    /// No further than words that stand before a query, such as EXPLAIN.
    Start,
    /// Common table expressions: the query follows.
    With,
    /// UNION and the like: another query follows, perhaps after ALL or BY NAME.
    SetOperator,
    /// AS: a query may follow (`CREATE TABLE … AS`), but mostly it is an alias.
    As,
    /// A FROM that started the query, at this place.
    From(usize),
    /// Anything else.
    Inside,
}

/// The places of those FROMs, in order.
fn starts(tokens: &[TokenWithSpan]) -> Vec<usize> {
    let mut starts = Vec::new();
    let mut levels = vec![State::Start];
    for (at, token) in tokens.iter().enumerate() {
        let Some(level) = levels.last_mut() else { break };
        match &token.token {
            Token::Whitespace(_) => {}
            Token::LParen => {
                if matches!(level, State::Start | State::SetOperator | State::As) {
                    *level = State::Inside;
                }
                levels.push(State::Start);
            }
            Token::RParen => {
                starts.extend(unselected(*level));
                levels.pop();
            }
            // What follows in a pipe may be SELECT, but that is an operator.
            Token::VerticalBarRightAngleBracket => {
                starts.extend(unselected(*level));
                *level = State::Inside;
            }
            Token::Word(word) => {
                let next = after(*level, word.keyword, at);
                if !matches!(next, State::From(_)) && word.keyword != Keyword::SELECT {
                    starts.extend(unselected(*level));
                }
                *level = next;
            }
            _ if matches!(level, State::With | State::From(_)) => {}
            _ => *level = State::Inside,
        }
    }
    starts.extend(levels.into_iter().filter_map(unselected));
    starts.sort_unstable();
    starts
}

fn unselected(state: State) -> Option<usize> {
    if let State::From(at) = state { Some(at) } else { None }
}

fn after(state: State, word: Keyword, at: usize) -> State {
    match (state, word) {
        (State::Start | State::With | State::SetOperator | State::As, Keyword::FROM) => State::From(at),
        (State::Start | State::As, Keyword::WITH) => State::With,
        (State::Start, Keyword::EXPLAIN | Keyword::ANALYZE | Keyword::VERBOSE)
        | (State::Start, Keyword::DESCRIBE | Keyword::DESC) => State::Start,
        (State::SetOperator, Keyword::ALL | Keyword::DISTINCT | Keyword::BY | Keyword::NAME) => {
            State::SetOperator
        }
        (_, Keyword::SELECT) => State::Inside,
        (_, Keyword::UNION | Keyword::EXCEPT | Keyword::INTERSECT) => State::SetOperator,
        (State::With, _) => State::With,
        (State::From(start), _) => State::From(start),
        (_, Keyword::AS) => State::As,
        _ => State::Inside,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sqlparser::dialect::GenericDialect;
    use sqlparser::tokenizer::Tokenizer;

    fn written(sql: &str) -> String {
        let tokens = Tokenizer::new(&GenericDialect {}, sql).tokenize_with_location().unwrap();
        with_select(&tokens).iter().map(|token| token.token.to_string()).collect()
    }

    #[test]
    fn a_query_that_starts_with_from_selects_everything() {
        for (sql, plain) in [
            ("from t", "SELECT * from t"),
            ("from t where a > 1", "SELECT * from t where a > 1"),
            ("with c as (from t) from c limit 1", "with c as (SELECT * from t) SELECT * from c limit 1"),
            ("select (from t where a = 1)", "select (SELECT * from t where a = 1)"),
            ("from t union all from u order by 1", "SELECT * from t union all SELECT * from u order by 1"),
            ("create table n as from t where a", "create table n as SELECT * from t where a"),
            ("explain analyze from t where a", "explain analyze SELECT * from t where a"),
            ("from t where a |> select b", "SELECT * from t where a |> select b"),
            ("copy (from t where a) to 'x'", "copy (SELECT * from t where a) to 'x'"),
            ("from (from t where a) where b", "SELECT * from (SELECT * from t where a) where b"),
        ] {
            assert_eq!(written(sql), plain);
        }
    }

    #[test]
    fn other_froms_are_left_alone() {
        for sql in [
            "select a from t where b",
            "from t select a",
            "select extract(year from d), substring(a from 1), trim(both 'x' from a) from t",
            "select a is distinct from b from t",
            "with c as (select 1) select * from c",
            "delete from t where a",
            "select a as b, c as name, d as desc from t",
            "select * except (a) from t",
            "from t select * except (a)",
            "select count(*) from t where a in (select b from u)",
        ] {
            assert_eq!(written(sql), sql);
        }
    }
}
