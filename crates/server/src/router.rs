//! The path of one request through the server.

use std::sync::Arc;

use arc_swap::Guard;
use http::header::{ACCEPT, ORIGIN, TRANSFER_ENCODING};
use http::request::Parts;
use http::{Method, StatusCode};
use tracing::debug;

use crate::api;
use crate::api::extra::ExtraRoutes;
use crate::api::routes::Route;
use crate::auth::access::Access;
use crate::auth::authenticator::Authenticator;
use crate::auth::credential::{Credential, Place, without_token};
use crate::auth::recent::Recent;
use crate::auth::token::TokenRefused;
use crate::context::Context;
use crate::http::admit::{Admitted, Asked, Intent, admit};
use crate::http::answer::Answer;
use crate::http::cors::{Cors, preflight_method};
use crate::http::held::Held;
use crate::http::problem::{Problem, ProblemKind};
use crate::http::refusal_log::RefusalLog;
use crate::http::request::{Caller, Claims, Request, RequestBody};
use crate::http::respond::{Handled, OpenedStream, for_now, refuse_for_now, respond};
use crate::http::response::no_content;
use crate::live::Live;

/// Admission, the routes, and the context of their handlers.
pub(crate) struct Router {
    pub(crate) context: Context,
    extra: Option<Arc<dyn ExtraRoutes>>,
    refusals: RefusalLog,
}

impl Router {
    pub(crate) fn new(context: Context, extra: Option<Arc<dyn ExtraRoutes>>) -> Self {
        Self { context, extra, refusals: RefusalLog::default() }
    }

    /// Answers a request. The order is fixed: admission, then the route and its limits. The sender
    /// of the answer adds the [common headers](crate::http::common_headers).
    pub(crate) async fn handle<S: OpenedStream>(
        &self,
        (head, claims): (&Parts, &Claims),
        body: &mut RequestBody,
        caller: &Caller,
    ) -> Handled<S> {
        let peer = caller.address().ip();
        let live = self.context.control.live();
        let told = live.proxies.client(peer, &head.headers).map(|address| caller.at(address));
        let recent = caller.recent();
        let caller = told.as_ref().unwrap_or(caller);
        let request = Request { head, body, caller, claims };
        let Answered { answer, cors, access } = self.answer(request, recent, live).await;
        if let Some(held) = Held::new(&self.context, head, &answer) {
            // Boxed: every other request would carry the room for it.
            Box::pin(held.over()).await;
        }
        let mut handled = match access {
            Access::Open => respond(&self.context, head, answer, caller),
            access => respond(&self.context, head, answer, &caller.with_access(access)),
        };
        // Most answers have no headers of their own, and need no map for them.
        if cors != Cors::Same {
            cors.apply(handled.headers_mut());
        }
        debug!(
            method = %head.method,
            path = head.uri.path(),
            status = handled.status().as_u16(),
            "answered"
        );
        handled
    }

