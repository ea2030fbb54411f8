//! Every example, run in-process on a port of its own and read over real sockets.
#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

mod client;
mod emitters;
mod streams;

use std::net::{SocketAddr, TcpListener};

use axum::Router;
use tokio::runtime::Runtime;

#[path = "../../actix/emitters.rs"]
mod actix_emitters;
#[path = "../../actix/interval.rs"]
mod actix_interval;
#[path = "../../actix/shutdown.rs"]
mod actix_shutdown;
#[path = "../../axum/broadcast.rs"]
#[expect(dead_code, reason = "main is not run")]
mod axum_broadcast;
#[path = "../../axum/emitters.rs"]
#[expect(dead_code, reason = "main is not run")]
mod axum_emitters;
#[path = "../../axum/interval.rs"]
#[expect(dead_code, reason = "main is not run")]
mod axum_interval;
#[path = "../../axum/resume.rs"]
#[expect(dead_code, reason = "main is not run")]
mod axum_resume;
#[path = "../../axum/service.rs"]
#[expect(dead_code, reason = "main is not run")]
mod axum_service;
#[path = "../../axum/shutdown.rs"]
#[expect(dead_code, reason = "main is not run")]
mod axum_shutdown;
#[path = "../../hyper/emitters.rs"]
#[expect(dead_code, reason = "main is not run")]
mod hyper_emitters;
#[path = "../../hyper/interval.rs"]
#[expect(dead_code, reason = "main is not run")]
mod hyper_interval;
#[path = "../../hyper/shutdown.rs"]
#[expect(dead_code, reason = "main is not run")]
mod hyper_shutdown;
#[path = "../../smol/broadcast.rs"]
#[expect(dead_code, reason = "main is not run")]
mod smol_broadcast;

/// A free port of this machine's, bound.
fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// A runtime, and a listener of its own kind. Dropping the runtime ends what runs on it.
fn runtime() -> (Runtime, tokio::net::TcpListener, SocketAddr) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (listener, address) = listener();
    listener.set_nonblocking(true).unwrap();
    let listener = runtime.block_on(async { tokio::net::TcpListener::from_std(listener).unwrap() });
    (runtime, listener, address)
}

/// Serves an axum app until the runtime is dropped.
fn serve(app: Router) -> (Runtime, SocketAddr) {
    let (runtime, listener, address) = runtime();
    runtime.spawn(async { axum::serve(listener, app).await });
    (runtime, address)
}

/// Runs an actix-web server while `check` looks at it, and stops it.
fn with_actix(
    server: impl FnOnce(TcpListener) -> actix_web::dev::Server + Send,
    check: impl FnOnce(SocketAddr),
) {
    let (listener, address) = listener();
    let (handle, started) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        let run = scope.spawn(move || {
            actix_web::rt::System::new().block_on(async {
                let server = server(listener);
                handle.send(server.handle()).unwrap();
                server.await
            })
        });
        let handle = started.recv().unwrap();
        check(address);
        drop(handle.stop(false));
        run.join().unwrap().unwrap();
    });
}

#[test]
fn every_example_is_short_enough_to_read_at_once() {
    const LINES_MAX: usize = 79;
    const SERVICE_LINES_MAX: usize = 60;
    for (name, text) in [
        ("actix/emitters", include_str!("../../actix/emitters.rs")),
        ("actix/interval", include_str!("../../actix/interval.rs")),
        ("actix/shutdown", include_str!("../../actix/shutdown.rs")),
        ("axum/broadcast", include_str!("../../axum/broadcast.rs")),
        ("axum/emitters", include_str!("../../axum/emitters.rs")),
        ("axum/interval", include_str!("../../axum/interval.rs")),
        ("axum/resume", include_str!("../../axum/resume.rs")),
        ("axum/service", include_str!("../../axum/service.rs")),
        ("axum/shutdown", include_str!("../../axum/shutdown.rs")),
        ("hyper/emitters", include_str!("../../hyper/emitters.rs")),
        ("hyper/interval", include_str!("../../hyper/interval.rs")),
        ("hyper/shutdown", include_str!("../../hyper/shutdown.rs")),
        ("smol/broadcast", include_str!("../../smol/broadcast.rs")),
    ] {
        let lines = text.lines().count();
        let lines_max = if name == "axum/service" { SERVICE_LINES_MAX } else { LINES_MAX };
        assert!(lines <= lines_max, "{name} has {lines} lines");
    }
}
