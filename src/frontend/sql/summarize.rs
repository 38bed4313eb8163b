//! The statement form `SUMMARIZE t`, `SUMMARIZE 'file'`, `SUMMARIZE SELECT …`: made a derived table of a
//! name that nobody writes, by which the planner (`frontend::summarize`) knows it again.
//!
//! ```text
//! SUMMARIZE t             SELECT * FROM LATERAL (FROM t) AS "summarize()"
//! FROM (SUMMARIZE t)      FROM (SELECT * FROM LATERAL (FROM t) AS "summarize()")
//! ```
//!
//! LATERAL makes the parser read a query and nothing else between the parentheses, so that it reports what is
//! wrong inside; the mark is taken away after parsing. It stands first in a FROM, so it has no other effect.

use sqlparser::ast::{TableAlias, TableFactor};
use sqlparser::keywords::{Keyword, RESERVED_FOR_TABLE_ALIAS};
use sqlparser::tokenizer::{Span, Token, TokenWithSpan};

/// The alias of a derived table that is to be summarized.
pub(in crate::frontend) const ALIAS: &str = "summarize()";

/// The tokens of a statement with every SUMMARIZE in plain SQL.
pub(super) struct Expanded {
    pub(super) tokens: Vec<TokenWithSpan>,
    /// What each SUMMARIZE reads, the innermost first. They are parsed before the whole, for their errors.
    pub(super) inner: Vec<Inner>,
}

/// What one SUMMARIZE reads, as a statement of its own.
pub(super) struct Inner {
    pub(super) tokens: Vec<TokenWithSpan>,
    /// The parenthesis that ends it; without one the statement's end does.
    pub(super) close: Option<Span>,
}

/// Expands each SUMMARIZE that starts a statement (after EXPLAIN or DESCRIBE as well), follows the AS of a CREATE,
/// or starts a query in parentheses. Elsewhere the word is a name like any other.
pub(super) fn expand(tokens: &[TokenWithSpan]) -> Expanded {
    let words: Vec<&TokenWithSpan> =
        tokens.iter().filter(|token| !matches!(token.token, Token::Whitespace(_))).collect();
    if !words.iter().any(|word| is_summarize(&word.token)) {
        return Expanded { tokens: tokens.to_vec(), inner: Vec::new() };
    }
    let start = statement_start(&words);
    let mut expansion = Expansion::default();
    let mut inner = Vec::new();
    for (at, word) in words.iter().enumerate() {
        let starts = is_summarize(&word.token)
            && (start == Some(at) || (opens_query(&words[..at]) && reads_something(&words[at + 1..])));
        if !starts {
            expansion.copy(word);
            continue;
        }
        let adds_from = !words.get(at + 1).is_some_and(|next| starts_query(&next.token));
        let end = closing(&words, at);
        let mut read: Vec<_> = words[at + 1..end].iter().map(|word| (*word).clone()).collect();
        if adds_from {
            read.insert(0, made(Token::make_keyword("FROM"), word.span));
        }
        let close = words.get(end).map(|word| word.span);
        inner.insert(0, Inner { tokens: expand(&read).tokens, close });
        expansion.open(adds_from);
    }
    Expanded { tokens: expansion.end(), inner }
}

/// Whether a derived table is one to be summarized.
pub(in crate::frontend) fn is_marked(alias: Option<&TableAlias>) -> bool {
    alias.is_some_and(|alias| alias.name.quote_style.is_some() && alias.name.value == ALIAS)
}

/// Takes away the LATERAL that was there for the parser alone.
pub(super) fn plain(factor: &mut TableFactor) {
    if let TableFactor::Derived { lateral, alias, .. } = factor
        && is_marked(alias.as_ref())
    {
        *lateral = false;
    }
}

#[derive(Default)]
struct Expansion {
    tokens: Vec<TokenWithSpan>,
    /// By open parenthesis, outermost first: how many expansions end with it.
    pending: Vec<usize>,
    /// Whether one ends with the statement.
    whole: bool,
}

impl Expansion {
    fn open(&mut self, adds_from: bool) {
        match self.pending.last_mut() {
            Some(count) => *count += 1,
            None => self.whole = true,
        }
        let mut start = vec![
            Token::make_keyword("SELECT"),
            Token::Mul,
            Token::make_keyword("FROM"),
            Token::make_keyword("LATERAL"),
            Token::LParen,
        ];
        start.extend(adds_from.then(|| Token::make_keyword("FROM")));
        self.tokens.extend(start.into_iter().map(|token| made(token, Span::empty())));
    }

