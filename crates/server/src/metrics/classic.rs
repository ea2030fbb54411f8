//! The classic text format of Prometheus, version 0.0.4.

/// Rewrites OpenMetrics text. The samples are the same; what is said about a metric is said under the
/// name of its samples, and there are neither units nor an end.
pub(super) fn of_open_metrics(text: &str) -> String {
    let mut classic = String::with_capacity(text.len());
    let mut help = None;
    for line in text.lines() {
        let Some(comment) = line.strip_prefix("# ") else {
            classic.extend([line, "\n"]);
            continue;
        };
        let mut words = comment.splitn(3, ' ');
        match (words.next(), words.next(), words.next()) {
            (Some("HELP"), Some(_), Some(words)) => help = Some(words),
            (Some("TYPE"), Some(name), Some(kind)) => {
                let (suffix, kind) = match kind {
                    "counter" => ("_total", kind),
                    "info" => ("_info", "gauge"),
                    _ => ("", kind),
                };
                if let Some(help) = help.take() {
                    classic.extend(["# HELP ", name, suffix, " ", help, "\n"]);
                }
                classic.extend(["# TYPE ", name, suffix, " ", kind, "\n"]);
            }
            _ => {}
        }
    }
    classic
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_described_under_the_names_of_their_samples() {
        let open = "# HELP a Things.\n# TYPE a counter\na_total{b=\"c d\"} 1\na_total{b=\"# e\"} 2\n\
                    # HELP f_bytes Size.\n# TYPE f_bytes gauge\n# UNIT f_bytes bytes\nf_bytes 3\n\
                    # HELP g Build.\n# TYPE g info\ng_info{version=\"1\"} 1\n# EOF\n";
        let classic = "# HELP a_total Things.\n# TYPE a_total counter\na_total{b=\"c d\"} 1\na_total{b=\"# e\"} 2\n\
                       # HELP f_bytes Size.\n# TYPE f_bytes gauge\nf_bytes 3\n\
                       # HELP g_info Build.\n# TYPE g_info gauge\ng_info{version=\"1\"} 1\n";
        assert_eq!(of_open_metrics(open), classic);
    }
}
