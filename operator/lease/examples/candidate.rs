//! One candidate as a process, for the tests: prints when it led, by the clock all processes of the machine share.
//!
//! `candidate NAMESPACE LEASE IDENTITY SECONDS WALL_OFFSET_SECONDS`, with KUBECONFIG. Lines: `lead NANOS`, `stop NANOS`.
//! A `stop` is the last check that still said yes, so that an interval is never shorter than it was seen to be.
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
    // A thread of its own, so that what the election does cannot delay the checks.
    std::thread::spawn(move || {
        let mut out = std::io::stdout();
        let mut led = None;
        loop {
            let now = agoge_lease::now().as_nanos();
            let leads = leadership.leads();
            // Each check that says yes is written, so that a killed process has told all.
            let told = match (led.is_some(), leads) {
                (false, true) => writeln!(out, "lead {now}"),
                (true, true) => writeln!(out, "still {now}"),
                (true, false) => writeln!(out, "stop {}", led.unwrap_or(now)),
                (false, false) => Ok(()),
            };
            if told.and_then(|()| out.flush()).is_err() {
                return;
            }
            led = leads.then_some(now);
            std::thread::sleep(Duration::from_millis(3));
        }
    });
    running.await?;
    Ok(())
}
