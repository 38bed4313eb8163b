//! The settings that secrets have, by kind of store, and what they may be.

use std::collections::BTreeMap;
use std::fmt;

use super::secret::{Kind, Secret};
use crate::hidden;

/// A name farther away than this (edits relative to length) was not meant.
const SIMILARITY_MIN: f64 = 0.6;

/// What a setting may be.
#[derive(Debug, Clone, Copy)]
enum Values {
    /// Any text.
    Text,
    /// One of these words.
    Words(&'static [&'static str]),
}

const SWITCH: Values = Values::Words(&["true", "false"]);

/// The settings of a kind of store.
const fn settings(kind: Kind) -> &'static [(&'static str, Values)] {
    match kind {
        Kind::S3 => &[
            ("key_id", Values::Text),
            ("secret", Values::Text),
            ("session_token", Values::Text),
            ("region", Values::Text),
            ("endpoint", Values::Text),
            ("url_style", Values::Words(&["path", "vhost"])),
            ("use_ssl", SWITCH),
            ("provider", Values::Words(&["config", "credential_chain", "anonymous"])),
            ("profile", Values::Text),
        ],
        Kind::Gcs => &[
            ("key_id", Values::Text),
            ("secret", Values::Text),
            ("service_account", Values::Text),
            ("bearer_token", Values::Text),
            ("endpoint", Values::Text),
            ("provider", Values::Words(&["config", "credential_chain", "anonymous"])),
        ],
        Kind::Azure => &[
            ("account_name", Values::Text),
            ("account_key", Values::Text),
            ("sas_token", Values::Text),
            ("connection_string", Values::Text),
            ("endpoint", Values::Text),
            ("provider", Values::Words(&["config", "credential_chain", "anonymous"])),
        ],
        Kind::Http => &[("bearer_token", Values::Text), ("extra_http_headers", Values::Text)],
        Kind::Hdfs => &[("user", Values::Text)],
    }
}

/// The names of the settings of a kind of store.
pub fn names(kind: Kind) -> impl Iterator<Item = &'static str> {
    settings(kind).iter().map(|(name, _)| *name)
}

/// What is wrong with a secret. The values of its settings are not quoted.
#[derive(Debug)]
pub struct Wrong {
    /// The setting that it is about; `None` is the whole secret.
    pub setting: Option<String>,
    /// Whether the setting's name is wrong, and not its value.
    pub is_name: bool,
    /// What is wrong, in one line without a full stop.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

impl Wrong {
    fn whole(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { setting: None, is_name: false, message: message.into(), help: Some(help.into()) }
    }

    fn value(setting: &str, message: impl Into<String>, help: impl Into<String>) -> Self {
        let setting = Some(setting.to_string());
        Self { setting, is_name: false, message: message.into(), help: Some(help.into()) }
    }