    /// Errors at the end of what is summarized show the parenthesis that the user closed it with.
    fn close(&mut self, span: Span) {
        self.tokens.push(made(Token::RParen, span));
        let name = [Token::make_keyword("AS"), Token::make_word(ALIAS, Some('"'))];
        self.tokens.extend(name.map(|token| made(token, span)));
    }

    fn copy(&mut self, word: &TokenWithSpan) {
        match word.token {
            Token::LParen => self.pending.push(0),
            Token::RParen => {
                let count = self.pending.pop().unwrap_or(0);
                (0..count).for_each(|_| self.close(word.span));
            }
            _ => {}
        }
        self.tokens.push(word.clone());
    }

    fn end(mut self) -> Vec<TokenWithSpan> {
        if self.whole {
            self.close(Span::empty());
        }
        self.tokens
    }
}

/// Where the parenthesis around a word closes; the end of the words if there is none.
fn closing(words: &[&TokenWithSpan], at: usize) -> usize {
    let mut depth = 0_usize;
    let rest = words.iter().enumerate().skip(at);
    for (place, word) in rest {
        match (&word.token, depth) {
            (Token::LParen, _) => depth += 1,
            (Token::RParen, 0) => return place,
            (Token::RParen, _) => depth -= 1,
            _ => {}
        }
    }
    words.len()
}

fn made(token: Token, span: Span) -> TokenWithSpan {
    TokenWithSpan::new(token, span)
}

/// The word where the statement itself starts: after EXPLAIN with its options, after DESCRIBE, or after the first AS
/// of a CREATE.
fn statement_start(words: &[&TokenWithSpan]) -> Option<usize> {
    match keyword(words.first()?) {
        Keyword::EXPLAIN => Some(explained_start(words)),
        Keyword::DESCRIBE | Keyword::DESC => Some(1),
        Keyword::CREATE => {
            let mut depth = 0_usize;
            let first_as = words.iter().position(|word| {
                match word.token {
                    Token::LParen => depth += 1,
                    Token::RParen => depth = depth.saturating_sub(1),
                    _ => {}
                }
                depth == 0 && keyword(word) == Keyword::AS
            });
            first_as.map(|at| at + 1)
        }
        _ => Some(0),
    }
}

fn explained_start(words: &[&TokenWithSpan]) -> usize {
    let mut at = 1;
    if words.get(at).is_some_and(|word| word.token == Token::LParen)
        && !words.get(at + 1).is_some_and(|word| starts_query(&word.token) || is_summarize(&word.token))
    {
        let end = words.iter().position(|word| word.token == Token::RParen);
        return end.map_or(words.len(), |end| end + 1);
    }
    while let Some(word) = words.get(at) {
        match keyword(word) {
            Keyword::ANALYZE | Keyword::VERBOSE => at += 1,
            Keyword::FORMAT => at += 2,
            _ => break,
        }
    }
    at
}

/// Whether a parenthesis just opened holds a query: that of a table, a common table expression or COPY.
fn opens_query(before: &[&TokenWithSpan]) -> bool {
    let [.., outer, last] = before else {
        return before.first().is_some_and(|only| only.token == Token::LParen);
    };
    last.token == Token::LParen
        && (matches!(
            keyword(outer),
            Keyword::FROM | Keyword::JOIN | Keyword::AS | Keyword::COPY | Keyword::EXPLAIN
        ) || matches!(outer.token, Token::Comma | Token::LParen))
}

/// Words that may follow a column or a window of that name, besides those that end a table.
const CONTINUES: [Keyword; 14] = [
    Keyword::AS,
    Keyword::IN,
    Keyword::IS,
    Keyword::AND,
    Keyword::OR,
    Keyword::NOT,
    Keyword::LIKE,
    Keyword::ILIKE,
    Keyword::BETWEEN,
    Keyword::PARTITION,
    Keyword::ROWS,
    Keyword::RANGE,
    Keyword::GROUPS,
    Keyword::COLLATE,
];

