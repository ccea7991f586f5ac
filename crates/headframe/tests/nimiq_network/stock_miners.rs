//! The server's decisions about its clients (`pool::nimiq::server`), with stock miners of the library as clients: what
//! they are told is what they follow, what they send is what is accepted, and a real node takes the blocks of both.
//!
//! The socket around the decisions is the least that does: no limits, no disk, one connection's shares at a time.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures_util::{SinkExt, StreamExt};
use nimiq::argon2d::Hasher;
use nimiq::share::Refusal;
use nimiq::{
    Address, BlockHash, Luna, Network as Chain, PayoutNonce, PoolName, PrivateKey, SessionNonce, ShareWeight,
    Timestamp,
};
use node::NimiqClient;
use node::nimiq::{FollowSettings, Head, SubmitOutcome};
use pool::nimiq::server::session::{FoundBlock, GoodShare, Weighing};
use pool::nimiq::server::share_difficulty::DifficultyLimits;
use pool::nimiq::server::{Board, Session, Terms, Work};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_util::sync::CancellationToken;
use wire::nimiq::{Balance, ClientMessage, Mode, ServerMessage, Share};

use crate::certificate::Certificate;
use crate::network::{Network, recorded_chain};
use crate::sandbox::{eventually, within};

/// With two busy miners on two processors, a block takes about half a minute.
const MINING_PATIENCE: Duration = Duration::from_secs(300);

#[derive(Debug, Clone)]
enum Event {
    Accepted { mode: Mode, weight: ShareWeight },
    Refused { mode: Mode, refusal: Refusal },
    Block { mode: Mode, outcome: SubmitOutcome },
    WithoutBody,
}

/// A pool that accepts connections, and writes down what comes of each share.
#[derive(Clone)]
struct Pool {
    terms: Arc<Terms>,
    node: NimiqClient,
    board: watch::Receiver<Arc<Board>>,
    events: Arc<Mutex<Vec<Event>>>,
}

fn now() -> Timestamp {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    Timestamp(seconds.try_into().unwrap())
}

async fn keep_board(mut heads: watch::Receiver<Option<Arc<Head>>>, board: watch::Sender<Arc<Board>>) {
    loop {
        if let Some(head) = heads.borrow_and_update().clone() {
            let work =
                Work::new(head.next.clone(), head.light.clone(), head.accounts_hash, head.body.clone());
            board.send_modify(|board| *board = Arc::new(board.with(Arc::new(work))));
        }
        heads.changed().await.unwrap();
    }
}

impl Pool {
    async fn serve(self, listener: TcpListener, tls: TlsAcceptor) {
        for session in 1.. {
            let (stream, _) = listener.accept().await.unwrap();
            let (pool, tls) = (self.clone(), tls.clone());
            tokio::spawn(async move {
                let stream = tls.accept(stream).await.unwrap();
                let socket = tokio_tungstenite::accept_async(stream).await.unwrap();
                pool.client(socket, SessionNonce(session)).await;
            });
        }
    }

    async fn client(self, mut socket: WebSocketStream<TlsStream<TcpStream>>, number: SessionNonce) {
        let first = socket.next().await.unwrap().unwrap();
        let ClientMessage::Register(register) = ClientMessage::parse(&first.into_data()).unwrap() else {
            panic!("a stock miner registers first");
        };
        let nonce = PayoutNonce::from_random(number.0.into());
        let mut session = Session::new(Arc::clone(&self.terms), &register, number, nonce, Instant::now());
        let (mut board, mut hasher, mut seen) = (self.board.clone(), Hasher::new(), HashSet::new());
        let latest = board.borrow_and_update().clone();
        let mut answers = session.greet(&latest, Instant::now(), now());
        let nothing = Balance { balance: Luna(0), confirmed_balance: Luna(0), payout_request_active: false };
        answers.push(ServerMessage::Balance(nothing));
        let mut tick = tokio::time::interval(Duration::from_secs(1));
        loop {
            for answer in answers.drain(..) {
                if socket.send(Message::text(answer.to_text())).await.is_err() {
                    return;
                }
            }
            tokio::select! {
                message = socket.next() => match message {
                    Some(Ok(message)) if message.is_text() => {
                        let message = ClientMessage::parse(&message.into_data()).unwrap();
                        let ClientMessage::Share(share) = message else { panic!("not a share: {message:?}") };
                        let refusal = self.share(&mut session, &share, &mut hasher, &mut seen).await;
                        answers.extend(refusal.map(|refusal| session.refused(refusal).message));
                    }
                    Some(Ok(_)) => {}
                    _ => return,
                },
                _ = board.changed() => {
                    let latest = board.borrow_and_update().clone();
                    answers = session.turn_to(&latest, Instant::now(), now());
                }
                _ = tick.tick() => {
                    let latest = board.borrow().clone();
                    answers = session.review_difficulty(&latest, Instant::now(), now());
                    socket.send(Message::Ping(Vec::new().into())).await.ok();
                }
            }
        }
    }

