//! What URLs carry of their own permission: a name and a password before the host, signatures and tokens in the query.

use std::ops::Range;

/// Parts of names of parameters whose values are nobody's business.
const SECRET_PARTS: [&str; 9] =
    ["signature", "token", "secret", "password", "passwd", "credential", "accesskey", "apikey", "auth"];
/// Names of such parameters.
const SECRET_NAMES: [&str; 6] = ["sig", "pwd", "key", "code", "pass", "api_key"];

/// Schemes of URLs that have no permission before the `@`: Azure's data lake has a container there, HDFS a user.
const NAME_SCHEMES: [&str; 5] = ["abfs", "abfss", "wasb", "wasbs", "hdfs"];

/// The bytes of a text to be hidden, in no order.
pub(super) fn spans(text: &str) -> Vec<Range<usize>> {
    let mut found: Vec<_> = text.match_indices("://").filter_map(|(at, _)| owner(text, at + 3)).collect();
    found.extend(text.match_indices(['?', '&']).filter_map(|(at, _)| parameter(text, at + 1)));
    found
}

/// `name:password` of `name:password@host`. A name alone may be a token, but for some schemes.
fn owner(text: &str, start: usize) -> Option<Range<usize>> {
    let scheme = text[..start - 3].rsplit(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
    let is_name = NAME_SCHEMES.iter().any(|known| known.eq_ignore_ascii_case(scheme));
    let rest = &text[start..];
    let end = rest.find(|c: char| ends_url(c) || matches!(c, '/' | '?' | '#')).unwrap_or(rest.len());
    // What stands behind the colon and is no port is a password, which somebody may have written with a slash in it.
    let is_begun =
        rest[..end].split_once(':').is_some_and(|(_, port)| port.contains(|c: char| !c.is_ascii_digit()));
    let end = if is_begun { rest.find(ends_url).unwrap_or(rest.len()) } else { end };
    let length = rest[..end].rfind('@')?;
    let is_secret = length > 0 && (!is_name || rest[..length].contains(':'));
    is_secret.then(|| start..start + length)
}

/// The value of `name=value`, if it is a secret's.
fn parameter(text: &str, start: usize) -> Option<Range<usize>> {
    let rest = text[start..].strip_prefix("amp;").unwrap_or(&text[start..]);
    let start = text.len() - rest.len();
    let length = rest.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')))?;
    let name = rest[..length].to_ascii_lowercase();
    let value = rest[length..].strip_prefix('=')?;
    let plain = name.replace(['-', '_', '.'], "");
    let is_secret =
        SECRET_NAMES.contains(&name.as_str()) || SECRET_PARTS.iter().any(|part| plain.contains(part));
    let end = value.find(|c: char| ends_url(c) || matches!(c, '&' | '#')).unwrap_or(value.len());
    let start = start + length + 1;
    (is_secret && end > 0).then(|| start..start + end)
}

fn ends_url(c: char) -> bool {
    c.is_whitespace()
        || c.is_control()
        || matches!(c, '\'' | '"' | '`' | '<' | '>' | ')' | ']' | '}' | '|' | '\\')
}

#[cfg(test)]
mod tests {
    fn shown(text: &str) -> String {
        crate::hidden::masked(text, &crate::hidden::joined(super::spans(text)))
    }

    #[test]
    fn what_a_url_permits_is_hidden() {
        for (text, hidden) in [
            ("from 'https://user:pa@ss@host:80/x.csv' t", "from 'https://***@host:80/x.csv' t"),
            ("https://token@host", "https://***@host"),
            ("'https://user:a/b?c@host/x'", "'https://***@host/x'"),
            ("(https://h/x?sv=1&sig=ab%2Fc&se=2)", "(https://h/x?sv=1&sig=***&se=2)"),
            (
                "<a href=\"https://h/x?v=1&amp;X-Amz-Signature=abc\">",
                "<a href=\"https://h/x?v=1&amp;X-Amz-Signature=***\">",
            ),
            (
                "s3://b/k?X-Amz-Credential=AK/x&X-Amz-Expires=5",
                "s3://b/k?X-Amz-Credential=***&X-Amz-Expires=5",
            ),
            ("path?access_token=abc", "path?access_token=***"),
            ("hdfs://ann:pw@nn:8020/x", "hdfs://***@nn:8020/x"),
        ] {
            assert_eq!(shown(text), hidden);
        }
    }

    #[test]
    fn other_urls_are_left_alone() {
        for text in [
            "https://host/a@b?version=3&design=x#sig=1",
            "select 'a@b.c' where x = ? and y::text = 'z'",
            "s3://bucket/*?key",
            "hdfs://nn:8020/logs/?.csv",
            "https://@host",
            "https://host:80/a@b",
            "abfss://container@account.dfs.core.windows.net/x",
            "hdfs://ann@nn:8020/x",
            "&&&",
        ] {
            assert_eq!(shown(text), text);
        }
    }
}
