//! What must not be written into a project's files.

use sqlparser::tokenizer::Token;

use crate::frontend::sql::tokens;

/// Parts of the names of options that hold secrets.
const OPTIONS: [&str; 11] = [
    "secret",
    "token",
    "password",
    "passwd",
    "passphrase",
    "credential",
    "access_key",
    "account_key",
    "key_id",
    "connection_string",
    "sas_",
];
/// Parts of addresses that carry their own permission.
const ADDRESSES: [&str; 6] = ["sig=", "signature=", "token=", "key=", "password=", "secret="];

/// What in a statement may be a secret: an option by its name, or an address with a password or a signature.
pub(super) fn found<'a>(text: &str, mut options: impl Iterator<Item = &'a String>) -> Option<String> {
    let is_secret = |name: &String| OPTIONS.iter().any(|part| name.to_lowercase().contains(part));
    if let Some(name) = options.find(|name| is_secret(name)) {
        return Some(format!("option '{name}'"));
    }
    tokens(text).tokens.iter().find_map(|(token, _)| {
        let text = match token {
            Token::SingleQuotedString(text)
            | Token::DoubleQuotedString(text)
            | Token::EscapedStringLiteral(text) => text.as_str(),
            Token::Word(word) if word.quote_style.is_some() => word.value.as_str(),
            _ => return None,
        };
        let (scheme, rest) = text.split_once("://")?;
        let host = rest.split('/').next().unwrap_or_default();
        let lower = rest.to_lowercase();
        let is_secret = host.contains('@') || ADDRESSES.iter().any(|part| lower.contains(part));
        is_secret.then(|| format!("the address '{scheme}://…'"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_found_and_columns_are_none() {
        let option = |name: &str| found("", [name.to_string()].iter());
        assert_eq!(option("aws.secret_access_key").as_deref(), Some("option 'aws.secret_access_key'"));
        assert_eq!(option("format.delimiter"), None);
        let address = |text: &str| found(text, std::iter::empty());
        assert!(address("create view v as from 'https://ada:pw@host/x.csv'").is_some());
        assert!(address("create view v as from 'https://host/x.csv?sv=1&sig=abc'").is_some());
        assert!(address("create view v as select token, secret from 's3://bucket/x.csv'").is_none());
    }
}
