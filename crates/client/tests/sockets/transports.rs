//! Transports other than the default.

#[cfg(feature = "reqwest")]
mod by_reqwest {
    use tidings_client::{EventSource, ReqwestTransport};

    use crate::server::Server;
    use crate::watch::watch;

    fn transport() -> ReqwestTransport {
        let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
        ReqwestTransport::new(client.build().expect("a client"))
    }

    #[tokio::test]
    async fn a_stream_is_read_lost_and_resumed() {
        let server = Server::new().await;
        let mut watch = watch(EventSource::get(&server.url("/")).transport(transport()));
        let request = server.request().await;
        assert_eq!(request.line, "GET / HTTP/1.1");
        assert_eq!(request.header("transfer-encoding"), None);
        let mut stream = request.open().await;
        watch.open().await;
        stream.send("id: 1\ndata: a\n\n").await;
        assert_eq!(watch.event().await, "a");
        stream.cut();
        watch.wait().await;
        let request = server.request().await;
        assert_eq!(request.header("last-event-id").as_deref(), Some("1"));
    }

    #[tokio::test]
    async fn a_redirect_is_left_to_the_event_source() {
        let server = Server::new().await;
        let builder = EventSource::get(&server.url("/")).bearer("t").transport(transport());
        let mut watch = watch(builder);
        let location = format!("location: {}\r\n", server.other_origin("/x"));
        server.request().await.refuse("302 Found", &location).await;
        let request = server.request().await;
        assert_eq!(request.header("authorization"), None);
        request.open().await;
        watch.open().await;
    }

    #[tokio::test]
    async fn a_body_is_sent() {
        let server = Server::new().await;
        let builder = EventSource::post(&server.url("/")).body("{}").transport(transport());
        let _watch = watch(builder);
        assert_eq!(server.request().await.body, b"{}");
    }
}

use std::sync::Arc;

use tidings_client::testing::Script;
use tidings_client::{EventSource, Transport};

use crate::watch::watch;

#[tokio::test]
async fn a_transport_may_be_shared() {
    let mut script = Script::new();
    let shared: Arc<dyn Transport> = Arc::new(script.transport());
    for path in ["/a", "/b"] {
        let url = format!("http://localhost{path}");
        let mut watch = watch(EventSource::get(&url).transport(Arc::clone(&shared)));
        let request = script.request().await;
        assert_eq!(request.uri().path(), path);
        let mut stream = request.open();
        watch.open().await;
        stream.send("data: a\n\n");
        assert_eq!(watch.event().await, "a");
        assert!(stream.is_wanted());
        drop(watch.stop().await);
        assert!(!stream.is_wanted(), "a dropped source reads no more");
    }
}
