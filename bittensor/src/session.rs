//! JSON-RPC over WebSocket.
//!
//! Invariants: each call ends in time; an answer is that of its call, whatever else the node sends in between; a message has at most
//! [`MAX_MESSAGE`] bytes; what is shown of a node's words is short and moves no terminal.

use std::time::Duration;

use futures::{SinkExt as _, StreamExt as _};
use reqwest::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use reqwest::{StatusCode, Upgraded};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

/// Bytes of a message.
const MAX_MESSAGE: usize = 4 << 20;
/// Characters of a node's words that are shown.
const SHOWN: usize = 200;

/// Why a chain did not answer.
#[derive(Debug, thiserror::Error)]
pub enum ChainError {
    /// It cannot be reached, or the connection broke.
    #[error("{endpoint} is away: {why}")]
    Away {
        /// The node.
        endpoint: String,
        /// Why.
        why: String,
    },
    /// It takes too long.
    #[error("{endpoint} has not answered {method} within {seconds} s")]
    Slow {
        /// The node.
        endpoint: String,
        /// What was asked.
        method: &'static str,
        /// How long it had.
        seconds: u64,
    },
    /// It says what no chain says.
    #[error("{endpoint} answers {method} with what it cannot be: {why}")]
    Odd {
        /// The node.
        endpoint: String,
        /// What was asked.
        method: &'static str,
        /// What is wrong with the answer.
        why: String,
    },
    /// It refuses.
    #[error("{endpoint} refuses {method}: {message} ({code})")]
    Refused {
        /// The node.
        endpoint: String,
        /// What was asked.
        method: &'static str,
        /// Its code.
        code: i64,
        /// Its words.
        message: String,
    },
}

/// How long a node has.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// To be reached.
    pub connect: Duration,
    /// For each call.
    pub call: Duration,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(15),
            call: Duration::from_secs(30),
        }
    }
}

/// A connection to a node.
pub struct Session {
    endpoint: String,
    socket: WebSocketStream<Upgraded>,
    times: Times,
    asked: u64,
}

#[derive(Deserialize)]
struct Answer {
    id: Option<Value>,
    result: Option<Value>,
    error: Option<Problem>,
}

#[derive(Deserialize)]
struct Problem {
    code: i64,
    message: String,
    data: Option<Value>,
}

/// A node's words, for a message.
fn shown(words: &str) -> String {
    let plain = words.chars().map(|c| if c.is_control() { ' ' } else { c });
    plain.take(SHOWN).collect()
}

impl Session {
    /// Connects to a node: `ws://…` or `wss://…`.
    ///
    /// # Errors
    /// A node that is away, or is none.
    pub async fn open(endpoint: &str, times: Times) -> Result<Self, ChainError> {
        let away = |why: &dyn std::fmt::Display| ChainError::Away {
            endpoint: endpoint.to_owned(),
            why: shown(&why.to_string()),
        };
        let connected = tokio::time::timeout(times.connect, connect(endpoint)).await;
        let seconds = times.connect.as_secs();
        let upgraded = connected.map_err(|_| away(&format!("no connection within {seconds} s")))?;
        let config = WebSocketConfig::default()
            .max_message_size(Some(MAX_MESSAGE))
            .max_frame_size(Some(MAX_MESSAGE));
        let upgraded = upgraded.map_err(|why| away(&why))?;
        Ok(Self {
            endpoint: endpoint.to_owned(),
            socket: WebSocketStream::from_raw_socket(upgraded, Role::Client, Some(config)).await,
            times,
            asked: 0,
        })
    }

    /// The node that is asked.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// One call.
    ///
    /// # Errors
    /// See [`ChainError`].
    pub async fn call<T: DeserializeOwned>(
        &mut self,
        method: &'static str,
        params: &Value,
    ) -> Result<T, ChainError> {
        let time = self.times.call;
        let value = match tokio::time::timeout(time, self.exchange(method, params)).await {
            Ok(answered) => answered?,
            Err(_) => {
                return Err(ChainError::Slow {
                    endpoint: self.endpoint.clone(),
                    method,
                    seconds: time.as_secs(),
                });
            }
        };
        serde_json::from_value(value).map_err(|why| self.odd(method, &why))
    }