/// Whether a name, a path or a query follows: `(summarize)` and `(summarize ORDER BY x)` are something else.
fn reads_something(rest: &[&TokenWithSpan]) -> bool {
    let Some(next) = rest.first() else { return false };
    match &next.token {
        Token::LParen => rest.get(1).is_some_and(|inside| starts_query(&inside.token)),
        Token::SingleQuotedString(_) => true,
        Token::Word(word) if word.keyword == Keyword::NoKeyword => true,
        Token::Word(word) => {
            starts_query(&next.token)
                || !(RESERVED_FOR_TABLE_ALIAS.contains(&word.keyword) || CONTINUES.contains(&word.keyword))
        }
        _ => false,
    }
}

fn starts_query(token: &Token) -> bool {
    match token {
        Token::LParen => true,
        Token::Word(word) => matches!(
            word.keyword,
            Keyword::SELECT | Keyword::WITH | Keyword::FROM | Keyword::VALUES | Keyword::TABLE
        ),
        _ => false,
    }
}

fn is_summarize(token: &Token) -> bool {
    match token {
        Token::Word(word) => word.quote_style.is_none() && word.value.eq_ignore_ascii_case("summarize"),
        _ => false,
    }
}

fn keyword(token: &TokenWithSpan) -> Keyword {
    match &token.token {
        Token::Word(word) => word.keyword,
        _ => Keyword::NoKeyword,
    }
}

#[cfg(test)]
mod tests {
    use sqlparser::dialect::GenericDialect;
    use sqlparser::tokenizer::Tokenizer;

    use super::*;

    fn expanded(sql: &str) -> String {
        let tokens = Tokenizer::new(&GenericDialect {}, sql).tokenize_with_location().unwrap();
        let tokens = expand(&tokens).tokens;
        let texts = tokens.iter().map(|token| token.token.to_string());
        texts.filter(|text| !text.trim().is_empty() && text != "EOF").collect::<Vec<_>>().join(" ")
    }

    const START: &str = "SELECT * FROM LATERAL (";
    const END: &str = ") AS \"summarize()\"";

    #[test]
    fn a_statement_is_summarized() {
        for (sql, inner) in [
            ("summarize t", "FROM t"),
            ("SUMMARIZE 'a.csv'", "FROM 'a.csv'"),
            ("Summarize select 1", "select 1"),
            ("summarize (select 1)", "( select 1 )"),
            ("summarize with c as (select 1) from c", "with c as ( select 1 ) from c"),
            ("summarize summarize", "FROM summarize"),
        ] {
            assert_eq!(expanded(sql), format!("{START} {inner} {END}"), "{sql}");
        }
    }

    #[test]
    fn what_explains_or_keeps_it_stays_in_front() {
        for prefix in [
            "explain",
            "explain analyze verbose",
            "explain format tree",
            "explain ( format tree )",
            "describe",
            "create table s as",
            "create or replace view s ( a , b ) as",
        ] {
            assert_eq!(expanded(&format!("{prefix} summarize t")), format!("{prefix} {START} FROM t {END}"));
        }
    }

    #[test]
    fn a_query_in_parentheses_is_summarized() {
        for (sql, before, after) in [
            ("from (summarize t) where a > 1", "from (", ") where a > 1"),
            ("copy (summarize t) to 'a.csv'", "copy (", ") to 'a.csv'"),
            ("with s as (summarize t) from s", "with s as (", ") from s"),
            ("from a, (summarize t) s", "from a , (", ") s"),
            ("(summarize t)", "(", ")"),
            ("select * from t join (summarize t) s on true", "select * from t join (", ") s on true"),
        ] {
            assert_eq!(expanded(sql), format!("{before} {START} FROM t {END} {after}"), "{sql}");
        }
    }

    #[test]
    fn a_column_or_table_of_that_name_is_left_alone() {
        for sql in [
            "select summarize from t",
            "select count ( summarize ) from summarize",
            "select f ( summarize , 1 ) , ( summarize ) from t",
            "create table t ( summarize int , b int )",
            "create table t as select 1 as summarize from u",
            "select sum ( a ) over ( summarize order by b ) from t window summarize as ( partition by c )",
            "select a from t where b in ( summarize )",
            "select * from ( summarize join u using ( a ) )",
            "select 1 as summarize",
            "from \"summarize\"",
            "select * from ( summarize ( 1 ) )",
        ] {
            assert_eq!(expanded(sql), sql);
        }
    }
}
