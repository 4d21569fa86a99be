//! How sections look to people. No colours: those are for terminals, and the command line puts them on.

use std::fmt::Write;

use crate::register::Problem;

/// Appends a section under its title; nothing when it has nothing to say.
pub(super) fn section(out: &mut String, name: &str, body: &str) {
    let body = body.trim_end();
    if body.is_empty() {
        return;
    }
    let title = title(name);
    let rule = "=".repeat(title.chars().count());
    if !out.is_empty() {
        out.push('\n');
    }
    writeln!(out, "{rule}\n{title}\n{rule}\n\n{body}").expect("a string takes everything");
}

/// What is wrong, one after the other, each with its cure.
pub(super) fn problems(problems: &[Problem]) -> String {
    if problems.is_empty() {
        return "  none\n".to_owned();
    }
    let mut out = String::new();
    for problem in problems {
        writeln!(
            out,
            "  {:8} {}",
            super::severity(problem.severity),
            problem.what
        )
        .expect("a string takes everything");
        if !problem.cure.is_empty() {
            writeln!(out, "           cure: {}", problem.cure).expect("a string takes everything");
        }
    }
    out
}

/// The name with a capital, words apart.
fn title(name: &str) -> String {
    let mut letters = name.chars().map(|c| if c == '_' { ' ' } else { c });
    letters
        .next()
        .into_iter()
        .flat_map(char::to_uppercase)
        .chain(letters)
        .collect()
}
