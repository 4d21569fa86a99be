//! The page with sections that are well, wrong, empty and broken.

use super::*;

struct Section {
    name: &'static str,
    body: &'static str,
    problem: Option<Severity>,
}

impl StatusSection for Section {
    fn name(&self) -> &str {
        self.name
    }
    fn json(&self, verbose: bool) -> Value {
        assert_ne!(self.name, "broken");
        json!({ "body": self.body, "verbose": verbose })
    }
    fn text(&self, _: bool) -> String {
        assert_ne!(self.name, "broken");
        self.body.to_owned()
    }
    fn problems(&self) -> Vec<Problem> {
        let problem = |severity| Problem {
            severity,
            what: format!("{} is unwell", self.name),
            cure: format!("set {}", self.name),
        };
        self.problem.map(problem).into_iter().collect()
    }
}

fn page() -> Page {
    let section = |name, body, problem| -> Arc<dyn StatusSection> {
        Arc::new(Section {
            name,
            body,
            problem,
        })
    };
    Page::new(vec![
        section("sinks", "  all well", Some(Severity::Note)),
        section("empty", "", None),
        section("header", "  greyhound", None),
        section("ledger", "  1 = 1", Some(Severity::Critical)),
    ])
}

#[test]
fn problems_come_behind_the_header_and_the_worst_is_first() {
    assert_eq!(
        page().text(false),
        "\
======
Header
======

  greyhound

========
Problems
========

  critical ledger is unwell
           cure: set ledger
  note     sinks is unwell
           cure: set sinks

======
Ledger
======

  1 = 1

=====
Sinks
=====

  all well
"
    );
    assert_eq!(
        page().names(),
        ["header", "empty", "ledger", "problems", "sinks"]
    );
}

#[test]
fn a_broken_section_leaves_the_others() {
    let mut sections = page().sections;
    sections.push(Arc::new(Section {
        name: "broken",
        body: "",
        problem: None,
    }));
    let page = Page::new(sections);
    assert!(page.text(false).ends_with("section broken broke\n"));
    let json = page.json(true);
    assert_eq!(json["errors"], json!(["section broken broke"]));
    assert_eq!(
        json["sinks"],
        json!({ "body": "  all well", "verbose": true })
    );
    assert_eq!(json["problems"][0]["cure"], "set ledger");
}

#[test]
fn one_section_is_found_in_any_case() {
    let page = page();
    assert_eq!(
        page.section_json("LEDGER", false),
        Ok(json!({ "ledger": { "body": "  1 = 1", "verbose": false } }))
    );
    assert!(page.section_text("header", false).is_ok());
    assert_eq!(
        page.section_text("x", false).map_err(|unknown| unknown.to_string()),
        Err(
            "unknown status section 'x', available sections are: [header empty ledger problems sinks]"
                .to_owned()
        )
    );
}
