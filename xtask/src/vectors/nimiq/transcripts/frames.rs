//! A recorded frame, and how its text is read and written back.

use std::collections::BTreeMap;

use serde::Deserialize;
use wire::nimiq::{ClientMessage, ClientMessageError, ServerMessage};

use super::super::difference;

/// What went over the connection, and when.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Frame {
    #[serde(rename = "ms")]
    _milliseconds: u64,
    from: Side,
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    control: Option<Control>,
    #[serde(default, rename = "headers")]
    _headers: BTreeMap<String, String>,
    #[serde(default, rename = "code")]
    _code: Option<u16>,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Side {
    Client,
    Server,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Control {
    Open,
    Ping,
    Pong,
    Close,
}

/// What a frame says.
pub enum Said {
    /// The client sent a text.
    Client(Result<ClientMessage, ClientMessageError>),
    /// The server sent a text.
    Server(ServerMessage),
    /// The connection opened, lived or ended.
    Control,
}

impl Frame {
    pub fn is_close_by_server(&self) -> bool {
        self.from == Side::Server && self.control == Some(Control::Close)
    }

    /// The reason, where this is an error message of the server.
    pub fn error(&self) -> Option<String> {
        let text = self.text.as_ref().filter(|_| self.from == Side::Server)?;
        match ServerMessage::parse(text.as_bytes()) {
            Ok(ServerMessage::Error { reason }) => Some(reason),
            _ => None,
        }
    }

    /// Whether the client says anything here.
    pub fn is_client_text(&self) -> bool {
        self.from == Side::Client && self.text.is_some()
    }

    /// Reads the frame; the problem is that it does not come out as it was when it is written back.
    pub fn read(&self) -> anyhow::Result<(Said, Option<String>)> {
        Ok(match (&self.text, self.from) {
            (None, _) => {
                anyhow::ensure!(self.control.is_some(), "a frame has a text or is a control frame");
                (Said::Control, None)
            }
            (Some(text), Side::Server) => {
                let message = ServerMessage::parse(text.as_bytes())?;
                let problem = difference("server frame", text.as_str(), message.to_text().as_str());
                (Said::Server(message), problem)
            }
            (Some(text), Side::Client) => {
                let message = ClientMessage::parse(text.as_bytes());
                let problem = message.as_ref().ok().and_then(|message| written_back(text, message));
                (Said::Client(message), problem)
            }
        })
    }
}

/// A client's message must be the same when it is read again, and, unless the peer leaves something out or sends what
/// we read as something else, the same text.
fn written_back(text: &str, message: &ClientMessage) -> Option<String> {
    let written = message.to_text();
    let again = ClientMessage::parse(written.as_bytes());
    let is_register = matches!(message, ClientMessage::Register(_));
    difference("message read again", Ok(message), again.as_ref())
        .or_else(|| (!is_register).then(|| difference("client frame", text, written.as_str())).flatten())
}
