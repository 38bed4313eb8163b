//! What a word under the cursor can be: by the tokens of its statement, which need not be whole.

use std::ops::Range;

use sqlparser::tokenizer::Token;

use super::words;
use crate::frontend::sql::{Rest, tokens};

/// What the cursor stands in.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// An open string, from behind its quote: a path.
    Path { start: usize },
    /// A word where a table is expected.
    Table { start: usize },
    /// A word behind `alias.`
    Qualified { start: usize, qualifier: String },
    /// A word anywhere else.
    Word { start: usize },
    /// A comment, a quoted name, a number: nothing to complete.
    Nothing,
}

/// A table or file that a statement reads.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Relation {
    pub(super) name: String,
    pub(super) is_path: bool,
    pub(super) alias: Option<String>,
}

/// What can be said of a cursor in a text.
#[derive(Debug)]
pub(super) struct Scope {
    pub(super) place: Place,
    /// The relations of the statement, before and behind the cursor.
    pub(super) relations: Vec<Relation>,
}

impl Scope {
    /// Looks at the statement in which the cursor stands.
    pub(super) fn of(text: &str, cursor: usize) -> Self {
        let before = tokens(&text[..cursor]);
        let place = place(&text[..cursor], &before.tokens, before.rest);
        Self { place, relations: relations(&statement(text, cursor)) }
    }
}

type Spanned = (Token, Range<usize>);

/// The tokens of the statement around the cursor. With an open string before the cursor, what follows may
/// be inside out; then only what stands before is looked at.
fn statement(text: &str, cursor: usize) -> Vec<Token> {
    let found = tokens(text).tokens;
    let found: Vec<Spanned> =
        found.into_iter().filter(|(token, _)| !matches!(token, Token::Whitespace(_))).collect();
    let ends = |(token, _): &Spanned| *token == Token::SemiColon;
    let start = found.iter().rposition(|token| ends(token) && token.1.end <= cursor).map_or(0, |at| at + 1);
    let end = found.iter().position(|token| ends(token) && token.1.start >= cursor).unwrap_or(found.len());
    found[start.min(end)..end].iter().map(|(token, _)| token.clone()).collect()
}

fn place(text: &str, found: &[Spanned], rest: Option<Rest>) -> Place {
    if let Some(rest) = rest {
        return match text[rest.start..].starts_with('\'') {
            true => Place::Path { start: rest.start + 1 },
            false => Place::Nothing,
        };
    }
    let (start, before) = match found.split_last() {
        Some(((Token::Word(word), span), before)) if word.quote_style.is_none() => (span.start, before),
        Some(((Token::Word(_) | Token::Number(..) | Token::SingleQuotedString(_), _), _)) => {
            return Place::Nothing;
        }
        Some(((Token::Whitespace(blank), _), _)) if is_open_comment(blank, text) => return Place::Nothing,
        _ => (text.len(), found),
    };
    if let [.., (qualifier, _), (Token::Period, dot)] = before
        && dot.end == start
    {
        return match qualifier {
            Token::Word(word) => Place::Qualified { start, qualifier: word.value.clone() },
            _ => Place::Nothing,
        };
    }
    let mut words =
        before.iter().rev().map(|(token, _)| token).filter(|t| !matches!(t, Token::Whitespace(_)));
    match words.next() {
        Some(Token::Word(word)) if names_table(&word.value) => Place::Table { start },
        _ => Place::Word { start },
    }
}

/// Whether the text ends in a comment that the next letter would belong to.
fn is_open_comment(blank: &sqlparser::tokenizer::Whitespace, text: &str) -> bool {
    matches!(blank, sqlparser::tokenizer::Whitespace::SingleLineComment { .. }) && !text.ends_with('\n')
}

/// Keywords behind which a table stands.
fn names_table(word: &str) -> bool {
    let keywords = ["FROM", "JOIN", "INTO", "UPDATE", "TABLE", "VIEW", "DESCRIBE", "SUMMARIZE", "COPY"];
    keywords.iter().any(|keyword| word.eq_ignore_ascii_case(keyword))
}

