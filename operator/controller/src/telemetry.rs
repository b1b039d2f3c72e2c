//! Logs, with a filter that can be changed while the operator runs; and traces over OTLP, if a collector is configured.
//!
//! Each reconcile is a span: its log lines carry kind, namespace and name, and a trace shows its duration.

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, Registry, reload};

use crate::options::LogFormat;

/// OpenTelemetry's variables for the address of a collector. The exporter reads them, and those for headers, by itself.
const COLLECTOR: [&str; 2] = [
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
];

/// Traces over OTLP (HTTP, protobuf), or none.
pub struct Traces(Option<SdkTracerProvider>);

impl Traces {
    /// Starts to send spans to the collector that the environment names; without one, nothing is sent.
    ///
    /// # Errors
    /// An invalid address.
    pub fn start() -> Result<Self, String> {
        let named = |name: &&str| std::env::var(name).is_ok_and(|value| !value.is_empty());
        match COLLECTOR.iter().find(|name| named(name)) {
            None => Ok(Self(None)),
            Some(name) => Self::to(None).map_err(|error| format!("{name}: {error}")),
        }
    }

    /// Starts to send spans to this address, or to the environment's.
    fn to(address: Option<&str>) -> Result<Self, String> {
        let exporter = SpanExporter::builder().with_http();
        let exporter = match address {
            Some(address) => exporter.with_endpoint(address),
            None => exporter,
        };
        let exporter = exporter.build().map_err(|error| error.to_string())?;
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_resource(Resource::builder().build())
            .build();
        Ok(Self(Some(provider)))
    }

    /// Sends the spans that are left, and stops.
    pub async fn end(self) {
        let Some(provider) = self.0 else { return };
        // It blocks until the collector answers.
        let ended = tokio::task::spawn_blocking(move || provider.shutdown()).await;
        if let Ok(Err(error)) = ended {
            tracing::warn!(%error, "the last spans were not sent");
        }
    }
}

/// A handle by which the log filter is changed.
#[derive(Clone)]
pub struct LogFilter(reload::Handle<EnvFilter, Registry>);

impl LogFilter {
    /// Starts to log to stderr.
    ///
    /// # Errors
    /// An invalid filter.
    pub fn start(format: LogFormat, filter: &str, traces: &Traces) -> Result<Self, String> {
        let filter =
            EnvFilter::try_new(filter).map_err(|error| format!("--log-filter: {error}"))?;
        let (filter, handle) = reload::Layer::new(filter);
        let lines = tracing_subscriber::fmt::layer()
            .with_writer(std::io::stderr)
            .with_ansi(false);
        let lines = match format {
            LogFormat::Json => lines.json().flatten_event(true).boxed(),
            LogFormat::Text => lines.boxed(),
        };
        let spans = traces.0.as_ref().map(|provider| {
            tracing_opentelemetry::layer().with_tracer(provider.tracer("agoge-operator"))
        });
        // A second start in one process (in tests) keeps the first.
        let _ = tracing_subscriber::registry()
            .with(filter)
            .with(lines)
            .with(spans)
            .try_init();
        Ok(Self(handle))
    }

    /// Changes the filter.
    ///
    /// # Errors
    /// An invalid filter.
    pub fn set(&self, filter: &str) -> Result<(), String> {
        let filter = EnvFilter::try_new(filter).map_err(|error| error.to_string())?;
        self.0.reload(filter).map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_span_reaches_the_collector() {
        // Another test may have installed it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let collector = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}/v1/traces", collector.local_addr().unwrap());
        let received = std::thread::spawn(move || {
            let (mut stream, _) = collector.accept().unwrap();
            let mut bytes = vec![0; 64 << 10];
            let n = stream.read(&mut bytes).unwrap();
            stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
                .unwrap();
            String::from_utf8_lossy(&bytes[..n]).into_owned()
        });
        let traces = Traces::to(Some(&address)).unwrap();
        let tracer = traces.0.as_ref().unwrap().tracer("test");
        let spans =
            tracing_subscriber::registry().with(tracing_opentelemetry::layer().with_tracer(tracer));
        tracing::subscriber::with_default(spans, || {
            tracing::info_span!("reconcile", name = "courier").in_scope(|| {});
        });
        traces.end().await;
        let request = received.join().unwrap();
        assert!(request.starts_with("POST /v1/traces"), "{request}");
        assert!(Traces::to(Some("no address")).is_err());
    }
}
