//! NATS without hubs, by the client library that hubs use.

use std::error::Error;
use std::pin::Pin;
use std::time::{Duration, Instant};

use async_nats::jetstream::{self, stream};
use async_nats::{ServerAddr, Subscriber};
use bytes::Bytes;
use futures_core::Stream;
use tidings_bench_compare::publishing::Published;
use tidings_bench_compare::publishing::wire::DATA_BYTES;
use tokio::task::JoinSet;

use crate::servers::Server;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

const SUBJECT: &str = "alone";
/// How long a cluster is given to take a stream: it elects its leaders first.
const STREAM_MAX: Duration = Duration::from_secs(30);

/// The longest time that a message may take.
const MESSAGE_MAX: Duration = Duration::from_secs(20);

/// Connects to the servers.
async fn connect(servers: &[Server]) -> Outcome<async_nats::Client> {
    let urls = servers.iter().map(|server| format!("nats://{}", server.address).parse());
    let urls: Vec<ServerAddr> = urls.collect::<Result<_, _>>()?;
    Ok(async_nats::connect(urls).await?)
}

/// Creates the stream that messages are published to.
pub(crate) async fn create_stream(servers: &[Server]) -> Outcome<()> {
    let context = jetstream::new(connect(servers).await?);
    let began = Instant::now();
    loop {
        let config = stream::Config {
            name: SUBJECT.to_owned(),
            subjects: vec![SUBJECT.to_owned()],
            num_replicas: servers.len(),
            max_bytes: 1 << 30,
            ..stream::Config::default()
        };
        match context.create_stream(config).await {
            Ok(_) => return Ok(()),
            Err(error) if began.elapsed() > STREAM_MAX => return Err(error.into()),
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

/// Publishes messages of one event each, so many of them under way, and waits for each acknowledgement.
pub(crate) async fn publish(
    servers: &[Server],
    under_way: usize,
    time: Duration,
) -> Outcome<Published> {
    let client = connect(servers).await?;
    let counted_from = Instant::now() + time / 10;
    let until = counted_from + time;
    let mut tasks = JoinSet::new();
    for _ in 0..under_way {
        let context = jetstream::new(client.clone());
        tasks.spawn(async move {
            let mut micros = Vec::new();
            loop {
                let sent = Instant::now();
                if sent >= until {
                    return Outcome::Ok(micros);
                }
                let data = Bytes::from_static(&[b'0'; DATA_BYTES]);
                context.publish(SUBJECT, data).await?.await?;
                if Instant::now() >= counted_from {
                    micros.push(sent.elapsed().as_micros() as u64);
                }
            }
        });
    }
    let mut published = Published::default();
    while let Some(micros) = tasks.join_next().await {
        published.micros.extend(micros??);
    }
    published.events = published.micros.len() as u64;
    published.seconds = counted_from.elapsed().as_secs_f64();
    published.micros.sort_unstable();
    Ok(published)
}

/// Publishes to a subscriber of NATS core, one message after the other, on two connections.
pub(crate) async fn latency(servers: &[Server], count: u32) -> Outcome<Published> {
    let (publisher, reader) =
        (connect(servers).await?, connect(&servers[servers.len() - 1..]).await?);
    let mut messages = reader.subscribe("core").await?;
    // The server has the subscription once its own message comes back.
    reader.publish("core", Bytes::new()).await?;
    next(&mut messages).await?;
    let mut micros = Vec::new();
    for number in 0..count {
        let sent = Instant::now();
        let data = Bytes::from(format!("{number:0DATA_BYTES$}"));
        publisher.publish("core", data).await?;
        next(&mut messages).await?;
        micros.push(sent.elapsed().as_micros() as u64);
    }
    micros.sort_unstable();
    Ok(Published { events: count.into(), seconds: 0.0, micros })
}

async fn next(messages: &mut Subscriber) -> Outcome<()> {
    let next = std::future::poll_fn(|cx| Stream::poll_next(Pin::new(&mut *messages), cx));
    tokio::time::timeout(MESSAGE_MAX, next).await?.ok_or("the subscription has ended")?;
    Ok(())
}
