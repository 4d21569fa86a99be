//! What is wrong with the data plane, and the setting or command that cures it.

use greyhound_pipeline::ledger::Transport;
use greyhound_server::register::{Problem, Severity};

use super::{Observed, engine, grouped, problem};
use crate::diagnose::kernel;

use Severity::{Critical, Note, Warning};

/// Sockets: what the kernel dropped, what was cut.
pub(super) fn of_listeners(observed: &Observed) -> Vec<Problem> {
    let mut problems: Vec<Problem> = observed
        .notices
        .iter()
        .map(|notice| problem(Note, notice, ""))
        .collect();
    let Some(handle) = observed.engine.get() else {
        return problems;
    };
    let settings = observed.live.settings();
    problems.extend(
        handle
            .warnings()
            .iter()
            .map(|warning| problem(Warning, warning, "greyhound diagnose")),
    );
    for (id, tally, listener) in engine::of_listeners(handle) {
        let address = &listener.info.address;
        let drops = handle.kernel_drops().of(id);
        if drops > 0 {
            problems.push(problem(
                Critical,
                format!(
                    "{} packets lost: the kernel dropped them before {address}, its receive buffer was full",
                    grouped(drops)
                ),
                buffer_cure(listener.receive_buffer.map(|buffer| buffer.effective_bytes)),
            ));
        }
        if tally.truncated + tally.frame_too_big > 0 {
            problems.push(problem(
                Critical,
                format!(
                    "{} packets lost at {address}: they were longer than {} bytes",
                    grouped(tally.truncated + tally.frame_too_big),
                    settings.listen.packet_len_bytes_max
                ),
                "raise `dogstatsd_buffer_size`, or make the clients' packets smaller (their maximum packet size)",
            ));
        }
        if tally.frame_partial > 0 {
            problems.push(problem(
                Warning,
                format!(
                    "{} frames at {address} were cut off by their sender",
                    grouped(tally.frame_partial)
                ),
                "clients closed the stream in the middle of a frame: let them flush before they stop",
            ));
        }
        let is_datagram = listener.info.transport == Transport::Unixgram;
        if let Some(length) = kernel::datagram_queue().filter(|length| is_datagram && *length < 64)
        {
            problems.push(problem(
                Note,
                format!("the kernel holds only {length} datagrams for {address}; a burst of more waits or is lost at the client"),
                "sysctl -w net.unix.max_dgram_qlen=512, then start greyhound again",
            ));
        }
    }
    problems
}

/// What has to be done so that the kernel holds more.
fn buffer_cure(granted: Option<usize>) -> String {
    const WANTED: u64 = 16 << 20;
    match kernel::rmem_max() {
        Some(max) if max < WANTED => format!(
            "sysctl -w net.core.rmem_max={WANTED}, then start greyhound again with `dogstatsd_so_rcvbuf: {WANTED}`"
        ),
        _ if granted.is_some_and(|bytes| (bytes as u64) < WANTED) => {
            format!("set `dogstatsd_so_rcvbuf: {WANTED}` and start greyhound again")
        }
        _ => "use more lanes (`greyhound.lanes`), or let clients aggregate before they send"
            .to_owned(),
    }
}

/// Messages that were refused, and what was lost after it had been taken.
pub(super) fn of_ledger(observed: &Observed) -> Vec<Problem> {
    let Some(handle) = observed.engine.get() else {
        return Vec::new();
    };
    let reading = handle.ledger().read();
    let total = &reading.total;
    let mut problems = Vec::new();
    let worst = total.rejected().max_by_key(|(_, count)| *count);
    if let Some((kind, count)) = worst.filter(|(_, count)| *count > 0) {
        problems.push(problem(
            Warning,
            format!(
                "{} messages refused, most of them ({}) for {}",
                grouped(total.rejected_total()),
                grouped(count),
                kind.as_str()
            ),
            "greyhound explain '<the message>' says what is wrong with it; `log_level: debug` shows them",
        ));
    }
    if total.unterminated > 0 {
        problems.push(problem(
            Warning,
            format!(
                "{} last lines without newline were refused",
                grouped(total.unterminated)
            ),
            "empty `dogstatsd_eol_required`, or let clients end every line",
        ));
    }
    if total.not_finite > 0 {
        problems.push(problem(
            Note,
            format!("{} samples were NaN or infinite", grouped(total.not_finite)),
            "mend the client that computes them",
        ));
    }
    if total.type_clashes > 0 {
        problems.push(problem(
            Warning,
            format!(
                "{} samples had another type than their metric in the same bucket",
                grouped(total.type_clashes)
            ),
            "give the metrics of different types different names",
        ));
    }
    if total.timestamped_unsupported > 0 {
        problems.push(problem(
            Warning,
            format!(
                "{} samples with a time of their own were neither gauge nor counter",
                grouped(total.timestamped_unsupported)
            ),
            "send only gauges and counters with a timestamp",
        ));
    }
    let broken: u64 = reading.late_drops()[1].1 + total.datagrams_lane_panic;
    if broken > 0 {
        problems.push(problem(
            Critical,
            format!("{} items lost because a lane broke", grouped(broken)),
            "greyhound flare, and send it to whoever maintains greyhound",
        ));
    }
    problems
}

