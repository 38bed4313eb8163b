//! Where a text of SQL has the values of secrets: they are hidden from when the text is first looked at, whatever is
//! wrong with it.

use std::ops::Range;

use sqlparser::tokenizer::Token;

use super::RawStatement;
use super::secret::string;
use super::tokens::{Rest, Tokens, tokens};
use crate::error::Error;
use crate::hidden;
use crate::store::secret::Secret;

/// Parts of the names of what is secret.
const NAMES: [&str; 13] = [
    "secret",
    "password",
    "passwd",
    "passphrase",
    "token",
    "credential",
    "access_key",
    "key_id",
    "account_key",
    "api_key",
    "apikey",
    "connection_string",
    "private_key",
];

/// Statements in which a sign may stand between a name and its value; elsewhere it compares.
const ASSIGNING: [&str; 5] = ["SET", "CREATE", "COPY", "ATTACH", "ALTER"];

/// Hides the values of secrets that a text has, from now on.
pub(super) fn keep(text: &str) {
    values(text).iter().for_each(|value| hidden::keep(value));
}

/// The bytes of a text that are values of secrets, however short: in order, apart from each other.
pub fn secret_spans(text: &str) -> Vec<Range<usize>> {
    if may_have(text) { spans(text, &tokens(text)) } else { Vec::new() }
}

/// The values of secrets that a text has.
fn values(text: &str) -> Vec<String> {
    if !may_have(text) {
        return Vec::new();
    }
    let found = tokens(text);
    let value = |span: Range<usize>| {
        let is_whole =
            |(_, place): &&(Token, Range<usize>)| place.start <= span.start && span.end <= place.end;
        let token = found.tokens.iter().find(is_whole).and_then(|(token, _)| string(token));
        token.unwrap_or_else(|| text[span].to_string())
    };
    spans(text, &found).into_iter().map(value).collect()
}

/// Most texts have no values of secrets, and need not be taken apart to know it.
fn may_have(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    NAMES.iter().any(|name| lower.contains(name))
}

impl RawStatement {
    /// An error of this statement, without those values of its secrets that are too short to be hidden everywhere.
    pub fn veiled(&self, error: Error) -> Error {
        let Error::Statement(mut statement) = error else { return error };
        let mut short = values(&self.script.text[self.place().span]);
        short.retain(|value| hidden::is_short(value));
        if !short.is_empty() {
            statement.message = hidden::hide_words(std::mem::take(&mut statement.message), &short);
            let help = std::mem::take(&mut statement.help);
            statement.help = help.into_iter().map(|line| hidden::hide_words(line, &short)).collect();
        }
        Error::Statement(statement)
    }
}

/// The bytes of a text that are values of secrets, as far as its words tell: in order, apart from each other.
fn spans(text: &str, found: &Tokens) -> Vec<Range<usize>> {
    let mut walk = Walk::default();
    let mut spans = Vec::new();
    for (token, span) in &found.tokens {
        if walk.is_value(token) {
            spans.push(inner(text, span));
        }
    }
    if let Some(Rest { start, .. }) = found.rest
        && walk.awaits_value()
    {
        spans.push(inner(text, &(start..text.len())));
    }
    hidden::joined(spans)
}

/// A string without the marks around it.
fn inner(text: &str, span: &Range<usize>) -> Range<usize> {
    let piece = &text[span.clone()];
    let start = span.start + usize::from(piece.starts_with(['\'', '"']));
    let ends = piece.len() > 1 && piece.starts_with(['\'', '"']) && piece.ends_with(['\'', '"']);
    start..(span.end - usize::from(ends)).max(start)
}

/// A way through the tokens of a text.
#[derive(Default)]
struct Walk {
    /// The first word of the statement.
    first: Option<String>,
    /// Whether the words before are those before `SECRET` in `CREATE SECRET`.
    creates: bool,
    /// Whether the statement makes a secret, from here on.
    in_secret: bool,
    /// In a secret: the name of the setting whose value is being read.
    setting: Option<String>,
    is_name_next: bool,
    is_map: bool,
    /// Elsewhere: what stands before, if it names something secret.
    after_name: bool,
}

impl Walk {
    fn is_value(&mut self, token: &Token) -> bool {
        match token {
            Token::Whitespace(_) => return false,
            Token::SemiColon => {
                *self = Self::default();
                return false;
            }
            _ => {}
        }
        if self.in_secret { self.is_value_of_secret(token) } else { self.is_value_elsewhere(token) }
    }

    /// Whether a text that is no token any more may be a value.
    fn awaits_value(&self) -> bool {
        self.in_secret || self.after_name
    }

