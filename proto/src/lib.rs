//! Messages and services on the wire, one module per protobuf package, named as the package is.
//!
//! ```text
//!  proto/datadog/{api,model,remoteagent,…} ─┐
//!  proto/datadog/agentpayload, datadoghq ───┼─ build.rs: protox ▸ prost, tonic ─▶ the modules below
//!  proto/prometheus, proto/opentelemetry ───┘                             └─▶ DESCRIPTORS
//! ```
//!
//! Names and numbers are those other programs use, so that their bytes and ours are the same. There
//! is no hand-written code here but the generator: no checks, no conversions. A method nobody writes
//! answers UNIMPLEMENTED.
#![forbid(unsafe_code)]

/// Descriptions of everything the control port serves, for the reflection service: an encoded
/// `FileDescriptorSet`.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/served.bin"));

/// A module with the code generated for one package.
macro_rules! package {
    ($(#[$doc:meta])* $module:ident = $package:literal) => {
        $(#[$doc])*
        #[allow(missing_docs, clippy::all, reason = "generated; the .proto files carry the words")]
        pub mod $module {
            include!(concat!(env!("OUT_DIR"), "/", $package, ".rs"));
        }
    };
}

/// What Datadog's agents say to each other, and to the intake.
pub mod datadog {
    package!(
        /// Series, sketches and events for the intake.
        agentpayload = "datadog.agentpayload"
    );
    package!(
        /// Check configurations.
        autodiscovery = "datadog.autodiscovery"
    );
    package!(
        /// Remote configuration, refused.
        config = "datadog.config"
    );
    package!(
        /// What runs on a host.
        workloadmeta = "datadog.workloadmeta"
    );

    /// The services of the control port.
    pub mod api {
        package!(
            /// `Agent` and `AgentSecure`.
            v1 = "datadog.api.v1"
        );
    }

    /// Messages of those services.
    pub mod model {
        package!(
            /// Host name, tagger, capture, config stream.
            v1 = "datadog.model.v1"
        );
    }

    /// Remote agents: how they register, and what they are asked.
    pub mod remoteagent {
        package!(
            /// The registry.
            v1 = "datadog.remoteagent.v1"
        );

        /// Status of a remote agent.
        pub mod status {
            package!(
                /// `StatusProvider`.
                v1 = "datadog.remoteagent.status.v1"
            );
        }

        /// Files of a remote agent for a flare.
        pub mod flare {
            package!(
                /// `FlareProvider`.
                v1 = "datadog.remoteagent.flare.v1"
            );
        }

        /// Counters of a remote agent.
        pub mod telemetry {
            package!(
                /// `TelemetryProvider`.
                v1 = "datadog.remoteagent.telemetry.v1"
            );
        }
    }
}

/// Newer forms of the intake.
pub mod datadoghq {
    /// By signal.
    pub mod api {
        /// Metrics.
        pub mod metrics {
            package!(
                /// By columns.
                v3 = "datadoghq.api.metrics.v3"
            );
        }
    }
}

package!(
    /// Prometheus remote write, first version.
    prometheus = "prometheus"
);

/// Prometheus remote write, second version.
pub mod io {
    /// By project.
    pub mod prometheus {
        /// By protocol.
        pub mod write {
            package!(
                /// Strings by reference.
                v2 = "io.prometheus.write.v2"
            );
        }
    }
}

/// OTLP, metrics only.
pub mod opentelemetry {
    /// All packages start with this word.
    pub mod proto {
        /// Attributes.
        pub mod common {
            package!(
                /// First and only version.
                v1 = "opentelemetry.proto.common.v1"
            );
        }

        /// Who sends.
        pub mod resource {
            package!(
                /// First and only version.
                v1 = "opentelemetry.proto.resource.v1"
            );
        }

        /// Points.
        pub mod metrics {
            package!(
                /// First and only version.
                v1 = "opentelemetry.proto.metrics.v1"
            );
        }

        /// The collector's service.
        pub mod collector {
            /// For metrics.
            pub mod metrics {
                package!(
                    /// First and only version.
                    v1 = "opentelemetry.proto.collector.metrics.v1"
                );
            }
        }
    }
}
