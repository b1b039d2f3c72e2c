//! The certificate authority that workers trust, and the serving certificate that it issues. The authority is created once,
//! kept in a Secret, and read by every replica.

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use parking_lot::RwLock;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use time::OffsetDateTime;

/// The Secret's name.
pub const SECRET: &str = "agoge-ca";
const CERTIFICATE: &str = "tls.crt";
const KEY: &str = "tls.key";
const COMMON_NAME: &str = "agoge-ca";
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// The lifetime of the authority.
const AUTHORITY_LIFETIME: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);
/// The lifetime of a serving certificate, which is renewed after two thirds of it.
const SERVING_LIFETIME: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// Certificates are valid since an hour ago, for machines whose clocks are slow.
const BACKDATED: Duration = Duration::from_secs(60 * 60);

/// An authority or certificate that cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    /// The Secret could not be read.
    #[error("cannot read the Secret {SECRET}: {0}")]
    Read(#[source] kube::Error),
    /// The Secret could not be created.
    #[error("cannot create the Secret {SECRET}: {0}")]
    Create(#[source] kube::Error),
    /// The Secret holds no certificate with its key. It is left alone; if it is deleted, a new one is created.
    #[error(
        "the Secret {SECRET} holds no usable certificate and key ({0}); delete it, and a new one is created"
    )]
    Unusable(&'static str),
    /// A certificate could not be created.
    #[error("cannot create a certificate: {0}")]
    Make(#[from] rcgen::Error),
    /// A certificate could not be served.
    #[error("cannot serve a certificate: {0}")]
    Use(#[from] rustls::Error),
}

/// A certificate authority.
pub struct Authority {
    certificate: String,
    key: KeyPair,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Authority").finish_non_exhaustive()
    }
}

impl Authority {
    /// Creates a new authority.
    ///
    /// # Errors
    /// [`CaError::Make`].
    pub fn generate() -> Result<Self, CaError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let certificate = parameters().self_signed(&key)?.pem();
        Ok(Self { certificate, key })
    }

    /// Reads an authority from PEM.
    ///
    /// # Errors
    /// [`CaError::Unusable`].
    pub fn from_pem(certificate: &str, key: &str) -> Result<Self, CaError> {
        let der = CertificateDer::from_pem_slice(certificate.as_bytes())
            .map_err(|_| CaError::Unusable("its tls.crt is not a certificate"))?;
        let pair = KeyPair::from_pem(key)
            .map_err(|_| CaError::Unusable("its tls.key is not a private key"))?;
        let private = PrivateKeyDer::try_from(pair.serialize_der())
            .map_err(|_| CaError::Unusable("its tls.key is not a private key"))?;
        CertifiedKey::from_der(vec![der], private, &default_provider())
            .map_err(|_| CaError::Unusable("its key does not belong to its certificate"))?;
        Ok(Self {
            certificate: certificate.to_owned(),
            key: pair,
        })
    }

    /// Returns the authority in the Secret [`SECRET`] of this namespace, which is created if it does not exist. Any number of
    /// replicas may do this at once, and all get the same.
    ///
    /// # Errors
    /// [`CaError`]; an unusable Secret is not replaced.
    pub async fn ensure(client: Client, namespace: &str) -> Result<Self, CaError> {
        let secrets: Api<Secret> = Api::namespaced(client, namespace);
        if let Some(secret) = secrets.get_opt(SECRET).await.map_err(CaError::Read)? {
            return Self::from_secret(&secret);
        }
        let authority = Self::generate()?;
        match secrets
            .create(&PostParams::default(), &authority.secret())
            .await
        {
            Ok(_) => Ok(authority),
            Err(kube::Error::Api(status)) if status.is_already_exists() => {
                Self::from_secret(&secrets.get(SECRET).await.map_err(CaError::Read)?)
            }
            Err(error) => Err(CaError::Create(error)),
        }
    }

    /// Returns the certificate that a worker has to trust, PEM.
    #[must_use]
    pub fn bundle(&self) -> &str {
        &self.certificate
    }

    fn from_secret(secret: &Secret) -> Result<Self, CaError> {
        let text = |key| {
            let bytes = secret.data.as_ref().and_then(|data| data.get(key))?;
            std::str::from_utf8(&bytes.0).ok()
        };
        let certificate = text(CERTIFICATE).ok_or(CaError::Unusable("it has no tls.crt"))?;
        Self::from_pem(
            certificate,
            text(KEY).ok_or(CaError::Unusable("it has no tls.key"))?,
        )
    }

    fn secret(&self) -> Secret {
        let labels = [
            ("app.kubernetes.io/name", "agoge"),
            ("app.kubernetes.io/managed-by", "agoge-operator"),
        ];
        Secret {
            metadata: ObjectMeta {
                name: Some(SECRET.to_owned()),
                labels: Some(
                    labels
                        .map(|(key, value)| (key.to_owned(), value.to_owned()))
                        .into(),
                ),
                ..ObjectMeta::default()
            },
            type_: Some("kubernetes.io/tls".to_owned()),
            data: Some(BTreeMap::from([
                (
                    CERTIFICATE.to_owned(),
                    ByteString(self.certificate.clone().into_bytes()),
                ),
                (
                    KEY.to_owned(),
                    ByteString(self.key.serialize_pem().into_bytes()),
                ),
            ])),
            ..Secret::default()
        }
    }

    /// Issues a certificate for these names. Its key stays in memory.
    fn issue(&self, names: &[String]) -> Result<CertifiedKey, CaError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut parameters = CertificateParams::new(names)?;
        set_lifetime(&mut parameters, SERVING_LIFETIME);
        parameters
            .distinguished_name
            .push(DnType::CommonName, "agoge-progress");
        parameters.use_authority_key_identifier_extension = true;
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let certificate =
            parameters.signed_by(&key, &Issuer::new(self::parameters(), &self.key))?;
        Ok(CertifiedKey::from_der(
            vec![certificate.der().clone()],
            key.into(),
            &default_provider(),
        )?)
    }
}

