//! Sessions against shares that were really mined, on the development network's genesis block.

use nimiq::argon2d::Hasher;
use nimiq::share::{NanoShare, SmartShare};
use nimiq::{Body, CompactTarget, ExtraData, LightBlock, Network, PoolName};

use super::*;

const CLOCK: Timestamp = Timestamp(1_600_000_000);

/// A pool on the genesis block, and a client of it.
struct Bench {
    board: Board,
    session: Session,
    start: Instant,
    said: Vec<ServerMessage>,
}

fn usual_terms() -> Terms {
    let fee = "0.01".parse().unwrap();
    Terms::new(PoolName::new("test").unwrap(), Address([1; 20]), fee, Network::Dev)
}

fn register(mode: Mode, start_difficulty: Option<f64>) -> Register {
    Register {
        mode,
        address: Address([2; 20]),
        device_id: DeviceId(7),
        device_data: None,
        genesis_hash: Network::Dev.genesis_hash(),
        start_difficulty,
        device_name: None,
    }
}

impl Bench {
    fn new(mode: Mode) -> Self {
        let mut terms = usual_terms();
        terms.start_difficulty = 0.001;
        terms.dumb_start_difficulty = 0.001;
        terms.allowed_errors = 2;
        let register = register(mode, None);
        let start = Instant::now();
        let nonce = PayoutNonce::from_random(5);
        let wanted = terms.difficulty.shares_per_second;
        let mut session = Session::new(Arc::new(terms), &register, SessionNonce(9), nonce, wanted, start);
        let board = Board::default().with(work_on(&Network::Dev.genesis_block().to_light(), &session));
        let said = session.greet(&board, start, CLOCK);
        Self { board, session, start, said }
    }

    fn settings(&self) -> Settings {
        let settings = self.said.iter().rev().find_map(|message| match message {
            ServerMessage::Settings(settings) => Some(settings.clone()),
            _ => None,
        });
        settings.expect("settings were sent")
    }

    fn new_block(&self) -> NewBlock {
        let block = self.said.iter().rev().find_map(|message| match message {
            ServerMessage::NewBlock(block) => Some((**block).clone()),
            _ => None,
        });
        block.expect("a new block was sent")
    }

    /// What the present difficulty, and a tenth of it, ask for next.
    fn ease(&mut self) {
        let later = self.start + std::time::Duration::from_secs(3600);
        self.said = self.session.review_difficulty(&self.board, later, CLOCK);
        assert!(!self.said.is_empty(), "an hour without a share eases the difficulty");
    }

    /// A share of a smart client that follows the last settings.
    fn mine_smart(&self, change: impl FnOnce(&mut Body)) -> Share {
        let settings = self.settings();
        let mut body = Body {
            miner: settings.address,
            extra_data: settings.extra_data,
            transactions: Vec::new(),
            pruned_accounts: Vec::new(),
        };
        change(&mut body);
        let header = mined(Header { body_hash: body.hash(), ..self.header() }, settings.target_compact);
        let (miner_proof, extra_data_proof) = (body.miner_proof(), body.extra_data_proof());
        Share::Smart(SmartShare { header, miner_proof, extra_data_proof, block: None })
    }

    fn mine_nano(&self) -> Share {
        let NewBlock::Nano(block) = self.new_block() else { panic!("not a nano block") };
        let header =
            Header { body_hash: block.body_hash, accounts_hash: block.accounts_hash, ..self.header() };
        let header = mined(header, self.settings().target_compact);
        let interlink = self.board.work.as_ref().unwrap().next.interlink.clone();
        Share::Nano(NanoShare { block: LightBlock { header, interlink } })
    }

    fn header(&self) -> Header {
        let work = self.board.work.as_ref().unwrap();
        Header {
            previous: work.next.previous,
            interlink_hash: work.next.interlink_hash,
            body_hash: work.body_hash(&ExtraData::default()),
            accounts_hash: work.accounts_hash,
            target: work.next.target,
            height: work.next.height,
            timestamp: CLOCK,
            nonce: 0,
        }
    }

    /// Everything that a server does with a share, but for looking for duplicates.
    fn send(&self, share: &Share) -> Result<GoodShare, Refusal> {
        let mut hasher = Hasher::new();
        let Weighing::Hash(candidates) = self.session.weigh(share, &self.board, CLOCK)? else {
            return Err(Refusal::BadPrevious);
        };
        let mut verdict = Err(Refusal::Expired);
        for candidate in &candidates {
            let proof_of_work = hasher.hash(&candidate.header.to_bytes());
            verdict = self.session.judge(share, candidate, &proof_of_work);
            if verdict.is_ok() {
                break;
            }
        }
        verdict
    }
}

