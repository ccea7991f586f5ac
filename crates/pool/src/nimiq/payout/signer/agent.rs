//! A program that signs: it is started for each payment, gets it on standard input, and answers on standard output.
//!
//! Question, a JSON object on one line: `sender`, `recipient` (addresses as people write them), `value`, `fee` (luna),
//! `validityStartHeight`, `networkId`, and `content`, the bytes to sign in hexadecimal digits
//! (`docs/protocol/nimiq-pool.md` 2.8). Answer, the same: `publicKey` (64 digits) and `signature` (128). The program can
//! decide for itself what it signs; nothing that it answers is believed. Time and length of an answer are bounded.

use std::fmt;
use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nimiq::transaction::{BasicTransaction, Payment};
use nimiq::{Address, PublicKey, Signature};
use serde::Deserialize;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};

/// The longest answer.
const LONGEST_ANSWER: usize = 4096;

/// How the program is started. Its arguments may be secrets, so they are shown nowhere.
#[derive(Clone, PartialEq, Eq)]
pub struct Agent {
    /// Its path, or its name in `PATH`.
    pub program: String,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// How long one answer may take.
    pub time: Duration,
}

/// Why a program signed nothing.
#[derive(Debug, thiserror::Error)]
pub enum AgentFault {
    /// It cannot be started, or its pipes fail.
    #[error("the signing agent {program} cannot be asked: {source}")]
    Start {
        /// Which program.
        program: String,
        /// What the system says.
        source: io::Error,
    },
    /// It takes too long, and was ended.
    #[error("the signing agent has not answered within {} s", .0.as_secs_f64())]
    Time(Duration),
    /// It failed.
    #[error("the signing agent ended with {0}")]
    Failed(ExitStatus),
    /// It answers without end.
    #[error("the signing agent's answer is longer than {LONGEST_ANSWER} bytes")]
    TooLong,
    /// It answers something else.
    #[error("the signing agent's answer is not {{\"publicKey\": 64 digits, \"signature\": 128 digits}}: {0}")]
    Answer(String),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Answer {
    public_key: String,
    signature: String,
}

impl fmt::Debug for Agent {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("Agent");
        shown.field("program", &self.program).field("time", &self.time).finish_non_exhaustive()
    }
}

impl Agent {
    /// What the program answers for a payment from `sender`; the caller checks it.
    pub(super) async fn sign(
        &self,
        payment: &Payment,
        sender: Address,
    ) -> Result<BasicTransaction, AgentFault> {
        let start = |source| AgentFault::Start { program: self.program.clone(), source };
        let mut child = Command::new(&self.program)
            .args(&self.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(start)?;
        let asking = ask(&mut child, question(payment, sender));
        let answer = match tokio::time::timeout(self.time, asking).await {
            Ok(answer) => answer.map_err(start)?,
            Err(_) => return Err(AgentFault::Time(self.time)),
        };
        // Whoever says too much is not waited for.
        if answer.len() > LONGEST_ANSWER {
            return Err(AgentFault::TooLong);
        }
        let status = match tokio::time::timeout(self.time, child.wait()).await {
            Ok(status) => status.map_err(start)?,
            Err(_) => return Err(AgentFault::Time(self.time)),
        };
        if !status.success() {
            return Err(AgentFault::Failed(status));
        }
        let (public_key, signature) = parse(&answer)?;
        Ok(BasicTransaction { public_key, payment: *payment, signature })
    }
}

/// Asks, and reads the answer to its end or to where it is too long.
async fn ask(child: &mut Child, question: String) -> io::Result<Vec<u8>> {
    let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
    let asking = async {
        let Some(mut stdin) = stdin else { return };
        // A program that does not want to hear all of it may still answer.
        let _ = stdin.write_all(question.as_bytes()).await;
    };
    let hearing = async {
        let mut answer = Vec::new();
        if let Some(stdout) = stdout {
            stdout.take(LONGEST_ANSWER as u64 + 1).read_to_end(&mut answer).await?;
        }
        Ok(answer)
    };
    tokio::join!(asking, hearing).1
}

fn question(payment: &Payment, sender: Address) -> String {
    let question = json!({
        "sender": sender.to_string(),
        "recipient": payment.recipient.to_string(),
        "value": payment.value.0,
        "fee": payment.fee.0,
        "validityStartHeight": payment.validity_start.0,
        "networkId": payment.network.0,
        "content": hex::encode(payment.content(sender).to_bytes()),
    });
    format!("{question}\n")
}

fn parse(answer: &[u8]) -> Result<(PublicKey, Signature), AgentFault> {
    let refused = |what: &dyn std::fmt::Display| AgentFault::Answer(what.to_string());
    let answer: Answer = serde_json::from_slice(answer).map_err(|error| refused(&error))?;
    let (mut public_key, mut signature) = ([0; 32], [0; 64]);
    hex::decode_to_slice(&answer.public_key, &mut public_key)
        .map_err(|error| refused(&format_args!("publicKey: {error}")))?;
    hex::decode_to_slice(&answer.signature, &mut signature)
        .map_err(|error| refused(&format_args!("signature: {error}")))?;
    Ok((PublicKey(public_key), Signature(signature)))
}

#[cfg(test)]
mod tests {
    use nimiq::{Height, Luna, NetworkId, PrivateKey};

