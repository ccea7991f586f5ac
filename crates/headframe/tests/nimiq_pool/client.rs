//! A dumb client that knows which of its shares were accepted. The pool does not answer a good share, so the client asks
//! something behind it that is always answered: a connection does one thing after the other.

use std::io::ErrorKind;
use std::net::TcpStream;
use std::time::Duration;

use nimiq::argon2d::Hasher;
use nimiq::{BlockHash, DeviceId, Header, Network, PayoutNonce, PrivateKey, ProofOfWork, Target};
use tokio_tungstenite::tungstenite::{self, Message, WebSocket};
use wire::nimiq::{
    ClientMessage, Mode, NewBlock, PayoutProof, PayoutRequest, Reason, Register, ServerMessage, Share,
};

/// A registered connection.
pub struct Client {
    socket: WebSocket<TcpStream>,
    key: PrivateKey,
    register: ClientMessage,
    header: Option<Header>,
    target: Option<Target>,
    payout_nonce: Option<PayoutNonce>,
    next_nonce: u32,
    hasher: Hasher,
}

/// What became of a share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It counts.
    Accepted(BlockHash),
    /// It does not, for this reason.
    Refused(BlockHash, String),
    /// The connection was lost before anything was said.
    Lost(BlockHash),
}

impl Client {
    /// `None` if no server is there, or it dies meanwhile.
    pub fn register(port: u16, key: &[u8; 32]) -> Option<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
        stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let (socket, _) = tungstenite::client(format!("ws://127.0.0.1:{port}/"), stream).ok()?;
        let key = PrivateKey::new(key);
        let register = ClientMessage::Register(Register {
            mode: Mode::Dumb,
            address: key.public_key().address(),
            device_id: DeviceId(1),
            device_data: None,
            genesis_hash: Network::Dev.genesis_hash(),
            start_difficulty: None,
            device_name: None,
        });
        let (header, target, payout_nonce, hasher) = (None, None, None, Hasher::new());
        let mut client = Self { socket, key, register, header, target, payout_nonce, next_nonce: 0, hasher };
        client.say(&client.register.clone())?;
        while client.header.is_none() {
            client.hear(&mut || false)?;
        }
        Some(client)
    }

    fn say(&mut self, message: &ClientMessage) -> Option<()> {
        self.socket.send(Message::Text(message.to_text().into())).ok()
    }

    /// The next message; what concerns the work is remembered. `None` if the connection is lost, or given up.
    fn hear(&mut self, given_up: &mut impl FnMut() -> bool) -> Option<ServerMessage> {
        loop {
            let text = match self.socket.read() {
                Ok(Message::Text(text)) => text,
                Ok(_) => continue,
                Err(tungstenite::Error::Io(error))
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) && !given_up() =>
                {
                    continue;
                }
                Err(_) => return None,
            };
            let message = ServerMessage::parse(text.as_bytes()).unwrap();
            match &message {
                ServerMessage::Settings(settings) => {
                    self.target = Some(settings.target_compact.target());
                    self.payout_nonce = settings.nonce;
                }
                ServerMessage::NewBlock(block) => {
                    let NewBlock::Dumb(header) = **block else { panic!("work of another mode") };
                    self.header = Some(header);
                }
                _ => {}
            }
            return Some(message);
        }
    }

    /// Mines a share and sends it. It is no block, which would move the head.
    pub fn share(&mut self) -> Answer {
        let (target, block) = (self.target.unwrap(), self.header.unwrap().target.target());
        self.mine(target, |proof| !block.is_met_by(proof))
    }

    /// Mines a block and sends it as a share.
    pub fn block(&mut self) -> Answer {
        let target = self.header.unwrap().target.target();
        self.mine(target, |_| true)
    }

    fn mine(&mut self, target: Target, wanted: impl Fn(&ProofOfWork) -> bool) -> Answer {
        let header = self.header.unwrap();
        let nonce = loop {
            let nonces = self.next_nonce..=u32::MAX;
            let (nonce, proof) = self.hasher.mine(&header.to_bytes(), nonces, &target).unwrap();
            self.next_nonce = nonce + 1;
            if wanted(&proof) {
                break nonce;
            }
        };
        let hash = Header { nonce, ..header }.hash();
        self.answer_to(&ClientMessage::Share(Box::new(Share::Dumb { nonce })), hash)
    }

    /// Takes in what has been said meanwhile, such as newer work: it all comes before the answer to a second registration.
    pub fn listen(&mut self) {
        let register = self.register.clone();
        self.say(&register).unwrap();
        let last = Reason::AlreadyRegistered.to_string();
        while !matches!(self.hear(&mut || false).unwrap(), ServerMessage::Error { reason } if reason == last)
        {
        }
    }

    /// What is said to a share, or else to what was sent behind it.
    fn answer_to(&mut self, share: &ClientMessage, hash: BlockHash) -> Answer {
        let register = self.register.clone();
        if self.say(share).and_then(|()| self.say(&register)).is_none() {
            return Answer::Lost(hash);
        }
        let mut refusal = None;
        loop {
            match self.hear(&mut || false) {
                Some(ServerMessage::Error { reason }) if reason == Reason::AlreadyRegistered.to_string() => {
                    return refusal.map_or(Answer::Accepted(hash), |reason| Answer::Refused(hash, reason));
                }
                Some(ServerMessage::Error { reason }) => refusal = Some(reason),
                Some(_) => {}
                None => return Answer::Lost(hash),
            }
        }
    }

    /// Asks to be paid; whether that was granted before it was given up.
    pub fn request_payout(&mut self, mut given_up: impl FnMut() -> bool) -> bool {
        let proof = self.payout_nonce.unwrap().sign(&self.key).to_bytes();
        let request = PayoutRequest { proof: PayoutProof::Bytes(proof) };
        if self.say(&ClientMessage::Payout(request)).is_none() {
            return false;
        }
        loop {
            match self.hear(&mut given_up) {
                Some(ServerMessage::Settings(_)) => return true,
                Some(_) => {}
                None => return false,
            }
        }
    }
}
