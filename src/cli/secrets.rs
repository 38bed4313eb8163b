//! Texts that may hold a secret, and so are neither kept nor written down.

use sqlparser::tokenizer::Token;

use crate::frontend::sql::{secret_spans, tokens};
use crate::hidden;

/// Words that speak of secrets, wherever they stand in a text.
const SECRET_WORDS: [&str; 12] = [
    "password",
    "passwd",
    "pwd",
    "passphrase",
    "secret",
    "token",
    "credential",
    "api_key",
    "apikey",
    "access_key",
    "signature",
    "authorization",
];

/// Whether a text may hold a secret. A text too many is left out rather than a secret kept: a word of
/// secrets is enough, a key followed by a string, an address with a name and a password.
pub(super) fn has_secret(text: &str) -> bool {
    if hidden::is_in(text) || !secret_spans(text).is_empty() {
        return true;
    }
    let lower = text.to_lowercase();
    SECRET_WORDS.iter().any(|word| lower.contains(word)) || has_key(text) || has_address(&lower)
}

/// `KEY 'x'`, `key = 'x'`, `'fs.key' 'x'`, `sas_key => 'x'`.
fn has_key(text: &str) -> bool {
    let found = tokens(text);
    let mut after_key = false;
    for (token, _) in &found.tokens {
        let string = match token {
            Token::SingleQuotedString(text)
            | Token::EscapedStringLiteral(text)
            | Token::NationalStringLiteral(text) => Some(text),
            _ => None,
        };
        if after_key && string.is_some() {
            return true;
        }
        after_key = match token {
            Token::Word(word) => word.value.to_lowercase().ends_with("key"),
            Token::Eq | Token::DoubleEq | Token::RArrow | Token::Colon | Token::Whitespace(_) => after_key,
            _ => string.is_some_and(|text| text.to_lowercase().ends_with("key")),
        };
    }
    // What is no token any more may be anything.
    after_key && found.rest.is_some()
}

/// `://name:password@host`, and addresses that carry their own permission.
fn has_address(lower: &str) -> bool {
    lower.split("://").skip(1).any(|rest| {
        let end = rest.find(|c: char| c.is_whitespace() || matches!(c, '\'' | '"')).unwrap_or(rest.len());
        let host = rest[..end].split('/').next().unwrap_or_default();
        host.contains('@') || rest[..end].contains("sig=") || rest[..end].contains("key=")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_seen() {
        let secrets = [
            "create secret s (type s3)",
            "options ('aws.key_id' 'a')",
            "set connection_string = 'a'",
            "CREATE USER u PASSWORD 'x'",
            "create external table t stored as csv location 's3://b' options ('aws.access_key_id' 'AKIA')",
            "set x.token = 'abc'",
            "options (key 'abc')",
            "options ('encryption.Key' => 'abc')",
            "select * from t where api_key = 'x'",
            "from 'https://user:pw@host/x.csv'",
            "from 'https://host/x.csv?sv=1&sig=abc'",
            "options (key 'open",
        ];
        for text in secrets {
            assert!(has_secret(text), "{text}");
        }
    }

    #[test]
    fn plain_statements_are_kept() {
        let plain = [
            "select key, count(*) from t group by key",
            "select * from a join b on a.o_orderkey = b.l_orderkey where x = 'y'",
            "from 'https://host/x.csv'",
            "select 'a@b.c' as mail",
            ".read setup.sql",
        ];
        for text in plain {
            assert!(!has_secret(text), "{text}");
        }
    }
}
