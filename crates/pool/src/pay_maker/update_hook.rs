//! The operator's own say in who is paid: a program that is given the document and answers with another one
//! (the `updateHook` of `docs/protocol/packetcrypt-pool.md` 13).
//!
//! The document goes to the program's standard input as JSON; what the program writes takes its place, in `/whotopay`
//! and for the node alike. It may change who gets what, never how much there is: parts are cut to whole units, what
//! is then missing goes to the default address, and more than the whole is refused. A program that fails changes
//! nothing, and the document says so.

use std::process::Stdio;
use std::time::Duration;

use hashbrown::HashMap;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use tokio::runtime::Handle;
use wire::who_to_pay::{self, Portion, WhoToPay};
use wire::{Decimal, FormatError, PktAddress};

/// Time that a program has to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// How much of a program's complaint is told.
const COMPLAINT_BYTES: u64 = 300;
/// The only variable of the environment that a program is given, so that it finds its interpreter.
const SEARCH_PATH: &str = "PATH";

/// A program and its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdateHook {
    program: String,
    arguments: Vec<String>,
    patience: Duration,
}

/// Why a document stays as the ledger made it.
#[derive(Debug, thiserror::Error)]
pub(super) enum HookFault {
    #[error("{program:?} cannot be started: {error}")]
    Start { program: String, error: std::io::Error },
    #[error("it did not answer within {} s", patience.as_secs())]
    TooSlow { patience: Duration },
    #[error("it ended with {status}: {complaint}")]
    Failed { status: std::process::ExitStatus, complaint: String },
    #[error("its answer cannot be read: {0}")]
    Broken(std::io::Error),
    #[error("its answer is longer than {} bytes", who_to_pay::LIMIT)]
    TooLong,
    #[error("its answer is not the document: {0}")]
    NotTheDocument(#[from] FormatError),
    #[error("it gives {0} the part {1}, which is none from 0 to 1")]
    NoPart(PktAddress, Decimal),
    #[error("its parts in `result` sum to more than 1")]
    MoreThanAll,
}

impl UpdateHook {
    /// `command` is a program and its arguments; `None` if it is empty.
    pub fn new(command: &[String]) -> Option<Self> {
        let (program, arguments) = command.split_first()?;
        Some(Self { program: program.clone(), arguments: arguments.to_vec(), patience: PATIENCE })
    }

    /// The document as the program wants it. Blocks until it has answered; must be called on a thread of the runtime
    /// where that is allowed.
    pub(super) fn change(&self, document: &WhoToPay, payees: Payees) -> Result<WhoToPay, HookFault> {
        let asking = tokio::time::timeout(self.patience, self.ask(document.to_json()));
        let answer = Handle::current()
            .block_on(asking)
            .map_err(|_elapsed| HookFault::TooSlow { patience: self.patience })??;
        let mut changed = WhoToPay::parse(&answer)?;
        // What was found, not what is to be paid: these are facts of the ledger.
        changed.share_window.clone_from(&document.share_window);
        changed.ann_window.clone_from(&document.ann_window);
        let units = payees.units_of(&changed)?;
        changed.set_units(units);
        Ok(changed)
    }

    /// Runs the program once; it is killed where its answer is not waited for any more.
    async fn ask(&self, document: String) -> Result<Vec<u8>, HookFault> {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).env_clear().kill_on_drop(true);
        command.envs(std::env::var_os(SEARCH_PATH).map(|path| (SEARCH_PATH, path)));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let started = command.spawn();
        let mut child = started.map_err(|error| HookFault::Start { program: self.program.clone(), error })?;
        let (input, output, errors) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let tell = async {
            if let Some(mut input) = input {
                // A program need not read to the end.
                let _ = input.write_all(document.as_bytes()).await;
            }
        };
        let ((), answer, complaint) =
            tokio::join!(tell, read(output, who_to_pay::LIMIT as u64 + 1), read(errors, COMPLAINT_BYTES));
        let answer = answer.map_err(HookFault::Broken)?;
        if answer.len() > who_to_pay::LIMIT {
            return Err(HookFault::TooLong);
        }
        let status = child.wait().await.map_err(HookFault::Broken)?;
        if !status.success() {
            let complaint = String::from_utf8_lossy(&complaint.unwrap_or_default()).trim().to_owned();
            return Err(HookFault::Failed { status, complaint });
        }
        Ok(answer)
    }
}

/// At most `limit` bytes of what a program writes.
async fn read(from: Option<impl tokio::io::AsyncRead + Unpin>, limit: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(from) = from {
        from.take(limit).read_to_end(&mut bytes).await?;
    }
    Ok(bytes)
}

