//! Secrets in the configuration file: a table `[secrets.NAME]` for each.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::secret::Secret;
use super::setting;
use crate::config::toml::{Entry, Table, TomlError, Value, read as read_toml};
use crate::error::{Error, Result};

/// The table of the file that is read.
const SECRETS: &str = "secrets";
/// The part of a file's mode that lets others than its owner do anything.
const OTHERS: u32 = 0o077;

/// Reads the secrets of a configuration file; none if there is no such file and it need not be there. What they hold
/// is hidden from then on.
///
/// # Errors
/// A file that cannot be read, that others may read although it holds values of secrets, or that is written wrong: with
/// the line, and without values.
pub fn read(path: &Path, must_exist: bool) -> Result<Vec<Secret>> {
    let failed = |source| Error::io("read", path, source);
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if is_missing(&error) && !must_exist => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let meta = fs::metadata(path).map_err(failed)?;
    let file = File { path, meta };
    let table = read_toml(&text).map_err(|error| file.wrong(error))?;
    if let Some((name, entry)) = table.entries().find(|(name, _)| *name != SECRETS) {
        return Err(file.at(
            entry,
            format!("there is no setting '{name}'"),
            "the file has [secrets.NAME]".into(),
        ));
    }
    match table.get(SECRETS) {
        None => Ok(Vec::new()),
        Some(entry) => file.secrets(entry),
    }
}

/// Whether there is none for this user: a process of another user may have kept the home it cannot look into.
fn is_missing(error: &io::Error) -> bool {
    use io::ErrorKind::{NotADirectory, NotFound, PermissionDenied};
    matches!(error.kind(), NotFound | NotADirectory | PermissionDenied)
}

struct File<'a> {
    path: &'a Path,
    meta: Metadata,
}

impl File<'_> {
    fn secrets(&self, entry: &Entry) -> Result<Vec<Secret>> {
        let Value::Table(table) = &entry.value else {
            return Err(self.at(entry, "'secrets' is no table".into(), "write [secrets.NAME]".into()));
        };
        let mut secrets = Vec::new();
        for (name, entry) in table.entries() {
            let Value::Table(settings) = &entry.value else {
                let help = format!("write [secrets.{name}], and each setting on a line below");
                return Err(self.at(entry, format!("the secret '{name}' is no table"), help));
            };
            secrets.push(self.secret(&name.to_lowercase(), entry, settings)?);
        }
        let holds = |secret: &Secret| secret.settings.keys().any(|name| !Secret::is_plain(name));
        match secrets.iter().any(holds) {
            true => self.check_mode().map(|()| secrets),
            false => Ok(secrets),
        }
    }

    fn secret(&self, name: &str, entry: &Entry, settings: &Table) -> Result<Secret> {
        let mut given = Vec::new();
        for (setting, entry) in settings.entries() {
            let value = match &entry.value {
                Value::Text(text) => text.clone(),
                // `extra_http_headers = { Accept = "text/csv" }`, as MAP in SQL.
                Value::Table(table) => lines(table),
            };
            given.push((setting.to_lowercase(), value));
        }
        setting::secret(Some(name), &given).map_err(|wrong| {
            let of =
                |(known, _): &(&str, &Entry)| wrong.setting.as_deref() == Some(known.to_lowercase().as_str());
            let place = settings.entries().find(of).map_or(entry, |(_, entry)| entry);
            self.at(place, format!("secret '{name}': {wrong}"), wrong.help.clone().unwrap_or_default())
        })
    }

    /// As ssh has it with keys.
    fn check_mode(&self) -> Result<()> {
        let mode = self.meta.permissions().mode() & 0o777;
        if mode & OTHERS == 0 {
            return Ok(());
        }
        let path = self.path.display();
        let message = format!("'{path}' holds secrets, and others may read or change it (mode {mode:04o})");
        Err(Error::usage_help(message, format!("run: chmod 600 '{path}'")))
    }

    fn wrong(&self, error: TomlError) -> Error {
        let message = format!("'{}', line {}: {}", self.path.display(), error.line, error.message);
        Error::usage_help(message, "docs/secrets.md shows how the file is written")
    }

    fn at(&self, entry: &Entry, message: String, help: String) -> Error {
        Error::usage_help(format!("'{}', line {}: {message}", self.path.display(), entry.line), help)
    }
}

