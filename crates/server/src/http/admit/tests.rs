use http::HeaderMap;

use super::*;
use crate::config::Hosts;
use crate::http::authority::HostName;

/// The parts of a request that matter here.
#[derive(Clone)]
struct Case {
    hosts: Hosts,
    origins: Origins,
    intent: Intent,
    version: Version,
    target: Option<&'static str>,
    headers: HeaderMap,
    is_probe: bool,
    is_tls: bool,
}

fn get() -> Case {
    Case {
        hosts: Hosts::default(),
        origins: Origins::default(),
        intent: Intent::Read,
        version: Version::HTTP_11,
        target: None,
        headers: HeaderMap::new(),
        is_probe: false,
        is_tls: false,
    }
}

fn post() -> Case {
    Case { intent: Intent::Act, ..get() }
}

impl Case {
    fn header(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.append(name, HeaderValue::from_static(value));
        self
    }

    fn host(self, host: &'static str) -> Self {
        self.header("host", host)
    }

    fn local(self) -> Self {
        self.host("localhost:4000")
    }

    fn origin(self, origin: &'static str) -> Self {
        self.header("origin", origin)
    }

    fn site(self, site: &'static str) -> Self {
        self.header("sec-fetch-site", site)
    }

    fn mode(self, mode: &'static str) -> Self {
        self.header("sec-fetch-mode", mode)
    }

    fn allow_origin(mut self, origin: &str) -> Self {
        self.origins.listed.push(Origin::parse(origin).unwrap());
        self
    }

    fn allow_any_origin(mut self) -> Self {
        self.origins.others = Others::Read;
        self
    }

    #[track_caller]
    fn is_answered(&self, answer: Result<Admitted<'_>, NotAdmitted>) {
        let Self { intent, version, target, ref headers, is_probe, is_tls, .. } = *self;
        let claims = &Claims::of(headers);
        let asked = Asked { intent, version, target, claims, is_tls, is_probe };
        let hosts = ServedHosts::new(self.hosts.clone());
        assert_eq!(admit(&hosts, &self.origins, &asked), answer);
    }

    #[track_caller]
    fn passes(self, cors: Cors<'_>) {
        self.is_answered(Ok(Admitted { cors }));
    }

    /// It passes, and the page of this origin may read the answer.
    #[track_caller]
    fn passes_for(self, origin: &'static str) {
        self.passes(Cors::Listed(&HeaderValue::from_static(origin)));
    }

    #[track_caller]
    fn refuses(self, refused: NotAdmitted) {
        self.is_answered(Err(refused));
    }
}

fn foreign(origin: &str) -> NotAdmitted {
    NotAdmitted::Origin(origin.into())
}

#[test]
fn names_and_addresses_of_loopback_are_served_at_any_port() {
    for host in [
        "localhost",
        "localhost:4000",
        "LocalHost.:1",
        "app.localhost:8080",
        "127.0.0.1:4000",
        "127.3.2.1",
        "[::1]:4000",
        "[::1]",
        "[::ffff:127.0.0.1]:4000",
    ] {
        get().host(host).passes(Cors::Same);
        post().host(host).passes(Cors::Same);
    }
}

#[test]
fn a_name_that_was_made_to_point_here_refuses() {
    for host in [
        "evil.example",
        "evil.example:4000",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "0.0.0.0:4000",
        "[::]:4000",
        "192.168.0.7:4000",
        "[fe80::1]:4000",
        "127.1",
        "2130706433",
    ] {
        get().host(host).refuses(NotAdmitted::Host(host.into()));
    }
}

#[test]
fn a_host_that_is_no_host_is_refused_even_where_any_is_served() {
    for host in ["", "a b", "a:b", "user@localhost", "localhost/", "[::1", "localhost:99999"] {
        let any = Case { hosts: Hosts::Any, ..get() };
        any.host(host).refuses(NotAdmitted::Host(host.into()));
    }
}

#[test]
fn a_request_names_one_host() {
    get().refuses(NotAdmitted::NoHost);
    get().local().host("localhost:4000").refuses(NotAdmitted::NoHost);
    Case { version: Version::HTTP_2, ..get() }.refuses(NotAdmitted::NoHost);
}

#[test]
fn http_1_0_may_leave_the_host_out() {
    let old = Case { version: Version::HTTP_10, ..get() };
    old.clone().passes(Cors::Same);
    Case { intent: Intent::Act, ..old.clone() }.passes(Cors::Same);
    old.clone().host("evil.example").refuses(NotAdmitted::Host("evil.example".into()));
    // With an Origin there is a browser behind it, and nothing to compare it with.
    old.clone().origin("http://localhost").refuses(foreign("http://localhost"));
    old.origin("http://a.example").allow_origin("http://a.example").passes_for("http://a.example");
}

