//! Dev chains behind sockets, for tests.

#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, reason = "a test may end when its stage cannot be set")]

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use node::{
    DevChain, NodeAddress, PktdClient, PktdConfig, Tip, TlsTrust,
    dev_chain::{
        DevChainOptions,
        rpc::{RpcUsers, ServeLimits},
        rules::ChainRules,
    },
};
use packetcrypt::Height;
use rustls::{ServerConfig, pki_types::PrivateKeyDer};
use tempfile::TempDir;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::timeout,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use wire::PktAddress;

/// After so long a test has failed.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A dev chain that answers RPC of user `x`, password `y`.
pub struct ChainServer {
    pub chain: DevChain,
    folder: TempDir,
    rules: ChainRules,
    listening: SocketAddr,
    stop: CancellationToken,
    serving: JoinHandle<()>,
}

impl ChainServer {
    pub async fn start() -> Self {
        Self::with_rules(ChainRules::instant()).await
    }

    pub async fn with_rules(rules: ChainRules) -> Self {
        Self::open(tempfile::tempdir().unwrap(), rules, "127.0.0.1:0").await
    }

    async fn open(folder: TempDir, rules: ChainRules, listen: &str) -> Self {
        let options = DevChainOptions { rules, ..DevChainOptions::default() };
        let chain = DevChain::open(folder.path(), options).unwrap();
        let listener = TcpListener::bind(listen).await.unwrap();
        let listening = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let (served, stopped) = (chain.clone(), stop.clone());
        let serving = tokio::spawn(async move {
            served.serve(listener, RpcUsers::only("x", "y"), ServeLimits::default(), stopped).await;
        });
        Self { chain, folder, rules, listening, stop, serving }
    }

    pub fn listening(&self) -> SocketAddr {
        self.listening
    }

    pub fn address(&self) -> NodeAddress {
        NodeAddress::new(format!("http://{}", self.listening), "x", "y")
    }

    /// Nobody answers any more.
    pub async fn stop(self) {
        self.stop.cancel();
        self.serving.await.unwrap();
    }

    /// The same chain at the same address, which has forgotten what it was told.
    pub async fn restarted(self) -> Self {
        let Self { chain, folder, rules, listening, stop, serving } = self;
        stop.cancel();
        serving.await.unwrap();
        drop(chain);
        Self::open(folder, rules, &listening.to_string()).await
    }

    pub fn pays(&self, payee: &PktAddress) -> bool {
        self.chain.payouts().payees().iter().any(|line| line.address == payee.to_string())
    }

    pub async fn until_it_pays(&self, payee: &PktAddress) {
        until(|| self.pays(payee)).await;
    }

    /// Until a websocket has asked for notifications.
    pub async fn until_somebody_listens(&self) {
        until(|| self.chain.listeners() > 0).await;
    }
}

async fn until(condition: impl Fn() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, waiting).await.expect("it never came to that");
}

pub fn client_of(servers: &[&ChainServer]) -> PktdClient {
    let nodes = servers.iter().map(|server| server.address()).collect();
    PktdClient::connect(PktdConfig::new(nodes)).unwrap()
}

/// The tip once it has reached a height.
pub async fn tip_at(client: &PktdClient, height: u32) -> Tip {
    let mut tip = client.tip();
    let reached = tip.wait_for(|tip| tip.is_some_and(|tip| tip.height >= Height(height)));
    timeout(PATIENCE, reached).await.expect("the height is never noticed").unwrap().unwrap()
}

/// A certificate that is its own authority, as `pktd --tls` makes them.
pub struct SelfSigned {
    folder: TempDir,
    config: Arc<ServerConfig>,
}

impl SelfSigned {
    pub fn new() -> Self {
        let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("rpc.cert"), certificate.pem()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let private = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], private)
            .unwrap();
        Self { folder, config: Arc::new(config) }
    }

    pub fn trust(&self) -> TlsTrust {
        TlsTrust::CertificateFile(self.file())
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("rpc.cert")
    }

    /// Starts to speak TLS in front of a server; gives the address.
    pub async fn in_front_of(&self, server: &ChainServer) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (acceptor, target) = (TlsAcceptor::from(self.config.clone()), server.listening);
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let (Ok(mut outer), Ok(mut inner)) =
                        (acceptor.accept(stream).await, TcpStream::connect(target).await)
                    else {
                        return;
                    };
                    let _ = copy_bidirectional(&mut outer, &mut inner).await;
                });
            }
        });
        format!("https://localhost:{port}")
    }
}
