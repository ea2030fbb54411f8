//! The metrics of several hubs as one text, each sample with the name of its hub.

use crate::node::NodeName;

/// A metric: its description, and its samples.
struct Family<'a> {
    name: &'a str,
    comments: Vec<&'a str>,
    samples: Vec<String>,
}

/// Merges the texts of hubs, in the format OpenMetrics. A gauge says which hubs have answered.
pub(crate) fn merge(answers: &[(String, String)], silent: &[String]) -> String {
    let mut families: Vec<Family<'_>> = Vec::new();
    for (node, text) in answers {
        // It comes from another program.
        if NodeName::new(node).is_ok() {
            take(&mut families, node, text);
        }
    }
    let mut merged = String::new();
    for Family { comments, samples, .. } in families {
        for line in comments.into_iter().chain(samples.iter().map(String::as_str)) {
            merged.extend([line, "\n"]);
        }
    }
    merged.push_str("# HELP tidings_node_up Whether the hub has answered.\n");
    merged.push_str("# TYPE tidings_node_up gauge\n");
    let names = answers.iter().map(|(node, _)| (node, 1));
    for (node, is_up) in names.chain(silent.iter().map(|node| (node, 0))) {
        if NodeName::new(node).is_ok() {
            merged.extend(["tidings_node_up{node=\"", node, "\"} ", &format!("{is_up}\n")]);
        }
    }
    merged.push_str("# EOF\n");
    merged
}

fn take<'a>(families: &mut Vec<Family<'a>>, node: &str, text: &'a str) {
    let (mut at, mut is_first) = (None, false);
    for line in text.lines() {
        let Some(comment) = line.strip_prefix("# ") else {
            if let Some(family) = at.and_then(|at: usize| families.get_mut(at)) {
                family.samples.push(with_node(line, node));
            }
            continue;
        };
        let mut words = comment.split(' ');
        let (Some(_), Some(name)) = (words.next(), words.next()) else { continue };
        if at.is_none_or(|at| families[at].name != name) {
            let known = families.iter().position(|family| family.name == name);
            is_first = known.is_none();
            at = Some(known.unwrap_or_else(|| {
                families.push(Family { name, comments: Vec::new(), samples: Vec::new() });
                families.len() - 1
            }));
        }
        if is_first && let Some(at) = at {
            families[at].comments.push(line);
        }
    }
}

/// Adds the label of a hub to a sample, unless it has one.
fn with_node(sample: &str, node: &str) -> String {
    let label = format!("node=\"{node}\"");
    match sample.split_once(['{', ' ']) {
        Some((name, rest)) if sample.as_bytes()[name.len()] == b'{' => {
            if rest.starts_with("node=\"") || rest.contains(",node=\"") {
                return sample.to_owned();
            }
            let comma = if rest.starts_with('}') { "" } else { "," };
            format!("{name}{{{label}{comma}{rest}")
        }
        Some((name, rest)) => format!("{name}{{{label}}} {rest}"),
        None => sample.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_sample_has_the_name_of_its_hub_and_each_metric_is_described_once() {
        let one = "# HELP a Things.\n# TYPE a counter\na_total{b=\"c d\"} 1\n\
                   # HELP n The hub.\n# TYPE n info\nn_info{node=\"one\"} 1\n# EOF\n";
        let two = "# HELP f_bytes Size.\n# TYPE f_bytes gauge\n# UNIT f_bytes bytes\nf_bytes 3\n\
                   # HELP a Things.\n# TYPE a counter\na_total{b=\"c d\"} 2\na_total{} 7\n# EOF\n";
        let answers = [("one", one), ("two", two), ("not a name", two)];
        let answers = answers.map(|(node, text)| (node.to_owned(), text.to_owned()));
        let merged = "# HELP a Things.\n# TYPE a counter\n\
                      a_total{node=\"one\",b=\"c d\"} 1\n\
                      a_total{node=\"two\",b=\"c d\"} 2\na_total{node=\"two\"} 7\n\
                      # HELP n The hub.\n# TYPE n info\nn_info{node=\"one\"} 1\n\
                      # HELP f_bytes Size.\n# TYPE f_bytes gauge\n# UNIT f_bytes bytes\n\
                      f_bytes{node=\"two\"} 3\n\
                      # HELP tidings_node_up Whether the hub has answered.\n\
                      # TYPE tidings_node_up gauge\n\
                      tidings_node_up{node=\"one\"} 1\ntidings_node_up{node=\"two\"} 1\n\
                      tidings_node_up{node=\"three\"} 0\n# EOF\n";
        assert_eq!(merge(&answers, &["three".to_owned()]), merged);
    }
}
