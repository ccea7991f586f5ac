//! Whether the pool has, or could get, the ports that it is to listen on.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::time::Duration;

use node::NodeAddress;
use node::json_rpc::{CallLimits, Dialect, JsonRpc};
use pool::health::asking::{self, ToldState};
use pool::http_client;
use serde_json::json;

use super::finding::Finding;
use crate::config::Config;
use crate::roles::nimiq::server_name;
use crate::roles::site::reachable;
use crate::roles::{ann_name, blk_name};

/// Time that a chain on this machine has to answer.
const CHAIN_TIME: Duration = Duration::from_secs(5);

/// Whether anything of the pool of this configuration runs on this machine now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Running {
    /// It answers.
    Yes,
    /// Nobody listens.
    No,
}

/// Who is to open a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Opener<'c> {
    /// `up`, or a role without an address of its own.
    Http,
    /// A role that runs alone, on this machine or on another.
    Alone,
    /// Whatever of the pool runs here.
    Anything,
    /// The embedded chain, of `up` or started by itself, which speaks so and answers this call.
    Chain(Dialect, &'static str),
    /// The role of this kind and name, wherever it runs.
    Role(&'static str, &'c str),
}

/// How one listens there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Transport {
    Tcp,
    Udp,
}

struct Port<'c> {
    key: String,
    at: SocketAddr,
    transport: Transport,
    opener: Opener<'c>,
}

/// Looks at each port that this configuration names.
pub async fn examine(config: &Config, findings: &mut Vec<Finding>) -> Running {
    let (addresses, others) = (told_ports(config), other_ports(config));
    let mut here = Vec::new();
    let mut told = Vec::new();
    for port in &addresses {
        let answer = roles_at(port.at).await;
        here.push(answer.is_some());
        told.extend(answer.unwrap_or_default());
    }
    let running = here.contains(&true);
    findings.extend(addresses.iter().zip(here).map(|(port, answers)| look(port, answers)));
    for port in &others {
        let is_ours = match port.opener {
            Opener::Role(role, name) => told.iter().any(|told| told.role == role && told.name == name),
            _ => running,
        };
        findings.push(match port.opener {
            Opener::Chain(dialect, call) if chain_answers(port.at, dialect, call).await => {
                Finding::good(port.subject(), "a chain answers there")
            }
            // It need not be embedded in what runs here.
            Opener::Chain(..) => look(port, false),
            _ => look(port, is_ours),
        });
    }
    if running { Running::Yes } else { Running::No }
}

/// Ports at which processes tell of their roles.
fn told_ports(config: &Config) -> Vec<Port<'_>> {
    let mut ports = vec![tcp("http.listen", config.http.listen, Opener::Http)];
    let mut alone = |key: String, at: Option<SocketAddr>| {
        if let Some(at) = at.filter(|at| ports.iter().all(|known: &Port| known.at != *at)) {
            ports.push(tcp(key, at, Opener::Alone));
        }
    };
    if config.runs_packetcrypt() {
        alone("master.listen".to_owned(), config.master.listen);
        for handler in &config.ann_handlers {
            alone(format!("ann_handler.{}.listen", ann_name(handler)), handler.listen);
        }
        for handler in &config.blk_handlers {
            alone(format!("blk_handler.{}.listen", blk_name(handler)), handler.listen);
        }
        alone("pay_maker.listen".to_owned(), config.pay_maker.listen);
    }
    if config.runs_nimiq() {
        for server in &config.nimiq_servers {
            alone(format!("nimiq_server.{}.metrics_listen", server_name(server)), server.metrics_listen);
        }
        alone("nimiq_service.metrics_listen".to_owned(), config.nimiq_service.metrics_listen);
        alone("nimiq_payout.metrics_listen".to_owned(), config.nimiq_payout.metrics_listen);
    }
    alone("site.listen".to_owned(), config.site.listen);
    alone("monitor.listen".to_owned(), config.monitor.listen);
    ports
}

