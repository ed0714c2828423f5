//! Files that include files, paths that are not files, and limits on what a file may cost.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Instant;

use peerbeat::config::{ErrorKind, limits};

use super::*;

/// A fresh folder for files on disk.
fn folder(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("config").join(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("a folder");
    folder
}

#[track_caller]
fn load_errors(path: &str, options: &ConfigOptions) -> String {
    Config::load(path, options).map(|config| summary(&config)).expect_err("bad").to_string()
}

#[test]
#[cfg_attr(windows, ignore = "paths are shown with backslashes there")]
fn includes_are_looked_for_beside_the_file_then_in_folders_then_from_the_root() {
    let options = with_files([
        ("/a/main.conf", "include-file b/one.conf\ndatasrc-port ${P}"),
        ("/a/b/one.conf", "include-file two.conf\ninclude-file ${ccd}/../../three.conf"),
        ("/a/b/two.conf", "datasrc-id 2\ndefine P 3\ndatasrc-local-label ${ccd}"),
        ("/three.conf", "include-dir /a/d\ninclude-file 10.conf\ninclude-file root/20.conf"),
        ("/opt/app/root/20.conf", "datasrc-name ${N}"),
        ("/a/d/10.conf", "define N ten"),
        ("/a/d/30.conf", "nonsense \"\nend-peer"),
    ]);
    let config = Config::load("a/main.conf", &options).expect("good");
    assert_eq!(summary(&config), "ten label /a/b id 2 port 3");
}

#[test]
fn what_is_not_expected_of_an_include_that_works_is_reported() {
    let options = with_files([
        (
            "/etc/main.conf",
            "datasrc-name me\ninclude-dir parts\ninclude-dir none\ninclude-dir unused\n\
             include-file both.conf\ninclude-file ${NONE}one.conf\ninclude-file ${ENV:NO}two.conf",
        ),
        ("/etc/both.conf", "datasrc-id 1"),
        ("/etc/parts/both.conf", "datasrc-id 2"),
        ("/etc/unused/x.conf", "datasrc-id 3"),
        ("/etc/one.conf", ""),
        ("/opt/app/two.conf", "application-root /elsewhere"),
    ]);
    let environment = options.environment.clone().working_dir("/opt/app".to_owned());
    let options = options.app_root(None).environment(environment);
    let config = Config::load("/etc/main.conf", &options).expect("good");
    assert_eq!(config.id(), 1);
    assert_eq!(
        warnings(&config).replace('\\', "/"),
        "etc/main.conf:3: include-dir: nothing in \"none\" was read (no folder); it only adds a \
         place to look in, name files with include-file\n\
         etc/main.conf:5: include-file: read \"etc/both.conf\", and not \"etc/parts/both.conf\"; \
         name the one that is meant\n\
         etc/main.conf:6: include-file: read \"etc/one.conf\", because ${NONE} in its path is \
         empty; set it, or leave it out\n\
         opt/app/two.conf:1: application-root: was needed before; move it to the beginning\n\
         etc/main.conf:7: include-file: read \"opt/app/two.conf\", because ${ENV:NO} in its path \
         is empty; set it, or leave it out\n\
         etc/main.conf:2: include-dir: nothing in \"etc/parts\" was read (no include-file found a \
         file in it); it only adds a place to look in, name files with include-file\n\
         etc/main.conf:4: include-dir: nothing in \"etc/unused\" was read (no include-file found \
         a file in it); it only adds a place to look in, name files with include-file\n"
            .replace("etc/main.conf:", "/etc/main.conf:")
    );
}

#[test]
fn errors_bring_the_warnings_beside_them() {
    let errors = Config::parse("ADD-PEER\nend-peer\ndatasrc-port x", &options()).expect_err("bad");
    let warnings: Vec<String> = errors.warnings().iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        ["<text>:1: ADD-PEER: skipped with the lines to its end; did you mean add-peer?"]
    );
    assert_eq!(errors.len(), 1);
}

#[test]
fn bytes_that_are_not_utf_8_stay_with_their_value() {
    let file = b"# \xfc\nlog-dir \xe9\ndefine A \xe9\ndefine B ${A}\nadd-peer\nport 1\n\
                 remote-name ${B}x\nend-peer\ninclude-file ${A}\nadd-x\n\xe9 \xe9\nend-x\n"
        .to_vec();
    let files = MemoryFiles::new([("/a.conf", file)]);
    let options = options().files(Arc::new(files));
    let errors = Config::load("/a.conf", &options).expect_err("bad");
    assert_eq!(
        errors.to_string(),
        "/a.conf:7: remote-name: found \"éx\" with bytes that are not UTF-8, allowed: UTF-8 text\n\
         /a.conf:9: include-file: found \"é\" with bytes that are not UTF-8, allowed: UTF-8 text"
    );
    let warnings: Vec<String> = errors.warnings().iter().map(ToString::to_string).collect();
    let expected = "/a.conf:1: file: not UTF-8, read as Latin-1; save the file as UTF-8";
    assert_eq!(warnings, [expected], "one a file");
}

