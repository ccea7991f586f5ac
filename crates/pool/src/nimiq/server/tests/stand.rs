//! A server to test with, and a miner that speaks to it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use ledger::nimiq::Accounts;
use nimiq::argon2d::Hasher;
use nimiq::share::{NanoShare, SmartShare};
use nimiq::{
    Address, BodyHash, CompactTarget, DeviceId, Header, Height, LightBlock, Luna, Network, PoolName,
    PrivateKey, ProofOfWork, ShareTarget, Target,
};
use node::dev_chain::rpc::{RpcUsers, ServeLimits};
use node::nimiq::{FollowSettings, NimiqConfig};
use node::{Credentials, NimiqClient, NimiqDevChain, NodeAddress, TlsTrust};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::{Connector, MaybeTlsStream, WebSocketStream};
use tokio_util::sync::CancellationToken;
use wire::nimiq::{
    Balance, ClientMessage, Mode, NewBlock, PayoutProof, PayoutRequest, PayoutThreshold, Register,
    ServerMessage, Settings, Share,
};

use crate::listener::{self, Limits, Proxies, Tls};
use crate::metrics::Metrics;
use crate::nimiq::server::{NimiqServer, NimiqServerConfig, Terms, Times, clock};

/// Longest wait for anything that is to happen.
const PATIENCE: Duration = Duration::from_secs(60);

/// Chain and accounts, which outlive servers.
pub(super) struct Stand {
    pub chain: NimiqDevChain,
    pub accounts: Accounts,
    /// Those of the listener of servers that are started from now on.
    pub limits: Limits,
    node: NimiqClient,
    folder: tempfile::TempDir,
    _stop: tokio_util::sync::DropGuard,
}

/// A running server.
pub(super) struct Server {
    pub address: SocketAddr,
    pub metrics: Metrics,
    stop: CancellationToken,
    serving: JoinHandle<()>,
    role: Option<NimiqServer>,
}

