"""The reader of tokenbucket.h: what it refuses, what comes of what it knows, and that the compiler reads the same."""

import os
import pathlib
import subprocess
import sys
import unittest

SOURCE = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(SOURCE / "capi/abi/generate"))

import csharp  # noqa: E402
import exports  # noqa: E402
import header  # noqa: E402
import manual  # noqa: E402
import python  # noqa: E402
import rust  # noqa: E402

REFUSED = """
TB_API unsigned int tb_f(void);
TB_API int tb_f(void);
TB_API tb_unknown *tb_f(void);
TB_API int32_t tb_f();
TB_API int32_t tb_f(double);
TB_API int32_t tb_f(double a,);
TB_API int32_t tb_f(double a[2]);
TB_API int32_t tb_f(double a, ...);
TB_API int32_t tb_f(void (*f)(void));
TB_API int32_t tb_f(struct tb_s *s);
TB_API int32_t tb_f(void) TB_PURE;
TB_API int32_t tb_f(void) { return 0; }
TB_API int32_t tb_f(void)
TB_API int32_t tb_v;
int32_t tb_f(void);
extern int32_t tb_v;
extern "C" {
}
;
struct tb_s { double a; };
typedef struct tb_s { } tb_s;
typedef struct tb_s { double a, b; } tb_s;
typedef struct tb_s { uint32_t a : 3; } tb_s;
typedef struct tb_s { double a; } tb_t;
typedef struct { double a; } tb_s;
typedef struct tb_s *tb_t;
typedef enum { TB_A } tb_e;
typedef void (tb_fn)(void);
enum { TB_A = 1 };
#define TB_A LONG_MAX
#define TB_A (1 + 2)
#define TB_A(x) 1
#define TB_A
#define TB_STATUS_LIST(X) X(TB_A, 1 + 0, "a")
#define TB_STATUS_LIST(X) X(TB_A, 1, "a") Y(TB_B, 2, "b")
#pragma pack(1)
// Another kind of comment.
/* Without an end.
#if 1
""".strip().split("\n") + [
    "#if 1\nTB_API void tb_f(void);\n#endif",
    "#ifdef __cplusplus\nTB_API void tb_f(void);\n#endif",
    "typedef struct tb_s {\n    double a;\n#if 1\n    double b;\n#endif\n} tb_s;",
    "TB_API void tb_f(void); TB_API void tb_f(void);",
    "typedef double tb_f; TB_API void tb_f(void);",
]

# Forms of which not all are in the header yet.
KNOWN = """\
/* A licence
 *
 * tokenbucket: a sample.
 *
 * More. */
#ifndef TOKENBUCKET_H
#define TB_VERSION_MAJOR 1
#define TB_VERSION_MINOR 1

/* ---- Lookups ---- */

/* A number that stays the
 * same. */
typedef uint64_t tb_id;
typedef struct tb_table tb_table;
typedef struct tb_bucket tb_bucket; /* one */

typedef void (*tb_wake_fn)(void *user, /* none */ tb_id id);
typedef struct tb_place {
    size_t struct_size;
    tb_wake_fn wake; /* may
                      * be NULL */
} tb_place;
TB_API tb_id tb_wait_all(tb_bucket *const *buckets, const double *amounts, size_t count, tb_table **out_table,
                         tb_id *out_id, tb_place *out_place);

/* Apart. */

#define TB_MANY UINT64_C(7) /* a lot */
TB_API int32_t tb_ask(tb_table *table, const void *keys, int32_t *out_answers);
TB_API void tb_destroy(tb_bucket *bucket);
#endif
"""
TABLE = """\
constant TB_VERSION_MAJOR int32_t 1
constant TB_VERSION_MINOR int32_t 1
alias tb_id uint64_t
opaque tb_table
opaque tb_bucket
callback tb_wake_fn void (void *user, tb_id id)
struct tb_place
field tb_place.struct_size size_t
field tb_place.wake tb_wake_fn
function tb_wait_all tb_id (tb_bucket *const *buckets, const double *amounts, size_t count, tb_table **out_table, \
tb_id *out_id, tb_place *out_place)
constant TB_MANY uint64_t 7
function tb_ask int32_t (tb_table *table, const void *keys, int32_t *out_answers)
function tb_destroy void (tb_bucket *bucket)"""
CSHARP = """\
    public delegate* unmanaged[Cdecl]<void*, ulong, void> wake;
    internal const ulong TB_MANY = 7;
    [LibraryImport(Library)] internal static partial ulong tb_wait_all(nint* buckets, double* amounts, nuint count, \
out nint out_table, out ulong out_id, ref tb_place out_place);
    [LibraryImport(Library)] internal static partial int tb_ask(TableHandle table, ReadOnlySpan<byte> keys, \
int* out_answers);
    [LibraryImport(Library)] internal static partial void tb_destroy(nint bucket);"""
