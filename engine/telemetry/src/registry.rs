//! Who owns which name. A second owner is refused at start, before two series can mix.

use std::collections::BTreeSet;
use std::error::Error;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::desc::Desc;
use crate::snapshot::Snapshot;

/// A part of the program that has counters.
pub trait Source: Send + Sync {
    /// Every metric this source may push, in the order a reader should see them.
    fn descriptors(&self) -> &'static [Desc];

    /// Pushes the values as they stand now. Called from any thread, at scrape or status time; must
    /// not block on a lane.
    fn collect(&self, out: &mut Snapshot);
}

/// All sources of one process.
#[derive(Default)]
pub struct Registry {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    sources: Vec<Arc<dyn Source>>,
    /// In the form Prometheus sees, so that names which only differ there clash too.
    names: BTreeSet<String>,
}

/// A name that already has an owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DuplicateName {
    /// The name in dotted form.
    pub name: &'static str,
}

// === impl Registry ===

impl Registry {
    /// Without sources.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in a source, or none of it when one of its names is taken already.
    pub fn register(&self, source: Arc<dyn Source>) -> Result<(), DuplicateName> {
        let mut inner = self.lock();
        let mut added = BTreeSet::new();
        for desc in source.descriptors() {
            let exposed = desc.exposition_name();
            if inner.names.contains(&exposed) || !added.insert(exposed) {
                return Err(DuplicateName { name: desc.name });
            }
        }
        inner.names.append(&mut added);
        inner.sources.push(source);
        Ok(())
    }

    /// Asks every source for its values.
    pub fn snapshot(&self) -> Snapshot {
        // The sources run without the lock: one of them may want to register another.
        let sources = self.lock().sources.clone();
        let mut snapshot = Snapshot::default();
        for source in sources {
            source.collect(&mut snapshot);
        }
        snapshot
    }

    /// Every metric there may be, sorted by name.
    pub fn descriptors(&self) -> Vec<&'static Desc> {
        let inner = self.lock();
        let mut all: Vec<_> = inner
            .sources
            .iter()
            .flat_map(|source| source.descriptors())
            .collect();
        all.sort_by_key(|desc| desc.name);
        all
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Both collections are valid after any panic: they only grow, one push at a time.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry")
            .field("names", &self.lock().names)
            .finish_non_exhaustive()
    }
}

// === impl DuplicateName ===

impl fmt::Display for DuplicateName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the metric `{}` has an owner already", self.name)
    }
}

impl Error for DuplicateName {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desc::Kind;

    const fn counter(name: &'static str) -> Desc {
        Desc {
            name,
            kind: Kind::Counter,
            unit: "",
            help: "Counts.",
            labels: &[],
        }
    }

    struct Fixed(&'static [Desc]);

    impl Source for Fixed {
        fn descriptors(&self) -> &'static [Desc] {
            self.0
        }
        fn collect(&self, out: &mut Snapshot) {
            for desc in self.0 {
                out.push(desc, &[], 1.0);
            }
        }
    }

    #[test]
    fn a_second_owner_is_refused_whole() {
        static ONE: [Desc; 1] = [counter("a.one")];
        static TWO: [Desc; 2] = [counter("a.two"), counter("a.one")];
        let registry = Registry::new();
        assert_eq!(registry.register(Arc::new(Fixed(&ONE))), Ok(()));
        let refused = registry.register(Arc::new(Fixed(&TWO)));
        assert_eq!(refused, Err(DuplicateName { name: "a.one" }));
        assert_eq!(registry.snapshot().get("a.two", &[]), None);
        assert_eq!(registry.snapshot().get("a.one", &[]), Some(1.0));
    }

    #[test]
    fn names_that_only_prometheus_confuses_are_refused() {
        static TWICE: [Desc; 2] = [counter("a.one"), counter("a__one")];
        let refused = Registry::new().register(Arc::new(Fixed(&TWICE)));
        assert_eq!(
            refused.map_err(|e| e.to_string()),
            Err("the metric `a__one` has an owner already".to_owned())
        );
    }

    #[test]
    fn descriptors_are_sorted() {
        static SOME: [Desc; 2] = [counter("b.x"), counter("a.x")];
        let registry = Registry::new();
        registry.register(Arc::new(Fixed(&SOME))).unwrap();
        let names: Vec<_> = registry.descriptors().iter().map(|d| d.name).collect();
        assert_eq!(names, ["a.x", "b.x"]);
    }
}
