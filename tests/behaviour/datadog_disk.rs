//! The disk queue when its disk is full, read-only, slow or broken, and when what lies on it is damaged. What is
//! whole arrives; what is not is counted, in points as far as they can be known; nothing stops a start.

use std::fs;
use std::os::unix::fs::{FileExt, symlink};
use std::path::Path;
use std::process::Command;

use greyhound_tests::command;
use greyhound_tests::daemon::{Daemon, Setup};
use greyhound_tests::disk_queue::{self, Record};
use greyhound_tests::intake::Intake;
use greyhound_tests::sink_end::SinkEnd;
use greyhound_tests::{skip, tools, wait};
use tempfile::TempDir;

use crate::datadog::{check_all_arrived, delivery, setup, wait_drained};
use crate::send;

/// In the names of files a test put into a queue: numbers no daemon under test gets to.
const FOREIGN: &str = "0000000090000";

/// A queue that a stopped daemon left, and where it belongs.
struct Left {
    intake: Intake,
    queue: TempDir,
    records: Vec<Record>,
}

fn in_queue(setup: Setup, queue: &Path) -> Setup {
    setup.with("forwarder_storage_path", queue.to_string_lossy())
}

fn small_payloads(setup: Setup) -> Setup {
    setup.with("serializer_max_series_points_per_payload", 20)
}

/// Counters of so many contexts; each flush after it says its zeros too.
fn load(daemon: &Daemon, contexts: u64) {
    let socket = send::udp_socket(daemon.udp());
    for number in 0..contexts {
        socket
            .send(format!("load:1|c|#n:{number}").as_bytes())
            .unwrap();
    }
}

/// Runs a daemon whose intake is dead and leaves at least a dozen records.
fn leave() -> Left {
    let intake = Intake::start();
    intake.close();
    let queue = tempfile::tempdir().unwrap();
    let daemon = small_payloads(in_queue(setup(&intake), queue.path())).start();
    load(&daemon, 300);
    daemon.wait_processed(300);
    wait::until("records on disk", || {
        (delivery(&daemon, "payloads_queued", &[]) >= 12.0).then_some(())
    });
    let end = SinkEnd::of(&daemon.stop(), "datadog");
    assert_eq!((end.delivered, end.dropped, end.kept), (0, 0, end.points));
    let records = disk_queue::records(queue.path());
    let on_disk: u64 = records.iter().map(|record| record.points).sum();
    assert_eq!(on_disk, end.kept, "what is kept is on disk");
    intake.open();
    Left {
        intake,
        queue,
        records,
    }
}

impl Left {
    /// Starts anew and lets everything arrive that can. The account has `damaged` records and `lost` points,
    /// and everything but `gone` arrives.
    fn deliver(&self, damaged: u64, lost: u64, gone: &[Record]) {
        let daemon = small_payloads(in_queue(setup(&self.intake), self.queue.path())).start();
        self.intake.wait("what was left", |records| {
            let wanted = self.records.iter().filter(|record| !gone.contains(record));
            wanted.into_iter().all(|record| records.has(record.digest))
        });
        wait_drained(&daemon, "datadog");
        assert_eq!(delivery(&daemon, "corrupt_records", &[]), damaged as f64);
        let labels = [("sink", "datadog"), ("reason", "disk_corrupt")];
        let dropped = daemon
            .telemetry()
            .sum("greyhound__sink__points_dropped", &labels);
        let end = SinkEnd::of(&daemon.stop(), "datadog");
        assert_eq!((end.dropped, dropped), (lost, lost as f64));
        self.intake.look(|records| {
            assert_eq!(records.duplicates(), (0, 0));
            assert_eq!(records.points(), end.delivered);
            assert!(!gone.iter().any(|record| records.has(record.digest)));
        });
        let mut left = disk_queue::records(self.queue.path());
        left.retain(|record| !record.file.to_string_lossy().contains(FOREIGN));
        assert_eq!(left, [], "nothing is left but what is not understood");
    }

