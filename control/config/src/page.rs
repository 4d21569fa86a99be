//! The reference page of all settings, in Markdown, from the table.

use std::fmt::Write as _;

use crate::env::CONFIG_FILE;
use crate::file::{DEFAULT_PATHS, FILE_LEN_BYTES_MAX};
use crate::table::{self, Applies, Row};
use crate::value::size;

/// The whole page.
pub fn reference_page() -> String {
    let mut page = String::new();
    write_page(&mut page).expect("writing to a string cannot fail");
    page
}

fn write_page(page: &mut String) -> std::fmt::Result {
    write!(
        page,
        "# Settings\n\n\
         This page is made from the table of settings; `greyhound config` prints the values in force and\n\
         where each was set.\n\n\
         ## Where settings come from\n\n\
         Highest first: flags (`--set key=value`), environment variables, the settings file, the defaults\n\
         below.\n\n\
         **The file** is YAML in the format of `datadog.yaml`. It is the one named by `--config`, else by\n\
         `{CONFIG_FILE}`, else the first of {paths}\n\
         that can be read, else there is none. `a: {{b: 1}}` and `a.b: 1` mean the same. It may have {limit}\n\
         at most. Keys that no row below has are listed at start with the nearest known name, and otherwise\n\
         ignored; a wrong value stops the start with file, line and column.\n\n\
         **Environment variables** are `DD_` and the key in upper case with `_` for `.`. Keys that begin with\n\
         `greyhound.` need no `DD_`: `greyhound.lanes` is `GREYHOUND_LANES`. Lists are split at white space or\n\
         given as JSON; profiles, filters and endpoints take JSON. An empty `DD_` variable is the same as\n\
         none; an empty `GREYHOUND_` one is an empty text or list.\n\n\
         ## How values are written\n\n\
         - true or false: also yes, no, on, off, y, n, t, f, 1, 0, in any case.\n\
         - whole numbers: also `0x1f`, `0o17`, `0b11`, `1_000`; not `010`, which readers disagree about.\n\
         - durations: `1h30m`, `10s`, `100ms`, `200us`, `50ns`, or a number of the unit the row names.\n\
         - sizes: bytes, or K, M, G, T with `B` or `iB` after it; all count in steps of 1024.\n\
         - lists: a YAML list, or texts in one value with blanks between.\n\n\
         *Live* says whether a change takes effect while running: the file is read again on SIGHUP, by\n\
         `greyhound config reload`, and when it changed; `greyhound config set` changes one setting until\n\
         the process ends. What is not live needs a restart, and is said to. Rows marked **no effect** are read and checked but do nothing in\n\
         this version; when one is set, the start says so.\n",
        paths = DEFAULT_PATHS.map(|path| format!("`{path}`")).join(", "),
        limit = size::format(u64::try_from(FILE_LEN_BYTES_MAX).unwrap_or(u64::MAX)),
    )?;
    for section in table::sections() {
        write!(page, "\n## {}\n\n", section.title)?;
        page.push_str("| key | takes | default | live | meaning |\n|---|---|---|---|---|\n");
        for row in section.rows {
            write_row(page, row)?;
        }
    }
    Ok(())
}

fn write_row(page: &mut String, row: &Row) -> std::fmt::Result {
    let default = match row.default {
        "" => "empty".to_owned(),
        text => format!("`{}`", text.replace('|', "\\|")),
    };
    let live = if row.reloadable { "yes" } else { "" };
    let effect = match row.applies {
        Applies::NoEffect => "**no effect** · ",
        Applies::Now => "",
    };
    let usual = row.key.to_ascii_uppercase().replace('.', "_");
    let other_env: Vec<String> = row
        .env_names()
        .into_iter()
        .filter(|name| *name != usual && *name != format!("DD_{usual}"))
        .map(|name| format!("`{name}`"))
        .collect();
    let env = match other_env.is_empty() {
        true => String::new(),
        false => format!(" (also {})", other_env.join(", ")),
    };
    writeln!(
        page,
        "| `{}` | {} | {default} | {live} | {effect}{}{env} |",
        row.key,
        escaped(&row.kind.describe()),
        escaped(row.help),
    )
}

/// Text for a table cell.
fn escaped(text: &str) -> String {
    text.replace('|', "\\|")
        .replace('*', "\\*")
        .replace("__", "\\_\\_")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// `GREYHOUND_BLESS=1` writes the page instead.
    #[test]
    fn docs_settings_md_is_current() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/settings.md");
        let page = reference_page();
        if std::env::var_os("GREYHOUND_BLESS").is_some() {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, &page).unwrap();
        }
        let written = std::fs::read_to_string(&path).unwrap();
        assert!(
            written == page,
            "docs/settings.md is not what the table gives; \
             run `GREYHOUND_BLESS=1 cargo test -p greyhound-config docs_settings_md`"
        );
    }

    #[test]
    fn every_key_has_its_line() {
        let page = reference_page();
        for row in table::table().rows() {
            let line = format!("\n| `{}` |", row.key);
            assert_eq!(page.matches(&line).count(), 1, "{}", row.key);
        }
    }
}
