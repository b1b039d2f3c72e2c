//! Between one operator and the API server: writes are numbered, and one of them is cut.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::StreamExt;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, BodyStream, StreamBody};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use kube::Client;
use kube::client::Body;
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// The time for which watches are held back.
const STALE: Duration = Duration::from_millis(1500);

type Error = Box<dyn std::error::Error + Send + Sync>;

/// The effect of the proxy on a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// The operator is killed, and the write never arrives.
    Before,
    /// The write is done, and the operator is killed before it hears of it.
    After,
    /// The write is done and its answer is lost; the operator lives.
    ReplyLost,
    /// The write is done, and for a while watches show neither it nor anything after it, while every object is looked at
    /// again and again.
    CacheStale,
}

impl How {
    /// All four.
    pub const ALL: [Self; 4] = [Self::Before, Self::After, Self::ReplyLost, Self::CacheStale];

    /// For results.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::After => "after",
            Self::ReplyLost => "replyLost",
            Self::CacheStale => "cacheStale",
        }
    }
}

/// A cut: at the write of this number, from 0.
#[derive(Clone, Copy, Debug)]
pub struct Cut {
    /// Which write.
    pub at: usize,
    /// The effect.
    pub how: How,
}

/// A write of the operator.
#[derive(Clone, Debug)]
pub struct Write {
    /// Method and resource.
    pub what: String,
    /// True when its object was gone: such a write comes or not as watches are slow or quick, and changes nothing.
    pub late: bool,
}

/// The proxy of one operator.
pub struct Proxy {
    /// Where it listens.
    pub address: SocketAddr,
    shared: Arc<Shared>,
    accepting: tokio::task::JoinHandle<()>,
}

struct Shared {
    client: Client,
    cut: Option<Cut>,
    done: AtomicBool,
    writes: Mutex<Vec<Write>>,
    under_way: AtomicUsize,
    quiet_since: Mutex<Instant>,
    /// True while watches flow.
    flows: watch::Sender<bool>,
    /// The operator's process; 0 when there is none.
    pid: AtomicUsize,
}

impl Proxy {
    /// Starts one in front of this client's API server.
    pub async fn start(client: Client, cut: Option<Cut>) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            client,
            cut,
            done: AtomicBool::new(false),
            writes: Mutex::default(),
            under_way: AtomicUsize::new(0),
            quiet_since: Mutex::new(Instant::now()),
            flows: watch::channel(true).0,
            pid: AtomicUsize::new(0),
        });
        let accepting = tokio::spawn(accept(listener, shared.clone()));
        Ok(Self {
            address,
            shared,
            accepting,
        })
    }

    /// Which process is cut off.
    pub fn guards(&self, pid: u32) {
        self.shared.pid.store(pid as usize, Ordering::SeqCst);
    }

    /// The writes so far.
    pub fn writes(&self) -> Vec<Write> {
        self.shared.writes.lock().clone()
    }

    /// True when the cut was made.
    pub fn cut(&self) -> bool {
        self.shared.done.load(Ordering::SeqCst)
    }

    /// True while watches are held back.
    pub fn stale(&self) -> bool {
        !*self.shared.flows.borrow()
    }

    /// For how long nothing was written.
    pub fn quiet(&self) -> Duration {
        if self.shared.under_way.load(Ordering::SeqCst) > 0 {
            Duration::ZERO
        } else {
            self.shared.quiet_since.lock().elapsed()
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept().await {
        let shared = shared.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| answer(shared.clone(), request));
            // A connection that ends badly is what is tested here.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn answer(
    shared: Arc<Shared>,
    request: Request<Incoming>,
) -> Result<Response<UnsyncBoxBody<Bytes, Error>>, Error> {
    let path = request.uri().path().to_owned();
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let watches = reads
        && request
            .uri()
            .query()
            .is_some_and(|query| query.contains("watch=true"));
    let counts = !reads && !path.contains("/leases") && !path.contains("reviews");
    let number = counts.then(|| shared.number(&request, &path));
    let how = number.and_then(|at| shared.cut_at(at));
    if how == Some(How::Before) {
        shared.kill();
        return Err("cut off before the write".into());
    }
    if how == Some(How::CacheStale) {
        shared.hold_back();
    }
    let _write = counts.then(|| UnderWay::new(&shared));
    let (mut parts, body) = request.into_parts();
    parts.headers.remove(hyper::header::HOST);
    let body = body.collect().await?.to_bytes();
    let answer = shared
        .client
        .send(Request::from_parts(parts, Body::from(body)))
        .await?;
    if let Some(at) = number.filter(|_| answer.status() == StatusCode::NOT_FOUND) {
        shared.writes.lock()[at].late = true;
    }
    match how {
        Some(How::After) => {
            shared.kill();
            return Err("cut off after the write".into());
        }
        Some(How::ReplyLost) => return Err("the answer is lost".into()),
        _ => {}
    }
    Ok(answer.map(|body| {
        if watches {
            held(body, &shared)
        } else {
            body.map_err(Into::into).boxed_unsync()
        }
    }))
}

/// A watch's answer, which flows when watches flow.
fn held(body: Body, shared: &Shared) -> UnsyncBoxBody<Bytes, Error> {
    let flows = shared.flows.subscribe();
    let frames = BodyStream::new(body).then(move |frame| {
        let mut flows = flows.clone();
        async move {
            // A sender that is gone holds nothing back.
            let _ = flows.wait_for(|flows| *flows).await;
            frame.map_err(Error::from)
        }
    });
    BodyExt::boxed_unsync(StreamBody::new(frames))
}

impl Shared {
    /// Numbers a write.
    fn number(&self, request: &Request<Incoming>, path: &str) -> usize {
        let mut writes = self.writes.lock();
        writes.push(Write {
            what: format!("{} {}", request.method(), resource(path)),
            late: false,
        });
        writes.len() - 1
    }

    /// Returns the effect on the write of this number.
    fn cut_at(&self, at: usize) -> Option<How> {
        let cut = self.cut.filter(|cut| cut.at == at)?;
        self.done.store(true, Ordering::SeqCst);
        Some(cut.how)
    }

    #[allow(clippy::cast_possible_wrap, clippy::cast_possible_truncation)]
    fn kill(&self) {
        let pid = self.pid.swap(0, Ordering::SeqCst);
        if pid > 0 {
            // SAFETY: a signal to a process that this one started and has not waited for yet.
            #[allow(unsafe_code)]
            unsafe {
                libc::kill(pid as libc::pid_t, libc::SIGKILL);
            }
        }
    }

    fn hold_back(&self) {
        self.flows.send_replace(false);
        let flows = self.flows.clone();
        tokio::spawn(async move {
            tokio::time::sleep(STALE).await;
            flows.send_replace(true);
        });
    }
}

/// `namespaces/ns/jobs/name` without what differs from life to life.
fn resource(path: &str) -> String {
    let parts: Vec<&str> = path.split('/').collect();
    let at = parts
        .iter()
        .position(|part| *part == "namespaces")
        .map_or(0, |at| at + 2);
    match parts.get(at..) {
        Some(["events", ..]) => "events".to_owned(),
        Some(rest) => rest.join("/"),
        None => path.to_owned(),
    }
}

/// A write that is under way.
struct UnderWay<'a>(&'a Shared);

impl<'a> UnderWay<'a> {
    fn new(shared: &'a Shared) -> Self {
        shared.under_way.fetch_add(1, Ordering::SeqCst);
        Self(shared)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        *self.0.quiet_since.lock() = Instant::now();
        self.0.under_way.fetch_sub(1, Ordering::SeqCst);
    }
}
