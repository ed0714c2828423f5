//! Files: the one the user named, and those that files include.
//!
//! A chain of includes has no cycles and stays within limits of depth and size; an include that
//! breaks this is an error that names the whole chain, and reading goes on without the file. Only
//! files that are named are read.

use std::borrow::Cow;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::blocks::Owner;
use super::error::{ErrorKind, FileProblem};
use super::expand::Marks;
use super::files::clean;
use super::limits::{
    MAX_FILE_BYTES, MAX_FILES, MAX_INCLUDE_DEPTH, MAX_INCLUDE_DIRS, MAX_TOTAL_BYTES,
};
use super::location::Location;
use super::reader::{IncludeDir, Line, Reader, Source};
use super::shown::{cut, is_marked, mark_byte};
use super::value::Item;
use super::warning::WarningKind;

impl Reader<'_> {
    /// Reads the file that the user named.
    pub(super) fn load(&mut self, path: &Path) {
        let absolute = self.options.files.absolute(path);
        let source = Source::new(&path.to_string_lossy(), &absolute, None);
        let line = source.at(0);
        match self.read_bytes(line, &absolute) {
            Ok(bytes) => self.read_source(&source, &absolute, "file", bytes),
            Err(problem) => {
                self.reject(&line.location(), "file", &source.shown, problem, Vec::new());
            }
        }
        self.end_include_dirs();
    }

    /// Reads a text that no file holds.
    pub(super) fn load_text(&mut self, shown: &str, text: &str) {
        let path = self.options.files.absolute(Path::new(shown));
        let source = Source::new(shown, &path, None);
        if text.len() > MAX_FILE_BYTES {
            return self.stop(source.at(0), "file", "bytes in a file", MAX_FILE_BYTES);
        }
        self.bytes = text.len();
        let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
        if is_xml(text.as_bytes()) {
            let location = source.at(1).location();
            return self.reject(&location, "file", shown, FileProblem::Xml, Vec::new());
        }
        self.chain.push(String::new());
        self.read_text(&source, text);
        self.end_include_dirs();
    }

    pub(super) fn include_file(&mut self, line: Line<'_>, rest: &str) {
        let Some((path, marks)) = self.include_path(line, "include-file", rest) else { return };
        self.files += 1;
        if self.files > MAX_FILES {
            return self.stop(line, "file", "files", MAX_FILES);
        }
        let places = self.places(line, &path);
        let mut found = None;
        for (index, place) in places.iter().enumerate() {
            // The last one is that from the root.
            self.variables.root_used |= index > 0 && index + 1 == places.len();
            match self.include(line, place) {
                Ok(()) => return self.end_include(line, &places[index..], &path, &marks),
                Err(FileProblem::Missing { .. }) => {}
                // Something else goes by that name here; the file may be in another place.
                Err(FileProblem::Folder) => found = found.or(Some((index, FileProblem::Folder))),
                Err(problem) => {
                    found = Some((index, problem));
                    break;
                }
            }
        }
        self.warn_undefined(line, &marks);
        let (shown, problem) = match found {
            Some((index, problem)) => (self.shown(&places[index]), problem),
            None => {
                let tried = places.iter().map(|place| cut(&self.shown(place))).collect();
                (path, FileProblem::Missing { tried, empty: marks.empty, folded: 0 })
            }
        };
        let location = line.location();
        let mut chain = location.chain();
        if chain.len() == 1 && !matches!(problem, FileProblem::Cycle | FileProblem::TooDeep) {
            chain.clear(); // it says no more than the location
        }
        if self.blocks.owner() != Owner::Others {
            self.reject(&location, "include-file", &shown, problem, chain);
        }
    }

    /// Warns of what a reader of the file would not expect of an include that worked: `places` are
    /// the one that had it and those after it.
    fn end_include(&mut self, line: Line<'_>, places: &[PathBuf], path: &str, marks: &Marks) {
        let [place, later @ ..] = places else { return };
        let files = Arc::clone(&self.options.files);
        let read = files.identity(place);
        for dir in &mut self.include_dirs {
            dir.is_used |= files.identity(&dir.path.join(path)) == read;
        }
        let is_other = |place: &&PathBuf| {
            let other = files.identity(place);
            other.is_some() && other != read && !files.is_folder(place)
        };
        let shown = cut(&self.shown(place));
        if let Some(other) = later.iter().find(is_other) {
            let other = cut(&self.shown(other));
            self.warn(line, WarningKind::IncludeElsewhere { read: shown.clone(), other });
        }
        for name in &marks.empty {
            let kind = WarningKind::IncludeEmpty { name: cut(name), read: shown.clone() };
            self.warn_by_name(line, name, kind);
        }
    }

    /// Adds a folder to the places where files are looked for from here on.
    pub(super) fn include_dir(&mut self, line: Line<'_>, rest: &str) {
        let Some((path, marks)) = self.include_path(line, "include-dir", rest) else { return };
        let files = Arc::clone(&self.options.files);
        let is_folder = |place: &PathBuf| files.is_folder(place);
        self.warn_undefined(line, &marks);
        let Some(folder) = self.places(line, &path).into_iter().find(is_folder) else {
            return self
                .warn(line, WarningKind::IncludeDirUnread { path: cut(&path), exists: false });
        };
        let identity = files.identity(&folder);
        if self.include_dirs.iter().any(|dir| files.identity(&dir.path) == identity) {
            return;
        }
        if self.include_dirs.len() >= MAX_INCLUDE_DIRS {
            return self.stop(line, "include-dir", "folders", MAX_INCLUDE_DIRS);
        }
        self.include_dirs.push(IncludeDir {
            shown: cut(&self.shown(&folder)),
            location: line.location(),
            // Contents of another program's group are not reported.
            is_used: self.blocks.owner() == Owner::Others,
            path: folder,
        });
    }

    /// Warns about the folders from which nothing was read.
    fn end_include_dirs(&mut self) {
        for dir in std::mem::take(&mut self.include_dirs) {
            let identity = self.options.files.identity(&dir.path);
            let is_read = identity.is_some_and(|identity| self.read_folders.contains(&identity));
            if !dir.is_used && !is_read {
                let kind = WarningKind::IncludeDirUnread { path: dir.shown, exists: true };
                self.report.warn(&dir.location, kind);
            }
        }
    }

    /// The path that an include names, expanded; `None` if it was reported.
    fn include_path(
        &mut self,
        line: Line<'_>,
        name: &'static str,
        rest: &str,
    ) -> Option<(String, Marks)> {
        let (values, mut marks) = self.expand_values(line, name, rest)?;
        let undefined = std::mem::take(&mut marks.undefined);
        let item = Item { name, values, location: line.location(), is_written: true, undefined };
        let path = match item.path() {
            Ok(path) if path.contains(is_marked) => {
                Err(ErrorKind::NotUtf8 { item: name.to_owned(), found: cut(path) })
            }
            path => path,
        };
        let filled = path.map(|path| {
            self.variables.app_name_used |= path.contains("%a");
            self.variables.root_used |= path.contains("%r");
            self.variables.percents().fill(path)
        });
        marks.undefined = item.undefined;
        match filled {
            Ok(path) => Some((path, marks)),
            Err(kind) => {
                self.warn_undefined(line, &marks);
                self.error(line, kind);
                None
            }
        }
    }

    /// Where an include is looked for: beside the file, in the folders that `include-dir` named,
    /// from the application's root.
    fn places(&self, line: Line<'_>, path: &str) -> Vec<PathBuf> {
        if Path::new(path).is_absolute() {
            return vec![PathBuf::from(path)];
        }
        let mut places = vec![line.source.folder.join(path)];
        let root = Path::new(&self.variables.root.value).join(path);
        let later = self.include_dirs.iter().map(|dir| dir.path.join(path)).chain([root]);
        for place in later {
            if !places.contains(&place) {
                places.push(place);
            }
        }
        places
    }

    /// Reads a file if it is there.
    fn include(&mut self, line: Line<'_>, path: &Path) -> Result<(), FileProblem> {
        let files = &self.options.files;
        let Some(identity) = files.identity(path) else {
            // A link to nothing is something.
            return Err(files.read(path, 0).map_or_else(|error| problem(&error), |_| missing()));
        };
        if files.is_folder(path) {
            return Err(FileProblem::Folder);
        }
        if self.chain.contains(&identity) {
            return Err(FileProblem::Cycle);
        }
        if self.chain.len() > MAX_INCLUDE_DEPTH {
            return Err(FileProblem::TooDeep);
        }
        let bytes = self.read_bytes(line, path)?;
        let shown = self.shown(path);
        let source = Source::new(&shown, path, Some(Arc::new(line.location())));
        self.read_source(&source, path, "include-file", bytes);
        Ok(())
    }

    /// The content of a file. A limit is reported here, and then the content is empty.
    fn read_bytes(&mut self, line: Line<'_>, path: &Path) -> Result<Vec<u8>, FileProblem> {
        let room = MAX_TOTAL_BYTES - self.bytes;
        let max = MAX_FILE_BYTES.min(room);
        let mut bytes = self.options.files.read(path, max + 1).map_err(|error| problem(&error))?;
        if bytes.len() > max {
            bytes.clear();
            match max {
                MAX_FILE_BYTES => self.stop(line, "file", "bytes in a file", max),
                _ => self.stop(line, "file", "bytes in all files", MAX_TOTAL_BYTES),
            }
        }
        self.bytes += bytes.len();
        let folder = path.parent().and_then(|folder| self.options.files.identity(folder));
        self.read_folders.extend(folder);
        Ok(bytes)
    }

    fn read_source(&mut self, source: &Source, path: &Path, item: &'static str, bytes: Vec<u8>) {
        match text(&bytes) {
            Ok(text) => {
                self.chain.push(self.options.files.identity(path).unwrap_or_default());
                self.read_text(source, &text);
                self.chain.pop();
            }
            Err((number, problem)) => {
                let location = source.at(number).location();
                let chain = source.included_from.as_ref().map_or(Vec::new(), |from| from.chain());
                self.reject(&location, item, &source.shown, problem, chain);
            }
        }
    }

    fn reject(
        &mut self,
        location: &Location,
        item: &'static str,
        path: &str,
        problem: FileProblem,
        chain: Vec<Location>,
    ) {
        self.report.error(location, ErrorKind::File { item, path: cut(path), problem, chain });
    }

    /// A path as people would name it: from the current folder if it lies in there, and without
    /// `x/..` if that is the same file.
    fn shown(&self, path: &Path) -> String {
        let files = &self.options.files;
        let clean = clean(path);
        let identity = files.identity(path);
        let is_same = identity.is_some() && files.identity(&clean) == identity;
        let path = if is_same { &clean } else { path };
        let here = files.absolute(Path::new(""));
        let inside = path.strip_prefix(here).ok().filter(|inside| *inside != Path::new(""));
        inside.unwrap_or(path).to_string_lossy().into_owned()
    }
}

