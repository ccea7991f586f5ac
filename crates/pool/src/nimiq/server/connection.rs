//! One connection: what a client sends, what it is told, and when it has to go (`docs/protocol/nimiq-pool.md` 1.2 to 1.11).
//!
//! A connection does one thing at a time. While a share of it waits for its proof of work or for the disk, nothing more
//! is read, so a client cannot pile up work here; and a client that takes nothing of what it is sent is cut off by the
//! listener. Neither costs more than the buffers of one connection.

mod orders;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use axum::extract::ws::{Message, Utf8Bytes, WebSocket};
use futures_util::SinkExt;
use ledger::nimiq::BalanceView;
use nimiq::share::Refusal;
use nimiq::{Luna, PayoutNonce};
use tokio::sync::watch;
use tokio::time::{Instant, Interval, MissedTickBehavior};
use wire::nimiq::{
    Balance, ClientMessage, ClientMessageError, ClientMessageKind, Mode, Reason, Register, ServerMessage,
    Share,
};

use super::board::Board;
use super::clock;
use super::door::Admitted;
use super::figures::Closing;
use super::role::Shared;
use super::session::Session;
use super::session_nonces::TakenNonce;
use super::share_intake::{self, NotTaken};
use crate::listener::{Client, Held};
use orders::Order;

/// What is sent, or why the connection ends.
type Step = Result<(), Closing>;

type Answer = Pin<Box<dyn Future<Output = Option<BalanceView>> + Send>>;

/// A client that has connected.
pub(super) struct Connection {
    pub shared: Arc<Shared>,
    pub socket: WebSocket,
    pub client: Client,
    /// Kept as long as the connection.
    pub _place: Option<Held>,
    /// Kept as long as the connection.
    pub admitted: Admitted,
}

/// A client that has registered.
struct Registered {
    connection: Connection,
    session: Session,
    _nonce: TakenNonce,
    board: watch::Receiver<Arc<Board>>,
    tick: Interval,
    last_accepted: Instant,
    last_header: Instant,
    next_balance: Instant,
    /// A question to the accounts that is not answered yet.
    asking: Option<Answer>,
}

/// What happens next on a registered connection.
enum Event {
    Stop,
    NewBoard,
    Tick,
    Balance(Option<BalanceView>),
    Received(Option<Result<Message, axum::Error>>),
}

impl Connection {
    /// Speaks with the client until it goes or has to.
    pub(super) async fn speak(self) {
        let shared = Arc::clone(&self.shared);
        shared.figures.unregistered.inc();
        let registered = self.register().await;
        shared.figures.unregistered.dec();
        let closing = match registered {
            Ok(registered) => {
                let clients = shared.figures.of(registered.session.mode()).clients.clone();
                clients.inc();
                // On the heap only while somebody is registered: most memory of a connection is this.
                let closing = Box::new(registered).mine().await;
                clients.dec();
                closing
            }
            Err(closing) => closing,
        };
        shared.figures.closed(closing);
    }

    /// Waits for the registration.
    async fn register(mut self) -> Result<Registered, Closing> {
        let time = self.shared.config.times.register;
        let shutdown = self.shared.shutdown.clone();
        let first = tokio::select! {
            () = shutdown.cancelled() => Err(Closing::Shutdown),
            first = tokio::time::timeout(time, self.receive()) => first.unwrap_or(Err(Closing::NotRegistered)),
        };
        let registered = match first {
            Ok(register) => self.greet(register).await,
            Err(closing) => Err((self, closing)),
        };
        match registered {
            Ok(registered) => Ok(registered),
            Err((mut connection, closing)) => {
                connection.hang_up(closing).await;
                Err(closing)
            }
        }
    }

