//! Token reviews: the API server says which Pod a token is bound to. Answers are cached for a while.

use futures::future::BoxFuture;
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, TokenReviewStatus};
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// The audience that a token must be issued for.
pub const AUDIENCE: &str = "agoge-progress";
const POD_NAME: &str = "authentication.kubernetes.io/pod-name";
const POD_UID: &str = "authentication.kubernetes.io/pod-uid";
/// The time for which the review of a good token is cached.
const CACHE_GOOD: Duration = Duration::from_secs(60);
/// The time for which a refusal is cached: a Pod may report a moment before its token is known everywhere.
const CACHE_REFUSED: Duration = Duration::from_secs(5);
/// The most reviews that are cached.
const MAX_CACHED: usize = 4096;
/// The most reviews at a time.
const MAX_CONCURRENT: usize = 16;
/// The time after which a review counts as failed.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The Pod that a token is bound to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub pod_name: String,
    /// Its uid.
    pub pod_uid: String,
}

/// A token that could not be reviewed.
#[derive(Debug, thiserror::Error)]
pub enum ReviewError {
    /// Too many are being reviewed; the report may be retried.
    #[error("too many tokens are being reviewed")]
    Busy,
    /// The API server did not answer in time.
    #[error("the API server did not answer a token review in time")]
    Late,
    /// The API server refused or could not be reached.
    #[error("cannot review a token: {0}")]
    Api(#[from] kube::Error),
}

/// Reviews tokens.
pub trait Review: Send + Sync + 'static {
    /// Returns the Pod that a token is bound to; `None` if it is invalid, not for [`AUDIENCE`], or not bound to a Pod.
    fn review<'a>(&'a self, token: &'a str)
    -> BoxFuture<'a, Result<Option<Identity>, ReviewError>>;
}

/// Reviews tokens by the API server.
pub struct KubeReview {
    api: Api<TokenReview>,
}

impl KubeReview {
    /// Creates a reviewer with this client.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self {
            api: Api::all(client),
        }
    }
}

impl Review for KubeReview {
    fn review<'a>(
        &'a self,
        token: &'a str,
    ) -> BoxFuture<'a, Result<Option<Identity>, ReviewError>> {
        Box::pin(async move {
            let review = TokenReview {
                metadata: ObjectMeta::default(),
                spec: TokenReviewSpec {
                    audiences: Some(vec![AUDIENCE.to_owned()]),
                    token: token.to_owned(),
                },
                status: None,
            };
            let parameters = PostParams::default();
            let answer = tokio::time::timeout(TIMEOUT, self.api.create(&parameters, &review)).await;
            let answer = answer.map_err(|_| ReviewError::Late)??;
            Ok(answer.status.as_ref().and_then(identity))
        })
    }
}

/// Returns the Pod that a reviewed token is bound to.
fn identity(status: &TokenReviewStatus) -> Option<Identity> {
    let for_us = status
        .audiences
        .iter()
        .flatten()
        .any(|audience| audience == AUDIENCE);
    if status.authenticated != Some(true) || !for_us {
        return None;
    }
    let user = status.user.as_ref()?;
    let mut account = user
        .username
        .as_deref()?
        .strip_prefix("system:serviceaccount:")?
        .split(':');
    let extra = |key| user.extra.as_ref()?.get(key)?.first().cloned();
    Some(Identity {
        namespace: account.next()?.to_owned(),
        pod_name: extra(POD_NAME)?,
        pod_uid: extra(POD_UID)?,
    })
}

/// A cached review, and the time until which it holds.
type Answer = (Instant, Option<Identity>);

/// A cache of reviews, by the SHA-256 of the token.
pub struct Cached<R> {
    inner: R,
    cache: Mutex<HashMap<[u8; 32], Answer>>,
    permits: Semaphore,
}

impl<R: Review> Cached<R> {
    /// Caches the reviews of `inner`.
    #[must_use]
    pub fn new(inner: R) -> Self {
        Self {
            inner,
            cache: Mutex::default(),
            permits: Semaphore::new(MAX_CONCURRENT),
        }
    }

    fn get(&self, key: &[u8; 32]) -> Option<Option<Identity>> {
        let cache = self.cache.lock();
        cache
            .get(key)
            .filter(|(until, _)| Instant::now() < *until)
            .map(|(_, identity)| identity.clone())
    }

    fn put(&self, key: [u8; 32], identity: Option<Identity>) {
        let now = Instant::now();
        let mut cache = self.cache.lock();
        if cache.len() >= MAX_CACHED {
            cache.retain(|_, (until, _)| now < *until);
        }
        if cache.len() >= MAX_CACHED
            && let Some(oldest) = cache
                .iter()
                .min_by_key(|(_, (until, _))| *until)
                .map(|(key, _)| *key)
        {
            cache.remove(&oldest);
        }
        let hold = if identity.is_some() {
            CACHE_GOOD
        } else {
            CACHE_REFUSED
        };
        cache.insert(key, (now + hold, identity));
    }
}

impl<R: Review> Review for Cached<R> {
    fn review<'a>(
        &'a self,
        token: &'a str,
    ) -> BoxFuture<'a, Result<Option<Identity>, ReviewError>> {
        Box::pin(async move {
            let key: [u8; 32] = Sha256::digest(token.as_bytes()).into();
            if let Some(identity) = self.get(&key) {
                return Ok(identity);
            }
            let _permit = self.permits.try_acquire().map_err(|_| ReviewError::Busy)?;
            let identity = self.inner.review(token).await?;
            self.put(key, identity.clone());
            Ok(identity)
        })
    }
}
