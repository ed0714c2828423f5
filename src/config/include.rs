//! Files: the one the user named, and those that files include.
//!
//! A chain of includes is short, has no cycles and costs no more than the limits say; what breaks
//! that is an error naming the whole chain, and reading goes on without the file.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::error::{ErrorKind, FileProblem, cut};
use super::files::clean;
use super::limits::{MAX_FILE_BYTES, MAX_FILES, MAX_INCLUDE_DEPTH, MAX_TOTAL_BYTES};
use super::place::Place;
use super::reader::{Line, Reader, Source};

impl Reader<'_> {
    /// Reads the file that the user named.
    pub(super) fn load(&mut self, path: &Path) {
        let absolute = self.options.files.absolute(path);
        let source = Source::new(&path.to_string_lossy(), &absolute, None);
        let line = source.at(0);
        match self.read_bytes(line, &absolute) {
            Ok(bytes) => self.read_source(&source, &absolute, "file", bytes),
            Err(problem) => self.reject(&line.place(), "file", &source.shown, problem, Vec::new()),
        }
    }

    /// Reads a text that no file holds.
    pub(super) fn load_text(&mut self, shown: &str, text: &str) {
        let path = self.options.files.absolute(Path::new(shown));
        let source = Source::new(shown, &path, None);
        if text.len() > MAX_FILE_BYTES {
            return self.stop(source.at(0), "file", "bytes in a file", MAX_FILE_BYTES);
        }
        self.bytes = text.len();
        self.chain.push(path);
        self.read_text(&source, text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text));
    }

    pub(super) fn include_file(&mut self, line: Line<'_>, rest: &str) {
        if let Some(path) = self.include_path(line, "include-file", rest) {
            self.include(line, "include-file", Path::new(&path));
        }
    }

    /// Includes the regular files in a folder, in the order of their names; not those whose names
    /// begin with a `.`.
    pub(super) fn include_dir(&mut self, line: Line<'_>, rest: &str) {
        let Some(path) = self.include_path(line, "include-dir", rest) else { return };
        let folder = line.source.folder.join(path);
        let mut files = match self.options.files.list(&folder) {
            Ok(files) => files,
            Err(error) => {
                let chain = line.place().chain();
                let (shown, problem) = (self.shown(&folder), problem(&error));
                return self.reject(&line.place(), "include-dir", &shown, problem, chain);
            }
        };
        files.sort();
        for file in files {
            let name = file.file_name().map(|name| name.to_string_lossy().into_owned());
            if name.is_some_and(|name| !name.starts_with('.')) && !self.stopped {
                self.include(line, "include-dir", &file);
            }
        }
    }

    /// The path that an include names; `None` where there is none, or where it is not for us.
    fn include_path(&mut self, line: Line<'_>, name: &'static str, rest: &str) -> Option<String> {
        if self.is_skipping() {
            return None;
        }
        let item = self.item(line, name, rest)?;
        match item.one(PATH) {
            Ok(path) if !path.is_empty() && !path.contains('\0') => Some(path.to_owned()),
            _ => {
                self.report.error(&item.place, item.bad(PATH));
                None
            }
        }
    }

    fn include(&mut self, line: Line<'_>, item: &'static str, path: &Path) {
        let path = line.source.folder.join(path);
        let shown = self.shown(&path);
        let place = line.place();
        let identity = self.options.files.identity(&path);
        if self.chain.len() > MAX_INCLUDE_DEPTH {
            return self.reject(&place, item, &shown, FileProblem::TooDeep, place.chain());
        }
        if self.chain.contains(&identity) {
            return self.reject(&place, item, &shown, FileProblem::Cycle, place.chain());
        }
        match self.read_bytes(line, &path) {
            Ok(bytes) => {
                let source = Source::new(&shown, &path, Some(Arc::new(place)));
                self.read_source(&source, &path, item, bytes);
            }
            Err(problem) => self.reject(&place, item, &shown, problem, place.chain()),
        }
    }

    /// The content of a file. A limit is reported here, and then the content is empty.
    fn read_bytes(&mut self, line: Line<'_>, path: &Path) -> Result<Vec<u8>, FileProblem> {
        let room = MAX_TOTAL_BYTES - self.bytes;
        let max = MAX_FILE_BYTES.min(room);
        let mut bytes = self.options.files.read(path, max + 1).map_err(|error| problem(&error))?;
        self.files += 1;
        if bytes.len() > max {
            bytes.clear();
            match max {
                MAX_FILE_BYTES => self.stop(line, "file", "bytes in a file", max),
                _ => self.stop(line, "file", "bytes in all files", MAX_TOTAL_BYTES),
            }
        } else if self.files > MAX_FILES {
            bytes.clear();
            self.stop(line, "file", "files", MAX_FILES);
        }
        self.bytes += bytes.len();
        Ok(bytes)
    }

    fn read_source(&mut self, source: &Source, path: &Path, item: &'static str, bytes: Vec<u8>) {
        match text(&bytes) {
            Ok(text) => {
                self.chain.push(self.options.files.identity(path));
                self.read_text(source, text);
                self.chain.pop();
            }
            Err(number) => {
                let place = source.at(number).place();
                let chain = source.included_from.as_ref().map_or(Vec::new(), |from| from.chain());
                self.reject(&place, item, &source.shown, FileProblem::NotText, chain);
            }
        }
    }

    fn reject(
        &mut self,
        place: &Place,
        item: &'static str,
        path: &str,
        problem: FileProblem,
        chain: Vec<Place>,
    ) {
        self.report.error(place, ErrorKind::File { item, path: cut(path), problem, chain });
    }

    /// A path as people would name it: from the current folder where it lies in there.
    fn shown(&self, path: &Path) -> String {
        let path = clean(path);
        let here = self.options.files.absolute(Path::new(""));
        let inside = path.strip_prefix(here).ok().filter(|inside| *inside != Path::new(""));
        inside.unwrap_or(&path).to_string_lossy().into_owned()
    }
}

/// The bytes as text, or the line that is none. A zero byte is UTF-8 but not text.
fn text(bytes: &[u8]) -> Result<&str, u32> {
    let line_of = |end: usize| {
        let breaks = bytes[..end].iter().filter(|byte| **byte == b'\n').count();
        u32::try_from(breaks + 1).unwrap_or(u32::MAX)
    };
    let text = std::str::from_utf8(bytes).map_err(|error| line_of(error.valid_up_to()))?;
    match text.find('\0') {
        Some(at) => Err(line_of(at)),
        None => Ok(text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text)),
    }
}

fn problem(error: &io::Error) -> FileProblem {
    match error.kind() {
        io::ErrorKind::NotFound => FileProblem::Missing,
        io::ErrorKind::IsADirectory => FileProblem::Folder,
        io::ErrorKind::NotADirectory => FileProblem::NotAFolder,
        _ => FileProblem::Unreadable(error.to_string()),
    }
}

const BYTE_ORDER_MARK: char = '\u{feff}';
const PATH: &str = "one path";