    fn name(setting: &str, message: impl Into<String>, help: impl Into<String>) -> Self {
        let setting = Some(setting.to_string());
        Self { setting, is_name: true, message: message.into(), help: Some(help.into()) }
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// Hides the value of a setting, whatever becomes of the secret, unless it is one that may be shown.
pub fn hide(name: &str, value: &str) {
    match name {
        "type" | "scope" => {}
        _ if Secret::is_plain(name) => {}
        // Lines of `name: value`, of which the values count.
        "extra_http_headers" => {
            let values = value.lines().map(|line| line.split_once(':').map_or(line, |(_, value)| value));
            values.for_each(hidden::keep);
        }
        _ => hidden::keep(value),
    }
}

impl Secret {
    /// Where its credentials come from: `config` is the secret itself, `credential_chain` what the machine has.
    pub fn provider(&self) -> &str {
        let has_own = self.settings.keys().any(|name| !Self::is_plain(name));
        match (self.get("provider"), self.kind) {
            (Some(provider), _) => provider,
            (None, Kind::S3 | Kind::Gcs | Kind::Azure) if !has_own => "credential_chain",
            (None, _) => "config",
        }
    }
}

/// A secret of these settings, `type` and `scope` among them, all with names in lower case; without a name it is
/// the default one of its kind. Values are hidden from now on.
///
/// # Errors
/// No type; types and settings that there are not, with the nearest; values that a setting cannot have; half of a
/// key.
pub fn secret(name: Option<&str>, given: &[(String, String)]) -> Result<Secret, Wrong> {
    given.iter().for_each(|(name, value)| hide(name, value));
    let kind = kind(given)?;
    let mut secret = Secret {
        name: name.map_or_else(|| format!("__default_{kind}"), str::to_string),
        kind,
        scope: None,
        settings: BTreeMap::new(),
    };
    for (at, (name, value)) in given.iter().enumerate() {
        if given[..at].iter().any(|(known, _)| known == name) {
            return Err(Wrong::name(name, format!("'{name}' is given twice"), "take one of them away"));
        }
        match name.as_str() {
            "type" => {}
            "scope" => secret.scope = Some(scope(kind, value)?),
            _ => drop(secret.settings.insert(name.clone(), setting(kind, name, value)?)),
        }
    }
    whole(&secret)?;
    Ok(secret)
}

fn kind(given: &[(String, String)]) -> Result<Kind, Wrong> {
    let known = Kind::ALL.map(Kind::name);
    let Some((_, name)) = given.iter().find(|(name, _)| name == "type") else {
        let help = format!("write TYPE and one of {}", known.join(", "));
        return Err(Wrong::whole("a secret needs a type of store", help));
    };
    Kind::of_name(name).ok_or_else(|| {
        let message = format!("there are no secrets of type '{name}'");
        Wrong::value("type", message, nearest(name, known.into_iter()))
    })
}

fn setting(kind: Kind, name: &str, value: &str) -> Result<String, Wrong> {
    let Some((_, values)) = settings(kind).iter().find(|(known, _)| *known == name) else {
        let message = format!("there is no setting '{name}' of secrets of type {kind}");
        return Err(Wrong::name(name, message, nearest(name, names(kind).chain(["type", "scope"]))));
    };
    match values {
        Values::Text => Ok(value.to_string()),
        Values::Words(words) => {
            let lower = value.to_lowercase();
            let found = words.contains(&lower.as_str()).then_some(lower);
            found.ok_or_else(|| {
                let message = format!("this cannot be the '{name}' of a secret");
                Wrong::value(name, message, format!("write {}", words.join(" or ")))
            })
        }
    }
}

/// A scope is the start of the URLs that the kind of store has.
fn scope(kind: Kind, scope: &str) -> Result<String, Wrong> {
    let scheme = scope.split_once("://").map(|(scheme, _)| scheme);
    if scheme.and_then(Kind::of_scheme) == Some(kind) {
        return Ok(scope.to_string());
    }
    let schemes: Vec<_> = kind.schemes().iter().map(|scheme| format!("{scheme}://")).collect();
    let message = format!("a scope of {kind} is the beginning of its URLs");
    Err(Wrong::value("scope", message, format!("begin it with {}", schemes.join(" or "))))
}

/// Settings that need each other, or rule each other out.
fn whole(secret: &Secret) -> Result<(), Wrong> {
    let has = |name: &str| secret.get(name).is_some();
    for (one, other) in [("key_id", "secret"), ("secret", "key_id"), ("session_token", "key_id")] {
        if has(one) && !has(other) {
            let message = format!("'{one}' is half of a key: '{other}' is missing");
            return Err(Wrong::name(one, message, "give both, or neither with PROVIDER credential_chain"));
        }
    }
    let provider = secret.get("provider");
    for keys in ["key_id", "profile", "account_key", "sas_token", "connection_string", "service_account"] {
        let clashes = match provider {
            Some("anonymous") => true,
            Some("credential_chain") => keys != "profile",
            Some(_) => keys == "profile",
            None => keys == "profile" && has("key_id"),
        };
        if has(keys) && clashes {
            let of = provider.map_or("a key".to_string(), |provider| format!("the provider '{provider}'"));
            let message = format!("'{keys}' does not go with {of}");
            return Err(Wrong::name(keys, message, "take one of them away"));
        }
    }
    Ok(())
}

fn nearest(name: &str, known: impl Iterator<Item = &'static str>) -> String {
    let known: Vec<_> = known.collect();
    let lower = name.to_lowercase();
    let score = |known: &str| strsim::normalized_damerau_levenshtein(&lower, known);
    let best = known.iter().map(|known| (score(known), *known)).max_by(|a, b| a.0.total_cmp(&b.0));
    // Of two letters, one may be wrong.
    let is_near = |(score, known): &(f64, &str)| {
        *score >= SIMILARITY_MIN || (lower.len() == 2 && strsim::damerau_levenshtein(&lower, known) == 1)
    };
    match best.filter(is_near) {
        Some((_, near)) => format!("did you mean '{near}'?"),
        None => format!("there are {}", known.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(given: &[(&str, &str)]) -> Result<Secret, Wrong> {
        let given: Vec<_> = given.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        secret(Some("s"), &given)
    }

    fn told(given: &[(&str, &str)]) -> String {
        let wrong = made(given).unwrap_err();
        format!("{}; {}", wrong.message, wrong.help.unwrap_or_default())
    }

    #[test]
    fn a_secret_is_made_of_its_settings() {
        let secret = made(&[
            ("type", "S3"),
            ("key_id", "AKIDSETTING"),
            ("secret", "wSETTINGSETTING"),
            ("use_ssl", "FALSE"),
            ("scope", "s3://bucket"),
        ])
        .unwrap();
        assert_eq!((secret.kind, secret.scope.as_deref()), (Kind::S3, Some("s3://bucket")));
        assert_eq!((secret.get("use_ssl"), secret.get("key_id")), (Some("false"), Some("AKIDSETTING")));
        assert_eq!(hidden::hide("AKIDSETTING wSETTINGSETTING"), "*** ***");
        assert_eq!(super::secret(None, &[("type".into(), "gcs".into())]).unwrap().name, "__default_gcs");
    }

    #[test]
    fn what_is_wrong_names_the_nearest_and_no_value() {
        for (given, message) in [
            (
                &[("key_id", "never-x-1")][..],
                "a secret needs a type of store; write TYPE and one of s3, gcs, azure, http, hdfs",
            ),
            (&[("type", "s4")], "there are no secrets of type 's4'; did you mean 's3'?"),
            (
                &[("type", "r2d2")],
                "there are no secrets of type 'r2d2'; there are s3, gcs, azure, http, hdfs",
            ),
            (
                &[("type", "s3"), ("secert", "never-hush-1")],
                "there is no setting 'secert' of secrets of type s3; did you mean 'secret'?",
            ),
            (
                &[("type", "s3"), ("use_ssl", "maybe")],
                "this cannot be the 'use_ssl' of a secret; write true or false",
            ),
            (
                &[("type", "s3"), ("scope", "gs://b")],
                "a scope of s3 is the beginning of its URLs; begin it with s3:// or s3a:// or s3n://",
            ),
            (
                &[("type", "s3"), ("secret", "never-hush-1")],
                "'secret' is half of a key: 'key_id' is missing; give both, or neither with PROVIDER credential_chain",
            ),
            (
                &[("type", "s3"), ("profile", "never-p"), ("provider", "anonymous")],
                "'profile' does not go with the provider 'anonymous'; take one of them away",
            ),
            (
                &[("type", "http"), ("bearer_token", "never-a-1"), ("bearer_token", "never-b-1")],
                "'bearer_token' is given twice; take one of them away",
            ),
        ] {
            assert_eq!(told(given), message);
        }
    }
}
