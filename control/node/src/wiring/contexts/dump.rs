//! All contexts in a file: one JSON object per line, compressed, as the Agent writes them, so that its tools
//! and ours read either.
//!
//! The file appears whole or not at all, and keeps the mode of the one it replaces.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, BufWriter, ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use greyhound_model::context::Host;
use greyhound_model::metric::MetricKind;
use greyhound_pipeline::flush::survey::Surveyed;
use serde_json::{Value, json};

use super::top::Visit;

/// Name of the file in the run folder.
pub(super) const FILE: &str = "dogstatsd_contexts.json.zstd";
/// Mode of a new one.
const MODE: u32 = 0o644;
const LEVEL: i32 = 1;
/// Where the Agent's metrics of this kind come from.
const SOURCE_DOGSTATSD: u8 = 1;
/// Longest line that is read back: a context has at most a datagram's worth of text.
const LINE_BYTES_MAX: u64 = 4 << 20;

/// Writes every context that `walk` shows.
///
/// # Errors
/// What went wrong, in one line.
pub(super) fn write(
    path: &Path,
    walk: impl FnOnce(&mut dyn FnMut(Surveyed)) -> Result<(), String>,
) -> Result<(), String> {
    let mode = fs::metadata(path).map_or(MODE, |known| known.permissions().mode() & 0o777);
    let temporary = path.with_file_name(format!(".dogstatsd_contexts-{}.tmp", std::process::id()));
    let written = fill(&temporary, mode, walk)
        .and_then(|()| fs::rename(&temporary, path).map_err(|error| error.to_string()));
    if written.is_err() {
        // Nobody else has this name; when it is not there, nothing is left to remove.
        fs::remove_file(&temporary).ok();
    }
    written
}

fn fill(
    temporary: &Path,
    mode: u32,
    walk: impl FnOnce(&mut dyn FnMut(Surveyed)) -> Result<(), String>,
) -> Result<(), String> {
    match fs::remove_file(temporary) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.to_string()),
        // One that a killed process left.
        _ => {}
    }
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(temporary)
        .map_err(|error| error.to_string())?;
    let whole = || -> std::io::Result<zstd::Encoder<'static, BufWriter<File>>> {
        zstd::Encoder::new(BufWriter::new(file.try_clone()?), LEVEL)
    };
    let mut encoder = whole().map_err(|error| error.to_string())?;
    let mut failed = None;
    walk(&mut |surveyed| {
        if failed.is_none() {
            failed = writeln!(encoder, "{}", line(&surveyed)).err();
        }
    })?;
    let ended = match failed {
        Some(error) => Err(error),
        None => encoder.finish().and_then(|mut rest| rest.flush()),
    };
    ended
        .and_then(|()| file.set_permissions(fs::Permissions::from_mode(mode)))
        .map_err(|error| error.to_string())
}

fn line(surveyed: &Surveyed) -> Value {
    let context = &surveyed.context;
    let host = match context.host() {
        Host::Own => "".into(),
        Host::Named(host) => String::from_utf8_lossy(host),
    };
    let tags: Vec<_> = context.tags().map(String::from_utf8_lossy).collect();
    json!({
        "Name": String::from_utf8_lossy(context.name()),
        "Host": host,
        "Type": surveyed.kind.map_or("", kind),
        "TaggerTags": [],
        "MetricTags": tags,
        "NoIndex": false,
        "Source": SOURCE_DOGSTATSD,
    })
}

fn kind(kind: MetricKind) -> &'static str {
    match kind {
        MetricKind::Gauge => "Gauge",
        MetricKind::Counter => "Counter",
        MetricKind::Histogram | MetricKind::Timing => "Histogram",
        MetricKind::Set => "Set",
        MetricKind::Distribution => "Distribution",
    }
}

/// Shows every context of a dump.
///
/// # Errors
/// When the file cannot be read, or a line is none.
pub(super) fn read(path: &Path, visit: &mut Visit<'_>) -> Result<(), String> {
    let text = |error: std::io::Error| error.to_string();
    let decoder = zstd::Decoder::new(File::open(path).map_err(text)?).map_err(text)?;
    let mut lines = BufReader::new(decoder);
    let mut line = Vec::new();
    loop {
        line.clear();
        let mut bounded = std::io::Read::take(&mut lines, LINE_BYTES_MAX);
        if bounded.read_until(b'\n', &mut line).map_err(text)? == 0 {
            return Ok(());
        }
        let context: Value =
            serde_json::from_slice(&line).map_err(|error| format!("not a dump: {error}"))?;
        let name = context["Name"].as_str().ok_or("not a dump: no name")?;
        let tags = ["TaggerTags", "MetricTags"]
            .into_iter()
            .filter_map(|field| context[field].as_array())
            .flatten()
            .filter_map(Value::as_str);
        visit(name.as_bytes(), &mut tags.map(str::as_bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::super::top;
    use super::*;
    use greyhound_model::context::Context;

    fn surveyed(id: u32) -> Surveyed {
        let tag = format!("id:{id}");
        Surveyed {
            context: Context::new(b"m", Host::Named(b"h"), [tag.as_bytes(), b"env:x"]),
            kind: Some(MetricKind::Counter),
            last_seen: 0,
            samples: 0,
        }
    }

    #[test]
    fn what_is_written_is_read_and_the_mode_stays() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join(FILE);
        for (mode, wanted) in [(None, 0o644), (Some(0o600), 0o600)] {
            if let Some(mode) = mode {
                fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("ours");
            }
            let done = write(&path, |visit| {
                (0..3).for_each(|id| visit(surveyed(id)));
                Ok(())
            });
            assert_eq!(done, Ok(()));
            let found = fs::metadata(&path).expect("there").permissions().mode();
            assert_eq!(found & 0o777, wanted);
        }
        let top = top::count(1, 1, |visit| read(&path, visit)).expect("a dump");
        assert_eq!((top.contexts, top.metrics[0].contexts), (3, 3));
        assert_eq!((&*top.tags[0].key, top.tags[0].values), ("id", 3));
        assert_eq!(line(&surveyed(1))["Type"], "Counter");
    }

    #[test]
    fn a_walk_that_fails_leaves_the_old_dump_and_nothing_else() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join(FILE);
        fs::write(&path, "old").expect("written");
        assert!(write(&path, |_| Err("busy".to_owned())).is_err());
        assert_eq!(fs::read(&path).expect("there"), b"old");
        assert_eq!(fs::read_dir(dir.path()).expect("there").count(), 1);
        assert!(read(&path, &mut |_, _| ()).is_err(), "not compressed");
    }
}
