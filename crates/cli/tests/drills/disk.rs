//! Disks and folders that fail, and folders that are moved, copied and restored.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{ChildStderr, Command, Output};
use std::sync::Arc;

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use tokio::task::JoinSet;

use crate::folder::{Scratch, dumped, journal, journal_prints, segments};
use crate::program::{Program, drill, post, tidings};
use crate::publisher::{Acknowledged, publish};
use crate::reader::Reader;
use crate::written::Written;

/// Waits until the program's log says something, stops the program, and checks that it was said once. Returns
/// the line.
fn told_once(program: Program, log: ChildStderr, what: &str) -> String {
    let mut lines = BufReader::new(log).lines().map(Result::unwrap);
    let line = lines.find(|line| line.contains(what)).expect("the log says it");
    program.stop();
    assert!(!lines.any(|line| line.contains(what)), "the log says '{what}' twice");
    line
}

/// Runs `tidings serve` where it is refused at the start, and returns its one sentence. A program that
/// serves instead is killed when the drill's time is over.
async fn refused(args: &[&str]) -> String {
    let mut command = tokio::process::Command::from(tidings());
    command.args(["serve", "--listen", "127.0.0.1:0"]).args(args).kill_on_drop(true);
    let Output { status, stdout, stderr } = command.output().await.unwrap();
    assert_eq!((status.code(), stdout.len()), (Some(1), 0));
    let sentence = String::from_utf8(stderr).unwrap();
    assert!(sentence.starts_with("tidings: ") && sentence.lines().count() == 1, "{sentence}");
    sentence
}

#[test]
fn the_first_lines_say_where_events_are_and_what_they_survive() {
    drill(async {
        let scratch = Scratch::new();
        let folder = scratch.path("data");
        let on_disk = Program::start(&["--data", &folder, "--history-bytes", "1GiB"]);
        for part in [
            &format!("history: 1024 MiB in the folder {folder}, 256 MiB of it in memory\n"),
            "durability: synced (acknowledged events survive crashes",
        ] {
            assert!(on_disk.greeting.contains(part), "{}", on_disk.greeting);
        }
        let mode = fs::metadata(&folder).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700, "the folder is its owner's alone");
        let in_memory = Program::start(&[]);
        for part in ["history: 256 MiB in memory\n", "durability: process (events are lost"] {
            assert!(in_memory.greeting.contains(part), "{}", in_memory.greeting);
        }
    });
}

#[test]
fn a_full_disk_refuses_events_and_takes_them_when_there_is_room() {
    const BYTES: u64 = 256 * 1024;
    drill(async {
        let scratch = Scratch::new();
        let folder = scratch.path("data");
        let (program, log) = Program::start_with_file_bytes(BYTES, &["--data", &folder]);
        let mut live = Reader::open(program.address, "/topics/news", None).await.unwrap();
        let data = |number: usize| format!("{number:>1000}");
        let mut published = 0;
        let refusal = loop {
            let answer = program.ask(&post("news", &data(published))).await;
            if !answer.starts_with("HTTP/1.1 201 ") {
                break answer;
            }
            published += 1;
        };
        assert!(refusal.starts_with("HTTP/1.1 507 "), "{refusal}");
        assert!(refusal.contains("retry-after: ") && refusal.contains("journal-full"), "{refusal}");
        assert!(published > 200, "{published} events");
        // Reading goes on, and health knows that nothing is broken.
        for number in 0..published {
            assert_eq!(live.next().await.unwrap().data(), data(number));
        }
        let health = program.ask("GET /healthz HTTP/1.1\r\n\r\n").await;
        assert!(health.starts_with("HTTP/1.1 200 "), "{health}");
        assert!(program.metric("tidings_journal_refused_total").await > 0);

        let unlimited = Rlimit { current: None, maximum: None };
        let pid = Pid::from_raw(program.id().try_into().unwrap());
        prlimit(pid, Resource::Fsize, unlimited).unwrap();
        program.publish("news", "room").await;
        assert_eq!(live.next().await.unwrap().data(), "room");
        drop(live);
        told_once(program, log, "journal refused commits");
        let all: Vec<_> = dumped(&folder)["news"].iter().map(|(data, _)| data.clone()).collect();
        assert_eq!(all.len(), published + 1);
        assert_eq!(all[published], "room");
    });
}

