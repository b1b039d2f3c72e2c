//! The address of the chat API, by the URL that a person gives.
//!
//! A bare host gets `/v1`. A path is used as it is given, whatever its version, and a query is kept. A path without a
//! version may also be a prefix before `/v1`: the client tries that when there is nothing at the first address.

use reqwest::Url;

const CHAT: &str = "/chat/completions";

/// The chat API's address, and the other one that the URL may mean.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Address {
    pub first: Url,
    pub other: Option<Url>,
}

impl Address {
    /// Reads a base URL. `path` replaces its path, and may bring a query.
    ///
    /// # Errors
    /// The reason why it is no URL.
    pub fn of(base: &str, path: Option<&str>) -> Result<Self, String> {
        let mut url = Url::parse(base.trim()).map_err(|error| error.to_string())?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(format!("{}: is not http", url.scheme()));
        }
        url.set_fragment(None);
        if let Some(path) = path {
            let (path, query) = path.split_once('?').unwrap_or((path, ""));
            url.set_path(path);
            if !query.is_empty() {
                url.set_query(Some(query));
            }
        }
        let given = url.path().trim_end_matches('/').to_owned();
        let at = |path: String| {
            let mut url = url.clone();
            url.set_path(&path);
            url
        };
        if given.is_empty() {
            return Ok(Self {
                first: at(format!("/v1{CHAT}")),
                other: None,
            });
        }
        if given.ends_with(CHAT) {
            return Ok(Self {
                first: at(given),
                other: None,
            });
        }
        let versioned = given.split('/').any(is_version);
        Ok(Self {
            first: at(format!("{given}{CHAT}")),
            other: (!versioned).then(|| at(format!("{given}/v1{CHAT}"))),
        })
    }
}

/// Returns true for a part of a path such as `v1`, `v4` or `v1beta`.
fn is_version(part: &str) -> bool {
    let Some(rest) = part.strip_prefix(['v', 'V']) else {
        return false;
    };
    rest.starts_with(|c: char| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_host_gets_v1_and_a_path_is_used_as_it_is_given() {
        for (base, chat, other) in [
            ("http://host:8000", "/v1/chat/completions", None),
            ("http://host:8000/", "/v1/chat/completions", None),
            ("http://host/v1/", "/v1/chat/completions", None),
            (
                "https://host/api/paas/v4",
                "/api/paas/v4/chat/completions",
                None,
            ),
            (
                "https://host/v1beta/openai/",
                "/v1beta/openai/chat/completions",
                None,
            ),
            (
                "https://host/openai/v2",
                "/openai/v2/chat/completions",
                None,
            ),
            (
                "https://host/x/chat/completions",
                "/x/chat/completions",
                None,
            ),
            (
                "https://host/llm",
                "/llm/chat/completions",
                Some("/llm/v1/chat/completions"),
            ),
        ] {
            let address = Address::of(base, None).unwrap();
            let other_path = address.other.as_ref().map(Url::path);
            assert_eq!((address.first.path(), other_path), (chat, other), "{base}");
        }
    }

    #[test]
    fn a_query_is_kept_and_the_path_of_a_binding_replaces_the_one_of_the_url() {
        let azure = "https://host/openai/deployments/m?api-version=2024-06-01";
        let chat = Address::of(azure, None).unwrap().first;
        assert_eq!(
            chat.as_str(),
            "https://host/openai/deployments/m/chat/completions?api-version=2024-06-01"
        );
        let chat = Address::of("http://host/v1", Some("/api/v3?key=1")).unwrap();
        assert_eq!(
            chat.first.as_str(),
            "http://host/api/v3/chat/completions?key=1"
        );
        let kept = Address::of("http://host/v1?key=1", Some("/api/v3")).unwrap();
        assert_eq!(
            kept.first.as_str(),
            "http://host/api/v3/chat/completions?key=1"
        );
        assert!(Address::of("localhost:8080", None).is_err());
        assert!(Address::of("somewhere", None).is_err());
    }
}
