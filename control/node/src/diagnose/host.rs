//! The host: control groups, open files, clock, names.

use std::fs;
use std::net::ToSocketAddrs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use greyhound_server::diagnose::{Diagnosis, Verdict};
use greyhound_sys::cgroup;

use super::Subject;
use crate::hostname::Hostname;

/// Below it a burst of connections finds no descriptor.
const OPEN_FILES_WANTED: u64 = 4096;
/// Below it contexts and flushes have no room.
const MEMORY_WANTED: u64 = 128 << 20;
/// 2025-01-01: no clock of a host that runs this can stand before.
const EARLIEST: Duration = Duration::from_secs(1_735_689_600);

pub(super) fn limits(subject: &Subject) -> Vec<Diagnosis> {
    let group = cgroup::Limits::of_this_process();
    let memory = match group.memory_bytes {
        None => Diagnosis::success("memory", "no limit by a control group"),
        Some(bytes) if bytes >= MEMORY_WANTED => {
            Diagnosis::success("memory", format!("control group allows {bytes} bytes"))
        }
        Some(bytes) => Diagnosis::new(
            Verdict::Warning,
            "memory",
            format!("control group allows {bytes} bytes"),
            "raise the memory limit of the container or unit (`MemoryMax=`), or set `greyhound.limits.memory`",
        ),
    };
    let lanes = (subject.settings)().lanes.lanes;
    let cores = group.usable_cores();
    let processors = match (group.cpu_quota, lanes) {
        (Some(quota), Some(lanes)) if lanes > cores => Diagnosis::new(
            Verdict::Warning,
            "processors",
            format!("{lanes} lanes, but a quota of {quota:.2} processors"),
            format!("set `greyhound.lanes: {cores}`, or raise the quota"),
        ),
        (Some(quota), _) => {
            Diagnosis::success("processors", format!("quota of {quota:.2}, {cores} usable"))
        }
        (None, _) => Diagnosis::success("processors", format!("{cores} usable, no quota")),
    };
    vec![memory, processors, open_files()]
}

fn open_files() -> Diagnosis {
    const NAME: &str = "open files";
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"));
    let mut fields = line.unwrap_or_default().split_whitespace();
    let mut next = || fields.next().map(|field| field.parse().unwrap_or(u64::MAX));
    let (_, Some(hard)) = (next(), next()) else {
        return Diagnosis::new(
            Verdict::Unknown,
            NAME,
            "/proc/self/limits cannot be read",
            "ulimit -n",
        );
    };
    if hard >= OPEN_FILES_WANTED {
        Diagnosis::success(NAME, format!("up to {hard}"))
    } else {
        Diagnosis::new(
            Verdict::Warning,
            NAME,
            format!("up to {hard}"),
            "LimitNOFILE=65536 in the unit, or ulimit -n 65536",
        )
    }
}

pub(super) fn clock(_: &Subject) -> Vec<Diagnosis> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let shown = humantime::format_rfc3339_seconds(SystemTime::now());
    let wall = match now {
        Ok(since) if since >= EARLIEST => Diagnosis::success("wall clock", shown.to_string()),
        _ => Diagnosis::new(
            Verdict::Fail,
            "wall clock",
            format!("{shown} is long ago: buckets would be refused by every intake"),
            "timedatectl set-ntp true",
        ),
    };
    let synchronised = Path::new("/run/systemd/timesync/synchronized").exists();
    let keeper = if synchronised {
        Diagnosis::success("time service", "synchronised")
    } else {
        Diagnosis::success("time service", "not known: no systemd-timesyncd here")
    };
    vec![wall, keeper]
}

pub(super) fn names(subject: &Subject) -> Vec<Diagnosis> {
    let settings = (subject.settings)();
    let hostname = Hostname::find(
        settings.hostname.as_deref().unwrap_or_default(),
        Path::new(""),
    );
    let mut found = vec![Diagnosis::success("host name", hostname.name.clone())];
    if let Some(refused) = hostname.refused.first() {
        found = vec![Diagnosis::new(
            Verdict::Warning,
            "host name",
            format!("{} is used; {refused}", hostname.name),
            "set `hostname`",
        )];
    }
    let localhost = ("localhost", 0)
        .to_socket_addrs()
        .map(|mut found| found.next());
    found.push(match localhost {
        Ok(Some(address)) => Diagnosis::success("localhost", address.ip().to_string()),
        _ => Diagnosis::new(
            Verdict::Fail,
            "localhost",
            "has no address",
            "add `127.0.0.1 localhost` to /etc/hosts",
        ),
    });
    if let Some((host, port)) = &settings.listen.forward {
        let is_there = (host.as_str(), *port).to_socket_addrs().is_ok();
        found.push(if is_there {
            Diagnosis::success("statsd_forward_host", host.clone())
        } else {
            Diagnosis::new(
                Verdict::Fail,
                "statsd_forward_host",
                format!("{host} has no address"),
                "mend `statsd_forward_host`, or /etc/resolv.conf",
            )
        });
    }
    found
}
