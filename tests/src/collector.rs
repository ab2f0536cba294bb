//! A collector of OpenTelemetry: takes OTLP over HTTP in JSON, and keeps the spans.
//!
//! Invariant: whatever is not such a call is answered by nothing, ends its connection, and is found by
//! [`Collector::wrong`].

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;

/// A span as it came, with the service that told of it.
#[derive(Debug, Clone)]
pub struct Told {
    /// `service.name` of the resource.
    pub service: String,
    /// The span's name.
    pub name: String,
    /// Its trace, in hexadecimal.
    pub trace: String,
    /// Its id, in hexadecimal.
    pub id: String,
    /// Its parent's id; empty for the first of a trace.
    pub parent: String,
    /// From when to when, in nanoseconds since 1970.
    pub times: (u64, u64),
    /// The span in JSON.
    pub json: Value,
}

impl Told {
    /// What it says under a key, as a text; empty where it says nothing.
    #[must_use]
    pub fn attribute(&self, key: &str) -> String {
        let all = self.json["attributes"].as_array();
        let found = all.into_iter().flatten().find(|a| a["key"] == key);
        let value = found.map(|a| &a["value"]);
        let text = value.and_then(|v| v["stringValue"].as_str().or(v["intValue"].as_str()));
        text.unwrap_or_default().to_owned()
    }
}

#[derive(Debug, Default)]
struct Kept {
    spans: Vec<Told>,
    wrong: Vec<String>,
}

/// A collector that listens on this machine for as long as the process is there.
#[derive(Debug, Clone)]
pub struct Collector {
    address: SocketAddr,
    kept: Arc<Mutex<Kept>>,
}

impl Collector {
    /// Listens.
    ///
    /// # Errors
    /// A machine without a free port.
    pub fn start() -> std::io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let this = Self {
            address: listener.local_addr()?,
            kept: Arc::default(),
        };
        let kept = Arc::clone(&this.kept);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let kept = Arc::clone(&kept);
                std::thread::spawn(move || {
                    if let Err(why) = serve(&stream, &kept) {
                        lock(&kept).wrong.push(why);
                    }
                });
            }
        });
        Ok(this)
    }

    /// Its address, for `--otlp-endpoint`.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The spans so far.
    #[must_use]
    pub fn spans(&self) -> Vec<Told> {
        lock(&self.kept).spans.clone()
    }

    /// What came and was no call of OTLP.
    #[must_use]
    pub fn wrong(&self) -> Vec<String> {
        lock(&self.kept).wrong.clone()
    }
}

fn lock(kept: &Mutex<Kept>) -> std::sync::MutexGuard<'_, Kept> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Answers calls on a connection until it is closed.
fn serve(stream: &TcpStream, kept: &Mutex<Kept>) -> Result<(), String> {
    let (mut reader, mut writer) = (BufReader::new(stream), stream);
    loop {
        let mut first = String::new();
        let read = reader.read_line(&mut first).map_err(|e| e.to_string())?;
        if read == 0 {
            return Ok(());
        }
        let (mut length, mut json) = (0, false);
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).map_err(|e| e.to_string())?;
            let line = line.trim().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(n) = line.strip_prefix("content-length:") {
                length = n.trim().parse().map_err(|_| line.clone())?;
            }
            json |= line == "content-type: application/json";
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).map_err(|e| e.to_string())?;
        if first.trim() != "POST /v1/traces HTTP/1.1" || !json {
            return Err(format!("{first}: no call of OTLP in JSON"));
        }
        let spans = spans(&body)?;
        lock(kept).spans.extend(spans);
        let answer = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";
        writer.write_all(answer.as_bytes()).map_err(|e| e.to_string())?;
    }
}

fn spans(body: &[u8]) -> Result<Vec<Told>, String> {
    let call: Value = serde_json::from_slice(body).map_err(|e| e.to_string())?;
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let mut all = Vec::new();
    for of in list(&call["resourceSpans"]) {
        let named = list(&of["resource"]["attributes"]);
        let service = named.iter().find(|a| a["key"] == "service.name");
        let service = service.and_then(|a| a["value"]["stringValue"].as_str());
        let service = service.ok_or("a resource without service.name")?;
        for span in list(&of["scopeSpans"])
            .iter()
            .flat_map(|scope| list(&scope["spans"]))
        {
            let text = |key: &str| span[key].as_str().unwrap_or_default().to_owned();
            let number = |key: &str| text(key).parse().map_err(|_| format!("{key} of {span}"));
            all.push(Told {
                service: service.to_owned(),
                name: text("name"),
                trace: text("traceId"),
                id: text("spanId"),
                parent: text("parentSpanId"),
                times: (number("startTimeUnixNano")?, number("endTimeUnixNano")?),
                json: span.clone(),
            });
        }
    }
    Ok(all)
}
