//! `statsd_metric_namespace`: text put before every name, except names of a few known products.

use super::prefixes::PrefixSet;

/// Names that start with one of these keep their own, unless the setting
/// `statsd_metric_namespace_blacklist` says otherwise. The Agent's list.
///
/// Plain text prefixes: `jvm` also exempts `jvmish.x`.
pub const DEFAULT_EXEMPT: [&str; 21] = [
    "datadog.agent",
    "datadog.dogstatsd",
    "datadog.process",
    "datadog.trace_agent",
    "datadog.tracer",
    "activemq",
    "activemq_58",
    "airflow",
    "cassandra",
    "confluent",
    "hazelcast",
    "hive",
    "ignite",
    "jboss",
    "jvm",
    "kafka",
    "presto",
    "sidekiq",
    "solr",
    "tomcat",
    "runtime",
];

/// The configured namespace with its exemptions. Without a namespace it changes nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Namespace {
    /// Ends in a dot; empty when there is no namespace.
    prefix: Box<[u8]>,
    exempt: PrefixSet,
}

// === impl Namespace ===

impl Namespace {
    /// A namespace; a dot is added where it lacks one. Empty `namespace` turns it off.
    pub fn new<E: AsRef<[u8]>>(namespace: &[u8], exempt: impl IntoIterator<Item = E>) -> Self {
        let mut prefix = namespace.to_vec();
        if !prefix.is_empty() && !prefix.ends_with(b".") {
            prefix.push(b'.');
        }
        Self {
            prefix: prefix.into(),
            exempt: PrefixSet::new(exempt.into_iter().map(|e| e.as_ref().to_vec())),
        }
    }

    /// True if no name is ever changed.
    pub fn is_empty(&self) -> bool {
        self.prefix.is_empty()
    }

    /// The name as it goes on: `name` itself, or the prefixed one written to `scratch`.
    ///
    /// Cost: a binary search in the exemptions and one copy of the name; no allocation once
    /// `scratch` has grown.
    #[inline]
    pub fn apply<'a>(&self, name: &'a [u8], scratch: &'a mut Vec<u8>) -> &'a [u8] {
        if self.prefix.is_empty() || self.exempt.starts(name) {
            return name;
        }
        scratch.clear();
        scratch.extend_from_slice(&self.prefix);
        scratch.extend_from_slice(name);
        scratch
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(namespace: &str, exempt: &[&str], name: &str, expected: &str) {
        let namespace = Namespace::new(namespace.as_bytes(), exempt);
        let mut scratch = b"left over".to_vec();
        let got = namespace.apply(name.as_bytes(), &mut scratch);
        assert_eq!(got.escape_ascii().to_string(), expected);
    }

    #[test]
    fn the_namespace_is_put_before_the_name_with_one_dot() {
        check("corp", &DEFAULT_EXEMPT, "web.hits", "corp.web.hits");
        check("corp.", &DEFAULT_EXEMPT, "web.hits", "corp.web.hits");
        check("corp..", &DEFAULT_EXEMPT, "web.hits", "corp..web.hits");
        check("corp", &DEFAULT_EXEMPT, ".x", "corp..x");
    }

    #[test]
    fn known_products_keep_their_names() {
        check("corp", &DEFAULT_EXEMPT, "jvm.heap", "jvm.heap");
        check("corp", &DEFAULT_EXEMPT, "jvmish.x", "jvmish.x");
        check("corp", &DEFAULT_EXEMPT, "jv", "corp.jv");
        check(
            "corp",
            &DEFAULT_EXEMPT,
            "datadog.agent.x",
            "datadog.agent.x",
        );
        check("corp", &DEFAULT_EXEMPT, "datadog.agen", "corp.datadog.agen");
        check("corp", &DEFAULT_EXEMPT, "corp.x", "corp.corp.x");
    }

    #[test]
    fn the_exemptions_can_be_replaced_or_emptied() {
        check("corp", &["web"], "web.hits", "web.hits");
        check("corp", &["web"], "jvm.heap", "corp.jvm.heap");
        check("corp", &[], "jvm.heap", "corp.jvm.heap");
        check("corp", &[""], "jvm.heap", "jvm.heap");
    }

    #[test]
    fn no_namespace_changes_nothing() {
        check("", &DEFAULT_EXEMPT, "web.hits", "web.hits");
        assert!(Namespace::default().is_empty());
        assert!(!Namespace::new(b"corp", DEFAULT_EXEMPT).is_empty());
    }
}
