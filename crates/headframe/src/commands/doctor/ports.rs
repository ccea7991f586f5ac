//! Whether the pool has, or could get, the ports that it is to listen on.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use pool::http_client;
use serde_json::Value;

use super::finding::Finding;
use crate::config::Config;
use crate::roles::nimiq::server_name;
use crate::roles::site::reachable;

const ANSWER_TIME: Duration = Duration::from_secs(5);
const ANSWER_LIMIT: usize = 1 << 20;

/// Whether the pool of this configuration runs on this machine now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Running {
    /// It answers.
    Yes,
    /// Nobody listens.
    No,
}

/// Looks at each port that `up` would open.
pub async fn examine(config: &Config, findings: &mut Vec<Finding>) -> Running {
    let http = config.http.listen;
    let running = if answers_as_a_pool(http).await { Running::Yes } else { Running::No };
    findings.push(port("http.listen", http, running));
    if config.runs_packetcrypt() && config.nodes.is_empty() {
        findings.push(port("dev_chain.listen", config.dev_chain.listen, running));
    }
    if config.runs_nimiq() && config.nimiq_nodes.is_empty() {
        findings.push(port("nimiq_dev_chain.listen", config.nimiq_dev_chain.listen, running));
    }
    if config.runs_nimiq() {
        for server in &config.nimiq_servers {
            let key = format!("nimiq_server.{}.listen", server_name(server));
            findings.push(port(&key, server.listen, running));
        }
    }
    running
}

fn port(key: &str, at: SocketAddr, running: Running) -> Finding {
    let subject = format!("port {at} (`{key}`)");
    match (TcpListener::bind(at), running) {
        (Ok(_), Running::No) => Finding::good(subject, "is free"),
        (Ok(_), Running::Yes) => {
            let what = "nobody listens there, though the pool runs";
            Finding::fault(subject, what, "restart the pool: it runs with another configuration")
        }
        // A port that only root may open was opened by systemd.
        (Err(error), Running::Yes)
            if [ErrorKind::AddrInUse, ErrorKind::PermissionDenied].contains(&error.kind()) =>
        {
            Finding::good(subject, "is the pool's, which runs")
        }
        (Err(error), Running::No) if error.kind() == ErrorKind::AddrInUse => {
            let fix = format!("`ss -ltnp sport = :{}` shows which; stop it, or change `{key}`", at.port());
            Finding::fault(subject, "another program listens there", fix)
        }
        (Err(error), _) if error.kind() == ErrorKind::PermissionDenied => {
            let fix = "let systemd open it (enable the socket unit beside the service), or listen on a port from 1024 on";
            Finding::fault(subject, "only root may listen there", fix)
        }
        (Err(error), _) => {
            let fix = format!("change `{key}` to an address of this machine (`ip address` shows them)");
            Finding::fault(subject, format!("cannot be listened on: {error}"), fix)
        }
    }
}

/// Whether what listens says of itself what a pool says.
async fn answers_as_a_pool(at: SocketAddr) -> bool {
    let Ok(client) = http_client::client() else { return false };
    let request = client.get(format!("http://{}/healthz", reachable(at)));
    let Ok(answer) = http_client::ask(request, ANSWER_LIMIT, ANSWER_TIME).await else { return false };
    serde_json::from_slice::<Value>(&answer.body).is_ok_and(|said| said["roles"].is_array())
}
