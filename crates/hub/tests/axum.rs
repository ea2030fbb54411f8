//! The feature `axum`: what a handler takes and returns.
#![cfg(feature = "axum")]
#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

use axum::body::{Body as AnyBody, to_bytes};
use axum::extract::FromRequestParts;
use axum::http::{Request, StatusCode};
use axum::response::{IntoResponse, Response};
use tidings_hub::{
    Client, Draft, Emitters, Event, Hub, HubConfig, Start, StreamRequest, Topic, TopicFilter,
};

const NEWS: Topic = Topic::from_static("news");

async fn extract(uri: &str) -> Result<StreamRequest, Response> {
    let request = Request::get(uri).header("cache-control", "no-cache").body(()).unwrap();
    let extracted = StreamRequest::from_request_parts(&mut request.into_parts().0, &()).await;
    extracted.map_err(IntoResponse::into_response)
}

async fn text(response: Response) -> String {
    let bytes = to_bytes(response.into_body(), 1024).await.unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[tokio::test]
async fn a_request_is_extracted_or_refused_with_a_sentence() {
    let request = extract("/news?lastEventID=7&page=2").await.unwrap();
    assert_eq!(request, StreamRequest::new(Start::After("7".into()), Client::EventSource));
    let refused = extract("/news?last_event_id=7&last_event_id=8").await.unwrap_err();
    assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
    let sentence = "the query parameter 'last_event_id' cannot be used: it is given twice";
    assert_eq!(text(refused).await, sentence);
}

#[tokio::test]
async fn bodies_and_emitters_are_event_streams_or_nothing() {
    let hub = Hub::default();
    let users = Emitters::new(&hub, Topic::from_static("users"));
    let first = users.send(&"alpha", Event::new("x")).await.unwrap();
    let streams = [
        IntoResponse::into_response(hub.stream(NEWS, Start::Tail)),
        IntoResponse::into_response(users.connect("alpha", Start::Tail).unwrap()),
    ];
    for stream in streams {
        assert_eq!(stream.status(), StatusCode::OK);
        assert_eq!(stream.headers()["content-type"], "text/event-stream");
    }
    users.close(&"alpha").await.unwrap();
    let back = users.connect("alpha", Start::After(first.id().into_boxed_str())).unwrap();
    assert_eq!(IntoResponse::into_response(back).status(), StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn a_publisher_is_told_the_id_or_what_is_wrong() {
    let mut config = HubConfig::default();
    config.event_bytes_max = 20;
    let hub = Hub::new(config);
    let publish = |event| hub.publish(Draft::new(NEWS, event));

    let published = publish(Event::new("x")).await.unwrap();
    let response = published.clone().into_response();
    assert_eq!(response.status(), StatusCode::CREATED);
    assert_eq!(text(response).await, published.id().as_str());

    let large = publish(Event::new("x".repeat(20))).await.into_response();
    assert_eq!(large.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(text(large).await, "an event has at most 20 bytes, this one has 27");
    let own = publish(Event::new("x").with_id("#1".parse().unwrap())).await.into_response();
    assert_eq!(own.status(), StatusCode::BAD_REQUEST);

    let users = Emitters::new(&hub, NEWS);
    let refused = users.send(&"\n", Event::new("x")).await.into_response();
    assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
    let refusals: [Result<(), Response>; 2] = [
        users.connect("\n", Start::Tail).map(drop).map_err(IntoResponse::into_response),
        TopicFilter::pattern("a*").map(drop).map_err(IntoResponse::into_response),
    ];
    for refused in refusals {
        assert_eq!(refused.unwrap_err().status(), StatusCode::BAD_REQUEST);
    }
    let _: Response<AnyBody> = IntoResponse::into_response(Topic::new("").unwrap_err());
}
