//! TLS, seen by the program's own tools, and certificates that change.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::authority::{Authority, Secured};
use crate::folder::Scratch;
use crate::program::{Program, drill, tidings};

impl Authority {
    /// Publishes to the hub; returns whether that worked.
    fn publishes(&self, hub: &str, data: &str) -> bool {
        let args = ["publish", "news", data, "--hub", hub, "--ca", &self.path];
        tidings().args(args).output().unwrap().status.success()
    }
}

/// A running `tidings listen`, which ends with the drill.
struct Listening(Child);

impl Drop for Listening {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_new_certificate_is_taken_up_when_its_key_fits_and_readers_read_on() {
    drill(async {
        let folder = Scratch::new();
        let (old, new) = (Authority::new(&folder, "old.pem"), Authority::new(&folder, "new.pem"));
        let (certificate, key) = (folder.path("cert.pem"), folder.path("key.pem"));
        let write = |pair: &(String, String)| {
            fs::write(&certificate, &pair.0).unwrap();
            fs::write(&key, &pair.1).unwrap();
        };
        write(&old.issue());
        let program = Program::start(&["--tls-certificate", &certificate, "--tls-key", &key]);
        let port = program.address.port();
        let hub = format!("https://localhost:{port}");
        assert!(program.greeting.contains(&format!("curl -N {hub}/topics/hello")));

        let mut command = tidings();
        command.args(["listen", &format!("{hub}/topics/news"), "--ca", &old.path]);
        command.args(["--last-event-id", "earliest"]).stdout(Stdio::piped());
        let mut listening = Listening(command.spawn().unwrap());
        let mut lines = BufReader::new(listening.0.stdout.take().unwrap()).lines();
        assert!(old.publishes(&hub, "1"));
        assert_eq!(lines.next().unwrap().unwrap(), "1");
        assert!(!new.publishes(&hub, "-"));

        // The certificate without its key changes nothing, however long it is there.
        let pair = new.issue();
        fs::write(&certificate, &pair.0).unwrap();
        assert!(old.publishes(&hub, "2"));
        fs::write(&key, &pair.1).unwrap();
        while !new.publishes(&hub, "3") {}
        for data in ["2", "3"] {
            assert_eq!(lines.next().unwrap().unwrap(), data);
        }
    });
}

#[test]
fn ten_thousand_half_open_handshakes_keep_nobody_out() {
    /// The head of a record, and nothing in it.
    const BEGUN: &[u8] = b"\x16\x03\x01\x01\x00";
    drill(async {
        let secured = Secured::start();
        let (program, authority) = (&secured.program, &secured.authority);
        let hub = format!("https://localhost:{}", program.address.port());
        let mut command = tidings();
        command.args(["listen", &format!("{hub}/topics/news"), "--ca", &authority.path]);
        command.args(["--last-event-id", "earliest"]).stdout(Stdio::piped());
        let mut listening = Listening(command.spawn().unwrap());
        let mut lines = BufReader::new(listening.0.stdout.take().unwrap()).lines();
        assert!(authority.publishes(&hub, "before"));
        assert_eq!(lines.next().unwrap().unwrap(), "before");

        let mut half_open = Vec::new();
        for _ in 0..10_000 {
            let mut socket = TcpStream::connect(program.address).await.unwrap();
            // One that gave way already.
            let _ = socket.write_all(BEGUN).await;
            half_open.push(socket);
        }
        assert!(authority.publishes(&hub, "beside"));
        assert_eq!(lines.next().unwrap().unwrap(), "beside");
        // Each holds some kilobytes, and they are bounded.
        assert!(program.memory() < 150_000_000, "{}", program.memory());
    });
}

#[test]
fn check_reads_the_files_of_tls() {
    let folder = Scratch::new();
    let authority = Authority::new(&folder, "ca.pem");
    let (certificate, key) = (folder.path("cert.pem"), folder.path("key.pem"));
    let check = |more: &[&str]| {
        let args = ["check", "--tls-certificate", &certificate, "--tls-key", &key];
        let output = tidings().args(args).args(more).output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let (status, mistakes) = check(&[]);
    assert_eq!(status, 2);
    assert!(mistakes.contains("cert.pem cannot be read"), "{mistakes}");
    let pair = authority.issue();
    fs::write(&certificate, &pair.0).unwrap();
    fs::write(&key, authority.issue().1).unwrap();
    let (status, mistakes) = check(&[]);
    assert_eq!(status, 2);
    assert!(mistakes.contains("the key does not belong to the certificate"), "{mistakes}");
    fs::write(&key, &pair.1).unwrap();
    let (status, warnings) = check(&["--allow-host", "events.example"]);
    assert_eq!(status, 0, "{warnings}");
    let foreign = "the certificate is not for the host events.example: its names are localhost";
    assert!(warnings.contains(foreign), "{warnings}");
}
