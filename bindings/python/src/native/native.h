/* The backend on CPython's stable ABI: the calls that matter for speed, and the rest passed through.
 *
 * Its classes have the members of those in _ctypes_backend.py. Methods with an underscore pass a status on; the others
 * raise, by calling what _results.py has for that. */
#ifndef TOKENBUCKET_PYTHON_NATIVE_H
#define TOKENBUCKET_PYTHON_NATIVE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stddef.h>
#include <structmember.h>
#include <tokenbucket.h>

/* The module's state: what is called in Python. */
typedef struct {
    PyObject *fail;       /* (bucket, status, tokens): raises what the status means */
    PyObject *tell;       /* (on_event, status, tokens, waited_ns) */
    PyObject *number;     /* (value): a real number as a float */
    PyObject *priority;   /* (value): as an int of 32 bits */
    PyObject *timeout_ns; /* (timeout): as nanoseconds */
    PyObject *wake;       /* (tag): has a waiter look again */
    PyObject *now_ns;     /* (clock): the present time of a bucket's clock */
    PyObject *decision;   /* the class, a subclass of tuple */
    newfunc new_tuple;
} Imports;

typedef struct {
    PyObject_HEAD tb_clock *handle; /* NULL until _open; the library answers NULL with TB_E_INVALID_ARGUMENT */
} Clock;

typedef struct {
    PyObject_HEAD tb_bucket *handle; /* NULL until _open */
    const Imports *imports;          /* of the module, which the type keeps alive */
    PyObject *clock;                 /* or NULL */
    PyObject *on_event;              /* or NULL */
} Bucket;

/* Calls of the library that call on_wake. */
tb_status tokenbucket_clock_set(tb_clock *clock, int64_t now_ns);
void tokenbucket_destroy(tb_bucket *bucket);

extern PyMethodDef tokenbucket_bucket_methods[];
extern PyMemberDef tokenbucket_bucket_members[];

#endif