fn lines(table: &Table) -> String {
    let lines = table.entries().map(|(name, entry)| match &entry.value {
        Value::Text(text) => format!("{name}: {text}"),
        Value::Table(_) => name.to_string(),
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn secrets(text: &str, mode: u32) -> Result<Vec<Secret>> {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("config.toml");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        read(&path, true)
    }

    fn told(text: &str, mode: u32) -> String {
        let error = secrets(text, mode).unwrap_err();
        let text = format!("{error:?}");
        let start = text.find('\'').unwrap();
        let end = text.find("config.toml").unwrap();
        format!("{}{}", &text[..=start], &text[end..])
    }

    #[test]
    fn a_table_is_a_secret() {
        let text = "[secrets.Prod]\nTYPE = 's3'\nkey_id = 'AKIDFILE1'\nsecret = 'FILESECRET1'\nscope = 's3://b'\n\
                    [secrets]\nweb = { type = \"http\", extra_http_headers = { A = 'never-x-2', B = 'never-y-2' } }";
        let found = secrets(text, 0o600).unwrap();
        assert_eq!(found[0].name, "prod");
        assert_eq!(
            (found[0].get("secret"), found[0].scope.as_deref()),
            (Some("FILESECRET1"), Some("s3://b"))
        );
        assert_eq!(found[1].get("extra_http_headers"), Some("A: never-x-2\nB: never-y-2"));
        assert_eq!(crate::hidden::hide("FILESECRET1"), "***");
    }

    #[test]
    fn a_file_that_others_may_read_is_refused_if_it_holds_values() {
        let text = "[secrets.a]\ntype = 's3'\nkey_id = 'AKIDFILE2'\nsecret = 'FILESECRET2'";
        for mode in [0o640, 0o604, 0o620, 0o666] {
            let told = told(text, mode);
            assert!(told.contains("others may read or change it") && told.contains("chmod 600 '"), "{told}");
        }
        assert_eq!(secrets("[secrets.a]\ntype = 's3'\nregion = 'eu-west-1'", 0o644).unwrap().len(), 1);
        assert!(secrets("", 0o644).unwrap().is_empty());
    }

    #[test]
    fn what_is_wrong_has_its_line() {
        for (text, message) in [
            (
                "[secret.a]\ntype = 's3'",
                "'config.toml', line 1: there is no setting 'secret'; the file has [secrets.NAME]",
            ),
            (
                "[secrets]\na = 's3'",
                "'config.toml', line 2: the secret 'a' is no table; write [secrets.a], and each setting on a line below",
            ),
            (
                "[secrets.a]\ntype = 's3'\n\nsecrt = 'never-hush-2'",
                "'config.toml', line 4: secret 'a': there is no setting 'secrt' of secrets of type s3; did you mean 'secret'?",
            ),
            (
                "[secrets.a]\nkey_id = 'never-x-2'",
                "'config.toml', line 1: secret 'a': a secret needs a type of store; write TYPE and one of s3, gcs, azure, http, hdfs",
            ),
            (
                "[secrets.a]\nkey_id = hush",
                "'config.toml', line 2: text stands in quotes; docs/secrets.md shows how the file is written",
            ),
        ] {
            assert_eq!(told(text, 0o600), message);
        }
    }

    #[test]
    fn a_file_that_is_not_there_is_missed_only_if_it_was_named() {
        let path = Path::new("/nowhere/config.toml");
        assert!(read(path, false).unwrap().is_empty());
        assert!(read(path, true).is_err());
    }
}
