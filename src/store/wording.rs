//! Errors of stores in words for people: which object, what the server said, what to do.

use datafusion::object_store::{Error, path::Path};
use url::Url;

use super::patient::{Changed, Lost};
use super::secret::Kind;
use super::trouble::{Answer, What, element, find, trouble};
use crate::error::{StoreAction, StoreError};

/// What an error is about.
#[derive(Debug, Clone)]
pub(super) struct About {
    pub(super) kind: Kind,
    pub(super) store: Url,
    /// The name of the secret that was used.
    pub(super) secret: Option<String>,
    pub(super) action: StoreAction,
}

/// The URL of an object as it may be shown: without a user, and without what was put aside.
pub(super) fn shown(store: &Url, key: &str) -> String {
    let mut store = store.clone();
    // Of HDFS the user, of Azure the container: neither is a secret. Those of web servers are put aside.
    if matches!(store.scheme(), "http" | "https") {
        // Only URLs without a host refuse.
        let _ = store.set_username("");
    }
    let _ = store.set_password(None);
    let key = key.split('?').next().unwrap_or_default().replace("%00", "");
    format!("{}/{key}", store.as_str().trim_end_matches('/'))
}

impl About {
    /// The same error, in words; its kind is kept, for some ask what kind it is.
    pub(super) fn worded(&self, key: &Path, error: Error) -> Error {
        if find::<StoreError>(&error).is_some() {
            return error;
        }
        let (trouble, help) = self.explained(&error);
        let mut told = StoreError::of(self.action, shown(&self.store, key.as_ref()), trouble);
        told.help = help;
        let path = key.to_string();
        let source: Box<dyn std::error::Error + Send + Sync> = Box::new(told);
        match error {
            Error::NotFound { .. } => Error::NotFound { path, source },
            Error::AlreadyExists { .. } => Error::AlreadyExists { path, source },
            Error::Precondition { .. } => Error::Precondition { path, source },
            Error::NotModified { .. } => Error::NotModified { path, source },
            Error::PermissionDenied { .. } => Error::PermissionDenied { path, source },
            Error::Unauthenticated { .. } => Error::Unauthenticated { path, source },
            Error::NotSupported { .. } => Error::NotSupported { source },
            // Callers look for the kind, and its text names nothing that we could add to.
            Error::NotImplemented { .. } => error,
            _ => Error::Generic { store: self.kind.name(), source },
        }
    }

    fn explained(&self, error: &Error) -> (String, Option<String>) {
        if find::<Changed>(error).is_some() || matches!(error, Error::Precondition { .. }) {
            return (
                Changed.to_string(),
                Some("run the query again: it will read the file as it is now".into()),
            );
        }
        if let Some(lost) = find::<Lost>(error) {
            return (lost.to_string(), Some("run the query again".into()));
        }
        if let Some(trouble) = trouble(error) {
            let help = match &trouble.what {
                What::Answer(answer) => self.help_for(answer),
                What::Connect(_) => Some(self.check_address()),
                What::Silent(_) | What::Broken(_) => {
                    Some("try again later; see docs/stores.md for the time-outs".into())
                }
            };
            return (trouble.to_string(), help);
        }
        let text = error.to_string();
        match error {
            Error::NotFound { .. } => self.not_found(&text),
            Error::AlreadyExists { .. } => ("it exists already".into(), None),
            Error::InvalidPath { .. } => ("it is no name of an object".into(), None),
            Error::Generic { source, .. } | Error::NotSupported { source } => {
                (deepest(source.as_ref()), None)
            }
            Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => {
                ("permission denied".into(), self.help_for(&Answer { status: 403, ..Answer::default() }))
            }
            _ => (text, None),
        }
    }

    fn not_found(&self, text: &str) -> (String, Option<String>) {
        match element(text, "Code") {
            Some(code @ ("NoSuchBucket" | "ContainerNotFound")) => {
                let what = if self.kind == Kind::Azure { "container" } else { "bucket" };
                let help = format!(
                    "check the {what}'s name, and the endpoint if it is not on the store's own servers"
                );
                (format!("there is no such {what} (404 {code})"), Some(help))
            }
            Some(code) => (format!("there is no such object (404 {code})"), None),
            None if self.kind == Kind::Http => ("the server has no such file (404)".into(), None),
            None => ("there is no such object".into(), None),
        }
    }

    fn help_for(&self, answer: &Answer) -> Option<String> {
        if let (Some(region), 300..500) = (&answer.region, answer.status) {
            let where_to = format!("the bucket is in {region}");
            return Some(match &self.secret {
                Some(secret) => format!("{where_to}: make secret '{secret}' anew with REGION '{region}'"),
                None => {
                    format!("{where_to}: set AWS_REGION={region}, or make a secret with REGION '{region}'")
                }
            });
        }
        let code = answer.code.as_deref().unwrap_or_default();
        match (answer.status, code) {
            (_, "ExpiredToken" | "TokenRefreshRequired" | "ExpiredTokenException" | "RequestExpired") => {
                Some(format!("the credentials have expired: renew {}", self.credentials()))
            }
            (_, "RequestTimeTooSkewed") => Some("set this machine's clock".into()),
            (_, "InvalidAccessKeyId" | "SignatureDoesNotMatch" | "InvalidToken" | "InvalidAuthenticationInfo" | "AuthenticationFailed") => {
                Some(format!("the key or the secret is wrong: check {}", self.credentials()))
            }
            (400 | 401 | 403, _) => Some(match (&self.secret, self.kind) {
                (Some(secret), _) => format!("secret '{secret}' does not let one in here: check its values and its rights"),
                (None, Kind::Http) => {
                    "if one has to be let in: CREATE SECRET name (TYPE http, BEARER_TOKEN '…', SCOPE 'https://host/')".into()
                }
                (None, Kind::S3) => {
                    "no secret is for this URL: CREATE SECRET name (TYPE s3, KEY_ID '…', SECRET '…'), or set \
                     AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; for a public bucket PROVIDER anonymous"
                        .into()
                }
                (None, Kind::Gcs | Kind::Azure | Kind::Hdfs) => {
                    format!("no secret is for this URL: CREATE SECRET name (TYPE {}, …); see docs/stores.md", self.kind)
                }
            }),
            (429 | 503, _) => Some("the store is busy: try again later".into()),
            _ => None,
        }
    }

    fn credentials(&self) -> String {
        match &self.secret {
            Some(secret) => format!("secret '{secret}'"),
            None => "the credentials of the environment".into(),
        }
    }

    fn check_address(&self) -> String {
        let host = self.store.host_str().unwrap_or_default();
        match self.kind {
            Kind::Http | Kind::Hdfs => {
                let port = self.store.port().map(|port| format!(":{port}")).unwrap_or_default();
                format!("check that {host}{port} is the right address and that a server runs there")
            }
            Kind::S3 | Kind::Gcs | Kind::Azure => {
                "check the network, and ENDPOINT of the secret if the store is one of your own".into()
            }
        }
    }
}

fn deepest(error: &(dyn std::error::Error + 'static)) -> String {
    let last = std::iter::successors(Some(error), |error| error.source()).last().unwrap_or(error);
    crate::error::lower_first(last.to_string().trim_end_matches('.'))
}