#[test]
fn a_journal_that_cannot_go_on_stops_writing_and_says_so() {
    drill(async {
        let scratch = Scratch::new();
        let folder = scratch.path("data");
        let args = ["--data", &folder, "--history-bytes", "1MiB"];
        let (program, log) = Program::start_unread(&args);
        program.publish("news", "kept").await;
        fs::remove_dir_all(&folder).unwrap();
        // The next segment cannot be created.
        let data = "x".repeat(100_000);
        let refusal = loop {
            let answer = program.ask(&post("large", &data)).await;
            if !answer.starts_with("HTTP/1.1 201 ") {
                break answer;
            }
        };
        assert!(refusal.starts_with("HTTP/1.1 503 "), "{refusal}");
        assert!(program.ask(&post("news", "later")).await.starts_with("HTTP/1.1 503 "));
        let health = program.ask("GET /healthz HTTP/1.1\r\n\r\n").await;
        assert!(health.starts_with("HTTP/1.1 503 "), "{health}");
        assert!(health.contains("journal-failed") && health.contains("\"failure\":"), "{health}");
        assert_eq!(program.metric("tidings_journal_failed").await, 1);
        // Reading goes on.
        let earliest = Some("earliest".to_owned());
        let mut reader = Reader::open(program.address, "/topics/news", earliest).await.unwrap();
        assert_eq!(reader.next().await.unwrap().data(), "kept");
        drop(reader);
        told_once(program, log, "journal stopped writing");
    });
}

#[test]
fn a_folder_that_cannot_be_used_is_one_sentence_and_status_1() {
    drill(async {
        let scratch = Scratch::new();
        // Even root cannot write there.
        let read_only = refused(&["--data", "/sys"]).await;
        assert!(
            read_only
                .contains("the journal in /sys: the journal's folder cannot be read or written")
        );
        let file = scratch.path("file");
        fs::write(&file, "").unwrap();
        assert!(refused(&["--data", &file]).await.contains(&file));

        let folder = scratch.path("data");
        let program = Program::start(&["--data", &folder]);
        assert!(refused(&["--data", &folder]).await.contains("is in use by another process"));
        let epoch = journal("new-epoch", &folder);
        assert_eq!(epoch.status.code(), Some(1));
        program.publish("news", "still here").await;
        program.stop();

        // The version is the first number after the magic.
        let head = Path::new(&folder).join("journal");
        let mut bytes = fs::read(&head).unwrap();
        bytes[8] = 5;
        let checksum = [&bytes[..12], &bytes[16..]].concat();
        bytes[12..16].copy_from_slice(&crc32fast::hash(&checksum).to_le_bytes());
        fs::write(&head, bytes).unwrap();
        let newer = refused(&["--data", &folder]).await;
        assert!(
            newer.contains("is of version 5; this program knows version 4 and older"),
            "{newer}"
        );
    });
}

#[test]
fn a_damaged_file_loses_what_was_damaged_and_is_told_of() {
    drill(async {
        let scratch = Scratch::new();
        let folder = scratch.path("data");
        let program = Program::start(&["--data", &folder]);
        let mut place = String::new();
        for number in 0..100 {
            let id = program.publish("news", &format!("event {number}")).await;
            if number == 40 {
                place = id;
            }
        }
        program.stop();
        let segment = segments(&folder).pop().unwrap();
        let mut bytes = fs::read(&segment).unwrap();
        let at = bytes.windows(8).position(|window| window == b"event 50").unwrap();
        bytes[at] ^= 1;
        fs::write(&segment, bytes).unwrap();

        let checked = journal("check", &folder);
        assert_eq!((checked.status.code(), checked.stdout.len()), (Some(1), 0));
        let findings = String::from_utf8(checked.stderr).unwrap();
        let name = segment.file_name().unwrap().to_str().unwrap();
        assert!(findings.contains(name) && findings.contains("entry 51 is lost"), "{findings}");
        assert!(findings.contains("damaged in 1 place; sound entries: 99"), "{findings}");

        let (program, log) = Program::start_unread(&["--data", &folder]);
        let health = program.ask("GET /healthz HTTP/1.1\r\n\r\n").await;
        assert!(health.starts_with("HTTP/1.1 200 "), "{health}");
        assert!(health.contains("entry 51 is lost"), "{health}");
        assert_eq!(program.metric("tidings_journal_damage").await, 1);
        program.publish("news", "after").await;
        // A reader that has read what comes before is told, and gets everything else.
        let mut reader = Reader::open(program.address, "/topics/news", Some(place)).await.unwrap();
        let (mut read, mut gaps) = (Vec::new(), 0);
        while read.last().is_none_or(|data| data != "after") {
            let event = reader.next().await.unwrap();
            match event.event_type() {
                "gap" => gaps += 1,
                _ => read.push(event.data().to_owned()),
            }
        }
        let is_held = |number: &usize| *number != 50;
        let mut held: Vec<_> = (41..100).filter(is_held).map(|n| format!("event {n}")).collect();
        held.push("after".to_owned());
        assert_eq!((read, gaps), (held, 1));
        assert_eq!(program.metric("tidings_gaps_total").await, 1);
        drop(reader);
        let line = told_once(program, log, "journal damaged");
        assert!(line.contains(name), "{line}");
        tells_strangers_less(&folder).await;
    });
}

