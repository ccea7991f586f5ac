//! One connection from its registration to its end: messages become jobs, finds become shares.

use std::sync::Arc;

use nimiq::argon2d::Hasher;
use nimiq::{BlockHash, Difficulty};
use tokio::time::{Duration, Instant, interval};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};
use wire::nimiq::{ClientMessage, Mode, ServerMessage};

use super::chain::Chain;
use super::connection::{self, ConnectionFault, Incoming, Outgoing, Permit};
use super::mining::Found;
use super::work::{ToDo, Work, WorkFault};
use super::{Job, NimiqBalance, NimiqMiner};

/// Time for the pool to register this miner.
const REGISTRATION: Duration = Duration::from_secs(30);
/// How often the time is looked at.
const TICK: Duration = Duration::from_secs(1);

/// Why a connection is given up.
#[derive(Debug, thiserror::Error)]
pub enum SessionFault {
    /// It ended, and what the pool had complained about last.
    #[error("{fault}{}", after(.complaint.as_deref()))]
    Connection {
        /// How it ended.
        fault: ConnectionFault,
        /// The newest `error` of the pool.
        complaint: Option<String>,
    },
    /// What the pool wants cannot be done.
    #[error(transparent)]
    Work(#[from] WorkFault),
    /// The pool does not answer the registration.
    #[error("the pool does not register this miner")]
    NotRegistered,
}

fn after(complaint: Option<&str>) -> String {
    complaint.map_or_else(String::new, |complaint| format!(" after it had said \"{complaint}\""))
}

/// What happens next.
enum Event<'a> {
    Shutdown,
    Message(Result<ServerMessage, ConnectionFault>),
    /// The chain's head has changed.
    Head,
    Found(Found),
    /// The waiting share can be sent.
    Ready(Result<Permit<'a>, ConnectionFault>),
    Tick,
}

/// A connection that is mined for.
pub struct Session<'m> {
    miner: &'m mut NimiqMiner,
    work: Work,
    hasher: Hasher,
    job: Option<Arc<Job>>,
    /// A share that waits for the connection.
    waiting: Option<Found>,
    since: Instant,
    registered: bool,
    complaint: Option<String>,
}

