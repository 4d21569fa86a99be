//! The README's section "Who sent this?" as it is written, by the set-up script: its settings, its client, its
//! commands.

use std::path::Path;
use std::process::{Command, Stdio};

use greyhound_tests::{binary, command, python, source, wait};

use super::net::{Net, PATIENCE, Running};

/// The blocks of the section, each with its language.
fn section() -> Vec<(String, String)> {
    let page = std::fs::read_to_string(source::root().join("README.md")).expect("a README");
    let (_, rest) = page
        .split_once("\n## Who sent this?\n")
        .expect("the section");
    let section = rest.split("\n## ").next().expect("its end");
    let mut blocks = Vec::new();
    for (n, part) in section.split("```").enumerate() {
        if n % 2 == 1 {
            let (language, text) = part.split_once('\n').expect("a fence");
            blocks.push((language.to_owned(), text.to_owned()));
        }
    }
    blocks
}

fn block(language: &str) -> String {
    let found = section().into_iter().find(|(one, _)| one == language);
    found.unwrap_or_else(|| panic!("no {language}")).1
}

/// A line as a reader would type it, where the engine runs, with `greyhound` on the path.
fn shell(net: &Net, folder: &Path, line: &str) -> Command {
    let bin = binary::path().parent().expect("a folder");
    let mut run = net.by_script("engine");
    run.args(["bash", "-c"])
        .arg(format!("PATH={}:$PATH; {line}", bin.display()))
        .current_dir(folder)
        .stdin(Stdio::null());
    run
}

#[test]
fn who_sent_this_works_as_the_readme_says() {
    let (Some(net), Some(python)) = (Net::or_skip("to"), python::datadog()) else {
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("datadog.yaml"), block("yaml")).expect("settings");
    // Short buckets and files of our own; ports, namespaces and mode are the page's.
    let run = "exec greyhound run --config datadog.yaml --set greyhound.bucket_seconds=1 --set hostname=box \
               --set dogstatsd_socket= --set greyhound.control.enabled=false";
    let mut engine = shell(&net, folder.path(), run);
    let mut engine = Running(
        engine
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(folder.path().join("log")).expect("a file"))
            .spawn()
            .expect("an engine"),
    );
    let mut client = net.by_script("client");
    client.arg(python).arg("-c").arg(block("py"));
    let _client = Running(client.spawn().expect("a client"));

    let console = block("console");
    let commands: Vec<(&str, &str)> = console
        .split("$ ")
        .skip(1)
        .filter_map(|part| part.split_once('\n'))
        .collect();
    let [(scrape, scraped), (list, listed), (lookup, looked_up)] = commands[..] else {
        panic!("three commands: {console}");
    };
    let say = |line: &str| {
        let done = command::finish(&mut shell(&net, folder.path(), line), PATIENCE);
        done.map_or(String::new(), |done| done.stdout)
    };
    // The page's series, with other counts, and no others.
    let series = |text: &str| -> Vec<String> {
        let lines = text.lines().filter_map(|line| line.rsplit_once(' '));
        lines.map(|(series, _)| series.to_owned()).collect()
    };
    let same = || (series(&say(scrape)) == series(scraped)).then_some(());
    if wait::try_within(PATIENCE, same).is_none() {
        engine.0.kill().ok();
        let log = std::fs::read_to_string(folder.path().join("log")).unwrap_or_default();
        panic!("{scraped} never came: {}\n{log}", say(scrape));
    }

    // The port is the kernel's choice, so is what is left of the timeout.
    let port = |line: &str| {
        let (_, rest) = line.split_once("udp 10.77.1.2:").expect("the client");
        let (port, _) = rest.split_once(' ').expect("a port");
        port.to_owned()
    };
    let seen = say(list);
    let (shown, really) = (port(listed), port(&seen));
    let expected = listed.replace(&shown, &really);
    let (expected, _) = expected.trim_end().rsplit_once(' ').expect("a timeout");
    assert!(seen.starts_with(expected), "{seen} instead of {expected}");
    assert_eq!(seen.lines().count(), 1, "{seen}");
    let line = lookup.replace(&shown, &really);
    assert_eq!(say(&line), looked_up.trim_end().to_owned() + "\n");
}
