//! The next request to each rollout server. Pure: outcomes and the time come in as arguments.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Time that a failed server is left alone.
pub const REST: Duration = Duration::from_secs(5);

/// A request to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// Report its health.
    Health,
    /// Load the weights.
    Weights,
    /// Play the piece of this number.
    Play(usize),
}

/// The outcome of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The server is healthy.
    Healthy {
        /// True when it holds the weights.
        holds: bool,
        /// Pieces that it plays at a time.
        tables: usize,
    },
    /// It has loaded the weights.
    Loaded,
    /// It has played the piece.
    Played,
    /// It holds other weights by now.
    Stale,
    /// There is no answer, or no usable one.
    Lost,
}

/// The last known state of a server.
#[derive(Debug)]
struct Server {
    healthy: bool,
    holds: bool,
    /// Pieces that it plays at a time.
    tables: usize,
    /// A health check or a transfer of weights is in flight.
    busy: bool,
    playing: usize,
    /// The earliest time of the next request.
    again: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece {
    Waiting,
    InFlight,
    Done,
}

/// Servers, and the pieces of one play.
#[derive(Debug)]
pub struct Deal {
    servers: BTreeMap<SocketAddr, Server>,
    pieces: Vec<Piece>,
    /// Time without any server at work since the last piece that was played.
    idle: Duration,
    seen: Instant,
}

impl Deal {
    /// A deal without servers and pieces.
    pub fn new(now: Instant) -> Self {
        Self {
            servers: BTreeMap::new(),
            pieces: Vec::new(),
            idle: Duration::ZERO,
            seen: now,
        }
    }

    /// Begins a play of so many pieces. Outcomes of the last play's requests do not arrive any more.
    pub fn begin(&mut self, pieces: usize, new_weights: bool, now: Instant) {
        self.pieces = vec![Piece::Waiting; pieces];
        self.idle = Duration::ZERO;
        self.seen = now;
        for server in self.servers.values_mut() {
            server.holds &= !new_weights;
            server.busy = false;
            server.playing = 0;
        }
    }

    /// Takes in the servers that exist now. A server that is not among them and does nothing is forgotten.
    pub fn found(&mut self, addresses: &[SocketAddr], now: Instant) {
        self.servers.retain(|address, server| {
            addresses.contains(address) || server.busy || server.playing > 0
        });
        for address in addresses {
            self.servers.entry(*address).or_insert(Server {
                healthy: false,
                holds: false,
                tables: 1,
                busy: false,
                playing: 0,
                again: now,
            });
        }
    }

    /// Returns the requests to make now; they count as made.
    pub fn requests(&mut self, now: Instant) -> Vec<(SocketAddr, Request)> {
        if self.working() == 0 {
            self.idle += now.saturating_duration_since(self.seen);
        }
        self.seen = now;
        let mut requests = Vec::new();
        for (address, server) in &mut self.servers {
            let request = match server {
                Server { busy: true, .. } => continue,
                Server { healthy: false, .. } if now >= server.again => Request::Health,
                Server {
                    healthy: true,
                    holds: false,
                    ..
                } => Request::Weights,
                _ => continue,
            };
            server.busy = true;
            requests.push((*address, request));
        }
        // Every server gets a first piece before any gets a second, also those that are loading the weights.
        let loading = |s: &&Server| s.healthy && s.busy && s.playing == 0;
        let loading = self.servers.values().filter(loading).count();
        let most = self.servers.values().map(|server| server.tables).max();
        for round in 0..most.unwrap_or(0) {
            for (address, server) in &mut self.servers {
                let free = server.playing <= round && round < server.tables;
                if !server.healthy || !server.holds || server.busy || !free {
                    continue;
                }
                let mut waiting = (0..).zip(&self.pieces);
                let mut waiting = waiting.by_ref().filter(|(_, p)| **p == Piece::Waiting);
                let Some((piece, _)) = waiting.next() else {
                    return requests;
                };
                if round > 0 && waiting.count() < loading {
                    return requests;
                }
                self.pieces[piece] = Piece::InFlight;
                server.playing += 1;
                requests.push((*address, Request::Play(piece)));
            }
        }
        requests
    }

    /// Takes in the outcome of a request.
    pub fn outcome(
        &mut self,
        address: SocketAddr,
        request: Request,
        outcome: Outcome,
        now: Instant,
    ) {
        if let Request::Play(piece) = request {
            let done = outcome == Outcome::Played;
            self.pieces[piece] = if done { Piece::Done } else { Piece::Waiting };
            if done {
                self.idle = Duration::ZERO;
            }
        }
        let Some(server) = self.servers.get_mut(&address) else {
            return;
        };
        match request {
            Request::Play(_) => server.playing = server.playing.saturating_sub(1),
            Request::Health | Request::Weights => server.busy = false,
        }
        match outcome {
            Outcome::Healthy { holds, tables } => {
                (server.healthy, server.holds) = (true, holds);
                server.tables = tables.max(1);
            }
            Outcome::Loaded => server.holds = true,
            Outcome::Stale => server.holds = false,
            Outcome::Played => {}
            Outcome::Lost => {
                (server.healthy, server.holds) = (false, false);
                server.again = now + REST;
            }
        }
    }

