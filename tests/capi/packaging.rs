//! How the library reaches a program's build: one object beside another Rust library, pkg-config.

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::skip::say_skipped;

use super::tools::{LIBRARIES, ROOT, archive, cc, must, run, scratch, tool};

/// Another Rust library, with names that would clash if ours were visible, and a panic of its own.
const OTHER: &str = r#"
    #[unsafe(no_mangle)]
    pub extern "C" fn other_works() -> i32 {
        let threads = std::thread::spawn(|| std::panic::catch_unwind(|| panic!("as if")).is_err());
        threads.join().unwrap() as i32
    }
"#;

const PROGRAM: &str = r#"
    #include "must.h"
    int other_works(void);
    int main(void) {
        char buf[8];
        size_t len;
        peerbeat_link *near, *far;
        peerbeat_options options = options_of(1000, 1000);
        link_pair(&near, &far, &options);
        IS(peerbeat_link_send(near, "tick", 4), PEERBEAT_OK);
        IS(peerbeat_link_recv(far, buf, sizeof buf, &len, 10000), PEERBEAT_OK);
        MUST(len == 4 && other_works() == 1);
        IS(peerbeat_link_free(near), PEERBEAT_OK);
        IS(peerbeat_link_free(far), PEERBEAT_OK);
        return 0;
    }
"#;

#[test]
fn the_one_object_archive_links_beside_another_rust_library() {
    let script = Path::new(ROOT).join(".ci/one-object");
    if !script.exists() || !cfg!(target_os = "linux") {
        // A packaged crate leaves the script out.
        say_skipped("the one-object archive", "it needs Linux and .ci/one-object");
        return;
    }
    let tools = [cc(), tool("OBJCOPY", "objcopy", "the one-object archive")];
    let [Some(cc), Some(_)] = tools else { return };
    let folder = scratch("one-object");
    fs::create_dir_all(&folder).unwrap();
    let ours = folder.join("libpeerbeat.a");
    must(Command::new(&script).arg(archive()).arg(&ours));

    let (source, other) = (folder.join("other.rs"), folder.join("libother.a"));
    fs::write(&source, OTHER).unwrap();
    let rustc = env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let mut command = Command::new(rustc);
    command.args(["--edition=2024", "--crate-type=staticlib", "--crate-name=other", "-o"]);
    must(command.arg(&other).arg(&source));

    let (source, program) = (folder.join("both.c"), folder.join("both"));
    fs::write(&source, PROGRAM).unwrap();
    let mut command = cc.command();
    command.arg("-std=gnu11").arg("-I").arg(Path::new(ROOT).join("src/ffi"));
    command.arg("-I").arg(Path::new(ROOT).join("tests/c")).arg(&source);
    command.args([&ours, &other]).args(LIBRARIES).arg("-o").arg(&program);
    must(&mut command);
    run(&program, &[], Duration::from_secs(20));

    let listed = must(Command::new("nm").args(["-g", "--defined-only"]).arg(&ours));
    let global = listed.lines().filter_map(|line| line.split_whitespace().nth(2));
    let foreign: Vec<_> = global.filter(|name| !name.starts_with("peerbeat_")).collect();
    assert_eq!(foreign, Vec::<&str>::new());
}

#[test]
#[cfg(target_os = "linux")]
fn a_plugin_is_loaded_and_closed_without_a_trace() {
    let Some(cc) = cc() else { return };
    let (plugin, host) = (scratch("plugin.so"), scratch("plugin_host"));
    let sources = Path::new(ROOT).join("tests/c");
    let mut command = cc.command();
    command.args(["-std=gnu11", "-shared", "-fPIC", "-fvisibility=hidden", "-Wl,-S"]);
    command.args(["-Wl,--gc-sections", "-Wl,--exclude-libs,ALL", "-I"]);
    command.arg(Path::new(ROOT).join("src/ffi")).arg(sources.join("plugin.c")).arg(archive());
    must(command.args(LIBRARIES).arg("-o").arg(&plugin));
    let mut command = cc.command();
    command.args(["-std=gnu11", "-Wall", "-Wextra", "-Werror"]).arg(sources.join("plugin_host.c"));
    must(command.args(["-lpthread", "-ldl", "-o"]).arg(&host));
    run(&host, &[plugin.to_str().unwrap()], Duration::from_secs(60));
}

#[test]
fn pkg_config_finds_what_a_program_needs() {
    let template = fs::read_to_string(Path::new(ROOT).join("src/ffi/peerbeat.pc.in")).unwrap();
    let filled = template
        .replace("@PREFIX@", "/opt/peerbeat")
        .replace("@VERSION@", env!("CARGO_PKG_VERSION"));
    assert!(!filled.contains('@'), "{filled}");
    let Some(pkg_config) = tool("PKG_CONFIG", "pkg-config", "peerbeat.pc") else { return };
    let folder = scratch("pkg-config");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("peerbeat.pc"), filled).unwrap();
    let ask = |what: &str| {
        let mut command = pkg_config.command();
        must(command.env("PKG_CONFIG_PATH", &folder).args([what, "peerbeat"])).trim().to_owned()
    };
    assert_eq!(ask("--modversion"), env!("CARGO_PKG_VERSION"));
    assert_eq!(ask("--cflags"), "-I/opt/peerbeat/include");
    let libraries = format!("-L/opt/peerbeat/lib -lpeerbeat {}", LIBRARIES.join(" "));
    assert_eq!(ask("--libs"), format!("{libraries} -Wl,--gc-sections"));
}

#[test]
fn cmake_finds_what_a_program_needs() {
    let tools = [cc(), tool("CMAKE", "cmake", "peerbeatConfig.cmake")];
    let [Some(_), Some(cmake)] = tools else { return };
    let folder = scratch("cmake");
    fs::create_dir_all(&folder).unwrap();
    let sources = Path::new(ROOT).join("tests/c");
    let text = format!(
        "cmake_minimum_required(VERSION 3.10)\nproject(pair C)\n\
         find_package(peerbeat CONFIG REQUIRED PATHS \"{}\" NO_DEFAULT_PATH)\n\
         add_executable(pair \"{}\")\n\
         target_link_libraries(pair PRIVATE peerbeat::peerbeat)\n",
        Path::new(ROOT).join("src/ffi").display(),
        sources.join("pair.c").display(),
    );
    fs::write(folder.join("CMakeLists.txt"), text).unwrap();
    let build = folder.join("build");
    // One that was made in another checkout is refused.
    let _fresh = fs::remove_dir_all(&build);
    let mut command = cmake.command();
    command.arg("-S").arg(&folder).arg("-B").arg(&build);
    must(command.arg(format!("-Dpeerbeat_LIBRARY={}", archive().display())));
    must(cmake.command().arg("--build").arg(&build));
    let printed = run(&build.join("pair"), &[], Duration::from_secs(60));
    assert_eq!(printed.matches("down, heartbeat-time").count(), 2, "{printed}");
}
