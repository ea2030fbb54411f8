//! A revocation outlives the process.

use crate::folder::Scratch;
use crate::program::{Program, drill, tidings};
use crate::written::Written;

#[test]
fn tokens_that_were_revoked_stay_refused_after_a_restart_and_after_a_crash() {
    drill(async {
        let (file, scratch) = (Written::new("revoked"), Scratch::new());
        let (path, folder) = (file.path(), scratch.path("data"));
        let secret = file.path().replace("tidings.toml", "secret");
        std::fs::write(&secret, "a secret of thirty-two bytes, ok\n").unwrap();
        file.write("[auth]\nkeys = [{ algorithm = \"HS256\", secret_file = \"secret\" }]\n");
        let token = |subject: &str, right: &str| {
            let args = ["token", "--secret-file", &secret, "--subject", subject, right, "**"];
            let output = tidings().args(args).output().unwrap();
            String::from_utf8(output.stdout).unwrap().trim().to_owned()
        };
        let (alice, bob) = (token("alice", "--subscribe"), token("bob", "--subscribe"));
        let manager = token("manager", "--manage");
        let args = ["--config", &path, "--data", &folder];
        let status = async |program: &Program, request: &str, token: &str| {
            let bearer = format!("\r\nAuthorization: Bearer {token}\r\n");
            program.ask(&request.replacen("\r\n", &bearer, 1)).await[9..12].to_owned()
        };
        let get = "GET /topics/a HTTP/1.1\r\nAccept: application/json\r\n\r\n";
        let delete =
            |subject: &str| format!("DELETE /subscribers?subject={subject} HTTP/1.1\r\n\r\n");

        let program = Program::start(&args);
        assert_eq!(status(&program, get, &alice).await, "200");
        assert_eq!(status(&program, &delete("alice"), &manager).await, "204");
        assert_eq!(status(&program, get, &alice).await, "401");
        program.stop();
        let mut program = Program::start(&args);
        assert_eq!(status(&program, get, &alice).await, "401");
        assert_eq!(status(&program, get, &bob).await, "200");
        assert_eq!(status(&program, &delete("bob"), &manager).await, "204");
        program.kill();

        let program = Program::start(&args);
        for token in [&alice, &bob] {
            assert_eq!(status(&program, get, token).await, "401");
        }
        assert_eq!(status(&program, get, &token("alice", "--subscribe")).await, "200");
        program.stop();
    });
}