    use super::super::{SignFault, Signer};
    use super::*;

    fn payment() -> Payment {
        Payment {
            recipient: Address([5; 20]),
            value: Luna(1000),
            fee: Luna(138),
            validity_start: Height(7),
            network: NetworkId(2),
        }
    }

    fn key() -> PrivateKey {
        PrivateKey::new(&[7; 32])
    }

    fn pool() -> Address {
        key().public_key().address()
    }

    /// What an honest agent with this key answers for this payment.
    fn answer(payment: &Payment, key: &PrivateKey) -> String {
        let signed = payment.sign(key);
        let (public_key, signature) = (hex::encode(signed.public_key.0), hex::encode(signed.signature.0));
        json!({"publicKey": public_key, "signature": signature}).to_string()
    }

    async fn sign(script: &str, time: Duration) -> Result<BasicTransaction, SignFault> {
        let arguments = vec!["-c".to_owned(), script.to_owned()];
        let agent = Agent { program: "sh".to_owned(), arguments, time };
        Signer::Agent(agent).sign(&payment(), pool()).await
    }

    /// An agent that reads the question and answers this.
    async fn answering(answer: &str) -> Result<BasicTransaction, SignFault> {
        sign(&format!("cat >/dev/null; echo '{answer}'"), Duration::from_secs(60)).await
    }

    #[tokio::test]
    async fn an_honest_agent_signs_what_it_is_asked() {
        assert_eq!(answering(&answer(&payment(), &key())).await.unwrap(), payment().sign(&key()));
        // The question holds the very bytes to sign.
        let content = hex::encode(payment().content(pool()).to_bytes());
        let honest = answer(&payment(), &key());
        let script = format!("grep -q '\"content\":\"{content}\"' && echo '{honest}'");
        assert!(sign(&script, Duration::from_secs(60)).await.is_ok());
    }

    #[tokio::test]
    async fn a_wrong_key_and_a_wrong_signature_are_noticed() {
        let thief = answer(&payment(), &PrivateKey::new(&[8; 32]));
        assert!(matches!(answering(&thief).await, Err(SignFault::OtherAddress { .. })));
        let other = Payment { value: Luna(1001), ..payment() };
        let signed_other = answer(&other, &key());
        assert!(matches!(answering(&signed_other).await, Err(SignFault::WrongSignature)));
    }

    #[tokio::test]
    async fn garbage_is_no_answer() {
        let honest = answer(&payment(), &key());
        for text in ["", "yes", "{}", "[1]", &honest[..honest.len() - 3], &honest.replace("publicKey", "key")]
        {
            let fault = answering(text).await.unwrap_err();
            assert!(matches!(fault, SignFault::Agent(AgentFault::Answer(_))), "{text}: {fault}");
        }
        let fault = sign("cat >/dev/null; exit 3", Duration::from_secs(60)).await.unwrap_err();
        assert!(matches!(fault, SignFault::Agent(AgentFault::Failed(_))), "{fault}");
        let agent = Agent {
            program: "/there/is/no/such/program".to_owned(),
            arguments: vec![],
            time: Duration::from_secs(1),
        };
        let fault = Signer::Agent(agent).sign(&payment(), pool()).await.unwrap_err();
        assert!(matches!(fault, SignFault::Agent(AgentFault::Start { .. })), "{fault}");
    }

    #[tokio::test]
    async fn an_agent_that_hangs_or_never_stops_talking_is_ended() {
        let fault = sign("exec sleep 600", Duration::from_millis(200)).await.unwrap_err();
        assert!(matches!(fault, SignFault::Agent(AgentFault::Time(_))), "{fault}");
        // It says nothing more, and does not go away.
        let fault = sign("exec >&-; exec sleep 600", Duration::from_millis(200)).await.unwrap_err();
        assert!(matches!(fault, SignFault::Agent(AgentFault::Time(_))), "{fault}");
        let fault = sign("exec yes", Duration::from_secs(60)).await.unwrap_err();
        assert!(matches!(fault, SignFault::Agent(AgentFault::TooLong)), "{fault}");
    }

    #[tokio::test]
    async fn a_signer_shows_neither_its_key_nor_the_arguments_of_its_program() {
        let shown = format!("{:?}", Signer::Key(key()));
        assert!(!shown.contains("07") && !shown.contains("7, 7"), "{shown}");
        let arguments = vec!["--token".to_owned(), "c0ffee".to_owned()];
        for program in ["/there/is/no/such/program", "false", "cat"] {
            let time = Duration::from_secs(60);
            let agent = Agent { program: program.to_owned(), arguments: arguments.clone(), time };
            let signer = Signer::Agent(agent);
            let fault = signer.sign(&payment(), pool()).await.unwrap_err();
            let shown = format!("{signer:?} {fault} {fault:?}");
            assert!(!shown.contains("c0ffee") && shown.contains(program), "{shown}");
        }
    }
}
