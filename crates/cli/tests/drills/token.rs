//! Tokens and API keys made by the program are believed by its hub.

use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::program::{Program, drill};
use crate::written::Written;

/// Runs the program with standard input; its status and its output.
fn run(args: &[&str], input: &str) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidings"));
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(text).unwrap())
}

#[test]
fn made_tokens_and_keys_open_what_they_say_until_a_reload_takes_the_key_away() {
    drill(async {
        let file = Written::new("token");
        let secret = file.path().replace("tidings.toml", "secret");
        std::fs::write(&secret, "a secret of thirty-two bytes, ok\n").unwrap();
        let made = ["token", "--secret-file", &secret, "--subject", "alice", "--subscribe", "a/*"];
        let (status, token) = run(&made, "");
        assert_eq!(status, 0, "{token}");
        let token = token.trim();
        let (status, all) = run(&["key", "new", "backend"], "");
        let rights =
            ["publish", "subscribe", "stop", "manage"].map(|it| format!("{it} = [\"**\"]"));
        let everything = format!("{} }}\n", rights.join(", "));
        assert!(status == 0 && all.contains(&everything), "{all}");
        let (status, key) = run(&["key", "new", "backend", "--publish", "**"], "");
        assert_eq!(status, 0, "{key}");
        let (key, line) = key.trim_end().split_once('\n').unwrap();
        let keys = "keys = [{ algorithm = \"HS256\", secret_file = \"secret\" }]";
        file.write(&format!("[auth]\n{keys}\napi_keys = [{line}]\n"));
        let path = file.path();
        let explained = |token: &str| {
            run(&["token", "--explain", "-", "--config", &path], &format!("{token}\n"))
        };
        let (status, text) = explained(token);
        assert_eq!(status, 0, "{text}");
        assert!(text.contains("\"sub\":\"alice\"") && text.contains("subscribe: a/*\n"), "{text}");
        assert!(explained(key).1.starts_with("API key: backend\n"));
        let (status, text) = explained(&token[..token.len() - 2]);
        assert!(status == 1 && text.contains("refused: its signature"), "{text}");

        let mut program = Program::start(&["--config", &path]);
        let sends_token = "curl -N -H \"Authorization: Bearer $TOKEN\" http://";
        assert!(program.greeting.contains(sends_token), "{}", program.greeting);
        let with = |token: &str, request: &str| {
            request.replacen("\r\n", &format!("\r\nAuthorization: Bearer {token}\r\n"), 1)
        };
        let post = "POST /topics/a/1 HTTP/1.1\r\nContent-Length: 1\r\n\r\nx";
        let get = "GET /topics/a/1 HTTP/1.1\r\nAccept: application/json\r\n\r\n";
        for (request, status) in [
            (post.to_owned(), "401"),
            (with(token, post), "403"),
            (with(key, post), "201"),
            (get.to_owned(), "401"),
            (with(key, get), "403"),
            (with(token, get), "200"),
        ] {
            let answer = program.ask(&request).await;
            assert_eq!(&answer[9..12], status, "{request}: {answer}");
        }
        file.write(&format!("[auth]\n{keys}\n"));
        assert_eq!(program.hang_up(), "SIGHUP: configuration reloaded\n");
        assert_eq!(&program.ask(&with(key, post)).await[9..12], "401");
        assert_eq!(&program.ask(&with(token, get)).await[9..12], "200");
    });
}
