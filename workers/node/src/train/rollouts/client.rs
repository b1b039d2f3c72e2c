//! The client in the trainer: makes the requests of a [`Deal`], and uses only answers that [`accept`] lets through.

use std::net::SocketAddr;
use std::pin::Pin;
use std::time::{Duration, Instant};

use agoge_contract::RolloutHosts;
use agoge_crds::grpo_run::GrpoSpec;
use agoge_learner::LearnerError;
use agoge_learner::arena::table_slots;
use agoge_learner::parallel::Parallelism;
use agoge_learner::players::{OnProgress, Players};
use agoge_learner::rollout::{Seat, Trajectory};
use agoge_learner::tasks::shares;
use agoge_model::Decoder;
use agoge_store::Digest;
use axum::body::Bytes;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use reqwest::{Client, Response, StatusCode};
use tokio::runtime::Runtime;
use tokio::time::sleep;

use super::deal::{Deal, Outcome, Request};
use super::setup_digest;
use super::wire::{Health, Play, SeatId, accept};
use crate::failure::Failure;
use crate::train::Stage;

/// Time without any server at work before the play fails; `AGOGE_ROLLOUT_PATIENCE` overrides it, in seconds.
const PATIENCE: f64 = 300.0;
/// Interval at which hosts are resolved.
const RESOLVE: Duration = Duration::from_secs(5);
/// Timeout of a health check, and the interval of those while a server works.
const HEALTH: Duration = Duration::from_secs(5);
/// Failed health checks in a row after which a server is given up.
const MISSED: u32 = 3;
/// Interval of the progress callback.
const TICK: Duration = Duration::from_millis(100);
/// Bytes of an answer at most: of any trajectory, and of each token of it.
const ANSWER: (usize, usize) = (256 << 10, 256);
/// Tables of a server that no health check has reached yet.
const LIKELY_TABLES: usize = 2;

/// The rollout servers of a stage.
pub struct RemoteRollouts<'a> {
    decoder: &'a Decoder,
    runtime: Runtime,
    deal: Deal,
    weights: Option<Weights>,
    requester: Requester,
    /// Live episodes at a time at most, over all pieces.
    slots: usize,
    parallelism: Parallelism,
    servers: usize,
    temperature: f64,
    patience: Duration,
    /// Hosts, and the time they were resolved last.
    hosts: Vec<String>,
    resolved: Option<Instant>,
}

/// The weights of a step.
#[derive(Clone)]
struct Weights {
    step: u64,
    digest: String,
    content: Bytes,
}

/// The state that every request needs.
#[derive(Clone)]
struct Requester {
    http: Client,
    setup: String,
    vocab: usize,
    /// Bytes of a trajectory at most.
    most: usize,
}

/// The answer to a request.
enum Answer {
    Outcome(Outcome),
    Played(Vec<Trajectory>),
    Lost(String),
}

/// An event that a play waits for.
enum Event {
    Found(Vec<SocketAddr>),
    Answer(SocketAddr, Request, Answer),
}

type Flight<'a> = FuturesUnordered<Pin<Box<dyn Future<Output = Event> + 'a>>>;

impl<'a> RemoteRollouts<'a> {
    /// A client of the servers at these hosts, for `slots` live episodes in all. A repeatable run deals its seats as an arena
    /// in this process would, any other so that every table of every server has a share.
    pub(in crate::train) fn new(
        stage: &Stage,
        spec: &GrpoSpec,
        at: &RolloutHosts,
        decoder: &'a Decoder,
        slots: usize,
        parallelism: Parallelism,
    ) -> Result<Self, Failure> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = Client::builder().connect_timeout(HEALTH).no_proxy();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(Failure::infra)?;
        Ok(Self {
            decoder,
            runtime,
            deal: Deal::new(Instant::now()),
            weights: None,
            requester: Requester {
                http: http.build().map_err(Failure::infra)?,
                setup: setup_digest(stage, spec),
                vocab: decoder.config().vocab_size,
                most: ANSWER.0 + ANSWER.1 * spec.max_trajectory_tokens as usize,
            },
            slots,
            parallelism,
            servers: at.servers.max(1) as usize,
            temperature: spec.temperature,
            patience: patience()?,
            hosts: at.hosts.clone(),
            resolved: None,
        })
    }

    /// Returns the number of pieces that a play is cut into.
    fn pieces(&self) -> usize {
        if self.parallelism.is_repeatable() {
            return self.parallelism.pieces();
        }
        match self.deal.tables() {
            0 => LIKELY_TABLES * self.servers,
            tables => tables,
        }
    }

    /// Returns the live episodes of each of so many pieces: in a repeatable run as many as in an arena in this process.
    fn slots_of(&self, pieces: usize) -> usize {
        let wanted = self.slots.div_ceil(pieces).max(1);
        match self.parallelism.is_repeatable() {
            true => wanted,
            false => table_slots(wanted, self.decoder.parameter_count()),
        }
    }

    /// Returns the weights of this step, and whether they are new. Within a step they do not change.
    fn weights(&mut self, step: u64) -> Result<(Weights, bool), LearnerError> {
        if let Some(weights) = self.weights.as_ref().filter(|known| known.step == step) {
            return Ok((weights.clone(), false));
        }
        let content = Bytes::from(self.decoder.weights()?);
        let weights = Weights {
            step,
            digest: Digest::of(&content).to_string(),
            content,
        };
        self.weights = Some(weights.clone());
        Ok((weights, true))
    }
}

