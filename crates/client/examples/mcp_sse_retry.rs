//! Calls a tool of an MCP server whose answer begins in one stream and ends in another.
//!
//! ```text
//! mcp_sse_retry http://localhost:3000/mcp
//! ```
//!
//! A server of the Model Context Protocol may end the stream of a POST before the answer is
//! complete (SEP-1699). The client then waits for the reconnection time that the stream named with
//! `retry`, and asks for the rest with a GET that carries the last event ID. The scenario
//! `sse-retry` of the package `@modelcontextprotocol/conformance` checks this program.

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tidings_client::{
    Backoff, Body, Builder, Client, Closed, EventSource, HyperTransport, Transport,
};

type BoxError = Box<dyn Error + Send + Sync>;

const PROTOCOL_VERSION: &str = "2025-11-25";

/// Both kinds of answers to a POST, which the protocol requires clients to accept.
const ACCEPT: &str = "application/json, text/event-stream";

/// The ID of the request whose answer is waited for.
const CALL: u64 = 3;

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let url = std::env::args().nth(1).ok_or("usage: mcp_sse_retry URL")?;
    let server = Server::connect(url).await?;
    let tool = server.first_tool().await?;
    println!("{}", server.call(&tool).await?);
    Ok(())
}

/// An MCP server, and the session with it.
struct Server {
    url: String,
    transport: HyperTransport,
    client: Client,
    session: Option<HeaderValue>,
}

impl Server {
    /// Opens a session.
    async fn connect(url: String) -> Result<Self, BoxError> {
        let transport = HyperTransport::builder().connections_kept(1).build();
        let client = Client::with_transport(transport.clone());
        let mut server = Self { url, transport, client, session: None };
        let initialize = json!({
            "jsonrpc": "2.0", "id": 1, "method": "initialize",
            "params": {
                "protocolVersion": PROTOCOL_VERSION,
                "capabilities": {},
                "clientInfo": {"name": "tidings-client", "version": env!("CARGO_PKG_VERSION")},
            },
        });
        let (session, _) = server.post(&initialize).await?;
        server.session = session;
        server.post(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"})).await?;
        Ok(server)
    }

    /// Asks which tools there are, and names the first.
    async fn first_tool(&self) -> Result<String, BoxError> {
        let list = json!({"jsonrpc": "2.0", "id": 2, "method": "tools/list"});
        let (_, answer) = self.post(&list).await?;
        let answer: Value = serde_json::from_slice(&answer)?;
        let name = answer["result"]["tools"][0]["name"].as_str();
        Ok(name.ok_or("the server has no tools")?.to_owned())
    }

    /// Calls a tool, and follows its answer from the POST to a GET if need be.
    async fn call(&self, tool: &str) -> Result<Value, BoxError> {
        let request = json!({
            "jsonrpc": "2.0", "id": CALL, "method": "tools/call",
            "params": {"name": tool, "arguments": {}},
        });
        let post = self.client.post(&self.url).header("accept", ACCEPT).json(&request).once();
        let mut stream = self.with_session(post).open()?;
        if let Some(answer) = answer(&mut stream).await? {
            return Ok(answer);
        }
        // The protocol's conformance tests measure the wait and allow for little more than the
        // reconnection time, so no random time is added to it.
        let mut exact = Backoff::default();
        exact.spread = Duration::ZERO;
        let get = self.client.get(&self.url).continue_from(&stream).backoff(exact);
        let mut rest = self.with_session(get).open()?;
        answer(&mut rest).await?.ok_or_else(|| "the stream ended without an answer".into())
    }

    fn with_session(&self, builder: Builder) -> Builder {
        let builder = builder.header("mcp-protocol-version", PROTOCOL_VERSION);
        match &self.session {
            Some(session) => builder.header("mcp-session-id", session.clone()),
            None => builder,
        }
    }

    /// Sends a request that is answered with JSON; returns the session ID and the answer's body.
    async fn post(&self, json: &Value) -> Result<(Option<HeaderValue>, Bytes), BoxError> {
        let mut request = Request::post(&self.url)
            .header("accept", ACCEPT)
            .header("content-type", "application/json")
            .header("mcp-protocol-version", PROTOCOL_VERSION);
        if let Some(session) = &self.session {
            request = request.header("mcp-session-id", session);
        }
        let request = request.body(Body::from(Bytes::from(json.to_string())))?;
        let response = self.transport.send(request).await?;
        if !response.status().is_success() {
            return Err(format!("the server answered {}", response.status()).into());
        }
        let session = response.headers().get("mcp-session-id").cloned();
        Ok((session, response.into_body().collect().await?.to_bytes()))
    }
}

/// Reads a stream up to the answer to the call; `None` if the stream ends before it.
async fn answer(stream: &mut EventSource) -> Result<Option<Value>, BoxError> {
    loop {
        let event = match stream.next_event().await {
            Ok(Some(event)) => event,
            // A stream that breaks off is continued like one that ends.
            Ok(None) | Err(Closed::Incomplete(_)) => return Ok(None),
            Err(closed) => return Err(closed.into()),
        };
        // The first event has no data: it only gives the stream its place.
        if event.data().is_empty() {
            continue;
        }
        let message: Value = event.json()?;
        if message["id"] == CALL {
            return Ok(Some(message["result"].clone()));
        }
    }
}