#[test]
fn the_authority_of_http_2_is_its_host() {
    let h2 = Case { version: Version::HTTP_2, ..get() };
    Case { target: Some("localhost:4000"), ..h2.clone() }.passes(Cors::Same);
    Case { target: Some("evil.example"), ..h2.clone() }
        .refuses(NotAdmitted::Host("evil.example".into()));
    Case { target: Some("localhost:4000"), ..h2.clone() }
        .origin("http://localhost:4000")
        .passes(Cors::Same);
    // Neither hides behind the other.
    Case { target: Some("localhost"), ..h2.clone() }
        .host("evil.example")
        .refuses(NotAdmitted::Host("evil.example".into()));
    Case { target: Some("evil.example"), ..h2 }
        .host("localhost")
        .refuses(NotAdmitted::Host("evil.example".into()));
}

#[test]
fn listed_hosts_are_served_beside_those_of_loopback() {
    let names =
        vec![HostName::parse("News.example").unwrap(), HostName::parse("10.0.0.7").unwrap()];
    let case = Case { hosts: Hosts::Listed(names), ..get() };
    for host in ["news.example", "NEWS.example.:80", "10.0.0.7:4000", "localhost"] {
        case.clone().host(host).passes(Cors::Same);
    }
    for host in ["a.news.example", "example", "10.0.0.8"] {
        case.clone().host(host).refuses(NotAdmitted::Host(host.into()));
    }
}

#[test]
fn where_any_host_is_served_origins_still_count() {
    let open = Case { hosts: Hosts::Any, ..post() };
    open.clone().host("news.example").passes(Cors::Same);
    open.clone().host("news.example").origin("https://news.example").passes(Cors::Same);
    open.host("news.example").origin("https://a.example").refuses(foreign("https://a.example"));
}

#[test]
fn pages_of_the_server_itself_pass() {
    post().local().origin("http://localhost:4000").passes(Cors::Same);
    post().host("[::1]:4000").origin("http://[::1]:4000").passes(Cors::Same);
    // Behind a proxy that speaks TLS.
    let proxied = Case { hosts: Hosts::Any, ..post() };
    proxied
        .host("news.example")
        .origin("https://news.example")
        .site("same-origin")
        .passes(Cors::Same);
}

#[test]
fn pages_of_other_origins_can_neither_read_nor_act() {
    for origin in [
        "http://evil.example",
        "http://localhost:3000",
        "http://localhost",
        "http://127.0.0.1:4000",
        "https://localhost:4001",
        "null",
        "",
        "localhost:4000",
        "http://localhost:4000/",
    ] {
        get().local().origin(origin).refuses(foreign(origin));
        post().local().origin(origin).refuses(foreign(origin));
    }
    post()
        .local()
        .origin("http://localhost:4000")
        .origin("http://evil.example")
        .refuses(foreign("http://localhost:4000"));
}

#[test]
fn what_another_site_makes_a_browser_send_may_read_but_not_act() {
    for site in ["cross-site", "same-site", "", "something-new"] {
        get().local().site(site).passes(Cors::Same);
        post().local().site(site).refuses(NotAdmitted::Site);
        // The browser knows better than the Origin, whose scheme was not compared.
        post().local().origin("https://localhost:4000").site(site).refuses(NotAdmitted::Site);
    }
    for site in ["same-origin", "none"] {
        post().local().site(site).passes(Cors::Same);
        post().local().site(site).site("cross-site").refuses(NotAdmitted::Site);
    }
}

#[test]
fn what_another_site_asks_for_blindly_is_refused() {
    for site in ["cross-site", "same-site", "", "something-new"] {
        get().local().site(site).mode("no-cors").refuses(NotAdmitted::Site);
        post().local().site(site).mode("no-cors").refuses(NotAdmitted::Site);
        // Whichever stands first.
        get().local().mode("no-cors").site(site).refuses(NotAdmitted::Site);
        get().local().site(site).mode("cors").mode("no-cors").refuses(NotAdmitted::Site);
        // Following a link, and reading by a script that is asked for its origin.
        for mode in ["navigate", "cors", "same-origin", "websocket"] {
            get().local().site(site).mode(mode).passes(Cors::Same);
        }
    }
    for site in ["same-origin", "none"] {
        get().local().site(site).mode("no-cors").passes(Cors::Same);
    }
    // An old browser does not say which site it was.
    get().local().mode("no-cors").passes(Cors::Same);
    // Nobody is blind whose origin is asked for and may read.
    let origin = "https://app.example";
    get()
        .local()
        .site("cross-site")
        .mode("no-cors")
        .origin(origin)
        .allow_origin(origin)
        .passes_for(origin);
}

