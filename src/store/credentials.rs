//! Credentials for S3 from where AWS's own tools look for them, fetched again before they expire.
//!
//! ```text
//! environment ─> profile (keys, SSO, roles) ─> web identity ─> container ─> instance metadata ─> none: anonymous
//! ```
//!
//! The first source that has any is asked; those behind it hear nothing. A secret with a profile asks that profile
//! alone.

mod sources;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_credential_types::provider::error::CredentialsError;
use datafusion::object_store::aws::AwsCredential;
use datafusion::object_store::{CredentialProvider, Error, Result};
use tokio::sync::Mutex;

use crate::error::StoreError;
use crate::hidden;

/// Credentials are fetched anew when so little of their life is left, or a quarter if that is less.
const REFRESH_BEFORE_MAX: Duration = Duration::from_secs(300);
/// A source that does not answer for so long never does.
const FETCH_TIME_MAX: Duration = Duration::from_secs(30);

/// What a store of S3 is to be opened with.
#[derive(Debug)]
pub struct Found {
    /// Who signs requests; `None` is nobody: no source has any credentials.
    pub provider: Option<Arc<Chain>>,
    /// The region that the environment or the profile names.
    pub region: Option<String>,
}

/// Looks for credentials, those of a profile if one is named. To be called on the threads for I/O.
///
/// # Errors
/// A source that is set up and gives none: a profile that is not there, a server that refuses.
pub async fn find(url: &str, profile: Option<&str>) -> Result<Found> {
    let sources::Sources { provider, region } = sources::sources(profile).await;
    let chain = Chain {
        url: url.to_string(),
        profile: profile.map(str::to_string),
        provider,
        held: Mutex::default(),
    };
    match chain.fetch().await {
        Ok(held) => {
            *chain.held.lock().await = Some(held);
            Ok(Found { provider: Some(Arc::new(chain)), region })
        }
        Err(CredentialsError::CredentialsNotLoaded(_)) if profile.is_none() => {
            Ok(Found { provider: None, region })
        }
        Err(error) => Err(chain.failed(error)),
    }
}

/// A source of credentials, and what it gave last.
pub struct Chain {
    /// What they are for, for messages.
    url: String,
    profile: Option<String>,
    provider: SharedCredentialsProvider,
    /// Whoever fetches holds it, so that nobody else fetches too.
    held: Mutex<Option<Held>>,
}

/// Credentials and how long they are good for.
#[derive(Clone)]
struct Held {
    credential: Arc<AwsCredential>,
    fetched: SystemTime,
    expires: Option<SystemTime>,
}

impl Held {
    fn is_fresh(&self, now: SystemTime) -> bool {
        let Some(expires) = self.expires else { return true };
        let life = expires.duration_since(self.fetched).unwrap_or_default();
        expires.duration_since(now).is_ok_and(|left| left > REFRESH_BEFORE_MAX.min(life / 4))
    }

    fn is_good(&self, now: SystemTime) -> bool {
        self.expires.is_none_or(|expires| expires > now)
    }
}

impl Chain {
    async fn fetch(&self) -> Result<Held, CredentialsError> {
        let asked = self.provider.provide_credentials();
        let found = tokio::time::timeout(FETCH_TIME_MAX, asked).await;
        let found = found.unwrap_or_else(|_| Err(CredentialsError::provider_timed_out(FETCH_TIME_MAX)))?;
        Ok(Held {
            credential: Arc::new(credential(&found)),
            fetched: SystemTime::now(),
            expires: found.expiry(),
        })
    }

    fn failed(&self, error: CredentialsError) -> Error {
        let of = match &self.profile {
            Some(profile) => format!("the credentials of profile '{profile}'"),
            None => "credentials".to_string(),
        };
        let told = hidden::hidden(told(&error));
        StoreError::new(hidden::hide(&self.url), format!("{of} could not be had: {told}"))
            .with_help(
                "docs/secrets.md tells where they are looked for; CREATE SECRET (TYPE s3, …) gives others",
            )
            .into()
    }
}

/// The credentials as the store takes them. They are hidden from now on.
fn credential(found: &Credentials) -> AwsCredential {
    let parts = [Some(found.access_key_id()), Some(found.secret_access_key()), found.session_token()];
    parts.into_iter().flatten().for_each(hidden::keep);
    AwsCredential {
        key_id: found.access_key_id().to_string(),
        secret_key: found.secret_access_key().to_string(),
        token: found.session_token().map(str::to_string),
    }
}

