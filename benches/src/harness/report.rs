//! Rows of figures: as a table, as JSON, beside those of another run.

use std::fmt::Write;

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

/// Figures of one scenario at one rate.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Scenario.
    pub scenario: String,
    /// Rate or point; may be empty.
    pub at: String,
    values: Vec<(String, f64)>,
}

/// What one column shows.
struct Column {
    title: &'static str,
    value: fn(&Row) -> Option<String>,
}

/// Figures that a comparison shows, and whether less is better.
const COMPARED: [(&str, &str, bool); 10] = [
    ("cpu_ns", "CPU ns/msg", true),
    ("discard_ratio", "/ discard", true),
    ("floor_ratio", "/ floors", true),
    ("largest_per_second", "largest/s", false),
    ("lost_share", "lost", true),
    ("refused_share", "refused", true),
    ("core_share", "core", true),
    ("resident_mb", "RSS MB", true),
    ("taken_of_largest", "taken/max", false),
    ("start_ms", "start ms", true),
];

// === impl Row ===

impl Row {
    /// Without figures yet.
    pub fn new(scenario: &str, at: &str) -> Self {
        Self {
            scenario: scenario.to_owned(),
            at: at.to_owned(),
            values: Vec::new(),
        }
    }

    /// Sets a figure.
    pub fn set(&mut self, name: &str, value: f64) {
        match self.values.iter_mut().find(|(known, _)| known == name) {
            Some((_, known)) => *known = value,
            None => self.values.push((name.to_owned(), value)),
        }
    }

    /// A figure.
    pub fn get(&self, name: &str) -> Option<f64> {
        let found = self.values.iter().find(|(known, _)| known == name);
        found.map(|&(_, value)| value)
    }

    /// As an object: `scenario`, `at`, and the figures by name.
    pub fn to_json(&self) -> Value {
        let mut object = Map::new();
        object.insert("scenario".to_owned(), json!(self.scenario));
        object.insert("at".to_owned(), json!(self.at));
        for (name, value) in &self.values {
            object.insert(name.clone(), json!(value));
        }
        if let Some(nanos) = self.get("cpu_ns") {
            object.insert("cpu_seconds_per_million".to_owned(), json!(nanos / 1e3));
        }
        Value::Object(object)
    }

    fn from_json(value: &Value) -> Option<Self> {
        let object = value.as_object()?;
        let mut row = Self::new(
            object.get("scenario")?.as_str()?,
            object.get("at")?.as_str()?,
        );
        for (name, value) in object {
            if let Some(number) = value.as_f64() {
                row.set(name, number);
            }
        }
        Some(row)
    }
}

/// Rows of a file written before.
///
/// # Errors
///
/// When it is not such a file.
pub fn read(text: &str) -> Result<Vec<Row>> {
    let value: Value = serde_json::from_str(text).context("not JSON")?;
    let rows = value["rows"].as_array().context("no `rows` in it")?;
    Ok(rows.iter().filter_map(Row::from_json).collect())
}

/// All rows as a table.
pub fn table(rows: &[Row]) -> String {
    let columns: [Column; 13] = [
        Column {
            title: "scenario",
            value: |row| Some(row.scenario.clone()),
        },
        Column {
            title: "at",
            value: |row| Some(row.at.clone()),
        },
        Column {
            title: "offered/s",
            value: |row| row.get("offered_per_second").map(si),
        },
        Column {
            title: "received",
            value: |row| row.get("received").map(si),
        },
        Column {
            title: "kernel",
            value: |row| row.get("kernel_dropped_packets").map(si),
        },
        Column {
            title: "refused",
            value: |row| row.get("refused").map(si),
        },
        Column {
            title: "ledger",
            value: |row| row.get("ledger_drops").map(si),
        },
        Column {
            title: "lost",
            value: |row| row.get("lost_share").map(percent),
        },
        Column {
            title: "CPU ns/msg (user+sys)",
            value: |row| {
                let cpu = row.get("cpu_ns")?;
                Some(match (row.get("user_ns"), row.get("system_ns")) {
                    (Some(user), Some(system)) => format!("{cpu:.0} ({user:.0}+{system:.0})"),
                    _ => format!("{cpu:.0}"),
                })
            },
        },
        Column {
            title: "discard",
            value: |row| row.get("discard_ns").map(|nanos| format!("{nanos:.0}")),
        },
        Column {
            title: "ratio",
            value: |row| row.get("discard_ratio").map(ratio),
        },
        Column {
            title: "RSS MB",
            value: |row| row.get("resident_mb").map(|mb| format!("{mb:.1}")),
        },
        Column {
            title: "notes",
            value: notes,
        },
    ];
    let mut cells = vec![
        columns
            .iter()
            .map(|column| column.title.to_owned())
            .collect(),
    ];
    cells.extend(rows.iter().map(|row| {
        let cell = |column: &Column| (column.value)(row).unwrap_or_default();
        columns.iter().map(cell).collect::<Vec<_>>()
    }));
    aligned(&cells)
}

