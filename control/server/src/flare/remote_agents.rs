//! Files of other programs that made themselves known, each in a folder of its own.

use std::sync::Arc;

use tokio::runtime::Handle;

use crate::register::{FlareFiles, FlareSource};
use crate::registry::AgentRegistry;

/// Asks every agent that offers files.
pub struct RemoteAgents(pub Arc<AgentRegistry>);

impl FlareSource for RemoteAgents {
    fn name(&self) -> &str {
        "remote agents"
    }

    fn collect(&self, into: &mut FlareFiles) {
        // A command without the daemon has neither agents nor a runtime.
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        for reply in runtime.block_on(self.0.flares()) {
            let agent = reply.agent.label();
            match reply.answer {
                Ok(answer) => {
                    for (name, bytes) in answer.files {
                        // One part of a path, whatever it holds.
                        into.add(format!("{agent}/{}", name.replace('/', "_")), bytes);
                    }
                }
                Err(error) => into.add(format!("{agent}/error.log"), error.to_string()),
            }
        }
    }
}