/// Who gets what a program's document leaves open.
#[derive(Debug, Clone, Copy)]
pub(super) struct Payees {
    /// Gets what is missing to the whole.
    pub(super) default_address: PktAddress,
    /// Gets all if the document has an error (11.7).
    pub(super) error_address: PktAddress,
}

impl Payees {
    /// `result` in whole units, which sum to the whole. Each address stands once, and none with nothing.
    fn units_of(self, document: &WhoToPay) -> Result<Vec<(PktAddress, u64)>, HookFault> {
        let whole = Portion::WHOLE.units();
        if !document.error.is_empty() {
            return Ok(vec![(self.error_address, whole)]);
        }
        let mut left = whole;
        let mut units: Vec<(PktAddress, u64)> = Vec::with_capacity(document.result.0.len() + 1);
        let mut places: HashMap<PktAddress, usize> = HashMap::new();
        let mut add = |address: PktAddress, part: u64| {
            if part > 0 {
                let place = *places.entry(address).or_insert_with(|| {
                    units.push((address, 0));
                    units.len() - 1
                });
                units[place].1 += part;
            }
        };
        for (address, part) in &document.result.0 {
            let part = Portion::cut_from(part).ok_or(HookFault::NoPart(*address, *part))?;
            left = left.checked_sub(part.units()).ok_or(HookFault::MoreThanAll)?;
            add(*address, part.units());
        }
        add(self.default_address, left);
        Ok(units)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINER: &str = "pBuYQ8dZe5KHNmCx1SBzmuXxqpAWrNTe2t";
    const OTHER: &str = "pKTcgnvpPdXQ6HztTC5snBc69887g471zE";
    const DEFAULT: &str = "pkt1qa6l3hd3ttfrvjjq3ee8vw6rpmhzmhsw69ytecrvad02jqmhz0jxq0rs86s";
    const ERROR: &str = "pkt1qyfjw9x9wcqlkc2w2eq2angjr66wms6xygur9vkk2tpy03ycvj6ns5fqpef";

    fn address(text: &str) -> PktAddress {
        text.parse().unwrap()
    }

    /// Three quarters for one miner, a quarter for another.
    fn document() -> WhoToPay {
        let mut document = WhoToPay::default();
        document.set_units(vec![(address(MINER), 750_000_000_000), (address(OTHER), 250_000_000_000)]);
        document
    }

    /// What a shell command makes of the document.
    async fn changed_by(script: &str, patience: Duration) -> Result<WhoToPay, HookFault> {
        let command = ["sh", "-c", script].map(str::to_owned);
        let hook = UpdateHook { patience, ..UpdateHook::new(&command).unwrap() };
        let payees = Payees { default_address: address(DEFAULT), error_address: address(ERROR) };
        tokio::task::spawn_blocking(move || hook.change(&document(), payees)).await.unwrap()
    }

    async fn units_by(script: &str) -> Vec<(PktAddress, u64)> {
        changed_by(script, PATIENCE).await.unwrap().units.unwrap().0
    }

    #[tokio::test]
    async fn a14_a_hook_says_who_gets_what_and_the_sum_stays_whole() {
        assert_eq!(changed_by("cat", PATIENCE).await.unwrap(), document());
        assert_eq!(
            units_by("sed 's/0.75/0.10000000000000001/; /\"units\"/,$ s/75000/1/'").await,
            [
                (address(MINER), 100_000_000_000),
                (address(OTHER), 250_000_000_000),
                (address(DEFAULT), 650_000_000_000)
            ],
            "`result` counts, cut to units, and the rest is for the default address"
        );
        let merged = units_by(&format!("sed 's/{OTHER}/{MINER}/'")).await;
        assert_eq!(merged, [(address(MINER), 1_000_000_000_000)]);
        let error = units_by("sed 's/\"error\": \\[\\]/\"error\": [\"not now\"]/'").await;
        assert_eq!(error, [(address(ERROR), 1_000_000_000_000)], "nobody can be paid");
    }

    #[tokio::test]
    async fn a14_a_hook_that_fails_is_told_by_its_fault() {
        let fault = async |script: &str| changed_by(script, PATIENCE).await.unwrap_err().to_string();
        assert!(fault("echo no >&2; exit 3").await.contains("exit status: 3: no"));
        assert!(fault("echo '{}'").await.contains("not the document"));
        assert!(fault("sed s/0.75/0.76/").await.contains("more than 1"));
        assert!(fault("sed s/0.75/-0.75/").await.contains("-0.75"));
        assert!(fault(&format!("sed s/{MINER}/nobody/")).await.contains("not the document"));
        assert!(fault("yes").await.contains("longer than"));
        let slow = changed_by("cat; sleep 60", Duration::from_millis(200)).await;
        assert!(matches!(slow, Err(HookFault::TooSlow { .. })), "{slow:?}");
        assert!(UpdateHook::new(&[]).is_none());
    }
}
