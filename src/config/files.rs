//! Where files come from: the disk, or memory for tests and fuzzing.
//!
//! Reading is bounded by the caller, and only regular files are read: a named pipe would hang.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

/// A source of files. Paths it is asked for are absolute, but may hold `..`.
pub trait Files: fmt::Debug + Send + Sync {
    /// The content of a regular file, but at most `max` bytes of it.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] or [`io::ErrorKind::NotADirectory`] if nothing is there, which
    /// is [`FileProblem::Missing`](super::FileProblem::Missing); [`io::ErrorKind::IsADirectory`] if
    /// a folder is, [`FileProblem::Folder`](super::FileProblem::Folder). All others are
    /// [`FileProblem::Unreadable`](super::FileProblem::Unreadable) with the error's text, such as
    /// [`io::ErrorKind::InvalidInput`] of [`DiskFiles`] for anything but a regular file.
    fn read(&self, path: &Path, max: usize) -> io::Result<Vec<u8>>;

    /// Returns true if the path is a folder.
    fn is_folder(&self, path: &Path) -> bool;

    /// The path from the root. A relative one begins at the current folder, as the empty one does.
    fn absolute(&self, path: &Path) -> PathBuf;

    /// One text for all ways to name a file or folder, by which cycles of includes are found;
    /// `None` if nothing is there.
    fn identity(&self, path: &Path) -> Option<String>;
}

/// The files of this computer.
#[derive(Clone, Copy, Debug, Default)]
pub struct DiskFiles;

impl Files for DiskFiles {
    fn read(&self, path: &Path, max: usize) -> io::Result<Vec<u8>> {
        let kind = match fs::metadata(path) {
            Ok(kind) => kind,
            Err(error) if error.kind() == io::ErrorKind::NotFound && path.is_symlink() => {
                return Err(io::Error::other("a link to nothing"));
            }
            Err(error) => return Err(error),
        };
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

    fn is_folder(&self, path: &Path) -> bool {
        path.is_dir()
    }

    fn absolute(&self, path: &Path) -> PathBuf {
        match std::env::current_dir() {
            Ok(folder) if path.as_os_str().is_empty() => folder,
            Ok(folder) => folder.join(path),
            Err(_) => path.to_owned(),
        }
    }

    /// By device and inode, so that neither links nor hard links hide a cycle.
    #[cfg(unix)]
    fn identity(&self, path: &Path) -> Option<String> {
        use std::os::unix::fs::MetadataExt;
        let found = fs::metadata(path).ok()?;
        Some(format!("{}:{}", found.dev(), found.ino()))
    }

    #[cfg(not(unix))]
    fn identity(&self, path: &Path) -> Option<String> {
        Some(fs::canonicalize(path).ok()?.to_string_lossy().into_owned())
    }
}

/// Files held in memory. The current folder is `/`.
///
/// ```
/// use peerbeat::config::{Config, ConfigOptions, MemoryFiles};
/// use std::sync::Arc;
///
/// let files = MemoryFiles::new([("/etc/base.conf", "define LEG 2")]);
/// let options = ConfigOptions::default().files(Arc::new(files));
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
        let put = |(path, content): (P, C)| (clean(&rooted(path.as_ref())), content.into());
        MemoryFiles { files: files.into_iter().map(put).collect() }
    }
}

impl Files for MemoryFiles {
    fn read(&self, path: &Path, max: usize) -> io::Result<Vec<u8>> {
        match self.files.get(&clean(path)) {
            Some(content) => Ok(content[..content.len().min(max)].to_vec()),
            None if self.is_folder(path) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn is_folder(&self, path: &Path) -> bool {
        let path = clean(path);
        self.files.keys().any(|file| *file != path && file.starts_with(&path))
    }

    fn absolute(&self, path: &Path) -> PathBuf {
        rooted(path)
    }

    fn identity(&self, path: &Path) -> Option<String> {
        let path = clean(path);
        let is_there = self.files.contains_key(&path) || self.is_folder(&path);
        is_there.then(|| path.to_string_lossy().into_owned())
    }
}

fn rooted(path: &Path) -> PathBuf {
    Path::new("/").join(path)
}

/// A path without `.`, and without `x/..`: how people would write it.
///
/// Only for files in memory, which have no links, and to show a path that was seen to mean the same
/// file: on disk `x/..` is elsewhere if `x` is a link to a folder.
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