impl Players for RemoteRollouts<'_> {
    fn play(
        &mut self,
        seats: &[Seat<'_>],
        step: u64,
        progress: &mut OnProgress<'_>,
    ) -> Result<Vec<Trajectory>, LearnerError> {
        let (weights, new) = self.weights(step)?;
        let pieces = self.pieces();
        let slots = self.slots_of(pieces);
        let plays: Vec<Play> = shares(seats.len(), pieces)
            .map(|share| Play {
                setup: self.requester.setup.clone(),
                weights: weights.digest.clone(),
                step,
                temperature: self.temperature,
                slots,
                seats: seats[share].iter().map(SeatId::of).collect(),
            })
            .collect();
        self.deal.begin(plays.len(), new, Instant::now());
        let Self {
            runtime,
            deal,
            requester,
            patience,
            hosts,
            resolved,
            ..
        } = self;
        let resolver = Resolver { hosts, resolved };
        let all = Playing {
            requester,
            plays: &plays,
            weights: &weights,
            played: vec![Vec::new(); plays.len()],
            last: "none was found".to_owned(),
        }
        .run(deal, resolver, *patience, progress);
        runtime.block_on(all)
    }
}

/// The times at which hosts are resolved.
struct Resolver<'a> {
    hosts: &'a [String],
    resolved: &'a mut Option<Instant>,
}

impl Resolver<'_> {
    fn is_due(&mut self, now: Instant) -> bool {
        let due = self.resolved.is_none_or(|at| now >= at + RESOLVE);
        if due {
            *self.resolved = Some(now);
        }
        due
    }
}

/// One play.
struct Playing<'a> {
    requester: &'a Requester,
    plays: &'a [Play],
    weights: &'a Weights,
    played: Vec<Vec<Trajectory>>,
    /// The last failure.
    last: String,
}

impl<'a> Playing<'a> {
    /// Plays every piece.
    async fn run(
        mut self,
        deal: &mut Deal,
        mut resolver: Resolver<'a>,
        patience: Duration,
        progress: &mut OnProgress<'_>,
    ) -> Result<Vec<Trajectory>, LearnerError> {
        let (requester, plays, weights) = (self.requester, self.plays, self.weights);
        let mut flight: Flight<'a> = FuturesUnordered::new();
        loop {
            progress(self.played.iter().map(Vec::len).sum())?;
            if deal.done() {
                return Ok(self.played.into_iter().flatten().collect());
            }
            let now = Instant::now();
            if resolver.is_due(now) {
                let hosts = resolver.hosts;
                flight.push(Box::pin(async { Event::Found(find(hosts).await) }));
            }
            for (server, request) in deal.requests(now) {
                flight.push(Box::pin(async move {
                    let answer = requester.send(server, request, plays, weights).await;
                    Event::Answer(server, request, answer)
                }));
            }
            if deal.idle() > patience {
                let (seconds, last) = (patience.as_secs(), &self.last);
                return Err(LearnerError::Rollouts(format!(
                    "no rollout server has played for {seconds} s ({last}); check the pods of the role rollout and why they do not start"
                )));
            }
            let event = tokio::select! {
                Some(event) = flight.next() => event,
                () = sleep(TICK) => continue,
            };
            let now = Instant::now();
            match event {
                Event::Found(servers) if servers.is_empty() => {}
                Event::Found(servers) => deal.found(&servers, now),
                Event::Answer(server, request, answer) => {
                    let outcome = self.outcome(server, request, answer, deal);
                    let before = deal.healthy();
                    deal.outcome(server, request, outcome, now);
                    if deal.healthy() != before {
                        tracing::info!(servers = deal.healthy(), "healthy rollout servers");
                    }
                }
            }
        }
    }