/// The bytes as text, or why they are none and at which line. Those that are not UTF-8 are marked.
fn text(bytes: &[u8]) -> Result<Cow<'_, str>, (u32, FileProblem)> {
    if let Some(zero) = bytes.iter().position(|byte| *byte == 0) {
        let breaks = bytes[..zero].iter().filter(|byte| **byte == b'\n').count();
        return Err((u32::try_from(breaks + 1).unwrap_or(u32::MAX), FileProblem::NotText));
    }
    let bytes = bytes.strip_prefix(BYTE_ORDER_MARK.as_bytes()).unwrap_or(bytes);
    if is_xml(bytes) {
        return Err((1, FileProblem::Xml));
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        return Ok(Cow::Borrowed(text));
    }
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|byte| mark_byte(*byte)));
    }
    Ok(Cow::Owned(text))
}

fn is_xml(bytes: &[u8]) -> bool {
    bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'<')
}

fn problem(error: &io::Error) -> FileProblem {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => missing(),
        io::ErrorKind::IsADirectory => FileProblem::Folder,
        _ => FileProblem::Unreadable(error.to_string()),
    }
}

fn missing() -> FileProblem {
    FileProblem::Missing { tried: Vec::new(), empty: Vec::new(), folded: 0 }
}

const BYTE_ORDER_MARK: &str = "\u{feff}";
