//! Origin to tags: a snapshot that the control plane builds and swaps in whole.

use std::collections::HashMap;
use std::net::IpAddr;

use crate::origin::{Cardinality, ExternalData};

/// Tags of one entity, by the cardinality that asks for them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EntityTags {
    /// Asked for by every cardinality but none.
    pub low: Vec<Box<[u8]>>,
    /// Asked for by orchestrator and high.
    pub orchestrator: Vec<Box<[u8]>>,
    /// Asked for by high.
    pub high: Vec<Box<[u8]>>,
}

/// Who is known, and with which tags. Read-only once published.
#[derive(Clone, Debug, Default)]
pub struct OriginTable {
    /// By entity name: `container_id://…`, `kubernetes_pod_uid://…`.
    pub entities: HashMap<Box<[u8]>, EntityTags>,
    /// Tags of everything that is not opted out.
    pub global: EntityTags,
    /// Process id to container id.
    pub containers_by_pid: HashMap<u32, Box<[u8]>>,
    /// cgroup inode to container id.
    pub containers_by_inode: HashMap<u64, Box<[u8]>>,
    /// Pod uid, container name and init flag to container id.
    pub containers_by_external: HashMap<ExternalKey, Box<[u8]>>,
    /// Address of a client behind UDP to the name of its entity. Addresses of the host's own network stay
    /// out: many share them.
    pub entities_by_address: HashMap<IpAddr, Box<[u8]>>,
    /// Grows with every snapshot: caches built on another generation are void.
    pub generation: u64,
}

/// What external data say, owned.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ExternalKey {
    /// Pod uid.
    pub pod_uid: Box<[u8]>,
    /// Container name.
    pub container_name: Box<[u8]>,
    /// Whether it is an init container.
    pub init: bool,
}

// === impl EntityTags ===

impl EntityTags {
    /// The tags this cardinality asks for, low ones first.
    pub fn at(&self, cardinality: Cardinality) -> impl Iterator<Item = &[u8]> {
        let lists: [&[Box<[u8]>]; 3] = match cardinality {
            Cardinality::None => [&[], &[], &[]],
            Cardinality::Low => [&self.low, &[], &[]],
            Cardinality::Orchestrator => [&self.low, &self.orchestrator, &[]],
            Cardinality::High => [&self.low, &self.orchestrator, &self.high],
        };
        lists.into_iter().flatten().map(|tag| &**tag)
    }
}

// === impl OriginTable ===

impl OriginTable {
    /// Tags of a container.
    pub fn container(&self, id: &[u8]) -> Option<&EntityTags> {
        self.entity(b"container_id://", id)
    }

    /// Tags of a pod.
    pub fn pod(&self, uid: &[u8]) -> Option<&EntityTags> {
        self.entity(b"kubernetes_pod_uid://", uid)
    }

    /// Container behind a process.
    pub fn container_of_pid(&self, pid: u32) -> Option<&[u8]> {
        self.containers_by_pid.get(&pid).map(|id| &**id)
    }

    /// Container behind a cgroup inode.
    pub fn container_of_inode(&self, inode: u64) -> Option<&[u8]> {
        self.containers_by_inode.get(&inode).map(|id| &**id)
    }

    /// Container behind external data.
    pub fn container_of_external(&self, external: &ExternalData<'_>) -> Option<&[u8]> {
        if self.containers_by_external.is_empty() {
            return None;
        }
        let key = ExternalKey {
            pod_uid: external.pod_uid.into(),
            container_name: external.container_name.into(),
            init: external.init,
        };
        self.containers_by_external.get(&key).map(|id| &**id)
    }

    /// Tags of who has this address.
    pub fn of_address(&self, address: IpAddr) -> Option<&EntityTags> {
        let name = self.entities_by_address.get(&address)?;
        self.entities.get(name)
    }

    fn entity(&self, scheme: &[u8], id: &[u8]) -> Option<&EntityTags> {
        if self.entities.is_empty() {
            return None;
        }
        self.entities.get([scheme, id].concat().as_slice())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_higher_cardinality_includes_the_lower_ones() {
        let tags = EntityTags {
            low: vec![(*b"a").into()],
            orchestrator: vec![(*b"b").into()],
            high: vec![(*b"c").into()],
        };
        let at = |cardinality| tags.at(cardinality).flatten().copied().collect::<Vec<u8>>();
        assert_eq!(at(Cardinality::None), b"");
        assert_eq!(at(Cardinality::Low), b"a");
        assert_eq!(at(Cardinality::Orchestrator), b"ab");
        assert_eq!(at(Cardinality::High), b"abc");
    }
}