    /// The file with the most records, which stand in it in order.
    fn segment(&self) -> Vec<Record> {
        let last = self.records.last().unwrap().file.clone();
        let of_file = self.records.iter().filter(|record| record.file == last);
        of_file.cloned().collect()
    }
}

fn write_at(path: &Path, offset: usize, bytes: &[u8]) {
    let file = fs::OpenOptions::new().write(true).open(path).unwrap();
    file.write_all_at(bytes, offset as u64).unwrap();
}

fn flip(path: &Path, offset: usize) {
    let mut byte = [0];
    fs::File::open(path)
        .unwrap()
        .read_exact_at(&mut byte, offset as u64)
        .unwrap();
    write_at(path, offset, &[byte[0] ^ 0x10]);
}

#[test]
fn what_is_left_arrives_once() {
    let left = leave();
    assert!(left.records.len() >= 12);
    left.deliver(0, 0, &[]);
}

#[test]
fn a_torn_tail_costs_one_record() {
    let left = leave();
    let last = left.segment().pop().unwrap();
    let file = fs::OpenOptions::new().write(true).open(&last.file).unwrap();
    file.set_len((last.offset[1] + 3) as u64).unwrap();
    left.deliver(1, last.points, &[last]);
}

#[test]
fn a_tail_torn_within_its_head_is_counted_without_its_points() {
    let left = leave();
    let last = left.segment().pop().unwrap();
    let file = fs::OpenOptions::new().write(true).open(&last.file).unwrap();
    file.set_len((last.offset[0] + 5) as u64).unwrap();
    left.deliver(1, 0, &[last]);
}

#[test]
fn a_flipped_bit_costs_the_record_it_is_in() {
    let left = leave();
    let hit = left.segment()[1].clone();
    flip(&hit.file, hit.offset[1] + 4);
    left.deliver(1, hit.points, &[hit]);
}

#[test]
fn a_flipped_bit_in_a_head_costs_its_record_and_none_behind_it() {
    let left = leave();
    let hit = left.segment()[2].clone();
    flip(&hit.file, hit.offset[0] + 17);
    left.deliver(1, 0, &[hit]);
}

#[test]
fn bytes_of_nothing_between_records_are_skipped() {
    let left = leave();
    let segment = left.segment();
    let (first, third) = (&segment[0], &segment[2]);
    // Two records overwritten, the heads too.
    write_at(
        &first.file,
        first.offset[0],
        &vec![0; third.offset[0] - first.offset[0]],
    );
    left.deliver(2, 0, &segment[..2]);
}

#[test]
fn an_emptied_segment_and_leftovers_of_a_start_are_swept_away() {
    let left = leave();
    let folder = left.segment()[0].file.parent().unwrap().to_owned();
    fs::write(folder.join("00000000000000900000.seg"), b"").unwrap();
    fs::write(folder.join("00000000000000900001.seg.tmp"), b"GHQUEUE\n").unwrap();
    fs::write(folder.join("00000000000000900002.ack"), b"whatever").unwrap();
    left.deliver(0, 0, &[]);
    let names = fs::read_dir(folder).unwrap();
    assert!(names.flatten().all(|entry| entry.file_name() == "lock"));
}

#[test]
fn a_copy_of_a_segment_is_not_sent_twice() {
    let left = leave();
    let segment = left.segment()[0].file.clone();
    let copy = segment.with_file_name("00000000000000900000.seg");
    fs::copy(&segment, &copy).unwrap();
    left.deliver(0, 0, &[]);
    assert!(copy.exists(), "what is not understood is left alone");
}

