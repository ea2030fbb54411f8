//! Keys by URL: what a server of keys may do, and what its hub makes of it.

use std::net::SocketAddr;
use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::sync::watch;
use tokio::time::{Interval, interval};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use crate::program::{Program, drill, tidings};
use crate::written::Written;

/// The public halves of `ed25519.pem` and `p256.pem`.
const ED25519: &str = r#"{"kty":"OKP","crv":"Ed25519","kid":"old",
    "x":"aB62LPXJoz4B2SA6DNpAJYTvw8mG0P0ClguENyFghwA"}"#;
const P256: &str = r#"{"kty":"EC","crv":"P-256","kid":"new",
    "x":"c7nTnuGvAi6DRncVWoOOTM4_L4Wbj3BeI_wsoMHTqe4",
    "y":"gyw5XRUtFlqtohvg2h_FEcA7eGSjA0np5eA08baVBJ0"}"#;

/// The answer of a server of keys.
#[derive(Clone, Debug, PartialEq)]
enum Keys {
    Good(String),
    /// Nothing, for as long as the client waits.
    Hang,
    /// A page, and a good status.
    Page,
    /// Bytes without end.
    Endless,
    /// A redirect to a set with keys of somebody else.
    Redirect,
}

/// A server of keys, whose behavior can change.
struct KeyServer {
    address: SocketAddr,
    keys: watch::Sender<Keys>,
    requests: Arc<AtomicUsize>,
    /// Bytes that the most patient client has taken of an endless answer.
    taken: Arc<AtomicUsize>,
}

impl KeyServer {
    async fn start(keys: Keys) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (keys, current) = watch::channel(keys);
        let (requests, taken) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let counters = (Arc::clone(&requests), Arc::clone(&taken));
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                counters.0.fetch_add(1, Ordering::Relaxed);
                let keys = current.borrow().clone();
                tokio::spawn(answer(socket, keys, Arc::clone(&counters.1)));
            }
        });
        Self { address, keys, requests, taken }
    }

    fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }

    /// Writes a configuration with this server's keys.
    fn configure(&self, file: &Written) {
        let url = format!("http://{}/keys?tenant=secret", self.address);
        file.write(&format!("[auth]\nkeys = [{{ jwks = \"{url}\" }}]\n"));
    }
}

async fn answer<S>(mut socket: S, keys: Keys, taken: Arc<AtomicUsize>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut request = [0; 1024];
    let read = socket.read(&mut request).await.unwrap_or(0);
    assert!(request[..read].starts_with(b"GET /keys?tenant=secret HTTP/1.1\r\n"));
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";
    match keys {
        Keys::Good(set) => {
            let whole = format!("{head}Content-Length: {}\r\n\r\n{set}", set.len());
            let _ = socket.write_all(whole.as_bytes()).await;
        }
        Keys::Hang => while socket.read(&mut request).await.is_ok_and(|read| read > 0) {},
        Keys::Page => {
            let page = format!("{head}Connection: close\r\n\r\n<html>{{\"keys\":[]}}</html>");
            let _ = socket.write_all(page.as_bytes()).await;
        }
        Keys::Endless => {
            let _ = socket.write_all(format!("{head}\r\n").as_bytes()).await;
            let mut sent = 0;
            while let Ok(written) = socket.write(&[b' '; 16 * 1024]).await {
                sent += written;
                taken.fetch_max(sent, Ordering::Relaxed);
            }
        }
        Keys::Redirect => {
            let whole = "HTTP/1.1 302 Found\r\nLocation: /others\r\nContent-Length: 0\r\n\r\n";
            let _ = socket.write_all(whole.as_bytes()).await;
        }
    }
}

fn set(keys: &[&str]) -> Keys {
    Keys::Good(format!("{{\"keys\":[{}]}}", keys.join(",")))
}

/// A token that may read and manage everything, signed with one of the keys of the tests.
fn token(key: &str, algorithm: &str, id: &str) -> String {
    let path = format!("{}/../server/tests/keys/{key}.pem", env!("CARGO_MANIFEST_DIR"));
    let output = tidings()
        .args(["token", "--private-key-file", &path, "--algorithm", algorithm, "--key-id", id])
        .args(["--subscribe", "**", "--manage", "**"])
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Reads a topic with a token; the whole answer.
async fn read(program: &Program, token: &str) -> String {
    let head = "Accept: application/json\r\nAuthorization: Bearer";
    program.ask(&format!("GET /topics/a HTTP/1.1\r\n{head} {token}\r\n\r\n")).await
}

/// Explains a token; not by blocking, because the server of keys runs on this thread.
async fn explain(token: &str, file: &Written) -> Output {
    let args = ["token", "--explain", token, "--config", &file.path()];
    Command::from(tidings()).args(args).output().await.unwrap()
}

/// The time between two requests for a key that is not among the known ones.
const ASKED_EVERY: Duration = Duration::from_secs(10);

/// The pace of a client that asks again and again for what takes ten seconds.
fn pace() -> Interval {
    interval(Duration::from_millis(100))
}

/// Reads until the status is this one.
async fn read_until(program: &Program, token: &str, status: &str) -> String {
    let mut pace = pace();
    loop {
        pace.tick().await;
        let answer = read(program, token).await;
        if &answer[9..12] == status {
            return answer;
        }
    }
}

#[test]
fn a_new_key_is_believed_soon_and_unknown_ones_cost_its_server_a_request_now_and_then() {
    drill(async {
        let (old, new) = (token("ed25519", "EdDSA", "old"), token("p256", "ES256", "new"));
        let server = KeyServer::start(set(&[ED25519])).await;
        let file = Written::new("key_set");
        server.configure(&file);
        let mut program = Program::start(&["--config", &file.path()]);
        let began = Instant::now();
        // The first request waits for the keys.
        assert_eq!(&read(&program, &old).await[9..12], "200");
        for _ in 0..100 {
            assert_eq!(&read(&program, &new).await[9..12], "401");
        }
        let most = 1.0 + began.elapsed().as_secs_f64() / ASKED_EVERY.as_secs_f64();
        assert!(server.requests() as f64 <= most, "{} requests, at most {most}", server.requests());

        server.keys.send_replace(set(&[ED25519, P256]));
        read_until(&program, &new, "200").await;
        // The keys may have been fetched in between, by a busy machine.
        let asked = server.requests();
        assert_eq!(&read(&program, &old).await[9..12], "200");
        // A reload keeps what was fetched.
        assert_eq!(program.hang_up(), "SIGHUP: configuration reloaded\n");
        assert_eq!(&read(&program, &new).await[9..12], "200");
        assert_eq!(server.requests(), asked);

        // A key that is taken away is not believed any longer, however often it was.
        server.keys.send_replace(set(&[P256]));
        let unknown = token("p256", "ES256", "unknown");
        let mut pace = pace();
        while server.requests() == asked {
            pace.tick().await;
            assert_eq!(&read(&program, &unknown).await[9..12], "401");
        }
        read_until(&program, &old, "401").await;
        assert_eq!(&read(&program, &new).await[9..12], "200");
    });
}

/// A server of keys over TLS, for `localhost`; its port, and its certificate in PEM.
async fn start_secure(keys: Keys) -> (u16, String) {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let (acceptor, keys) = (acceptor.clone(), keys.clone());
            tokio::spawn(async move {
                // A client that does not trust the certificate leaves.
                if let Ok(socket) = acceptor.accept(socket).await {
                    answer(socket, keys, Arc::default()).await;
                }
            });
        }
    });
    (port, cert.pem())
}