/// Tables and files behind FROM and JOIN, with their aliases; those behind commas too.
fn relations(tokens: &[Token]) -> Vec<Relation> {
    let mut found: Vec<Relation> = Vec::new();
    let mut at = 0;
    let mut expected = false;
    while at < tokens.len() {
        match &tokens[at] {
            Token::Word(word) if word.quote_style.is_none() && names_table(&word.value) => {
                expected = true;
                at += 1;
            }
            Token::Word(word) if word.quote_style.is_none() && words::is_keyword(&word.value) => {
                expected = false;
                at += 1;
            }
            Token::Word(_) | Token::SingleQuotedString(_) if expected => {
                let (relation, next) = relation(tokens, at);
                // A function of FROM has no columns that could be known.
                if tokens.get(next) != Some(&Token::LParen) && !found.contains(&relation) {
                    found.push(relation);
                }
                // `FROM a, b`
                expected = tokens.get(next) == Some(&Token::Comma);
                at = next + usize::from(expected);
            }
            _ => at += 1,
        }
    }
    found
}

/// A relation with its alias, and where the tokens go on.
fn relation(tokens: &[Token], at: usize) -> (Relation, usize) {
    let is_path = matches!(tokens[at], Token::SingleQuotedString(_));
    let mut name = spelled(&tokens[at]);
    let mut next = at + 1;
    while let (Some(Token::Period), Some(Token::Word(_))) = (tokens.get(next), tokens.get(next + 1)) {
        name = format!("{name}.{}", spelled(&tokens[next + 1]));
        next += 2;
    }
    let is_as = |token: &Token| matches!(token, Token::Word(word) if word.value.eq_ignore_ascii_case("as"));
    if tokens.get(next).is_some_and(is_as) {
        next += 1;
    }
    let alias = match tokens.get(next) {
        Some(Token::Word(word)) if word.quote_style.is_some() || !words::is_keyword(&word.value) => {
            next += 1;
            Some(word.value.clone())
        }
        _ => None,
    };
    (Relation { name, is_path, alias }, next)
}

/// A name as SQL writes it, a path without its quotes.
fn spelled(token: &Token) -> String {
    match token {
        Token::SingleQuotedString(path) => path.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The cursor is where the `|` is.
    fn scope(text: &str) -> Scope {
        let cursor = text.find('|').unwrap();
        Scope::of(&text.replacen('|', "", 1), cursor)
    }

    fn names(text: &str) -> Vec<(String, Option<String>)> {
        scope(text).relations.into_iter().map(|relation| (relation.name, relation.alias)).collect()
    }

    #[test]
    fn places_are_told_apart() {
        assert_eq!(scope("sel|").place, Place::Word { start: 0 });
        assert_eq!(scope("select | from t").place, Place::Word { start: 7 });
        assert_eq!(scope("select a from |").place, Place::Table { start: 14 });
        assert_eq!(scope("select a from t1 join or|").place, Place::Table { start: 22 });
        assert_eq!(scope("from 'da|").place, Place::Path { start: 6 });
        assert_eq!(scope("select t.| from t").place, Place::Qualified { start: 9, qualifier: "t".into() });
        assert_eq!(scope("select t.am|").place, Place::Qualified { start: 9, qualifier: "t".into() });
        assert_eq!(scope("select 12|").place, Place::Nothing);
        assert_eq!(scope("select \"a|").place, Place::Nothing);
        assert_eq!(scope("-- sel|").place, Place::Nothing);
    }

    #[test]
    fn relations_are_found_on_both_sides_of_the_cursor() {
        let named = |name: &str, alias: Option<&str>| (name.to_string(), alias.map(str::to_string));
        assert_eq!(
            names("select | from a, s.b as c join 'd.csv' e on 1 = 1 where x"),
            [named("a", None), named("s.b", Some("c")), named("d.csv", Some("e"))]
        );
        assert_eq!(names("from 'x.parquet' select |"), [named("x.parquet", None)]);
        assert_eq!(names("select 1 from a; select | from b; select 2 from c"), [named("b", None)]);
        assert_eq!(names("select | from (select * from a) x"), [named("a", None)]);
        assert_eq!(names("select | from generate_series(1, 2)"), []);
        assert_eq!(names("insert into t select |"), [named("t", None)]);
    }
}
