//! A hub as in the documentation of hyper, hyper-util and tokio-rustls: a broadcast channel for each
//! topic, and a streamed body for each subscriber, in clear text or over TLS. It has no heartbeats,
//! which spares it a timer for each subscriber.

use std::collections::HashMap;
use std::convert::Infallible;
use std::env;
use std::error::Error;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::StreamExt;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::broadcast::Sender;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_stream::wrappers::BroadcastStream;

type Topics = Arc<Mutex<HashMap<String, Sender<Bytes>>>>;
type Body = UnsyncBoxBody<Bytes, Infallible>;

/// The number of events that a subscriber may lag behind: no case has more than one under way on a
/// topic, and the channel allocates room for all of them at once, for each topic.
const EVENTS_BEHIND_MAX: usize = 16;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let address = arguments.next().expect("an address to listen on is the first argument");
    let acceptor = match (arguments.next(), arguments.next()) {
        (Some(certificate), Some(key)) => Some(acceptor(certificate.as_ref(), key.as_ref())?),
        _ => None,
    };
    let listener = TcpListener::bind(address).await?;
    let topics = Topics::default();
    loop {
        let (socket, _) = listener.accept().await?;
        socket.set_nodelay(true)?;
        let (topics, acceptor) = (topics.clone(), acceptor.clone());
        tokio::spawn(async move {
            match acceptor {
                Some(acceptor) => {
                    if let Ok(stream) = acceptor.accept(socket).await {
                        serve(stream, topics).await;
                    }
                }
                None => serve(socket, topics).await,
            }
        });
    }
}

fn acceptor(certificate: &Path, key: &Path) -> Result<TlsAcceptor, Box<dyn Error>> {
    let chain = CertificateDer::pem_file_iter(certificate)?.collect::<Result<_, _>>()?;
    let key = PrivateKeyDer::from_pem_file(key)?;
    let mut config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, topics: Topics) {
    let service = service_fn(move |request| answer(request, topics.clone()));
    let builder = auto::Builder::new(TokioExecutor::new());
    // Clients that leave are no failures.
    let _ = builder.serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(request: Request<Incoming>, topics: Topics) -> hyper::Result<Response<Body>> {
    let mut response = Response::new(Empty::new().boxed_unsync());
    let Some(topic) = request.uri().path().strip_prefix("/topics/").map(str::to_owned) else {
        *response.status_mut() = StatusCode::NOT_FOUND;
        return Ok(response);
    };
    if request.method() == Method::POST {
        let data = request.into_body().collect().await?.to_bytes();
        let event = [b"data: ", &*data, b"\n\n"].concat();
        let topics = topics.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = topics.get(&topic) {
            // This fails if there is no subscriber, which is fine.
            let _ = sender.send(event.into());
        }
        *response.status_mut() = StatusCode::NO_CONTENT;
        return Ok(response);
    }
    let receiver = topics
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .entry(topic)
        .or_insert_with(|| Sender::new(EVENTS_BEHIND_MAX))
        .subscribe();
    // A subscriber that lagged continues with the oldest event.
    let events = BroadcastStream::new(receiver)
        .filter_map(async |received| received.ok().map(|event| Ok(Frame::data(event))));
    *response.body_mut() = StreamBody::new(events).boxed_unsync();
    let headers = response.headers_mut();
    headers.insert("content-type", hyper::header::HeaderValue::from_static("text/event-stream"));
    headers.insert("cache-control", hyper::header::HeaderValue::from_static("no-cache"));
    Ok(response)
}
