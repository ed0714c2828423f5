//! Compiles the senders in C.

fn main() {
    let source = "src/rivals/from_c.c";
    println!("cargo:rerun-if-changed={source}");
    println!("cargo:rerun-if-changed=../../src/ffi/peerbeat.h");
    cc::Build::new()
        .file(source)
        .include("../../src/ffi")
        .std("c99")
        .opt_level(2)
        .compile("from_c");
}
