//! What a container may use: processors and memory, by the control groups of either version.
//!
//! A group's limit binds all groups below it, so every level up to the root is read and the least
//! counts. Inside a container the path in `/proc/self/cgroup` may not exist in what is mounted; then
//! the mounted root is the group. Whatever cannot be read is taken for "no limit".

use std::fs;
use std::path::{Path, PathBuf};

use crate::affinity;

/// Version 1 writes "no limit" as the largest multiple of a page; nothing real is that large.
const V1_UNLIMITED_BYTES: u64 = 1 << 60;

/// Limits of the control groups a process is in.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Limits {
    /// Processor seconds per second; `None` = no quota.
    pub cpu_quota: Option<f64>,
    /// Bytes of memory; `None` = no limit.
    pub memory_bytes: Option<u64>,
}

/// A mounted hierarchy: version 1 names its controllers.
struct Hierarchy {
    mount: PathBuf,
    version2: bool,
    options: String,
}

// === impl Limits ===

impl Limits {
    /// Limits of this process. Reads a handful of files; for start.
    pub fn of_this_process() -> Self {
        Self::read(Path::new("/"))
    }

    /// Threads that can run at the same time: the processors we may run on, or fewer when the quota
    /// is less; at least 1.
    pub fn usable_cores(&self) -> usize {
        let allowed = affinity::allowed_cpus().map_or(1, |cpus| cpus.len());
        let quota = self
            .cpu_quota
            .map_or(usize::MAX, |quota| quota.ceil() as usize);
        allowed.min(quota).max(1)
    }

    /// As [`of_this_process`](Self::of_this_process), under another root folder.
    fn read(root: &Path) -> Self {
        let text = |path: &str| fs::read_to_string(root.join(path)).unwrap_or_default();
        let groups = text("proc/self/cgroup");
        let mut limits = Self::default();
        for hierarchy in hierarchies(&text("proc/self/mountinfo")) {
            let Some(group) = group_of(&groups, &hierarchy) else {
                continue;
            };
            let mount = root.join(
                hierarchy
                    .mount
                    .strip_prefix("/")
                    .unwrap_or(&hierarchy.mount),
            );
            for level in levels(&mount, group) {
                limits.apply(&level, hierarchy.version2);
            }
        }
        limits
    }

    fn apply(&mut self, level: &Path, version2: bool) {
        let word = |name: &str| fs::read_to_string(level.join(name)).ok();
        let number = |name: &str| word(name)?.trim().parse::<u64>().ok();
        let (quota, memory) = if version2 {
            let quota = word("cpu.max").and_then(|text| {
                let (quota, period) = text.trim().split_once(' ')?;
                Some((quota.parse::<u64>().ok()?, period.parse::<u64>().ok()?))
            });
            (quota, number("memory.max"))
        } else {
            // The quota is -1 when there is none, which is no u64.
            let quota = number("cpu.cfs_quota_us").zip(number("cpu.cfs_period_us"));
            let memory =
                number("memory.limit_in_bytes").filter(|&bytes| bytes < V1_UNLIMITED_BYTES);
            (quota, memory)
        };
        if let Some((quota, period)) = quota
            && period > 0
        {
            let cores = quota as f64 / period as f64;
            self.cpu_quota = Some(self.cpu_quota.map_or(cores, |least| least.min(cores)));
        }
        if let Some(bytes) = memory {
            self.memory_bytes = Some(self.memory_bytes.map_or(bytes, |least| least.min(bytes)));
        }
    }
}

/// Control group mounts in the form of `/proc/self/mountinfo`: the fifth column is the mount point;
/// after a lone dash come type, source and options.
fn hierarchies(mountinfo: &str) -> impl Iterator<Item = Hierarchy> {
    mountinfo.lines().filter_map(|line| {
        let (left, right) = line.split_once(" - ")?;
        let mut right = right.split(' ');
        let version2 = match right.next()? {
            "cgroup2" => true,
            "cgroup" => false,
            _ => return None,
        };
        Some(Hierarchy {
            mount: PathBuf::from(left.split(' ').nth(4)?),
            version2,
            options: right.nth(1).unwrap_or_default().to_owned(),
        })
    })
}