fn work_on(head: &LightBlock, session: &Session) -> Arc<Work> {
    let proof_of_work = Hasher::new().hash(&head.header.to_bytes());
    let genesis = Network::Dev.genesis_hash();
    let next = NextBlock::on(head, proof_of_work, CompactTarget::EASIEST, &genesis);
    let body = Body {
        miner: session.terms.address,
        extra_data: ExtraData::default(),
        transactions: Vec::new(),
        pruned_accounts: Vec::new(),
    };
    Arc::new(Work::new(next, Some(head.clone()), nimiq::AccountsHash([3; 32]), body))
}

fn mined(header: Header, target: CompactTarget) -> Header {
    let share_target = ShareTarget::new(target).unwrap();
    let mut hasher = Hasher::new();
    (0..1_000_000)
        .map(|nonce| Header { nonce, ..header })
        .find(|header| share_target.target().is_met_by(&hasher.hash(&header.to_bytes())))
        .unwrap()
}

#[test]
fn a_client_is_told_what_its_mode_needs() {
    let kinds = |mode| {
        let kind = |message: &ServerMessage| match message {
            ServerMessage::Registered => "registered",
            ServerMessage::Settings(_) => "settings",
            ServerMessage::NewBlock(_) => "new-block",
            _ => "other",
        };
        Bench::new(mode).said.iter().map(kind).collect::<Vec<_>>()
    };
    assert_eq!(kinds(Mode::Smart), ["registered", "settings"]);
    assert_eq!(kinds(Mode::Nano), ["registered", "settings", "new-block"]);
    assert_eq!(kinds(Mode::Dumb), ["registered", "settings", "new-block"]);
    let bench = Bench::new(Mode::Nano);
    let (settings, next) = (bench.settings(), bench.board.work.as_ref().unwrap().next.clone());
    assert_eq!((settings.address, settings.pool_fee), (Address([1; 20]), Some("0.01".parse().unwrap())));
    let NewBlock::Nano(block) = bench.new_block() else { panic!("not a nano block") };
    assert_eq!((block.previous.header.hash(), block.next_target), (next.previous, Some(next.target)));
}

#[test]
fn the_first_difficulty_is_the_modes_own_or_the_clients_wish_within_the_limits() {
    let first = |mode, wish| {
        let terms = Arc::new(usual_terms());
        let (nonce, wanted) = (PayoutNonce::from_random(5), terms.difficulty.shares_per_second);
        let register = register(mode, wish);
        let session = Session::new(terms, &register, SessionNonce(9), nonce, wanted, Instant::now());
        session.share_difficulty()
    };
    for (mode, wish, expected) in [
        (Mode::Smart, None, 1.0),
        (Mode::Nano, None, 1.0),
        (Mode::Dumb, None, 32.0),
        (Mode::Smart, Some(7.5), 7.5),
        (Mode::Dumb, Some(7.5), 7.5),
        (Mode::Nano, Some(1e9), 100_000.0),
        (Mode::Nano, Some(-3.0), 0.0001),
    ] {
        assert_eq!(first(mode, wish).to_bits(), f64::to_bits(expected), "{mode} {wish:?}");
    }
}

#[test]
fn what_is_refused_makes_no_difficulty_harder() {
    let mut bench = Bench::new(Mode::Smart);
    let before = bench.session.share_difficulty();
    for _ in 0..1000 {
        bench.session.refused(Refusal::InvalidProofOfWork);
    }
    bench.ease();
    assert!(bench.session.share_difficulty() < before, "nothing was accepted for an hour");
}

#[test]
fn a_share_of_each_mode_is_worth_the_target_that_was_announced() {
    for mode in Mode::ALL {
        let bench = Bench::new(mode);
        let target = ShareTarget::new(bench.settings().target_compact).unwrap();
        let share = match mode {
            Mode::Smart => bench.mine_smart(|_| {}),
            Mode::Nano => bench.mine_nano(),
            Mode::Dumb => {
                let NewBlock::Dumb(header) = bench.new_block() else { panic!("not a header") };
                Share::Dumb { nonce: mined(header, target.compact()).nonce }
            }
        };
        let good = bench.send(&share).unwrap();
        assert_eq!(good.weight, target.weight(), "{mode}");
        assert_eq!(good.previous, Network::Dev.genesis_hash(), "{mode}");
    }
}

#[test]
fn w13_a_share_mined_before_the_last_settings_keeps_its_worth() {
    for mode in [Mode::Smart, Mode::Nano] {
        let mut bench = Bench::new(mode);
        let weight = ShareTarget::new(bench.settings().target_compact).unwrap().weight();
        let share = if mode == Mode::Smart { bench.mine_smart(|_| {}) } else { bench.mine_nano() };
        bench.ease();
        let eased = ShareTarget::new(bench.settings().target_compact).unwrap().weight();
        assert!(eased < weight);
        assert_eq!(bench.send(&share).unwrap().weight, weight, "{mode}");
    }
}

