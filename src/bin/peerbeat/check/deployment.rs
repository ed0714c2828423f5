//! The applications that `check` is asked about: files, and those in the folder of a deployment.
//!
//! In a folder an application is a `.conf` file that no other one includes and that says who it is
//! or where it listens. Its includes are found by reading it. An application in a folder `etc` runs
//! with the folder above as its working directory, as deployments lay it out.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use peerbeat::config::{Config, DiskFiles, Errors, Files};
use peerbeat::protocol::Escaped;

use super::name_of;
use crate::args::CheckOptions;

/// What is to be checked.
pub(super) struct Found {
    pub(super) applications: Vec<Application>,
    /// Other files of a deployment, and why they are not applications.
    pub(super) parts: Vec<(String, &'static str)>,
}

/// The file of an application.
pub(super) struct Application {
    pub(super) path: PathBuf,
    /// The folder that it runs in; `None` = the current one.
    working_dir: Option<PathBuf>,
}

impl Application {
    /// Reads its configuration.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub(super) fn load(&self, options: &CheckOptions) -> Result<Config, Errors> {
        self.load_from(options, Arc::new(DiskFiles))
    }

    fn load_from(&self, check: &CheckOptions, files: Arc<dyn Files>) -> Result<Config, Errors> {
        let mut options = check.config.options();
        options.environment.working_dir = self.working_dir.as_deref().map(name_of);
        options.files = files;
        Config::load(&self.path, &options)
    }
}

/// Finds the applications.
///
/// # Errors
/// In words, if a folder cannot be read or holds none, or several applications would have one name.
pub(super) fn applications(options: &CheckOptions) -> Result<Found, String> {
    let mut found = Found { applications: Vec::new(), parts: Vec::new() };
    for path in &options.files {
        match path.is_dir() {
            true => found.search(path, options)?,
            false => {
                let application = Application { path: path.clone(), working_dir: None };
                found.applications.push(application);
            }
        }
    }
    match (found.applications.len(), &options.config.app_name) {
        (count @ 2.., Some(_)) => Err(format!(
            "peerbeat check: found --app-name with {count} applications, allowed: with one\n\
             Try: peerbeat check --help"
        )),
        _ => Ok(found),
    }
}

impl Found {
    /// Adds the applications of a folder.
    fn search(&mut self, folder: &Path, options: &CheckOptions) -> Result<(), String> {
        let shown = name_of(folder);
        let shown = Escaped(&shown);
        let mut paths = Vec::new();
        list(folder, 0, &mut paths).map_err(|error| format!("peerbeat check: {shown}: {error}"))?;
        paths.sort();
        let mut included = HashSet::new();
        let mut are_parts = Vec::new();
        for path in &paths {
            let application = candidate(path);
            let files = Arc::new(Recorder::default());
            let read = application.load_from(options, files.clone());
            let own = DiskFiles.identity(path);
            let read_files = files.read.lock().unwrap_or_else(PoisonError::into_inner);
            included.extend(read_files.iter().filter(|file| Some(*file) != own.as_ref()).cloned());
            are_parts.push(read.is_ok_and(|config| config.is_part()));
        }
        let before = self.applications.len();
        for (path, is_part) in paths.iter().zip(are_parts) {
            let is_included = DiskFiles.identity(path).is_some_and(|own| included.contains(&own));
            match (is_included, is_part) {
                (true, _) => {}
                (false, true) => self.parts.push((name_of(path), NO_APPLICATION)),
                (false, false) => self.applications.push(candidate(path)),
            }
        }
        match self.applications.len() == before {
            true => Err(format!(
                "peerbeat check: {shown}: found no application, allowed: a folder \
                                 with .conf files that say who they are"
            )),
            false => Ok(()),
        }
    }
}

fn candidate(path: &Path) -> Application {
    let folder = path.parent().filter(|folder| folder.file_name().is_some_and(|n| n == "etc"));
    let working_dir = folder.and_then(Path::parent).map(Path::to_owned);
    Application { path: path.to_owned(), working_dir }
}

/// The `.conf` files in a folder and in those inside it; links to folders are not followed.
fn list(folder: &Path, depth: usize, paths: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let (path, kind) = (entry.path(), entry.file_type()?);
        let is_hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        if is_hidden {
            continue;
        }
        if kind.is_dir() && depth < DEPTH_MAX {
            list(&path, depth + 1, paths)?;
        } else if path.extension().is_some_and(|end| end == "conf") && path.is_file() {
            if paths.len() >= FILES_MAX {
                return Err(io::Error::other(format!("more than {FILES_MAX} .conf files")));
            }
            paths.push(path);
        }
    }
    Ok(())
}

/// The disk, and which of its files were read.
#[derive(Debug, Default)]
struct Recorder {
    read: Mutex<HashSet<String>>,
}

impl Files for Recorder {
    fn read(&self, path: &Path, max: usize) -> io::Result<Vec<u8>> {
        let content = DiskFiles.read(path, max)?;
        let identity = DiskFiles.identity(path);
        self.read.lock().unwrap_or_else(PoisonError::into_inner).extend(identity);
        Ok(content)
    }

    fn is_folder(&self, path: &Path) -> bool {
        DiskFiles.is_folder(path)
    }

    fn absolute(&self, path: &Path) -> PathBuf {
        DiskFiles.absolute(path)
    }

    fn identity(&self, path: &Path) -> Option<String> {
        DiskFiles.identity(path)
    }
}

const NO_APPLICATION: &str = "nothing includes it, and it says neither who it is nor where it \
                              listens";
const DEPTH_MAX: usize = 16;
const FILES_MAX: usize = 4096;