#[test]
#[cfg_attr(windows, ignore = "paths are shown with backslashes there")]
fn a_file_may_be_included_twice_but_not_into_itself() {
    let options = with_files([
        ("/main.conf", "define LEG 1\ninclude-file leg.conf\ndefine LEG 2\ninclude-file leg.conf"),
        ("/leg.conf", "add-peer\nport 1\nremote-name p${LEG}\nend-peer"),
        ("/x.conf", "\ninclude-file y/y.conf"),
        ("/y/y.conf", "\n\ninclude-file ${ccd}/../x.conf\ndatasrc-port x"),
    ]);
    let config = Config::load("/main.conf", &options).expect("good");
    let from = |peer: &PeerConfig| peer.origin().included_from().map(ToString::to_string);
    let from: Vec<_> = config.peers().iter().map(from).collect();
    assert_eq!(from, [Some("/main.conf:2".to_owned()), Some("/main.conf:4".to_owned())]);
    assert_eq!(
        load_errors("/x.conf", &options),
        "y/y.conf:3: include-file: found \"x.conf\", which is being read already, \
         allowed: a file outside this chain (chain: /x.conf:2 > y/y.conf:3 > x.conf)\n\
         y/y.conf:4: datasrc-port: found \"x\", allowed: a port from 1 to 65535, 0 or auto"
    );
}

#[test]
fn thirty_two_includes_inside_each_other_are_read_and_one_more_is_not() {
    let mut files: Vec<(String, String)> =
        (0..33).map(|n| (format!("/{n}.conf"), format!("include-file {}.conf", n + 1))).collect();
    files.push(("/33.conf".to_owned(), "datasrc-id 33".to_owned()));
    let options = options().files(Arc::new(MemoryFiles::new(files)));
    assert_eq!(Config::load("1.conf", &options).expect("good").id(), 33);
    let chain: String = (0..33).map(|n| format!("{n}.conf:1 > ")).collect();
    assert_eq!(
        load_errors("0.conf", &options),
        format!(
            "32.conf:1: include-file: found \"33.conf\", a deeper include than 32, \
             allowed: at most 32 (chain: {chain}33.conf)"
        )
    );
}

#[test]
fn what_a_file_opens_it_closes() {
    let options = with_files([
        ("/main.conf", "add-peer\nport 1\ninclude-file in.conf\nend-peer"),
        ("/in.conf", "remote-name inside\nend-peer\nelse\nif x == x\nremote-id 7"),
    ]);
    assert_eq!(
        load_errors("main.conf", &options),
        "in.conf:2: end-peer: found with nothing open in this file, allowed: only after add-peer\n\
         in.conf:3: else: found with nothing open in this file, allowed: only after if\n\
         in.conf:4: if: found the end of the file, allowed: endif before it"
    );
}

// lesson 64
#[test]
#[cfg_attr(windows, ignore = "paths are shown with backslashes there")]
fn files_that_are_none_are_errors_and_the_rest_is_still_read() {
    let long = "\n".repeat(limits::MAX_FILE_BYTES + 1);
    let files: [(&str, &[u8]); 6] = [
        ("/binary.conf", b"datasrc-id 1\ndatasrc-name \xff\xfe"),
        ("/zero.conf", b"datasrc-id 1\n\ndatasrc-id \0"),
        ("/d/x.conf", b"datasrc-port x"),
        ("/d/y.conf", b"\n\xff\n<"),
        (
            "/main.conf",
            b"include-file d\ninclude-dir zero.conf\ninclude-file none\ninclude-dir d/none\n\
              include-file d/x.conf\ninclude-file d/y.conf\ninclude-file binary.conf\n\
              include-file zero.conf\ninclude-file long.conf\ndatasrc-port after-a-limit",
        ),
        ("/long.conf", long.as_bytes()),
    ];
    let options = options().files(Arc::new(MemoryFiles::new(files)));
    assert_eq!(
        load_errors("main.conf", &options),
        "main.conf:1: include-file: found \"d\", which is a folder, allowed: a file\n\
         main.conf:3: include-file: found \"none\", which does not exist as none or opt/app/none, \
         allowed: a file that exists\n\
         d/x.conf:1: datasrc-port: found \"x\", allowed: a port from 1 to 65535, 0 or auto\n\
         binary.conf:2: datasrc-name: found \"\u{ff}\u{fe}\" with bytes that are not UTF-8, \
         allowed: UTF-8 text\n\
         zero.conf:3: include-file: found \"zero.conf\", which holds a zero byte at this line, \
         allowed: text (chain: main.conf:8 > zero.conf)\n\
         main.conf:9: file: found more than 16777216 bytes in a file, allowed: at most 16777216"
    );
}