#[test]
fn a_share_for_somebody_else_is_refused() {
    let bench = Bench::new(Mode::Smart);
    let other_miner = bench.mine_smart(|body| body.miner = Address([9; 20]));
    assert_eq!(bench.send(&other_miner).unwrap_err(), Refusal::MinerAddressMismatch);
    let other_client = bench.mine_smart(|body| body.extra_data = ExtraData::cut(b"another"));
    assert_eq!(bench.send(&other_client).unwrap_err(), Refusal::ExtraDataMismatch);
}

#[test]
fn a_share_on_an_older_head_is_expired_and_on_an_unknown_one_unknown() {
    let mut bench = Bench::new(Mode::Nano);
    let share = bench.mine_nano();
    let Share::Nano(light) = &share else { unreachable!() };
    let mut on_nothing = light.clone();
    on_nothing.block.header.previous = BlockHash([8; 32]);
    let asked = bench.session.weigh(&Share::Nano(on_nothing), &bench.board, CLOCK);
    assert!(matches!(asked, Ok(Weighing::UnknownHead { .. })));
    let other_block =
        LightBlock { header: mined(bench.header(), CompactTarget(0x2010_0000)), ..light.block.clone() };
    bench.board = bench.board.with(work_on(&other_block, &bench.session));
    assert_eq!(bench.send(&share).unwrap_err(), Refusal::Expired);
}

/// A nonce alone does not say what it was mined on: it is found out by hashing, and is no error.
#[test]
fn w13_a_nonce_that_was_on_its_way_when_the_head_changed_is_expired() {
    let mut bench = Bench::new(Mode::Dumb);
    let NewBlock::Dumb(given) = bench.new_block() else { panic!("not a header") };
    let share = Share::Dumb { nonce: mined(given, bench.settings().target_compact).nonce };
    let other_block = LightBlock {
        header: mined(bench.header(), CompactTarget(0x2010_0000)),
        interlink: bench.board.work.as_ref().unwrap().next.interlink.clone(),
    };
    bench.board = bench.board.with(work_on(&other_block, &bench.session));
    bench.said = bench.session.turn_to(&bench.board, bench.start, CLOCK);
    assert_eq!(bench.send(&share).unwrap_err(), Refusal::Expired);
    assert_eq!(bench.send(&Share::Dumb { nonce: 7 }).unwrap_err(), Refusal::InvalidProofOfWork);
}

#[test]
fn a_block_that_came_before_its_share_counts_and_is_not_submitted() {
    let mut bench = Bench::new(Mode::Nano);
    let share = bench.mine_nano();
    let Share::Nano(light) = &share else { unreachable!() };
    bench.board = bench.board.with(work_on(&light.block, &bench.session));
    bench.said = bench.session.turn_to(&bench.board, bench.start, CLOCK);
    let good = bench.send(&share).unwrap();
    assert!(matches!(good.block, FoundBlock::None));
}

#[test]
fn a_lucky_share_is_a_block_with_its_body() {
    let lucky = ProofOfWork([0; 32]);
    let find = |bench: &Bench, share: &Share| {
        let Ok(Weighing::Hash(candidates)) = bench.session.weigh(share, &bench.board, CLOCK) else {
            panic!()
        };
        bench.session.judge(share, &candidates[0], &lucky).unwrap().block
    };
    for mode in [Mode::Nano, Mode::Dumb] {
        let bench = Bench::new(mode);
        let share = if mode == Mode::Nano { bench.mine_nano() } else { Share::Dumb { nonce: 3 } };
        let FoundBlock::Whole(block) = find(&bench, &share) else { panic!("{mode}") };
        assert!(block.has_its_body(), "{mode}");
        assert_eq!(block.body.miner, bench.session.terms.address, "{mode}");
    }
    let bench = Bench::new(Mode::Smart);
    assert!(matches!(find(&bench, &bench.mine_smart(|_| {})), FoundBlock::WithoutBody));
}

#[test]
fn errors_close_the_connection_and_new_settings_forgive_them() {
    let mut bench = Bench::new(Mode::Smart);
    let mut close = || {
        let follows = bench.session.refused(Refusal::InvalidProofOfWork);
        assert!(!follows.ban);
        follows.close
    };
    assert_eq!([close(), close(), close()], [false, false, true]);
    bench.ease();
    assert!(!bench.session.refused(Refusal::InvalidProofOfWork).close);
    for _ in 0..100 {
        assert!(!bench.session.refused(Refusal::Expired).close, "an expired share is no error");
    }
}

#[test]
fn the_second_duplicate_and_every_forgery_is_a_ban() {
    let mut bench = Bench::new(Mode::Smart);
    assert!(!bench.session.refused(Refusal::Duplicate).ban);
    let second = bench.session.refused(Refusal::Duplicate);
    assert!(second.ban && second.close);
    assert_eq!(second.message, ServerMessage::Error { reason: "submitted share twice".to_owned() });
    assert!(bench.session.refused(Refusal::ForgedProof).ban);
}
