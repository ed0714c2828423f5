//! The limit of open files, for messages that name it.
//!
//! It is read once, at the start: when descriptors have run out, the file that tells how many there
//! may be cannot be opened either.

use std::fs;
use std::io;

/// What the system allows this process, as far as it can be read.
#[derive(Clone, Debug, Default)]
pub(crate) struct SystemLimits {
    open_files: Option<String>,
}

impl SystemLimits {
    /// Reads the limits; what cannot be read is left out of the messages.
    pub(super) fn read() -> Self {
        let text = fs::read_to_string("/proc/self/limits").unwrap_or_default();
        Self { open_files: soft_limit(&text, "Max open files") }
    }

    /// Names the limit of descriptors if `error` comes from it, else just shows `error`.
    pub(super) fn describe(&self, error: &io::Error) -> String {
        if !is_out_of_descriptors(error) {
            return error.to_string();
        }
        if cfg!(windows) {
            return format!("no socket left: {error}; close some, or raise the memory for sockets");
        }
        format!(
            "no file descriptor left{}: {error}; raise the limit of open files (ulimit -n)",
            parenthesis(self.open_files.as_deref())
        )
    }
}

/// Whether the process or the system has no descriptor left; std has no kind for it.
pub(super) fn is_out_of_descriptors(error: &io::Error) -> bool {
    error.raw_os_error().is_some_and(|code| OUT_OF_DESCRIPTORS.contains(&code))
}

/// EMFILE and ENFILE; on Windows WSAEMFILE and WSAENOBUFS.
const OUT_OF_DESCRIPTORS: [i32; 2] = if cfg!(windows) { [10_024, 10_055] } else { [24, 23] };

fn parenthesis(limit: Option<&str>) -> String {
    limit.map(|limit| format!(" (limit {limit})")).unwrap_or_default()
}

/// The first number of the line that begins with `item`.
fn soft_limit(text: &str, item: &str) -> Option<String> {
    let line = text.lines().find_map(|line| line.strip_prefix(item))?;
    line.split_whitespace().next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_name_the_limit() {
        let text = "Limit   Soft Limit  Hard Limit  Units\n\
                    Max open files            1024                 20000                files\n";
        let limits = SystemLimits { open_files: soft_limit(text, "Max open files") };
        let full = limits.describe(&io::Error::from_raw_os_error(OUT_OF_DESCRIPTORS[0]));
        let expected = match cfg!(windows) {
            true => "no socket left: ",
            false => "no file descriptor left (limit 1024): ",
        };
        assert!(full.starts_with(expected), "{full}");
        assert_eq!(SystemLimits::default().describe(&io::Error::other("why")), "why");
    }
}
