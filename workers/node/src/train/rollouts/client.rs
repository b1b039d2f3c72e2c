//! The trainer's side: does what [`Deal`] says, and believes only what [`accept`] lets through.

use std::net::SocketAddr;
use std::pin::Pin;
use std::time::{Duration, Instant};

use agoge_contract::RolloutHosts;
use agoge_crds::grpo_run::GrpoSpec;
use agoge_learner::LearnerError;
use agoge_learner::parallel::PIECES;
use agoge_learner::players::{OnWave, Players, deal};
use agoge_learner::rollout::{Seat, Trajectory};
use agoge_model::Decoder;
use agoge_store::Digest;
use axum::body::Bytes;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use reqwest::{Client, Response, StatusCode};
use tokio::runtime::Runtime;
use tokio::time::sleep;

use super::deal::{Ask, Came, Deal};
use super::game;
use super::wire::{Health, Place, Play, accept};
use crate::failure::Failure;
use crate::train::Stage;

/// How long there may be nobody to play; `AGOGE_ROLLOUT_PATIENCE` says otherwise, in seconds.
const PATIENCE: f64 = 300.0;
/// How often hosts are looked up.
const LOOK_UP: Duration = Duration::from_secs(5);
/// How long a server may take to say how it is, and how often it is asked while it works.
const HEALTH: Duration = Duration::from_secs(5);
/// How often in a row it may not say before it is given up.
const MISSED: u32 = 3;
/// How often it is looked whether the work is to stop.
const TICK: Duration = Duration::from_millis(100);
/// Bytes of an answer at most: of any trajectory, and of each token of it.
const ANSWER: (usize, usize) = (256 << 10, 256);

/// The rollout servers of a stage.
pub struct Remote<'a> {
    decoder: &'a Decoder,
    runtime: Runtime,
    deal: Deal,
    weights: Option<Weights>,
    asker: Asker,
    /// Episodes at a time, and tables among which they are dealt.
    slots: (usize, usize),
    temperature: f64,
    patience: Duration,
    /// Hosts, and when they were looked up last.
    hosts: Vec<String>,
    looked_up: Option<Instant>,
}

/// The weights of a step.
#[derive(Clone)]
struct Weights {
    step: u64,
    digest: String,
    content: Bytes,
}

/// What every request needs.
#[derive(Clone)]
struct Asker {
    http: Client,
    game: String,
    vocab: usize,
    /// Bytes of a trajectory at most.
    most: usize,
}

/// What came of a request.
enum Told {
    Came(Came),
    Played(Vec<Trajectory>),
    Lost(String),
}

/// What is waited for.
enum Event {
    Found(Vec<SocketAddr>),
    Told(SocketAddr, Ask, Told),
}

type Flight<'a> = FuturesUnordered<Pin<Box<dyn Future<Output = Event> + 'a>>>;

impl<'a> Remote<'a> {
    /// The servers at these hosts. `slots` are the episodes that one arena would play at a time: a deterministic run deals
    /// its seats as that would, any other so that every table of every server has its share.
    pub(in crate::train) fn new(
        stage: &Stage,
        spec: &GrpoSpec,
        at: &RolloutHosts,
        decoder: &'a Decoder,
        slots: usize,
    ) -> Result<Self, Failure> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = Client::builder().connect_timeout(HEALTH).no_proxy();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(Failure::infra)?;
        let tables = match stage.arguments.deterministic {
            true => PIECES,
            false => PIECES * at.servers.max(1) as usize,
        };
        Ok(Self {
            decoder,
            runtime,
            deal: Deal::new(Instant::now()),
            weights: None,
            asker: Asker {
                http: http.build().map_err(Failure::infra)?,
                game: game(stage, spec),
                vocab: decoder.config().vocab_size,
                most: ANSWER.0 + ANSWER.1 * spec.max_trajectory_tokens as usize,
            },
            slots: (slots, tables),
            temperature: spec.temperature,
            patience: patience()?,
            hosts: at.hosts.clone(),
            looked_up: None,
        })
    }

    /// The weights of this step. Within a step they do not change.
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

impl Players for Remote<'_> {
    fn play(
        &mut self,
        seats: &[Seat<'_>],
        step: u64,
        on_wave: &mut OnWave<'_>,
    ) -> Result<Vec<Trajectory>, LearnerError> {
        let (weights, new) = self.weights(step)?;
        let (slots, tables) = self.slots;
        let plays: Vec<Play> = deal(seats, slots, tables)
            .map(|piece| Play {
                game: self.asker.game.clone(),
                weights: weights.digest.clone(),
                step,
                temperature: self.temperature,
                seats: piece.iter().map(Place::of).collect(),
            })
            .collect();
        self.deal.begin(plays.len(), new, Instant::now());
        let Self {
            runtime,
            deal,
            asker,
            patience,
            hosts,
            looked_up,
            ..
        } = self;
        let look_up = LookUp { hosts, looked_up };
        let all = all(asker, deal, look_up, &plays, &weights, *patience, on_wave);
        runtime.block_on(all)
    }
}

/// When hosts are looked up.
struct LookUp<'a> {
    hosts: &'a [String],
    looked_up: &'a mut Option<Instant>,
}

impl LookUp<'_> {
    fn due(&mut self, now: Instant) -> bool {
        let due = self.looked_up.is_none_or(|at| now >= at + LOOK_UP);
        if due {
            *self.looked_up = Some(now);
        }
        due
    }
}

