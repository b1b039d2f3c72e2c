//! Stores in a prefix of a bucket behind S3, Google Cloud Storage or Azure.
//!
//! A bucket's endpoint, region and keys come from the environment, as `object_store` reads them: `AWS_ENDPOINT`,
//! `AWS_REGION`, `AWS_ALLOW_HTTP`, `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`; `GOOGLE_*`; `AZURE_*`. A connection may
//! take five seconds, a request two minutes, and all retries of one operation together one minute.
use crate::address::Place;
use crate::error::StoreError;
use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::path::Path as Key;
use object_store::prefix::PrefixStore;
use object_store::{BackoffConfig, ClientOptions, ObjectStore, RetryConfig};
use std::sync::Arc;
use std::time::Duration;

/// Time after which a store that does not answer counts as unreachable.
const PATIENCE: Duration = Duration::from_secs(60);
const CONNECT: Duration = Duration::from_secs(5);
const SILENCE: Duration = Duration::from_secs(30);
const REQUEST: Duration = Duration::from_secs(120);

/// Opens a bucket of `s3`, `gs` or `az`. The bucket is not asked for anything yet.
pub(crate) fn open(address: &str) -> Result<(Arc<dyn ObjectStore>, Place), StoreError> {
    let patience = std::env::var("AGOGE_STORE_PATIENCE").ok();
    let patience = patience.and_then(|text| text.parse().ok());
    bucket(address, patience.map_or(PATIENCE, Duration::from_secs))
}

/// Opens a bucket whose every operation is retried for `patience` at most.
fn bucket(address: &str, patience: Duration) -> Result<(Arc<dyn ObjectStore>, Place), StoreError> {
    let address = address.trim_end_matches('/');
    let wrong = || StoreError::Address(address.to_owned());
    let (scheme, rest) = address.split_once("://").ok_or_else(wrong)?;
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    if bucket.is_empty() || bucket.contains(['@', ':', '?', '#']) {
        return Err(wrong());
    }
    let prefix = Key::parse(prefix).map_err(|_| wrong())?;
    // Fails when a provider is installed already: then there is one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = ClientOptions::new()
        .with_connect_timeout(CONNECT.min(patience))
        .with_read_timeout(SILENCE.min(patience))
        .with_timeout(REQUEST);
    let retry = RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(200),
            max_backoff: Duration::from_secs(5),
            base: 2.0,
        },
        max_retries: 30,
        retry_timeout: patience,
    };
    let failed = |source| StoreError::Storage {
        doing: "open",
        path: address.to_owned(),
        source,
    };
    let place = Place::Bucket(address.to_owned());
    Ok(match scheme {
        "s3" | "s3a" => {
            // Options of the client replace those from the environment, so that this one is carried over.
            let plain = std::env::var("AWS_ALLOW_HTTP").is_ok_and(|v| v == "true" || v == "1");
            let store = AmazonS3Builder::from_env()
                .with_bucket_name(bucket)
                .with_client_options(client.with_allow_http(plain))
                .with_retry(retry)
                .build()
                .map_err(failed)?;
            (Arc::new(PrefixStore::new(store, prefix)), place)
        }
        "gs" => {
            let store = GoogleCloudStorageBuilder::from_env()
                .with_bucket_name(bucket)
                .with_client_options(client)
                .with_retry(retry)
                .build()
                .map_err(failed)?;
            (Arc::new(PrefixStore::new(store, prefix)), place)
        }
        "az" => {
            let store = MicrosoftAzureBuilder::from_env()
                .with_container_name(bucket)
                .with_client_options(client)
                .with_retry(retry)
                .build()
                .map_err(failed)?;
            (Arc::new(PrefixStore::new(store, prefix)), place)
        }
        _ => return Err(wrong()),
    })
}

/// Returns the failure of a bucket that an error of it stands for: no such bucket, no answer, or refused credentials.
pub(crate) fn failure(store: String, error: &object_store::Error) -> Option<StoreError> {
    if no_bucket(error) {
        return Some(StoreError::NoBucket { store });
    }
    if let Some(why) = silence(error) {
        return Some(StoreError::Unreachable { store, why });
    }
    let refused = matches!(
        error,
        object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. }
    );
    refused.then(|| StoreError::Unauthorized {
        store,
        why: root(error),
    })
}

/// Returns the innermost cause of an error, in at most 200 characters.
fn root(error: &dyn std::error::Error) -> String {
    let mut inner = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string().chars().take(200).collect()
}

/// Returns why a bucket did not answer, if that is the error: no connection, no answer in time, or a failing server.
fn silence(error: &object_store::Error) -> Option<String> {
    use object_store::client::{HttpError, HttpErrorKind};
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    let mut unreachable = false;
    let mut last = String::new();
    while let Some(error) = cause {
        last = error.to_string();
        if let Some(http) = error.downcast_ref::<HttpError>() {
            unreachable |= !matches!(http.kind(), HttpErrorKind::Decode | HttpErrorKind::Unknown);
        }
        // The retry layer keeps its type to itself; what it says of a failing server is stable.
        unreachable |= last.starts_with("Server returned non-2xx status code: 5");
        cause = error.source();
    }
    unreachable.then_some(last)
}

/// Tells whether an error says that the bucket itself is missing.
pub(crate) fn no_bucket(error: &object_store::Error) -> bool {
    let text = format!("{error} {error:?}");
    text.contains("NoSuchBucket") || text.contains("ContainerNotFound")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Store;

    #[test]
    fn a_bucket_where_nobody_listens_is_unreachable_and_not_a_hang() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let store = AmazonS3Builder::new()
            .with_endpoint(format!("http://127.0.0.1:{port}"))
            .with_allow_http(true)
            .with_bucket_name("runs")
            .with_access_key_id("k")
            .with_secret_access_key("s")
            .with_retry(RetryConfig {
                max_retries: 2,
                retry_timeout: Duration::from_secs(5),
                ..RetryConfig::default()
            });
        let _ = rustls::crypto::ring::default_provider().install_default();
        let place = Place::Bucket("s3://runs".into());
        let store = Store::over(Arc::new(store.build().unwrap()), place).unwrap();
        let error = store.put(b"x").unwrap_err();
        assert!(error.is_unreachable(), "{error:?}");
        assert!(error.to_string().contains("s3://runs"), "{error}");
    }

    #[test]
    fn an_invalid_address_is_refused() {
        for bad in ["s3://", "s3:///x", "ftp://b/x", "s3://key:secret@b/x"] {
            let opened = bucket(bad, PATIENCE);
            assert!(matches!(opened, Err(StoreError::Address(_))), "{bad}");
        }
    }
}
