"""Breaks the header and a binding, one thing at a time, and expects that the check names it."""

import dataclasses
import unittest

import csharp
import header
import python
import rust
from check import HEADER, text_of
from table import Unreadable, compare

# What is replaced, by what, and what the one complaint must hold.
BROKEN_RUST = {
    "parameters swapped": (
        "tb_create(capacity: f64, tokens_per_second: f64,",
        "tb_create(tokens_per_second: f64, capacity: f64,",
        ["tb_create differs", "tb_create(double capacity, double tokens", "tb_create(tokens_per_second: f64, capacity"],
    ),
    "parameter dropped": (
        "tb_wait(bucket: *mut tb_bucket, n: f64)",
        "tb_wait(bucket: *mut tb_bucket)",
        ["tb_wait differs"],
    ),
    "parameter type": (
        "tb_refund(bucket: *mut tb_bucket, n: f64)",
        "tb_refund(bucket: *mut tb_bucket, n: f32)",
        ["tb_refund differs", "double n", "n: f32"],
    ),
    "pointer level": (
        "tb_manual_clock_create(start_ns: i64, out_clock: *mut *mut",
        "tb_manual_clock_create(start_ns: i64, out_clock: *mut",
        ["tb_manual_clock_create differs"],
    ),
    "const": (
        "config: *const tb_config",
        "config: *mut tb_config",
        ["tb_create_with differs", "const tb_config *config"],
    ),
    "other handle": (
        "tb_close(bucket: *mut tb_bucket)",
        "tb_close(bucket: *mut tb_clock)",
        ["tb_close differs"],
    ),
    "result type": (
        "fn tb_abi_version() -> i32",
        "fn tb_abi_version() -> i64",
        ["tb_abi_version differs", "int32_t", "i64"],
    ),
    "result dropped": (
        "tb_reset(bucket: *mut tb_bucket, tokens: f64) -> tb_status",
        "tb_reset(bucket: *mut tb_bucket, tokens: f64)",
        ["tb_reset differs"],
    ),
    "function dropped": (
        "pub fn tb_library_version() -> i32;",
        "",
        ["tb_library_version is not declared", "int32_t"],
    ),
    "function too many": (
        "pub fn tb_abi_version",
        "pub fn tb_count() -> i32; pub fn tb_abi_version",
        ["tb_count is not in the header"],
    ),
    "callback type": (
        "fn(user: *mut c_void) -> i64>",
        "fn(user: *mut c_void) -> i32>",
        ["tb_clock_fn differs"],
    ),
    "callback's parameter": (
        "event: *const tb_event)",
        "event: *mut tb_event)",
        ["tb_event_fn differs", "const tb_event *event", "event: *mut tb_event"],
    ),
    "callback with a result": (
        "event: *const tb_event)",
        "event: *const tb_event) -> i32",
        ["tb_event_fn differs"],
    ),
    "callback of a field": ("on_event: tb_event_fn,", "on_event: tb_clock_fn,", ["tb_config differs"]),
    "alias type": ("pub type tb_status = i32;", "pub type tb_status = i64;", ["tb_status differs"]),
    "field dropped": ("pub reserved: i32, pub remaining", "pub remaining", ["tb_decision differs", "int32_t reserved"]),
    "field type": ("pub ticket: u64,", "pub ticket: i64,", ["tb_reservation differs", "ticket: i64"]),
    "fields swapped": (
        "pub wait_ns: i64, pub ready_at_ns: i64,",
        "pub ready_at_ns: i64, pub wait_ns: i64,",
        ["tb_reservation differs"],
    ),
    "layout not C's": (
        "#[repr(C)] #[derive(Clone, Copy, Debug)] pub struct tb_config",
        "#[derive(Clone, Copy, Debug)] pub struct tb_config",
        ["tb_config differs"],
    ),
    "opaque type not C's": ("#[repr(C)] pub struct tb_bucket", "pub struct tb_bucket", ["tb_bucket differs"]),
    "opaque type with contents": (
        f"pub struct tb_clock {{ {rust.OPAQUE} }}",
        "pub struct tb_clock { data: i32 }",
        ["tb_clock differs"],
    ),
    "status number": (
        "TB_TIMED_OUT: tb_status = 2;",
        "TB_TIMED_OUT: tb_status = 3;",
        ["TB_TIMED_OUT differs", "= 2", "= 3"],
    ),
    "status dropped": ("pub const TB_E_SYSTEM: tb_status = -5;", "", ["TB_E_SYSTEM is not declared"]),
    "constant": (
        "TB_INITIALLY_FULL: f64 = -1.0;",
        "TB_INITIALLY_FULL: f64 = -2.0;",
        ["TB_INITIALLY_FULL differs"],
    ),
    "constant type": ("TB_FOREVER: i64 = i64::MAX;", "TB_FOREVER: f64 = 1.0;", ["TB_FOREVER differs"]),
    "flag": ("TB_STATISTICS: u32 = 2;", "TB_STATISTICS: u32 = 4;", ["TB_STATISTICS differs"]),
    "flag type": ("TB_PRECISE_WAIT: u32", "TB_PRECISE_WAIT: i32", ["TB_PRECISE_WAIT differs"]),
    "version": ("TB_VERSION_MAJOR: i32 = 1;", "TB_VERSION_MAJOR: i32 = 2;", ["TB_VERSION_MAJOR differs"]),
}

