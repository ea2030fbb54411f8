//! A new configuration is taken up while streams are open.

use std::process::Command;

use crate::program::{Program, drill};
use crate::reader::Reader;
use crate::written::Written;

#[test]
fn a_reload_changes_hosts_and_ends_no_stream_and_a_wrong_file_changes_nothing() {
    drill(async {
        let file = Written::new("reload");
        file.write("hosts = [\"old.example\"]\n");
        let mut program = Program::start(&["--config", &file.path()]);
        let mut reader = Reader::open(program.address, "/topics/news", None).await.unwrap();
        let named = async |program: &Program, host: &str| {
            let request = format!("GET http://{host}/topics HTTP/1.1\r\n\r\n");
            program.ask(&request).await[9..12].to_owned()
        };
        assert_eq!(named(&program, "old.example").await, "200");

        file.write("hosts = [\"new.example\"]\nretry = \"5s\"\n");
        let said = program.hang_up();
        assert_eq!(said, "SIGHUP: configuration reloaded; a restart is needed for retry\n");
        assert_eq!(named(&program, "new.example").await, "200");
        assert_eq!(named(&program, "old.example").await, "421");

        file.write("hosts = [\"another.example\"]\nretry = \"never\"\n");
        assert!(program.hang_up().contains("the old one stays in force"));
        assert_eq!(named(&program, "new.example").await, "200");

        program.publish("news", "still here").await;
        assert_eq!(reader.next().await.unwrap().data(), "still here");
    });
}

#[test]
fn a_reload_changes_what_topics_keep() {
    drill(async {
        let file = Written::new("retain");
        file.write("");
        let mut program = Program::start(&["--config", &file.path()]);
        for topic in ["a/1", "b"] {
            for number in 1..=9 {
                program.publish(topic, &number.to_string()).await;
            }
        }
        let kept = async |program: &Program, topic: &str| {
            let request = format!(
                "GET /topics/{topic}?after=earliest HTTP/1.1\r\nAccept: application/json\r\n\r\n"
            );
            program.ask(&request).await.matches("\"data\":").count()
        };
        assert_eq!([kept(&program, "a/1").await, kept(&program, "b").await], [9, 9]);
        file.write("[[topics]]\nmatch = \"a/*\"\nretain = { events = 3 }\n");
        assert_eq!(program.hang_up(), "SIGHUP: configuration reloaded\n");
        assert_eq!([kept(&program, "a/1").await, kept(&program, "b").await], [3, 9]);
        file.write("history_events = 2\nretain = [\"a/*=events:5\"]\n");
        assert_eq!(program.hang_up(), "SIGHUP: configuration reloaded\n");
        program.publish("a/1", "10").await;
        assert_eq!([kept(&program, "a/1").await, kept(&program, "b").await], [4, 2]);
    });
}

#[test]
fn check_shows_values_with_their_sources_and_tells_mistakes_by_its_status() {
    let file = Written::new("check");
    let check = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidings"));
        let command = command.args(["check", "--config", &file.path(), "--retry", "3s"]);
        let output = command.env("TIDINGS_HEARTBEAT", "9s").output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    };
    file.write("origins = [\"*\"]\n");
    let (status, shown, warnings) = check();
    assert_eq!(status, 0, "{warnings}");
    assert!(
        shown.contains("tidings.toml:1\n") && shown.contains("# TIDINGS_HEARTBEAT\n"),
        "{shown}"
    );
    assert!(warnings.contains("warning: every web page may read"), "{warnings}");

    file.write("origins = [\"a\"]\nhost = 1\n");
    let (status, shown, mistakes) = check();
    assert_eq!((status, shown.as_str()), (2, ""));
    assert!(mistakes.contains("tidings.toml:1: origins = \"a\": "), "{mistakes}");
    assert!(
        mistakes.contains("tidings.toml:2: unknown key 'host': did you mean 'hosts'?"),
        "{mistakes}"
    );
}
