//! The endpoint that a manifest binds a model to, for the driver that probes it and for the worker that asks it.

use std::time::Duration;

use agoge_crds::shared::{self, EndpointBinding};
use agoge_llm::{Endpoint, Manner, Price, TokenField};

/// Returns the endpoint of a binding at this address. `patience` is that of bindings that have none of their own.
#[must_use]
pub fn endpoint(url: &str, binding: &EndpointBinding, patience: Duration) -> Endpoint {
    let mut endpoint = Endpoint {
        path: binding.path.clone(),
        model: binding.model.clone(),
        patience: binding
            .patience
            .map_or(patience, |patience| patience.duration()),
        manner: manner(binding),
        ..Endpoint::new(url)
    };
    if let Some(concurrency) = binding.concurrency {
        endpoint.concurrency = concurrency as usize;
    }
    if let Some(price) = &binding.price {
        endpoint.price = Price {
            input: price.input,
            output: price.output,
        };
    }
    endpoint
}

/// Returns the dialect that a binding asks for.
fn manner(binding: &EndpointBinding) -> Manner {
    let extra = binding.extra_body.iter();
    Manner {
        token_field: match binding.token_field {
            None | Some(shared::TokenField::MaxTokens) => TokenField::MaxTokens,
            Some(shared::TokenField::MaxCompletionTokens) => TokenField::MaxCompletionTokens,
        },
        reasoning_tokens: binding.reasoning_tokens.unwrap_or(0),
        extra: extra
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json};

    use super::*;

    #[test]
    fn every_field_of_a_binding_reaches_the_endpoint() {
        let binding: EndpointBinding = from_value(json!({
            "endpoint": "gpt", "model": "m", "path": "/api/v4", "concurrency": 9, "patience": "90s",
            "tokenField": "max_completion_tokens", "reasoningTokens": 2000, "extraBody": {"top_p": 0.9},
            "price": {"input": 1, "output": 2},
        }))
        .unwrap();
        let made = endpoint("http://host", &binding, Duration::ZERO);
        assert_eq!(
            (made.model.as_deref(), made.path.as_deref()),
            (Some("m"), Some("/api/v4"))
        );
        assert_eq!(
            (made.concurrency, made.patience),
            (9, Duration::from_secs(90))
        );
        assert_eq!((made.price.input, made.price.output), (1.0, 2.0));
        assert_eq!(made.manner.token_field, TokenField::MaxCompletionTokens);
        assert_eq!(
            (made.manner.reasoning_tokens, &made.manner.extra["top_p"]),
            (2000, &json!(0.9))
        );
        let plain: EndpointBinding = from_value(json!({"endpoint": "gpt"})).unwrap();
        let made = endpoint("http://host", &plain, Duration::from_secs(7));
        assert_eq!(
            (made.patience, made.manner),
            (Duration::from_secs(7), Manner::default())
        );
    }
}