impl Stand {
    pub(super) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let chain = NimiqDevChain::open(&folder.path().join("chain")).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
        let (served, stopped) = (chain.clone(), stop.clone());
        tokio::spawn(async move {
            served.serve(listener, RpcUsers::default(), ServeLimits::default(), stopped).await;
        });
        let url = format!("http://{address}");
        let node = NodeAddress { url, credentials: Credentials::None, trust: TlsTrust::default() };
        let node = NimiqClient::new(NimiqConfig::new(vec![node], Network::Dev)).unwrap();
        let url = format!("sqlite://{}", folder.path().join("accounts.db").display());
        let accounts = Accounts::open(&url).await.unwrap();
        let networks = vec![IpAddr::V4(Ipv4Addr::LOCALHOST).into()];
        let proxies = Proxies { networks, ..Proxies::default() };
        let limits = Limits { proxies: proxies.into(), ..Limits::default() };
        Self { chain, accounts, limits, node, folder, _stop: stop.drop_guard() }
    }

    pub(super) fn pool() -> Address {
        PrivateKey::new(&[7; 32]).public_key().address()
    }

    /// What a server is started with, in a hurry.
    pub(super) fn config(&self, name: &str) -> NimiqServerConfig {
        let fee = "0.01".parse().unwrap();
        let mut terms = Terms::new(PoolName::new("test").unwrap(), Self::pool(), fee, Network::Dev);
        terms.start_difficulty = 0.002;
        terms.dumb_start_difficulty = 0.002;
        terms.difficulty.least = 0.002;
        terms.allowed_errors = 5;
        NimiqServerConfig {
            follow: FollowSettings {
                poll: Duration::from_millis(10),
                idle_poll: Duration::from_millis(10),
                ..FollowSettings::default()
            },
            times: Times {
                tick: Duration::from_millis(200),
                unknown_head: Duration::from_millis(200),
                ..Times::default()
            },
            segment_time: Duration::from_millis(20),
            ..NimiqServerConfig::new(name, self.folder.path().join(name), Arc::new(terms))
        }
    }

    pub(super) async fn start(&self) -> Server {
        self.start_with(self.config("main"), None).await
    }

    /// A server behind a proxy that is trusted to name clients.
    pub(super) async fn start_with(&self, config: NimiqServerConfig, tls: Option<Tls>) -> Server {
        let (metrics, stop) = (Metrics::new(), CancellationToken::new());
        let server = loop {
            let (accounts, node) = (self.accounts.clone(), self.node.clone());
            match NimiqServer::start(config.clone(), node, accounts, &metrics, stop.clone()).await {
                // The folder's lock goes with the last task of the server before.
                Err(crate::nimiq::server::NimiqServerFault::Outbox(crate::outbox::OutboxError::InUse {
                    ..
                })) => {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                started => break started.unwrap(),
            }
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (routes, seen, stopped) = (server.routes(), metrics.clone(), stop.clone());
        let limits = self.limits.clone();
        let serving = tokio::spawn(async move {
            listener::serve_with(listener, tls, routes, limits, &seen, stopped).await;
        });
        Server { address, metrics, stop, serving, role: Some(server) }
    }

    /// Shares on the present head that the accounts hold, once there are as many.
    pub(super) async fn credited(&self, count: usize) {
        self.credited_on(self.chain.head().hash, count).await;
    }

    pub(super) async fn credited_on(&self, head: nimiq::BlockHash, count: usize) {
        let all_there = async {
            loop {
                let found = self.accounts.share_hashes(head).await.unwrap().len();
                assert!(found <= count, "{found} shares are credited instead of {count}");
                if found == count {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, all_there).await.expect("shares reach the accounts");
    }

    /// A certificate for 127.0.0.1 as a server reads it, and who trusts it.
    pub(super) fn tls(&self) -> (Tls, Connector) {
        let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
        let write = |name: &str, text: String| {
            let path = self.folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let certificate = write("certificate.pem", made.cert.pem());
        let key = write("key.pem", made.signing_key.serialize_pem());
        let mut roots = rustls::RootCertStore::empty();
        roots.add(made.cert.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let client = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        (Tls::from_files(&certificate, &key).unwrap(), Connector::Rustls(Arc::new(client)))
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }
}

impl Server {
    /// As a supervisor stops it.
    pub(super) async fn stop(mut self) {
        self.stop.cancel();
        self.role.take().unwrap().stopped().await;
        (&mut self.serving).await.unwrap();
    }

    /// What it is made of.
    pub(super) fn parts(&self) -> Vec<&'static str> {
        self.role.as_ref().unwrap().parts.names()
    }

    /// A part of it dies: the rest ends, without being told to from outside.
    pub(super) async fn kill(self, part: &str) {
        self.ends_after(|role| role.parts.kill(part)).await;
    }

    /// So does the thread that makes shares durable.
    pub(super) async fn kill_outbox(self) {
        self.ends_after(|role| role.outbox.kill_writer()).await;
    }

    async fn ends_after(mut self, death: impl FnOnce(&NimiqServer)) {
        let role = self.role.take().unwrap();
        death(&role);
        role.parts.stop().cancelled().await;
        role.stopped().await;
        self.stop.cancel();
        (&mut self.serving).await.unwrap();
    }

    /// A figure, by its name and labels as they are exposed.
    pub(super) fn figure(&self, name: &str) -> u64 {
        let text = self.metrics.text();
        let line = text.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(0)
    }

    pub(super) fn refusals(&self, code: &str) -> u64 {
        let role = r#"role="nimiq_server",name="main""#;
        self.figure(&format!(r#"headframe_nimiq_refusals_total{{{role},reason="{code}"}}"#))
    }

    /// Returns once a connection has been closed for this reason.
    pub(super) async fn has_closed(&self, reason: &str) {
        let role = r#"role="nimiq_server",name="main""#;
        let closed = format!(r#"headframe_nimiq_connections_closed_total{{{role},reason="{reason}"}}"#);
        self.has_counted(&closed).await;
    }

    /// Returns once it gives work on that block or a later one.
    pub(super) async fn works_on(&self, height: Height) {
        let there = async {
            let figure = r#"headframe_nimiq_head_height{role="nimiq_server",name="main"}"#;
            while self.figure(figure) < u64::from(height.0) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, there).await.expect("the node's head is noticed");
    }

    /// Returns once a counter is above 0.
    pub(super) async fn has_counted(&self, counter: &str) {
        let counted = async {
            while self.figure(counter) == 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, counted).await.unwrap_or_else(|_| panic!("{counter} counts"));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// A client of the server.
pub(super) struct Miner {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    pub key: PrivateKey,
    pub mode: Mode,
    pub settings: Option<Settings>,
    pub new_block: Option<NewBlock>,
    pub balance: Option<Balance>,
    pub errors: Vec<String>,
}

impl Miner {
    /// Connects, as somebody whom a proxy says to be at `from`.
    pub(super) async fn try_connect(
        server: &Server,
        from: &str,
        tls: Option<Connector>,
    ) -> Result<Self, tokio_tungstenite::tungstenite::Error> {
        let scheme = if tls.is_some() { "wss" } else { "ws" };
        let mut request = format!("{scheme}://{}/", server.address).into_client_request()?;
        request.headers_mut().insert("x-forwarded-for", from.parse().unwrap());
        let (socket, _) = tokio_tungstenite::connect_async_tls_with_config(request, None, false, tls).await?;
        let key = PrivateKey::new(&[11; 32]);
        let (settings, new_block, balance) = (None, None, None);
        Ok(Self { socket, key, mode: Mode::Smart, settings, new_block, balance, errors: Vec::new() })
    }

    pub(super) async fn connect(server: &Server) -> Self {
        Self::try_connect(server, "127.0.0.1", None).await.unwrap()
    }

    /// Connects and registers, and has heard everything that follows.
    pub(super) async fn register(server: &Server, mode: Mode) -> Self {
        let mut miner = Self::connect(server).await;
        miner.send_register(mode).await;
        miner
    }

    pub(super) async fn send_register(&mut self, mode: Mode) {
        self.mode = mode;
        self.say(&ClientMessage::Register(self.registration(mode))).await;
        self.hear_until(|miner| {
            miner.settings.is_some()
                && miner.balance.is_some()
                && (mode == Mode::Smart || miner.new_block.is_some())
        })
        .await;
    }

    pub(super) fn registration(&self, mode: Mode) -> Register {
        Register {
            mode,
            address: self.address(),
            device_id: DeviceId(5),
            device_data: None,
            genesis_hash: Network::Dev.genesis_hash(),
            start_difficulty: None,
            device_name: None,
        }
    }

    pub(super) fn address(&self) -> Address {
        self.key.public_key().address()
    }

    pub(super) async fn say(&mut self, message: &ClientMessage) {
        self.send(message.to_text()).await;
    }

    pub(super) async fn send(&mut self, text: impl Into<String>) {
        self.socket.send(Message::text(text.into())).await.unwrap();
    }

    pub(super) async fn send_raw(&mut self, message: Message) {
        // The server may have hung up already.
        let _ = self.socket.send(message).await;
    }

    /// Sends the same again and again, and reads nothing, until the server hangs up.
    pub(super) async fn send_without_end(&mut self, message: &ClientMessage) {
        let message = Message::text(message.to_text());
        let sending = async { while self.socket.send(message.clone()).await.is_ok() {} };
        tokio::time::timeout(PATIENCE, sending).await.expect("the server hangs up");
    }

    /// The next frame but for pings; `None` when the server has hung up.
    pub(super) async fn hear(&mut self) -> Option<ServerMessage> {
        loop {
            let frame = tokio::time::timeout(PATIENCE, self.socket.next()).await.expect("the server speaks");
            let text = match frame? {
                Ok(Message::Text(text)) => text,
                Ok(Message::Close(_)) | Err(_) => return None,
                Ok(_) => continue,
            };
            let message = ServerMessage::parse(text.as_bytes()).unwrap();
            match &message {
                ServerMessage::Settings(settings) => self.settings = Some(settings.clone()),
                ServerMessage::NewBlock(block) => self.new_block = Some((**block).clone()),
                ServerMessage::Balance(balance) => self.balance = Some(*balance),
                ServerMessage::Error { reason } => self.errors.push(reason.clone()),
                ServerMessage::Registered | ServerMessage::Unknown { .. } => {}
            }
            return Some(message);
        }
    }

    pub(super) async fn hear_until(&mut self, enough: impl Fn(&Self) -> bool) {
        while !enough(self) {
            assert!(self.hear().await.is_some(), "the server has hung up: {:?}", self.errors);
        }
    }

    /// Hears until the server hangs up.
    pub(super) async fn hear_the_end(&mut self) {
        while self.hear().await.is_some() {}
    }

    /// Hears until the server hangs up: what its closing frame says, if it sent one.
    pub(super) async fn hear_close(&mut self) -> Option<Option<CloseFrame>> {
        loop {
            match tokio::time::timeout(PATIENCE, self.socket.next()).await.expect("the server speaks") {
                Some(Ok(Message::Close(said))) => return Some(said),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return None,
            }
        }
    }

    /// The next error.
    pub(super) async fn hear_error(&mut self) -> String {
        let before = self.errors.len();
        self.hear_until(|miner| miner.errors.len() > before).await;
        self.errors[before].clone()
    }

    pub(super) async fn ping_seen(&mut self) -> bool {
        loop {
            match tokio::time::timeout(PATIENCE, self.socket.next()).await.expect("the server pings") {
                Some(Ok(Message::Ping(_))) => return true,
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return false,
            }
        }
    }

    /// A share on the chain's head for what the server said last, from this nonce on. It is no block, which would
    /// move the head.
    pub(super) fn mine(&self, chain: &NimiqDevChain, first_nonce: u32) -> Share {
        self.mine_so_that(chain, first_nonce, |proof, share, block| {
            share.is_met_by(proof) && !block.is_met_by(proof)
        })
    }

    /// A block.
    pub(super) fn mine_block(&self, chain: &NimiqDevChain) -> Share {
        self.mine_so_that(chain, 0, |proof, _, block| block.is_met_by(proof))
    }

    /// The first share whose proof of work is as wanted, given the targets of shares and of the block.
    fn mine_so_that(
        &self,
        chain: &NimiqDevChain,
        first_nonce: u32,
        wanted: impl Fn(&ProofOfWork, &Target, &Target) -> bool,
    ) -> Share {
        let settings = self.settings.as_ref().unwrap();
        let template = chain.template(settings.address, settings.extra_data.clone());
        let header = template.block(clock::timestamp(), 0).header;
        let (target, block) = (share_target(settings.target_compact), template.next.target.target());
        let mined = |header| mined(header, first_nonce, |proof| wanted(proof, &target, &block));
        match (self.mode, &self.new_block) {
            (Mode::Smart, _) => {
                let header = mined(header);
                let (miner_proof, extra_data_proof) =
                    (template.body.miner_proof(), template.body.extra_data_proof());
                let is_block = block.is_met_by(&Hasher::new().hash(&header.to_bytes()));
                let block = is_block.then(|| template.block(header.timestamp, header.nonce).to_bytes());
                Share::Smart(SmartShare { header, miner_proof, extra_data_proof, block })
            }
            (Mode::Nano, Some(NewBlock::Nano(job))) => {
                let (body_hash, accounts_hash): (BodyHash, _) = (job.body_hash, job.accounts_hash);
                let header = mined(Header { body_hash, accounts_hash, ..header });
                Share::Nano(NanoShare { block: LightBlock { header, interlink: template.next.interlink } })
            }
            (Mode::Dumb, Some(NewBlock::Dumb(header))) => Share::Dumb { nonce: mined(*header).nonce },
            _ => panic!("nothing to mine"),
        }
    }

    pub(super) async fn share(&mut self, share: Share) {
        self.say(&ClientMessage::Share(Box::new(share))).await;
    }

    /// Chooses a threshold, with this key's signature over the last nonce.
    pub(super) async fn choose_threshold(&mut self, threshold: Luna, key: &PrivateKey) {
        let nonce = self.settings.as_ref().unwrap().nonce.unwrap();
        let proof = PayoutProof::Bytes(nonce.sign_threshold(threshold, key).to_bytes());
        self.say(&ClientMessage::Threshold(PayoutThreshold { threshold, proof })).await;
    }

    /// Asks to be paid, with this key's signature over the last nonce.
    pub(super) async fn request_payout(&mut self, key: &PrivateKey) {
        self.say(&self.payout_request(key)).await;
    }

    /// The request to be paid, with this key's signature over the last nonce.
    pub(super) fn payout_request(&self, key: &PrivateKey) -> ClientMessage {
        let nonce = self.settings.as_ref().unwrap().nonce.unwrap();
        let proof = PayoutProof::Bytes(nonce.sign(key).to_bytes());
        ClientMessage::Payout(PayoutRequest { proof })
    }
}

/// What a compact target of shares stands for.
pub(super) fn share_target(target: CompactTarget) -> Target {
    ShareTarget::new(target).unwrap().target()
}

/// The first header from a nonce on whose proof of work is as wanted.
pub(super) fn mined(header: Header, first_nonce: u32, wanted: impl Fn(&ProofOfWork) -> bool) -> Header {
    let mut hasher = Hasher::new();
    let mut nonce = first_nonce;
    loop {
        let pair = [nonce, nonce + 1].map(|nonce| Header { nonce, ..header });
        let bytes = pair.map(|header| header.to_bytes());
        let proofs: Vec<_> = hasher.hash_many(bytes.iter()).into_iter().collect();
        let found = pair.iter().zip(&proofs).find(|(_, proof)| wanted(proof));
        if let Some((header, _)) = found {
            return *header;
        }
        nonce += 2;
    }
}
