//! Ranks: the processes of one data-parallel training, meeting through torch's own c10d (Gloo over TCP).
//!
//! Every rank calls the same operations in the same order. An operation that a peer does not come to fails after a time-out,
//! and at once when the peer's process is gone; the group is of no use after that, and the caller ends its process.

mod shim;

use std::cell::RefCell;
use std::net::ToSocketAddrs;
use std::time::{Duration, Instant};

use tch::{Kind, Tensor};

use shim::{Group, Operation, Place};

/// The factor by which ranks wait longer for each other after work that takes each its own time.
const PATIENCE: u32 = 10;

/// The errors between ranks.
#[derive(Debug, thiserror::Error)]
pub enum RanksError {
    /// The ranks did not find each other.
    #[error(
        "rank {rank} of {world} did not meet the others at {place}: {why}; see whether all of them run and reach it"
    )]
    Meeting {
        /// This rank.
        rank: usize,
        /// The number of ranks.
        world: usize,
        /// Rank 0's host and port.
        place: String,
        /// Torch's error.
        why: String,
    },
    /// A peer did not come to an operation.
    #[error("RankLost: {peer} did not answer rank {rank} while {operation}: {why}")]
    Lost {
        /// The rank at fault; exact among two.
        peer: String,
        /// This rank.
        rank: usize,
        /// The operation.
        operation: String,
        /// Torch's error.
        why: String,
    },
}

/// The addresses and time limits by which a rank finds the others.
#[derive(Clone, Debug)]
pub struct Meeting {
    /// Rank 0's host.
    pub host: String,
    /// The port that rank 0 listens on.
    pub port: u16,
    /// The time that ranks wait for each other to begin; pods of one Job may start minutes apart.
    pub join: Duration,
    /// The time that ranks wait for each other in an operation.
    pub timeout: Duration,
    /// The network interface, where it is not the one that the machine's name leads to.
    pub interface: Option<String>,
}

/// The ranks of one training, as one of them sees them.
#[derive(Debug)]
pub struct Ranks {
    rank: usize,
    world: usize,
    timeout: Duration,
    group: Option<RefCell<Group>>,
}

impl Ranks {
    /// A rank without peers: every operation gives back what it was given.
    #[must_use]
    pub fn alone() -> Self {
        Self {
            rank: 0,
            world: 1,
            timeout: Duration::MAX,
            group: None,
        }
    }

    /// Meets the others.
    ///
    /// # Errors
    /// [`RanksError::Meeting`] when they do not all come in time.
    pub fn join(rank: usize, world: usize, meeting: &Meeting) -> Result<Self, RanksError> {
        let failed = |why: String| RanksError::Meeting {
            rank,
            world,
            place: format!("{}:{}", meeting.host, meeting.port),
            why,
        };
        let number = |n: usize| i32::try_from(n).map_err(|e| failed(e.to_string()));
        let near = ["127.0.0.1", "localhost"].contains(&meeting.host.as_str());
        let left = match rank {
            0 => meeting.join,
            _ => resolve(meeting).map_err(failed)?,
        };
        let group = Group::join(&Place {
            // Rank 0 is the server itself; its own name may not lead anywhere yet.
            host: if rank == 0 {
                "localhost"
            } else {
                &meeting.host
            },
            port: meeting.port,
            rank: number(rank)?,
            world: number(world)?,
            timeout: left,
            address: near.then_some("127.0.0.1"),
            interface: meeting.interface.as_deref(),
        })
        .map_err(failed)?;
        Ok(Self {
            rank,
            world,
            timeout: meeting.timeout,
            group: Some(RefCell::new(group)),
        })
    }

    /// Which one this is, from 0.
    #[must_use]
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// The number of ranks.
    #[must_use]
    pub fn world(&self) -> usize {
        self.world
    }

    /// Returns true on the rank that decides and writes.
    #[must_use]
    pub fn leads(&self) -> bool {
        self.rank == 0
    }

    /// Returns true when an item is this rank's share: every `world`-th is.
    #[must_use]
    pub fn mine(&self, index: usize) -> bool {
        index % self.world == self.rank
    }

    /// Sums float32 tensors over all ranks: one exchange for all of them, the same bits on every rank.
    ///
    /// # Errors
    /// [`RanksError::Lost`].
    pub fn all_reduce_sum(
        &self,
        operation: &str,
        tensors: &[Tensor],
    ) -> Result<Vec<Tensor>, RanksError> {
        let parts: Vec<Tensor> = tensors.iter().map(|t| t.detach().reshape([-1])).collect();
        if self.group.is_none() || parts.is_empty() {
            return Ok(tensors.iter().map(Tensor::shallow_clone).collect());
        }
        let flat = Tensor::cat(&parts, 0);
        self.reduce(operation, &flat, Operation::Sum, self.timeout)?;
        let mut at = 0;
        let mut cut = |like: &Tensor| {
            let length = i64::try_from(like.numel()).unwrap_or(0);
            let part = flat.narrow(0, at, length).reshape(like.size());
            at += length;
            part
        };
        Ok(tensors.iter().map(&mut cut).collect())
    }

    /// Sums figures over all ranks.
    ///
    /// # Errors
    /// [`RanksError::Lost`].
    pub fn sum_figures(&self, operation: &str, figures: &mut [f64]) -> Result<(), RanksError> {
        self.figures(operation, figures, Operation::Sum)
    }

    /// The largest of each figure over all ranks.
    ///
    /// # Errors
    /// [`RanksError::Lost`].
    pub fn max_figures(&self, operation: &str, figures: &mut [f64]) -> Result<(), RanksError> {
        self.figures(operation, figures, Operation::Max)
    }

