//! `/agent/v1/conntrack`: what the kernel's connection table holds, over the control port.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};

use greyhound_conntrack::error::QueryError;
use greyhound_conntrack::flow::{Flow, Protocol, Tuple};
use greyhound_conntrack::namespace::Namespace;
use greyhound_conntrack::reader::query::{self, FlowFilter, LISTED_MAX, Resync};
use greyhound_server::register::RouteGroup;
use greyhound_server::rest::request::Request;
use greyhound_server::rest::response::Response;
use greyhound_server::rest::{Handler, Route};
use hyper::StatusCode;
use serde_json::{Value, json};

use super::{Shown, json as shape};

/// The routes; they answer once the reader runs.
pub struct ConntrackRoutes(pub Arc<OnceLock<Shown>>);

type Answer = Result<Value, (StatusCode, String)>;

// === impl ConntrackRoutes ===

impl ConntrackRoutes {
    fn handler(&self, answer: fn(&Shown, &Request) -> Answer) -> Handler {
        let shown = Arc::clone(&self.0);
        Handler::blocking(move |request| {
            let answered = match shown.get() {
                Some(shown) => answer(shown, &request),
                None => Err((
                    StatusCode::SERVICE_UNAVAILABLE,
                    "connection tracking is not read: set `greyhound.conntrack.mode`".to_owned(),
                )),
            };
            match answered {
                Ok(value) => Response::json(&value),
                Err((status, why)) => Response::json_error(status, &why),
            }
        })
    }
}

impl RouteGroup for ConntrackRoutes {
    fn routes(&self) -> Vec<Route> {
        let text = json!({ "type": "string" });
        let number = json!({ "type": "integer" });
        let netns =
            |route: Route| route.query("netns", "namespace, as in the settings", text.clone());
        let object = json!({ "type": "object" });
        let all = vec![
            Route::get(
                "/agent/v1/conntrack",
                "how the reader is",
                self.handler(overview),
            ),
            netns(Route::get(
                "/agent/v1/conntrack/flows",
                "flows",
                self.handler(flows),
            ))
            .query("proto", "of this protocol", text.clone())
            .query("ip", "with this address", text.clone())
            .query("port", "with this port", number.clone())
            .query("nat", "1: translated ones only", number.clone())
            .query("limit", "at most so many, up to 1000", number.clone())
            .query(
                "cursor",
                "where the last page ended, in mode events",
                number.clone(),
            ),
            netns(Route::get(
                "/agent/v1/conntrack/lookup",
                "one flow, by a tuple of either direction",
                self.handler(lookup),
            ))
            .query("proto", "protocol; udp when not given", text.clone())
            .query("src", "sender", text.clone())
            .query("sport", "its port", number.clone())
            .query("dst", "receiver", text.clone())
            .query("dport", "its port", number.clone())
            .query("zone", "connection tracking zone", number.clone()),
            netns(Route::get(
                "/agent/v1/conntrack/stats",
                "entries, their maximum, counters of each CPU",
                self.handler(stats),
            )),
            Route::get(
                "/agent/v1/conntrack/dogstatsd",
                "clients behind UDP, and stale flows",
                self.handler(|shown, _| Ok(shape::dogstatsd(shown))),
            ),
            Route::post(
                "/agent/v1/conntrack/resync",
                "load the table anew",
                self.handler(resync),
            ),
            Route::post(
                "/agent/v1/conntrack/dogstatsd/purge-stale",
                "delete stale flows",
                self.handler(purge),
            ),
        ];
        all.into_iter()
            .map(|route| route.tag("conntrack").json(200, "as asked", object.clone()))
            .collect()
    }
}

fn overview(shown: &Shown, _: &Request) -> Answer {
    Ok(shape::overview(&shown.reader.view()))
}

fn flows(shown: &Shown, request: &Request) -> Answer {
    let namespace = namespace(shown, request)?;
    let filter = FlowFilter {
        protocol: protocol(request)?,
        address: value::<IpAddr>(request, "ip")?,
        port: value(request, "port")?,
        only_nat: request
            .query("nat")
            .is_some_and(|nat| !matches!(nat, "" | "0" | "false")),
    };
    let limit = value(request, "limit")?.unwrap_or(100).min(LISTED_MAX);
    let cursor = value(request, "cursor")?.unwrap_or(0);
    let (listed, source) = match shown.reader.table_page(namespace, &filter, limit, cursor) {
        Some(listed) => (listed, "table"),
        None => (
            query::list(namespace, &filter, limit).map_err(refuse)?,
            "kernel",
        ),
    };
    Ok(json!({
        "source": source,
        "flows": listed.flows.iter().map(shape::flow).collect::<Vec<_>>(),
        "matching": listed.matching,
        "cursor": listed.cursor,
        "sampled": shown.reader.view().sampling_rate < 1.0,
    }))
}

