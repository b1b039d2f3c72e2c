//! What each server is asked next. Pure: it hears what came of what was asked, and what time it is.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use agoge_learner::parallel::PIECES;

/// How long a server that failed is left alone.
pub const REST: Duration = Duration::from_secs(5);

/// What a server is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// How it is.
    Health,
    /// To take the weights.
    Weights,
    /// To play the piece of this number.
    Play(usize),
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Came {
    /// It is well, and holds the weights or not.
    Well(bool),
    /// It has taken the weights.
    Took,
    /// It has played.
    Played,
    /// It has other weights by now.
    Stale,
    /// Nothing, or nothing of use.
    Lost,
}

/// A server as it was heard of last.
#[derive(Debug)]
struct Server {
    well: bool,
    holds: bool,
    /// It is being asked how it is, or sent the weights.
    busy: bool,
    playing: usize,
    /// When it may be asked again.
    again: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece {
    Waiting,
    Out,
    Done,
}

/// Servers, and the pieces of one play.
#[derive(Debug)]
pub struct Deal {
    servers: BTreeMap<SocketAddr, Server>,
    pieces: Vec<Piece>,
    /// Time in which no server had anything to do, since the last piece that was played.
    idle: Duration,
    seen: Instant,
}

impl Deal {
    /// No server known, nothing to play.
    pub fn new(now: Instant) -> Self {
        Self {
            servers: BTreeMap::new(),
            pieces: Vec::new(),
            idle: Duration::ZERO,
            seen: now,
        }
    }

    /// A new play of so many pieces. What is still out of the last one will never be heard of.
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

    /// The servers there are now. One that is not among them and does nothing is forgotten.
    pub fn found(&mut self, addresses: &[SocketAddr], now: Instant) {
        self.servers.retain(|address, server| {
            addresses.contains(address) || server.busy || server.playing > 0
        });
        for address in addresses {
            self.servers.entry(*address).or_insert(Server {
                well: false,
                holds: false,
                busy: false,
                playing: 0,
                again: now,
            });
        }
    }

    /// What is to be asked now. It counts as asked.
    pub fn asks(&mut self, now: Instant) -> Vec<(SocketAddr, Ask)> {
        if self.out() == 0 {
            self.idle += now.saturating_duration_since(self.seen);
        }
        self.seen = now;
        let mut asks = Vec::new();
        for (address, server) in &mut self.servers {
            let ask = match server {
                Server { busy: true, .. } => continue,
                Server { well: false, .. } if now >= server.again => Ask::Health,
                Server {
                    well: true,
                    holds: false,
                    ..
                } => Ask::Weights,
                _ => continue,
            };
            server.busy = true;
            asks.push((*address, ask));
        }
        // A piece for each before a second for any, those included that are being sent the weights.
        let coming = |s: &&Server| s.well && s.busy && s.playing == 0;
        let coming = self.servers.values().filter(coming).count();
        for round in 0..PIECES {
            for (address, server) in &mut self.servers {
                if !server.well || !server.holds || server.busy || server.playing > round {
                    continue;
                }
                let mut waiting = (0..).zip(&self.pieces);
                let mut waiting = waiting.by_ref().filter(|(_, p)| **p == Piece::Waiting);
                let Some((piece, _)) = waiting.next() else {
                    return asks;
                };
                if round > 0 && waiting.count() < coming {
                    return asks;
                }
                self.pieces[piece] = Piece::Out;
                server.playing += 1;
                asks.push((*address, Ask::Play(piece)));
            }
        }
        asks
    }

    /// Takes in what came of an ask.
    pub fn came(&mut self, address: SocketAddr, ask: Ask, came: Came, now: Instant) {
        if let Ask::Play(piece) = ask {
            let done = came == Came::Played;
            self.pieces[piece] = if done { Piece::Done } else { Piece::Waiting };
            if done {
                self.idle = Duration::ZERO;
            }
        }
        let Some(server) = self.servers.get_mut(&address) else {
            return;
        };
        match ask {
            Ask::Play(_) => server.playing = server.playing.saturating_sub(1),
            Ask::Health | Ask::Weights => server.busy = false,
        }
        match came {
            Came::Well(holds) => (server.well, server.holds) = (true, holds),
            Came::Took => server.holds = true,
            Came::Stale => server.holds = false,
            Came::Played => {}
            Came::Lost => {
                (server.well, server.holds) = (false, false);
                server.again = now + REST;
            }
        }
    }