    /// Rank 0's figure on every rank.
    ///
    /// # Errors
    /// [`RanksError::Lost`].
    pub fn agreed(&self, operation: &str, figure: f64) -> Result<f64, RanksError> {
        let mut figures = [if self.leads() { figure } else { 0.0 }];
        self.sum_figures(operation, &mut figures)?;
        Ok(figures[0])
    }

    /// Puts rank 0's values into tensors of the same shapes on every rank, in place.
    ///
    /// # Errors
    /// [`RanksError::Lost`].
    pub fn broadcast(&self, operation: &str, tensors: &mut [Tensor]) -> Result<(), RanksError> {
        let Some(group) = &self.group else {
            return Ok(());
        };
        tch::no_grad(|| {
            for tensor in tensors {
                let flat = tensor.detach().contiguous();
                let sent = group.borrow_mut().broadcast(&flat, 0, self.timeout);
                sent.map_err(|why| self.lost(operation, why))?;
                if !self.leads() {
                    tensor.copy_(&flat);
                }
            }
            Ok(())
        })
    }

    /// Rank 0's bytes on every rank.
    ///
    /// # Errors
    /// [`RanksError::Lost`].
    pub fn broadcast_bytes(&self, operation: &str, bytes: Vec<u8>) -> Result<Vec<u8>, RanksError> {
        if self.group.is_none() {
            return Ok(bytes);
        }
        let length = self.agreed(operation, bytes.len() as f64)? as usize;
        self.bytes_of(0, operation, bytes, length)
    }

    /// Every rank's bytes on every rank, in the order of ranks.
    ///
    /// # Errors
    /// [`RanksError::Lost`].
    pub fn gather_bytes(
        &self,
        operation: &str,
        bytes: Vec<u8>,
    ) -> Result<Vec<Vec<u8>>, RanksError> {
        if self.group.is_none() {
            return Ok(vec![bytes]);
        }
        let mut lengths = vec![0.0; self.world];
        lengths[self.rank] = bytes.len() as f64;
        self.sum_figures(operation, &mut lengths)?;
        let mut own = Some(bytes);
        (0..self.world)
            .map(|root| {
                let given = if root == self.rank { own.take() } else { None };
                let length = lengths[root] as usize;
                self.bytes_of(root, operation, given.unwrap_or_default(), length)
            })
            .collect()
    }

    /// Waits until all ranks are here, `PATIENCE` times as long as any other operation: after work of which each rank had
    /// its own share. A rank whose process has died is still noticed at once.
    ///
    /// # Errors
    /// [`RanksError::Lost`].
    pub fn barrier(&self, operation: &str) -> Result<(), RanksError> {
        if self.group.is_none() {
            return Ok(());
        }
        let one = Tensor::from_slice(&[1.0f32]);
        let patience = self.timeout.saturating_mul(PATIENCE);
        self.reduce(operation, &one, Operation::Sum, patience)
    }

    fn figures(
        &self,
        operation: &str,
        figures: &mut [f64],
        how: Operation,
    ) -> Result<(), RanksError> {
        if self.group.is_none() {
            return Ok(());
        }
        let tensor = Tensor::from_slice(figures);
        self.reduce(operation, &tensor, how, self.timeout)?;
        tensor.copy_data(figures, figures.len());
        Ok(())
    }

    fn bytes_of(
        &self,
        root: usize,
        operation: &str,
        mut bytes: Vec<u8>,
        length: usize,
    ) -> Result<Vec<u8>, RanksError> {
        let Some(group) = self.group.as_ref().filter(|_| length > 0) else {
            return Ok(Vec::new());
        };
        bytes.resize(length, 0);
        let tensor = Tensor::from_slice(&bytes);
        let root = i32::try_from(root).unwrap_or(0);
        let sent = group.borrow_mut().broadcast(&tensor, root, self.timeout);
        sent.map_err(|why| self.lost(operation, why))?;
        tensor.copy_data(&mut bytes, length);
        Ok(bytes)
    }

    fn reduce(
        &self,
        operation: &str,
        tensor: &Tensor,
        how: Operation,
        timeout: Duration,
    ) -> Result<(), RanksError> {
        debug_assert!(matches!(tensor.kind(), Kind::Float | Kind::Double));
        let Some(group) = &self.group else {
            return Ok(());
        };
        let done = group.borrow_mut().all_reduce(tensor, how, timeout);
        done.map_err(|why| self.lost(operation, why))
    }

    fn lost(&self, operation: &str, why: String) -> RanksError {
        let others: Vec<String> = (0..self.world)
            .filter(|rank| *rank != self.rank)
            .map(|rank| rank.to_string())
            .collect();
        let peer = match others.as_slice() {
            [one] => format!("rank {one}"),
            _ => format!("one of ranks {}", others.join(", ")),
        };
        RanksError::Lost {
            peer,
            rank: self.rank,
            operation: operation.to_owned(),
            why,
        }
    }
}

/// Waits until rank 0's name leads somewhere: a pod gets its name a moment after it starts. Gives what is left of the time.
fn resolve(meeting: &Meeting) -> Result<Duration, String> {
    let began = Instant::now();
    loop {
        let found = (meeting.host.as_str(), meeting.port).to_socket_addrs();
        let left = meeting.join.saturating_sub(began.elapsed());
        match found.map(|mut addresses| addresses.next()) {
            Ok(Some(_)) => return Ok(left.max(Duration::from_secs(1))),
            _ if !left.is_zero() => std::thread::sleep(Duration::from_millis(250).min(left)),
            Ok(None) => return Err("its name has no address".into()),
            Err(error) => return Err(error.to_string()),
        }
    }
}