BROKEN_CSHARP = {
    "parameters swapped": (
        "tb_create(double capacity, double tokens_per_second,",
        "tb_create(double tokens_per_second, double capacity,",
        ["tb_create differs", "tb_create(double capacity, double tokens", "(double tokens_per_second, double c"],
    ),
    "parameter type": (
        "tb_refund(BucketHandle bucket, double n)",
        "tb_refund(BucketHandle bucket, float n)",
        ["float n"],
    ),
    "other handle": ("tb_close(BucketHandle bucket)", "tb_close(ClockHandle bucket)", ["tb_close differs"]),
    "pointer dropped": (
        "double most, out double out_taken",
        "double most, double out_taken",
        ["tb_take_up_to differs"],
    ),
    "pointer to another": ("out tb_decision out", "out tb_reservation out", ["tb_take differs"]),
    "callback type": (
        "delegate* unmanaged[Cdecl]<void*, long>",
        "delegate*<void*, long>",
        ["tb_callback_clock_create"],
    ),
    "result type": ("partial int tb_abi_version", "partial long tb_abi_version", ["tb_abi_version differs"]),
    "function dropped": (
        "[LibraryImport(Library)] internal static partial int tb_abi_version();",
        "",
        ["tb_abi_version is not declared"],
    ),
    "function too many": (
        "partial int tb_abi_version",
        "partial int tb_count(); [LibraryImport(Library)] internal static partial int tb_abi_version",
        ["tb_count is not in"],
    ),
    "field dropped": ("public int reserved; public double remaining", "public double remaining", ["tb_decision differs"]),
    "field type": (
        "public nuint struct_size; public double capacity;",
        "public int struct_size; public double capacity;",
        ["tb_config differs"],
    ),
    "callback of a field": (
        "delegate* unmanaged[Cdecl]<void*, tb_event*, void>",
        "delegate* unmanaged[Cdecl]<void*, tb_stats*, void>",
        ["tb_config differs", "tb_event_fn on_event", "tb_stats*"],
    ),
    "flag": ("TB_STATISTICS = 2;", "TB_STATISTICS = 4;", ["TB_STATISTICS differs"]),
    "flag type": ("const uint TB_PRECISE_WAIT", "const int TB_PRECISE_WAIT", ["TB_PRECISE_WAIT differs"]),
    "status number": ("TB_TIMED_OUT = 2;", "TB_TIMED_OUT = 3;", ["TB_TIMED_OUT differs"]),
    "constant type": ("const long TB_FOREVER = long.MaxValue", "const double TB_FOREVER = 1.0", ["TB_FOREVER differs"]),
}

