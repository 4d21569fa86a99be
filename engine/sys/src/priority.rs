//! What the scheduler thinks of a thread.

use std::io;

/// Puts the calling thread, and every thread it starts from then on, behind those that receive: out of
/// a real-time class if it is in one, and `nice` steps further back than it was (at most 19 in all).
/// Needs no privilege, and cannot be taken back without one.
///
/// # Errors
///
/// When the kernel refuses: a seccomp filter may.
pub fn step_back(nice: i32) -> io::Result<()> {
    let param = libc::sched_param { sched_priority: 0 };
    // SAFETY: sched_setscheduler(2) reads one sched_param: ours, live. Pid 0 is the calling thread.
    let result = unsafe { libc::sched_setscheduler(0, libc::SCHED_OTHER, &param) };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    set_nice(current_nice().saturating_add(nice))
}

/// Puts the calling thread `nice` steps further to the front. Wants `CAP_SYS_NICE`, or a limit
/// (`RLIMIT_NICE`) that allows it.
///
/// # Errors
///
/// Without that right; nothing changes then.
pub fn step_forward(nice: i32) -> io::Result<()> {
    set_nice(current_nice().saturating_sub(nice))
}

/// From -20, the front, to 19.
pub fn current_nice() -> i32 {
    // SAFETY: getpriority(2) takes three numbers and touches no memory of ours. Who 0 is the calling
    // thread. Of its values only -1 is also an error, and asking about oneself cannot fail.
    unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) }
}

fn set_nice(nice: i32) -> io::Result<()> {
    // SAFETY: setpriority(2) takes three numbers and touches no memory of ours. On Linux, who 0 is the
    // calling thread, not its process. Values out of range are clamped by the kernel.
    let result = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, nice) };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_steps_back_with_its_children_and_leaves_the_others_where_they_are() {
        let before = current_nice();
        let (own, child) = std::thread::spawn(|| {
            step_back(3).unwrap();
            let child = std::thread::spawn(current_nice).join().unwrap();
            (current_nice(), child)
        })
        .join()
        .unwrap();
        assert_eq!(own, (before + 3).min(19));
        assert_eq!(child, own);
        assert_eq!(current_nice(), before);
    }

    #[test]
    fn whoever_may_not_step_forward_stays_where_he_was() {
        std::thread::spawn(|| {
            let before = current_nice();
            match step_forward(1) {
                Ok(()) => assert_eq!(current_nice(), (before - 1).max(-20)),
                Err(_) => assert_eq!(current_nice(), before),
            }
        })
        .join()
        .unwrap();
    }
}