/// The group in lines of the form `number:controllers:/group`; version 2 has no controllers there.
fn group_of<'a>(groups: &'a str, hierarchy: &Hierarchy) -> Option<&'a str> {
    groups.lines().find_map(|line| {
        let mut columns = line.splitn(3, ':').skip(1);
        let controllers = columns.next()?;
        let group = columns.next()?;
        let ours = if hierarchy.version2 {
            controllers.is_empty()
        } else {
            controllers.split(',').any(|name| {
                !name.is_empty() && hierarchy.options.split(',').any(|option| option == name)
            })
        };
        ours.then_some(group)
    })
}

/// The folder of `group` and all above it up to the mount.
fn levels(mount: &Path, group: &str) -> Vec<PathBuf> {
    let group = mount.join(group.trim_start_matches('/'));
    if !group.is_dir() {
        return vec![mount.to_owned()];
    }
    group
        .ancestors()
        .take_while(|level| level.starts_with(mount))
        .map(Path::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(files: &[(&str, &str)], expected: Limits) {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        assert_eq!(Limits::read(root.path()), expected);
    }

    const V2_MOUNT: &str =
        "30 25 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n";

    #[test]
    fn version_2_takes_the_least_of_all_levels() {
        check(
            &[
                ("proc/self/mountinfo", V2_MOUNT),
                ("proc/self/cgroup", "0::/pod/box\n"),
                ("sys/fs/cgroup/pod/cpu.max", "150000 100000\n"),
                ("sys/fs/cgroup/pod/memory.max", "1000\n"),
                ("sys/fs/cgroup/pod/box/cpu.max", "max 100000\n"),
                ("sys/fs/cgroup/pod/box/memory.max", "2000\n"),
            ],
            Limits {
                cpu_quota: Some(1.5),
                memory_bytes: Some(1000),
            },
        );
    }

    #[test]
    fn version_1_finds_each_controller_in_its_own_mount() {
        check(
            &[
                (
                    "proc/self/mountinfo",
                    "1 0 0:1 / /cg/cpu rw - cgroup cgroup rw,cpu,cpuacct\n\
                     2 0 0:2 / /cg/memory rw - cgroup cgroup rw,memory\n",
                ),
                ("proc/self/cgroup", "2:memory:/box\n1:cpu,cpuacct:/box\n"),
                ("cg/cpu/box/cpu.cfs_quota_us", "200000\n"),
                ("cg/cpu/box/cpu.cfs_period_us", "100000\n"),
                ("cg/cpu/cpu.cfs_quota_us", "-1\n"),
                ("cg/cpu/cpu.cfs_period_us", "100000\n"),
                ("cg/memory/box/memory.limit_in_bytes", "4096\n"),
                ("cg/memory/memory.limit_in_bytes", "9223372036854771712\n"),
            ],
            Limits {
                cpu_quota: Some(2.0),
                memory_bytes: Some(4096),
            },
        );
    }

    #[test]
    fn in_a_container_the_mounted_root_is_the_group() {
        check(
            &[
                ("proc/self/mountinfo", V2_MOUNT),
                ("proc/self/cgroup", "0::/host/path/not/mounted/here\n"),
                ("sys/fs/cgroup/memory.max", "4096\n"),
            ],
            Limits {
                cpu_quota: None,
                memory_bytes: Some(4096),
            },
        );
    }

    #[test]
    fn nonsense_is_no_limit() {
        check(&[], Limits::default());
        check(
            &[
                (
                    "proc/self/mountinfo",
                    "x\n - \n - cgroup2\na b - cgroup2 c d\n",
                ),
                ("proc/self/cgroup", ":::\n0\n"),
            ],
            Limits::default(),
        );
    }

    #[test]
    fn there_is_always_one_core() {
        let limits = Limits {
            cpu_quota: Some(0.001),
            memory_bytes: None,
        };
        assert_eq!(limits.usable_cores(), 1);
        assert!(Limits::of_this_process().usable_cores() >= 1);
    }
}
