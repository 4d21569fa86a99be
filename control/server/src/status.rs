//! The status page: what runs, what is wrong and what cures it.
//!
//! ```text
//!  sections (adapters in the binary) ──▶ Page ─┬─▶ text: header, problems, the rest by name
//!                                              └─▶ JSON: one object per section
//! ```
//!
//! A section that breaks costs its own place only: text ends with a block of errors, JSON has `errors`.

pub mod remote_agents;
mod routes;
mod text;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::register::{Problem, Severity, StatusSection};

/// Section that comes first.
pub const HEADER: &str = "header";
/// Section made of what all the others call problems.
pub const PROBLEMS: &str = "problems";

/// All sections.
#[derive(Clone, Default)]
pub struct Page {
    sections: Vec<Arc<dyn StatusSection>>,
}

/// There is no section of that name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown status section '{}', available sections are: [{}]", name.escape_debug(), known.join(" "))]
pub struct UnknownSection {
    name: String,
    known: Vec<String>,
}

// === impl Page ===

impl Page {
    /// A page of these sections; one is called `header`.
    pub fn new(mut sections: Vec<Arc<dyn StatusSection>>) -> Self {
        // `false` sorts first: the header.
        sections.sort_by_key(|section| (section.name() != HEADER, section.name().to_owned()));
        Self { sections }
    }

    /// `header`, then the other names in order.
    pub fn names(&self) -> Vec<String> {
        let others = self.sections.iter().map(|section| section.name());
        let mut names: Vec<String> = others
            .filter(|name| *name != HEADER)
            .chain([PROBLEMS])
            .map(str::to_owned)
            .collect();
        names.sort_unstable();
        names.insert(0, HEADER.to_owned());
        names
    }

    /// What is wrong, the worst first.
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems: Vec<Problem> = self
            .sections
            .iter()
            .filter_map(|section| caught(section, |section| section.problems()).ok())
            .flatten()
            .collect();
        problems.sort_by_key(|problem| problem.severity);
        problems
    }

    /// The page for people.
    pub fn text(&self, verbose: bool) -> String {
        let mut out = String::new();
        let mut errors = Vec::new();
        let mut bodies = self.sections.iter().peekable();
        let mut body =
            |section: &Arc<dyn StatusSection>, out: &mut String| match caught(section, |section| {
                section.text(verbose)
            }) {
                Ok(body) => text::section(out, section.name(), &body),
                Err(error) => errors.push(error),
            };
        if let Some(header) = bodies.next_if(|section| section.name() == HEADER) {
            body(header, &mut out);
        }
        text::section(&mut out, PROBLEMS, &text::problems(&self.problems()));
        for section in bodies {
            body(section, &mut out);
        }
        if !errors.is_empty() {
            text::section(&mut out, "errors", &errors.join("\n"));
        }
        out
    }

    /// The page for programs.
    pub fn json(&self, verbose: bool) -> Value {
        let mut page = Map::new();
        let mut errors = Vec::new();
        for section in &self.sections {
            match caught(section, |section| section.json(verbose)) {
                Ok(value) => {
                    page.insert(section.name().to_owned(), value);
                }
                Err(error) => errors.push(error),
            }
            if section.name() == HEADER {
                page.insert(PROBLEMS.to_owned(), self.problems_json());
            }
        }
        page.entry(PROBLEMS).or_insert_with(|| self.problems_json());
        if !errors.is_empty() {
            page.insert("errors".to_owned(), json!(errors));
        }
        page.into()
    }

    /// One section for people.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn section_text(&self, name: &str, verbose: bool) -> Result<String, UnknownSection> {
        let name = name.to_lowercase();
        let mut out = String::new();
        if name == PROBLEMS {
            text::section(&mut out, PROBLEMS, &text::problems(&self.problems()));
            return Ok(out);
        }
        let section = self.section(&name)?;
        match caught(section, |section| section.text(verbose)) {
            Ok(body) => text::section(&mut out, &name, &body),
            Err(error) => text::section(&mut out, "errors", &error),
        }
        Ok(out)
    }

    /// One section for programs.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn section_json(&self, name: &str, verbose: bool) -> Result<Value, UnknownSection> {
        let name = name.to_lowercase();
        if name == PROBLEMS {
            return Ok(json!({ PROBLEMS: self.problems_json() }));
        }
        let section = self.section(&name)?;
        Ok(match caught(section, |section| section.json(verbose)) {
            Ok(value) => json!({ name: value }),
            Err(error) => json!({ "errors": [error] }),
        })
    }

    fn section(&self, name: &str) -> Result<&Arc<dyn StatusSection>, UnknownSection> {
        let found = self.sections.iter().find(|section| section.name() == name);
        found.ok_or_else(|| UnknownSection {
            name: name.chars().take(64).collect(),
            known: self.names(),
        })
    }

    fn problems_json(&self) -> Value {
        self.problems()
            .iter()
            .map(|problem| {
                json!({
                    "severity": severity(problem.severity),
                    "what": problem.what,
                    "cure": problem.cure,
                })
            })
            .collect()
    }
}

/// The word for programs and people.
pub const fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "critical",
        Severity::Warning => "warning",
        Severity::Note => "note",
    }
}

/// What a section says, or that it broke. The panic itself was logged where panics are.
fn caught<T>(
    section: &Arc<dyn StatusSection>,
    ask: impl FnOnce(&dyn StatusSection) -> T,
) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(|| ask(section.as_ref())))
        .map_err(|_| format!("section {} broke", section.name()))
}

#[cfg(test)]
mod tests;
