//! The yardstick: the cheapest honest server of event streams.
//!
//! It has one thread and one epoll. An event is encoded once and costs one `send` for each
//! subscriber and nothing else: no history, no IDs, no heartbeats, and no limits beyond those that
//! keep the server alive. The additional cost of another server is the cost of its guarantees.
//!
//! A subscriber that cannot take a whole event at once is closed, because waiting would need
//! bookkeeping, a buffer and a second `send`.

mod request;
mod server;
mod topics;

use std::env;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::ExitCode;

use server::{Mode, Server};

const USAGE: &str = "\
Serve GET /topics/{topic} as an event stream and POST /topics/{topic} with an event as its body

Usage: limit [--merge] ADDRESS

      --merge  Send all events published during a round of sends with one send per subscriber
";

fn main() -> ExitCode {
    let Some((address, mode)) = parse(env::args().skip(1)) else {
        eprint!("{USAGE}");
        return ExitCode::from(2);
    };
    match serve(address, mode) {
        Ok(never) => match never {},
        Err(error) => {
            eprintln!("limit: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(address: SocketAddr, mode: Mode) -> io::Result<std::convert::Infallible> {
    let server = Server::bind(address, mode)?;
    writeln!(io::stdout(), "listening on {}", server.local_addr()?)?;
    server.run()
}

fn parse(arguments: impl Iterator<Item = String>) -> Option<(SocketAddr, Mode)> {
    let mut mode = Mode::EachAlone;
    let mut address = None;
    for argument in arguments {
        match argument.as_str() {
            "--merge" => mode = Mode::Merged,
            text if address.is_none() => address = Some(text.parse().ok()?),
            _ => return None,
        }
    }
    Some((address?, mode))
}

#[cfg(test)]
mod tests {
    use super::parse;
    use crate::server::Mode;

    fn check(arguments: &[&str], wanted: Option<(&str, Mode)>) {
        let found = parse(arguments.iter().map(|&argument| argument.to_owned()));
        let wanted = wanted.map(|(address, mode)| (address.parse().expect("an address"), mode));
        assert_eq!(found, wanted, "{arguments:?}");
    }

    #[test]
    fn the_address_is_needed_and_merging_asked_for() {
        check(&["127.0.0.1:1"], Some(("127.0.0.1:1", Mode::EachAlone)));
        check(&["--merge", "127.0.0.1:1"], Some(("127.0.0.1:1", Mode::Merged)));
        check(&["--merge"], None);
        check(&["localhost"], None);
        check(&["127.0.0.1:1", "127.0.0.1:2"], None);
    }
}
