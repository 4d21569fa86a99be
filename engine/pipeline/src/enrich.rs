//! Which tags the origin of a message adds, and for which of the ways a client may be known.
//!
//! The older mode adds up: socket, then pod or container named by the client, then global tags. The
//! unified mode takes the first entity that is known and stops.

use std::net::IpAddr;

use greyhound_model::origin::{Cardinality, ExternalData, LocalData};
use greyhound_model::origin_table::{EntityTags, OriginTable};

use crate::config::OriginConfig;

/// Everything known of a message's sender.
#[derive(Clone, Copy, Debug, Default)]
pub struct Identity<'a> {
    /// Container behind the socket, by the kernel's credentials.
    pub socket_container: Option<&'a [u8]>,
    /// `dd.internal.entity_id:`; may be empty or `none`.
    pub pod_uid: Option<&'a [u8]>,
    /// `c:`
    pub local: LocalData<'a>,
    /// `e:`
    pub external: ExternalData<'a>,
    /// The client behind UDP. A forged datagram can name any, so it comes last.
    pub client: Option<IpAddr>,
    /// `card:` or `dd.internal.card:`, as sent.
    pub cardinality: &'a [u8],
}

/// Hands every tag of the origin to `push`; repeats are possible.
pub fn enrich(
    config: &OriginConfig,
    table: &OriginTable,
    identity: &Identity<'_>,
    push: impl FnMut(&[u8]),
) {
    let cardinality = Cardinality::from_text(identity.cardinality).unwrap_or(config.cardinality);
    if config.unified {
        unified(table, identity, cardinality, push);
    } else if !(config.optout && identity.cardinality == b"none") {
        additive(config, table, identity, cardinality, push);
    }
}

fn additive(
    config: &OriginConfig,
    table: &OriginTable,
    identity: &Identity<'_>,
    cardinality: Cardinality,
    mut push: impl FnMut(&[u8]),
) {
    let mut add = |entity: Option<&EntityTags>| {
        entity
            .into_iter()
            .flat_map(|tags| tags.at(cardinality))
            .for_each(&mut push);
    };
    let pod_uid = identity.pod_uid.filter(|uid| !uid.is_empty());
    if !(config.entity_id_precedence && pod_uid.is_some()) {
        add(identity.socket_container.and_then(|id| table.container(id)));
    }
    match pod_uid {
        // Blocks the container too.
        Some(b"none") => {}
        Some(uid) => add(table.pod(uid)),
        None => match client_container(table, &identity.local) {
            Some(id) => add(table.container(id)),
            None => add(identity.client.and_then(|client| table.of_address(client))),
        },
    }
    add(Some(&table.global));
}

fn unified(
    table: &OriginTable,
    identity: &Identity<'_>,
    cardinality: Cardinality,
    push: impl FnMut(&[u8]),
) {
    let external = &identity.external;
    let external_pod = Some(external.pod_uid).filter(|uid| !uid.is_empty());
    let known = identity
        .socket_container
        .and_then(|id| table.container(id))
        .or_else(|| client_container(table, &identity.local).and_then(|id| table.container(id)))
        .or_else(|| {
            table
                .container_of_external(external)
                .and_then(|id| table.container(id))
        })
        .or_else(|| identity.pod_uid.and_then(|uid| table.pod(uid)))
        .or_else(|| external_pod.and_then(|uid| table.pod(uid)))
        .or_else(|| identity.client.and_then(|client| table.of_address(client)))
        .unwrap_or(&table.global);
    known.at(cardinality).for_each(push);
}

/// The container a client names, by id or by cgroup inode.
fn client_container<'a>(table: &'a OriginTable, local: &LocalData<'a>) -> Option<&'a [u8]> {
    match local.container_id {
        [] => table.container_of_inode(local.inode),
        id => Some(id),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> OriginTable {
        let tags = |low: &str| EntityTags {
            low: vec![low.as_bytes().into()],
            ..EntityTags::default()
        };
        let mut table = OriginTable {
            global: tags("global"),
            ..OriginTable::default()
        };
        table
            .entities
            .insert((*b"container_id://c1").into(), tags("c1"));
        table
            .entities
            .insert((*b"container_id://c2").into(), tags("c2"));
        table
            .entities
            .insert((*b"kubernetes_pod_uid://p").into(), tags("p"));
        table.containers_by_inode.insert(7, (*b"c2").into());
        table
    }

    fn check(config: OriginConfig, identity: Identity<'_>, expected: &[&str]) {
        let mut tags = Vec::new();
        enrich(&config, &table(), &identity, |tag| {
            tags.push(String::from_utf8_lossy(tag).into_owned());
        });
        assert_eq!(tags, expected, "{identity:?}");
    }

    #[test]
    fn the_older_mode_adds_up() {
        let config = OriginConfig::default();
        let socket = Identity {
            socket_container: Some(b"c1"),
            ..Identity::default()
        };
        check(config, socket, &["c1", "global"]);
        check(
            config,
            Identity {
                pod_uid: Some(b"p"),
                ..socket
            },
            &["c1", "p", "global"],
        );
        check(
            config,
            Identity {
                pod_uid: Some(b"none"),
                ..socket
            },
            &["c1", "global"],
        );
        let local = LocalData {
            inode: 7,
            ..LocalData::default()
        };
        check(
            config,
            Identity {
                local,
                ..Identity::default()
            },
            &["c2", "global"],
        );
        check(
            config,
            Identity {
                local,
                pod_uid: Some(b"none"),
                ..Identity::default()
            },
            &["global"],
        );
        let precedence = OriginConfig {
            entity_id_precedence: true,
            ..config
        };
        check(
            precedence,
            Identity {
                pod_uid: Some(b"p"),
                ..socket
            },
            &["p", "global"],
        );
    }

    #[test]
    fn only_lower_case_none_opts_out() {
        let config = OriginConfig::default();
        let socket = Identity {
            socket_container: Some(b"c1"),
            ..Identity::default()
        };
        check(
            config,
            Identity {
                cardinality: b"none",
                ..socket
            },
            &[],
        );
        check(
            config,
            Identity {
                cardinality: b"nonsense",
                ..socket
            },
            &["c1", "global"],
        );
        let kept = OriginConfig {
            optout: false,
            ..config
        };
        check(
            kept,
            Identity {
                cardinality: b"low",
                ..socket
            },
            &["c1", "global"],
        );
    }

    #[test]
    fn the_unified_mode_stops_at_the_first_known() {
        let config = OriginConfig {
            unified: true,
            ..OriginConfig::default()
        };
        let socket = Identity {
            socket_container: Some(b"c1"),
            ..Identity::default()
        };
        check(
            config,
            Identity {
                pod_uid: Some(b"p"),
                ..socket
            },
            &["c1"],
        );
        let unknown = Identity {
            socket_container: Some(b"c9"),
            ..Identity::default()
        };
        check(
            config,
            Identity {
                pod_uid: Some(b"p"),
                ..unknown
            },
            &["p"],
        );
        check(config, unknown, &["global"]);
        check(
            config,
            Identity {
                cardinality: b"NONE",
                ..socket
            },
            &[],
        );
    }
}