BROKEN_PYTHON = {
    "parameters swapped": (
        '("n", c_double), ("timeout_ns", c_int64)',
        '("timeout_ns", c_int64), ("n", c_double)',
        ["tb_wait_for differs", "double n, int64_t timeout_ns", "('timeout_ns', c_int64), ('n', c_double)"],
    ),
    "parameter dropped": (', ("tokens_per_second", c_double)', "", ["tb_set_rate differs"]),
    "parameter type": ('("tokens_per_second", c_double)', '("tokens_per_second", c_int64)', ["tb_set_rate differs"]),
    "pointer level": ("POINTER(POINTER(tb_clock))", "POINTER(tb_clock)", ["tb_manual_clock_create differs"]),
    "pointer to another": ("POINTER(tb_decision)", "POINTER(tb_reservation)", ["tb_take differs"]),
    "result type": ('"tb_abi_version": (c_int32,)', '"tb_abi_version": (c_int64,)', ["tb_abi_version differs"]),
    "text as an address": ("(c_char_p,)", "(c_void_p,)", ["tb_library_version_string differs"]),
    "function too many": ('"tb_abi_version": (c', '"tb_count": (c_int32,), "tb_abi_version": (c', ["tb_count is not in"]),
    "callback's parameter": ('("event", POINTER(tb_event))', '("event", c_void_p)', ["tb_event_fn differs"]),
    "callback with a result": ('callback(None, ("user"', 'callback(c_int32, ("user"', ["tb_event_fn differs"]),
    "callback of a field": ('("on_event", tb_event_fn)', '("on_event", c_void_p)', ["tb_config differs"]),
    "alias type": ("tb_status = c_int32", "tb_status = c_int64", ["tb_status differs"]),
    "field dropped": ('        ("remaining", c_double),\n', "", ["tb_decision differs", "double remaining"]),
    "field type": ('("ticket", c_uint64)', '("ticket", c_int64)', ["tb_reservation differs"]),
    "fields swapped": (
        '("denied", c_int64),\n        ("timed_out", c_int64)',
        '("timed_out", c_int64),\n        ("denied", c_int64)',
        ["tb_stats differs"],
    ),
    "status number": ("TB_TIMED_OUT = 2", "TB_TIMED_OUT = 3", ["TB_TIMED_OUT differs", "= 2", "= 3"]),
    "constant": ("TB_INITIALLY_FULL = -1.0", "TB_INITIALLY_FULL = -2.0", ["TB_INITIALLY_FULL differs"]),
    "constant type": ("TB_FOREVER = 2**63 - 1", "TB_FOREVER = 1.0", ["TB_FOREVER differs"]),
    "flag": ("TB_STATISTICS = 2", "TB_STATISTICS = 4", ["TB_STATISTICS differs"]),
    "version": ("TB_VERSION_MAJOR = 1", "TB_VERSION_MAJOR = 2", ["TB_VERSION_MAJOR differs"]),
}

BROKEN_HEADER = {
    "function added": (
        "TB_API int32_t tb_abi_version(void);",
        "TB_API int32_t tb_abi_version(void); TB_API void tb_new(void);",
        ["tb_new is not declared"],
    ),
    "field added": ("double unit;", "double unit; int64_t more;", ["tb_config differs", "int64_t more"]),
    "field hidden by a comment": ("by the bucket */", "by the bucket", ["tb_config differs"]),
    "callback's parameter": (
        "(void *user, const tb_event *event)",
        "(void *user, tb_event *event)",
        ["tb_event_fn differs"],
    ),
    "status added": ("X(TB_DENIED, 1,", 'X(TB_NEW, 8, "new") X(TB_DENIED, 1,', ["TB_NEW is not declared"]),
    "status changed": ("X(TB_DENIED, 1,", "X(TB_DENIED, 9,", ["TB_DENIED differs"]),
    "constant added": (
        "#define TB_FOREVER INT64_MAX",
        "#define TB_FOREVER INT64_MAX\n#define TB_NEW 1",
        ["TB_NEW is not declared"],
    ),
    "flag added": (
        "#define TB_STATISTICS UINT32_C(2)",
        "#define TB_NEW UINT32_C(4)\n#define TB_STATISTICS UINT32_C(2)",
        ["TB_NEW is not declared"],
    ),
    "flag changed": ("TB_STATISTICS UINT32_C(2)", "TB_STATISTICS UINT32_C(4)", ["TB_STATISTICS differs"]),
    "flag signed": ("TB_STATISTICS UINT32_C(2)", "TB_STATISTICS 2", ["TB_STATISTICS differs"]),
}

UNREADABLE_RUST = {
    "hidden by cfg": ("pub const TB_CLOSED", "#[cfg(unix)] pub const TB_CLOSED"),
    "renamed by an attribute": ("pub fn tb_allow(", '#[link_name = "tb_wait"] pub fn tb_allow('),
    "no field": ("pub ticket: u64,", "ticket,"),
    "two of a name": ("pub const TB_CLOSED", "pub const TB_DENIED: tb_status = 1; pub const TB_CLOSED"),
    "by a macro": ("pub const TB_CLOSED", "declare!(); pub const TB_CLOSED"),
}

UNREADABLE_CSHARP = {
    "renamed by an attribute": (
        "[LibraryImport(Library)] internal static partial int tb_abi_version",
        '[LibraryImport(Library, EntryPoint = "tb_wait")] internal static partial int tb_abi_version',
    ),
    "the older import": (
        "[LibraryImport(Library)] internal static partial int tb_abi_version",
        "[DllImport(Library)] internal static extern int tb_abi_version",
    ),
    "layout not C's": (
        "[StructLayout(LayoutKind.Sequential)] internal unsafe struct tb_config",
        "[StructLayout(LayoutKind.Auto)] internal unsafe struct tb_config",
    ),
    "constant by an expression": ("TB_VERSION_MAJOR = 1;", "TB_VERSION_MAJOR = 1 + 0;"),
}