#[test]
fn what_is_none_of_ours_is_left_alone_and_does_not_delay_the_start() {
    let left = leave();
    let folder = left.segment()[0].file.parent().unwrap().to_owned();
    for number in 0..2_000 {
        fs::write(folder.join(format!("junk-{number}")), b"x").unwrap();
    }
    fs::create_dir(folder.join("00000000000000900000.seg")).unwrap();
    symlink("/etc/hostname", folder.join("00000000000000900001.seg")).unwrap();
    let fifo = folder.join("00000000000000900002.seg");
    command::succeed(Command::new("mkfifo").arg(&fifo), wait::PATIENCE).unwrap();
    // A later version of the format.
    let mut later = fs::read(&left.segment()[0].file).unwrap();
    later[8] = 9;
    fs::write(folder.join("00000000000000900003.seg"), &later).unwrap();
    left.deliver(0, 0, &[]);
    for name in [
        "junk-7",
        "00000000000000900000.seg",
        "00000000000000900003.seg",
    ] {
        assert!(folder.join(name).exists(), "{name}");
    }
    assert!(fifo.exists() && fs::symlink_metadata(folder.join("00000000000000900001.seg")).is_ok());
}

#[test]
fn a_full_queue_lets_the_oldest_go() {
    let intake = Intake::start();
    intake.close();
    let queue = tempfile::tempdir().unwrap();
    let daemon = in_queue(setup(&intake), queue.path())
        .with("serializer_compressor_kind", "none")
        .with("greyhound.delivery.disk_bytes", 200_000)
        .with("forwarder_retry_queue_payloads_max_size", 100_000)
        .start();
    intake.rules(|rules| rules.encoding = "");
    load(&daemon, 600);
    daemon.wait_processed(600);
    let labels = [("sink", "datadog"), ("reason", "disk_full")];
    let dropped = || {
        daemon
            .telemetry()
            .sum("greyhound__sink__points_dropped", &labels)
    };
    wait::until("the oldest to go", || (dropped() > 1_000.0).then_some(()));
    let bytes: u64 = disk_queue::segments(queue.path())
        .iter()
        .filter_map(|path| Some(fs::metadata(path).ok()?.len()))
        .sum();
    assert!(bytes <= 200_000, "{bytes}");
    intake.open();
    wait_drained(&daemon, "datadog");
    let dropped = dropped();
    let end = SinkEnd::of(&daemon.stop(), "datadog");
    assert_eq!((end.dropped as f64, end.kept), (dropped, 0));
    intake.look(|records| {
        assert_eq!(records.points(), end.delivered);
        assert_eq!(records.duplicates(), (0, 0));
    });
}

#[test]
fn memory_without_a_disk_lets_the_oldest_go() {
    let intake = Intake::start();
    intake.close();
    let daemon = setup(&intake)
        .with("greyhound.delivery.disk_bytes", 0)
        .with("serializer_compressor_kind", "none")
        .with("forwarder_retry_queue_payloads_max_size", 150_000)
        .start();
    intake.rules(|rules| rules.encoding = "");
    load(&daemon, 600);
    daemon.wait_processed(600);
    let labels = [("sink", "datadog"), ("reason", "memory_full")];
    let dropped = || {
        daemon
            .telemetry()
            .sum("greyhound__sink__points_dropped", &labels)
    };
    wait::until("the oldest to go", || (dropped() > 1_000.0).then_some(()));
    assert!(delivery(&daemon, "memory_bytes", &[]) <= 150_000.0);
    intake.open();
    wait_drained(&daemon, "datadog");
    let dropped = dropped();
    let end = SinkEnd::of(&daemon.stop(), "datadog");
    assert_eq!(end.dropped as f64, dropped);
    intake.look(|records| assert_eq!(records.points(), end.delivered));
}

#[test]
fn a_queue_that_another_process_has_is_done_without() {
    let intake = Intake::start();
    let queue = tempfile::tempdir().unwrap();
    let first = in_queue(setup(&intake), queue.path()).start();
    send::udp(first.udp(), "first:1|c");
    wait::until("the lock", || {
        (!disk_queue::folders(queue.path()).is_empty()).then_some(())
    });
    intake.wait("the first one's flush", |records| records.requests > 0);
    let second = in_queue(setup(&intake), queue.path()).start();
    second.wait_log("no disk queue");
    load(&second, 10);
    second.wait_processed(10);
    let second = SinkEnd::of(&second.stop(), "datadog");
    let first = SinkEnd::of(&first.stop(), "datadog");
    assert_eq!((first.dropped, second.dropped, second.kept), (0, 0, 0));
    assert_eq!(
        intake.look(|records| records.points()),
        first.delivered + second.delivered
    );
}

