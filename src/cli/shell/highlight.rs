//! SQL in colours, by the tokenizer that reads it.

use std::ops::Range;

use sqlparser::tokenizer::{Token, Whitespace};

use super::{meta, words};
use crate::frontend::sql::tokens;

const KEYWORD: &str = "\x1b[1;34m";
const STRING: &str = "\x1b[32m";
const NUMBER: &str = "\x1b[36m";
const COMMENT: &str = "\x1b[90m";
const COMMAND: &str = "\x1b[1;35m";
const RESET: &str = "\x1b[0m";

/// The text with escape sequences around what has a colour; its characters stay as they are.
pub(super) fn paint(text: &str) -> String {
    if meta::is_command(text.trim_start()) && !text.trim_end().contains('\n') {
        return painted(text, COMMAND);
    }
    let found = tokens(text);
    let mut out = String::with_capacity(text.len() * 2);
    let mut done = 0;
    for (token, span) in &found.tokens {
        let Some(colour) = colour(token) else { continue };
        out.push_str(&text[done..span.start]);
        out.push_str(&painted(&text[span.clone()], colour));
        done = span.end;
    }
    let rest: Range<usize> = found.rest.map_or(text.len(), |rest| rest.start).max(done)..text.len();
    out.push_str(&text[done..rest.start]);
    match text[rest.clone()].starts_with("/*") {
        true => out.push_str(&painted(&text[rest], COMMENT)),
        false => out.push_str(&painted(&text[rest], STRING)),
    }
    out
}

fn painted(text: &str, colour: &str) -> String {
    if text.is_empty() { String::new() } else { format!("{colour}{text}{RESET}") }
}

fn colour(token: &Token) -> Option<&'static str> {
    match token {
        Token::Word(word) if word.quote_style.is_none() && words::is_keyword(&word.value) => Some(KEYWORD),
        Token::Number(..) => Some(NUMBER),
        Token::SingleQuotedString(_)
        | Token::DollarQuotedString(_)
        | Token::EscapedStringLiteral(_)
        | Token::NationalStringLiteral(_)
        | Token::HexStringLiteral(_)
        | Token::UnicodeStringLiteral(_)
        | Token::SingleQuotedByteStringLiteral(_) => Some(STRING),
        Token::Whitespace(Whitespace::SingleLineComment { .. } | Whitespace::MultiLineComment(_)) => {
            Some(COMMENT)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Colours as letters, for eyes.
    fn shown(text: &str) -> String {
        let names = [
            (KEYWORD, "<k:"),
            (STRING, "<s:"),
            (NUMBER, "<n:"),
            (COMMENT, "<c:"),
            (COMMAND, "<m:"),
            (RESET, ">"),
        ];
        names.iter().fold(paint(text), |text, (code, name)| text.replace(code, name))
    }

    #[test]
    fn words_have_the_colour_of_their_kind() {
        assert_eq!(shown("select a, 1.5 from 'x'"), "<k:select> a, <n:1.5> <k:from> <s:'x'>");
        assert_eq!(shown("\"select\" /* 1 */"), "\"select\" <c:/* 1 */>");
        assert_eq!(shown("é 'open 1"), "é <s:'open 1>");
        assert_eq!(shown("1 /* open"), "<n:1> <c:/* open>");
        assert_eq!(shown(".mode csv"), "<m:.mode csv>");
        assert_eq!(shown(""), "");
    }

    #[test]
    fn nothing_but_colours_is_added() {
        for text in ["select 'a\nb'\n-- c\nfrom t;", "$$ open", "a.\"b", "\t1e5;;\n.x"] {
            let codes = [KEYWORD, STRING, NUMBER, COMMENT, COMMAND, RESET];
            assert_eq!(codes.iter().fold(paint(text), |text, code| text.replace(code, "")), text);
        }
    }
}
