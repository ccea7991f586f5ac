//! One recorded connection, from its first frame to its last: what the client was told, and whether its shares and
//! requests deserve the answers that they got.

use anyhow::{Context, anyhow};
use nimiq::share::{Announced, DumbJob, NanoJob, NextBlock};
use nimiq::{Address, CompactTarget, PayoutNonce, SessionExtraData, ShareTarget};
use wire::nimiq::{ClientMessage, NewBlock, PayoutProof, Register, ServerMessage, Settings};

use super::super::super::Tally;
use super::super::{difference, first, proof_of_work, shown};
use super::Pool;
use super::frames::{Frame, Said};
use super::share::{SentShare, Told};

pub struct Session<'a> {
    pool: &'a Pool,
    name: &'a str,
    /// Stock clients never send anything that is wrong; what they send is refused only where it came late.
    is_stock: bool,
    client: Option<Address>,
    nonce: Option<PayoutNonce>,
    told: Told,
}

impl<'a> Session<'a> {
    pub fn new(pool: &'a Pool, name: &'a str, is_stock: bool) -> Self {
        Self { pool, name, is_stock, client: None, nonce: None, told: Told::default() }
    }

    /// Goes through the frames; the answer is the shares that were sent.
    pub fn run(mut self, frames: &[Frame], tally: &mut Tally) -> anyhow::Result<Vec<SentShare>> {
        let mut shares = Vec::new();
        for (index, frame) in frames.iter().enumerate() {
            let name = format!("{}, frame {index}", self.name);
            let (said, problem) = frame.read().with_context(|| name.clone())?;
            let later = &frames[index + 1..];
            let problem = match problem {
                Some(problem) => Some(problem),
                None => self.heard(said, later, &mut shares).with_context(|| name.clone())?,
            };
            tally.row(name, problem);
        }
        Ok(shares)
    }

    fn heard(
        &mut self,
        said: Said,
        later: &[Frame],
        shares: &mut Vec<SentShare>,
    ) -> anyhow::Result<Option<String>> {
        match said {
            Said::Control => Ok(None),
            Said::Server(message) => self.server_said(message),
            Said::Client(Err(error)) => {
                let closed = later.iter().any(Frame::is_close_by_server);
                let as_recorded = closed && !self.is_stock;
                Ok((!as_recorded).then(|| format!("is refused, but the connection stayed open: {error}")))
            }
            Said::Client(Ok(ClientMessage::Register(register))) => Ok(self.registers(&register, later)),
            Said::Client(Ok(ClientMessage::Payout(request))) => self.asks_for_payout(&request.proof, later),
            Said::Client(Ok(ClientMessage::Threshold(_))) => {
                Ok(Some("no client of the recordings chooses a threshold".to_owned()))
            }
            Said::Client(Ok(ClientMessage::Share(share))) => {
                let sent = SentShare::new(*share, self.told.clone());
                let problem = sent.judge(self.pool, self.is_stock, &answers(later))?;
                shares.push(sent);
                Ok(problem)
            }
        }
    }

    fn registers(&mut self, register: &Register, later: &[Frame]) -> Option<String> {
        let foreign = register.genesis_hash != self.pool.network.genesis_hash();
        let refused = answers(later).iter().any(|reason| reason == "different genesis block");
        self.client.get_or_insert(register.address);
        self.told.is_whole = true;
        difference("refused as foreign", refused, foreign)
    }

    fn server_said(&mut self, message: ServerMessage) -> anyhow::Result<Option<String>> {
        match message {
            ServerMessage::Settings(settings) => self.settings(&settings),
            ServerMessage::NewBlock(block) => self.new_block(*block),
            _ => Ok(None),
        }
    }

    fn settings(&mut self, settings: &Settings) -> anyhow::Result<Option<String>> {
        let target = ShareTarget::new(settings.target_compact).context("a share target that has a weight")?;
        self.told.announced.push(Announced::new(&settings.extra_data, target));
        self.nonce = settings.nonce;
        let extra_data =
            SessionExtraData::parse(&settings.extra_data).context("extra data in the pool's layout")?;
        let text = settings.target.as_ref().context("a target as text")?;
        let nearest = CompactTarget::nearest(text.to_decimal());
        let address = self.client.unwrap_or(extra_data.address);
        Ok(first([
            shown("pool address", &self.pool.address.to_string(), settings.address),
            shown("pool name", &self.pool.name, extra_data.pool.as_str()),
            difference("client's address", address, extra_data.address),
            difference("target in the extra data", settings.target_compact, extra_data.target),
            difference("target as text", settings.target_compact, nearest),
        ]))
    }

    fn new_block(&mut self, block: NewBlock) -> anyhow::Result<Option<String>> {
        // Before the first recorded settings, the target of a job is not known.
        let Some(target) = self.told.announced.last().map(|announced| *announced.target()) else {
            return Ok(None);
        };
        match block {
            NewBlock::Dumb(header) => self.told.dumb_jobs.insert(0, DumbJob { header, target }),
            NewBlock::Nano(block) => {
                let header = block.previous.header;
                let work = proof_of_work(&header.to_bytes())?;
                let genesis = self.pool.network.genesis_hash();
                // The next target is not in the message; on these young chains it is the head's.
                let next = NextBlock::on(&block.previous, work, header.target, &genesis);
                let job = NanoJob { body_hash: block.body_hash, accounts_hash: block.accounts_hash, target };
                if let Some(last) = self.told.next.take_if(|last| last.previous != next.previous) {
                    self.told.nano_jobs.clear();
                    self.told.former_heads.push(last.previous);
                }
                self.told.nano_jobs.push(job);
                self.told.next = Some(next);
            }
        }
        Ok(None)
    }

    fn asks_for_payout(&self, proof: &PayoutProof, later: &[Frame]) -> anyhow::Result<Option<String>> {
        let Some(address) = self.client else { return Ok(None) };
        let PayoutProof::Bytes(proof) = proof else { return Ok(None) };
        let nonce = self.nonce.ok_or_else(|| anyhow!("no nonce was given"))?;
        let valid = nonce.check(proof, &address).is_ok();
        let next = later.iter().find_map(|frame| match frame.read() {
            Ok((Said::Server(message), _)) => Some(message),
            _ => None,
        });
        let taken = matches!(next, Some(ServerMessage::Settings(_)));
        Ok(difference("the request is valid", taken, valid))
    }
}

/// The reasons that follow, up to the client's next text.
fn answers(later: &[Frame]) -> Vec<String> {
    later.iter().take_while(|frame| !frame.is_client_text()).filter_map(Frame::error).collect()
}