    async fn exchange(&mut self, method: &'static str, params: &Value) -> Result<Value, ChainError> {
        self.asked += 1;
        let id = self.asked;
        let request = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        let sent = self.socket.send(Message::text(request.to_string())).await;
        sent.map_err(|why| self.away(&why))?;
        loop {
            let message = match self.socket.next().await {
                None => return Err(self.away(&"the connection was closed")),
                Some(Err(why)) => return Err(self.away(&why)),
                Some(Ok(message)) => message,
            };
            let text = match message {
                Message::Text(text) => text,
                Message::Close(_) => return Err(self.away(&"the connection was closed")),
                // What only keeps a connection alive is answered below.
                Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => continue,
                Message::Binary(_) => return Err(self.odd(method, &"bytes, where a text is expected")),
            };
            let answer: Answer = serde_json::from_str(text.as_str()).map_err(|why| self.odd(method, &why))?;
            // Of a call that was given up, or nobody's.
            if answer.id != Some(id.into()) {
                continue;
            }
            return match answer {
                Answer {
                    error: Some(problem), ..
                } => Err(self.refused(method, &problem)),
                Answer { result, .. } => Ok(result.unwrap_or(Value::Null)),
            };
        }
    }

    fn away(&self, why: &dyn std::fmt::Display) -> ChainError {
        ChainError::Away {
            endpoint: self.endpoint.clone(),
            why: shown(&why.to_string()),
        }
    }

    /// What was said is not what is said to such a call.
    pub(crate) fn odd(&self, method: &'static str, why: &dyn std::fmt::Display) -> ChainError {
        ChainError::Odd {
            endpoint: self.endpoint.clone(),
            method,
            why: shown(&why.to_string()),
        }
    }

    fn refused(&self, method: &'static str, problem: &Problem) -> ChainError {
        let message = match problem.data.as_ref() {
            None | Some(Value::Null) => problem.message.clone(),
            Some(Value::String(data)) => format!("{}: {data}", problem.message),
            Some(data) => format!("{}: {data}", problem.message),
        };
        ChainError::Refused {
            endpoint: self.endpoint.clone(),
            method,
            code: problem.code,
            message: shown(&message),
        }
    }
}

/// The same TLS as for all else that the operator fetches.
async fn connect(endpoint: &str) -> Result<Upgraded, String> {
    let said = |error: reqwest::Error| {
        // Its own words say only that it failed.
        let mut words = error.to_string();
        let mut source = std::error::Error::source(&error);
        while let Some(inner) = source {
            words = format!("{words}: {inner}");
            source = inner.source();
        }
        words
    };
    let url = match endpoint.split_once("://") {
        Some(("ws", rest)) => format!("http://{rest}"),
        Some(("wss", rest)) => format!("https://{rest}"),
        _ => return Err("it is no address of a WebSocket: ws://… or wss://…".to_owned()),
    };
    let client = reqwest::Client::builder()
        .http1_only()
        .redirect(reqwest::redirect::Policy::none())
        .build();
    let key = generate_key();
    let request = client
        .map_err(said)?
        .get(url)
        .header(CONNECTION, "Upgrade")
        .header(UPGRADE, "websocket")
        .header(SEC_WEBSOCKET_VERSION, "13")
        .header(SEC_WEBSOCKET_KEY, &key);
    let response = request.send().await.map_err(said)?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Err(format!(
            "it answers {}, and speaks no WebSocket there",
            response.status()
        ));
    }
    let accepted = response.headers().get(SEC_WEBSOCKET_ACCEPT);
    if accepted.is_none_or(|accepted| accepted.as_bytes() != derive_accept_key(key.as_bytes()).as_bytes()) {
        return Err("it accepts another connection than this one".to_owned());
    }
    response.upgrade().await.map_err(said)
}