/// All others.
fn other_ports(config: &Config) -> Vec<Port<'_>> {
    let mut ports = Vec::new();
    ports.extend(config.admin.listen.map(|at| tcp("admin.listen", at, Opener::Anything)));
    if config.runs_packetcrypt() {
        if config.nodes.is_empty() {
            let chain = Opener::Chain(Dialect::Bitcoin, "getbestblockhash");
            ports.push(tcp("dev_chain.listen", config.dev_chain.listen, chain));
        }
        for handler in &config.ann_handlers {
            let Some(at) = handler.sprayer_listen else { continue };
            let (name, transport) = (ann_name(handler), Transport::Udp);
            let key = format!("ann_handler.{name}.sprayer_listen");
            ports.push(Port { key, at, transport, opener: Opener::Role("ann_handler", name) });
        }
    }
    if config.runs_nimiq() {
        if config.nimiq_nodes.is_empty() {
            let chain = Opener::Chain(Dialect::Nimiq, "blockNumber");
            ports.push(tcp("nimiq_dev_chain.listen", config.nimiq_dev_chain.listen, chain));
        }
        for server in &config.nimiq_servers {
            let name = server_name(server);
            let key = format!("nimiq_server.{name}.listen");
            ports.push(tcp(key, server.listen, Opener::Role("nimiq_server", name)));
        }
    }
    ports
}

fn tcp(key: impl Into<String>, at: SocketAddr, opener: Opener<'_>) -> Port<'_> {
    Port { key: key.into(), at, transport: Transport::Tcp, opener }
}

impl Port<'_> {
    fn subject(&self) -> String {
        format!("port {} (`{}`)", self.at, self.key)
    }

    /// Takes it for a moment.
    fn try_to_listen(&self) -> io::Result<()> {
        match self.transport {
            Transport::Tcp => TcpListener::bind(self.at).map(drop),
            Transport::Udp => UdpSocket::bind(self.at).map(drop),
        }
    }
}

/// What follows from trying; `is_ours`: what is to open the port runs here.
fn look(port: &Port<'_>, is_ours: bool) -> Finding {
    let (subject, key) = (port.subject(), &port.key);
    let error = match port.try_to_listen() {
        Ok(()) if is_ours => {
            let what = "nobody listens there, though what should do so runs";
            return Finding::fault(subject, what, "restart the pool: it runs with another configuration");
        }
        Ok(()) => return Finding::good(subject, "is free"),
        Err(error) => error,
    };
    match error.kind() {
        // A port that only root may open was opened by systemd.
        ErrorKind::AddrInUse | ErrorKind::PermissionDenied if is_ours => {
            Finding::good(subject, "is the pool's, which runs")
        }
        ErrorKind::AddrInUse => {
            let socket = match port.transport {
                Transport::Tcp => "-ltnp",
                Transport::Udp => "-lunp",
            };
            let fix =
                format!("`ss {socket} sport = :{}` shows which; stop it, or change `{key}`", port.at.port());
            Finding::fault(subject, "another program listens there", fix)
        }
        ErrorKind::PermissionDenied => {
            let fix = "let systemd open it (enable the socket unit beside the service), or listen on a port from 1024 on";
            Finding::fault(subject, "only root may listen there", fix)
        }
        ErrorKind::AddrNotAvailable if port.opener == Opener::Alone => Finding::unseen(
            subject,
            "that is no address of this machine; `doctor` there sees it, if the role runs there",
        ),
        _ => {
            let fix = format!("change `{key}` to an address of this machine (`ip address` shows them)");
            Finding::fault(subject, format!("cannot be listened on: {error}"), fix)
        }
    }
}

/// The roles of the process that listens there, if it is one of a pool.
async fn roles_at(at: SocketAddr) -> Option<Vec<ToldState>> {
    let client = http_client::client().ok()?;
    let told = asking::ask(&client, &format!("http://{}/healthz", reachable(at))).await;
    told.ok().map(|told| told.roles)
}

/// Whether what listens there knows what a chain's node knows.
async fn chain_answers(at: SocketAddr, dialect: Dialect, call: &'static str) -> bool {
    let address = NodeAddress::new(format!("http://{}", reachable(at)), "", "");
    let Ok(node) = JsonRpc::new(address, CallLimits::default()) else { return false };
    node.in_dialect(dialect).call(call, json!([]), CHAIN_TIME).await.is_ok()
}
