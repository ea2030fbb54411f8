//! An inbox per user: its readers see each letter at once, and those that were away when they come back.
//!
//! | call | meaning |
//! | --- | --- |
//! | `POST /inbox/{user}` | writes to a user: `{"from": "…", "text": "…"}` |
//! | `GET /inbox/{user}` | the user's inbox as an event stream |
//! | `GET /inbox/{user}/latest` | the ten latest as JSON |
//! | `GET /inboxes` | every inbox as one event stream |

use std::error::Error;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use tidings_hub::{
    Body, Draft, Event, EventType, Hub, HubConfig, JsonError, PublishError, Published, Start,
    StreamRequest, Topic, TopicFilter,
};

const LETTER: EventType = EventType::from_static("letter");

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut config = HubConfig::default();
    config.retention.age_max = Some(Duration::from_secs(7 * 24 * 3600));
    let hub = Hub::new(config);
    tokio::spawn(hub.drive());

    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    let stop = {
        let hub = hub.clone();
        async move {
            drop(tokio::signal::ctrl_c().await);
            hub.drain(Duration::from_secs(3));
        }
    };
    axum::serve(listener, app(hub)).with_graceful_shutdown(stop).await?;
    Ok(())
}

fn app(hub: Hub) -> Router {
    Router::new()
        .route("/inbox/{user}", get(read).post(write))
        .route("/inbox/{user}/latest", get(latest))
        .route("/inboxes", get(read_all))
        .with_state(hub)
}

#[derive(Debug, Deserialize, Serialize)]
struct Letter {
    from: String,
    text: String,
}

async fn write(
    State(hub): State<Hub>,
    Path(user): Path<String>,
    Json(letter): Json<Letter>,
) -> Result<Published, Refusal> {
    let event = Event::json(&letter)?.with_type(LETTER);
    Ok(hub.publish(Draft::new(inbox(&user)?, event)).await?)
}

async fn read(
    State(hub): State<Hub>,
    Path(user): Path<String>,
    request: StreamRequest,
) -> Result<Body, Refusal> {
    Ok(hub.stream(inbox(&user)?, request))
}

async fn read_all(State(hub): State<Hub>, request: StreamRequest) -> Result<Body, Refusal> {
    let all = TopicFilter::pattern("inbox/*").map_err(Refusal::bad_request)?;
    Ok(hub.stream(all, request))
}

async fn latest(
    State(hub): State<Hub>,
    Path(user): Path<String>,
) -> Result<Json<Vec<Letter>>, Refusal> {
    let page = hub.page(inbox(&user)?, Start::Tail, 10).await;
    let letters = page.events.iter().map(|held| serde_json::from_str(held.event.data()));
    Ok(Json(letters.collect::<Result<_, _>>().map_err(Refusal::bad_request)?))
}

/// A user's topic. A name with a slash would be two segments, which `inbox/*` does not match.
fn inbox(user: &str) -> Result<Topic, Refusal> {
    if user.contains('/') {
        return Err(Refusal((StatusCode::BAD_REQUEST, "a name has no slash").into_response()));
    }
    Topic::new(format!("inbox/{user}")).map_err(Refusal::bad_request)
}

struct Refusal(Response);

impl Refusal {
    fn bad_request(error: impl Error) -> Self {
        Self((StatusCode::BAD_REQUEST, error.to_string()).into_response())
    }
}

impl From<JsonError> for Refusal {
    fn from(error: JsonError) -> Self {
        Self::bad_request(error)
    }
}

impl From<PublishError> for Refusal {
    fn from(error: PublishError) -> Self {
        Self(error.into_response())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::Request;
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    use super::*;

    async fn ask(app: &Router, request: Request<Body>) -> axum::http::Response<Body> {
        app.clone().oneshot(request).await.unwrap()
    }

    fn get(path: &str) -> Request<Body> {
        Request::get(path).body(Body::empty()).unwrap()
    }

    fn write(user: &str, text: &str) -> Request<Body> {
        Request::post(format!("/inbox/{user}"))
            .header("content-type", "application/json")
            .body(Body::from(format!("{{\"from\":\"me\",\"text\":\"{text}\"}}")))
            .unwrap()
    }

    /// The next piece of a stream's text.
    async fn piece(stream: &mut axum::http::Response<Body>) -> String {
        let frame = stream.frame().await.expect("the stream is open").unwrap();
        String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap()
    }

    #[tokio::test]
    async fn each_user_has_an_inbox_of_their_own() {
        let app = app(Hub::default());
        let mut alpha = ask(&app, get("/inbox/alpha")).await;
        let mut all = ask(&app, get("/inboxes")).await;
        assert_eq!(alpha.headers()["content-type"], "text/event-stream");
        for stream in [&mut alpha, &mut all] {
            assert_eq!(piece(stream).await, ":\nretry: 2000\n");
        }

        assert_eq!(ask(&app, write("beta", "one")).await.status(), StatusCode::CREATED);
        assert_eq!(ask(&app, write("alpha", "two")).await.status(), StatusCode::CREATED);
        let letter =
            |text| format!("event: letter\ndata: {{\"from\":\"me\",\"text\":\"{text}\"}}\n\n");
        let text = piece(&mut alpha).await;
        assert!(text.ends_with(&letter("two")) && !text.contains("one"), "{text}");
        let text = piece(&mut all).await;
        assert!(text.contains(&letter("one")) && text.ends_with(&letter("two")), "{text}");
    }

    #[tokio::test]
    async fn a_reader_that_was_away_is_sent_what_it_missed() {
        let app = app(Hub::default());
        let first = ask(&app, write("alpha", "one")).await.into_body().collect().await.unwrap();
        let first = String::from_utf8(first.to_bytes().to_vec()).unwrap();
        ask(&app, write("alpha", "two")).await;

        let mut request = get("/inbox/alpha");
        request.headers_mut().insert("last-event-id", first.parse().unwrap());
        let mut stream = ask(&app, request).await;
        let text = piece(&mut stream).await;
        assert!(text.contains("two") && !text.contains("one"), "{text}");
    }

    #[tokio::test]
    async fn the_latest_are_listed_and_bad_names_refused() {
        let app = app(Hub::default());
        ask(&app, write("alpha", "one")).await;
        let latest = ask(&app, get("/inbox/alpha/latest")).await.into_body().collect().await;
        assert_eq!(latest.unwrap().to_bytes(), r#"[{"from":"me","text":"one"}]"#);
        assert_eq!(ask(&app, get("/inbox/a%2Fb")).await.status(), StatusCode::BAD_REQUEST);
        assert_eq!(ask(&app, get("/inbox/a%00b")).await.status(), StatusCode::BAD_REQUEST);
    }
}
