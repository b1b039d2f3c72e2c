//! The operator under test, as a process of its own.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Context;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::DeleteParams;
use kube::{Api, Client};

use crate::proxy::Proxy;

const LEASE: &str = "agoge-operator";

/// The operator of one namespace, behind its proxy.
pub struct Operator<'a> {
    proxy: &'a Proxy,
    client: Client,
    namespace: &'a str,
    folder: &'a Path,
    http: reqwest::Client,
    process: Option<(Child, String)>,
}

impl<'a> Operator<'a> {
    /// One that does not run yet.
    pub fn new(proxy: &'a Proxy, client: Client, namespace: &'a str, folder: &'a Path) -> Self {
        Self {
            proxy,
            client,
            namespace,
            folder,
            http: reqwest::Client::new(),
            process: None,
        }
    }

    /// Sees to it that it runs and leads, and says whether it does by now.
    pub async fn leads(&mut self) -> anyhow::Result<bool> {
        if let Some((process, _)) = &mut self.process
            && process.try_wait()?.is_some()
        {
            self.process = None;
            // The time that its lease has left passes.
            let leases: Api<Lease> = Api::namespaced(self.client.clone(), self.namespace);
            let _ = leases.delete(LEASE, &DeleteParams::default()).await;
        }
        if self.process.is_none() {
            self.start()?;
        }
        Ok(self.ask("GET", "readyz").await && self.lease_is_held().await?)
    }

    /// Has it look at every object.
    pub async fn look_at_all(&self) {
        self.ask("POST", "reconcile-all").await;
    }

    async fn ask(&self, method: &str, path: &str) -> bool {
        let Some((_, address)) = &self.process else {
            return false;
        };
        let url = format!("http://{address}/{path}");
        let request = if method == "GET" {
            self.http.get(url)
        } else {
            self.http.post(url)
        };
        let answer = request.timeout(Duration::from_secs(2)).send().await;
        answer.is_ok_and(|answer| answer.status().is_success())
    }

    async fn lease_is_held(&self) -> anyhow::Result<bool> {
        let leases: Api<Lease> = Api::namespaced(self.client.clone(), self.namespace);
        let lease = leases.get_opt(LEASE).await?;
        Ok(lease
            .and_then(|lease| lease.spec?.holder_identity)
            .is_some_and(|holder| !holder.is_empty()))
    }

    fn start(&mut self) -> anyhow::Result<()> {
        let kubeconfig = self.folder.join(format!("{}.kubeconfig", self.namespace));
        let server = self.proxy.address;
        std::fs::write(
            &kubeconfig,
            format!(
                "apiVersion: v1\nkind: Config\ncurrent-context: x\nclusters: [{{name: x, cluster: {{server: \"http://{server}\"}}}}]\n\
                 users: [{{name: x, user: {{}}}}]\ncontexts: [{{name: x, context: {{cluster: x, user: x}}}}]\n"
            ),
        )?;
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.folder.join(format!("{}.log", self.namespace)))?;
        let address = std::net::TcpListener::bind("127.0.0.1:0")?
            .local_addr()?
            .to_string();
        let process = Command::new(agoge_tests::binary("agoge"))
            .arg("operator")
            .args([
                "--namespace",
                self.namespace,
                "--watch-namespace",
                self.namespace,
            ])
            .args([
                "--store-url",
                "s3://store/crash",
                "--log-format",
                "text",
                "--progress-listen",
                "127.0.0.1:0",
            ])
            .args(["--http-listen", &address])
            .env("KUBECONFIG", kubeconfig)
            .env("AGOGE_BENCH", "1")
            .env_remove("POD_NAME")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("cannot start the operator")?;
        self.proxy.guards(process.id());
        self.process = Some((process, address));
        Ok(())
    }
}

impl Drop for Operator<'_> {
    fn drop(&mut self) {
        if let Some((process, _)) = &mut self.process {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}
