//! The figures that tables show, as they are found in the load's account of a run.

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

pub(crate) const MEMORY: Column = Column {
    title: "memory each, KB",
    better: Better::Less,
    decimals: 2,
    value: |result| Some(number(result, "/server/rss_per_subscriber")? / 1024.0),
};
pub(crate) const KERNEL_MEMORY: Column = Column {
    title: "TCP memory, MB",
    better: Better::Less,
    decimals: 1,
    value: |result| {
        let at = |when: &str| number(result, &format!("/server/tcp_memory_{when}"));
        Some((at("connected")? - at("before")?) / MEGABYTE)
    },
};
pub(crate) const CONNECTED: Column = Column {
    title: "connected/s",
    better: Better::More,
    decimals: 0,
    value: |result| Some(number(result, "/connected")? / number(result, "/connect_seconds")?),
};
pub(crate) const CPU_PER_DELIVERY: Column = Column {
    title: "CPU per delivery, µs",
    better: Better::Less,
    decimals: 2,
    value: |result| number(result, "/server/cpu_us_per_delivery"),
};
pub(crate) const CPU_PER_EVENT: Column = Column {
    title: "CPU per event, µs",
    better: Better::Less,
    decimals: 1,
    value: |result| number(result, "/server/cpu_us_per_event"),
};
pub(crate) const DELIVERIES: Column = Column {
    title: "deliveries/s",
    better: Better::More,
    decimals: 0,
    value: |result| number(result, "/deliveries_per_second"),
};
pub(crate) const EVENTS: Column = Column {
    title: "events/s",
    better: Better::More,
    decimals: 0,
    value: |result| number(result, "/events_per_second"),
};
pub(crate) const CONNECTIONS: Column = Column {
    title: "connections/s",
    better: Better::More,
    decimals: 0,
    value: |result| number(result, "/connections_per_second"),
};
pub(crate) const CPU_PER_CONNECTION: Column = Column {
    title: "CPU per connection, µs",
    better: Better::Less,
    decimals: 1,
    value: |result| number(result, "/server/cpu_us_per_connection"),
};
/// What the server could do if it had a core to itself and always something to do.
pub(crate) const CONNECTIONS_OF_CPU: Column = Column {
    title: "connections per second of its CPU",
    better: Better::More,
    decimals: 0,
    value: |result| {
        let micros = number(result, "/server/cpu_us_per_connection")?;
        (micros > 0.0).then(|| 1e6 / micros)
    },
};
pub(crate) const P50: Column = Column {
    title: "p50, ms",
    better: Better::Less,
    decimals: 2,
    value: |result| number(result, "/latency_ms/p50"),
};
pub(crate) const P99: Column = Column {
    title: "p99, ms",
    better: Better::Less,
    decimals: 2,
    value: |result| number(result, "/latency_ms/p99"),
};
pub(crate) const SLOWER: Column = Column {
    title: "p99 with : without",
    better: Better::Less,
    decimals: 2,
    value: |result| {
        Some(number(result, "/with_stalled/p99")? / number(result, "/without_stalled/p99")?)
    },
};
pub(crate) const WITHOUT_STALLED: Column = Column {
    title: "p99 without, ms",
    better: Better::Less,
    decimals: 2,
    value: |result| number(result, "/without_stalled/p99"),
};
pub(crate) const WITH_STALLED: Column = Column {
    title: "p99 with, ms",
    better: Better::Less,
    decimals: 2,
    value: |result| number(result, "/with_stalled/p99"),
};
/// In the half beside stalled readers. TCP memory counts as it is when everybody else has read all:
/// in between, most of it is what the load has not come to yet.
pub(crate) const GROWTH: Column = Column {
    title: "RSS and TCP memory grow by, MB",
    better: Better::Less,
    decimals: 1,
    value: |result| {
        let rss = grown(result, "rss", ["without_stalled", "peak"])?;
        Some((rss + grown(result, "tcp_memory", ["without_stalled", "with_stalled"])?) / MEGABYTE)
    },
};
pub(crate) const GROWTH_WITHOUT: Column = Column {
    title: "grew by without, MB",
    better: Better::Less,
    decimals: 1,
    value: |result| {
        let half = ["connected", "without_stalled"];
        Some((grown(result, "rss", half)? + grown(result, "tcp_memory", half)?) / MEGABYTE)
    },
};
const MEGABYTE: f64 = 1024.0 * 1024.0;

fn number(result: &Value, pointer: &str) -> Option<f64> {
    result.pointer(pointer).and_then(Value::as_f64)
}

/// How much more of some memory there was at one moment than at another.
fn grown(result: &Value, name: &str, [from, to]: [&str; 2]) -> Option<f64> {
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
