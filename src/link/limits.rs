//! Limits of the system, for error messages that name the one that was reached.
//!
//! The limit of open files is read once, at the start: once descriptors have run out, the file that
//! contains it cannot be opened either. The limits of threads are in `threads`.

use std::fs;
use std::io;

/// What the system allows this process, as far as it can be read.
#[derive(Clone, Debug, Default)]
pub(crate) struct SystemLimits {
    open_files: Option<u64>,
}

impl SystemLimits {
    /// Reads the limits; what cannot be read is left out of the messages.
    pub(crate) fn read() -> Self {
        Self { open_files: number("/proc/self/limits", "Max open files") }
    }

    /// Names the limit of descriptors if `error` comes from it, else just shows `error`.
    pub(crate) fn describe(&self, error: &io::Error) -> String {
        if !is_out_of_descriptors(error) {
            return error.to_string();
        }
        if cfg!(windows) {
            return format!("no socket left: {error}; close some, or raise the memory for sockets");
        }
        let limit = self.open_files.map(|limit| format!(" (limit {limit})")).unwrap_or_default();
        format!(
            "no file descriptor left{limit}: {error}; raise the limit of open files (ulimit -n)"
        )
    }
}

/// Whether the process or the system has no descriptor left; std has no kind for it.
pub(crate) fn is_out_of_descriptors(error: &io::Error) -> bool {
    error.raw_os_error().is_some_and(|code| OUT_OF_DESCRIPTORS.contains(&code))
}

/// The first number of the line of a file that begins with `item`.
pub(super) fn number(path: &str, item: &str) -> Option<u64> {
    first_number(&fs::read_to_string(path).ok()?, item)
}

fn first_number(text: &str, item: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(item))?;
    line.split_whitespace().next()?.parse().ok()
}

/// EMFILE and ENFILE; on Windows WSAEMFILE and WSAENOBUFS.
const OUT_OF_DESCRIPTORS: [i32; 2] = if cfg!(windows) { [10_024, 10_055] } else { [24, 23] };

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_name_the_limit() {
        let text = "Limit   Soft Limit  Hard Limit  Units\n\
                    Max open files            1024                 20000                files\n";
        let limits = SystemLimits { open_files: first_number(text, "Max open files") };
        let full = limits.describe(&io::Error::from_raw_os_error(OUT_OF_DESCRIPTORS[0]));
        let expected = match cfg!(windows) {
            true => "no socket left: ",
            false => "no file descriptor left (limit 1024): ",
        };
        assert!(full.starts_with(expected), "{full}");
        assert_eq!(SystemLimits::default().describe(&io::Error::other("why")), "why");
    }
}