    /// Keeps the trajectories of an answer and logs a lost one.
    fn outcome(
        &mut self,
        server: SocketAddr,
        request: Request,
        answer: Answer,
        deal: &Deal,
    ) -> Outcome {
        match answer {
            Answer::Outcome(outcome) => outcome,
            Answer::Played(trajectories) => {
                if let Request::Play(piece) = request {
                    self.played[piece] = trajectories;
                }
                Outcome::Played
            }
            Answer::Lost(why) => {
                let failure = format!("{server}: {why}");
                // A server that stays away is reported once.
                if request != Request::Health || (deal.healthy() == 0 && failure != self.last) {
                    tracing::warn!(%server, ?request, "a rollout server is skipped: {why}");
                }
                self.last = failure;
                Outcome::Lost
            }
        }
    }
}

/// Resolves all hosts.
async fn find(hosts: &[String]) -> Vec<SocketAddr> {
    let mut found = Vec::new();
    for host in hosts {
        match tokio::net::lookup_host(host).await {
            Ok(addresses) => found.extend(addresses),
            // No server is ready, or the name server does not answer.
            Err(error) => tracing::debug!(host, %error, "a host cannot be resolved"),
        }
    }
    found
}

impl Requester {
    async fn send(
        &self,
        server: SocketAddr,
        request: Request,
        plays: &[Play],
        weights: &Weights,
    ) -> Answer {
        let answer = match request {
            Request::Health => self.health(server).await.map(|health| {
                Answer::Outcome(Outcome::Healthy {
                    holds: health.weights.as_ref() == Some(&weights.digest),
                    tables: health.tables,
                })
            }),
            Request::Weights => self.watched(server, self.load(server, weights)).await,
            Request::Play(piece) => self.watched(server, self.play(server, &plays[piece])).await,
        };
        answer.unwrap_or_else(Answer::Lost)
    }

    /// Waits for work of unknown length, until the server does not answer health checks any more.
    async fn watched(
        &self,
        server: SocketAddr,
        work: impl Future<Output = Result<Answer, String>>,
    ) -> Result<Answer, String> {
        let gone = async {
            let mut missed = 0;
            loop {
                sleep(HEALTH).await;
                match self.health(server).await {
                    Ok(_) => missed = 0,
                    Err(why) if missed + 1 >= MISSED => break why,
                    Err(_) => missed += 1,
                }
            }
        };
        tokio::select! {
            answer = work => answer,
            why = gone => Err(format!("it does not answer any more: {why}")),
        }
    }

    async fn health(&self, server: SocketAddr) -> Result<Health, String> {
        let url = format!("http://{server}/healthz");
        let asked = self.http.get(url).timeout(HEALTH).send().await;
        let body = self.body(good(asked).await?, ANSWER.0).await?;
        serde_json::from_slice(&body).map_err(|e| format!("it is not a rollout server: {e}"))
    }

    async fn load(&self, server: SocketAddr, weights: &Weights) -> Result<Answer, String> {
        let url = format!("http://{server}/weights/{}", weights.digest);
        let put = self.http.put(url).body(weights.content.clone());
        good(put.send().await).await?;
        Ok(Answer::Outcome(Outcome::Loaded))
    }

    async fn play(&self, server: SocketAddr, play: &Play) -> Result<Answer, String> {
        let url = format!("http://{server}/play");
        let asked = self.http.post(url).json(play).send().await;
        if matches!(&asked, Ok(response) if response.status() == StatusCode::CONFLICT) {
            return Ok(Answer::Outcome(Outcome::Stale));
        }
        let most = self.most * play.seats.len();
        let body = self.body(good(asked).await?, most).await?;
        accept(play, self.vocab, &body).map(Answer::Played)
    }

    /// Reads the body of an answer of at most `most` bytes.
    async fn body(&self, mut response: Response, most: usize) -> Result<Vec<u8>, String> {
        let mut body = Vec::new();
        while let Some(part) = response.chunk().await.map_err(cause)? {
            body.extend_from_slice(&part);
            if body.len() > most {
                return Err(format!("its answer is longer than {most} bytes"));
            }
        }
        Ok(body)
    }
}

/// Returns the answer, unless it is a refusal.
async fn good(asked: Result<Response, reqwest::Error>) -> Result<Response, String> {
    let mut response = asked.map_err(cause)?;
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let words = response.chunk().await.ok().flatten().unwrap_or_default();
    let words: String = String::from_utf8_lossy(&words).chars().take(300).collect();
    Err(format!("it answers {status}: {words}"))
}

/// Returns the innermost cause of an error; the outer ones say only that a request failed.
fn cause(error: reqwest::Error) -> String {
    let mut inner: &dyn std::error::Error = &error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}

fn patience() -> Result<Duration, Failure> {
    const NAME: &str = "AGOGE_ROLLOUT_PATIENCE";
    let text = std::env::var(NAME).ok();
    let seconds = text.as_deref().map_or(Ok(PATIENCE), str::parse).ok();
    let span = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    span.ok_or_else(|| {
        let text = text.unwrap_or_default();
        Failure::Input(format!("{NAME}={text} is not a number of seconds"))
    })
}
