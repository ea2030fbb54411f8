//! One request's way through the server.

use std::sync::Arc;

use bytes::Bytes;
use http::header::ALLOW;
use http::request::Parts;
use http::{HeaderValue, Method, Response, StatusCode};
use tidings_hub::{Hub, Now};
use tokio::sync::watch;
use tracing::debug;

use crate::api::native;
use crate::api::routes::{ExtraRoutes, Route};
use crate::config::{ServerConfig, TimeSource};
use crate::engine::Engine;
use crate::engine::streams::Streams;
use crate::http::admit::{Asked, Intent, admit};
use crate::http::answer::{Answer, Handled, Via, respond};
use crate::http::cors::{Cors, preflight_method};
use crate::http::problem::{Problem, ProblemKind};
use crate::http::request::RequestBody;
use crate::metrics::Metrics;
use crate::phase::Phase;

/// What all connections share.
pub(crate) struct App {
    pub(crate) hub: Hub,
    pub(crate) config: ServerConfig,
    pub(crate) streams: Arc<Streams>,
    pub(crate) metrics: Metrics,
    pub(crate) engine: Arc<Engine>,
    extra: Option<Arc<dyn ExtraRoutes>>,
    phase: watch::Receiver<Phase>,
}

impl App {
    pub(crate) fn new(
        config: ServerConfig,
        hub: Hub,
        engine: Arc<Engine>,
        extra: Option<Arc<dyn ExtraRoutes>>,
        phase: watch::Receiver<Phase>,
    ) -> Self {
        let streams = Streams::new(config.streams_max);
        let metrics = Metrics::new(&hub, &streams, &engine);
        Self { hub, config, streams, metrics, engine, extra, phase }
    }

    pub(crate) fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    /// A receiver of the server's phases.
    pub(crate) fn phases(&self) -> watch::Receiver<Phase> {
        self.phase.clone()
    }

    /// Brings the hub's time up to now, so that events are dated to the millisecond.
    pub(crate) fn tick(&self) {
        if self.config.time == TimeSource::Machine {
            self.hub.tick(Now::read());
        }
    }

    /// The asset shown at `/`.
    pub(crate) fn page(&self) -> &str {
        self.extra.as_deref().and_then(ExtraRoutes::page).unwrap_or("index.html")
    }

    /// Answers a request. The order is fixed: admission, then the route and its limits. Whoever sends the
    /// answer adds what is [usual](crate::http::common_headers).
    pub(crate) async fn handle(&self, head: &Parts, body: &mut RequestBody, via: Via) -> Handled {
        let (answer, cors) = self.answer(head, body).await;
        body.discard().await;

        let mut response = respond(self, head, answer, via);
        cors.apply(response.headers_mut());
        debug!(
            method = %head.method,
            path = head.uri.path(),
            status = response.status().as_u16(),
            "answered"
        );
        response
    }

    async fn answer(&self, head: &Parts, body: &mut RequestBody) -> (Answer, Cors) {
        let preflight = preflight_method(&head.method, &head.headers);
        let path = head.uri.path();
        let route = Route::of(path);
        let is_unsafe_get = route.is_some_and(Route::is_for_managers)
            || self.extra.as_ref().is_some_and(|extra| extra.is_unsafe_get(path));
        let asked = Asked {
            intent: Intent::new(preflight.as_ref().unwrap_or(&head.method), is_unsafe_get),
            version: head.version,
            target: head.uri.authority().map(|authority| authority.as_str()),
            headers: &head.headers,
        };
        let admitted = match admit(&self.config.hosts, &self.config.origins, &asked) {
            Ok(admitted) => admitted,
            Err(refused) => {
                let problem = refused.into_problem();
                self.metrics.refused(problem.kind());
                // Without a word to the page: it may not even read why.
                return (problem.into(), Cors::Same);
            }
        };
        if preflight.is_some() && admitted.cors != Cors::Same {
            let mut response = empty();
            admitted.cors.apply_preflight(response.headers_mut());
            return (response.into(), admitted.cors);
        }
        let answer = self.route(head, body, route).await.unwrap_or_else(|problem| {
            self.metrics.refused(problem.kind());
            problem.into()
        });
        (answer, admitted.cors)
    }

    async fn route(
        &self,
        head: &Parts,
        body: &mut RequestBody,
        route: Option<Route<'_>>,
    ) -> Result<Answer, Problem> {
        if let Some(extra) = &self.extra
            && let Some(answer) = extra.answer(head, body)
        {
            return answer.await;
        }
        let Some(route) = route else { return Err(not_found()) };
        match head.method {
            Method::OPTIONS => Ok(allowed(route.methods()).into()),
            Method::GET | Method::HEAD => native::read(self, head, route).await,
            Method::POST => native::publish(self, head, body, route).await,
            Method::DELETE => native::end(self, head, route).await,
            _ => Err(native::method_not_allowed(&head.method, route.methods())),
        }
    }
}

/// A response that says nothing but its status.
pub(crate) fn empty() -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

/// What OPTIONS is answered.
pub(crate) fn allowed(methods: &'static str) -> Response<Bytes> {
    let mut response = empty();
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(methods));
    response
}

pub(crate) fn not_found() -> Problem {
    Problem::new(
        ProblemKind::NotFound,
        "nothing is at this path; topics are at /topics/{topic}, several of them at /events",
    )
}
