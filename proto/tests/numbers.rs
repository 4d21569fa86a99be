//! Field numbers and types, against bytes written down by hand from the tables of the protocol.
//!
//! The messages are generated, so the only thing that can be wrong is a number or a type; each row
//! pins those a client of another make relies on.

use greyhound_proto::datadog::agentpayload as payload;
use greyhound_proto::datadog::api::v1::agent_secure_server;
use greyhound_proto::datadog::model::v1 as model;
use greyhound_proto::datadog::remoteagent::v1 as remote;
use greyhound_proto::datadog::remoteagent::{flare, status, telemetry};
use greyhound_proto::io::prometheus::write::v2;
use greyhound_proto::opentelemetry::proto as otlp;
use greyhound_proto::{DESCRIPTORS, prometheus};
use prost::Message;

/// `message` is written as `bytes`, and read back from them.
fn check<M: Message + Default + PartialEq + std::fmt::Debug>(message: M, bytes: &[u8]) {
    assert_eq!(message.encode_to_vec(), bytes, "{message:?}");
    assert_eq!(M::decode(bytes).expect("its own bytes"), message);
}

#[test]
fn the_registry() {
    check(
        remote::RegisterRemoteAgentRequest {
            pid: "1".into(),
            flavor: "f".into(),
            display_name: "d".into(),
            api_endpoint_uri: "e".into(),
            services: vec!["s".into(), "t".into()],
        },
        b"\x0a\x011\x12\x01f\x1a\x01d\x22\x01e\x2a\x01s\x2a\x01t",
    );
    check(
        remote::RegisterRemoteAgentResponse {
            session_id: "x".into(),
            recommended_refresh_interval_secs: 10,
        },
        b"\x0a\x01x\x10\x0a",
    );
    check(
        remote::ReportRemoteAgentEventRequest {
            session_id: "x".into(),
            events: vec![remote::Event {
                message: "m".into(),
                details: Some(remote::event::Details::InvalidApiKey(
                    remote::InvalidApiKeyEvent {},
                )),
            }],
        },
        b"\x0a\x01x\x12\x05\x0a\x01m\x12\x00",
    );
}

#[test]
fn the_callbacks() {
    let section = status::v1::StatusSection {
        fields: [("a".to_owned(), "b".to_owned())].into(),
    };
    check(
        status::v1::GetStatusDetailsResponse {
            main_section: Some(section.clone()),
            named_sections: [("n".to_owned(), section)].into(),
        },
        b"\x0a\x08\x0a\x06\x0a\x01a\x12\x01b\x12\x0d\x0a\x01n\x12\x08\x0a\x06\x0a\x01a\x12\x01b",
    );
    check(
        flare::v1::GetFlareFilesResponse {
            files: [("n".to_owned(), vec![7])].into(),
        },
        b"\x0a\x06\x0a\x01n\x12\x01\x07",
    );
    check(
        telemetry::v1::GetTelemetryResponse {
            payload: Some(telemetry::v1::get_telemetry_response::Payload::PromText(
                "a 1".into(),
            )),
        },
        b"\x0a\x03a 1",
    );
}

#[test]
fn the_config_stream() {
    let value = |kind| prost_types::Value { kind: Some(kind) };
    let setting = |kind| model::ConfigSetting {
        source: "file".into(),
        key: "k".into(),
        value: Some(value(kind)),
        unset_source: String::new(),
    };
    check(
        model::ConfigEvent {
            event: Some(model::config_event::Event::Snapshot(
                model::ConfigSnapshot {
                    origin: "o".into(),
                    sequence_id: 300,
                    settings: vec![setting(prost_types::value::Kind::BoolValue(true))],
                },
            )),
        },
        b"\x0a\x15\x0a\x01o\x10\xac\x02\x1a\x0d\x0a\x04file\x12\x01k\x1a\x02\x20\x01",
    );
    check(
        model::ConfigEvent {
            event: Some(model::config_event::Event::Update(model::ConfigUpdate {
                origin: "o".into(),
                sequence_id: 2,
                setting: Some(model::ConfigSetting {
                    unset_source: "cli".into(),
                    ..setting(prost_types::value::Kind::NullValue(0))
                }),
            })),
        },
        b"\x12\x19\x0a\x01o\x10\x02\x1a\x12\x0a\x04file\x12\x01k\x1a\x02\x08\x00\x22\x03cli",
    );
    check(
        setting(prost_types::value::Kind::NumberValue(1.5)),
        b"\x0a\x04file\x12\x01k\x1a\x09\x11\x00\x00\x00\x00\x00\x00\xf8\x3f",
    );
    check(
        setting(prost_types::value::Kind::StringValue("v".into())),
        b"\x0a\x04file\x12\x01k\x1a\x03\x1a\x01v",
    );
}

#[test]
fn tags_and_hosts() {
    let id = model::EntityId {
        prefix: "p".into(),
        uid: "u".into(),
    };
    check(
        model::FetchEntityResponse {
            id: Some(id.clone()),
            cardinality: model::TagCardinality::High.into(),
            tags: vec!["a".into()],
        },
        b"\x0a\x06\x0a\x01p\x12\x01u\x10\x02\x1a\x01a",
    );
    check(
        model::Entity {
            id: Some(id),
            hash: "h".into(),
            high_cardinality_tags: vec!["1".into()],
            orchestrator_cardinality_tags: vec!["2".into()],
            low_cardinality_tags: vec!["3".into()],
            standard_tags: vec!["4".into()],
        },
        b"\x0a\x06\x0a\x01p\x12\x01u\x12\x01h\x1a\x011\x22\x012\x2a\x013\x32\x014",
    );
    check(
        model::UnixDogstatsdMsg {
            timestamp: 1,
            payload_size: 2,
            payload: vec![3],
            pid: 4,
            ancillary_size: 5,
            ancillary: vec![6],
        },
        b"\x08\x01\x10\x02\x1a\x01\x03\x20\x04\x28\x05\x32\x01\x06",
    );
}

