//! The tree that the rules read: the files that git tracks, wherever the checkout is.

use std::env;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use crate::skip::say_skipped;

/// Where the package is: asked at run time, because checkouts may share a target folder.
pub(super) fn root() -> PathBuf {
    env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), Into::into)
}

/// The tracked files that exist, as paths from the package's root with forward slashes; `None`,
/// reported as skipped, if this is not a checkout: an unpacked archive, a published package.
pub(super) fn tracked() -> Option<&'static [String]> {
    static TRACKED: OnceLock<Option<Vec<String>>> = OnceLock::new();
    let list = || match list() {
        Ok(files) => Some(files),
        Err(why) => {
            say_skipped("the house rules, which look at the files that git tracks", &why);
            None
        }
    };
    TRACKED.get_or_init(list).as_deref()
}

fn list() -> Result<Vec<String>, String> {
    let mut git = Command::new("git");
    git.arg("-C").arg(root()).args(["ls-files", "-z"]);
    // Set in a hook, and about another folder.
    for variable in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX"] {
        git.env_remove(variable);
    }
    let output = git.output().map_err(|error| format!("git does not run: {error}"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let files = text.split('\0').filter(|path| !path.is_empty() && root().join(path).is_file());
    let files: Vec<String> = files.map(str::to_owned).collect();
    match files.iter().any(|path| path == "src/lib.rs") {
        true => Ok(files),
        false => Err("this folder is not tracked by git".to_owned()),
    }
}
