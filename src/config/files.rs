//! Where files come from: the disk, or memory for tests and fuzzing.
//!
//! Reading is bounded by the caller, and only regular files are read: a named pipe would hang.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

/// A source of files. Paths it is asked to read are absolute.
pub trait Files: fmt::Debug + Send + Sync {
    /// The content of a regular file, but at most `max` bytes of it.
    ///
    /// # Errors
    ///
    /// `NotFound` where nothing is there, `IsADirectory` where a folder is, others as they come.
    fn read(&self, path: &Path, max: usize) -> io::Result<Vec<u8>>;

    /// The regular files right inside a folder, in any order.
    ///
    /// # Errors
    ///
    /// `NotFound` where nothing is there, `NotADirectory` where no folder is, others as they come.
    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>>;

    /// The path from the root. A relative one begins at the current folder, as the empty one does.
    fn absolute(&self, path: &Path) -> PathBuf;

    /// One path for all ways to name a file, by which cycles of includes are found.
    fn identity(&self, path: &Path) -> PathBuf {
        clean(path)
    }
}

/// The files of this computer.
#[derive(Clone, Copy, Debug, Default)]
pub struct DiskFiles;

impl Files for DiskFiles {
    fn read(&self, path: &Path, max: usize) -> io::Result<Vec<u8>> {
        let kind = fs::metadata(path)?;
        if kind.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        if !kind.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        let mut content = Vec::new();
        fs::File::open(path)?.take(max as u64).read_to_end(&mut content)?;
        Ok(content)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_file() {
                files.push(path);
            }
        }
        Ok(files)
    }

    fn absolute(&self, path: &Path) -> PathBuf {
        match std::env::current_dir() {
            Ok(folder) => folder.join(path),
            Err(_) => path.to_owned(),
        }
    }

    fn identity(&self, path: &Path) -> PathBuf {
        fs::canonicalize(path).unwrap_or_else(|_| clean(path))
    }
}

/// Files held in memory. The current folder is `/`.
///
/// ```
/// use peerbeat::config::{Config, MemoryFiles, Options};
/// use std::sync::Arc;
///
/// let files = MemoryFiles::new([("/etc/base.conf", "define LEG 2")]);
/// let options = Options { files: Arc::new(files), ..Options::default() };
/// let config = Config::parse("include-file etc/base.conf\ndatasrc-name a${LEG}", &options)?;
/// assert_eq!(config.name(), "a2");
/// # Ok::<(), peerbeat::config::Errors>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct MemoryFiles {
    files: BTreeMap<PathBuf, Vec<u8>>,
}

impl MemoryFiles {
    /// Files by path, with their content. Relative paths begin at `/`.
    pub fn new<P, C>(files: impl IntoIterator<Item = (P, C)>) -> MemoryFiles
    where
        P: AsRef<Path>,
        C: Into<Vec<u8>>,
    {
        let place = |(path, content): (P, C)| (clean(&rooted(path.as_ref())), content.into());
        MemoryFiles { files: files.into_iter().map(place).collect() }
    }

    fn is_folder(&self, path: &Path) -> bool {
        self.files.keys().any(|file| file != path && file.starts_with(path))
    }
}

impl Files for MemoryFiles {
    fn read(&self, path: &Path, max: usize) -> io::Result<Vec<u8>> {
        let path = clean(path);
        match self.files.get(&path) {
            Some(content) => Ok(content[..content.len().min(max)].to_vec()),
            None if self.is_folder(&path) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        let folder = clean(folder);
        if self.files.contains_key(&folder) {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        if !self.is_folder(&folder) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let inside = |path: &&PathBuf| path.parent() == Some(&folder);
        Ok(self.files.keys().filter(inside).cloned().collect())
    }

    fn absolute(&self, path: &Path) -> PathBuf {
        rooted(path)
    }
}

fn rooted(path: &Path) -> PathBuf {
    Path::new("/").join(path)
}

/// A path without `.`, and without `x/..`: how people would write it.
///
/// Only for showing, and for files that have no links: on disk `x/..` is elsewhere where `x` is a
/// link to a folder.
pub(super) fn clean(path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => match clean.components().next_back() {
                Some(Component::Normal(_)) => {
                    clean.pop();
                }
                Some(Component::RootDir | Component::Prefix(_)) => {}
                _ => clean.push(part),
            },
            part => clean.push(part),
        }
    }
    clean
}