#[test]
fn keys_over_https_are_those_of_a_server_that_the_machine_trusts() {
    drill(async {
        let good = token("ed25519", "EdDSA", "old");
        let (port, pem) = start_secure(set(&[ED25519])).await;
        let file = Written::new("key_set_https");
        let roots = file.path().replace("tidings.toml", "roots.pem");
        std::fs::write(&roots, pem).unwrap();
        let other = generate_simple_self_signed(["localhost".to_owned()]).unwrap().cert.pem();
        let others = file.path().replace("tidings.toml", "others.pem");
        std::fs::write(&others, other).unwrap();
        // The certificate is for the name, not for the address.
        for (host, roots, status) in [
            ("localhost", &roots, "200"),
            ("localhost", &others, "503"),
            ("127.0.0.1", &roots, "503"),
        ] {
            let url = format!("https://{host}:{port}/keys?tenant=secret");
            file.write(&format!("[auth]\nkeys = [{{ jwks = \"{url}\" }}]\n"));
            let program = Program::start_trusting(roots, &["--config", &file.path()]);
            let answer = read(&program, &good).await;
            assert_eq!(&answer[9..12], status, "{host} {roots}: {answer}");
        }
    });
}

#[test]
fn a_server_of_keys_that_hangs_lies_or_answers_without_end_harms_nobody() {
    drill(async {
        let (old, new) = (token("ed25519", "EdDSA", "old"), token("p256", "ES256", "new"));
        let mut all = Vec::new();
        for bad in [Keys::Hang, Keys::Page, Keys::Endless, Keys::Redirect] {
            let server = KeyServer::start(set(&[ED25519])).await;
            let file = Written::new(&format!("key_set_{bad:?}"));
            server.configure(&file);
            let program = Program::start(&["--config", &file.path()]);
            assert_eq!(&read(&program, &old).await[9..12], "200");
            server.keys.send_replace(bad);
            all.push((server, file, program));
        }
        for (server, file, program) in &all {
            let answer = read_until(program, &new, "503").await;
            assert!(answer.contains("/problems/keys-away") && answer.contains("retry-after: "));
            assert!(!answer.contains(&new), "{answer}");
            // The old key stays good, and nobody waits.
            assert_eq!(&read(program, &old).await[9..12], "200");
            assert!(program.memory() < 256 << 20, "{}", program.memory());
            // A socket's buffers and 256 KiB.
            let taken = server.taken.load(Ordering::Relaxed);
            assert!(taken < 16 << 20, "{taken}");
            let output = explain(&old, file).await;
            let words = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(1), "{words}");
            assert!(words.contains("cannot be fetched") && !words.contains("tenant"), "{words}");
            // The token is explained all the same.
            let explained = String::from_utf8(output.stdout).unwrap();
            assert!(explained.contains("refused: this server has no key"), "{explained}");
        }
        // An EventSource would never come back after a 503.
        let page = "Accept: text/event-stream\r\nOrigin: http://localhost\r\nAuthorization: Bearer";
        let program = &all[0].2;
        let answer = program.ask(&format!("GET /topics/a HTTP/1.1\r\n{page} {new}\r\n\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("\nretry: "), "{answer}");

        for (server, file, _) in &all {
            server.keys.send_replace(set(&[ED25519, P256]));
            let output = explain(&new, file).await;
            assert!(output.status.success(), "{output:?}");
        }
        for (_, _, program) in &all {
            read_until(program, &new, "200").await;
            let scrape = format!("GET /metrics HTTP/1.1\r\nAuthorization: Bearer {new}\r\n\r\n");
            let metrics = program.ask(&scrape).await;
            let never = "\ntidings_key_sets_not_fetched_total 0\n";
            assert!(metrics.contains(never.trim_end_matches("0\n")) && !metrics.contains(never));
        }
    });
}
