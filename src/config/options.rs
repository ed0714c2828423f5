//! What a configuration is read with: the application's name, variables, and the surroundings.
//!
//! Everything a file can ask of the system goes through here, so that a test or a fuzzer can
//! answer for the system. What is not given is asked of the system when a file first needs it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use super::files::{DiskFiles, Files};

/// What a configuration is read with.
#[derive(Clone, Debug)]
pub struct Options {
    /// The application's name: `%a` and `${APP_NAME}`. Default `peerbeat`.
    pub app_name: String,
    /// Variables and their values, defined before the first line.
    ///
    /// They win: a `define` or `undefine` of one of these names in a file changes nothing, so that
    /// one file can be tried with other values. Of two with one name the last holds.
    pub defines: Vec<(String, String)>,
    /// What files ask of the system. Default: the system answers.
    pub environment: Environment,
    /// Where files come from. Default: [`DiskFiles`].
    pub files: Arc<dyn Files>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            app_name: "peerbeat".to_owned(),
            defines: Vec::new(),
            environment: Environment::default(),
            files: Arc::new(DiskFiles),
        }
    }
}

/// What files ask of the system. `None` lets the system answer.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// The environment variables, `${ENV:NAME}`. Default: those of this process.
    pub variables: Option<BTreeMap<String, String>>,
    /// `%h` and `${HOST_NAME}`.
    ///
    /// Default: `/proc/sys/kernel/hostname`, else `/etc/hostname`, else the environment variable
    /// `HOSTNAME` or `COMPUTERNAME`, else `localhost`. (The standard library cannot ask.)
    pub host_name: Option<String>,
    /// `${HOME_DIR}`. Default: the environment variable `HOME` or `USERPROFILE`; undefined
    /// without them.
    pub home_dir: Option<String>,
    /// `%r`, the application's root folder. Default: the environment variable `PEERBEAT_ROOT`,
    /// else the current folder.
    pub root: Option<String>,
}

impl Environment {
    pub(super) fn variable(&self, name: &str) -> Option<String> {
        match &self.variables {
            Some(variables) => variables.get(name).cloned(),
            // `var_os` panics on some systems for names that cannot be.
            None if name.is_empty() || name.contains(['=', '\0']) => None,
            None => std::env::var_os(name).map(|value| value.to_string_lossy().into_owned()),
        }
    }

    pub(super) fn host_name(&self) -> &str {
        match &self.host_name {
            Some(name) => name,
            None => SYSTEM_HOST_NAME.get_or_init(system_host_name),
        }
    }

    pub(super) fn home_dir(&self) -> Option<String> {
        let given = self.home_dir.clone();
        given.or_else(|| self.variable("HOME")).or_else(|| self.variable("USERPROFILE"))
    }

    pub(super) fn root(&self, files: &dyn Files) -> String {
        let given = self.root.clone().or_else(|| self.variable("PEERBEAT_ROOT"));
        given.unwrap_or_else(|| files.absolute(Path::new("")).to_string_lossy().into_owned())
    }
}

static SYSTEM_HOST_NAME: OnceLock<String> = OnceLock::new();

fn system_host_name() -> String {
    let from_file = |path| std::fs::read_to_string(path).ok();
    let from_variable = |name| std::env::var(name).ok();
    from_file("/proc/sys/kernel/hostname")
        .or_else(|| from_file("/etc/hostname"))
        .or_else(|| from_variable("HOSTNAME"))
        .or_else(|| from_variable("COMPUTERNAME"))
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "localhost".to_owned())
}