fn lookup(shown: &Shown, request: &Request) -> Answer {
    let namespace = namespace(shown, request)?;
    let needed = |name: &str| bad(format!("`{name}` is missing"));
    let protocol = protocol(request)?.unwrap_or(Protocol::Udp);
    let source: IpAddr = value(request, "src")?.ok_or_else(|| needed("src"))?;
    let destination: IpAddr = value(request, "dst")?.ok_or_else(|| needed("dst"))?;
    let sport: Option<u16> = value(request, "sport")?;
    let dport: Option<u16> = value(request, "dport")?;
    let has_ports = !matches!(protocol, Protocol::Icmp | Protocol::Icmpv6);
    if !has_ports && (sport.is_some() || dport.is_some()) {
        return Err(bad("ICMP has no ports".into()));
    }
    let tuple = Tuple::new(
        protocol,
        SocketAddr::new(source, sport.unwrap_or(0)),
        SocketAddr::new(destination, dport.unwrap_or(0)),
    )
    .ok_or_else(|| bad("`src` and `dst` are of two families".into()))?
    .in_zone(value(request, "zone")?.unwrap_or(0));
    let flow = query::lookup(namespace, &tuple).map_err(refuse)?;
    let mut answer = shape::flow(&flow);
    answer["source"] = "kernel".into();
    answer["client"] = flow.original.source().to_string().into();
    Ok(answer)
}

fn stats(shown: &Shown, request: &Request) -> Answer {
    let (totals, per_cpu) = query::stats(namespace(shown, request)?).map_err(refuse)?;
    Ok(shape::stats(&totals, &per_cpu))
}

fn resync(shown: &Shown, _: &Request) -> Answer {
    match shown.reader.resync() {
        Resync::Planned => Ok(json!({ "resync": "planned" })),
        Resync::NoTable => Err((
            StatusCode::CONFLICT,
            "there is no table: `greyhound.conntrack.mode` is not events".into(),
        )),
        Resync::TooSoon => Err((
            StatusCode::TOO_MANY_REQUESTS,
            "the table was loaded on demand less than 5 s ago".into(),
        )),
    }
}

fn purge(shown: &Shown, _: &Request) -> Answer {
    if !shown.allow_delete {
        return Err((
            StatusCode::FORBIDDEN,
            "not allowed: set `greyhound.conntrack.allow_delete`".into(),
        ));
    }
    let view = shown.reader.view();
    let (mut deleted, mut gone, mut failed) = (0, 0, 0);
    for one in &view.namespaces {
        let Some(namespace) = shown.reader.namespace(Some(&one.name)) else {
            continue;
        };
        // Looked for anew: what was stale half a minute ago may be well by now.
        let found = query::find_stale(namespace, shown.reader.ports()).map_err(refuse)?;
        let flows: Vec<Flow> = found.flows;
        let purged = query::purge(namespace, &flows).map_err(refuse)?;
        deleted += purged.deleted;
        gone += purged.gone;
        failed += purged.failed;
    }
    Ok(json!({ "deleted": deleted, "gone": gone, "failed": failed }))
}

fn namespace<'a>(
    shown: &'a Shown,
    request: &Request,
) -> Result<&'a Namespace, (StatusCode, String)> {
    let name = request.query("netns").filter(|name| !name.is_empty());
    shown
        .reader
        .namespace(name)
        .ok_or_else(|| bad("`netns` is not one of `greyhound.conntrack.namespaces`".into()))
}

fn protocol(request: &Request) -> Result<Option<Protocol>, (StatusCode, String)> {
    match request.query("proto") {
        None | Some("") => Ok(None),
        Some(text) => match Protocol::from_text(text) {
            Some(protocol) => Ok(Some(protocol)),
            None => Err(bad(format!("`proto` {text:?} is no protocol"))),
        },
    }
}

fn value<T: std::str::FromStr>(
    request: &Request,
    name: &str,
) -> Result<Option<T>, (StatusCode, String)> {
    match request.query(name) {
        None | Some("") => Ok(None),
        Some(text) => match text.parse() {
            Ok(value) => Ok(Some(value)),
            Err(_) => Err(bad(format!("`{name}` cannot be {text:?}"))),
        },
    }
}

fn bad(why: String) -> (StatusCode, String) {
    (StatusCode::BAD_REQUEST, why)
}

fn refuse(error: QueryError) -> (StatusCode, String) {
    let status = match &error {
        QueryError::NotFound => StatusCode::NOT_FOUND,
        QueryError::NoPrivilege
        | QueryError::Unsupported
        | QueryError::NoNamespace(_)
        | QueryError::NamespaceRefused(_) => StatusCode::SERVICE_UNAVAILABLE,
        QueryError::TimedOut => StatusCode::GATEWAY_TIMEOUT,
        QueryError::Unreadable | QueryError::Io(_) => StatusCode::INTERNAL_SERVER_ERROR,
    };
    match error.cure() {
        "" => (status, error.to_string()),
        cure => (status, format!("{error}; {cure}")),
    }
}
