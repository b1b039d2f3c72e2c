//! A pool of worlds: attempts that run at once execute tools in different interpreters.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use agoge_sandbox::Limits;
use agoge_world::{Domain, World, WorldError};
use parking_lot::Mutex;

/// Worlds of one domain. Results do not depend on which of them is used.
pub struct Worlds {
    domain: Arc<Domain>,
    all: Vec<Mutex<World>>,
    next: AtomicUsize,
}

impl Worlds {
    /// Opens `count` worlds, at least one.
    ///
    /// # Errors
    /// When the domain's tools do not start.
    pub fn open(domain: &Arc<Domain>, limits: &Limits, count: usize) -> Result<Self, WorldError> {
        let all: Result<Vec<_>, _> = (0..count.max(1))
            .map(|_| World::open(domain.clone(), limits.clone()).map(Mutex::new))
            .collect();
        Ok(Self {
            domain: domain.clone(),
            all: all?,
            next: AtomicUsize::new(0),
        })
    }

    /// Returns the domain.
    #[must_use]
    pub fn domain(&self) -> &Arc<Domain> {
        &self.domain
    }

    /// Calls `work` with a world that nobody uses, or with the next one when it is free.
    pub fn with<T>(&self, work: impl FnOnce(&mut World) -> T) -> T {
        for world in &self.all {
            if let Some(mut world) = world.try_lock() {
                return work(&mut world);
            }
        }
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        let world = &self.all[turn % self.all.len()];
        work(&mut world.lock())
    }
}
