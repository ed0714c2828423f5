//! The file with the metrics, for node_exporter's textfile collector.
//!
//! It is written to a file beside it and then renamed, so that no one reads half of it. A failure
//! is reported once, until writing works again.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use peerbeat::journal::prometheus;
use peerbeat::node::Node;

use crate::output::complain;
use crate::text::Escaped;

/// The file, if there is to be one.
pub(super) struct MetricsFile {
    file: Option<PathBuf>,
    has_failed: AtomicBool,
}

impl MetricsFile {
    pub(super) fn new(file: Option<PathBuf>) -> Self {
        Self { file, has_failed: AtomicBool::new(false) }
    }

    /// Writes the numbers of now.
    pub(super) fn write(&self, node: &Node) {
        let Some(file) = &self.file else { return };
        let written = write(file, &prometheus(node));
        let has_failed = self.has_failed.swap(written.is_err(), Ordering::Relaxed);
        if let (Err(error), false) = (written, has_failed) {
            let file = file.to_string_lossy();
            complain(&format_args!("peerbeat run: --metrics: {}: {error}", Escaped(&file)));
        }
    }
}

fn write(file: &PathBuf, text: &str) -> io::Result<()> {
    let mut beside = file.clone().into_os_string();
    beside.push(".tmp");
    fs::write(&beside, text)?;
    fs::rename(&beside, file)
}