#[test]
fn headers_that_only_look_like_those_that_decide_decide_nothing() {
    for (name, value) in [("hosts", "evil.example"), ("x-origin", "http://evil.example")] {
        post().local().header(name, value).passes(Cors::Same);
    }
    post().local().header("sec-fetch-user", "cross-site").passes(Cors::Same);
    get().local().header("sec-fetch-dest", "no-cors").site("cross-site").passes(Cors::Same);
}

#[test]
fn a_host_in_bytes_that_are_no_ascii_is_refused_as_it_was_sent() {
    let mut case = get();
    case.headers.append("host", HeaderValue::from_bytes("m\u{fc}nchen".as_bytes()).unwrap());
    case.refuses(NotAdmitted::Host("m\u{fc}nchen".into()));
    let mut case = Case { hosts: Hosts::Any, target: Some("localhost"), ..get() };
    case.headers.append("host", HeaderValue::from_bytes(b"localhost\xff").unwrap());
    case.refuses(NotAdmitted::Host("localhost\u{fffd}".into()));
}

#[test]
fn listed_origins_may_do_everything() {
    let origin = "https://app.example";
    for case in [get(), post(), post().site("cross-site")] {
        case.local().allow_origin(origin).origin(origin).passes_for(origin);
    }
    let other = "https://other.example";
    get().local().allow_origin(origin).origin(other).refuses(foreign(other));
    get().local().allow_origin(origin).origin("null").refuses(foreign("null"));
    // Being listed does not make a name that points here a host of ours.
    get()
        .host("evil.example")
        .allow_origin(origin)
        .origin(origin)
        .refuses(NotAdmitted::Host("evil.example".into()));
}

#[test]
fn any_origin_may_read_without_credentials_where_that_is_said() {
    for origin in ["https://app.example", "null", "file://"] {
        get().local().allow_any_origin().origin(origin).passes(Cors::Any);
        post().local().allow_any_origin().origin(origin).refuses(foreign(origin));
    }
    let named = "https://app.example";
    post().local().allow_any_origin().allow_origin(named).origin(named).passes_for(named);
    post().local().allow_any_origin().origin("http://localhost:4000").passes(Cors::Same);
    post().local().allow_any_origin().site("cross-site").refuses(NotAdmitted::Site);
}

/// A page that came without TLS can be anyone's on the way to its reader.
#[test]
fn with_tls_a_page_of_the_same_host_without_tls_is_foreign() {
    let tls = |origin| Case { is_tls: true, ..get().local().origin(origin) };
    tls("https://localhost:4000").passes(Cors::Same);
    tls("http://localhost:4000").refuses(foreign("http://localhost:4000"));
    Case { is_tls: true, ..post().local().origin("http://localhost:4000") }
        .refuses(foreign("http://localhost:4000"));
    tls("http://localhost:4000")
        .allow_origin("http://localhost:4000")
        .passes_for("http://localhost:4000");
}

#[test]
fn methods_are_safe_except_where_a_get_acts() {
    for method in [Method::GET, Method::HEAD] {
        assert_eq!(Intent::new(&method, false), Intent::Read);
        assert_eq!(Intent::new(&method, true), Intent::Act);
    }
    assert_eq!(Intent::new(&Method::OPTIONS, true), Intent::Read);
    for method in [Method::POST, Method::PUT, Method::DELETE, Method::PATCH] {
        assert_eq!(Intent::new(&method, false), Intent::Act);
    }
}

#[test]
fn a_probe_is_answered_whatever_its_host() {
    let probe = || Case { is_probe: true, ..get() };
    for host in ["10.1.2.3:4000", "hub.internal", "", "a b", "[::1]", "localhost"] {
        probe().host(host).passes(Cors::Same);
    }
    // The other checks hold.
    probe().host("a.example").host("b.example").refuses(NotAdmitted::NoHost);
    probe().refuses(NotAdmitted::NoHost);
    probe().host("10.1.2.3").origin("http://evil.example").refuses(foreign("http://evil.example"));
}
