//! Words that are forbidden in some files, with the reason.

use super::Finding;
use super::source::Source;

pub(super) fn findings(sources: &[Source]) -> Vec<Finding> {
    sources.iter().flat_map(|source| BANS.iter().flat_map(|ban| ban.findings(source))).collect()
}

struct Ban {
    /// Found only where no letter, digit or `_` precedes.
    words: &'static [&'static str],
    within: Within,
    /// Returns whether the ban applies to the file at this path.
    concerns: fn(&str) -> bool,
    /// Completes "`word`: …".
    why: &'static str,
}

/// The part of a file that is searched.
#[derive(Clone, Copy)]
enum Within {
    /// All of it.
    Text,
    /// Code, without comments and strings.
    Code,
    /// Code, without tests.
    Product,
    /// Code of tests.
    Tests,
}

/// Some words are concatenated here, so that this file does not contain them.
const BANS: [Ban; 13] = [
    Ban {
        words: &[concat!("TO", "DO"), concat!("FIX", "ME")],
        within: Within::Text,
        concerns: |_| true,
        why: "finish it, or file an issue",
    },
    Ban {
        words: &["todo!", "unimplemented!", "dbg!"],
        within: Within::Code,
        concerns: is_rust,
        why: "finish it before it lands",
    },
    Ban {
        words: &["#[ignore", "#[should_panic"],
        within: Within::Code,
        concerns: is_rust,
        why: "every test runs, and asserts a value",
    },
    Ban {
        words: &["sleep", "sleep_until"],
        within: Within::Tests,
        concerns: is_rust,
        why: "wait for the thing itself, or step the clock",
    },
    Ban {
        words: &["setTimeout", "setInterval", "waitForTimeout"],
        within: Within::Code,
        concerns: |path| path.starts_with("e2e/") && path != "e2e/lib/wait.mjs",
        why: "wait for the thing itself, with e2e/lib/wait.mjs",
    },
    Ban {
        words: &["skip(", "only(", "todo(", "skip:", "only:", "todo:"],
        within: Within::Code,
        concerns: |path| path.starts_with("e2e/") && path.ends_with(".test.mjs"),
        why: "every test runs",
    },
    Ban {
        words: &[
            concat!("/wo", "rk/"),
            concat!("/tmp", "/wt"),
            concat!("/ro", "ot/"),
            concat!("/ho", "me/"),
        ],
        within: Within::Text,
        concerns: |_| true,
        why: "a path of one machine is meaningless on another",
    },
    Ban {
        words: &["env::var", "env::{", "from_default_env", "EnvFilter::from_env"],
        within: Within::Product,
        concerns: |path| is_product(path) && !reads_environment(path),
        why: "only the configuration of crates/cli reads the environment",
    },
    Ban {
        words: &["fs::", "File::"],
        within: Within::Product,
        concerns: |path| is_product(path) && !reads_files(path),
        why: "only the configuration of crates/cli reads files",
    },
    Ban {
        words: &["Instant::now", "SystemTime::now", "elapsed()"],
        within: Within::Product,
        concerns: |path| is_clockless(path) && path != "crates/hub/src/time.rs",
        why: "time is an argument; crates/hub/src/time.rs is where it enters",
    },
    Ban {
        words: &["println!", "eprintln!", "print!", "eprint!"],
        within: Within::Product,
        concerns: |path| is_product(path) && !path.starts_with("crates/cli/"),
        why: "a library does not print",
    },
    Ban {
        words: &["http://", "https://", "--index-url", "--extra-index-url"],
        within: Within::Text,
        concerns: |path| {
            path.ends_with("package-lock.json")
                || ["e2e/requirements.txt", "xtask/tools.txt"].contains(&path)
        },
        why: "packages are pinned by hash; the installing machine chooses the registry",
    },
    Ban {
        words: &["registry=", "index-url"],
        within: Within::Text,
        concerns: |path| path.ends_with(".npmrc") || path.ends_with("pip.conf"),
        why: "the installing machine chooses the registry",
    },
];

fn is_rust(path: &str) -> bool {
    path.ends_with(".rs")
}

/// Code that is shipped, as opposed to code for building and testing.
fn is_product(path: &str) -> bool {
    is_rust(path)
        && ["proto", "hub", "server", "client", "bench", "cli"]
            .iter()
            .any(|name| path.starts_with(&format!("crates/{name}/src/")))
}

/// The files that may read the environment. The client's `Proxy::from_env`, which its caller asks
/// for, leaves that to a library.
fn reads_environment(path: &str) -> bool {
    is_configuration(path)
}

/// The files that may open files.
fn reads_files(path: &str) -> bool {
    is_configuration(path)
        // The place in a stream, written while the program runs.
        || path == "crates/cli/src/state_file.rs"
        // The edge of the journal on disk.
        || path == "crates/hub/src/journal/disk/folder.rs"
        // What the kernel tells of a server's processes, again and again as a run goes on.
        || path == "crates/bench/src/measure/processes.rs"
        // The same about the hub's own process, for its metrics.
        || path == "crates/server/src/metrics/process.rs"
}

fn is_configuration(path: &str) -> bool {
    path == "crates/cli/src/config.rs" || path.starts_with("crates/cli/src/config/")
}

/// The crates in which `now` is always an argument.
fn is_clockless(path: &str) -> bool {
    is_product(path) && (path.starts_with("crates/proto/") || path.starts_with("crates/hub/"))
}

