//! Health, readiness, metrics, and the pages.

use crate::harness::start;

#[tokio::test]
async fn health_says_what_a_committed_event_survives() {
    let server = start().await;
    let health = server.get("/healthz").answer().await;
    assert_eq!(health.json(), serde_json::json!({ "status": "ok", "durability": "process" }));
    assert_eq!(server.get("/readyz").answer().await.json()["status"], "ready");
}

#[tokio::test]
async fn metrics_count_in_the_words_of_the_vocabulary() {
    let server = start().await;
    let mut stream = server.stream("/topics/a").await;
    server.publish("a", "1").await;
    stream.event().await;
    server.get("/nothing").answer().await;
    let answer = server.get("/metrics").answer().await;
    assert_eq!(answer.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    assert_eq!(answer.headers.get_all("vary").iter().collect::<Vec<_>>(), ["Accept", "Origin"]);
    let text = answer.text();
    for line in [
        "tidings_subscribers 1",
        "tidings_streams 1",
        "tidings_topics 1",
        "tidings_history_events 1",
        "tidings_events_published_total 1",
        "tidings_events_delivered_total 1",
        "tidings_gaps_total 0",
        "tidings_refused_total{problem=\"not-found\"} 1",
        "tidings_refused_total{problem=\"foreign-host\"} 0",
        "tidings_accept_failed_total 0",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
    assert!(text.contains("\ntidings_history_bytes "));
    // Labels are in one order, whatever was refused first.
    let problems: Vec<_> =
        text.lines().filter(|line| line.starts_with("tidings_refused_total{")).collect();
    assert!(problems[0].contains("unknown-parameter"), "{problems:?}");
    assert!(problems.last().unwrap().contains("journal-failed"), "{problems:?}");
}

#[tokio::test]
async fn metrics_come_in_the_format_that_is_accepted() {
    let server = start().await;
    let get = server.get("/metrics").header("accept", "application/openmetrics-text;version=1.0.0");
    let open = get.answer().await;
    assert!(open.header("content-type").starts_with("application/openmetrics-text"));
    assert!(open.text().ends_with("# EOF\n"));
    assert!(open.text().contains("\n# TYPE tidings_refused counter\n"));
    let classic = server.get("/metrics").answer().await.text();
    assert!(classic.contains("\n# TYPE tidings_refused_total counter\n"));
    assert!(!classic.contains("# EOF") && !classic.contains("# UNIT"));
    for text in [open.text(), classic] {
        let version = env!("CARGO_PKG_VERSION");
        assert!(text.contains(&format!("\ntidings_build_info{{version=\"{version}\"}} 1\n")));
        if cfg!(target_os = "linux") {
            for name in
                ["cpu_seconds_total", "resident_memory_bytes", "start_time_seconds", "max_fds"]
            {
                assert!(text.contains(&format!("\nprocess_{name} ")), "{name} is not in\n{text}");
            }
        }
    }
}

#[tokio::test]
async fn a_load_balancer_probes_an_address() {
    let server = start().await;
    for path in ["/healthz", "/readyz"] {
        let answer = server.get(path).host("10.1.2.3:4000").answer().await;
        assert_eq!(answer.status, 200, "{path}");
    }
    server.get("/metrics").host("10.1.2.3:4000").answer().await.problem(421, "foreign-host");
}

#[tokio::test]
async fn topics_are_listed_page_by_page() {
    let server = start().await;
    for topic in ["b", "a", "c", "a"] {
        server.publish(topic, "x").await;
    }
    let first = server.get("/topics?limit=2").answer().await.json();
    let names = |page: &serde_json::Value| -> Vec<String> {
        let topics = page["topics"].as_array().unwrap();
        topics.iter().map(|topic| topic["topic"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&first), ["a", "b"]);
    assert_eq!(first["topics"][0]["events"], 2);
    assert_eq!(first["next"], "b");
    let rest = server.get("/topics?limit=2&after=b").answer().await.json();
    assert_eq!(names(&rest), ["c"]);
    assert!(rest.get("next").is_none());
    // A topic's place resumes there.
    let place = first["topics"][1]["last_event_id"].as_str().unwrap();
    let mut stream = server.get("/events?match=*").header("last-event-id", place).stream().await;
    assert_eq!(stream.data().await, "x");
}

#[tokio::test]
async fn the_page_loads_only_what_the_server_sends() {
    let server = start().await;
    let page = server.get("/").answer().await;
    assert_eq!(page.status, 200);
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    assert!(page.header("content-security-policy").contains("default-src 'none'"));
    assert_eq!(page.header("x-content-type-options"), "nosniff");
    assert_eq!(page.header("referrer-policy"), "no-referrer");
    let text = page.text();
    let mut assets = 0;
    // Relative, so that the page works beneath a path of a proxy's, too.
    assert!(!text.contains("\"/"), "{text}");
    for part in text.split('"').filter(|part| part.starts_with("assets/")) {
        let part = &format!("/{part}");
        let asset = server.get(part).answer().await;
        assert_eq!(asset.status, 200, "{part}");
        let again = server.get(part).header("if-none-match", asset.header("etag")).answer().await;
        assert_eq!((again.status.as_u16(), again.body.len()), (304, 0), "{part}");
        assets += 1;
    }
    assert!(assets > 3, "{text}");
}
