//! A thread of its own for the connections, so that callers may block wherever they are.

use std::future::Future;
use std::io;
use std::sync::mpsc;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

/// Runs futures on its thread. Connections and processes that were made there go on between calls.
#[derive(Debug)]
pub(crate) struct Reactor {
    /// `None` only while it is dropped.
    runtime: Option<Runtime>,
}

impl Reactor {
    /// Starts the thread.
    pub fn start() -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("agoge-servers")
            .enable_all()
            .build()?;
        Ok(Self {
            runtime: Some(runtime),
        })
    }

    /// Runs a future and blocks until it is done, for so long at most.
    ///
    /// # Errors
    /// It took longer, or it panicked.
    pub fn wait<T: Send + 'static>(
        &self,
        limit: Duration,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, String> {
        let runtime = self.runtime.as_ref().ok_or("it is shutting down")?;
        let (sender, receiver) = mpsc::sync_channel(1);
        let task = runtime.spawn(async move {
            // Nobody waits any more once the time is over.
            let _ = sender.send(future.await);
        });
        receiver.recv_timeout(limit).map_err(|error| {
            task.abort();
            match error {
                mpsc::RecvTimeoutError::Timeout => {
                    format!("no answer in {:.0} s", limit.as_secs_f64())
                }
                mpsc::RecvTimeoutError::Disconnected => "its connection broke".to_owned(),
            }
        })
    }
}

impl Drop for Reactor {
    fn drop(&mut self) {
        // Waiting is not allowed inside of another runtime, where this may happen.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_may_be_used_and_dropped_inside_of_another_runtime() {
        let reactor = Reactor::start().unwrap();
        assert_eq!(reactor.wait(Duration::from_secs(5), async { 7 }), Ok(7));
        let forever = std::future::pending::<()>();
        let late = reactor.wait(Duration::from_millis(10), forever);
        assert!(late.unwrap_err().contains("no answer"));
        drop(reactor);
    }
}