impl Ban {
    fn findings(&self, source: &Source) -> Vec<Finding> {
        if !(self.concerns)(&source.path) {
            return Vec::new();
        }
        let looked_at = match self.within {
            Within::Text => &source.text,
            Within::Code | Within::Product | Within::Tests => &source.code,
        };
        let mut findings = Vec::new();
        for (number, line) in looked_at.lines().enumerate() {
            let concerned = match self.within {
                Within::Text | Within::Code => true,
                Within::Product => !source.test_lines.contains(&number),
                Within::Tests => source.test_lines.contains(&number),
            };
            let word = self.words.iter().find(|word| concerned && holds(line, word));
            findings.extend(word.map(|word| Finding {
                place: format!("{}:{}", source.path, number + 1),
                what: format!("`{word}`: {}", self.why),
            }));
        }
        findings
    }
}

/// Returns whether `word` stands alone in `line`: `sleep` in `time::sleep(…)` and not in `asleep`.
fn holds(line: &str, word: &str) -> bool {
    let in_name = |c: char| c.is_alphanumeric() || c == '_';
    // `env::var` also stands for `env::vars` and `env::var_os`.
    let may_go_on = !word.ends_with(in_name) || word.ends_with("var");
    line.match_indices(word).any(|(at, _)| {
        let goes_on = line[at + word.len()..].starts_with(in_name);
        !line[..at].ends_with(in_name) && (may_go_on || !goes_on)
    })
}

#[cfg(test)]
mod tests {
    use super::findings;

    #[track_caller]
    fn check(path: &str, text: &str, lines: &[usize]) {
        crate::tidy::check_lines(findings, path, text, lines);
    }

    #[test]
    fn what_is_left_to_do_is_found_in_any_file_and_in_comments() {
        let note = concat!("a\n# TO", "DO: b\n");
        check("docs/a.md", note, &[2]);
        check("crates/hub/src/a.rs", concat!("// FIX", "ME b\n"), &[1]);
        check("docs/a.md", concat!("AUTO", "TO", "DO\n"), &[]);
    }

    #[test]
    fn unfinished_code_is_found_but_not_where_it_is_only_mentioned() {
        check("crates/hub/src/a.rs", "fn a() {\n    todo!()\n}\n", &[2]);
        check("crates/hub/src/a.rs", "// Never `todo!()`.\nlet a = \"todo!\";\n", &[]);
    }

    #[test]
    fn tests_that_do_not_run_are_found() {
        check("crates/hub/tests/a.rs", "#[ignore = \"slow\"]\n#[should_panic]\n", &[1, 2]);
        check(
            "e2e/a.test.mjs",
            "test.skip('a')\ntest('b', { skip: true })\ntest.only('c')\n",
            &[1, 2, 3],
        );
        check("e2e/a.test.mjs", "test('skip: only(')\n", &[]);
    }

    #[test]
    fn sleeping_is_found_in_tests_alone() {
        let text =
            "fn a() { sleep(b); }\n#[cfg(test)]\nmod tests {\n    use tokio::time::{sleep};\n}\n";
        check("crates/server/src/a.rs", text, &[4]);
        check("crates/testkit/src/a.rs", "std::thread::sleep(a);\nasleep();\n", &[1]);
        check("e2e/a.test.mjs", "await page.waitForTimeout(5);\nsetTimeout(a, 5);\n", &[1, 2]);
        check("e2e/lib/wait.mjs", "setTimeout(a, 5);\n", &[]);
    }

    #[test]
    fn paths_of_one_machine_are_found() {
        check("docs/a.md", concat!("see /ho", "me/a\nsee frame/ho", "me/a\n"), &[1]);
        check("xtask/src/a.rs", concat!("// /wo", "rk/b\n"), &[1]);
    }

    #[test]
    fn the_environment_and_files_are_read_by_the_configuration_alone() {
        let text =
            "std::env::var(\"A\");\nstd::env::vars_os();\nstd::fs::read(a);\nFile::open(b);\n";
        check("crates/server/src/a.rs", text, &[1, 2, 3, 4]);
        check("crates/cli/src/main.rs", text, &[1, 2, 3, 4]);
        check("crates/cli/src/config.rs", text, &[]);
        check("crates/cli/src/config/file.rs", text, &[]);
        check("crates/cli/src/state_file.rs", text, &[1, 2]);
        check("crates/hub/tests/a.rs", text, &[]);
        check("crates/client/src/transport.rs", text, &[1, 2, 3, 4]);
    }

    #[test]
    fn proto_and_hub_read_no_clock_outside_the_one_named_place() {
        let text = "Instant::now();\nstd::time::SystemTime::now();\nstart.elapsed();\n";
        check("crates/hub/src/a.rs", text, &[1, 2, 3]);
        check("crates/proto/src/a.rs", text, &[1, 2, 3]);
        check("crates/hub/src/time.rs", text, &[]);
        check("crates/server/src/a.rs", text, &[]);
        check("crates/hub/src/a/tests.rs", text, &[]);
    }

    #[test]
    fn libraries_print_nothing_and_the_program_may() {
        check("crates/server/src/a.rs", "println!();\nwriteln!(a);\n", &[1]);
        check("crates/cli/src/a.rs", "println!();\n", &[]);
    }

    #[test]
    fn pinned_packages_name_no_registry() {
        check("e2e/package-lock.json", "\"resolved\": \"https://example.org/a.tgz\"\n", &[1]);
        check("e2e/requirements.txt", "--index-url a\n", &[1]);
        check("e2e/.npmrc", "registry=a\nomit-lockfile-registry-resolved=true\n", &[1]);
    }
}
