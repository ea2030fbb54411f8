//! The figures in the tables, computed from the load's results.

use serde_json::Value;

/// A figure of a run.
#[derive(Debug)]
pub(crate) struct Column {
    pub(crate) title: &'static str,
    pub(crate) better: Better,
    pub(crate) decimals: usize,
    pub(crate) value: fn(&Value) -> Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Better {
    Less,
    More,
}

const fn less(title: &'static str, decimals: usize, value: fn(&Value) -> Option<f64>) -> Column {
    Column { title, better: Better::Less, decimals, value }
}

const fn more(title: &'static str, value: fn(&Value) -> Option<f64>) -> Column {
    Column { title, better: Better::More, decimals: 0, value }
}

pub(crate) const MEMORY: Column = less("memory each, KB", 2, |result| {
    Some(number(result, "/server/rss_per_subscriber")? / 1024.0)
});
pub(crate) const KERNEL_MEMORY: Column = less("TCP memory, MB", 1, |result| {
    Some(growth(result, "tcp_memory", ["before", "connected"])? / MEGABYTE)
});
pub(crate) const CONNECTED: Column = more("connected/s", |result| {
    Some(number(result, "/connected")? / number(result, "/connect_seconds")?)
});
pub(crate) const DELIVERIES: Column =
    more("deliveries/s", |result| number(result, "/deliveries_per_second"));
pub(crate) const EVENTS: Column = more("events/s", |result| number(result, "/events_per_second"));
pub(crate) const CONNECTIONS: Column =
    more("connections/s", |result| number(result, "/connections_per_second"));
/// The rate of a server that has a core to itself and is never idle.
pub(crate) const CONNECTIONS_OF_CPU: Column = more("connections per second of its CPU", |result| {
    let micros = number(result, "/server/cpu_us_per_connection")?;
    (micros > 0.0).then(|| 1e6 / micros)
});
pub(crate) const CPU_PER_DELIVERY: Column =
    less("CPU per delivery, µs", 2, |result| number(result, "/server/cpu_us_per_delivery"));
pub(crate) const CPU_PER_EVENT: Column =
    less("CPU per event, µs", 1, |result| number(result, "/server/cpu_us_per_event"));
pub(crate) const CPU_PER_CONNECTION: Column =
    less("CPU per connection, µs", 1, |result| number(result, "/server/cpu_us_per_connection"));
pub(crate) const P50: Column = less("p50, ms", 2, |result| number(result, "/latency_ms/p50"));
pub(crate) const P99: Column = less("p99, ms", 2, |result| number(result, "/latency_ms/p99"));
pub(crate) const SLOWER: Column = less("p99 with : without", 2, |result| {
    Some(number(result, "/with_stalled/p99")? / number(result, "/without_stalled/p99")?)
});
pub(crate) const WITHOUT_STALLED: Column =
    less("p99 without, ms", 2, |result| number(result, "/without_stalled/p99"));
pub(crate) const WITH_STALLED: Column =
    less("p99 with, ms", 2, |result| number(result, "/with_stalled/p99"));
/// Growth in the half beside stalled readers. TCP memory counts when everyone else has read everything:
/// before that, most of it is data that the load has not read yet.
pub(crate) const GROWTH: Column = less("RSS and TCP memory grow by, MB", 1, |result| {
    let rss = growth(result, "rss", ["without_stalled", "peak"])?;
    Some((rss + growth(result, "tcp_memory", ["without_stalled", "with_stalled"])?) / MEGABYTE)
});
pub(crate) const GROWTH_WITHOUT: Column = less("grew by without, MB", 1, |result| {
    let half = ["connected", "without_stalled"];
    Some((growth(result, "rss", half)? + growth(result, "tcp_memory", half)?) / MEGABYTE)
});
const MEGABYTE: f64 = 1024.0 * 1024.0;

fn number(result: &Value, pointer: &str) -> Option<f64> {
    result.pointer(pointer).and_then(Value::as_f64)
}

/// Returns the growth of some memory between two moments.
fn growth(result: &Value, name: &str, [from, to]: [&str; 2]) -> Option<f64> {
    let at = |when: &str| number(result, &format!("/server/{name}_{when}"));
    Some(at(to)? - at(from)?)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{CONNECTIONS_OF_CPU, GROWTH, GROWTH_WITHOUT, SLOWER};

    #[test]
    fn figures_that_are_computed_come_out_right() {
        let result = json!({
            "without_stalled": {"p99": 2.0},
            "with_stalled": {"p99": 3.0},
            "server": {
                "rss_connected": 1 << 20, "rss_without_stalled": 3 << 20,
                "rss_with_stalled": 4 << 20, "rss_peak": 6 << 20,
                "tcp_memory_connected": 0, "tcp_memory_without_stalled": 1 << 20,
                "tcp_memory_with_stalled": 5 << 20, "tcp_memory_peak": 9 << 20,
                "cpu_us_per_connection": 50.0,
            },
        });
        assert_eq!((SLOWER.value)(&result), Some(1.5));
        assert_eq!((GROWTH.value)(&result), Some(7.0));
        assert_eq!((GROWTH.value)(&json!({})), None);
        assert_eq!((GROWTH_WITHOUT.value)(&result), Some(3.0));
        assert_eq!((CONNECTIONS_OF_CPU.value)(&result), Some(20_000.0));
        let too_short = json!({"server": {"cpu_us_per_connection": 0.0}});
        assert_eq!((CONNECTIONS_OF_CPU.value)(&too_short), None);
    }
}