PYTHON = """\
tb_id = c_uint64
tb_wake_fn: Any = CFUNCTYPE(None, c_void_p, tb_id)
        ("wake", tb_wake_fn),
    "tb_wait_all": [tb_id, POINTER(POINTER(tb_bucket)), POINTER(c_double), c_size_t, POINTER(POINTER(tb_table)), \
POINTER(tb_id), POINTER(tb_place)],"""
RUST = """\
pub type tb_id = u64;
pub type tb_wake_fn = Option<unsafe extern "C" fn(user: *mut c_void, id: tb_id)>;
    pub wake: tb_wake_fn,
    pub fn tb_wait_all(buckets: *const *mut tb_bucket, amounts: *const f64, count: usize, out_table: *mut *mut tb_table, \
out_id: *mut tb_id, out_place: *mut tb_place) -> tb_id;
    pub fn tb_destroy(bucket: *mut tb_bucket);"""
MANUAL = """\
tb_destroy \\- a sample
.SS "Lookups"
\\fBtypedef struct tb_bucket tb_bucket; /* one */\\fP
A number that stays the
\\fB                      * be NULL */\\fP
Apart.
\\fB#define TB_MANY UINT64_C(7) /* a lot */\\fP"""
RELEASED = "TOKENBUCKET_1.0 {\n    global:\n        tb_wait_all;\n    local:\n        *;\n};\n"
GROWN = RELEASED + "TOKENBUCKET_1.1 {\n    global:\n        tb_ask;\n        tb_destroy;\n} TOKENBUCKET_1.0;\n"


def as_c(entry):
    """Compiles only if the compiler has read the same in the header."""
    members = ", ".join(f"{type_} {name}" for name, type_ in entry.members)
    if entry.kind == "function":
        yield f"{entry.type} {entry.name}({members or 'void'});"
    elif entry.kind == "callback":
        yield f"typedef {entry.type} (*{entry.name})({members or 'void'});"
    elif entry.kind == "alias":
        yield f"typedef {entry.type} {entry.name};"
    elif entry.kind == "opaque":
        yield f"typedef struct {entry.name} {entry.name};"
    elif entry.kind in ("constant", "status"):
        # An enumerator is an int, and no comparison of doubles is constant.
        type_ = "int" if entry.kind == "status" else entry.type
        value = f"_Generic({entry.name}, {type_}: 1)"
        value += "" if isinstance(entry.value, float) else f" && {entry.name} == {entry.value}"
        yield f'_Static_assert({value}, "{entry.name}");'
    elif entry.kind == "struct":
        yield f"struct {entry.name}_here {{ {members.replace(',', ';')}; }};"
        yield f'_Static_assert(sizeof({entry.name}) == sizeof(struct {entry.name}_here), "{entry.name}");'
        for name, type_ in entry.members:
            offsets = f"offsetof({entry.name}, {name}) == offsetof(struct {entry.name}_here, {name})"
            yield f'_Static_assert({offsets} && _Generic(&(({entry.name} *)0)->{name}, {type_} *: 1), "{name}");'


class Header(unittest.TestCase):
    def test_refuses_what_it_does_not_know(self):
        for text in REFUSED:
            with self.subTest(text), self.assertRaises(header.Unreadable):
                header.read(f"#ifndef TOKENBUCKET_H\n{text}\n#endif\n")

    def test_what_comes_of_it(self):
        entries = header.read(KNOWN)
        self.assertEqual("\n".join(line for entry in entries if entry.name for line in entry.lines()), TABLE)
        for made, wanted in (
            (csharp.declarations(entries), CSHARP),
            (python.declarations(entries), PYTHON),
            (rust.declarations(entries), RUST),
            (manual.page(entries), MANUAL),
        ):
            for line in wanted.split("\n"):
                self.assertIn(line, made.split("\n"))

    def test_released_symbols_stay(self):
        entries = header.read(KNOWN)
        for old in (RELEASED, GROWN, GROWN.replace("tb_destroy", "tb_gone")):
            self.assertEqual(exports.version_script(entries, old), exports.SCRIPT + GROWN)
        self.assertIn(" (symver)TOKENBUCKET_1.0 1.0.0\n (symver)TOKENBUCKET_1.1 1.1.0\n", exports.debian_symbols(GROWN))
        with self.assertRaises(header.Unreadable):
            exports.version_script(entries, RELEASED.replace("tb_wait_all", "tb_gone"))

    def test_compiler_reads_the_same(self):
        entries = header.read(header.FILE.read_text(encoding="utf-8"))
        checks = "\n".join(check for entry in entries for check in as_c(entry))
        self.assertGreater(checks.count("_Static_assert"), 40)
        command = [*os.environ["CC"].split(), "-std=c11", "-fsyntax-only", f"-I{header.FILE.parent}", "-xc", "-"]
        run = subprocess.run(
            command, input=f'#include "tokenbucket.h"\n{checks}\n', capture_output=True, text=True, check=False
        )
        self.assertEqual(run.returncode, 0, run.stderr)


if __name__ == "__main__":
    unittest.main()
