//! A pool to test with: accounts on one of the two engines, a server, and a chain that the test makes up.

use std::num::NonZeroU64;

use nimiq::transaction::{Payment, Transaction};
use nimiq::{Address, BlockHash, Height, Luna, NetworkId, PrivateKey, ShareWeight};

use crate::UnixMillis;
use crate::local_postgres::database_for_a_test;
use crate::nimiq::audit::audit;
use crate::nimiq::payout_plan::{FeePayer, PayoutRules, PlannedPayment};
use crate::nimiq::payout_threshold::Thresholds;
use crate::nimiq::split::FeePpm;
use crate::nimiq::window::WindowRule;
use crate::nimiq::{
    Accounts, ChainBlock, ChainUpdate, CreditRules, Followed, FoundReward, NewShare, PayoutLease, ServerId,
    ServiceLease, Settled, SignedPayment,
};

/// What a block of the pool brings, fees included.
pub const TOTAL: u64 = 440_000_100;
/// The weight of a share.
pub const WEIGHT: u64 = 1 << 20;

/// The accounts and what belongs to them.
pub struct Stand {
    pub accounts: Accounts,
    pub url: String,
    pub server: ServerId,
    pub service: ServiceLease,
    pub payout: PayoutLease,
    pub rules: CreditRules,
    pub now: u64,
    next_share: u64,
    _folder: Option<tempfile::TempDir>,
}

pub fn address(number: u8) -> Address {
    Address([number; 20])
}

/// The hash of a block of the made-up chain: `branch` tells forks apart.
pub fn hash(branch: u8, height: u32) -> BlockHash {
    let mut bytes = [branch; 32];
    bytes[..4].copy_from_slice(&height.to_be_bytes());
    BlockHash(bytes)
}

pub fn foreign(branch: u8, height: u32) -> ChainBlock {
    ChainBlock { hash: hash(branch, height), height: Height(height), found: None }
}

pub fn ours(branch: u8, height: u32) -> ChainBlock {
    let found = FoundReward { reward: Luna(TOTAL - 100), fees: Luna(100), work: ShareWeight(WEIGHT * 10) };
    ChainBlock { found: Some(found), ..foreign(branch, height) }
}

impl Stand {
    pub async fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("accounts.db").display());
        Self::open(url, Some(folder)).await
    }

    pub async fn postgres() -> Option<Self> {
        Some(Self::open(database_for_a_test()?, None).await)
    }

    pub async fn open(url: String, folder: Option<tempfile::TempDir>) -> Self {
        let accounts = Accounts::open(&url).await.unwrap();
        let server = accounts.server("server-1").await.unwrap();
        let (now, until) = (UnixMillis(1_000_000), UnixMillis(u64::MAX));
        let service = accounts.take_lease("host-1", now, until).await.unwrap().unwrap();
        let payout = accounts.take_lease("host-1", now, until).await.unwrap().unwrap();
        let window = WindowRule::Shares(NonZeroU64::new(10).unwrap());
        let rules = CreditRules::new(FeePpm::new(10_000).unwrap(), window);
        let now = now.0;
        Self { accounts, url, server, service, payout, rules, now, next_share: 0, _folder: folder }
    }

    /// A crash and a start: nothing but the store is left.
    pub async fn restart(&mut self) {
        self.accounts = Accounts::open(&self.url).await.unwrap();
        let (now, until) = (self.time(), UnixMillis(u64::MAX));
        self.service = self.accounts.take_lease("host-1", now, until).await.unwrap().unwrap();
        self.payout = self.accounts.take_lease("host-1", now, until).await.unwrap().unwrap();
    }

    pub fn time(&self) -> UnixMillis {
        UnixMillis(self.now)
    }

    /// A share that nobody has sent yet.
    pub fn share(&mut self, user: u8, previous_block: BlockHash) -> NewShare {
        self.next_share += 1;
        let mut hash = [0xee; 32];
        hash[..8].copy_from_slice(&self.next_share.to_be_bytes());
        NewShare {
            server_sequence: self.next_share,
            address: address(user),
            device: 7,
            previous_block,
            hash: BlockHash(hash),
            weight: ShareWeight(WEIGHT),
            accepted_at: self.time(),
        }
    }

    /// Sends one share of each of these users.
    pub async fn work(&mut self, users: &[u8], previous_block: BlockHash) {
        let shares: Vec<_> = users.iter().map(|user| self.share(*user, previous_block)).collect();
        let report = self.accounts.accept_shares(self.server, &shares).await.unwrap();
        assert_eq!(report.credited, users.len() as u64);
    }

    /// Sends the share that is the block at this place of the chain.
    pub async fn find(&mut self, user: u8, branch: u8, height: u32) {
        let share = NewShare { hash: hash(branch, height), ..self.share(user, hash(branch, height - 1)) };
        assert_eq!(self.accounts.accept_shares(self.server, &[share]).await.unwrap().credited, 1);
    }

    pub async fn follow(&mut self, left: Vec<BlockHash>, joined: Vec<ChainBlock>) -> Followed {
        let update = ChainUpdate { left, joined };
        let confirmations = self.rules.confirmations;
        self.accounts.follow(&self.service, &update, confirmations, self.time()).await.unwrap()
    }

    pub async fn settle(&mut self) -> Vec<Settled> {
        self.accounts.settle(&self.service, &self.rules, self.time()).await.unwrap()
    }

    /// Two miners' blocks: user 1 has 6 of 10 shares, user 2 has 4; found at height 101 and settled.
    pub async fn earn(&mut self) {
        self.follow(vec![], vec![foreign(0, 100)]).await;
        self.work(&[1, 1, 1, 1, 1, 2, 2, 2, 2], hash(0, 100)).await;
        self.find(1, 0, 101).await;
        self.follow(vec![], vec![ours(0, 101)]).await;
        assert_eq!(self.settle().await.len(), 1);
    }

    /// Foreign blocks on top.
    pub async fn bury(&mut self, from: u32, to: u32) -> Followed {
        self.follow(vec![], (from..=to).map(|height| foreign(0, height)).collect()).await
    }

    /// Balance and confirmed balance of a user.
    pub async fn balance(&self, user: u8) -> (i64, i64) {
        let view = self.accounts.balance(address(user)).await.unwrap();
        (view.balance, view.confirmed)
    }

    /// Everything is in order, by the second opinion.
    pub async fn assert_sound(&self) {
        let report = audit(&self.accounts).await.unwrap();
        assert_eq!(report.findings, Vec::<String>::new());
        let totals = self.accounts.totals().await.unwrap();
        assert_eq!(totals.values().sum::<i64>(), 0, "{totals:?}");
    }
}

pub fn payout_rules() -> PayoutRules {
    PayoutRules {
        pool_address: PrivateKey::new(&[9; 32]).public_key().address(),
        thresholds: Thresholds { usual: Luna(5_000_000), least: Luna(1_000_000), most: Luna(1_000_000_000) },
        fee_per_byte: Luna(1),
        automatic_fee_payer: FeePayer::Pool,
        requested_fee_payer: FeePayer::User,
    }
}

pub fn sign(payment: PlannedPayment) -> SignedPayment {
    let unsigned = Payment {
        recipient: payment.recipient,
        value: payment.value,
        fee: payment.network_fee,
        validity_start: payment.validity_start,
        network: NetworkId(2),
    };
    let transaction = Transaction::Basic(unsigned.sign(&PrivateKey::new(&[9; 32])));
    SignedPayment { payment, hash: transaction.hash(), signed: transaction.to_bytes() }
}
