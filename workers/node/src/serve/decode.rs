//! The thread that owns the decoder: takes what waits, decodes it as one batch, answers.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use agoge_model::{Decoder, Engine, Generation, Request, SampleKey, Sampling};
use tokio::sync::oneshot;

/// One request of a client.
pub struct Job {
    /// Ids before the answer.
    pub prompt: Vec<u32>,
    /// Answers wanted.
    pub choices: usize,
    /// Sampled ids of an answer at most.
    pub max_new: usize,
    /// 0 is greedy.
    pub temperature: f64,
    /// The same seed and prompt give the same answers.
    pub seed: u64,
    /// The receiver of the answers.
    pub reply: oneshot::Sender<Result<Vec<Generation>, String>>,
}

/// The thread.
pub struct Batcher(JoinHandle<()>);

impl Batcher {
    /// Starts it. It ends when every sender is gone.
    pub fn start(
        decoder: Decoder,
        slots: usize,
        max_len: usize,
        stop: u32,
    ) -> std::io::Result<(Sender<Job>, Self)> {
        let (queue, jobs) = channel();
        let work = move || serve(&decoder, Engine::new(slots, max_len), slots, stop, &jobs);
        let thread = std::thread::Builder::new()
            .name("decode".into())
            .spawn(work)?;
        Ok((queue, Self(thread)))
    }

    /// Waits for its end.
    pub fn join(self) {
        if self.0.join().is_err() {
            tracing::error!("the decoding thread ended by a panic");
        }
    }
}

fn serve(decoder: &Decoder, mut engine: Engine, slots: usize, stop: u32, jobs: &Receiver<Job>) {
    while let Ok(first) = jobs.recv() {
        let waiting: Vec<Job> = std::iter::once(first).chain(jobs.try_iter()).collect();
        // One batch samples at one temperature.
        let mut batches: BTreeMap<u64, Vec<Job>> = BTreeMap::new();
        for job in waiting {
            batches
                .entry(job.temperature.to_bits())
                .or_default()
                .push(job);
        }
        for batch in batches.into_values() {
            decode(decoder, &mut engine, slots, stop, batch);
        }
    }
}

fn decode(decoder: &Decoder, engine: &mut Engine, slots: usize, stop: u32, batch: Vec<Job>) {
    let temperature = batch.first().map_or(1.0, |job| job.temperature);
    let sampling = Sampling {
        temperature,
        stop: vec![stop],
    };
    let mut requests: Vec<Request> = batch
        .iter()
        .flat_map(|job| {
            (0..job.choices as u64).map(|member| {
                let key = SampleKey {
                    seed: job.seed,
                    member,
                    ..SampleKey::default()
                };
                Request {
                    slot: 0,
                    append: job.prompt.clone(),
                    key,
                    max_new: job.max_new,
                }
            })
        })
        .collect();
    let mut answers = Vec::with_capacity(requests.len());
    let mut failure = None;
    for wave in requests.chunks_mut(slots) {
        for (slot, request) in wave.iter_mut().enumerate() {
            engine.reset(slot);
            request.slot = slot;
        }
        match engine.generate(decoder, wave, &sampling) {
            Ok(said) => answers.extend(said),
            Err(error) => {
                failure = Some(error.to_string());
                break;
            }
        }
    }
    let mut answers = answers.into_iter();
    for job in batch {
        let answer = match &failure {
            Some(reason) => Err(reason.clone()),
            None => Ok(answers.by_ref().take(job.choices).collect()),
        };
        // A client that has gone away wants no answer.
        let _ = job.reply.send(answer);
    }
}
