//! Looks for what is wrong around the process, and names the command that cures it: `POST /agent/diagnose`.
//!
//! The answer has the Agent's shape, so that its clients can print it.

use std::fmt::Write;
use std::sync::Arc;

use hyper::StatusCode;
use serde_json::{Value, json};

use crate::register::RouteGroup;
use crate::rest::response::Response;
use crate::rest::{Handler, Route};

/// Questions about one subject. Called on a blocking thread; may take seconds.
pub trait Suite: Send + Sync {
    /// What it is about.
    fn name(&self) -> &str;
    /// Looks.
    fn run(&self) -> Vec<Diagnosis>;
}

/// What came of one question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnosis {
    /// How it is.
    pub verdict: Verdict,
    /// The question, in few words.
    pub name: String,
    /// What was found.
    pub finding: String,
    /// The command or setting that cures it; empty when nothing is to do.
    pub remedy: String,
}

/// How something is. The numbers are the Agent's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Well.
    Success = 0,
    /// Broken.
    Fail = 1,
    /// May become a trouble.
    Warning = 2,
    /// Could not be found out.
    Unknown = 3,
}

/// All suites.
#[derive(Clone, Default)]
pub struct Doctor {
    suites: Vec<Arc<dyn Suite>>,
}

/// What the suites found.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    runs: Vec<(String, Vec<Diagnosis>)>,
}

// === impl Diagnosis ===

impl Diagnosis {
    /// All is well.
    pub fn success(name: &str, finding: impl Into<String>) -> Self {
        Self::new(Verdict::Success, name, finding, String::new())
    }

    /// Anything else, with its cure.
    pub fn new(
        verdict: Verdict,
        name: &str,
        finding: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            verdict,
            name: name.to_owned(),
            finding: finding.into(),
            remedy: remedy.into(),
        }
    }

    fn json(&self, suite: &str) -> Value {
        let mut entry = json!({
            "result": self.verdict as u8,
            "name": self.name,
            "diagnosis": self.finding,
            "category": suite,
        });
        if !self.remedy.is_empty() {
            entry["remediation"] = json!(self.remedy);
        }
        entry
    }
}

// === impl Verdict ===

impl Verdict {
    /// The word at the beginning of a line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "PASS",
            Self::Fail => "FAIL",
            Self::Warning => "WARN",
            Self::Unknown => "UNKNOWN",
        }
    }

    /// The verdict behind the Agent's number.
    pub fn from_number(number: u64) -> Self {
        match number {
            0 => Self::Success,
            1 => Self::Fail,
            2 => Self::Warning,
            _ => Self::Unknown,
        }
    }
}

// === impl Doctor ===

impl Doctor {
    /// A doctor with these suites.
    pub fn new(suites: Vec<Arc<dyn Suite>>) -> Self {
        Self { suites }
    }

    /// Runs every suite, one after the other. Blocks.
    pub fn run(&self) -> Findings {
        Findings {
            runs: self
                .suites
                .iter()
                .map(|suite| (suite.name().to_owned(), suite.run()))
                .collect(),
        }
    }
}

impl RouteGroup for Doctor {
    fn routes(&self) -> Vec<Route> {
        let doctor = self.clone();
        let run = json!({
            "type": "object",
            "required": ["suite_name", "diagnoses"],
            "properties": {
                "suite_name": { "type": "string" },
                "diagnoses": { "type": "array", "items": { "type": "object" } },
            },
        });
        vec![
            Route::post(
                "/agent/diagnose",
                "Looks for what is wrong around the process",
                Handler::blocking(move |request| match options(&request.body) {
                    Ok(()) => Response::json(&doctor.run().json()),
                    Err(why) => Response::json_error(StatusCode::BAD_REQUEST, &why),
                }),
            )
            .tag("status")
            .json_body(json!({ "type": ["object", "null"] }), false)
            .text(400, "The options are no JSON object")
            .json(
                200,
                "What was found, by suite",
                json!({
                    "type": "object",
                    "required": ["runs", "summary"],
                    "properties": {
                        "runs": { "type": "array", "items": run },
                        "summary": { "type": "object" },
                    },
                }),
            )
            .long(),
        ]
    }
}