/// With authentication, damage is for those who may manage the hub.
async fn tells_strangers_less(folder: &str) {
    let file = Written::new("damage");
    let made = tidings().args(["key", "new", "operator", "--manage", "**"]).output().unwrap();
    let made = String::from_utf8(made.stdout).unwrap();
    let (key, line) = made.trim_end().split_once('\n').unwrap();
    file.write(&format!("[auth]\napi_keys = [{line}]\n"));
    let program = Program::start(&["--data", folder, "--config", &file.path()]);
    let health = async |header: &str| {
        let answer = program.ask(&format!("GET /healthz HTTP/1.1\r\n{header}\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        answer.rsplit_once("\r\n\r\n").unwrap().1.to_owned()
    };
    let to_strangers = "{\"durability\":\"synced\",\"status\":\"ok\"}\n";
    assert_eq!(health("").await, to_strangers);
    assert_eq!(health("Authorization: Bearer wrong\r\n").await, to_strangers);
    let to_managers = health(&format!("Authorization: Bearer {key}\r\n")).await;
    assert!(to_managers.contains("entry 51 is lost"), "{to_managers}");
}

#[test]
fn a_journal_moves_to_another_folder_with_its_readers_places() {
    drill(async {
        let scratch = Scratch::new();
        let (old, new) = (scratch.path("old"), scratch.path("new"));
        let program = Program::start(&["--data", &old]);
        let place = program.publish("news", "read").await;
        program.publish("news", "missed").await;
        program.stop();
        fs::rename(&old, &new).unwrap();
        let program = Program::start(&["--data", &new]);
        let mut reader = Reader::open(program.address, "/topics/news", Some(place)).await.unwrap();
        let missed = reader.next().await.unwrap();
        assert_eq!((missed.event_type(), missed.data()), ("message", "missed"));
    });
}

/// Runs a line of a shell, in which `$TIDINGS` is the program, to its successful end.
fn shell(line: &str) {
    let mut shell = Command::new("sh");
    let output = shell.args(["-ec", line]).env("TIDINGS", tidings().get_program()).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{line}: {output:?}");
}

#[test]
fn a_journal_is_backed_up_while_it_is_written() {
    drill(async {
        let scratch = Scratch::new();
        let (folder, copy) = (scratch.path("data"), scratch.path("copy"));
        let program = Program::start(&["--data", &folder]);
        let acknowledged = Acknowledged::new(program.address, 1, 0);
        let mut publishers = JoinSet::new();
        let random = fastrand::Rng::new();
        publishers.spawn(publish(Arc::clone(&acknowledged), 0, 20, random));
        acknowledged.more(2000).await;
        let before = acknowledged.of(0);
        let line = format!("mkdir {copy} && cp {folder}/* {copy}/");
        tokio::task::spawn_blocking(move || shell(&line)).await.unwrap();
        acknowledged.end();
        publishers.join_next().await.unwrap().unwrap();

        assert!(journal_prints("check", &copy).starts_with("sound: "));
        let ids: Vec<_> = dumped(&copy)["t0"].iter().map(|(_, id)| id.clone()).collect();
        assert!(ids.starts_with(&before), "{} of {} events", ids.len(), before.len());
        // Beside the original, the copy is another history.
        assert!(journal_prints("new-epoch", &copy).contains("new epoch"));
        let restored = Program::start(&["--data", &copy]);
        let place = before.last().cloned();
        let mut reader = Reader::open(restored.address, "/topics/t0", place).await.unwrap();
        assert_eq!(reader.next().await.unwrap().event_type(), "gap");
    });
}

#[test]
fn a_dump_is_published_again_as_it_was() {
    drill(async {
        let scratch = Scratch::new();
        let (first, second) = (scratch.path("first"), scratch.path("second"));
        let program = Program::start(&["--data", &first]);
        let place = program.publish("news", "one\ntwo \u{9b}\"").await;
        let json =
            r#"{"topics":["a","b"],"data":{"n":1},"type":"t","id":"7","retry":5,"private":true}"#;
        let request = format!(
            "POST /events HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{json}",
            json.len()
        );
        assert!(program.ask(&request).await.starts_with("HTTP/1.1 201 "));
        let relayed =
            "POST /topics/news HTTP/1.1\r\nRelay-Via: 1/x, 2/y%2Fz\r\nContent-Length: 1\r\n\r\nx";
        assert!(program.ask(relayed).await.starts_with("HTTP/1.1 201 "));
        // A dump does not need the hub to stop.
        let dump = journal_prints("dump", &first);
        program.stop();
        assert_eq!(dump.lines().count(), 3);
        assert!(dump.contains(r#""via":"1/x, 2/y%2Fz","data":"x""#), "{dump}");

        let program = Program::start(&["--data", &second]);
        let address = program.address;
        shell(&format!(
            "$TIDINGS journal dump {first} | $TIDINGS publish --hub http://{address} --ndjson -"
        ));
        // Readers of the first hub resume at the second.
        let mut reader = Reader::open(program.address, "/topics/news", Some(place)).await.unwrap();
        program.publish("news", "three").await;
        for data in ["x", "three"] {
            let next = reader.next().await.unwrap();
            assert_eq!((next.event_type(), next.data()), ("message", data));
        }
        program.stop();
        assert!(journal_prints("dump", &second).starts_with(&dump));
    });
}
