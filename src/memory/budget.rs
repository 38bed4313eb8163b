//! How much memory this process may use: the machine's, or less where a control group says so.

use std::fs;
use std::path::{Component, Path, PathBuf};

/// Bytes that this process may use at most; `None` where the system does not say (it is no Linux).
///
/// The least of: the machine's memory, what of it was free when the process started, and the limits of the
/// process's control groups, its own and all above it (versions 1 and 2).
pub(super) fn usable_bytes() -> Option<u64> {
    usable_bytes_below(Path::new("/"))
}

/// As [`usable_bytes`], with `proc` and `sys` below another root.
fn usable_bytes_below(root: &Path) -> Option<u64> {
    let meminfo = fs::read_to_string(root.join("proc/meminfo")).unwrap_or_default();
    let machine = ["MemTotal:", "MemAvailable:"].into_iter().filter_map(|name| field(&meminfo, name));
    machine.chain(group_limits(root)).min()
}

/// A field of `/proc/meminfo`, which counts in units of 1,024 bytes.
fn field(meminfo: &str, name: &str) -> Option<u64> {
    let value = meminfo.lines().find_map(|line| line.strip_prefix(name))?;
    let kilobytes: u64 = value.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes.saturating_mul(1024))
}

/// The limits of the process's control groups.
fn group_limits(root: &Path) -> Vec<u64> {
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    let mut limits = Vec::new();
    for line in groups.lines() {
        // `hierarchy:controllers:path`; version 2 has no controllers there.
        let mut parts = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(group)) = (parts.next(), parts.next(), parts.next()) else {
            continue;
        };
        let mounts = root.join("sys/fs/cgroup");
        if controllers.is_empty() {
            for mount in [mounts.clone(), mounts.join("unified")] {
                limits_upwards(&mount, group, &["memory.max", "memory.high"], &mut limits);
            }
        } else if controllers.split(',').any(|controller| controller == "memory") {
            limits_upwards(&mounts.join("memory"), group, &["memory.limit_in_bytes"], &mut limits);
        }
    }
    limits
}

/// Reads the files in a group's folder and in every folder above it up to the mount. A container often
/// sees its own group as the mount itself, under a name that is not there: missing folders are passed by.
fn limits_upwards(mount: &Path, group: &str, files: &[&str], limits: &mut Vec<u64>) {
    let names = Path::new(group).components().filter_map(|component| match component {
        Component::Normal(name) => Some(name),
        Component::RootDir | Component::CurDir | Component::ParentDir | Component::Prefix(_) => None,
    });
    let mut folder: PathBuf = mount.to_path_buf();
    let mut folders = vec![folder.clone()];
    for name in names {
        folder.push(name);
        folders.push(folder.clone());
    }
    for folder in folders {
        for file in files {
            // No limit is the word `max`, or a number beyond any machine's memory.
            let text = fs::read_to_string(folder.join(file)).unwrap_or_default();
            limits.extend(text.trim().parse::<u64>());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file system of a made-up machine.
    fn machine(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    const MEMINFO: (&str, &str) =
        ("proc/meminfo", "MemTotal:       1000 kB\nMemFree:          10 kB\nMemAvailable:    900 kB\n");

    fn usable(files: &[(&str, &str)]) -> Option<u64> {
        usable_bytes_below(machine(files).path())
    }

    #[test]
    fn without_groups_it_is_what_is_free() {
        assert_eq!(usable(&[MEMINFO]), Some(900 * 1024));
        assert_eq!(usable(&[]), None);
    }

    #[test]
    fn a_group_of_version_2_and_those_above_it_count() {
        let own = ("proc/self/cgroup", "0::/user.slice/job.scope\n");
        let files = |own_max, slice_max| {
            usable(&[
                MEMINFO,
                own,
                ("sys/fs/cgroup/user.slice/job.scope/memory.max", own_max),
                ("sys/fs/cgroup/user.slice/memory.max", slice_max),
                ("sys/fs/cgroup/other.slice/memory.max", "1\n"),
            ])
        };
        assert_eq!(files("500000\n", "max\n"), Some(500_000));
        assert_eq!(files("500000\n", "400000\n"), Some(400_000));
        assert_eq!(files("max\n", "max\n"), Some(900 * 1024));
        assert_eq!(files("9000000000\n", "max\n"), Some(900 * 1024));
    }

    #[test]
    fn a_throttle_counts_as_a_limit() {
        let files = [MEMINFO, ("proc/self/cgroup", "0::/a\n"), ("sys/fs/cgroup/a/memory.high", "300000\n")];
        assert_eq!(usable(&files), Some(300_000));
    }

    #[test]
    fn a_container_that_sees_its_group_as_the_root() {
        for group in ["0::/\n", "0::/docker/0123\n", "0::/../../other\n"] {
            let files = [MEMINFO, ("proc/self/cgroup", group), ("sys/fs/cgroup/memory.max", "200000\n")];
            assert_eq!(usable(&files), Some(200_000), "{group}");
        }
    }

    #[test]
    fn groups_of_version_1_and_mixed_ones() {
        let groups = "12:cpu,cpuacct:/x\n5:memory:/a/b\n0::/y\n";
        let limit = |path| usable(&[MEMINFO, ("proc/self/cgroup", groups), (path, "100000\n")]);
        let unlimited = Some(900 * 1024);
        assert_eq!(limit("sys/fs/cgroup/memory/a/b/memory.limit_in_bytes"), Some(100_000));
        assert_eq!(limit("sys/fs/cgroup/memory/a/memory.limit_in_bytes"), Some(100_000));
        assert_eq!(limit("sys/fs/cgroup/memory/memory.limit_in_bytes"), Some(100_000));
        assert_eq!(limit("sys/fs/cgroup/memory/x/memory.limit_in_bytes"), unlimited);
        assert_eq!(limit("sys/fs/cgroup/unified/y/memory.max"), Some(100_000));
        let no_limit = "9223372036854771712\n";
        let path = "sys/fs/cgroup/memory/a/b/memory.limit_in_bytes";
        assert_eq!(usable(&[MEMINFO, ("proc/self/cgroup", groups), (path, no_limit)]), unlimited);
    }

    #[test]
    fn nonsense_is_passed_by() {
        let files =
            [MEMINFO, ("proc/self/cgroup", "what\n::\n0::/a\n"), ("sys/fs/cgroup/a/memory.max", "many\n")];
        assert_eq!(usable(&files), Some(900 * 1024));
        assert_eq!(usable(&[("proc/meminfo", "MemTotal: lots\n")]), None);
    }
}