impl<'m> Session<'m> {
    /// Connects, and mines until the connection ends or `shutdown`. Calls `registered` when the pool has taken us.
    pub async fn run(
        miner: &'m mut NimiqMiner,
        shutdown: &CancellationToken,
        registered: impl FnMut(),
    ) -> Result<(), SessionFault> {
        let config = &miner.config;
        let opening = connection::open(&config.pool, &config.trust);
        let opened = tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            opened = opening => opened,
        };
        let no_complaint = |fault| SessionFault::Connection { fault, complaint: None };
        let (incoming, outgoing) = opened.map_err(no_complaint)?;
        let registration = ClientMessage::Register(config.registration());
        outgoing.ready().await.map_err(no_complaint)?.send(&registration);
        let mut session = Self {
            work: Work::new(config.mode.mode(), config.network),
            hasher: Hasher::new(),
            job: None,
            waiting: None,
            since: Instant::now(),
            registered: false,
            complaint: None,
            miner,
        };
        let ended = session.mine(incoming, &outgoing, shutdown, registered).await;
        if ended.is_ok() {
            outgoing.close().await;
        }
        ended
    }

    async fn mine(
        &mut self,
        mut incoming: Incoming,
        outgoing: &Outgoing,
        shutdown: &CancellationToken,
        mut registered: impl FnMut(),
    ) -> Result<(), SessionFault> {
        let mut ticks = interval(TICK);
        loop {
            let NimiqMiner { chain, found, .. } = &mut *self.miner;
            let event = tokio::select! {
                () = shutdown.cancelled() => Event::Shutdown,
                message = incoming.receive() => Event::Message(message),
                () = head_changed(chain.as_mut()) => Event::Head,
                permit = outgoing.ready(), if self.waiting.is_some() => Event::Ready(permit),
                _ = ticks.tick() => Event::Tick,
                Some(found) = found.recv(), if self.waiting.is_none() => Event::Found(found),
            };
            match event {
                Event::Shutdown => return self.send_the_rest(outgoing).await,
                Event::Message(message) => {
                    let message = message.map_err(|fault| self.ended(fault))?;
                    if message == ServerMessage::Registered {
                        registered();
                    }
                    self.take(message)?;
                }
                Event::Head => self.look(),
                Event::Found(found) => self.keep(found),
                Event::Ready(permit) => {
                    let permit = permit.map_err(|fault| self.ended(fault))?;
                    self.send(permit);
                }
                Event::Tick if !self.registered && self.since.elapsed() > REGISTRATION => {
                    return Err(SessionFault::NotRegistered);
                }
                Event::Tick => self.miner.view.lock().fates.settle(Instant::now()),
            }
        }
    }

    fn ended(&mut self, fault: ConnectionFault) -> SessionFault {
        SessionFault::Connection { fault, complaint: self.complaint.take() }
    }

    fn take(&mut self, message: ServerMessage) -> Result<(), WorkFault> {
        match message {
            ServerMessage::Registered => {
                info!(pool = %self.miner.config.pool, "registered");
                self.registered = true;
                self.miner.view.lock().status.registered = true;
            }
            ServerMessage::Settings(settings) => {
                debug!(?settings, "the pool's settings");
                self.work.settings(settings)?;
                if let (Some(chain), Some(pool)) = (&mut self.miner.chain, self.work.pool()) {
                    chain.follow(pool);
                }
                self.look();
            }
            ServerMessage::NewBlock(block) => {
                self.work.new_block(*block, &mut self.hasher)?;
                self.look();
            }
            ServerMessage::Balance(balance) => {
                self.miner.view.lock().status.balance = Some(NimiqBalance {
                    luna: balance.balance.0,
                    confirmed_luna: balance.confirmed_balance.0,
                });
            }
            ServerMessage::Error { reason } => {
                if let Some(code) = self.miner.view.lock().fates.refused(&reason) {
                    debug!(code, "the pool refuses a share: {reason}");
                } else {
                    warn!("the pool says: {reason}");
                }
                self.complaint = Some(reason);
            }
            ServerMessage::Unknown { kind } => {
                debug!(kind, "a message of the pool's that is newer than this program");
            }
        }
        Ok(())
    }

    /// Mines what there is to mine now.
    fn look(&mut self) {
        let miner = &mut *self.miner;
        let head = miner.chain.as_ref().and_then(Chain::head);
        let (job, waiting_for) = match self.work.to_do(miner.chain.is_some(), head.as_deref()) {
            ToDo::Mine(job) => (Some(job.begun(miner.connections, miner.shared.nonces.taken())), None),
            ToDo::Wait(what) => (None, Some(what.words())),
        };
        {
            let status = &mut miner.view.lock().status;
            status.waiting_for = waiting_for;
            status.height = job.as_ref().map(|job| job.header().height.0);
            status.difficulty =
                job.as_ref().map(|job| Difficulty::of_target(job.target()).to_decimal().to_f64());
        }
        let is_known = match (&self.job, &job) {
            (Some(old), Some(new)) => old.is_like(new),
            (None, None) => true,
            _ => false,
        };
        if is_known {
            return;
        }
        if let Some(job) = &job {
            debug!(height = %job.header().height, target = %job.target(), "mining");
        }
        self.job = job.map(Arc::new);
        miner.threads.set_job(self.job.clone());
    }

    /// Keeps a share for the connection, if it can still count.
    fn keep(&mut self, found: Found) {
        let is_block = found.is_block();
        let counts = self.is_current(&found);
        {
            let fates = &mut self.miner.view.lock().fates;
            fates.found(is_block);
            if !counts {
                fates.stale();
                return;
            }
        }
        if is_block {
            info!(height = %found.header.height, hash = %found.header.hash(), "found a block");
            if let (Some(chain), Some(block)) = (&self.miner.chain, found.job.block(found.header)) {
                chain.submit(block);
            }
        }
        self.waiting = Some(found);
    }

    /// Whether a share was mined on this connection and on the present head. A nonce alone names no job, so there it must
    /// be the present one or one that differs in nothing that is hashed.
    fn is_current(&self, found: &Found) -> bool {
        let Some(job) = self.job.as_ref().filter(|job| job.connection() == found.job.connection()) else {
            return false;
        };
        let previous = |job: &Job| -> BlockHash { job.header().previous };
        previous(job) == previous(&found.job)
            && (self.miner.config.mode.mode() != Mode::Dumb || job.header() == found.job.header())
    }

    fn send(&mut self, permit: Permit<'_>) {
        let Some(found) = self.waiting.take() else { return };
        if !self.is_current(&found) {
            self.miner.view.lock().fates.stale();
            return;
        }
        let share = found.job.share(found.header, found.is_block());
        permit.send(&ClientMessage::Share(Box::new(share)));
        self.miner.view.lock().fates.sent(Instant::now());
    }

    /// Stops mining, and sends what was found.
    async fn send_the_rest(&mut self, outgoing: &Outgoing) -> Result<(), SessionFault> {
        self.miner.threads.set_job(None);
        loop {
            if self.waiting.is_none() {
                let Ok(found) = self.miner.found.try_recv() else { return Ok(()) };
                self.keep(found);
            } else {
                let permit = outgoing.ready().await.map_err(|fault| self.ended(fault))?;
                self.send(permit);
            }
        }
    }
}

async fn head_changed(chain: Option<&mut Chain>) {
    match chain {
        Some(chain) => chain.changed().await,
        None => std::future::pending().await,
    }
}