    /// The first message, if it is a registration that this pool takes.
    async fn receive(&mut self) -> Result<Register, Closing> {
        let text = loop {
            match self.socket.recv().await {
                Some(Ok(Message::Text(text))) => break text,
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(Message::Binary(_))) => return Err(Closing::Protocol),
                Some(Ok(Message::Close(_)) | Err(_)) | None => return Err(Closing::Gone),
            }
        };
        let register = match ClientMessage::parse(text.as_bytes()) {
            Ok(ClientMessage::Register(register)) => register,
            Err(ClientMessageError::Malformed { kind: ClientMessageKind::Register, error }) => {
                tracing::debug!(%error, client = %self.client.address, "no registration");
                self.shared.figures.refused("malformed");
                return Err(Closing::Protocol);
            }
            Err(ClientMessageError::NoMessage(error)) => {
                tracing::debug!(%error, client = %self.client.address, "no message");
                self.shared.figures.refused("malformed");
                return Err(Closing::Protocol);
            }
            _ => return Err(self.refuse(Reason::RegistrationRequired).await),
        };
        if register.genesis_hash != self.shared.config.terms.network.genesis_hash() {
            return Err(self.refuse(Reason::DifferentGenesis).await);
        }
        if self.shared.door.is_unwanted(&register.address) {
            return Err(self.refuse(Reason::Banned).await);
        }
        Ok(register)
    }

    async fn greet(mut self, register: Register) -> Result<Registered, (Self, Closing)> {
        let (shared, now) = (Arc::clone(&self.shared), Instant::now());
        let nonce = shared.nonces.take();
        let payout_nonce = PayoutNonce::from_random(rand::random());
        let terms = Arc::clone(&shared.config.terms);
        let wanted = self.share_rate();
        let mut session = Session::new(terms, &register, nonce.get(), payout_nonce, wanted, now.into_std());
        let mut board = shared.board.clone();
        let present = board.borrow_and_update().clone();
        let messages = session.greet(&present, now.into_std(), clock::timestamp());
        if let Err(closing) = self.say(messages).await {
            return Err((self, closing));
        }
        tracing::debug!(mode = %register.mode, payee = %register.address, client = %self.client.address, "registered");
        let times = shared.config.times;
        // Not in step with the others that connected at the same moment.
        let first_tick = now + times.tick.mul_f64(rand::random());
        let mut tick = tokio::time::interval_at(first_tick, times.tick);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut registered = Registered {
            connection: self,
            session,
            _nonce: nonce,
            board,
            tick,
            last_accepted: now,
            last_header: now,
            next_balance: now,
            asking: None,
        };
        registered.ask_balance();
        Ok(registered)
    }

    /// Shares per second to want of this client, as many connections as its address has now.
    fn share_rate(&self) -> f64 {
        let usual = self.shared.config.terms.difficulty.shares_per_second;
        self.shared.budget.rate(usual, self.admitted.neighbours())
    }

    /// Sends messages, in one piece.
    async fn say(&mut self, messages: impl IntoIterator<Item = ServerMessage>) -> Step {
        let mut any = false;
        for message in messages {
            any = true;
            let text = Utf8Bytes::from(message.to_text());
            self.socket.feed(Message::Text(text)).await.map_err(|_| Closing::Gone)?;
        }
        if any { self.socket.flush().await.map_err(|_| Closing::Gone) } else { Ok(()) }
    }

    /// Tells a reason for which the connection ends.
    async fn refuse(&mut self, reason: Reason) -> Closing {
        self.shared.figures.refused(reason.code());
        match self.say([reason.into()]).await {
            Ok(()) => Closing::Refused,
            Err(closing) => closing,
        }
    }

    /// Tells a client that is not let in, and ends the connection.
    pub(super) async fn turn_away(shared: &Shared, mut socket: WebSocket, reason: Reason) {
        shared.figures.refused(reason.code());
        let text = ServerMessage::from(reason).to_text();
        // Whether it hears that does not matter.
        let _ = socket.send(Message::Text(text.into())).await;
        let _ = socket.send(Message::Close(None)).await;
    }

    async fn hang_up(&mut self, closing: Closing) {
        if closing != Closing::Gone {
            // It may be gone all the same.
            let _ = self.socket.send(Message::Close(None)).await;
        }
    }
}

impl Registered {
    /// The rest of the connection's life.
    async fn mine(mut self: Box<Self>) -> Closing {
        loop {
            let event = tokio::select! {
                biased;
                // Whoever keeps the board lives as long as the server: no second signal to wait for, in every connection.
                changed = self.board.changed() => changed.map_or(Event::Stop, |()| Event::NewBoard),
                _ = self.tick.tick() => Event::Tick,
                balance = answer(&mut self.asking) => Event::Balance(balance),
                received = self.connection.socket.recv() => Event::Received(received),
            };
            let step = match event {
                Event::Stop => Err(Closing::Shutdown),
                Event::NewBoard => self.follow_board().await,
                Event::Tick => self.look_after().await,
                Event::Balance(balance) => self.tell_balance(balance).await,
                Event::Received(Some(Ok(message))) => self.receive(message).await,
                Event::Received(Some(Err(_)) | None) => Err(Closing::Gone),
            };
            if let Err(closing) = step {
                self.connection.hang_up(closing).await;
                return closing;
            }
        }
    }

    async fn follow_board(&mut self) -> Step {
        self.turn_to_board().await?;
        if let Some(work) = &self.board.borrow().work {
            self.connection.shared.figures.to_client.since(work.made);
        }
        Ok(())
    }

    async fn turn_to_board(&mut self) -> Step {
        let board = self.board.borrow_and_update().clone();
        let now = Instant::now();
        self.last_header = now;
        let messages = self.session.turn_to(&board, now.into_std(), clock::timestamp());
        self.connection.say(messages).await
    }

    /// What happens every ten seconds: the ping, another difficulty, another header, the balance, patience.
    async fn look_after(&mut self) -> Step {
        let (now, times) = (Instant::now(), self.connection.shared.config.times);
        if now.duration_since(self.last_accepted) >= times.silence {
            return Err(Closing::Silent);
        }
        if now >= self.next_balance && self.asking.is_none() {
            self.ask_balance();
        }
        let ping = Message::Ping(axum::body::Bytes::new());
        self.connection.socket.send(ping).await.map_err(|_| Closing::Gone)?;
        self.review_difficulty().await?;
        if self.session.mode() == Mode::Dumb && now.duration_since(self.last_header) >= times.header {
            return self.turn_to_board().await;
        }
        Ok(())
    }

