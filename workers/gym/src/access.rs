//! Access to the server: one token, compared in constant time. Without one, only this machine's own programs may come.

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, header};
use base64::Engine as _;

/// The token that every request must show.
#[derive(Clone)]
pub struct Token(String);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(..)")
    }
}

impl Token {
    /// The shortest token that is taken.
    pub const LEAST: usize = 16;

    /// Returns the token of a text, without the white space around it.
    ///
    /// # Errors
    /// A text that is shorter than [`Token::LEAST`] or that no header can carry.
    pub fn new(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.len() < Self::LEAST {
            return Err(format!(
                "the token has {} characters, which can be guessed; use {} or more, such as those of `openssl rand -hex 32`",
                text.len(),
                Self::LEAST
            ));
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(
                "the token has characters that a header cannot carry; use letters and digits"
                    .into(),
            );
        }
        Ok(Self(text.to_owned()))
    }

    /// Returns true when the headers carry the token: as a bearer token, or as the password of basic authentication, which
    /// is how clients send what stands before `@` in a URL.
    #[must_use]
    pub fn admits(&self, headers: &HeaderMap) -> bool {
        let Some(given) = headers.get(header::AUTHORIZATION) else {
            return false;
        };
        let Some((scheme, rest)) = given.to_str().ok().and_then(|given| given.split_once(' '))
        else {
            return false;
        };
        let rest = rest.trim();
        if scheme.eq_ignore_ascii_case("bearer") {
            return self.is(rest.as_bytes());
        }
        if !scheme.eq_ignore_ascii_case("basic") {
            return false;
        }
        let Ok(pair) = base64::engine::general_purpose::STANDARD.decode(rest) else {
            return false;
        };
        let password = pair.iter().position(|byte| *byte == b':');
        password.is_some_and(|at| self.is(&pair[at + 1..]))
    }

    /// Compares in a time that depends on the lengths alone.
    fn is(&self, given: &[u8]) -> bool {
        let own = self.0.as_bytes();
        let differing = own
            .iter()
            .zip(given)
            .fold(0, |differing, (one, other)| differing | (one ^ other));
        own.len() == given.len() && std::hint::black_box(differing) == 0
    }
}

/// Returns true when a server at this address can be reached from elsewhere, so that it needs a token.
#[must_use]
pub fn needs_token(address: &SocketAddr) -> bool {
    !address.ip().is_loopback()
}

/// Returns true when a request names this machine alone: by its `Host`, and by its `Origin` where it has one. A browser's
/// page of another host has another origin, or another host where it rebinds a name.
pub(crate) fn is_local(headers: &HeaderMap) -> bool {
    let text = |name: header::HeaderName| headers.get(name).map(|value| value.to_str());
    let host = match text(header::HOST) {
        None => true,
        Some(host) => host.is_ok_and(is_loopback),
    };
    let origin = match text(header::ORIGIN) {
        None => true,
        Some(origin) => origin
            .ok()
            .and_then(|origin| origin.split_once("://"))
            .is_some_and(|(_, authority)| is_loopback(authority)),
    };
    host && origin
}

fn is_loopback(authority: &str) -> bool {
    let mut parts = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']'),
        None => authority.split(':'),
    };
    let name = parts.next().unwrap_or_default();
    name == "localhost" || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "0123456789abcdef0123";

    fn with(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::AUTHORIZATION, value.parse().unwrap())])
    }

    #[test]
    fn a_token_is_admitted_as_bearer_and_as_a_password_and_nothing_else_is() {
        let token = Token::new(&format!("{SECRET}\n")).unwrap();
        let basic = |pair: &str| {
            let encoded = base64::engine::general_purpose::STANDARD.encode(pair);
            with(&format!("Basic {encoded}"))
        };
        assert!(token.admits(&with(&format!("Bearer {SECRET}"))));
        assert!(token.admits(&with(&format!("bearer {SECRET}"))));
        assert!(token.admits(&basic(&format!("agoge:{SECRET}"))));
        for wrong in [
            with("Bearer 0123456789abcdef012"),
            with("Bearer 0123456789abcdef01234"),
            with("Bearer 0123456789abcdef0124"),
            with(SECRET),
            with("Basic %"),
            basic(SECRET),
            HeaderMap::new(),
        ] {
            assert!(!token.admits(&wrong), "{wrong:?}");
        }
        assert!(Token::new("short").is_err() && Token::new("sixteen letters and a space").is_err());
        assert!(!format!("{token:?}").contains(SECRET));
    }

    #[test]
    fn a_page_of_another_host_is_not_local() {
        let local = |pairs: &[(header::HeaderName, &str)]| {
            let pairs = pairs
                .iter()
                .map(|(name, value)| (name.clone(), value.parse().unwrap()));
            is_local(&pairs.collect())
        };
        assert!(local(&[]));
        assert!(
            local(&[(header::HOST, "127.0.0.1:8700")]) && local(&[(header::HOST, "[::1]:8700")])
        );
        assert!(local(&[
            (header::HOST, "localhost"),
            (header::ORIGIN, "http://localhost:3000")
        ]));
        assert!(!local(&[(header::HOST, "rebound.example.org:8700")]));
        assert!(!local(&[
            (header::HOST, "localhost"),
            (header::ORIGIN, "https://example.org")
        ]));
        assert!(!local(&[
            (header::HOST, "localhost"),
            (header::ORIGIN, "null")
        ]));
    }

    #[test]
    fn only_a_loopback_address_needs_no_token() {
        let needs = |address: &str| needs_token(&address.parse().unwrap());
        assert!(!needs("127.0.0.1:1") && !needs("[::1]:1"));
        assert!(needs("0.0.0.0:1") && needs("10.1.2.3:1") && needs("[::]:1"));
    }
}
