//! Prints the latest results of `cargo bench` as the table for bench/record.
//!
//! It takes the fastest sample of each benchmark: the cost of the code without interference, which
//! is the steadiest figure on a shared machine.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::Path;

use serde_json::Value;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/criterion");
    let mut rows = BTreeMap::new();
    for group in fs::read_dir(folder)? {
        for benchmark in fs::read_dir(group?.path())? {
            let results = benchmark?.path().join("new");
            if results.is_dir() {
                let about = read(&results.join("benchmark.json"))?;
                let name = about["full_id"].as_str().unwrap_or_default().to_owned();
                let bytes = about["throughput"]["Bytes"].as_f64().unwrap_or_default();
                rows.insert(name, (bytes, fastest(&read(&results.join("sample.json"))?)));
            }
        }
    }
    println!("| benchmark | µs | MB/s |\n| --- | ---: | ---: |");
    for (name, (bytes, nanos)) in rows {
        println!("| {name} | {:.0} | {:.0} |", nanos / 1e3, bytes / nanos * 1e3);
    }
    Ok(())
}

fn read(path: &Path) -> Result<Value, Box<dyn Error>> {
    Ok(serde_json::from_str(&fs::read_to_string(path)?)?)
}

/// Returns the nanoseconds per iteration of the fastest sample.
fn fastest(sample: &Value) -> f64 {
    let numbers =
        |key: &str| sample[key].as_array().into_iter().flatten().filter_map(Value::as_f64);
    numbers("times")
        .zip(numbers("iters"))
        .map(|(time, iters)| time / iters)
        .fold(f64::MAX, f64::min)
}