/// The Agent's options choose suites it has and this process lacks, so they change nothing; but what is no
/// options at all is a mistake of the client.
fn options(body: &[u8]) -> Result<(), String> {
    if body.is_empty() {
        return Ok(());
    }
    serde_json::from_slice::<Option<serde_json::Map<String, Value>>>(body)
        .map(drop)
        .map_err(|error| format!("invalid options: {error}"))
}

// === impl Findings ===

impl Findings {
    /// In the Agent's shape.
    pub fn json(&self) -> Value {
        let runs: Vec<Value> = self
            .runs
            .iter()
            .map(|(suite, found)| {
                let diagnoses: Vec<Value> = found.iter().map(|one| one.json(suite)).collect();
                json!({ "suite_name": suite, "diagnoses": diagnoses })
            })
            .collect();
        json!({
            "runs": runs,
            "summary": {
                "total": self.all().count(),
                "success": self.count(Verdict::Success),
                "fail": self.count(Verdict::Fail),
                "warnings": self.count(Verdict::Warning),
                "unexpected_error": self.count(Verdict::Unknown),
            },
        })
    }

    /// Reads the answer of a running process. Fields it lacks read as empty.
    pub fn from_json(answer: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let diagnosis = |one: &Value| Diagnosis {
            verdict: Verdict::from_number(one["result"].as_u64().unwrap_or(3)),
            name: text(&one["name"]),
            finding: text(&one["diagnosis"]),
            remedy: text(&one["remediation"]),
        };
        let runs = answer["runs"].as_array().into_iter().flatten();
        Self {
            runs: runs
                .map(|run| {
                    let found = run["diagnoses"].as_array().into_iter().flatten();
                    (text(&run["suite_name"]), found.map(diagnosis).collect())
                })
                .collect(),
        }
    }

    /// How many have this verdict.
    pub fn count(&self, verdict: Verdict) -> usize {
        self.all().filter(|one| one.verdict == verdict).count()
    }

    /// For people: one line per question, the cure below it.
    pub fn text(&self) -> String {
        let mut out = String::new();
        for (suite, found) in &self.runs {
            writeln!(out, "{suite}").expect("a string takes everything");
            for one in found {
                writeln!(
                    out,
                    "  {:7} {}: {}",
                    one.verdict.as_str(),
                    one.name,
                    one.finding
                )
                .expect("a string takes everything");
                if !one.remedy.is_empty() {
                    writeln!(out, "          cure: {}", one.remedy)
                        .expect("a string takes everything");
                }
            }
            out.push('\n');
        }
        writeln!(
            out,
            "{} passed, {} failed, {} warnings, {} unknown",
            self.count(Verdict::Success),
            self.count(Verdict::Fail),
            self.count(Verdict::Warning),
            self.count(Verdict::Unknown)
        )
        .expect("a string takes everything");
        out
    }

    fn all(&self) -> impl Iterator<Item = &Diagnosis> {
        self.runs.iter().flat_map(|(_, found)| found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_an_object_or_nothing() {
        for fine in ["", "null", "{}", r#"{"include":["x"]}"#] {
            assert_eq!(options(fine.as_bytes()), Ok(()), "{fine}");
        }
        for wrong in ["[]", "1", "{", "\0", "{} {}"] {
            assert!(options(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }

    struct Buffers;

    impl Suite for Buffers {
        fn name(&self) -> &str {
            "buffers"
        }
        fn run(&self) -> Vec<Diagnosis> {
            vec![
                Diagnosis::success("descriptors", "65536"),
                Diagnosis::new(Verdict::Warning, "rmem_max", "208 KiB", "sysctl -w x"),
            ]
        }
    }

    #[test]
    fn the_answer_has_the_agents_shape_and_reads_back() {
        let found = Doctor::new(vec![Arc::new(Buffers)]).run();
        let answer = found.json();
        assert_eq!(answer["runs"][0]["suite_name"], "buffers");
        assert_eq!(answer["runs"][0]["diagnoses"][1]["result"], 2);
        assert_eq!(
            answer["runs"][0]["diagnoses"][1]["remediation"],
            "sysctl -w x"
        );
        assert_eq!(answer["summary"]["warnings"], 1);
        assert_eq!(Findings::from_json(&answer).text(), found.text());
        assert!(found.text().contains("cure: sysctl -w x"));
    }
}
