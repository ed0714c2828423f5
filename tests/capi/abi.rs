//! The numbers and layouts of the header are the pinned ones.

use std::fmt::Write;
use std::fs;
use std::time::Duration;

use super::header::without_comments;
use super::numbers::{NUMBERS, STATUS, layouts};
use super::tools::{build, cc, header, run, scratch};

/// A struct of the header: its name, its size, its fields with their offsets.
type Layout = (&'static str, usize, Vec<(&'static str, usize)>);

fn layouts() -> Vec<Layout> {
    macro_rules! list {
        ($($name:literal $rust:ident $size:literal: $($field:ident $offset:literal),*;)*) => {
            vec![$(($name, $size, vec![$((stringify!($field), $offset)),*])),*]
        };
    }
    layouts!(list)
}

#[test]
#[cfg(target_pointer_width = "64")]
fn c_has_the_layout_of_rust_and_the_pinned_numbers() {
    let Some(cc) = cc() else { return };
    let mut source = String::from("#include \"peerbeat.h\"\n#include <stdio.h>\n");
    source += "int main(void) {\n";
    let mut wanted = String::new();
    for (name, number) in STATUS.iter().chain(NUMBERS) {
        writeln!(source, "printf(\"{name} %lld\\n\", (long long){name});").unwrap();
        writeln!(wanted, "{name} {number}").unwrap();
    }
    for (name, size, fields) in layouts() {
        writeln!(source, "printf(\"{name} %zu\\n\", sizeof({name}));").unwrap();
        writeln!(wanted, "{name} {size}").unwrap();
        for (field, offset) in fields {
            writeln!(source, "printf(\"{name}.{field} %zu\\n\", offsetof({name}, {field}));")
                .unwrap();
            writeln!(wanted, "{name}.{field} {offset}").unwrap();
        }
    }
    source += "return 0;\n}\n";
    let path = scratch("layout.c");
    fs::write(&path, source).unwrap();
    let printed = run(&build(&cc, &path, &["-std=c99"]), &[], Duration::from_secs(10));
    assert_eq!(printed, wanted);
}

#[test]
fn the_table_has_every_number_and_every_field_of_the_header() {
    let header = header();
    let defined = header.lines().filter_map(|line| line.strip_prefix("#define "));
    let defined = defined.filter_map(|line| line.split_once(' '));
    let constants = header.lines().filter_map(|line| line.strip_prefix("    PEERBEAT_"));
    let constants = constants.filter_map(|line| line.split_once(" = "));
    let constants = constants.map(|(name, _)| format!("PEERBEAT_{name}"));
    let defined: Vec<_> = defined.map(|d| d.0.to_owned()).chain(constants).collect();
    let table: Vec<_> = STATUS.iter().chain(NUMBERS).map(|(name, _)| *name).collect();
    for name in &defined {
        assert!(table.contains(&name.as_str()), "{name} is not pinned");
    }
    assert_eq!(defined.len(), table.len());

    let code = without_comments(&header);
    let code: Vec<_> = code.lines().map(str::trim_end).collect();
    let structs =
        code.iter().filter(|line| line.starts_with("typedef struct") && line.ends_with('{'));
    assert_eq!(structs.count(), layouts().len());
    for (name, _, fields) in layouts() {
        let begin =
            code.iter().position(|line| *line == format!("typedef struct {name} {{")).unwrap();
        let body = code[begin + 1..].iter().take_while(|line| !line.starts_with('}'));
        let count = body.map(|line| line.matches(';').count()).sum::<usize>();
        assert_eq!(count, fields.len(), "{name}");
    }
}
