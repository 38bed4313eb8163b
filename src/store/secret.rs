//! Secrets: what a store needs to let us in, by kind of store and by the part of it that they are for.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use super::setting;
use crate::hidden;

/// A kind of store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Amazon's S3 and all that speak its protocol.
    S3,
    /// Google Cloud Storage.
    Gcs,
    /// Azure's blobs and its data lake.
    Azure,
    /// Web servers.
    Http,
    /// Hadoop's file system.
    Hdfs,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::S3, Self::Gcs, Self::Azure, Self::Http, Self::Hdfs];

    /// The word for it, as in `TYPE s3`.
    pub fn name(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::Gcs => "gcs",
            Self::Azure => "azure",
            Self::Http => "http",
            Self::Hdfs => "hdfs",
        }
    }

    /// The schemes of its URLs; the first is the usual one.
    pub fn schemes(self) -> &'static [&'static str] {
        match self {
            Self::S3 => &["s3", "s3a", "s3n"],
            Self::Gcs => &["gs", "gcs"],
            Self::Azure => &["az", "azure", "abfs", "abfss"],
            Self::Http => &["https", "http"],
            Self::Hdfs => &["hdfs"],
        }
    }

    /// The kind whose URLs have this scheme, in any case.
    pub fn of_scheme(scheme: &str) -> Option<Self> {
        let has = |kind: &Self| kind.schemes().iter().any(|own| own.eq_ignore_ascii_case(scheme));
        Self::ALL.into_iter().find(has)
    }

    /// The kind of this name, in any case.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name().eq_ignore_ascii_case(name))
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What lets us into a store. Its values are shown by nothing: not by `Debug`, not by `Display`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    /// Its name, unique in its session.
    pub name: String,
    /// What it is for.
    pub kind: Kind,
    /// The part of a store that it is for, as the beginning of URLs; `None` is all stores of the kind.
    pub scope: Option<String>,
    /// Settings by name, in lower case.
    pub settings: BTreeMap<String, String>,
}

impl Secret {
    /// A setting; one that is empty counts as absent.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.settings.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Whether a setting's value may be shown.
    pub fn is_plain(name: &str) -> bool {
        matches!(
            name,
            "region"
                | "endpoint"
                | "url_style"
                | "use_ssl"
                | "provider"
                | "profile"
                | "account_name"
                | "user"
                | "chain"
        )
    }

    /// How long a part of the URL its scope covers; `None` if it is not for this URL.
    fn covers(&self, kind: Kind, url: &str) -> Option<usize> {
        if self.kind != kind {
            return None;
        }
        match &self.scope {
            None => Some(0),
            Some(scope) => is_below(scope, url).then_some(scope.len()),
        }
    }
}

/// Whether a URL begins with a scope, at the end of one of its words: `s3://data` is no scope of
/// `s3://database/x`.
fn is_below(scope: &str, url: &str) -> bool {
    let Some(rest) = url.strip_prefix(scope) else { return false };
    rest.is_empty() || scope.ends_with('/') || rest.starts_with(['/', '?'])
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.settings.keys().collect();
        f.debug_struct("Secret")
            .field("name", &self.name)
            .field("kind", &self.kind)
            .field("scope", &self.scope)
            .field("settings", &names)
            .finish()
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, self.kind)
    }
}

/// The secrets of a session, by name.
#[derive(Debug, Default)]
pub struct Secrets {
    known: RwLock<BTreeMap<String, Arc<Secret>>>,
    version: AtomicU64,
}

impl Secrets {
    /// No secrets yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a secret; gives the one of its name that it replaced. Its values are hidden from then on, also when it is
    /// gone again.
    pub fn insert(&self, secret: Secret) -> Option<Arc<Secret>> {
        secret.settings.iter().for_each(|(name, value)| setting::hide(name, value));
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let old = known.insert(secret.name.clone(), Arc::new(secret));
        self.version.fetch_add(1, Ordering::AcqRel);
        old
    }

    /// Takes a secret away.
    pub fn remove(&self, name: &str) -> Option<Arc<Secret>> {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let old = known.remove(name);
        self.version.fetch_add(1, Ordering::AcqRel);
        old
    }

    /// A secret by its name.
    pub fn get(&self, name: &str) -> Option<Arc<Secret>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// All secrets, in the order of their names.
    pub fn all(&self) -> Vec<Arc<Secret>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// The secret for a URL: of those of its kind the one with the longest scope that the URL begins with, then one
    /// without a scope; of several that are alike the first by name.
    pub fn best(&self, kind: Kind, url: &str) -> Option<Arc<Secret>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let covering = known.values().filter_map(|secret| Some((secret.covers(kind, url)?, secret)));
        // The last of those that are equal would win, so they are taken from the end.
        covering.rev().max_by_key(|(length, _)| *length).map(|(_, secret)| Arc::clone(secret))
    }

    /// Counts the changes: stores that were built before one may have to be built anew.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Hides a text that is in no secret but lets one in all the same, such as the query of a signed URL.
    pub fn hide_also(&self, text: &str) {
        hidden::keep(text);
    }

    /// The text with `***` in the place of every value that must not be shown.
    pub fn hide<'a>(&self, text: &'a str) -> Cow<'a, str> {
        hidden::hide(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(name: &str, kind: Kind, scope: Option<&str>) -> Secret {
        let settings = BTreeMap::from([
            ("key_id".to_string(), "AKIDPLANTED".to_string()),
            ("secret".to_string(), format!("planted-{name}")),
            ("region".to_string(), "eu-central-1".to_string()),
        ]);
        Secret { name: name.into(), kind, scope: scope.map(String::from), settings }
    }

    #[test]
    fn the_secret_with_the_longest_scope_is_taken() {
        let secrets = Secrets::new();
        secrets.insert(secret("all", Kind::S3, None));
        secrets.insert(secret("bucket", Kind::S3, Some("s3://data")));
        secrets.insert(secret("folder", Kind::S3, Some("s3://data/in/")));
        secrets.insert(secret("other", Kind::Gcs, Some("s3://data/in/a")));
        let best = |url: &str| secrets.best(Kind::S3, url).map(|found| found.name.clone());
        assert_eq!(best("s3://data/in/a.parquet").as_deref(), Some("folder"));
        assert_eq!(best("s3://data/inner").as_deref(), Some("bucket"));
        assert_eq!(best("s3://database/x").as_deref(), Some("all"));
        secrets.remove("all");
        assert_eq!(best("s3://database/x"), None);
    }

    #[test]
    fn values_are_neither_shown_nor_left_in_texts() {
        let secrets = Secrets::new();
        secrets.insert(secret("a", Kind::S3, None));
        let shown = format!("{:?} {}", secrets.get("a").unwrap(), secrets.get("a").unwrap());
        assert!(!shown.contains("planted") && !shown.contains("AKID"), "{shown}");
        assert_eq!(secrets.hide("x planted-a AKIDPLANTED eu-central-1"), "x *** *** eu-central-1");
        secrets.hide_also("sig=abcdef");
        assert_eq!(secrets.hide("?sig=abcdef&x"), "?***&x");
        assert!(matches!(secrets.hide("nothing here"), Cow::Borrowed(_)));
    }

    #[test]
    fn schemes_are_told_in_any_case() {
        assert_eq!(Kind::of_scheme("S3A"), Some(Kind::S3));
        assert_eq!(Kind::of_scheme("abfss"), Some(Kind::Azure));
        assert_eq!(Kind::of_scheme("file"), None);
        assert_eq!(Kind::of_name("GCS"), Some(Kind::Gcs));
    }
}
