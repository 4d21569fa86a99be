//! The reference page of our own counters, made from their descriptors.

use std::fmt::Write;

use crate::desc::Desc;

/// A Markdown table: name, exposition name, type, unit, labels and help of each descriptor, in the
/// order given.
pub fn markdown<'a>(descriptors: impl IntoIterator<Item = &'a Desc>) -> String {
    let mut page = String::from(
        "| name | in Prometheus | type | unit | labels | meaning |\n|---|---|---|---|---|---|\n",
    );
    for desc in descriptors {
        writeln!(
            page,
            "| `{}` | `{}` | {} | {} | {} | {} |",
            desc.name,
            desc.exposition_name(),
            desc.kind.as_str(),
            dash_if_empty(desc.unit),
            dash_if_empty(&desc.labels.join(", ")),
            // A bar would end the cell.
            desc.help.replace('|', "\\|"),
        )
        .expect("writing to a string cannot fail");
    }
    page
}

fn dash_if_empty(text: &str) -> &str {
    if text.is_empty() { "–" } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desc::Kind;

    #[test]
    fn one_row_per_descriptor() {
        let desc = Desc {
            name: "dogstatsd.udp_packets",
            kind: Kind::Counter,
            unit: "",
            help: "Datagrams read, ok|error.",
            labels: &["state", "lane"],
        };
        let page = markdown([&desc]);
        assert_eq!(
            page.lines().nth(2),
            Some(
                "| `dogstatsd.udp_packets` | `dogstatsd__udp_packets` | counter | – | state, lane | Datagrams read, ok\\|error. |"
            )
        );
    }
}
