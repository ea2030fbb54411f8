//! The tables, for invented runs.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use tidings_bench_compare::host::Host;
use tidings_bench_compare::load::Outcome;

use super::Record;
use crate::machine::Machine;
use crate::run::Run;
use crate::scenario::{Scenario, Size};
use crate::scenarios::SCENARIOS;
use crate::servers::SERVERS;

fn scenario(name: &str) -> &'static Scenario {
    SCENARIOS.iter().find(|scenario| scenario.name == name).expect("a scenario")
}

fn run(scenario: &'static Scenario, server: &str, round: u32, outcome: Outcome) -> Run {
    let server = SERVERS.iter().find(|one| one.name == server).expect("a server");
    Run { scenario: scenario.name, server, round, command: "tidings bench x".to_owned(), outcome }
}

fn fan_out(cpu: f64, faults: u64) -> Outcome {
    Outcome::Finished(json!({
        "seconds": 2.0,
        "load_cpu_seconds": 1.0,
        "deliveries_per_second": 1234567.0,
        "faults": {"lost": faults, "doubled": 0},
        "server": {"cpu_us_per_delivery": cpu},
    }))
}

fn record(runs: Vec<Run>) -> Record {
    let host = Host { cores: 2, memory_gib: 24, ..Host::default() };
    let machine = Machine { host, peers: BTreeMap::from([("axum", "x".to_owned())]) };
    Record {
        machine,
        size: Size::Full,
        rounds: 3,
        took: Duration::from_secs(61),
        scenarios: vec![scenario("fan-out-1000")],
        runs,
    }
}

fn runs(tidings: [f64; 3]) -> Vec<Run> {
    let scenario = scenario("fan-out-1000");
    let mut runs = Vec::new();
    for (round, tidings) in (0..).zip(tidings) {
        runs.push(run(scenario, "tidings", round, fan_out(tidings, 0)));
        runs.push(run(scenario, "limit", round, fan_out(4.0, 0)));
        runs.push(run(scenario, "axum", round, fan_out(8.0, 2)));
        runs.push(run(scenario, "node", round, Outcome::Failed("nothing came".to_owned())));
    }
    runs
}

#[test]
fn a_table_has_medians_ratios_faults_and_what_failed() {
    let page = record(runs([4.2, 9.0, 4.4])).page("the command");
    for wanted in [
        "the command",
        "3 round(s) in 2 minutes",
        "| Tidings | 4.40 | 1,234,567 | – | – | 55 % | 1.10 | 0.55 | 50 % | 0 |",
        "| limit | 4.00 | 1,234,567 | – | – | 0 % | 1.00 | 0.50 | 50 % | 0 |",
        "| axum | 8.00 | 1,234,567 | – | – | 0 % | 2.00 | 1.00 | 50 % | 6 lost |",
        "| Node http | – | – | – | – | – % | – | – | – % | – |",
        "Node http, round 2: nothing came",
    ] {
        assert!(page.contains(wanted), "{wanted} in:\n{page}");
    }
}

#[test]
fn what_has_to_be_known_of_a_scenario_stands_above_its_table() {
    let churn = |cpu: f64| {
        Outcome::Finished(json!({
            "seconds": 2.0,
            "load_cpu_seconds": 1.0,
            "connections_per_second": 9000.0,
            "latency_ms": {"p99": 6.5},
            "server": {"cpu_us_per_connection": cpu},
        }))
    };
    let scenario = scenario("churn");
    let runs = vec![
        run(scenario, "tidings", 0, churn(50.0)),
        run(scenario, "limit", 0, churn(40.0)),
        run(scenario, "axum", 0, churn(62.5)),
    ];
    let page = Record { scenarios: vec![scenario], ..record(runs) }.page("the command");
    let note = scenario.note.expect("a note");
    assert!(page.contains(&format!("`tidings bench x`\n\n{note}\n\n| server |")), "{page}");
    let row = "| Tidings | 20,000 | 50.0 | 9,000 | 6.50 | 0 % | 0.80 | 1.25 | 50 % | 0 |";
    assert!(page.contains(row), "{page}");
    assert!(page.contains("NO (0.80 ×)") && page.contains("yes (1.25 × the best)"), "{page}");
}

#[test]
fn targets_are_held_against_the_limit_and_the_best_peer() {
    for (cpu, limit, peers) in [
        (4.0, "yes (1.00 ×)", "yes (0.50 × the best)"),
        (4.6, "NO (1.15 ×)", "yes (0.57 × the best)"),
        (8.0, "NO (2.00 ×)", "NO (1.00 × the best)"),
    ] {
        let summary = record(runs([cpu; 3])).summary();
        let wanted = format!(
            "| fan-out-1000 | CPU per delivery, µs | {cpu:.2} | – | 4.00 | 8.00 (axum) \
             | ≤ 1.10 × limit; better than every peer | {limit}; {peers} |"
        );
        assert!(summary.contains(&wanted), "{wanted} in:\n{summary}");
    }
}

#[test]
fn a_fault_of_tidings_or_the_limit_fails_and_one_of_a_peer_does_not() {
    assert!(record(runs([4.0; 3])).verdict().is_ok());
    for server in ["tidings", "limit"] {
        let mut runs = runs([4.0; 3]);
        runs.push(run(scenario("fan-out-1000"), server, 3, fan_out(4.0, 1)));
        assert!(record(runs).verdict().is_err(), "{server}");
    }
    let mut runs = runs([4.0; 3]);
    let failed = Outcome::Failed("nothing came".to_owned());
    runs.push(run(scenario("fan-out-1000"), "tidings", 3, failed));
    let error = record(runs).verdict().expect_err("it did not finish").to_string();
    assert!(error.contains("Tidings in fan-out-1000, round 4: nothing came"), "{error}");
}

#[test]
fn every_run_is_a_line_of_json() {
    let lines = record(runs([4.0; 3])).lines("the command");
    let lines: Vec<Value> =
        lines.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect();
    assert_eq!(lines.len(), 1 + 12);
    assert_eq!(lines[0]["peers"]["axum"], "x");
    assert_eq!(lines[1]["result"]["server"]["cpu_us_per_delivery"], 4.0);
    assert_eq!(lines[4]["failed"], "nothing came");
}
