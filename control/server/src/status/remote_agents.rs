//! The section about other programs that made themselves known.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Instant;

use greyhound_proto::datadog::remoteagent::status::v1::GetStatusDetailsResponse;
use serde_json::{Value, json};
use tokio::runtime::Handle;

use crate::register::StatusSection;
use crate::registry::AgentRegistry;
use crate::registry::callback::Reply;
use crate::shown::shown;

/// The programs in this registry.
pub struct RemoteAgents(pub Arc<AgentRegistry>);

impl StatusSection for RemoteAgents {
    fn name(&self) -> &str {
        "remote_agents"
    }

    fn json(&self, verbose: bool) -> Value {
        let agents: Vec<Value> = self
            .0
            .agents(Instant::now())
            .iter()
            .map(|(agent, idle)| {
                json!({
                    "name": shown(agent.display_name()).to_string(),
                    "flavor": shown(agent.flavor()).to_string(),
                    "pid": shown(agent.pid()).to_string(),
                    "address": shown(agent.endpoint()).to_string(),
                    "services": agent.services().iter().map(|name| shown(name).to_string()).collect::<Vec<_>>(),
                    "idle_seconds": idle.as_secs(),
                })
            })
            .collect();
        let mut section = json!({ "agents": agents });
        if verbose {
            section["status"] = self.statuses();
        }
        section
    }

    fn text(&self, verbose: bool) -> String {
        let section = self.json(verbose);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let mut out = String::new();
        for agent in section["agents"].as_array().into_iter().flatten() {
            writeln!(
                out,
                "  {:24} {} (pid {}) at {}, heard of {} s ago",
                text(&agent["name"]),
                text(&agent["flavor"]),
                text(&agent["pid"]),
                text(&agent["address"]),
                agent["idle_seconds"]
            )
            .expect("a string takes everything");
        }
        for (name, status) in section["status"].as_object().into_iter().flatten() {
            writeln!(out, "\n  {name}").expect("a string takes everything");
            for (field, value) in status.as_object().into_iter().flatten() {
                writeln!(out, "    {field}: {}", text(value)).expect("a string takes everything");
            }
        }
        if out.is_empty() {
            "  none\n".to_owned()
        } else {
            out
        }
    }
}

// === impl RemoteAgents ===

impl RemoteAgents {
    /// What the agents say of themselves, by name. Blocks for the time limit of callbacks at most.
    fn statuses(&self) -> Value {
        let Ok(runtime) = Handle::try_current() else {
            return Value::Null;
        };
        let replies = runtime.block_on(self.0.statuses());
        let status = |reply: &Reply<GetStatusDetailsResponse>| -> Value {
            match &reply.answer {
                Ok(answer) => {
                    let main = answer.main_section.iter().flat_map(|main| &main.fields);
                    let named = answer
                        .named_sections
                        .values()
                        .flat_map(|section| &section.fields);
                    main.chain(named)
                        .map(|(name, value)| {
                            (shown(name).to_string(), json!(shown(value).to_string()))
                        })
                        .collect::<serde_json::Map<_, _>>()
                        .into()
                }
                Err(error) => json!({ "error": error.to_string() }),
            }
        };
        replies
            .iter()
            .map(|reply| (reply.agent.label().to_owned(), status(reply)))
            .collect::<serde_json::Map<_, _>>()
            .into()
    }
}