#[test]
fn a_folder_that_goes_away_is_done_without() {
    let intake = Intake::start();
    intake.close();
    let queue = tempfile::tempdir().unwrap();
    let daemon = in_queue(setup(&intake), queue.path()).start();
    send::udp(daemon.udp(), "first:1|g");
    wait::until("a first record", || {
        (!disk_queue::records(queue.path()).is_empty()).then_some(())
    });
    fs::remove_dir_all(queue.path()).unwrap();
    load(&daemon, 10);
    daemon.wait_processed(11);
    intake.open();
    intake.wait("the load", |records| records.total("load") == 10.0);
    wait_drained(&daemon, "datadog");
    check_all_arrived(&intake, &daemon.stop());
}

#[test]
fn a_bound_on_the_size_of_files_is_survived() {
    let intake = Intake::start();
    intake.close();
    let daemon = setup(&intake)
        .with("greyhound.ndjson.path", "")
        .with("serializer_compressor_kind", "none")
        .within(&["prlimit", "--fsize=40000"])
        .start();
    intake.rules(|rules| rules.encoding = "");
    load(&daemon, 600);
    daemon.wait_processed(600);
    wait::until("an error of the disk", || {
        (delivery(&daemon, "disk_errors", &[]) > 0.0).then_some(())
    });
    intake.open();
    intake.wait("the load", |records| records.total("load") == 600.0);
    wait_drained(&daemon, "datadog");
    check_all_arrived(&intake, &daemon.stop());
}

/// A daemon whose queue lies on a file system of its own, in a mount namespace of its own.
pub(crate) fn on_tmpfs(setup: Setup, options: &str) -> Option<Setup> {
    let works = |flags: &&str| {
        let probe = Command::new("unshare").args([*flags, "true"]).output();
        probe.is_ok_and(|probe| probe.status.success())
    };
    // Root may be without user namespaces, others without anything else.
    let Some(flags) = ["-rm", "-m"].into_iter().find(works) else {
        skip::skip("no mount namespace can be made (unshare)");
        return None;
    };
    let folder = setup.path("tmpfs");
    fs::create_dir(&folder).unwrap();
    let mount = format!(
        "mount -t tmpfs -o {options} tmpfs {} && exec \"$@\"",
        folder.display()
    );
    let setup = setup.within(&["unshare", flags, "sh", "-c", &mount, "sh"]);
    Some(setup.with(
        "forwarder_storage_path",
        folder.join("queue").to_string_lossy(),
    ))
}

/// The same path as the daemon sees it.
pub(crate) fn inside(daemon: &Daemon, name: &str) -> std::path::PathBuf {
    let path = daemon.path(name);
    let path = path.strip_prefix("/").unwrap();
    Path::new("/proc")
        .join(daemon.pid().to_string())
        .join("root")
        .join(path)
}

#[test]
fn a_full_file_system_is_done_without_and_taken_up_again() {
    let intake = Intake::start();
    intake.close();
    let base = setup(&intake).with("forwarder_storage_max_disk_ratio", 1.0);
    let Some(setup) = on_tmpfs(base, "size=256k") else {
        return;
    };
    let daemon = setup.with("serializer_compressor_kind", "none").start();
    intake.rules(|rules| rules.encoding = "");
    send::udp(daemon.udp(), "first:1|g");
    wait::until("a first record", || {
        (delivery(&daemon, "disk_bytes", &[]) > 0.0).then_some(())
    });
    // As large as there is room for; that it does not fit whole is the point.
    drop(fs::write(
        inside(&daemon, "tmpfs/filler"),
        vec![0; 256 * 1024],
    ));
    load(&daemon, 300);
    daemon.wait_processed(301);
    wait::until("an error of the disk", || {
        (delivery(&daemon, "disk_errors", &[]) > 0.0).then_some(())
    });
    fs::remove_file(inside(&daemon, "tmpfs/filler")).unwrap();
    intake.open();
    intake.wait("the load", |records| records.total("load") == 300.0);
    wait_drained(&daemon, "datadog");
    let stopped = daemon.stop();
    check_all_arrived(&intake, &stopped);
    assert!(
        stopped.log.contains("cannot write the disk queue"),
        "{}",
        stopped.log
    );
}

