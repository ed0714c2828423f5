//! Tests that count what belongs to the whole process run in one of their own.

use std::process::Command;

/// Runs the named test again in a process of its own and says `false`; there it says `true`.
///
/// ```text
/// if !alone("leaks::nothing_is_left") { return; }
/// ```
pub(crate) fn alone(name: &str) -> bool {
    if std::env::var_os(ALONE).is_some_and(|value| value == name) {
        return true;
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--test-threads=1", "--nocapture", "--include-ignored"])
        .env(ALONE, name)
        // glibc keeps what is freed once it has freed much, up to 32 MiB a piece, for the next to
        // ask. With a fixed limit what is resident shows what is held.
        .env("MALLOC_MMAP_THRESHOLD_", "131072")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name} alone:\n{text}");
    assert!(text.contains("1 passed"), "{name} alone ran nothing:\n{text}");
    false
}

const ALONE: &str = "PEERBEAT_ALONE";