/// Has every piece played.
async fn all(
    asker: &Asker,
    deal: &mut Deal,
    mut look_up: LookUp<'_>,
    plays: &[Play],
    weights: &Weights,
    patience: Duration,
    on_wave: &mut OnWave<'_>,
) -> Result<Vec<Trajectory>, LearnerError> {
    let mut played: Vec<Vec<Trajectory>> = vec![Vec::new(); plays.len()];
    let mut flight: Flight<'_> = FuturesUnordered::new();
    let mut last = "none was found".to_owned();
    loop {
        on_wave(played.iter().map(Vec::len).sum())?;
        if deal.done() {
            return Ok(played.into_iter().flatten().collect());
        }
        let now = Instant::now();
        if look_up.due(now) {
            let hosts = look_up.hosts;
            flight.push(Box::pin(async { Event::Found(find(hosts).await) }));
        }
        for (server, ask) in deal.asks(now) {
            flight.push(Box::pin(async move {
                let told = asker.ask(server, ask, plays, weights).await;
                Event::Told(server, ask, told)
            }));
        }
        if deal.idle() > patience {
            let seconds = patience.as_secs();
            return Err(LearnerError::Rollouts(format!(
                "no rollout server has played for {seconds} s ({last}); look at the pods of the role rollout, and what keeps them from starting"
            )));
        }
        let event = tokio::select! {
            Some(event) = flight.next() => event,
            () = sleep(TICK) => continue,
        };
        let now = Instant::now();
        match event {
            Event::Found(servers) => {
                if !servers.is_empty() {
                    deal.found(&servers, now);
                }
            }
            Event::Told(server, ask, told) => {
                let came = match told {
                    Told::Came(came) => came,
                    Told::Played(trajectories) => {
                        if let Ask::Play(piece) = ask {
                            played[piece] = trajectories;
                        }
                        Came::Played
                    }
                    Told::Lost(why) => {
                        let told = format!("{server}: {why}");
                        // That one is not back yet is no news.
                        if ask != Ask::Health || (deal.well() == 0 && told != last) {
                            tracing::warn!(%server, ?ask, "a rollout server is passed over: {why}");
                        }
                        last = told;
                        Came::Lost
                    }
                };
                let before = deal.well();
                deal.came(server, ask, came, now);
                if deal.well() != before {
                    tracing::info!(servers = deal.well(), "rollout servers that are well");
                }
            }
        }
    }
}

/// The addresses of all hosts.
async fn find(hosts: &[String]) -> Vec<SocketAddr> {
    let mut found = Vec::new();
    for host in hosts {
        match tokio::net::lookup_host(host).await {
            Ok(addresses) => found.extend(addresses),
            // None is ready, or the name server has a bad moment.
            Err(error) => tracing::debug!(host, %error, "a host was not found"),
        }
    }
    found
}

impl Asker {
    async fn ask(&self, server: SocketAddr, ask: Ask, plays: &[Play], weights: &Weights) -> Told {
        let asked = match ask {
            Ask::Health => {
                let health = self.health(server).await;
                health.map(|h| Told::Came(Came::Well(h.weights.as_ref() == Some(&weights.digest))))
            }
            Ask::Weights => self.watched(server, self.send(server, weights)).await,
            Ask::Play(piece) => self.watched(server, self.play(server, &plays[piece])).await,
        };
        asked.unwrap_or_else(Told::Lost)
    }

    /// What comes of work, or that its server says nothing any more. How long the work takes nobody knows.
    async fn watched(
        &self,
        server: SocketAddr,
        work: impl Future<Output = Result<Told, String>>,
    ) -> Result<Told, String> {
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
            told = work => told,
            why = gone => Err(format!("it says nothing any more: {why}")),
        }
    }

    async fn health(&self, server: SocketAddr) -> Result<Health, String> {
        let url = format!("http://{server}/healthz");
        let asked = self.http.get(url).timeout(HEALTH).send().await;
        let body = self.body(good(asked).await?, ANSWER.0).await?;
        serde_json::from_slice(&body).map_err(|e| format!("it is no rollout server: {e}"))
    }

    async fn send(&self, server: SocketAddr, weights: &Weights) -> Result<Told, String> {
        let url = format!("http://{server}/weights/{}", weights.digest);
        let put = self.http.put(url).body(weights.content.clone());
        good(put.send().await).await?;
        Ok(Told::Came(Came::Took))
    }

    async fn play(&self, server: SocketAddr, play: &Play) -> Result<Told, String> {
        let url = format!("http://{server}/play");
        let asked = self.http.post(url).json(play).send().await;
        if matches!(&asked, Ok(response) if response.status() == StatusCode::CONFLICT) {
            return Ok(Told::Came(Came::Stale));
        }
        let most = self.most * play.seats.len();
        let body = self.body(good(asked).await?, most).await?;
        accept(play, self.vocab, &body).map(Told::Played)
    }

    /// The body of an answer, if it is no longer than `most`.
    async fn body(&self, mut response: Response, most: usize) -> Result<Vec<u8>, String> {
        let mut body = Vec::new();
        while let Some(part) = response.chunk().await.map_err(told)? {
            body.extend_from_slice(&part);
            if body.len() > most {
                return Err(format!("its answer is longer than {most} bytes"));
            }
        }
        Ok(body)
    }
}

/// The answer, unless it is a refusal.
async fn good(asked: Result<Response, reqwest::Error>) -> Result<Response, String> {
    let mut response = asked.map_err(told)?;
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let words = response.chunk().await.ok().flatten().unwrap_or_default();
    let words: String = String::from_utf8_lossy(&words).chars().take(300).collect();
    Err(format!("it answers {status}: {words}"))
}

/// An error with what is behind it: on the outside it says only that a request failed.
fn told(error: reqwest::Error) -> String {
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
        Failure::Input(format!("{NAME}={text} is no number of seconds"))
    })
}
