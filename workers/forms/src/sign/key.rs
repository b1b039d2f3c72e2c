//! Keys of ed25519 as files: PEM of PKCS #8 and of SubjectPublicKeyInfo, as OpenSSL writes and reads them.
//!
//! A secret key is never printed: it has no `Display`, and its `Debug` shows the public key.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};

/// The bytes before the seed in PKCS #8.
const SECRET: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];
/// The bytes before the key in SubjectPublicKeyInfo.
const PUBLIC: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];
/// The label of a secret key.
const SECRET_LABEL: &str = "PRIVATE KEY";
/// The label of a public key.
const PUBLIC_LABEL: &str = "PUBLIC KEY";
/// A key file is smaller than this.
const MOST: u64 = 4096;

/// A key that signs.
pub struct SecretKey(SigningKey);

/// A key that checks signatures, as base64 of its 32 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PublicKey(VerifyingKey);

/// The reason why a key cannot be read or made. It never contains a key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// A file cannot be read or written.
    #[error("{}: {source}", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A file is no key.
    #[error("{}: it is no {wanted} key of ed25519; `agoge key new FILE` makes a pair", file.display())]
    NoKey {
        /// The file.
        file: PathBuf,
        /// `secret` or `public`.
        wanted: &'static str,
    },
}

impl SecretKey {
    /// Draws a key from the operating system.
    ///
    /// # Errors
    /// The system gives no random bytes.
    pub fn draw() -> Result<Self, KeyError> {
        let source = Path::new("/dev/urandom");
        let mut seed = [0; 32];
        let drawn = File::open(source).and_then(|mut file| file.read_exact(&mut seed));
        drawn.map_err(|error| failed(source, error))?;
        Ok(Self::of_seed(seed))
    }

    /// The key of a seed.
    #[must_use]
    pub fn of_seed(seed: [u8; 32]) -> Self {
        Self(SigningKey::from_bytes(&seed))
    }

    /// Reads a file: PEM of PKCS #8, or the 32 bytes of a seed as they are.
    ///
    /// # Errors
    /// [`KeyError`]
    pub fn read(file: &Path) -> Result<Self, KeyError> {
        let bytes = read(file)?;
        let seed = raw(&bytes).or_else(|| unwrapped(&bytes, SECRET_LABEL, &SECRET));
        let wanted = "secret";
        let seed = seed.ok_or_else(|| KeyError::NoKey {
            file: file.to_owned(),
            wanted,
        })?;
        Ok(Self::of_seed(seed))
    }

    /// Writes the key to a new file that only its owner reads, and its public key beside it as `FILE.pub`.
    ///
    /// # Errors
    /// A file that is there already or cannot be written.
    pub fn write(&self, file: &Path) -> Result<PathBuf, KeyError> {
        let mut name = file.as_os_str().to_owned();
        name.push(".pub");
        let beside = PathBuf::from(name);
        let secret = pem(SECRET_LABEL, &SECRET, &self.0.to_bytes());
        create(file, 0o600, &secret)?;
        let public = pem(PUBLIC_LABEL, &PUBLIC, &self.public().0.to_bytes());
        create(&beside, 0o644, &public)?;
        Ok(beside)
    }

    /// The key that checks its signatures.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    pub(super) fn signing(&self) -> &SigningKey {
        &self.0
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey(of {})", self.public())
    }
}

impl PublicKey {
    /// Reads a file: PEM of SubjectPublicKeyInfo, or the 32 bytes as they are.
    ///
    /// # Errors
    /// [`KeyError`]
    pub fn read(file: &Path) -> Result<Self, KeyError> {
        let bytes = read(file)?;
        let found = raw(&bytes).or_else(|| unwrapped(&bytes, PUBLIC_LABEL, &PUBLIC));
        let key = found.and_then(|bytes| VerifyingKey::from_bytes(&bytes).ok());
        let wanted = "public";
        key.map(Self).ok_or_else(|| KeyError::NoKey {
            file: file.to_owned(),
            wanted,
        })
    }

