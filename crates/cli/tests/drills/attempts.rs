//! Attempts against the running program. `docs/security.md` lists all that are made.

mod shapes;
mod slow;
mod smuggled;
mod tokens;

use std::io::Read as _;
use std::process::ChildStderr;
use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt as _};

use crate::program::Program;
use crate::written::Written;

/// The secret of the program's tokens.
const SECRET: &str = "a secret of thirty-two bytes, ok";

/// A program with tokens, which logs all that it ever does.
struct Guarded {
    program: Program,
    log: ChildStderr,
    _file: Written,
}

impl Guarded {
    fn start(name: &str) -> Self {
        let file = Written::new(name);
        file.write(&format!(
            "[auth]\nquery = true\ncookie = \"tidings\"\naudience = \"events\"\n\
             keys = [{{ algorithm = \"HS256\", secret = \"{SECRET}\", id = \"hs\" }},\n\
             {{ algorithm = \"RS256\", public_key_file = \"{}\", id = \"rs\" }}]\n\
             [[topics]]\nmatch = \"public/**\"\naccess = \"public\"\n",
            key_path("rsa.pub.pem"),
        ));
        let args = ["--config", &file.path(), "--log", "debug"];
        let (program, log) = Program::start_unread(&args);
        Self { program, log, _file: file }
    }

    /// Sends a request with a token; the whole answer.
    async fn with(&self, token: &str, request: &str) -> String {
        let bearer = format!("\r\nAuthorization: Bearer {token}\r\n");
        self.program.ask(&request.replacen("\r\n", &bearer, 1)).await
    }

    /// The data of the events that a token reads as JSON, and the whole answer.
    async fn read(&self, token: &str, target: &str) -> (Vec<String>, Value) {
        let answer = self.with(token, &get(target)).await;
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        let json: Value = serde_json::from_str(body).unwrap_or_else(|_| panic!("{answer}"));
        let events = json["events"].as_array().unwrap_or_else(|| panic!("{answer}")).iter();
        (events.map(|event| event["data"].as_str().unwrap().to_owned()).collect(), json)
    }

    /// Stops the program; its whole log.
    fn log(self) -> String {
        let Self { program, mut log, _file } = self;
        program.stop();
        let mut text = String::new();
        log.read_to_string(&mut text).unwrap();
        text
    }
}

fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nAccept: application/json\r\n\r\n")
}

/// Returns the status of an answer.
fn status(answer: &str) -> &str {
    answer.get(9..12).unwrap_or("none")
}

/// Reads until the program closes the connection.
async fn rest(mut socket: impl AsyncRead + Unpin) -> String {
    let mut answer = Vec::new();
    // A reset after the answer is an end as well.
    let _ = socket.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

fn key_path(name: &str) -> String {
    format!("{}/../server/tests/keys/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// The claims of a good token, with some changed; null removes one.
fn claims(changed: &Value) -> Value {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
    let mut claims = json!({
        "sub": "alice", "aud": "events", "iat": now, "exp": now + 600.0,
        "tidings": {"subscribe": ["users/7/*"], "publish": ["orders/**"]},
    });
    let all = claims.as_object_mut().unwrap();
    for (name, value) in changed.as_object().unwrap() {
        let from_now =
            value.as_str().and_then(|text| text.strip_prefix("now")?.parse::<f64>().ok());
        all.insert(name.clone(), from_now.map_or_else(|| value.clone(), |by| json!(now + by)));
    }
    all.retain(|_, value| !value.is_null());
    claims
}

/// A token that is signed with the program's secret.
fn token(changed: &Value) -> String {
    signed(&Header::default(), changed)
}

fn signed(header: &Header, changed: &Value) -> String {
    encode(header, &claims(changed), &EncodingKey::from_secret(SECRET.as_bytes())).unwrap()
}

/// A token that may do everything.
fn almighty() -> String {
    token(&json!({"tidings": {"subscribe": ["**"], "publish": ["**"], "manage": ["**"]}}))
}