/// What is particular to a row.
fn notes(row: &Row) -> Option<String> {
    let mut notes = Vec::new();
    if let Some(rate) = row.get("largest_per_second") {
        let core = row.get("cpu_ns").map_or(0.0, |cpu| 1e9 / cpu);
        let limit = match row.get("sender_is_the_limit") {
            Some(limit) if limit > 0.0 => {
                format!(
                    " (sender's limit; a whole core at this cost: {}/s)",
                    si(core)
                )
            }
            _ => String::new(),
        };
        notes.push(format!("largest {}/s{limit}", si(rate)));
    }
    let texts = [
        ("memory_ns", "in memory", number as fn(f64) -> String),
        ("floor_ratio", "x floors", ratio),
        ("refused_share", "refused", percent),
        ("taken_of_largest", "of largest taken", percent),
        ("taken_of_one_lane", "x one lane", ratio),
        ("stall_ms", "ms queued at most", number),
        ("gaps_over_5ms", "x away for over 5 ms", number),
        ("gaps_over_20ms", "x over 20 ms", number),
        ("flush_seconds", "s the last flush", ratio),
        ("start_ms", "ms to start", number),
        ("binary_mb", "MB binary", number),
    ];
    for (name, text, write) in texts {
        if let Some(value) = row.get(name) {
            notes.push(format!("{} {text}", write(value)));
        }
    }
    if let Some(share) = row.get("core_share") {
        notes.push(format!("{} of a core", percent(share)));
    }
    if let Some(packets) = row
        .get("unaccounted_packets")
        .filter(|&packets| packets != 0.0)
    {
        notes.push(format!("{packets} PACKETS UNACCOUNTED FOR"));
    }
    (!notes.is_empty()).then(|| notes.join(", "))
}

/// The figures of `now` beside those of `before`, for rows that both have.
pub fn compare(now: &[Row], before: &[Row]) -> String {
    let mut cells = vec![
        [
            "scenario",
            "at",
            "figure",
            "before",
            "now",
            "now/before",
            "",
        ]
        .map(str::to_owned)
        .to_vec(),
    ];
    for row in now {
        let same = |other: &&Row| (&other.scenario, &other.at) == (&row.scenario, &row.at);
        let Some(other) = before.iter().find(same) else {
            continue;
        };
        for (name, title, less_is_better) in COMPARED {
            let (Some(new), Some(old)) = (row.get(name), other.get(name)) else {
                continue;
            };
            let change = new / old;
            cells.push(vec![
                row.scenario.clone(),
                row.at.clone(),
                title.to_owned(),
                significant(old),
                significant(new),
                if old == 0.0 {
                    String::new()
                } else {
                    format!("{change:.2}")
                },
                verdict(change, less_is_better).to_owned(),
            ]);
        }
    }
    aligned(&cells)
}

/// Within 5 % nothing is said: the machine moves by more.
fn verdict(change: f64, less_is_better: bool) -> &'static str {
    let better = if less_is_better { 1.0 / change } else { change };
    match better {
        better if better > 1.05 => "better",
        better if better < 1.0 / 1.05 => "worse",
        _ => "",
    }
}

/// Columns as wide as their widest cell, numbers or not.
pub(super) fn aligned(rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let lengths = rows.iter().map(|row| row[column].chars().count());
        lengths.max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..rows.first().map_or(0, Vec::len)).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let written = write!(line, "{cell:width$}  ");
            debug_assert!(written.is_ok(), "writing to a String cannot fail");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn si(number: f64) -> String {
    match number.abs() {
        n if n >= 1e6 => format!("{:.2}M", number / 1e6),
        n if n >= 1e4 => format!("{:.1}k", number / 1e3),
        _ => format!("{number:.0}"),
    }
}

fn percent(share: f64) -> String {
    format!("{:.2} %", share * 100.0)
}

fn ratio(number: f64) -> String {
    format!("{number:.2}")
}

fn number(number: f64) -> String {
    format!("{number:.1}")
}

fn significant(number: f64) -> String {
    match number.abs() {
        n if n >= 1e4 => si(number),
        n if n >= 10.0 => format!("{number:.1}"),
        _ => format!("{number:.4}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(cpu: f64) -> Row {
        let mut row = Row::new("udp", "max");
        row.set("cpu_ns", cpu);
        row.set("largest_per_second", 4_800_000.0);
        row
    }

    #[test]
    fn a_row_survives_its_file() {
        let text = json!({ "rows": [row(200.0).to_json()] }).to_string();
        let rows = read(&text).unwrap();
        assert_eq!(rows[0].get("cpu_ns"), Some(200.0));
        assert_eq!(rows[0].get("cpu_seconds_per_million"), Some(0.2));
        assert!(read("[]").is_err());
    }

    #[test]
    fn a_table_has_a_line_for_each_row() {
        let text = table(&[row(200.0), row(1000.0)]);
        assert_eq!(text.lines().count(), 3);
        assert!(text.contains("largest 4.80M/s"), "{text}");
        let mut row = row(200.0);
        row.set("sender_is_the_limit", 1.0);
        assert!(table(&[row]).contains("whole core at this cost: 5.00M/s"));
    }

    #[test]
    fn a_comparison_says_what_got_worse() {
        let text = compare(&[row(240.0), Row::new("new", "")], &[row(200.0)]);
        assert!(text.contains("1.20"), "{text}");
        assert!(text.contains("worse"), "{text}");
        assert!(!text.contains("better"), "{text}");
        assert_eq!(verdict(0.9, true), "better");
        assert_eq!(verdict(0.9, false), "worse");
        assert_eq!(verdict(1.04, true), "");
    }
}