    fn is_value_of_secret(&mut self, token: &Token) -> bool {
        match token {
            Token::LParen | Token::Comma if !self.is_map => {
                (self.is_name_next, self.setting) = (true, None);
                return false;
            }
            Token::RParen => {
                (self.is_name_next, self.setting) = (false, None);
                return false;
            }
            // Members of a map may be anything.
            Token::LBrace | Token::RBrace => {
                self.is_map = *token == Token::LBrace;
                return false;
            }
            Token::Colon | Token::Eq | Token::Assignment => return false,
            Token::Placeholder(_) => return false,
            _ => {}
        }
        if self.is_name_next
            && let Token::Word(word) = token
        {
            (self.is_name_next, self.setting) = (false, Some(word.value.to_lowercase()));
            return false;
        }
        let is_string = string(token).is_some();
        let is_value = match (&self.setting, token) {
            (Some(_), Token::Word(word)) if word.value.eq_ignore_ascii_case("map") => false,
            (Some(name), _) => !is_shown(name),
            // Before the parenthesis stand names, behind it nothing that we know.
            (None, _) => is_string,
        };
        // A string is a whole value: a name follows, whether the comma is there or not.
        if is_string && !self.is_map {
            (self.is_name_next, self.setting) = (true, None);
        }
        is_value
    }

    fn is_value_elsewhere(&mut self, token: &Token) -> bool {
        let text = string(token);
        if self.after_name && text.is_some() {
            self.after_name = false;
            return true;
        }
        let word = match token {
            Token::Word(word) if word.quote_style.is_none() => Some(word.value.to_ascii_uppercase()),
            Token::Word(_) => Some(String::new()),
            _ => None,
        };
        let Some(word) = word else {
            let between = matches!(token, Token::Eq | Token::RArrow | Token::Colon | Token::Assignment);
            self.after_name = match text {
                Some(text) => is_secret(&text),
                None => self.after_name && between && self.assigns(),
            };
            return false;
        };
        if self.creates && word == "SECRET" {
            self.in_secret = true;
            return false;
        }
        let continues = matches!(word.as_str(), "OR" | "REPLACE" | "PERSISTENT" | "TEMPORARY" | "TEMP");
        self.creates = word == "CREATE" || (self.creates && continues);
        self.after_name = match token {
            Token::Word(word) => {
                is_secret(&word.value) || (self.after_name && word.value.eq_ignore_ascii_case("to"))
            }
            _ => false,
        };
        self.first.get_or_insert(word);
        false
    }

    fn assigns(&self) -> bool {
        self.first.as_ref().is_some_and(|first| ASSIGNING.contains(&first.as_str()))
    }
}

/// Settings of secrets that messages may show. Names that we do not know may be misspelt ones of others.
fn is_shown(name: &str) -> bool {
    Secret::is_plain(name) || matches!(name, "type" | "scope")
}

/// Whether a name is one of something secret.
pub(super) fn is_secret(name: &str) -> bool {
    let name = name.to_lowercase();
    NAMES.iter().any(|part| name.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        hidden::masked(text, &spans(text, &tokens(text)))
    }

    #[test]
    fn values_in_a_text_are_found() {
        for (text, without) in [
            (
                "create secret s (type s3, key_id 'AKIA', secret 'hu''sh', region 'eu', scope 's3://b');",
                "create secret s (type s3, key_id '***', secret '***', region 'eu', scope 's3://b');",
            ),
            (
                "explain create or replace secret (secert 'x', type s3)",
                "explain create or replace secret (secert '***', type s3)",
            ),
            ("create secret s type s3 secret 'x'", "create secret s type s3 secret '***'"),
            (
                "create secret s (type s3, secret hush, key_id AK/IA+9)",
                "create secret s (type s3, secret ***, key_id ***)",
            ),
            (
                "create secret s (key_id 'a' secret 'b' region 'c')",
                "create secret s (key_id '***' secret '***' region 'c')",
            ),
            ("create secret s (type s3, secret 'open", "create secret s (type s3, secret '***"),
            (
                "create secret (extra_http_headers map {'A': 'b c'})",
                "create secret (extra_http_headers map {'***': '***'})",
            ),
            ("create secret s (secret $$x$$, key_id \"y\")", "create secret s (secret ***, key_id \"***\")"),
            ("create secret s (type s3, secret $key)", "create secret s (type s3, secret $key)"),
            ("create user u password 'x'", "create user u password '***'"),
            (
                "create external table t options ('aws.secret_access_key' 'x', 'b' 'y')",
                "create external table t options ('aws.secret_access_key' '***', 'b' 'y')",
            ),
            ("set s3_secret_access_key = 'x'", "set s3_secret_access_key = '***'"),
            ("set session_token to 'x'", "set session_token to '***'"),
            (
                "select 1; create secret s (key 'x'); select 'x'",
                "select 1; create secret s (key '***'); select 'x'",
            ),
        ] {
            assert_eq!(shown(text), without);
        }
    }

    #[test]
    fn other_strings_are_left_alone() {
        for text in [
            "select secret, 'x' from t where token = 'y'",
            "select 'secret' as a, 'x' as b",
            "drop secret s; select 'x'",
            "create table secret (a int); insert into secret values ('x')",
            "copy t to 'x.csv' options ('format.header' 'true')",
        ] {
            assert_eq!(shown(text), text);
        }
    }

    #[test]
    fn values_that_were_read_are_hidden() {
        keep("creat secret s (type s3, secret 'never-shown-again-1')");
        keep("create secret s (type s3, key_id 'never-shown-''again-2'");
        keep("create secret s (type s3, key_id 'a', secret 'of')");
        assert_eq!(hidden::hide("never-shown-again-1, never-shown-'again-2"), "***, ***");
        assert_eq!(hidden::hide("a line of words"), "a line of words");
    }
}