#[test]
fn a_file_system_fuller_than_allowed_is_left_alone() {
    let intake = Intake::start();
    intake.close();
    let base = setup(&intake).with("forwarder_storage_max_disk_ratio", 0.5);
    let Some(setup) = on_tmpfs(base, "size=256k") else {
        return;
    };
    let daemon = setup.start();
    send::udp(daemon.udp(), "first:1|g");
    wait::until("a first record", || {
        (delivery(&daemon, "disk_bytes", &[]) > 0.0).then_some(())
    });
    fs::write(inside(&daemon, "tmpfs/filler"), vec![0; 140 * 1024]).unwrap();
    load(&daemon, 100);
    daemon.wait_processed(101);
    let line = daemon.wait_log("cannot write the disk queue");
    assert!(line.contains("forwarder_storage_max_disk_ratio"), "{line}");
    intake.open();
    intake.wait("the load", |records| records.total("load") == 100.0);
    wait_drained(&daemon, "datadog");
    check_all_arrived(&intake, &daemon.stop());
}

#[test]
fn a_file_system_that_cannot_be_written_is_done_without() {
    let intake = Intake::start();
    let Some(setup) = on_tmpfs(setup(&intake), "ro,size=256k") else {
        return;
    };
    let daemon = setup.start();
    daemon.wait_log("no disk queue");
    load(&daemon, 10);
    daemon.wait_processed(10);
    intake.wait("the load", |records| records.total("load") == 10.0);
    check_all_arrived(&intake, &daemon.stop());
}

#[test]
fn no_inodes_are_no_obstacle() {
    let intake = Intake::start();
    // The root, the folder, the destination's, and the lock.
    let Some(setup) = on_tmpfs(setup(&intake), "size=256k,nr_inodes=4") else {
        return;
    };
    let daemon = setup.start();
    load(&daemon, 10);
    daemon.wait_processed(10);
    wait::until("an error of the disk", || {
        (delivery(&daemon, "disk_errors", &[]) > 0.0).then_some(())
    });
    intake.wait("the load", |records| records.total("load") == 10.0);
    check_all_arrived(&intake, &daemon.stop());
}

#[test]
fn a_disk_that_fails_or_takes_its_time_does_not_hold_up_the_clients() {
    for fault in ["delay_enter=700000", "error=EIO:when=2+3"] {
        let intake = Intake::start();
        let inject = format!("inject=fdatasync:{fault}");
        let Some(strace) = tools::find("strace") else {
            skip::skip("no strace");
            return;
        };
        let log = tempfile::NamedTempFile::new().unwrap();
        let daemon = setup(&intake)
            .within(&[
                &strace.to_string_lossy(),
                "-f",
                "-qq",
                "-D",
                "-o",
                &log.path().to_string_lossy(),
                "-e",
                "trace=fdatasync",
                "-e",
                &inject,
            ])
            .start();
        load(&daemon, 500);
        daemon.wait_processed(500);
        intake.wait("the load", |records| records.total("load") == 500.0);
        let drops = daemon
            .telemetry()
            .sum("greyhound__listener__kernel_drops", &[]);
        assert_eq!(drops, 0.0, "{fault}");
        if fault.starts_with("error") {
            wait::until("an error of the disk", || {
                (delivery(&daemon, "disk_errors", &[]) > 0.0).then_some(())
            });
        }
        wait_drained(&daemon, "datadog");
        check_all_arrived(&intake, &daemon.stop());
    }
}