    /// Whether every piece was played.
    pub fn done(&self) -> bool {
        self.pieces.iter().all(|piece| *piece == Piece::Done)
    }

    /// Servers that were well when they were last heard of.
    pub fn well(&self) -> usize {
        self.servers.values().filter(|server| server.well).count()
    }

    /// For how long there has been nobody to play.
    pub fn idle(&self) -> Duration {
        self.idle
    }

    /// Servers at work.
    fn out(&self) -> usize {
        let works = |server: &&Server| server.playing > 0 || (server.well && server.busy);
        self.servers.values().filter(works).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    /// Both servers are found, well, and hold the weights.
    fn ready(pieces: usize, now: Instant) -> Deal {
        let mut deal = Deal::new(now);
        deal.begin(pieces, true, now);
        deal.found(&[at(1), at(2)], now);
        assert_eq!(deal.asks(now), [(at(1), Ask::Health), (at(2), Ask::Health)]);
        deal.came(at(1), Ask::Health, Came::Well(true), now);
        deal.came(at(2), Ask::Health, Came::Well(false), now);
        deal
    }

    #[test]
    fn who_lacks_the_weights_gets_them_and_pieces_go_round() {
        let now = Instant::now();
        let mut deal = ready(3, now);
        let asks = deal.asks(now);
        let first = [
            (at(2), Ask::Weights),
            (at(1), Ask::Play(0)),
            (at(1), Ask::Play(1)),
        ];
        assert_eq!(asks, first);
        deal.came(at(2), Ask::Weights, Came::Took, now);
        assert_eq!(deal.asks(now), [(at(2), Ask::Play(2))]);
        for (server, piece) in [(1, 0), (1, 1), (2, 2)] {
            assert!(!deal.done());
            deal.came(at(server), Ask::Play(piece), Came::Played, now);
        }
        assert!(deal.done() && deal.asks(now).is_empty());
        deal.begin(2, false, now);
        let same = [(at(1), Ask::Play(0)), (at(2), Ask::Play(1))];
        assert_eq!(deal.asks(now), same, "the weights are as they were");
    }

    #[test]
    fn what_a_lost_server_had_goes_to_another_and_it_is_tried_again_later() {
        let now = Instant::now();
        let mut deal = ready(2, now);
        deal.asks(now);
        deal.came(at(2), Ask::Weights, Came::Took, now);
        for piece in 0..2 {
            deal.came(at(1), Ask::Play(piece), Came::Lost, now);
        }
        let again = [(at(2), Ask::Play(0)), (at(2), Ask::Play(1))];
        assert_eq!(deal.asks(now), again);
        assert_eq!(deal.asks(now + REST), [(at(1), Ask::Health)]);
        deal.came(at(2), Ask::Play(0), Came::Stale, now);
        assert_eq!(deal.asks(now), [(at(2), Ask::Weights)]);
        deal.found(&[at(3)], now);
        assert_eq!(deal.asks(now), [(at(3), Ask::Health)]);
    }

    #[test]
    fn time_runs_out_only_while_nobody_plays() {
        let now = Instant::now();
        let second = Duration::from_secs(1);
        let mut deal = ready(1, now);
        deal.asks(now);
        deal.asks(now + 100 * second);
        assert_eq!(deal.idle(), Duration::ZERO);
        let later = now + 101 * second;
        deal.came(at(1), Ask::Play(0), Came::Lost, later);
        deal.came(at(2), Ask::Weights, Came::Lost, later);
        deal.asks(later + second);
        assert_eq!(deal.idle(), 2 * second);
        deal.begin(1, true, later + 50 * second);
        deal.asks(later + 51 * second);
        assert_eq!((deal.idle(), deal.well()), (second, 0));
    }
}
