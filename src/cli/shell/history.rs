//! The history of inputs: a file that only its owner can read, and without secrets.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustyline::history::{FileHistory, History as _};
use sqlparser::tokenizer::Token;

use crate::config::state_dir;
use crate::frontend::sql::tokens;

/// Inputs that are kept.
pub(super) const ENTRIES_MAX: usize = 10_000;
const FILE_NAME: &str = "history";

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

/// Where the history is kept.
pub(super) struct History {
    /// `None`: in memory only.
    file: Option<PathBuf>,
}

impl History {
    /// Loads what was kept. Without a home to keep it in, the history lives as long as the shell; then the
    /// reason is given back.
    pub(super) fn load(entries: &mut FileHistory) -> (Self, Option<String>) {
        let Some(folder) = state_dir() else {
            return (Self { file: None }, Some("the history is not kept: there is no home folder".into()));
        };
        match prepare(&folder) {
            Ok(file) => match entries.load(&file) {
                Ok(()) => (Self { file: Some(file) }, None),
                Err(error) => (Self { file: None }, Some(not_kept(&file, &error))),
            },
            Err(error) => (Self { file: None }, Some(not_kept(&folder, &error))),
        }
    }

    /// Keeps an input, unless it is the one before it again, starts with a blank, or may hold a secret.
    pub(super) fn add(&mut self, entries: &mut FileHistory, input: &str) {
        let input = input.trim_end();
        if input.is_empty() || has_secret(input) || !matches!(entries.add(input), Ok(true)) {
            return;
        }
        // A disk that is full now is no reason to bother anybody at each prompt.
        if let Some(file) = &self.file
            && entries.append(file).is_err()
        {
            self.file = None;
        }
    }
}

fn not_kept(path: &Path, error: &dyn std::fmt::Display) -> String {
    format!("the history is not kept: '{}': {error}", path.display())
}

/// Makes the folder and the file, for their owner only.
fn prepare(folder: &Path) -> io::Result<PathBuf> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    restrict(folder, 0o700)?;
    let path = folder.join(FILE_NAME);
    let file = match fs::metadata(&path) {
        Ok(meta) if !meta.is_file() => return Err(io::Error::other("not a file")),
        _ => File::options().create(true).append(true).read(true).mode(0o600).open(&path)?,
    };
    drop(file);
    restrict(&path, 0o600)?;
    Ok(path)
}

fn restrict(path: &Path, mode: u32) -> io::Result<()> {
    match fs::metadata(path)?.permissions().mode() & 0o777 {
        found if found == mode => Ok(()),
        _ => fs::set_permissions(path, Permissions::from_mode(mode)),
    }
}

/// Whether a text may hold a secret. A text too many is left out rather than a secret kept: a word of
/// secrets is enough, a key followed by a string, an address with a name and a password.
fn has_secret(text: &str) -> bool {
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

    #[test]
    fn the_file_is_for_its_owner() {
        let room = tempfile::tempdir().unwrap();
        let folder = room.path().join("state/query");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let file = prepare(&folder).unwrap();
        assert_eq!((mode(&folder), mode(&file)), (0o700, 0o600));
        fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
        assert_eq!(mode(&prepare(&folder).unwrap()), 0o600);
    }
}
