//! What a configuration is read with: names, variables, the environment, and the limits.
//!
//! Everything a file can query goes through here, so that a test or a fuzzer can take the place of
//! the system. A value that is not given is read from the system when a file first needs it.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use super::files::{DiskFiles, Files};

/// What a configuration is read with.
///
/// ```
/// use peerbeat::config::{Config, ConfigOptions};
///
/// let options = ConfigOptions::default().app_name("pricing".to_owned());
/// let config = Config::parse("datasrc-name %a-1", &options)?;
/// assert_eq!(config.name(), "pricing-1");
/// # Ok::<(), peerbeat::config::Errors>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ConfigOptions {
    /// The application's name, `%a` and `${APP_NAME}`; it wins over `application-name`. Default:
    /// what the files say, else the stem of the file that is loaded, else `peerbeat`.
    pub app_name: Option<String>,
    /// The application's root folder, `%r` and the last place where includes are looked for; it
    /// wins over `application-root`. Default: what the files say, else the working directory.
    pub app_root: Option<String>,
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

impl ConfigOptions {
    setters! {
        app_name: into [Option<String>],
        app_root: into [Option<String>],
        defines: into [Vec<(String, String)>],
        environment: [Environment],
        files: [Arc<dyn Files>],
    }
}

impl Default for ConfigOptions {
    fn default() -> ConfigOptions {
        ConfigOptions {
            app_name: None,
            app_root: None,
            defines: Vec::new(),
            environment: Environment::default(),
            files: Arc::new(DiskFiles),
        }
    }
}

/// What files ask of the system. `None` lets the system answer.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Environment {
    /// The environment variables, `${ENV:NAME}`. Default: those of this process.
    pub variables: Option<BTreeMap<String, String>>,
    /// `%h` and `${HOST_NAME}`.
    ///
    /// Default: `/proc/sys/kernel/hostname`, else `/etc/hostname`, else the environment variable
    /// `HOSTNAME` or `COMPUTERNAME`, else `localhost`. (The standard library cannot ask.)
    pub host_name: Option<String>,
    /// `%u` and `${HOME_DIR}`. Default: the environment variable `HOME` or `USERPROFILE`;
    /// undefined without them.
    pub home_dir: Option<String>,
    /// The working directory as far as the application's root is concerned. Default: the current
    /// folder.
    pub working_dir: Option<String>,
    /// What `os NAME` in a condition is compared with. Default: [`Os::here`].
    pub os: Option<Os>,
}

impl Environment {
    setters! {
        variables: into [Option<BTreeMap<String, String>>],
        host_name: into [Option<String>],
        home_dir: into [Option<String>],
        working_dir: into [Option<String>],
        os: into [Option<Os>],
    }

    pub(super) fn variable(&self, name: &str) -> Option<String> {
        match &self.variables {
            Some(variables) => variables.get(name).cloned(),
            // `var_os` panics on some systems for names that cannot be.
            None if name.is_empty() || name.contains(['=', '\0']) => None,
            None => std::env::var_os(name).map(|value| value.to_string_lossy().into_owned()),
        }
    }

    pub(super) fn resolve_host_name(&self) -> &str {
        match &self.host_name {
            Some(name) => name,
            None => SYSTEM_HOST_NAME.get_or_init(system_host_name),
        }
    }

    pub(super) fn resolve_home_dir(&self) -> Option<String> {
        let given = self.home_dir.clone();
        given.or_else(|| self.variable("HOME")).or_else(|| self.variable("USERPROFILE"))
    }

    pub(super) fn resolve_os(&self) -> Os {
        self.os.unwrap_or(Os::here())
    }
}

/// An operating system, as conditions name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Os {
    /// `linux`
    Linux,
    /// `win32`: Windows, of any width.
    Win32,
    /// `darwin`: macOS.
    Darwin,
    /// Another one, for which no condition holds.
    Other,
}

impl Os {
    /// The system that this program runs on.
    pub fn here() -> Os {
        match std::env::consts::OS {
            "linux" => Os::Linux,
            "windows" => Os::Win32,
            "macos" => Os::Darwin,
            _ => Os::Other,
        }
    }

    /// The system of that name; `None` if files know no such name.
    pub fn from_name(name: &str) -> Option<Os> {
        [Os::Linux, Os::Win32, Os::Darwin].into_iter().find(|os| os.as_str() == name)
    }

    /// Its name in conditions; `other` for one that has none.
    pub fn as_str(self) -> &'static str {
        match self {
            Os::Linux => "linux",
            Os::Win32 => "win32",
            Os::Darwin => "darwin",
            Os::Other => "other",
        }
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

pub mod limits {
    //! The limits of a configuration, each with the reason it exists.
    //!
    //! A file may be wrong, huge or hostile; these numbers are what keeps reading it short and
    //! small. Passing one is an error that names it. Nothing here can be set: the limits lie far
    //! above any real deployment.

    /// Bytes of one file. A folder of logs named by mistake must not be read to its end.
    pub const MAX_FILE_BYTES: usize = 16 << 20;

    /// Bytes of all files of one configuration together, a file counted each time it is included.
    pub const MAX_TOTAL_BYTES: usize = 64 << 20;

    /// Includes of one configuration, those that find nothing too. Without it a chain of files
    /// that include the next one twice would double at every step.
    pub const MAX_FILES: usize = 4096;

    /// Folders that `include-dir` names.
    pub const MAX_INCLUDE_DIRS: usize = 64;

    /// Includes inside includes.
    pub const MAX_INCLUDE_DEPTH: usize = 32;

    /// Groups and `if`s inside each other, all files of a chain together.
    pub const MAX_NESTING: usize = 256;

    /// Bytes of one line, before and after its variables are expanded.
    pub const MAX_LINE_BYTES: usize = 64 << 10;

    /// Bytes that variables may insert in one configuration, so that values built from values
    /// cannot fill the memory.
    pub const MAX_EXPANSION_BYTES: usize = 64 << 20;

    /// Variables inside the names of variables: `${A${B}}` is two.
    pub const MAX_VARIABLE_DEPTH: usize = 32;

    /// Variables that are defined at one time.
    pub const MAX_VARIABLES: usize = 1 << 16;

    /// Peers of one configuration, as upstream.
    pub const MAX_PEERS: usize = 1023;

    /// Addresses of one peer, and interfaces to listen on.
    pub const MAX_ADDRESSES: usize = 64;

    /// Errors that are kept, and warnings; the rest is counted.
    pub const MAX_REPORTED: usize = 1000;

    /// Bytes of a name, a label or a host, as the HELLO frame carries them.
    pub const MAX_NAME_BYTES: usize = 255;
}