    /// Returns true when a signature of these bytes is by this key.
    pub(super) fn holds(&self, bytes: &[u8], signature: &Signature) -> bool {
        self.0.verify_strict(bytes, signature).is_ok()
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(self.0.to_bytes()))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

impl TryFrom<String> for PublicKey {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let bytes = STANDARD.decode(text).ok();
        let bytes = bytes.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        let key = bytes.and_then(|bytes| VerifyingKey::from_bytes(&bytes).ok());
        key.map(Self)
            .ok_or("it is no public key of ed25519 in base64")
    }
}

impl From<PublicKey> for String {
    fn from(key: PublicKey) -> Self {
        key.to_string()
    }
}

fn read(file: &Path) -> Result<Vec<u8>, KeyError> {
    let mut bytes = Vec::new();
    let opened = File::open(file).map_err(|error| failed(file, error))?;
    let read = opened.take(MOST).read_to_end(&mut bytes);
    read.map_err(|error| failed(file, error))?;
    Ok(bytes)
}

fn create(file: &Path, mode: u32, text: &str) -> Result<(), KeyError> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut options = OpenOptions::new();
    let made = options.write(true).create_new(true).mode(mode).open(file);
    let written = made.and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| failed(file, error))
}

fn failed(file: &Path, source: io::Error) -> KeyError {
    KeyError::File {
        file: file.to_owned(),
        source,
    }
}

fn raw(bytes: &[u8]) -> Option<[u8; 32]> {
    bytes.try_into().ok()
}

fn pem(label: &str, before: &[u8], key: &[u8; 32]) -> String {
    let der = [before, key].concat();
    format!(
        "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
        STANDARD.encode(der)
    )
}

/// Returns the 32 bytes that follow these in a PEM block of this label.
fn unwrapped(text: &[u8], label: &str, before: &[u8]) -> Option<[u8; 32]> {
    let text = std::str::from_utf8(text).ok()?;
    let (_, rest) = text.split_once(&format!("-----BEGIN {label}-----"))?;
    let (body, _) = rest.split_once(&format!("-----END {label}-----"))?;
    let body: String = body.split_whitespace().collect();
    let der = STANDARD.decode(body).ok()?;
    raw(der.strip_prefix(before)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_is_read_back_from_its_files_and_never_shown_or_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("team.pem");
        let key = SecretKey::draw().unwrap();
        let beside = key.write(&file).unwrap();
        let again = SecretKey::read(&file).unwrap();
        assert_eq!(again.public(), key.public());
        assert_eq!(PublicKey::read(&beside).unwrap(), key.public());
        let seed = STANDARD.encode(key.0.to_bytes());
        assert!(!format!("{key:?}").contains(&seed));
        assert!(matches!(key.write(&file), Err(KeyError::File { .. })));
        // A public key where a secret one is wanted, and the other way round.
        assert!(matches!(
            SecretKey::read(&beside),
            Err(KeyError::NoKey { .. })
        ));
        assert!(matches!(
            PublicKey::read(&file),
            Err(KeyError::NoKey { .. })
        ));
    }

    #[test]
    fn openssls_form_and_raw_bytes_are_keys() {
        let dir = tempfile::tempdir().unwrap();
        // The first test of RFC 8032, section 7.1.
        let seed = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
        let public = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
        let bytes = |hex: &str| -> Vec<u8> {
            let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
            (0..hex.len()).step_by(2).map(byte).collect()
        };
        let file = dir.path().join("raw");
        std::fs::write(&file, bytes(seed)).unwrap();
        let key = SecretKey::read(&file).unwrap();
        assert_eq!(key.public().0.to_bytes().to_vec(), bytes(public));
        let pem = |body: &str| {
            format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n")
        };
        let body = "MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g";
        std::fs::write(&file, pem(body)).unwrap();
        assert_eq!(SecretKey::read(&file).unwrap().public(), key.public());
        std::fs::write(&file, pem(&body[..60])).unwrap();
        assert!(SecretKey::read(&file).is_err(), "a key that is cut off");
    }
}