    async fn review_difficulty(&mut self) -> Step {
        let board = self.board.borrow().clone();
        self.session.want(self.connection.share_rate());
        let messages = self.session.review_difficulty(&board, Instant::now().into_std(), clock::timestamp());
        self.connection.say(messages).await
    }

    async fn receive(&mut self, message: Message) -> Step {
        let text = match message {
            Message::Text(text) => text,
            Message::Ping(_) | Message::Pong(_) => return Ok(()),
            Message::Binary(_) => return Err(Closing::Protocol),
            Message::Close(_) => return Err(Closing::Gone),
        };
        let received = Instant::now();
        match ClientMessage::parse(text.as_bytes()) {
            Ok(ClientMessage::Share(share)) if share.mode() == self.session.mode() => {
                drop(text);
                let shared = Arc::clone(&self.connection.shared);
                shared.figures.receive.took(received.elapsed());
                let step = self.take_share(&share).await;
                shared.figures.reply.took(received.elapsed());
                step
            }
            Ok(ClientMessage::Share(_)) => self.malformed(&"a share of another mode"),
            Ok(ClientMessage::Payout(request)) => self.carry_out(Order::Payout, request.proof).await,
            Ok(ClientMessage::Threshold(chosen)) => {
                self.carry_out(Order::Threshold(chosen.threshold), chosen.proof).await
            }
            Ok(ClientMessage::Register(_))
            | Err(ClientMessageError::Malformed { kind: ClientMessageKind::Register, .. }) => {
                self.connection.refuse(Reason::AlreadyRegistered).await.without_end()
            }
            Err(error) => self.malformed(&error),
        }
    }

    fn malformed(&self, error: &dyn std::fmt::Display) -> Step {
        tracing::debug!(%error, client = %self.connection.client.address, "malformed");
        self.connection.shared.figures.refused("malformed");
        Err(Closing::Protocol)
    }

    async fn take_share(&mut self, share: &Share) -> Step {
        let shared = Arc::clone(&self.connection.shared);
        // Rare, so it takes memory only while it runs.
        let taking = Box::pin(share_intake::take(
            &shared,
            self.connection.client,
            &self.session,
            &mut self.board,
            share,
        ));
        match taking.await {
            Ok(()) => {
                shared.received.accepted(self.session.address(), 1, 0);
                self.session.accepted();
                self.last_accepted = Instant::now();
                self.review_difficulty().await
            }
            Err(NotTaken::Failed) => self.connection.refuse(Reason::ShareNotStored).await.without_end(),
            Err(NotTaken::TooMany) => {
                let code = Reason::TooManyShares.code();
                shared.figures.share_refused(self.session.mode(), code);
                shared.received.refused(self.session.address(), code, 1);
                self.connection.say([Reason::TooManyShares.into()]).await
            }
            Err(NotTaken::Refused(refusal)) => {
                shared.figures.share_refused(self.session.mode(), refusal.code());
                match refusal {
                    Refusal::Duplicate => shared.received.accepted(self.session.address(), 0, 1),
                    refusal => shared.received.refused(self.session.address(), refusal.code(), 1),
                }
                let consequences = self.session.refused(refusal);
                if consequences.ban {
                    shared.door.ban(self.connection.client, refusal.code());
                }
                self.connection.say([consequences.message]).await?;
                if consequences.close { Err(Closing::Refused) } else { Ok(()) }
            }
        }
    }

    /// The accounts answer when they can; nothing waits for them.
    fn ask_balance(&mut self) {
        let (accounts, address) = (self.connection.shared.accounts.clone(), self.session.address());
        self.next_balance = Instant::now() + self.connection.shared.config.times.balance;
        self.asking = Some(Box::pin(async move {
            accounts
                .balance(address)
                .await
                .inspect_err(|error| tracing::warn!(%error, "a balance could not be read"))
                .ok()
        }));
    }

    async fn tell_balance(&mut self, balance: Option<BalanceView>) -> Step {
        self.asking = None;
        let Some(view) = balance else { return Ok(()) };
        // What a reorganisation has taken back shows as nothing, as clients expect no negative number.
        let luna = |amount: i64| Luna(u64::try_from(amount).unwrap_or(0));
        let balance = Balance {
            balance: luna(view.balance),
            confirmed_balance: luna(view.confirmed),
            payout_request_active: view.payout_request_active,
            payout_threshold: Some(self.connection.shared.config.terms.thresholds.of(view.chosen_threshold)),
        };
        self.connection.say([ServerMessage::Balance(balance)]).await
    }
}

impl Closing {
    /// After something was refused that does not end the connection: only a client that is gone ends it.
    fn without_end(self) -> Step {
        if self == Self::Refused { Ok(()) } else { Err(self) }
    }
}

/// The answer to a question, if one was asked; else never.
async fn answer(asking: &mut Option<Answer>) -> Option<BalanceView> {
    match asking {
        Some(answer) => answer.as_mut().await,
        None => std::future::pending().await,
    }
}
