"""Writes a Rust source that compiles only if tokenbucket-sys declares what bindgen reads in the header.

bindgen.py BINDGEN HEADER CRATE FOLDER: runs the program BINDGEN on HEADER, compares with CRATE, tokenbucket-sys's
lib.rs, and writes FOLDER/check.rs. The compiler then compares every function, typedef, field and number.
"""

import pathlib
import re
import subprocess
import sys

OPAQUE = ["tb_bucket", "tb_clock"]


def bindgen(program, header, shared, *options):
    """What bindgen declares, with the types named in `shared` taken from the crate instead."""
    command = [program, header, "--size_t-is-usize", "--no-doc-comments", "--no-layout-tests", "--no-prepend-enum-name"]
    command += ["--raw-line", f"use tokenbucket_sys::{{{', '.join(shared)}}};"]
    for name in shared:
        command += ["--blocklist-type", name]
    run = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    if run.returncode != 0:
        sys.exit(run.stderr)
    return run.stdout


def names(pattern, text):
    return sorted(set(re.findall(pattern, text)))


def structs(text):
    found = re.findall(r"pub struct (\w+) \{([^}]*)\}", text)
    return {name: re.findall(r"pub (\w+) ?:", fields) for name, fields in found if name not in OPAQUE}


def layout(name, fields):
    copy = ", ".join(f"{field}: header.{field}" for field in fields)
    yield f"fn {name}_has_these_fields(header: types::{name}) -> sys::{name} {{ sys::{name} {{ {copy} }} }}"
    yield f"const _: () = assert!(size_of::<types::{name}>() == size_of::<sys::{name}>());"
    yield f"const _: () = assert!(align_of::<types::{name}>() == align_of::<sys::{name}>());"


def check(functions, types):
    yield "#![allow(dead_code, unused_imports, non_camel_case_types, non_snake_case, non_upper_case_globals)]"
    yield "use std::mem::{align_of, size_of};\nuse tokenbucket_sys as sys;"
    yield f"mod functions {{\n{functions}}}\nmod types {{\n{types}}}"
    for name in names(r"pub type (tb_\w+)", functions):
        yield f"fn {name}_is_the_same(header: functions::{name}) -> sys::{name} {{ header }}"
    for name in names(r"pub const (TB_\w+)", types):
        yield f"const _: () = assert!(types::{name} as i64 == sys::{name} as i64);"
    for name, fields in structs(types).items():
        yield from layout(name, fields)
    yield "fn functions_are_the_same() {"
    for name in names(r"pub fn (tb_\w+)", functions):
        yield f"    let _ = [functions::{name}, sys::{name}];"
    yield "}"


def main(program, header, crate_file, folder):
    crate = pathlib.Path(crate_file).read_text(encoding="utf-8")
    of_crate = sorted(structs(crate))
    functions = bindgen(program, header, OPAQUE + of_crate, "--allowlist-function", "tb_.*", "--allowlist-type", "tb_.*")
    types = bindgen(program, header, [*OPAQUE, "tb_event_fn"], "--allowlist-type", "tb_.*", "--allowlist-var", "TB_.*")
    for what, declared, wanted in (
        ("functions", names(r"pub fn (tb_\w+)", crate), names(r"pub fn (tb_\w+)", functions)),
        ("structs", structs(crate), structs(types)),
    ):
        if declared != wanted or not wanted:
            sys.exit(f"{what} of the crate: {declared}\n{what} of the header: {wanted}")
    pathlib.Path(folder, "check.rs").write_text("\n".join(check(functions, types)) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
