//! The README is true: its commands are run and its clients sent, against a daemon whose ports stand where the
//! page names the usual ones, and what comes out is what the page shows.

use std::fs;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use greyhound_tests::command::{self, Finished};
use greyhound_tests::daemon::{self, Daemon, Setup};
use greyhound_tests::node::HotShots;
use greyhound_tests::{binary, http, python, source, wait};

/// The ports the page names.
const UDP_PORT: &str = "8125";
const HTTP_PORT: &str = "9125";

/// What stands between two fences.
struct Block {
    language: String,
    text: String,
}

// === impl Block ===

impl Block {
    /// The one block in `language` that holds `words`.
    fn holding(language: &str, words: &str) -> Self {
        let mut found: Vec<Self> = blocks()
            .into_iter()
            .filter(|block| block.language == language && block.text.contains(words))
            .collect();
        assert_eq!(found.len(), 1, "blocks in {language} with {words:?}");
        found.remove(0)
    }

    /// Its text with the ports of this daemon.
    fn text_for(&self, daemon: &Daemon) -> String {
        self.text
            .replace(UDP_PORT, &daemon.udp().port().to_string())
            .replace(HTTP_PORT, http_port(daemon))
    }
}

/// A command of a console block, and what the page says it prints.
fn console(text: &str) -> Vec<(String, String)> {
    let mut commands: Vec<(String, String)> = Vec::new();
    for line in text.lines() {
        if let Some(command) = line.strip_prefix("$ ") {
            commands.push((command.to_owned(), String::new()));
        } else if let Some((_, output)) = commands.last_mut() {
            output.push_str(line);
            output.push('\n');
        }
    }
    commands
}

fn page() -> String {
    fs::read_to_string(source::root().join("README.md")).expect("there is a README")
}

fn blocks() -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for line in page().lines() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some(language), None) => {
                open = Some(Block {
                    language: language.to_owned(),
                    text: String::new(),
                });
            }
            (None, Some(block)) => {
                block.text.push_str(line);
                block.text.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a fence is not closed");
    blocks
}

fn http_port(daemon: &Daemon) -> &str {
    let (_, port) = daemon.ready().http.rsplit_once(':').unwrap();
    port
}

/// Runs a line as a reader would, with `greyhound` on the path, in an empty folder.
fn bash(line: &str) -> Finished {
    let folder = binary::path().parent().unwrap().to_owned();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths([folder].into_iter().chain(std::env::split_paths(&path)));
    let empty = tempfile::tempdir().unwrap();
    let mut shell = daemon::clean(Command::new("bash"));
    shell
        .arg("-c")
        .arg(line)
        .env("PATH", path.unwrap())
        .current_dir(empty.path());
    command::finish(&mut shell, wait::PATIENCE).unwrap()
}

#[test]
fn the_tour_shows_what_a_reader_will_see() {
    let start = Block::holding("console", "-- run --print");
    let (start, _) = console(&start.text).remove(0);
    let (_, arguments) = start.split_once(" -- run ").unwrap();
    let mut setup = Setup::new();
    for argument in arguments.split(' ') {
        setup = setup.argument(argument);
    }
    let daemon = setup.start();

    let send = Block::holding("console", "$ greyhound send").text_for(&daemon);
    let (command, said) = console(&send).pop().unwrap();
    // The four messages have to meet in one bucket of two seconds: they are sent early in one.
    let early = |now: Duration| now.as_millis() % 2000 < 300;
    wait::until("a bucket to begin", || {
        early(SystemTime::now().duration_since(UNIX_EPOCH).unwrap()).then_some(())
    });
    // Without a destination it goes where the settings say.
    let port = daemon.udp().port();
    let done = bash(&format!("export DD_DOGSTATSD_PORT={port}; {command}"));
    assert_eq!(done.code(), 0, "{}", done.stderr);
    assert_eq!(done.stdout, said);

    let table = Block::holding("text", " UTC  ").text;
    let (head, rows) = table.split_once('\n').unwrap();
    let (_, points) = head.split_once(" UTC  ").unwrap();
    let shown = wait::until("the table", || {
        let shown = daemon.stdout();
        shown.contains("cart.size").then_some(shown)
    });
    assert!(
        shown.contains(&format!(" UTC  {points}\n{rows}")),
        "{shown}"
    );

    let scrape = Block::holding("console", "/metrics | grep").text;
    let (_, lines) = console(&scrape).remove(0);
    let body = http::get(&daemon.ready().http, "/metrics").unwrap().body;
    let samples: Vec<&str> = body.lines().filter(|line| !line.starts_with('#')).collect();
    let (lines, _) = lines.split_once("...\n").unwrap();
    let lines: Vec<&str> = lines.lines().collect();
    assert_eq!(samples[..lines.len()], lines, "{body}");

    let stopped = daemon.stop();
    let ledger = Block::holding("text", "ledger: ").text;
    assert!(
        stopped.log.trim_end().ends_with(ledger.trim_end()),
        "{}",
        stopped.log
    );
}