#[test]
fn the_file_that_was_named_may_be_what_is_wrong() {
    let folder = folder("named");
    let path = |name: &str| folder.join(name).to_string_lossy().into_owned();
    std::fs::write(path("binary.conf"), b"\n\n\x80\0").expect("a file");
    std::fs::write(path("old.xml"), "\u{feff} \n<a/>\nend-peer\n").expect("a file");
    // A hundred megabytes of nothing, which cost no disk.
    let huge = std::fs::File::create(path("huge.conf")).expect("a file");
    huge.set_len(100 << 20).expect("a long file");
    // What was found is cut after a hundred characters, which a long path is without its name.
    let said = |name: &str| {
        let found: String = path(name).chars().take(100).collect();
        let whole = if found == path(name) { found } else { format!("{found}...") };
        let said = load_errors(&path(name), &ConfigOptions::default());
        said.replace(&format!("\"{whole}\""), &format!("\"{name}\"")).replace(&path(""), "")
    };
    assert_eq!(
        said("none.conf"),
        "none.conf: file: found \"none.conf\", which does not exist, allowed: a file that exists"
    );
    assert_eq!(said(""), ": file: found \"\", which is a folder, allowed: a file");
    assert_eq!(
        said("binary.conf"),
        "binary.conf:3: file: found \"binary.conf\", which holds a zero byte at this line, \
         allowed: text"
    );
    assert_eq!(
        said("old.xml"),
        "old.xml:1: file: found \"old.xml\", which is the XML of old Java adapters, \
         allowed: the same written with add-peer"
    );
    assert_eq!(
        said("huge.conf"),
        "huge.conf: file: found more than 16777216 bytes in a file, allowed: at most 16777216"
    );
}

#[cfg(unix)]
#[test]
fn what_is_not_a_regular_file_is_not_read() {
    assert_eq!(
        load_errors("/dev/zero", &ConfigOptions::default()),
        "/dev/zero: file: found \"/dev/zero\", which cannot be read (not a regular file), \
         allowed: what can be read"
    );
}

#[cfg(unix)]
#[test]
fn a_link_does_not_hide_a_cycle() {
    let folder = folder("links");
    std::fs::write(folder.join("a.conf"), "include-file b.conf").expect("a file");
    std::os::unix::fs::symlink("a.conf", folder.join("b.conf")).expect("a link");
    let path = folder.join("a.conf").to_string_lossy().into_owned();
    let errors = load_errors(&path, &ConfigOptions::default());
    assert!(errors.contains("which is being read already"), "{errors}");
    // Nor does a second name of the file.
    std::fs::remove_file(folder.join("b.conf")).expect("it is there");
    std::fs::hard_link(folder.join("a.conf"), folder.join("b.conf")).expect("a link");
    let errors = load_errors(&path, &ConfigOptions::default());
    assert!(errors.contains("which is being read already"), "{errors}");
}

// lesson 64
#[cfg(unix)]
#[test]
fn the_system_follows_dots_after_links_and_a_link_to_nothing_is_an_error() {
    let folder = folder("dots");
    std::fs::create_dir_all(folder.join("far/away")).expect("a folder");
    std::os::unix::fs::symlink("far/away", folder.join("near")).expect("a link");
    std::fs::write(folder.join("far/x.conf"), "datasrc-id 1").expect("a file");
    std::fs::write(folder.join("x.conf"), "datasrc-id 2").expect("a file");
    std::fs::write(folder.join("a.conf"), "include-file near/../x.conf").expect("a file");
    let path = folder.join("a.conf").to_string_lossy().into_owned();
    assert_eq!(Config::load(&path, &ConfigOptions::default()).expect("good").id(), 1);
    std::os::unix::fs::symlink("nowhere", folder.join("b.conf")).expect("a link");
    std::fs::write(folder.join("a.conf"), "include-file b.conf").expect("a file");
    let errors = load_errors(&path, &ConfigOptions::default());
    assert!(errors.contains("which cannot be read (a link to nothing)"), "{errors}");
}