/// Limits that were hit: each says what it refused.
pub(super) fn of_limits(observed: &Observed) -> Vec<Problem> {
    let Some(handle) = observed.engine.get() else {
        return Vec::new();
    };
    let reading = handle.ledger().read();
    let total = &reading.total;
    let rows = [
        (
            total.context_limit,
            "samples of new contexts over the limit of all contexts",
            "find the tag that explodes (an id, a time, an address) and filter it with `metric_tag_filterlist`, or raise `greyhound.limits.contexts`",
        ),
        (
            total.origin_limit,
            "samples of new contexts over the limit of one origin",
            "one client explodes: filter its tag with `metric_tag_filterlist`, or raise `greyhound.limits.contexts_per_origin`",
        ),
        (
            total.tag_limit,
            "samples with too many tags",
            "send fewer tags, or raise `greyhound.limits.tags_per_metric`",
        ),
        (
            total.memory_limit,
            "samples over the limit of memory",
            "find the tag that explodes and filter it with `metric_tag_filterlist`, or raise `greyhound.limits.memory`",
        ),
        (
            total.member_limit,
            "members of sets over the limit",
            "raise `greyhound.limits.set_members`, or count something with fewer values",
        ),
        (
            total.value_limit,
            "values of histograms over the limit",
            "raise `greyhound.limits.histogram_values`, or send distributions",
        ),
        (
            total.items_limit,
            "events and service checks over the limit of one flush",
            "raise `greyhound.limits.events`",
        ),
    ];
    rows.into_iter()
        .filter(|(count, _, _)| *count > 0)
        .map(|(count, what, cure)| {
            problem(
                Critical,
                format!("{} {what} were refused", grouped(count)),
                cure,
            )
        })
        .collect()
}

/// Whether lanes answer.
pub(super) fn of_lanes(observed: &Observed) -> Vec<Problem> {
    let Some(handle) = observed.engine.get() else {
        return vec![problem(Note, "the engine is starting", "")];
    };
    let mut problems = Vec::new();
    if !handle.is_ready() {
        problems.push(problem(
            Critical,
            "the engine is stopping, or a lane does not answer",
            "greyhound flare, then start greyhound again",
        ));
    }
    let receive = handle.receive();
    if receive.lane_restarts > 0 {
        problems.push(problem(
            Critical,
            format!(
                "lanes broke {} times and started again",
                receive.lane_restarts
            ),
            "greyhound flare, and send it to whoever maintains greyhound",
        ));
    }
    if receive.peers_refused > 0 {
        problems.push(problem(
            Critical,
            format!(
                "{} stream connections were refused: too many",
                grouped(receive.peers_refused)
            ),
            "raise `greyhound.stream.connections`",
        ));
    }
    if receive.accept_backoffs > 0 {
        problems.push(problem(
            Critical,
            "connections had to wait because files or memory ran out",
            "raise the limit of open files (`LimitNOFILE=`, `ulimit -n`)",
        ));
    }
    if receive.credentials_missing > 0 {
        problems.push(problem(
            Note,
            format!("{} packets came without their sender's credentials", grouped(receive.credentials_missing)),
            "share the host's PID namespace with greyhound (`hostPID: true`), or turn `dogstatsd_origin_detection` off",
        ));
    }
    problems
}