    /// Returns true when every piece was played.
    pub fn done(&self) -> bool {
        self.pieces.iter().all(|piece| *piece == Piece::Done)
    }

    /// Returns the number of servers that were healthy at their last answer.
    pub fn healthy(&self) -> usize {
        self.servers.values().filter(|s| s.healthy).count()
    }

    /// Returns the number of pieces that all healthy servers play at a time.
    pub fn tables(&self) -> usize {
        let healthy = self.servers.values().filter(|s| s.healthy);
        healthy.map(|server| server.tables).sum()
    }

    /// Returns the time for which no server has been at work.
    pub fn idle(&self) -> Duration {
        self.idle
    }

    /// Returns the number of servers at work.
    fn working(&self) -> usize {
        let works = |server: &&Server| server.playing > 0 || (server.healthy && server.busy);
        self.servers.values().filter(works).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    const fn healthy(holds: bool) -> Outcome {
        Outcome::Healthy { holds, tables: 2 }
    }

    /// Both servers are found and healthy; the first holds the weights.
    fn ready(pieces: usize, now: Instant) -> Deal {
        let mut deal = Deal::new(now);
        deal.begin(pieces, true, now);
        deal.found(&[at(1), at(2)], now);
        let health = [(at(1), Request::Health), (at(2), Request::Health)];
        assert_eq!(deal.requests(now), health);
        deal.outcome(at(1), Request::Health, healthy(true), now);
        deal.outcome(at(2), Request::Health, healthy(false), now);
        deal
    }

    #[test]
    fn servers_without_the_weights_get_them_and_pieces_go_round() {
        let now = Instant::now();
        let mut deal = ready(3, now);
        assert_eq!(deal.tables(), 4);
        let first = [
            (at(2), Request::Weights),
            (at(1), Request::Play(0)),
            (at(1), Request::Play(1)),
        ];
        assert_eq!(deal.requests(now), first);
        deal.outcome(at(2), Request::Weights, Outcome::Loaded, now);
        assert_eq!(deal.requests(now), [(at(2), Request::Play(2))]);
        for (server, piece) in [(1, 0), (1, 1), (2, 2)] {
            assert!(!deal.done());
            deal.outcome(at(server), Request::Play(piece), Outcome::Played, now);
        }
        assert!(deal.done() && deal.requests(now).is_empty());
        deal.begin(2, false, now);
        let same = [(at(1), Request::Play(0)), (at(2), Request::Play(1))];
        assert_eq!(deal.requests(now), same, "the weights have not changed");
    }

    #[test]
    fn a_server_has_as_many_pieces_at_a_time_as_it_has_tables() {
        let now = Instant::now();
        let mut deal = Deal::new(now);
        deal.begin(9, true, now);
        deal.found(&[at(1), at(2)], now);
        deal.requests(now);
        for (server, tables) in [(1, 5), (2, 1)] {
            let holds = Outcome::Healthy {
                holds: true,
                tables,
            };
            deal.outcome(at(server), Request::Health, holds, now);
        }
        let asked = deal.requests(now);
        let of = |server| asked.iter().filter(|(to, _)| *to == at(server)).count();
        assert_eq!((of(1), of(2)), (5, 1));
    }

    #[test]
    fn pieces_of_a_lost_server_go_to_another_and_it_is_retried_later() {
        let now = Instant::now();
        let mut deal = ready(2, now);
        deal.requests(now);
        deal.outcome(at(2), Request::Weights, Outcome::Loaded, now);
        for piece in 0..2 {
            deal.outcome(at(1), Request::Play(piece), Outcome::Lost, now);
        }
        let again = [(at(2), Request::Play(0)), (at(2), Request::Play(1))];
        assert_eq!(deal.requests(now), again);
        assert_eq!(deal.requests(now + REST), [(at(1), Request::Health)]);
        deal.outcome(at(2), Request::Play(0), Outcome::Stale, now);
        assert_eq!(deal.requests(now), [(at(2), Request::Weights)]);
        deal.found(&[at(3)], now);
        assert_eq!(deal.requests(now), [(at(3), Request::Health)]);
    }

    #[test]
    fn time_runs_out_only_while_no_server_is_at_work() {
        let now = Instant::now();
        let second = Duration::from_secs(1);
        let mut deal = ready(1, now);
        deal.requests(now);
        deal.requests(now + 100 * second);
        assert_eq!(deal.idle(), Duration::ZERO);
        let later = now + 101 * second;
        deal.outcome(at(1), Request::Play(0), Outcome::Lost, later);
        deal.outcome(at(2), Request::Weights, Outcome::Lost, later);
        deal.requests(later + second);
        assert_eq!(deal.idle(), 2 * second);
        deal.begin(1, true, later + 50 * second);
        deal.requests(later + 51 * second);
        assert_eq!((deal.idle(), deal.healthy()), (second, 0));
    }
}