#[test]
fn payloads() {
    let metadata = payload::Metadata {
        origin: Some(payload::Origin {
            origin_product: 10,
            origin_category: 11,
            origin_service: 12,
        }),
    };
    check(
        payload::MetricPayload {
            series: vec![payload::metric_payload::MetricSeries {
                resources: vec![payload::metric_payload::Resource {
                    r#type: "host".into(),
                    name: "h".into(),
                }],
                metric: "m".into(),
                tags: vec!["t".into()],
                points: vec![payload::metric_payload::MetricPoint {
                    value: 1.0,
                    timestamp: 5,
                }],
                r#type: payload::metric_payload::MetricType::Gauge.into(),
                unit: "u".into(),
                source_type_name: "s".into(),
                interval: 10,
                metadata: Some(metadata),
            }],
        },
        b"\x0a\x32\x0a\x09\x0a\x04host\x12\x01h\x12\x01m\x1a\x01t\
          \x22\x0b\x09\x00\x00\x00\x00\x00\x00\xf0\x3f\x10\x05\
          \x28\x03\x32\x01u\x3a\x01s\x40\x0a\x4a\x08\x0a\x06\x20\x0a\x28\x0b\x30\x0c",
    );
    check(
        payload::SketchPayload {
            sketches: vec![payload::sketch_payload::Sketch {
                metric: "m".into(),
                host: "h".into(),
                tags: vec!["t".into()],
                dogsketches: vec![payload::sketch_payload::sketch::Dogsketch {
                    ts: 5,
                    cnt: 3,
                    k: vec![-1, 0, 1],
                    n: vec![1, 1, 1],
                    ..Default::default()
                }],
                ..Default::default()
            }],
            metadata: Some(payload::CommonMetadata::default()),
        },
        b"\x0a\x19\x0a\x01m\x12\x01h\x22\x01t\x3a\x0e\x08\x05\x10\x03\x3a\x03\x01\x00\x02\x42\x03\x01\x01\x01\x12\x00",
    );
}

#[test]
fn remote_write_and_otlp() {
    check(
        prometheus::WriteRequest {
            timeseries: vec![prometheus::TimeSeries {
                labels: vec![prometheus::Label {
                    name: "a".into(),
                    value: "b".into(),
                }],
                samples: vec![prometheus::Sample {
                    value: 1.0,
                    timestamp: 1000,
                }],
                ..Default::default()
            }],
            metadata: Vec::new(),
        },
        b"\x0a\x16\x0a\x06\x0a\x01a\x12\x01b\x12\x0c\x09\x00\x00\x00\x00\x00\x00\xf0\x3f\x10\xe8\x07",
    );
    check(
        v2::Request {
            symbols: vec![String::new(), "a".into()],
            timeseries: vec![v2::TimeSeries {
                labels_refs: vec![1, 0],
                metadata: Some(v2::Metadata {
                    r#type: v2::metadata::MetricType::Counter.into(),
                    help_ref: 1,
                    unit_ref: 1,
                }),
                ..Default::default()
            }],
        },
        b"\x22\x00\x22\x01a\x2a\x0c\x0a\x02\x01\x00\x2a\x06\x08\x01\x18\x01\x20\x01",
    );
    let point = otlp::metrics::v1::NumberDataPoint {
        time_unix_nano: 1,
        value: Some(otlp::metrics::v1::number_data_point::Value::AsInt(2)),
        attributes: vec![otlp::common::v1::KeyValue {
            key: "k".into(),
            value: None,
        }],
        ..Default::default()
    };
    check(
        otlp::collector::metrics::v1::ExportMetricsServiceRequest {
            resource_metrics: vec![otlp::metrics::v1::ResourceMetrics {
                scope_metrics: vec![otlp::metrics::v1::ScopeMetrics {
                    metrics: vec![otlp::metrics::v1::Metric {
                        name: "m".into(),
                        data: Some(otlp::metrics::v1::metric::Data::Sum(
                            otlp::metrics::v1::Sum {
                                data_points: vec![point],
                                aggregation_temporality: 1,
                                is_monotonic: true,
                            },
                        )),
                        ..Default::default()
                    }],
                    ..Default::default()
                }],
                ..Default::default()
            }],
        },
        b"\x0a\x26\x12\x24\x12\x22\x0a\x01m\x3a\x1d\x0a\x17\
          \x19\x01\x00\x00\x00\x00\x00\x00\x00\x31\x02\x00\x00\x00\x00\x00\x00\x00\x3a\x03\x0a\x01k\
          \x10\x01\x18\x01",
    );
}

#[test]
fn reflection_shows_services_and_no_payloads() {
    let set = prost_types::FileDescriptorSet::decode(DESCRIPTORS).expect("written by the build");
    let packages: Vec<&str> = set.file.iter().map(|file| file.package()).collect();
    assert!(packages.contains(&"datadog.api.v1"));
    assert!(packages.contains(&"google.protobuf"));
    assert!(!packages.contains(&"datadog.agentpayload"));
    assert_eq!(
        agent_secure_server::SERVICE_NAME,
        "datadog.api.v1.AgentSecure"
    );
}