    async fn share(
        &self,
        session: &mut Session,
        share: &Share,
        hasher: &mut Hasher,
        seen: &mut HashSet<BlockHash>,
    ) -> Option<Refusal> {
        let mode = session.mode();
        let judged = self.judge(session, share, hasher, seen).await;
        let event = match &judged {
            Ok(good) => Event::Accepted { mode, weight: good.weight },
            Err(refusal) => Event::Refused { mode, refusal: *refusal },
        };
        self.events.lock().unwrap().push(event);
        let good = match judged {
            Ok(good) => good,
            Err(refusal) => return Some(refusal),
        };
        session.accepted();
        let event = match good.block {
            FoundBlock::None => return None,
            FoundBlock::WithoutBody => Event::WithoutBody,
            FoundBlock::Whole(block) => {
                Event::Block { mode, outcome: self.node.submit(&block).await.unwrap() }
            }
        };
        self.events.lock().unwrap().push(event);
        None
    }

    async fn judge(
        &self,
        session: &Session,
        share: &Share,
        hasher: &mut Hasher,
        seen: &mut HashSet<BlockHash>,
    ) -> Result<GoodShare, Refusal> {
        let mut board = self.board.clone();
        loop {
            let latest = board.borrow_and_update().clone();
            let Weighing::Hash(candidates) = session.weigh(share, &latest, now())? else {
                // The miner is ahead of us; the node has the head, or will.
                let later = tokio::time::timeout(Duration::from_secs(5), board.changed());
                later.await.map_err(|_| Refusal::BadPrevious)?.unwrap();
                continue;
            };
            let [candidate] = &candidates[..] else { panic!("stock miners name their header") };
            if !seen.insert(candidate.hash) {
                return Err(Refusal::Duplicate);
            }
            let proof_of_work = hasher.hash(&candidate.header.to_bytes());
            return session.judge(share, candidate, &proof_of_work);
        }
    }
}

fn acceptor(certificate: &Certificate) -> TlsAcceptor {
    let chain = vec![CertificateDer::from_pem_file(&certificate.file).unwrap()];
    let key = PrivateKeyDer::from_pem_file(&certificate.key).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config =
        rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    TlsAcceptor::from(Arc::new(config.with_no_client_auth().with_single_cert(chain, key).unwrap()))
}

#[test]
fn stock_miners_of_both_modes_mine_shares_and_blocks_for_us() {
    let Some(network) = Network::start("stock miners") else { return };
    network.extend(&recorded_chain());
    let folder = tempfile::tempdir().unwrap();
    let certificate = Certificate::new(folder.path());
    let address = PrivateKey::new(&[7; 32]).public_key().address();
    let name = PoolName::new("headframe test").unwrap();
    let mut terms = Terms::new(name, address, "0.01".parse().unwrap(), Chain::Dev);
    terms.difficulty =
        DifficultyLimits { shares_per_second: 0.5, least: 0.001, ..DifficultyLimits::default() };
    terms.start_difficulty = 0.005;
    let node = network.client();
    let settings = FollowSettings { poll: Duration::from_millis(200), oldest_head: None };
    let (heads, listener) = network.wait(async {
        let heads = node.follow(address, settings, CancellationToken::new());
        (heads, TcpListener::bind("127.0.0.1:0").await.unwrap())
    });
    let (sender, board) = watch::channel(Arc::default());
    network.spawn(keep_board(heads, sender));
    eventually("the first work", || board.borrow().work.as_ref().map(drop));
    let port = listener.local_addr().unwrap().port();
    let pool = Pool { terms: Arc::new(terms), node, board, events: Arc::default() };
    network.spawn(pool.clone().serve(listener, acceptor(&certificate)));

    let payees = [Address([1; 20]), Address([2; 20])];
    let _miners = ["smart", "nano"]
        .iter()
        .zip(&payees)
        .map(|(mode, payee)| network.stock_miner(mode, port, &certificate.file, payee))
        .collect::<Vec<_>>();
    let of = |mode: Mode| {
        let events = pool.events.lock().unwrap();
        let own = |event: &&Event| match event {
            Event::Accepted { mode: own, .. }
            | Event::Refused { mode: own, .. }
            | Event::Block { mode: own, .. } => *own == mode,
            Event::WithoutBody => true,
        };
        events.iter().filter(own).cloned().collect::<Vec<_>>()
    };
    for mode in [Mode::Smart, Mode::Nano] {
        within(MINING_PATIENCE, &format!("shares and a block of mode {mode:?}"), || {
            let events = of(mode);
            let weights = events.iter().filter_map(|event| match event {
                Event::Accepted { weight, .. } => Some(weight.0),
                _ => None,
            });
            let weights: HashSet<u64> = weights.collect();
            let block = events
                .iter()
                .any(|event| matches!(event, Event::Block { outcome: SubmitOutcome::Accepted, .. }));
            (weights.len() > 1 && block).then_some(())
        });
    }
    for event in pool.events.lock().unwrap().iter() {
        println!("{event:?}");
        match event {
            Event::Refused { refusal, .. } => assert_eq!(*refusal, Refusal::Expired),
            Event::WithoutBody => panic!("a block came without its body"),
            _ => {}
        }
    }
}