#[test]
fn files_that_double_at_every_step_end_at_a_limit() {
    let twice = |n: u32| format!("include-file {n}.conf\ninclude-file {n}.conf\n");
    let files = (0..31).map(|n| (format!("/{n}.conf"), twice(n + 1)));
    let files = files.chain([("/31.conf".to_owned(), String::new())]);
    let options = options().files(Arc::new(MemoryFiles::new(files)));
    let errors = load_errors("0.conf", &options);
    assert!(
        errors.ends_with("file: found more than 4096 files, allowed: at most 4096"),
        "{errors}"
    );
}

#[test]
fn all_files_together_end_at_a_limit() {
    let big = "#".repeat(limits::MAX_FILE_BYTES);
    let main = "include-file big.conf\n".repeat(5);
    let options = with_files([("/main.conf", &main), ("/big.conf", &big)]);
    assert_eq!(
        load_errors("main.conf", &options),
        "main.conf:4: file: found more than 67108864 bytes in all files, \
         allowed: at most 67108864"
    );
}

/// Texts that ask for more than a file may cost, and the last line of what is said.
#[test]
fn hostile_text_ends_at_a_limit() {
    let mut doubling = "define A0 0123456789\n".to_owned();
    for n in 1..40 {
        writeln!(doubling, "define A{n} ${{A{0}}}${{A{0}}}", n - 1).expect("memory");
    }
    let long = "x".repeat(limits::MAX_LINE_BYTES / 2);
    let copies = (0..4000).map(|n| format!("define B{n} ${{A}}\n")).collect::<String>();
    let names = format!("define A {long}\ndatasrc-name {}", "${${A}}".repeat(9000));
    let cases = [
        (doubling, "<text>:14: text: found more than 65536 bytes in a line after expansion"),
        (
            format!("define A {long}\n{copies}"),
            "<text>:2048: text: found more than 67108864 bytes of expanded variables in all files",
        ),
        (
            names,
            "<text>:2: text: found more than 67108864 bytes of expanded variables in all files",
        ),
        (
            format!("datasrc-name {}", "${".repeat(30_000)),
            "<text>:1: text: found more than 32 variables inside variables",
        ),
        (
            format!("datasrc-name {long}{long}"),
            "<text>:1: text: found more than 65536 bytes in a line",
        ),
        (
            (0..70_000).map(|n| format!("define V{n}\n")).collect(),
            "<text>:65537: define: found more than 65536 variables",
        ),
        (
            "datasrc-interface a b c d\n".repeat(17),
            "<text>:17: datasrc-interface: found more than 64 interfaces, allowed: at most 64",
        ),
        (
            "if x == x\n".repeat(100_000),
            "<text>:257: text: found more than 256 groups and ifs inside each other",
        ),
        (
            "if x == y\n".repeat(100_000),
            "<text>:257: text: found more than 256 groups and ifs inside each other",
        ),
        (
            "add-x\n".repeat(100_000),
            "<text>:257: text: found more than 256 groups and ifs inside each other",
        ),
    ];
    for (text, expected) in cases {
        let errors = errors(&text, &options());
        let last = errors.lines().last().expect("an error");
        assert!(last.starts_with(expected), "{last}\nexpected {expected}");
    }
    let longest = format!("define A {}", "x".repeat(limits::MAX_LINE_BYTES - "define A ".len()));
    assert_eq!(warnings(&parse(&longest)), "", "a line as long as may be");
}

#[test]
fn a_thousand_errors_are_shown_and_the_others_counted() {
    let text = "datasrc-port x\n".repeat(1234);
    let errors = Config::parse(&text, &options()).expect_err("bad");
    assert_eq!(errors.len(), limits::MAX_REPORTED + 1);
    let last = errors.iter().last().expect("an error");
    assert_eq!(last.to_string(), "<text>:1000: errors: found 234 more, allowed: 1000 are shown");
    assert!(matches!(last.kind(), ErrorKind::Omitted { count: 234, .. }));
}

#[test]
fn the_time_for_a_file_grows_as_its_size() {
    let line = "  some-item-of-others  ${UNDEFINED} \"and values\n";
    let group = "add-x\nif a == b\n${\nelse\ndefine A ${A}x\nundefine A\nendif\nend-x\n";
    for part in [line, group, "\n", "end-x\n", "datasrc-interface a b c d\n"] {
        let took = |bytes: usize, times: usize| {
            let text = part.repeat(bytes / part.len());
            let begin = Instant::now();
            for _ in 0..times {
                let _ = Config::parse(&text, &options());
            }
            begin.elapsed()
        };
        // The same text in sixteen files and in one: sixteen times the work if that is quadratic. A
        // busy machine holds up either, but not the one file so much longer each time.
        let times = || (took(32 << 10, 16), took(512 << 10, 1));
        let mut tries = (0..5).map(|_| times());
        assert!(tries.any(|(small, large)| large < small * 5), "{:?} for {part:?}", times());
    }
}