UNREADABLE_PYTHON = {
    "layout not C's": ("class tb_stats(Structure):\n", "class tb_stats(Structure):\n    _pack_ = 1\n"),
    "other order of bytes": ("class tb_stats(Structure)", "class tb_stats(BigEndianStructure)"),
    "a field of some bits": ('("denied", c_int64)', '("denied", c_int64, 32)'),
    "constant by an expression": ("TB_CLOSED = 4", "TB_CLOSED = 3 + 1"),
    "two of a name": ("TB_CLOSED = 4", "TB_CLOSED = 4\nTB_CLOSED = 5"),
    "unknown statement": ("TB_CLOSED = 4", "if True:\n    TB_CLOSED = 4"),
    "alias of something made": ("tb_status = c_int32", "tb_status = c_int32 * 1"),
}

UNREADABLE_HEADER = {
    "unknown statement": ("typedef int32_t tb_status;", "typedef int32_t tb_status; extern int tb_variable;"),
    "unknown constant": ("#define TB_FOREVER INT64_MAX", "#define TB_FOREVER LONG_MAX"),
    "flag of another width": ("TB_STATISTICS UINT32_C(2)", "TB_STATISTICS UINT64_C(2)"),
    "unknown status entry": ("X(TB_DENIED, 1,", "X(TB_DENIED, 1 + 0,"),
}


def one_line(text):
    return " ".join(text.split())


class Broken(unittest.TestCase):
    def setUp(self):
        self.header = text_of(HEADER)
        self.rust = text_of(rust.BINDING.files)
        self.csharp = text_of(csharp.BINDING.files)
        self.python = text_of(python.BINDING.files)

    def replaced(self, text, old, new):
        self.assertEqual(text.count(old), 1, f"to break it, {old} must be there once")
        return text.replace(old, new)

    def broken(self, text, old, new):
        code = "\n".join(line.split("//")[0] for line in text.splitlines())
        return self.replaced(one_line(code), old, new)

    def expect_one(self, complaints, wanted):
        self.assertEqual(len(complaints), 1, complaints)
        for part in wanted:
            self.assertIn(part, complaints[0])

    def expect_each_named(self, binding, text, broken, breaking=None):
        breaking = breaking or self.broken
        wanted = header.read(self.header)
        self.assertEqual(compare(binding, binding.read(text), wanted), [])
        for what, (old, new, parts) in broken.items():
            with self.subTest(what):
                self.expect_one(compare(binding, binding.read(breaking(text, old, new)), wanted), parts)

    def expect_each_refused(self, binding, text, unreadable, breaking=None):
        breaking = breaking or self.broken
        for what, (old, new) in unreadable.items():
            with self.subTest(what), self.assertRaises(Unreadable):
                binding.read(breaking(text, old, new))

    def test_broken_rust(self):
        self.expect_each_named(rust.BINDING, self.rust, BROKEN_RUST)
        self.expect_each_refused(rust.BINDING, self.rust, UNREADABLE_RUST)

    def test_broken_csharp(self):
        self.expect_each_named(csharp.BINDING, self.csharp, BROKEN_CSHARP)
        self.expect_each_refused(csharp.BINDING, self.csharp, UNREADABLE_CSHARP)

    def test_broken_python(self):
        """Not as one line: in this language lines matter."""
        self.expect_each_named(python.BINDING, self.python, BROKEN_PYTHON, self.replaced)
        self.expect_each_refused(python.BINDING, self.python, UNREADABLE_PYTHON, self.replaced)

    def test_changed_header(self):
        declared = rust.read(self.rust)
        for what, (old, new, parts) in BROKEN_HEADER.items():
            with self.subTest(what):
                changed = header.read(self.replaced(self.header, old, new))
                self.expect_one(compare(rust.BINDING, declared, changed), parts)
        for what, (old, new) in UNREADABLE_HEADER.items():
            with self.subTest(what), self.assertRaises(Unreadable):
                header.read(self.replaced(self.header, old, new))

    def test_thin_binding_may_leave_out_but_not_err(self):
        wanted = header.read(self.header)
        thin = dataclasses.replace(rust.BINDING, is_complete=False)
        version = "pub fn tb_abi_version() -> i32;"
        declared = rust.read(self.broken(self.rust, version, ""))
        self.assertEqual(compare(thin, declared, wanted), [])
        declared = rust.read(self.broken(self.rust, version, "pub fn tb_abi_version() -> u32;"))
        self.expect_one(compare(thin, declared, wanted), ["tb_abi_version differs"])


if __name__ == "__main__":
    unittest.main()
