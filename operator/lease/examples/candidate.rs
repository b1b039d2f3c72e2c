//! One candidate as a process, for tests: prints the times at which it led, by the clock that all processes of the machine
//! share.
//!
//! `candidate NAMESPACE LEASE IDENTITY SECONDS WALL_OFFSET_SECONDS`, with KUBECONFIG. Lines: `lead NANOS`, `stop NANOS`.
//! A `stop` has the time of the last check at which it still led, so that intervals are never too short.
#![forbid(unsafe_code)]

use agoge_lease::Election;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use std::io::Write;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [namespace, name, identity, seconds, offset] =
        <[String; 5]>::try_from(arguments).map_err(|_| "five arguments are needed")?;
    let duration = Duration::from_secs(seconds.parse()?);
    let offset = SignedDuration::from_secs(offset.parse()?);
    let client = kube::Client::try_default().await?;
    let mut term = signal(SignalKind::terminate())?;
    let election = Election {
        client,
        namespace,
        name,
        identity,
        duration,
    };
    let (leadership, running) =
        election.start_with(move || Timestamp::now() + offset, async move {
            term.recv().await;
        });
    // On a separate thread, so that the election cannot delay the checks.
    std::thread::spawn(move || {
        let mut out = std::io::stdout();
        let mut led = None;
        loop {
            let now = agoge_lease::now().as_nanos();
            let leads = leadership.leads();
            // Each check at which it leads is written, so that a killed process has reported everything.
            let written = match (led.is_some(), leads) {
                (false, true) => writeln!(out, "lead {now}"),
                (true, true) => writeln!(out, "still {now}"),
                (true, false) => writeln!(out, "stop {}", led.unwrap_or(now)),
                (false, false) => Ok(()),
            };
            if written.and_then(|()| out.flush()).is_err() {
                return;
            }
            led = leads.then_some(now);
            std::thread::sleep(Duration::from_millis(3));
        }
    });
    running.await?;
    Ok(())
}
