//! A script's statements, told apart by the SQL tokenizer.
//!
//! Semicolons and comment marks inside strings, quoted names, comments and dollar quotes are part of
//! their token, so they never end a statement.

use std::sync::Arc;

use sqlparser::dialect::GenericDialect;
use sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer};

use super::{byte_span, secret_text};
use crate::error::{Error, Place, Script, StatementError, lower_first};

/// The tokens of one statement, without its semicolon; their spans count in the whole script.
#[derive(Debug)]
pub struct RawStatement {
    pub(super) script: Arc<Script>,
    pub(super) tokens: Vec<TokenWithSpan>,
}

/// A script taken apart.
#[derive(Debug)]
pub struct Split {
    /// The statements, in order; empty ones are left out.
    pub statements: Vec<RawStatement>,
    /// Why the rest of the script is no SQL at all (a string or comment that never ends).
    pub failure: Option<Error>,
}

/// Takes a script apart. Statements before a place that cannot be tokenized are whole.
///
/// The values of secrets in it are hidden from then on, also those in a part that is no SQL.
pub fn split(script: &Arc<Script>) -> Split {
    secret_text::keep(&script.text);
    let mut tokens = Vec::new();
    let result =
        Tokenizer::new(&GenericDialect {}, &script.text).tokenize_with_location_into_buf(&mut tokens);
    let failure = result.err().map(|error| {
        let at = script.offset(error.location.line, error.location.column);
        let place = Place { script: Arc::clone(script), span: at..at };
        Error::from(StatementError::new(lower_first(&error.message), Some(place)))
    });

    let mut statements = Vec::new();
    let mut current = Vec::new();
    for token in tokens {
        match token.token {
            Token::SemiColon => push(script, &mut current, &mut statements),
            Token::EOF => {}
            _ => current.push(token),
        }
    }
    if failure.is_none() {
        push(script, &mut current, &mut statements);
    }
    Split { statements, failure }
}

fn push(script: &Arc<Script>, current: &mut Vec<TokenWithSpan>, statements: &mut Vec<RawStatement>) {
    let tokens = std::mem::take(current);
    if tokens.iter().any(|token| !matches!(token.token, Token::Whitespace(_))) {
        statements.push(RawStatement { script: Arc::clone(script), tokens });
    }
}

impl RawStatement {
    /// From its first to its last word, comments around it left out.
    pub fn place(&self) -> Place {
        let span =
            |token: Option<&TokenWithSpan>| token.and_then(|token| byte_span(&self.script, token.span));
        let first = span(self.words().next()).unwrap_or(0..0);
        let last = span(self.words().next_back()).unwrap_or_else(|| first.clone());
        Place { script: Arc::clone(&self.script), span: first.start..last.end }
    }

    /// The place of the token that starts at a location; the statement's end when there is none.
    pub(super) fn place_at(&self, location: Location) -> Place {
        let found = self.words().find(|token| token.span.start == location);
        let span = found.and_then(|token| byte_span(&self.script, token.span)).unwrap_or_else(|| {
            let end = self.place().span.end;
            end..end
        });
        Place { script: Arc::clone(&self.script), span }
    }

    pub(super) fn words(&self) -> impl DoubleEndedIterator<Item = &TokenWithSpan> {
        self.tokens.iter().filter(|token| !matches!(token.token, Token::Whitespace(_)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(sql: &str) -> Vec<String> {
        let split = split(&Script::new("test", sql));
        split.statements.iter().map(|s| s.script.text[s.place().span].to_string()).collect()
    }

    #[test]
    fn semicolons_inside_tokens_end_nothing() {
        assert_eq!(texts("select 1; select 2"), ["select 1", "select 2"]);
        assert_eq!(texts("select ';--'; select \"a;b\";"), ["select ';--'", "select \"a;b\""]);
        assert_eq!(texts("select 1 -- one; two\n+ 1; select 3"), ["select 1 -- one; two\n+ 1", "select 3"]);
        assert_eq!(
            texts("select /* ; /* nested; */ */ 1;select 2"),
            ["select /* ; /* nested; */ */ 1", "select 2"]
        );
        assert_eq!(
            texts("select $$a;b$$; select $x$ ; $$ ; $x$"),
            ["select $$a;b$$", "select $x$ ; $$ ; $x$"]
        );
        assert_eq!(texts("select 'it''s; fine'; select e'\\';'"), ["select 'it''s; fine'", "select e'\\';'"]);
    }

    #[test]
    fn empty_statements_are_left_out() {
        assert_eq!(texts(";; -- nothing\n ; select 1 ;/* */;"), ["select 1"]);
        assert!(texts("").is_empty());
        assert!(texts("-- only a comment").is_empty());
    }

    #[test]
    fn statements_before_an_endless_string_are_whole() {
        let split = split(&Script::new("test", "select 1; select 'oops"));
        assert_eq!(split.statements.len(), 1);
        let Some(Error::Statement(error)) = split.failure else { panic!("no failure") };
        assert_eq!(error.message, "unterminated string literal");
        assert_eq!(error.place.unwrap().span.start, 17);
    }
}