/// Returns the parameters of the authority's certificate. Its name is fixed, so that the key is enough to issue others.
fn parameters() -> CertificateParams {
    let mut parameters = CertificateParams::default();
    set_lifetime(&mut parameters, AUTHORITY_LIFETIME);
    parameters
        .distinguished_name
        .push(DnType::CommonName, COMMON_NAME);
    parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    parameters
}

/// Sets the lifetime of a certificate.
fn set_lifetime(parameters: &mut CertificateParams, duration: Duration) {
    let now = OffsetDateTime::now_utc();
    parameters.not_before = now - BACKDATED;
    parameters.not_after = now + duration;
}

/// The serving certificate, which is renewed.
pub struct Serving {
    authority: Authority,
    names: Vec<String>,
    current: RwLock<Arc<CertifiedKey>>,
}

impl std::fmt::Debug for Serving {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Serving")
            .field("names", &self.names)
            .finish_non_exhaustive()
    }
}

impl Serving {
    /// Issues a certificate for the Service `agoge-progress` of this namespace.
    ///
    /// # Errors
    /// [`CaError`].
    pub fn new(authority: Authority, namespace: &str) -> Result<Arc<Self>, CaError> {
        let service = format!("agoge-progress.{namespace}.svc");
        let names = vec![
            format!("{service}.cluster.local"),
            service,
            "localhost".to_owned(),
        ];
        let current = RwLock::new(Arc::new(authority.issue(&names)?));
        Ok(Arc::new(Self {
            authority,
            names,
            current,
        }))
    }

    /// Returns the authority.
    #[must_use]
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Issues a new certificate for all connections from now on.
    ///
    /// # Errors
    /// [`CaError`]; the old certificate stays.
    pub fn renew(&self) -> Result<(), CaError> {
        let next = Arc::new(self.authority.issue(&self.names)?);
        *self.current.write() = next;
        Ok(())
    }

    /// Renews the certificate after two thirds of its lifetime, forever.
    pub(crate) async fn keep_fresh(&self) {
        let mut wait = SERVING_LIFETIME * 2 / 3;
        loop {
            tokio::time::sleep(wait).await;
            wait = match self.renew() {
                Ok(()) => SERVING_LIFETIME * 2 / 3,
                Err(error) => {
                    tracing::warn!(%error, "the serving certificate could not be renewed");
                    DAY
                }
            };
        }
    }
}

impl ResolvesServerCert for Serving {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current.read()))
    }
}