    async fn answer<'a>(
        &self,
        request: Request<'a>,
        recent: &Recent,
        live: Guard<Arc<Live>>,
    ) -> Answered<'a> {
        let Request { head, claims, .. } = request;
        let preflight = preflight_method(&head.method, &head.headers);
        let path = head.uri.path();
        let route = Route::of(path);
        let is_unsafe_get = route.is_some_and(Route::is_for_managers)
            || self.extra.as_ref().is_some_and(|extra| extra.is_unsafe_get(path));
        let asked = Asked {
            intent: Intent::new(preflight.as_ref().unwrap_or(&head.method), is_unsafe_get),
            version: head.version,
            target: head.uri.authority().map(|authority| authority.as_str()),
            claims,
            is_tls: self.context.config.tls.is_some(),
            is_probe: route.is_some_and(Route::is_probe),
        };
        let context = &self.context;
        let admitted = match admit(&live.hosts, &live.origins, &asked) {
            Ok(admitted) => admitted,
            Err(refused) => {
                self.refusals.log(&refused);
                let problem = refused.into_problem();
                context.metrics.refused(problem.kind());
                // No CORS headers: the page may not even read the reason.
                return Answered::new(problem.into(), Cors::Same);
            }
        };
        let auth = live.auth.clone().filter(|_| needs_access(&head.method, route));
        drop(live);
        if request.body.is_read_by_hyper()
            && let Err(problem) = refuse_codings(head)
        {
            context.metrics.refused(problem.kind());
            return Answered::new(problem.into(), admitted.cors);
        }
        if preflight.is_some() && admitted.cors != Cors::Same {
            let mut response = no_content();
            admitted.cors.apply_preflight(&head.headers, response.headers_mut());
            return Answered::new(response.into(), admitted.cors);
        }
        let answered = match auth {
            None => self.route(request, route).await.map(|answer| (answer, Access::Open)),
            Some(auth) => {
                // Tokens end at their times. For what is posted with its head, the connection has advanced the
                // hub's time, once for all requests of its turn.
                if head.method != Method::POST || !request.body.came_with_head() {
                    context.tick();
                }
                match self.authenticate(&auth, (head, recent), &admitted, asked.intent).await {
                    Ok(access) => self.route_with(request, route, access).await,
                    Err(problem)
                        if problem.kind() == ProblemKind::KeysAway && asks_for_stream(head) =>
                    {
                        let refused = refuse_for_now(context, head, problem);
                        return Answered::new(refused.into(), admitted.cors);
                    }
                    // The state of the process is told to everyone, and what is wrong with it to managers.
                    Err(_) if route == Some(Route::Health) => {
                        self.route_with(request, route, auth.anonymous()).await
                    }
                    // A sender that tries tokens is counted by its address.
                    Err(problem) => context.count_request(request.caller).and(Err(problem)),
                }
            }
        };
        match answered {
            Ok((answer, access)) => Answered { answer, cors: admitted.cors, access },
            Err(problem) if is_for_now(&problem) && asks_for_stream(head) => {
                Answered::new(refuse_for_now(context, head, problem).into(), admitted.cors)
            }
            Err(problem) => {
                context.metrics.refused(problem.kind());
                Answered::new(problem.into(), admitted.cors)
            }
        }
    }

    /// Finds the access of the sender of a request.
    async fn authenticate(
        &self,
        auth: &Authenticator,
        (head, recent): (&Parts, &Recent),
        admitted: &Admitted<'_>,
        intent: Intent,
    ) -> Result<Access, Problem> {
        let Some(credential) = Credential::find(head, auth.config())? else {
            return Ok(auth.anonymous());
        };
        if credential.place == Place::Cookie {
            if admitted.cors == Cors::Any {
                // Pages of any origin may read, but not as the user of the browser.
                return Ok(auth.anonymous());
            }
            if intent == Intent::Act && !head.headers.contains_key(ORIGIN) {
                let detail = "a request that changes something and has its token in a cookie needs \
                              an Origin, which tells whose page sent it: browsers send one";
                return Err(Problem::new(ProblemKind::ForeignSite, detail));
            }
        }
        let (control, now) = (&self.context.control, self.context.hub.time());
        let access = auth.access((&credential.token, recent), control.revocations(), now).await;
        access.map_err(|refused| match refused {
            TokenRefused::KeysAway => {
                let detail = "the key of this token is not among those that could be fetched: try \
                              again in a moment";
                for_now(&self.context.hub, ProblemKind::KeysAway, detail)
            }
            refused => {
                let detail = format!("the token is refused: {refused}");
                Problem::new(ProblemKind::TokenRefused, detail)
            }
        })
    }

    /// Answers a request whose sender has limited access. Its token is removed from the query first.
    async fn route_with(
        &self,
        request: Request<'_>,
        route: Option<Route<'_>>,
        access: Access,
    ) -> Result<(Answer, Access), Problem> {
        let caller = request.caller.with_access(access);
        let clean = without_token(request.head);
        let head = clean.as_ref().unwrap_or(request.head);
        let request = Request { head, caller: &caller, ..request };
        let answer = self.route(request, route).await?;
        Ok((answer, caller.into_access()))
    }

    /// Answers a request unless its sender sends too many.
    async fn route(
        &self,
        mut request: Request<'_>,
        route: Option<Route<'_>>,
    ) -> Result<Answer, Problem> {
        self.context.count_request(request.caller)?;
        if let Some(extra) = &self.extra
            && let Some(answer) = extra.answer(request.reborrow())
        {
            return answer.await;
        }
        if let Some(clean) = request.head.uri.path().strip_suffix('/')
            && Route::of(clean).is_some_and(Route::is_clean)
            && let Some(redirect) = request.without_final_slash()
        {
            return Ok(redirect);
        }
        let Some(route) = route else { return Err(Problem::not_found()) };
        let context = &self.context;
        if context.is_opening && route.needs_journal() {
            let detail = "the store of events cannot be reached yet: try again in a moment";
            return Err(for_now(&context.hub, ProblemKind::JournalUnreachable, detail));
        }
        match request.head.method {
            Method::OPTIONS => Ok(Answer::allowed(route.methods())),
            Method::GET | Method::HEAD => match route {
                Route::Index => api::page(request.head, self.page()),
                _ => api::read(context, &request, route).await,
            },
            Method::POST => api::publish(context, &mut request, route).await,
            Method::DELETE => api::delete(context, &request, route).await,
            _ => Err(request.method_not_allowed(route.methods())),
        }
    }

    /// The asset shown at `/`.
    fn page(&self) -> &str {
        self.extra.as_deref().and_then(ExtraRoutes::page).unwrap_or("index.html")
    }
}

