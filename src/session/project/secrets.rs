//! What must not be written into a project's files.

use sqlparser::tokenizer::Token;

use crate::frontend::sql::tokens;
use crate::hidden;

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

/// What in a statement may be a secret: an option by its name, an address with a password or a signature, a value that is
/// known to be one.
pub(super) fn found<'a>(text: &str, mut options: impl Iterator<Item = &'a String>) -> Option<String> {
    let is_secret = |name: &String| OPTIONS.iter().any(|part| name.to_lowercase().contains(part));
    if let Some(name) = options.find(|name| is_secret(name)) {
        return Some(format!("option '{name}'"));
    }
    let address = tokens(text).tokens.iter().find_map(|(token, _)| {
        let text = match token {
            Token::SingleQuotedString(text)
            | Token::DoubleQuotedString(text)
            | Token::EscapedStringLiteral(text) => text.as_str(),
            Token::Word(word) if word.quote_style.is_some() => word.value.as_str(),
            _ => return None,
        };
        let (scheme, _) = text.split_once("://")?;
        hidden::is_in(text).then(|| format!("the address '{scheme}://…'"))
    });
    address.or_else(|| hidden::is_in(text).then(|| "a text in it".to_string()))
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
        hidden::keep("value-of-a-secret-1");
        assert!(address("create view v as select 'value-of-a-secret-1' as a").is_some());
        for plain in [
            "s3://bucket/key=1/token=2/x.csv",
            "abfss://container@account.dfs.core.windows.net/x.csv",
            "hdfs://ann@nn:8020/x.csv",
            "https://host/x.csv?v=1",
        ] {
            assert!(address(&format!("create view v as from '{plain}'")).is_none(), "{plain}");
        }
    }
}
