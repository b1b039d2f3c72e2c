//! Where a store lies: a folder, or a prefix of a bucket behind S3, Google Cloud Storage or Azure.
//!
//! A bucket's endpoint, region and keys come from the environment, as `object_store` reads them: `AWS_ENDPOINT`,
//! `AWS_REGION`, `AWS_ALLOW_HTTP`, `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`; `GOOGLE_*`; `AZURE_*`. A connection is
//! given five seconds, a request two minutes, and all tries of one operation a minute: nothing waits for ever.
use crate::atomic::WriteError;
use crate::objects::StoreError;
use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::local::LocalFileSystem;
use object_store::path::Path as Key;
use object_store::prefix::PrefixStore;
use object_store::{BackoffConfig, ClientOptions, ObjectStore, RetryConfig};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How long one operation is tried before a store counts as unreachable.
const PATIENCE: Duration = Duration::from_secs(60);
const CONNECT: Duration = Duration::from_secs(5);
const SILENCE: Duration = Duration::from_secs(30);
const REQUEST: Duration = Duration::from_secs(120);

/// Where a store lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// A folder, in its canonical form.
    Folder(PathBuf),
    /// Anything else: its address without a slash at the end.
    Bucket(String),
}

impl Place {
    /// The full name of a path in there, for messages.
    pub fn describe(&self, path: &str) -> String {
        match self {
            Place::Folder(root) => root.join(path).display().to_string(),
            Place::Bucket(address) => format!("{address}/{path}"),
        }
    }

    /// Its address.
    pub fn address(&self) -> String {
        match self {
            Place::Folder(root) => root.display().to_string(),
            Place::Bucket(address) => address.clone(),
        }
    }
}

/// Opens what an address names. A folder is made if it is missing; a bucket is not asked yet.
pub(crate) fn open(address: &Path) -> Result<(Arc<dyn ObjectStore>, Place), StoreError> {
    let text = address.to_string_lossy();
    match text.split_once("://") {
        Some(("file", path)) if path.starts_with('/') => folder(Path::new(path)),
        Some(_) => {
            let patience = std::env::var("AGOGE_STORE_PATIENCE").ok();
            let patience = patience.and_then(|text| text.parse().ok());
            bucket(&text, patience.map_or(PATIENCE, Duration::from_secs))
        }
        None => folder(address),
    }
}

fn folder(root: &Path) -> Result<(Arc<dyn ObjectStore>, Place), StoreError> {
    std::fs::create_dir_all(root).map_err(WriteError::at("make the folder", root))?;
    let root = root
        .canonicalize()
        .map_err(WriteError::at("find the folder", root))?;
    let local = LocalFileSystem::new_with_prefix(&root)
        .map_err(|source| StoreError::Storage {
            doing: "open",
            path: root.display().to_string(),
            source,
        })?
        .with_fsync(true);
    Ok((Arc::new(local), Place::Folder(root)))
}

/// A bucket of `s3`, `gs` or `az`; every operation on it is tried for `patience` at most.
pub(crate) fn bucket(
    address: &str,
    patience: Duration,
) -> Result<(Arc<dyn ObjectStore>, Place), StoreError> {
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

/// Why a bucket did not answer, if that is what an error says: nobody there, nothing in time, or a server that fails.
pub(crate) fn silence(error: &object_store::Error) -> Option<String> {
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

/// Whether an error says that the bucket itself is missing.
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
    fn an_address_that_is_none_is_refused() {
        for bad in ["s3://", "s3:///x", "ftp://b/x", "s3://key:secret@b/x"] {
            let opened = bucket(bad, PATIENCE);
            assert!(matches!(opened, Err(StoreError::Address(_))), "{bad}");
        }
    }
}