/// What the source said, the cause last; what is said twice once.
fn told(error: &CredentialsError) -> String {
    let mut texts: Vec<String> = Vec::new();
    let causes = std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source());
    for text in causes.map(ToString::to_string) {
        if !text.is_empty() && !texts.iter().any(|known| known.contains(&text)) {
            texts.push(text);
        }
    }
    // The first says only that there was an error.
    if texts.len() > 1 {
        texts.remove(0);
    }
    texts.join(": ")
}

#[async_trait]
impl CredentialProvider for Chain {
    type Credential = AwsCredential;

    /// Those that are held, or new ones if they are about to expire. A source that fails then is asked again at the
    /// next request, as long as the old ones are good.
    async fn get_credential(&self) -> Result<Arc<AwsCredential>> {
        let mut held = self.held.lock().await;
        if let Some(held) = held.as_ref()
            && held.is_fresh(SystemTime::now())
        {
            return Ok(Arc::clone(&held.credential));
        }
        match self.fetch().await {
            Ok(new) => Ok(Arc::clone(&held.insert(new).credential)),
            Err(error) => match held.as_ref().filter(|held| held.is_good(SystemTime::now())) {
                Some(held) => Ok(Arc::clone(&held.credential)),
                None => Err(self.failed(error)),
            },
        }
    }
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chain").field("profile", &self.profile).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use aws_credential_types::provider::future;

    use super::*;

    fn held(life: u64) -> (Held, SystemTime) {
        let fetched = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let credential = AwsCredential { key_id: String::new(), secret_key: String::new(), token: None };
        let expires = Some(fetched + Duration::from_secs(life));
        (Held { credential: Arc::new(credential), fetched, expires }, fetched)
    }

    #[test]
    fn credentials_are_fetched_before_they_expire() {
        let (hour, start) = held(3600);
        let at = |seconds| start + Duration::from_secs(seconds);
        assert!(hour.is_fresh(at(3000)) && !hour.is_fresh(at(3301)));
        assert!(hour.is_good(at(3599)) && !hour.is_good(at(3600)));
        let (short, start) = held(100);
        assert!(
            short.is_fresh(start + Duration::from_secs(70)),
            "a source that gives short ones is not asked each time"
        );
        assert!(!short.is_fresh(start + Duration::from_secs(76)));
        let endless = Held { expires: None, ..hour };
        assert!(endless.is_fresh(at(1 << 40)) && endless.is_good(at(1 << 40)));
    }

    /// Answers in turn; `None` is a failure.
    #[derive(Debug)]
    struct Source(std::sync::Mutex<Vec<Option<&'static str>>>);

    impl ProvideCredentials for Source {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            let answer = self.0.lock().unwrap().remove(0);
            future::ProvideCredentials::ready(match answer {
                Some(id) => Ok(Credentials::new(id, "never-seen-key", None, None, "test")),
                None => Err(CredentialsError::provider_error("the service is closed")),
            })
        }
    }

    #[tokio::test]
    async fn old_credentials_are_used_while_they_are_good_and_no_new_ones_come() {
        let provider =
            SharedCredentialsProvider::new(Source(vec![None, None, Some("AKIDNEWEST"), None].into()));
        let chain = Chain { url: "s3://b".into(), profile: None, provider, held: Mutex::default() };
        let expiring = |left: i64| {
            let now = SystemTime::now();
            let credential = AwsCredential { key_id: "old".into(), secret_key: String::new(), token: None };
            let fetched = now - Duration::from_secs(1000);
            let expires =
                Some(now + Duration::from_secs(100) - Duration::from_secs((100 - left).unsigned_abs()));
            Held { credential: Arc::new(credential), fetched, expires }
        };
        *chain.held.lock().await = Some(expiring(50));
        assert_eq!(chain.get_credential().await.unwrap().key_id, "old");
        *chain.held.lock().await = Some(expiring(-1));
        let error = chain.get_credential().await.unwrap_err().to_string();
        assert!(error.contains("'s3://b'") && error.contains("the service is closed"), "{error}");
        for _ in 0..2 {
            assert_eq!(chain.get_credential().await.unwrap().key_id, "AKIDNEWEST");
        }
    }
}
