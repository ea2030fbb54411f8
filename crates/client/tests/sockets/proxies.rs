//! Proxies, which are used only if the caller sets them.

use std::process::Stdio;

use tidings_client::{EventSource, HyperTransport, Proxy};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

use crate::server::Server;
use crate::watch::watch;

fn through(proxy: Proxy) -> HyperTransport {
    HyperTransport::builder().proxy(proxy).build()
}

#[tokio::test]
async fn an_http_proxy_is_told_the_whole_url_and_its_own_password() {
    let proxy = Server::new().await;
    let url = proxy.url("").replace("http://", "http://me:secret@");
    let transport = through(Proxy::all(&url, "").expect("a proxy"));
    let mut watch = watch(EventSource::get("http://news.example/a?b").transport(transport));
    let request = proxy.request().await;
    assert_eq!(request.line, "GET http://news.example/a?b HTTP/1.1");
    assert_eq!(request.header("host").as_deref(), Some("news.example"));
    assert_eq!(request.header("proxy-authorization").as_deref(), Some("Basic bWU6c2VjcmV0"));
    let mut stream = request.open().await;
    watch.open().await;
    stream.send("data: a\n\n").await;
    assert_eq!(watch.event().await, "a");
}

#[tokio::test]
async fn tls_goes_through_a_tunnel() {
    let proxy = Server::new().await;
    let transport = through(Proxy::all(&proxy.url(""), "").expect("a proxy"));
    let _watch = watch(EventSource::get("https://news.example/").transport(transport));
    assert_eq!(proxy.request().await.line, "CONNECT news.example:443 HTTP/1.1");
}

#[tokio::test]
async fn a_socks_proxy_is_greeted() {
    let proxy = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let url = format!("socks5h://{}", proxy.local_addr().expect("bound"));
    let transport = through(Proxy::all(&url, "").expect("a proxy"));
    let _watch = watch(EventSource::get("http://news.example/").transport(transport));
    let (mut socket, _) = proxy.accept().await.expect("a connection");
    assert_eq!(socket.read_u8().await.expect("a greeting"), 5, "the version of SOCKS");
}

#[tokio::test]
async fn loopback_is_reached_directly_if_it_is_excepted() {
    let server = Server::new().await;
    let nowhere = Proxy::all("http://127.0.0.1:1", "").expect("a proxy").except_loopback();
    for url in [server.url("/"), server.other_origin("/")] {
        let transport = through(nowhere.clone());
        let _watch = watch(EventSource::get(&url).transport(transport));
        assert_eq!(server.request().await.line, "GET / HTTP/1.1");
    }
}

#[tokio::test]
async fn an_excepted_server_is_reached_directly() {
    let server = Server::new().await;
    let nowhere = Proxy::all("http://127.0.0.1:1", "127.0.0.1").expect("a proxy");
    let mut watch = watch(EventSource::get(&server.url("/")).transport(through(nowhere)));
    assert_eq!(server.request().await.line, "GET / HTTP/1.1");
    drop(server);
    watch.retrying().await;
}

#[test]
fn what_is_no_proxy_is_refused_without_showing_its_password() {
    for url in ["ftp://a:secret@proxy.example", "https://a:secret@proxy.example", "secret@"] {
        let error = Proxy::all(url, "").expect_err("no proxy we can use");
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}

/// The test that [`the_environment_is_read_only_when_asked`] runs in another process, because a
/// process cannot safely change its own environment.
const CHILD: &str = "proxies::child_that_asks_the_url_in_its_environment";

#[tokio::test]
async fn the_environment_is_read_only_when_asked() {
    for (mode, line) in
        [("from_env", "GET http://news.invalid/ HTTP/1.1"), ("default", "GET / HTTP/1.1")]
    {
        let server = Server::new().await;
        let url = match mode {
            "from_env" => "http://news.invalid/".to_owned(),
            _ => server.url("/"),
        };
        let mut child = tokio::process::Command::new(std::env::current_exe().expect("this test"))
            .args([CHILD, "--exact", "--nocapture"])
            .env("TIDINGS_TEST_URL", url)
            .env("TIDINGS_TEST_PROXY_MODE", mode)
            .env("HTTP_PROXY", server.url(""))
            .env("http_proxy", server.url(""))
            .env_remove("NO_PROXY")
            .env_remove("no_proxy")
            .env_remove("REQUEST_METHOD")
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("this test runs again");
        let request = server.request().await;
        assert_eq!(request.line, line, "{mode}");
        request.refuse("204 No Content", "").await;
        assert!(child.wait().await.expect("it ends").success(), "{mode}");
    }
}

#[tokio::test]
async fn child_that_asks_the_url_in_its_environment() {
    // Run by itself, without that environment, this test has nothing to do.
    let Ok(url) = std::env::var("TIDINGS_TEST_URL") else { return };
    let builder = match std::env::var("TIDINGS_TEST_PROXY_MODE").as_deref() {
        Ok("from_env") => EventSource::get(&url).transport(through(Proxy::from_env())),
        _ => EventSource::get(&url),
    };
    let mut source = builder.open().expect("a good description");
    assert!(source.next_event().await.expect("a 204 is a proper end").is_none());
}
