//! The tagger of a case: who is known, with which tags, and a process for every container.
//!
//! The kernel names processes, cases name containers: each container of a step gets a made-up
//! process id that the table leads back to it.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::{Context, bail};
use greyhound_model::origin_table::{EntityTags, ExternalKey, OriginTable};
use serde_json::Value;

use super::steps::Step;

const GLOBAL: &str = "internal://global-entity-id";

/// The table, and the process ids made up for it.
#[derive(Debug, Default)]
pub(super) struct Origins {
    table: Arc<OriginTable>,
    pids: HashMap<String, u32>,
}

// === impl Origins ===

impl Origins {
    pub(super) fn read(tagger: Option<&Value>, steps: &[Step]) -> anyhow::Result<Self> {
        let mut table = OriginTable {
            generation: 1,
            ..OriginTable::default()
        };
        let mut pids = HashMap::new();
        for step in steps {
            if let Step::Packets {
                origin: Some(container),
                ..
            } = step
            {
                // 0 means: not known.
                let next = pids.len() as u32 + 1;
                let pid = *pids.entry(container.clone()).or_insert(next);
                table
                    .containers_by_pid
                    .insert(pid, container.as_bytes().into());
            }
        }
        let entries = match tagger {
            None | Some(Value::Null) => None,
            Some(tagger) => Some(tagger.as_object().context("`tagger` is a mapping")?),
        };
        for (name, entry) in entries.into_iter().flatten() {
            add(&mut table, name, entry).with_context(|| format!("`tagger`: {name:?}"))?;
        }
        Ok(Self {
            table: Arc::new(table),
            pids,
        })
    }

    pub(super) fn table(&self) -> Arc<OriginTable> {
        Arc::clone(&self.table)
    }

    /// The process that stands for a container; 0 for none.
    pub(super) fn pid_of(&self, container: Option<&str>) -> u32 {
        container
            .and_then(|container| self.pids.get(container))
            .copied()
            .unwrap_or(0)
    }
}

fn add(table: &mut OriginTable, name: &str, entry: &Value) -> anyhow::Result<()> {
    if let Some(inode) = name.strip_prefix("inode://") {
        let inode = inode.parse().context("an inode is a number")?;
        table.containers_by_inode.insert(inode, container(entry)?);
    } else if let Some(external) = name.strip_prefix("external://") {
        let parts: Vec<&str> = external.split('/').collect();
        let [pod_uid, container_name, init] = parts[..] else {
            bail!("external data are pod/container/init");
        };
        let key = ExternalKey {
            pod_uid: pod_uid.as_bytes().into(),
            container_name: container_name.as_bytes().into(),
            init: init == "true",
        };
        table.containers_by_external.insert(key, container(entry)?);
    } else if name == GLOBAL {
        table.global = tags(entry)?;
    } else {
        table.entities.insert(name.as_bytes().into(), tags(entry)?);
    }
    Ok(())
}

fn container(entry: &Value) -> anyhow::Result<Box<[u8]>> {
    let container = entry.get("container").and_then(Value::as_str);
    Ok(container
        .context("the entry names a `container`")?
        .as_bytes()
        .into())
}

fn tags(entry: &Value) -> anyhow::Result<EntityTags> {
    let list = |cardinality: &str| -> anyhow::Result<Vec<Box<[u8]>>> {
        let Some(tags) = entry.get(cardinality) else {
            return Ok(Vec::new());
        };
        let tags = tags.as_array().context("tags are lists")?;
        tags.iter()
            .map(|tag| Ok(tag.as_str().context("tags are texts")?.as_bytes().into()))
            .collect()
    };
    Ok(EntityTags {
        low: list("low")?,
        orchestrator: list("orchestrator")?,
        high: list("high")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn all_ways_to_a_container_are_read() {
        let steps = [Step::Packets {
            at: 1.0,
            packets: Vec::new(),
            origin: Some("c1".into()),
            lane: 0,
        }];
        let tagger = json!({
            "container_id://c1": { "low": ["a"], "high": ["b"] },
            GLOBAL: { "low": ["g"] },
            "inode://7": { "container": "c1" },
            "external://p/n/true": { "container": "c1" },
        });
        let origins = Origins::read(Some(&tagger), &steps).expect("a table");
        let table = origins.table();
        let pid = origins.pid_of(Some("c1"));
        assert_eq!(table.container_of_pid(pid), Some(&b"c1"[..]));
        assert_eq!(table.container_of_inode(7), Some(&b"c1"[..]));
        assert_eq!(table.container(b"c1").map(|tags| tags.high.len()), Some(1));
        assert_eq!(table.global.low.len(), 1);
        assert_eq!(origins.pid_of(Some("other")), 0);
        assert_eq!(origins.pid_of(None), 0);
    }

    #[test]
    fn a_broken_tagger_is_refused() {
        for tagger in [
            json!([]),
            json!({ "inode://x": { "container": "c" } }),
            json!({ "external://p": { "container": "c" } }),
            json!({ "container_id://c": { "low": "a" } }),
        ] {
            assert!(Origins::read(Some(&tagger), &[]).is_err(), "{tagger}");
        }
    }
}