/// The outcome of a request.
struct Answered<'a> {
    answer: Answer,
    cors: Cors<'a>,
    /// The access of its sender, for a stream that is still to be opened.
    access: Access,
}

impl<'a> Answered<'a> {
    /// One whose answer is whole.
    fn new(answer: Answer, cors: Cors<'a>) -> Self {
        Self { answer, cors, access: Access::Open }
    }
}

/// Returns whether the answer depends on the sender. Pages are the same for everyone.
fn needs_access(method: &Method, route: Option<Route<'_>>) -> bool {
    let is_for_everyone = route.is_some_and(|route| {
        matches!(
            route,
            Route::Ready | Route::Index | Route::OpenApi | Route::Asset(_) | Route::Server
        )
    });
    *method != Method::OPTIONS && !is_for_everyone
}

/// Returns whether a request is an EventSource's, which names the format of streams.
fn asks_for_stream(head: &Parts) -> bool {
    head.method == Method::GET
        && head.headers.get(ACCEPT).is_some_and(|accept| accept == "text/event-stream")
}

/// Returns whether a problem passes: its sender does something too often, or there is no journal yet.
fn is_for_now(problem: &Problem) -> bool {
    problem.kind().status() == StatusCode::TOO_MANY_REQUESTS
        || problem.kind() == ProblemKind::JournalUnreachable
}

/// Refuses a body with a transfer coding other than `chunked`: nothing here decodes it (RFC 9112,
/// section 6.1).
fn refuse_codings(head: &Parts) -> Result<(), Problem> {
    let codings = head.headers.get_all(TRANSFER_ENCODING);
    let mut codings = codings.iter().flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    let is_known = |coding: &[u8]| coding.trim_ascii().eq_ignore_ascii_case(b"chunked");
    if codings.all(is_known) {
        return Ok(());
    }
    let detail = "the only transfer coding that is read is chunked; send the body uncompressed";
    Err(Problem::new(ProblemKind::UnsupportedTransferCoding, detail))
}
