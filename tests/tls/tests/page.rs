//! The page on encrypting shows the programs that are compiled and tested here.

#[test]
fn the_page_has_the_program_and_it_is_short() {
    let (page, program) =
        (include_str!("../../../src/encrypting.md"), include_str!("../src/tls.rs"));
    assert!(page.contains(&format!("```rust,ignore\n{program}```\n")), "they differ");
    let lines = program.lines().filter(|line| !line.trim().is_empty()).count();
    assert!(lines < 60, "{lines} lines");
}

#[test]
fn the_page_has_the_other_transports() {
    let (page, program) =
        (include_str!("../../../src/encrypting.md"), include_str!("../src/transports.rs"));
    assert!(page.contains(&format!("```rust,ignore\n{program}```\n")), "they differ");
}
