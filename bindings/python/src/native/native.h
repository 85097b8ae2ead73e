/* The backend on CPython's stable ABI: the calls that matter for speed, and the rest passed through.
 *
 * Its classes have the members of those in the modules _ctypes_*. Methods with an underscore pass a status on; the
 * others raise, by calling what _results.py has for that. */
#ifndef TOKENBUCKET_PYTHON_NATIVE_H
#define TOKENBUCKET_PYTHON_NATIVE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stddef.h>
#include <structmember.h>
#include <tokenbucket.h>

/* The module's state: what is called in Python. */
typedef struct {
    PyObject *fail;       /* (limiter, status, tokens, wait_ns, argument, [key]): raises what the status means */
    PyObject *tell;       /* (on_event, status, tokens, waited_ns) */
    PyObject *number;     /* (value, argument): a real number as a float */
    PyObject *priority;   /* (value): as an int of 32 bits */
    PyObject *timeout_ns; /* (timeout): as nanoseconds */
    PyObject *wake;       /* (tag): has a waiter look again */
    PyObject *now_ns;     /* (clock): the present time of a limiter's clock */
    PyObject *encode;     /* (key): as bytes */
    PyObject *decision;   /* the class, a subclass of tuple */
    PyObject *waiter_all; /* the class, of limits.c */
    newfunc new_tuple;
} Imports;

typedef struct {
    PyObject_HEAD tb_clock *handle; /* NULL until _open; the library answers NULL with TB_E_INVALID_ARGUMENT */
} Clock;

/* What a bucket and a table begin with. */
typedef struct {
    PyObject_HEAD const Imports *imports; /* of the module, which the type keeps alive */
    PyObject *clock;                      /* or NULL */
    PyObject *on_event;                   /* or NULL, as in every table */
} Limiter;

typedef struct {
    Limiter base;
    tb_bucket *handle; /* NULL until _open */
} Bucket;

typedef struct {
    Limiter base;
    tb_table *handle; /* NULL until _open */
} Table;

typedef struct {
    PyObject_HEAD const Imports *imports;
    PyObject *parts; /* keeps what the members refer to; NULL until _open */
    size_t count;
    tb_member members[TB_MAX_MEMBERS]; /* without their costs */
} Limits;

/* A key as the library takes it. What follows takes NULL for one where it is that of a bucket, which has none. */
typedef struct {
    const char *bytes;
    Py_ssize_t size;
    PyObject *encoded; /* owned: what holds the bytes; or NULL, they are the argument's, or in `number` */
    char number[10];
} Key;

#define TOKENBUCKET_KEYWORDS (METH_FASTCALL | METH_KEYWORDS)
#define TOKENBUCKET_METHOD(function) ((PyCFunction)(void (*)(void))(function))

/* ---- calls.c: what the methods of buckets and tables share ------------------------------------------------------- */

/* Puts arguments at the places of their names, a list that NULL ends, of which `most` may go without their names;
 * absent ones stay as they are. The first `required` may not be absent. -1: raised. */
int tokenbucket_arrange(const char *function, const char *const *names, Py_ssize_t required, Py_ssize_t most,
                        PyObject *const *args, Py_ssize_t count, PyObject *keywords, PyObject **values);
/* An absent amount is 1. An error names the argument. */
int tokenbucket_to_tokens(const Imports *imports, const char *argument, PyObject *value, double *out_n);
/* An absent priority is 0. */
int tokenbucket_to_priority(const Imports *imports, PyObject *value, int32_t *out);
/* Takes over the number, which may be NULL. */
int tokenbucket_to_long(PyObject *number, int64_t *out);
int tokenbucket_to_reservation(PyObject *promise, tb_reservation *out);

/* Raises; NULL. The argument is what n is in the call. */
PyObject *tokenbucket_fail(Limiter *limiter, const Key *key, tb_status status, double n, const char *argument);
/* What allow() returns. */
PyObject *tokenbucket_answer(Limiter *limiter, const Key *key, tb_status status, double n);
/* What take() returns. */
PyObject *tokenbucket_decision(Limiter *limiter, const Key *key, tb_status status, double n, const tb_decision *d);
PyObject *tokenbucket_status(tb_status status);
PyObject *tokenbucket_promise(const tb_reservation *r);
PyObject *tokenbucket_reservation(tb_status status, const tb_reservation *r);
PyObject *tokenbucket_limit(tb_status status, const tb_config *limit);
/* What _open of a bucket and of a table returns: the status, what is refused, and the fault of shared memory. */
PyObject *tokenbucket_opened(tb_status status, const tb_config_fault *refusal, int32_t fault);

/* Called by the library, with the bucket. What it keeps, tell_all_kept tells on the same thread; tell_kept too, if it
 * may be of this limiter. */
void tokenbucket_keep_event(void *bucket, const tb_event *event);
void tokenbucket_tell_kept(const Limiter *limiter);
void tokenbucket_tell_all_kept(void);

/* ---- waits.c: waiting, and what is called meanwhile -------------------------------------------------------------- */

/* The interpreter's lock. */
void tokenbucket_release_lock(void);
void tokenbucket_retake_lock(void);

/* Sets all that buckets and tables have in common; the caller has checked that clock is a ManualClock or None. */
void tokenbucket_configure(Limiter *limiter, tb_config *config, PyObject *clock);

typedef struct Wait {
    Limiter *limiter;
    const Key *key;
    double n;
    int32_t priority;
    tb_status (*sleep)(const struct Wait *wait, int64_t timeout_ns); /* called without the interpreter's lock */
} Wait;

/* What wait() returns; the timeout may be NULL. */
PyObject *tokenbucket_wait(const Wait *wait, PyObject *timeout);

/* Calls of the library that call on_wake. */
tb_status tokenbucket_clock_set(tb_clock *clock, int64_t now_ns);
void tokenbucket_destroy_bucket(tb_bucket *bucket);
void tokenbucket_destroy_table(tb_table *table);

/* ---- bucket.c, table.c, limits.c, remote.c, module.c ------------------------------------------------------------- */

extern PyMethodDef tokenbucket_bucket_methods[];
extern PyMethodDef tokenbucket_table_methods[];
extern PyMethodDef tokenbucket_limits_methods[];
extern PyType_Spec tokenbucket_waiter_all_spec;
extern PyType_Spec tokenbucket_remote_spec;
extern PyMemberDef tokenbucket_limiter_members[];
PyObject *tokenbucket_limit_refusal(PyObject *module, PyObject *args);
PyObject *tokenbucket_remove_shared(PyObject *module, PyObject *args);
PyObject *tokenbucket_shared_fault(PyObject *module, PyObject *fault);
PyObject *tokenbucket_key_of_address(PyObject *module, PyObject *args);
PyObject *tokenbucket_remote_script(PyObject *module, PyObject *none);
PyObject *tokenbucket_queue_key(PyObject *module, PyObject *key);
PyObject *tokenbucket_ask_many(PyObject *module, PyObject *args);
PyObject *tokenbucket_read_many(PyObject *module, PyObject *args);
void tokenbucket_free_object(PyObject *self);

#endif
