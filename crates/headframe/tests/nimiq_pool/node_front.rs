//! A node in front of the dev chain that answers late, twice, or never, or refuses what it is asked.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use node::NimiqDevChain;
use serde_json::{Value, json};

/// What it does with each call.
#[derive(Debug, Clone, Copy)]
pub enum Conduct {
    /// Does what is asked and answers so much later.
    Late(Duration),
    /// Does it twice.
    Twice,
    /// Does it and never answers.
    Never,
    /// Neither hears nor answers.
    Deaf,
    /// Refuses this call, and does all others.
    Refuse(&'static str),
}

/// The node.
pub struct Front {
    pub address: SocketAddr,
    chain: NimiqDevChain,
    conduct: Mutex<Option<Conduct>>,
}

impl Front {
    pub fn start(runtime: &tokio::runtime::Runtime, chain: &NimiqDevChain) -> Arc<Self> {
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let front = Arc::new(Self { address, chain: chain.clone(), conduct: Mutex::default() });
        let answer = |State(front): State<Arc<Self>>, body: Bytes| async move { front.answer(body).await };
        let router = Router::new().fallback(answer).with_state(Arc::clone(&front));
        runtime.spawn(async move { axum::serve(listener, router).await.unwrap() });
        front
    }

    /// From now on all calls are treated so.
    pub fn treat_all(&self, conduct: Option<Conduct>) {
        *self.conduct.lock().unwrap() = conduct;
    }

    async fn answer(&self, body: Bytes) -> String {
        let conduct = *self.conduct.lock().unwrap();
        match conduct {
            Some(Conduct::Deaf) => return std::future::pending().await,
            Some(Conduct::Refuse(method)) => {
                let call: Value = serde_json::from_slice(&body).unwrap();
                if call["method"] == method {
                    let error = json!({"code": 1, "message": "refused"});
                    return json!({"jsonrpc": "2.0", "id": call["id"], "error": error}).to_string();
                }
            }
            _ => {}
        }
        let chain = self.chain.clone();
        let twice = matches!(conduct, Some(Conduct::Twice));
        let answering = tokio::task::spawn_blocking(move || {
            if twice {
                chain.answer(&body);
            }
            chain.answer(&body).body
        });
        let text = answering.await.unwrap();
        match conduct {
            Some(Conduct::Late(time)) => tokio::time::sleep(time).await,
            Some(Conduct::Never | Conduct::Deaf) => std::future::pending().await,
            Some(Conduct::Twice | Conduct::Refuse(_)) | None => {}
        }
        text
    }
}