#[test]
fn the_python_snippet_arrives() {
    let Some(python) = python::datadog() else {
        return;
    };
    let daemon = Setup::new().live().start();
    let snippet = Block::holding("python", "statsd").text_for(&daemon);
    python::run_text(&python, &snippet);
    daemon.wait_metric("page_views_total", &[("env", "dev")], 1.0);
    daemon.wait_metric("cart_size_count", &[], 1.0);
    daemon.wait_metric("cart_size_sum", &[], 3.0);
    let stopped = daemon.stop();
    assert_eq!(
        stopped.records.event("deployed")["text"],
        "version 7 is out"
    );
    assert_eq!(stopped.ledger.rejected, 0);
}

#[test]
fn the_node_snippet_arrives() {
    let Some(client) = HotShots::installed() else {
        return;
    };
    let daemon = Setup::new().live().start();
    client.run_text(&Block::holding("js", "hot-shots").text_for(&daemon));
    daemon.wait_metric("page_views_total", &[("env", "dev")], 1.0);
    daemon.wait_metric("rpc_time_count", &[], 1.0);
    daemon.wait_metric("rpc_time_sum", &[], 12.5);
    assert_eq!(daemon.stop().ledger.rejected, 0);
}

#[test]
fn the_shell_snippet_arrives() {
    let daemon = Setup::new().live().start();
    let done = bash(&Block::holding("sh", "/dev/udp/").text_for(&daemon));
    assert_eq!(done.code(), 0, "{}", done.stderr);
    daemon.wait_metric("page_views_total", &[("env", "dev")], 1.0);
    assert_eq!(daemon.stop().ledger.aggregated, 1);
}

#[test]
fn the_variable_of_the_unix_socket_works() {
    let block = Block::holding("sh", "cargo run --release -- run\n").text;
    let (variable, _) = block.split_once("=/tmp/dsd.socket ").unwrap();
    let setup = Setup::new();
    // The file sets the key to nothing; the variable wins.
    let path = setup.path("dsd.socket");
    let daemon = setup.env(variable, &path.to_string_lossy()).start();
    crate::send::uds(daemon.uds(), "a:1|c");
    daemon.wait_processed(1);
    assert_eq!(daemon.stop().records.total("a"), 1.0);
}

#[test]
fn explain_prints_what_the_page_shows() {
    let block = Block::holding("console", "$ greyhound explain").text;
    for (command, shown) in console(&block) {
        let done = bash(&command);
        assert_eq!(
            format!("{}{}", done.stdout, done.stderr),
            shown,
            "{command}"
        );
        // One of the two messages is refused.
        assert_eq!(done.code(), 1, "{command}");
    }
}

#[test]
fn the_commands_about_settings_work() {
    let block = Block::holding("sh", "greyhound config check").text;
    let commands = block
        .lines()
        .filter(|line| line.starts_with("greyhound config"));
    assert_eq!(commands.clone().count(), 3);
    for line in commands {
        let done = bash(line);
        assert_eq!(done.code(), 0, "{line}: {}", done.stderr);
        assert!(!done.stdout.is_empty(), "{line}");
    }
}

#[test]
fn every_counter_the_page_names_is_served() {
    let daemon = Setup::new().start();
    let served = daemon.telemetry();
    let page = page();
    let names = page.split('`').skip(1).step_by(2);
    let names: Vec<&str> = names
        .map(|quoted| quoted.split('{').next().unwrap_or_default())
        .filter(|name| name.contains("__") && !name.ends_with('_') && *name != "__random__")
        .collect();
    assert!(names.len() > 5, "{names:?}");
    for name in names {
        assert!(served.types.contains_key(name), "{name} is not served");
    }
    daemon.stop();
}

#[test]
fn every_setting_the_page_names_exists() {
    let page = page();
    let rows = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .filter_map(|row| row.split_once('`'));
    let keys: Vec<&str> = rows
        .map(|(key, _)| key)
        .filter(|key| !key.contains("__") && !key.contains('…'))
        .collect();
    assert!(keys.len() > 5, "{keys:?}");
    for key in keys {
        let known = greyhound_config::table::table()
            .rows()
            .iter()
            .any(|row| row.key == key);
        assert!(known, "{key} is not a setting");
    }
}
