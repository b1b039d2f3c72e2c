//! Whose token it is: asked of the API server, and remembered for a while.

use futures::future::BoxFuture;
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, TokenReviewStatus};
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// The audience that a token must be issued for.
pub const AUDIENCE: &str = "agoge-progress";
const POD_NAME: &str = "authentication.kubernetes.io/pod-name";
const POD_UID: &str = "authentication.kubernetes.io/pod-uid";
/// How long an answer holds.
const GOOD_FOR: Duration = Duration::from_secs(60);
/// How long a refusal holds: a Pod may report a moment before its token is known everywhere.
const REFUSED_FOR: Duration = Duration::from_secs(5);
const REMEMBERED: usize = 4096;
const AT_ONCE: usize = 16;
const PATIENCE: Duration = Duration::from_secs(5);

/// The Pod a token is bound to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub pod_name: String,
    /// Its uid.
    pub pod_uid: String,
}

/// Why a token could not be judged.
#[derive(Debug, thiserror::Error)]
pub enum ReviewError {
    /// Too many are being judged; to be tried again.
    #[error("too many tokens are being reviewed")]
    Busy,
    /// The API server did not answer in time.
    #[error("the token review got no answer in time")]
    Late,
    /// The API server refused or could not be reached.
    #[error("reviewing a token: {0}")]
    Api(#[from] kube::Error),
}

/// Judges tokens.
pub trait Review: Send + Sync + 'static {
    /// The Pod the token is bound to; `None` if it is not good, not for [`AUDIENCE`], or bound to no Pod.
    fn review<'a>(&'a self, token: &'a str)
    -> BoxFuture<'a, Result<Option<Identity>, ReviewError>>;
}

/// Asks the API server.
pub struct KubeReview {
    api: Api<TokenReview>,
}

impl KubeReview {
    /// By this client.
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
            let answer =
                tokio::time::timeout(PATIENCE, self.api.create(&parameters, &review)).await;
            let answer = answer.map_err(|_| ReviewError::Late)??;
            Ok(answer.status.as_ref().and_then(identity))
        })
    }
}

fn identity(status: &TokenReviewStatus) -> Option<Identity> {
    let ours = status
        .audiences
        .iter()
        .flatten()
        .any(|audience| audience == AUDIENCE);
    if status.authenticated != Some(true) || !ours {
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

/// What a token was found to be, and until when that counts.
type Answer = (Instant, Option<Identity>);

/// Remembers what another said about a token, by the token's SHA-256.
pub struct Cached<R> {
    inner: R,
    known: Mutex<HashMap<[u8; 32], Answer>>,
    turns: Semaphore,
}

impl<R: Review> Cached<R> {
    /// Remembers what `inner` says.
    #[must_use]
    pub fn new(inner: R) -> Self {
        Self {
            inner,
            known: Mutex::default(),
            turns: Semaphore::new(AT_ONCE),
        }
    }

    fn recall(&self, key: &[u8; 32]) -> Option<Option<Identity>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known
            .get(key)
            .filter(|(until, _)| Instant::now() < *until)
            .map(|(_, identity)| identity.clone())
    }

    fn remember(&self, key: [u8; 32], identity: Option<Identity>) {
        let now = Instant::now();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= REMEMBERED {
            known.retain(|_, (until, _)| now < *until);
        }
        if known.len() >= REMEMBERED
            && let Some(oldest) = known
                .iter()
                .min_by_key(|(_, (until, _))| *until)
                .map(|(key, _)| *key)
        {
            known.remove(&oldest);
        }
        let hold = if identity.is_some() {
            GOOD_FOR
        } else {
            REFUSED_FOR
        };
        known.insert(key, (now + hold, identity));
    }
}

impl<R: Review> Review for Cached<R> {
    fn review<'a>(
        &'a self,
        token: &'a str,
    ) -> BoxFuture<'a, Result<Option<Identity>, ReviewError>> {
        Box::pin(async move {
            let key: [u8; 32] = Sha256::digest(token.as_bytes()).into();
            if let Some(identity) = self.recall(&key) {
                return Ok(identity);
            }
            let _turn = self.turns.try_acquire().map_err(|_| ReviewError::Busy)?;
            let identity = self.inner.review(token).await?;
            self.remember(key, identity.clone());
            Ok(identity)
        })
    }
}
