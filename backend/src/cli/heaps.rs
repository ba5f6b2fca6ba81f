//! Two heaps instead of one for each thread.
//!
//! The system's allocator on Linux (glibc) gives each thread a heap of its own, and each keeps what the largest work took that its thread ever
//! did: after some reports, a server held three times what it needed. It is told by a variable of the environment alone, which it reads when a
//! program starts.

use std::os::unix::process::CommandExt;
use std::process::Command;

const VARIABLE: &str = "MALLOC_ARENA_MAX";

/// Starts the program again in the same process, with that variable, unless somebody has set it.
pub(super) fn limit() {
    if !cfg!(target_env = "gnu") || std::env::var_os(VARIABLE).is_some() {
        return;
    }
    let Ok(program) = std::env::current_exe() else { return };
    let mut args = std::env::args_os();
    let name = args.next().unwrap_or_else(|| program.clone().into());
    // It comes back only where that failed, and then all goes on as it is.
    let _ = Command::new(program).arg0(name).args(args).env(VARIABLE, "2").exec();
}
