//! The pace of an endpoint: the requests in flight at once, lowered when it fails and restored as answers come.
//!
//! Additive increase, multiplicative decrease: a fault halves the limit, at most once for the requests that were in flight
//! together; as many answers as the limit allows at once raise it by one. A request that waits for a retry keeps its place,
//! so that a busy endpoint gets fewer requests.

use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::error::Fault;

/// The requests in flight of one endpoint, shared by all clones of its client.
#[derive(Debug)]
pub(crate) struct Pace {
    most: usize,
    places: Semaphore,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Requests that may be in flight; the fraction counts answers on the way to the next place.
    limit: f64,
    /// Places that are taken out of the semaphore.
    held_back: usize,
    /// The time of the last decrease.
    lowered: Option<Instant>,
    /// Nothing is sent before.
    closed_until: Option<Instant>,
    /// The time of the last answer.
    answered: Option<Instant>,
    /// The fault since the last answer.
    fault: Option<Fault>,
}

/// The place of one request.
pub(crate) struct Place<'a> {
    pace: &'a Pace,
    permit: Option<SemaphorePermit<'a>>,
}

impl Pace {
    /// A pace of at most so many requests in flight.
    pub fn new(most: usize) -> Self {
        let most = most.clamp(1, Semaphore::MAX_PERMITS);
        Self {
            most,
            places: Semaphore::new(most),
            state: Mutex::new(State {
                limit: most as f64,
                held_back: 0,
                lowered: None,
                closed_until: None,
                answered: None,
                fault: None,
            }),
        }
    }

    /// Waits for a place.
    pub async fn place(&self) -> Place<'_> {
        // A semaphore that is never closed always gives one.
        let permit = self.places.acquire().await.ok();
        Place { pace: self, permit }
    }

    /// Waits until the endpoint takes requests again, as far as it said when.
    pub async fn open(&self) {
        while let Some(until) = self.closed_until() {
            tokio::time::sleep_until(until.into()).await;
        }
    }

    fn closed_until(&self) -> Option<Instant> {
        let until = self.state.lock().closed_until;
        until.filter(|until| *until > Instant::now())
    }

    /// Returns the time of the last answer.
    pub fn answered_at(&self) -> Option<Instant> {
        self.state.lock().answered
    }

    /// Returns the fault that no answer has followed yet.
    pub fn fault(&self) -> Option<Fault> {
        self.state.lock().fault.clone()
    }

    /// Notes an answer.
    pub fn answered(&self, now: Instant) {
        let mut state = self.state.lock();
        state.answered = Some(now);
        state.fault = None;
        let raised = state.limit + 1.0 / state.limit.floor();
        state.limit = raised.min(self.most as f64);
        let wanted = self.most - whole(state.limit);
        let back = state.held_back.saturating_sub(wanted);
        state.held_back -= back;
        self.places.add_permits(back);
    }

    /// Notes the fault of a request that was sent at `sent`, and how long the endpoint asks all requests to wait.
    pub fn failed(&self, fault: &Fault, sent: Instant, now: Instant, wait: Option<Duration>) {
        let mut state = self.state.lock();
        state.fault = Some(fault.clone());
        if let Some(until) = wait.and_then(|wait| now.checked_add(wait)) {
            state.closed_until = state.closed_until.max(Some(until));
        }
        if state.lowered.is_some_and(|at| sent < at) {
            return;
        }
        state.lowered = Some(now);
        state.limit = (state.limit / 2.0).floor().max(1.0);
        let wanted = self.most - whole(state.limit);
        let more = wanted.saturating_sub(state.held_back);
        state.held_back += self.places.forget_permits(more);
    }

    /// Returns the requests that may be in flight now.
    #[cfg(test)]
    fn limit(&self) -> usize {
        whole(self.state.lock().limit)
    }
}

/// The whole places of a limit, which is at least 1.
fn whole(limit: f64) -> usize {
    (limit as usize).max(1)
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut state = self.pace.state.lock();
        let wanted = self.pace.most - whole(state.limit);
        if state.held_back < wanted
            && let Some(permit) = self.permit.take()
        {
            permit.forget();
            state.held_back += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault() -> Fault {
        Fault::Busy {
            status: 429,
            said: "slow down".into(),
        }
    }

    #[tokio::test]
    async fn faults_of_one_round_halve_the_places_once_and_answers_restore_them() {
        let pace = Pace::new(8);
        let begin = Instant::now();
        let later = |seconds| begin + Duration::from_secs(seconds);
        let mut places = Vec::new();
        for _ in 0..8 {
            places.push(pace.place().await);
        }
        for _ in 0..8 {
            pace.failed(&fault(), begin, later(1), None);
        }
        assert_eq!(pace.limit(), 4);
        pace.failed(&fault(), later(2), later(3), None);
        assert_eq!(pace.limit(), 2);
        drop(places);
        assert_eq!(pace.places.available_permits(), 2);
        for _ in 0..200 {
            pace.answered(later(4));
        }
        assert_eq!((pace.limit(), pace.places.available_permits()), (8, 8));
    }

    #[tokio::test]
    async fn free_places_are_taken_away_at_once_and_one_always_stays() {
        let pace = Pace::new(4);
        let begin = Instant::now();
        for n in 0..9 {
            let sent = begin + Duration::from_secs(2 * n);
            pace.failed(&fault(), sent, sent + Duration::from_secs(1), None);
        }
        assert_eq!((pace.limit(), pace.places.available_permits()), (1, 1));
        assert!(pace.fault().is_some());
        pace.answered(begin);
        assert_eq!((pace.fault(), pace.places.available_permits()), (None, 2));
    }

    #[tokio::test]
    async fn nothing_is_sent_before_the_time_that_the_endpoint_names() {
        let pace = Pace::new(1);
        let begin = Instant::now();
        let wait = Some(Duration::from_millis(80));
        pace.failed(&fault(), begin, begin, wait);
        pace.open().await;
        assert!(begin.elapsed() >= Duration::from_millis(80));
    }
}
