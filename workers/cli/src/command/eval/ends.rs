//! The endpoints of an evaluation: the agent's, and those of a user model and a judge where there are any.

use std::sync::Arc;
use std::time::Duration;

use agoge_contract::Endpoint;
use agoge_crds::shared::EndpointBinding;
use agoge_dialogue::ToolSpec;
use agoge_llm::{Client, Recordings};
use agoge_synthesis::rollout::{Simulator, User};
use agoge_world::Domain;

use super::{Eval, UserKind};
use crate::failure::Failure;
use crate::probe;

/// Environment variable with the agent's key.
const AGENT_KEY: &str = "AGOGE_API_KEY";
/// Environment variable with the user model's key.
const USER_KEY: &str = "AGOGE_USER_API_KEY";
/// Environment variable with the judge's key.
const JUDGE_KEY: &str = "AGOGE_JUDGE_API_KEY";

/// A client with the URL that it was given.
pub struct End {
    /// The client.
    pub client: Client,
    /// The URL.
    pub url: String,
}

/// The endpoints of an evaluation.
pub struct Ends {
    /// The agent's.
    pub agent: End,
    /// The user model's; none for a scripted user.
    pub user: Option<End>,
    /// The judge's.
    pub judge: Option<End>,
}

impl Ends {
    /// Makes clients that wait out no outage to speak of, for the probe. A user model without an endpoint or a model of its own
    /// has the agent's.
    ///
    /// # Errors
    /// A URL that is none.
    pub fn of(eval: &Eval) -> Result<Self, Failure> {
        let url = eval.agent_url();
        let agent = end(eval, url, &eval.model, &[AGENT_KEY])?;
        let user = match eval.user() {
            UserKind::Scripted => None,
            UserKind::Model => Some(match &eval.user_endpoint {
                Some(own) => end(eval, own, &eval.user_model, &[USER_KEY])?,
                None => {
                    let model = eval.user_model.clone().or_else(|| eval.model.clone());
                    end(eval, url, &model, &[USER_KEY, AGENT_KEY])?
                }
            }),
        };
        let judge = match &eval.judge_endpoint {
            Some(own) => Some(end(eval, own, &eval.judge_model, &[JUDGE_KEY])?),
            None => None,
        };
        Ok(Self { agent, user, judge })
    }

    /// Checks that every endpoint answers as a chat API does.
    ///
    /// # Errors
    /// What one does instead.
    pub async fn probe(
        &self,
        eval: &Eval,
        domain: &Domain,
        temperature: f64,
    ) -> Result<(), Failure> {
        let agent_tools = match eval.native_calls {
            true => domain.tools.as_slice(),
            false => &[],
        };
        answers("the agent", &self.agent, temperature, agent_tools).await?;
        if let Some(user) = &self.user {
            answers("the user", user, eval.user_temperature, &domain.user_tools).await?;
        }
        if let Some(judge) = &self.judge {
            answers("the judge", judge, 0.0, &[]).await?;
        }
        Ok(())
    }

    /// Lets every client wait out outages of this length and keep its answers.
    #[must_use]
    pub fn keeping(self, patience: Duration, recordings: &Arc<Recordings>) -> Self {
        let keep = |end: End| End {
            client: end
                .client
                .with_patience(patience)
                .with_recordings(recordings.clone()),
            url: end.url,
        };
        Self {
            agent: keep(self.agent),
            user: self.user.map(keep),
            judge: self.judge.map(keep),
        }
    }

    /// Returns the user of every episode.
    #[must_use]
    pub fn user<'a>(&'a self, greeting: &'a str) -> User<'a> {
        match &self.user {
            None => User::Scripted,
            Some(End { client, .. }) => User::Simulator(Simulator { client, greeting }),
        }
    }
}

/// Makes the client of a URL. Its key is in the first of these environment variables that is set.
fn end(eval: &Eval, url: &str, model: &Option<String>, keys: &[&str]) -> Result<End, Failure> {
    let key = keys.iter().find(|key| std::env::var_os(key).is_some());
    let endpoint = Endpoint {
        url: url.to_owned(),
        key_variable: key.map(|key| (*key).to_owned()),
    };
    // Fields that were written for the agent's endpoint are for no other one.
    let own = url == eval.agent_url();
    let extra_body = eval.extra_body.clone().filter(|_| own);
    let binding = EndpointBinding {
        model: model.clone(),
        concurrency: Some(eval.concurrency),
        extra_body: extra_body.unwrap_or_default(),
        ..EndpointBinding::default()
    };
    let timeout = Duration::from_secs(eval.timeout.max(1));
    let client = probe::client(&endpoint, &binding, timeout).map_err(Failure::input)?;
    Ok(End {
        client,
        url: url.to_owned(),
    })
}

async fn answers(
    who: &str,
    end: &End,
    temperature: f64,
    tools: &[ToolSpec],
) -> Result<(), Failure> {
    let answered = probe::answers(&end.client, temperature, tools).await;
    answered.map_err(|error| {
        let text = format!("{who}: {error}");
        match error.is_passing() {
            true => Failure::Infra(text),
            false => Failure::Input(text),
        }
    })
}
