/* Limits in Redis or Valkey: the arguments of a call, and what its reply says. No I/O. Arguments are tuples of ints,
 * replies lists of ints, and an answer is the tuple of the fields of a tb_remote_answer. */
#include "native.h"

typedef struct {
    PyObject_HEAD tb_remote *handle; /* NULL until _open; the library answers NULL with TB_E_INVALID_ARGUMENT */
} Remote;

static PyObject *answer_of(const tb_remote_answer *a) {
    return Py_BuildValue("ddLL", a->tokens, a->remaining, (long long)a->retry_after_ns, (long long)a->reset_after_ns);
}

/* ---- Numbers ----------------------------------------------------------------------------------------------------- */

static PyObject *tuple_of(const int64_t *numbers, size_t count) {
    PyObject *const tuple = PyTuple_New((Py_ssize_t)count);
    for (size_t i = 0; tuple != NULL && i < count; ++i) {
        PyObject *const number = PyLong_FromLongLong(numbers[i]);
        if (number == NULL) {
            Py_DECREF(tuple);
            return NULL;
        }
        PyTuple_SetItem(tuple, (Py_ssize_t)i, number);
    }
    return tuple;
}

/* The status and the arguments, none if it failed. */
static PyObject *asked(tb_status status, const int64_t *arguments, size_t count) {
    return Py_BuildValue("iN", (int)status, tuple_of(arguments, status == TB_SUCCESS ? count : 0));
}

/* The numbers of a tuple or list, which the caller frees; NULL: raised. */
static int64_t *numbers_of(PyObject *sequence, size_t *out_count) {
    const Py_ssize_t count = PySequence_Size(sequence);
    if (count < 0) return NULL;
    int64_t *const numbers = PyMem_Calloc((size_t)count + 1, sizeof *numbers);
    if (numbers == NULL) return (int64_t *)PyErr_NoMemory();
    for (Py_ssize_t i = 0; i < count; ++i) {
        if (tokenbucket_to_long(PySequence_GetItem(sequence, i), &numbers[i]) < 0) {
            PyMem_Free(numbers);
            return NULL;
        }
    }
    *out_count = (size_t)count;
    return numbers;
}

/* A call and its reply. */
typedef struct {
    int64_t *arguments, *reply;
    size_t argument_count, reply_count;
} Exchange;

static void release_exchange(Exchange *e) {
    PyMem_Free(e->arguments);
    PyMem_Free(e->reply);
}

/* The caller releases it, also if this has raised: -1. */
static int to_exchange(PyObject *arguments, PyObject *reply, Exchange *out) {
    *out = (Exchange){NULL, NULL, 0, 0};
    out->arguments = numbers_of(arguments, &out->argument_count);
    if (out->arguments != NULL) out->reply = numbers_of(reply, &out->reply_count);
    return out->reply == NULL ? -1 : 0;
}

/* ---- A limit ----------------------------------------------------------------------------------------------------- */

static void remote_dealloc(PyObject *object) {
    tb_remote_destroy(((Remote *)object)->handle);
    tokenbucket_free_object(object);
}

static PyObject *remote_open(PyObject *object, PyObject *args) {
    Remote *const self = (Remote *)object;
    tb_config config;
    tb_config_fault refusal = {NULL, NULL};
    long long period_ns, max_wait_ns;
    tb_config_init(&config, sizeof config);
    if (!PyArg_ParseTuple(args, "ddLL:_open", &config.capacity, &config.rate_tokens, &period_ns, &max_wait_ns))
        return NULL;
    if (self->handle != NULL) {
        PyErr_SetString(PyExc_RuntimeError, "the limit exists already");
        return NULL;
    }
    config.rate_period_ns = period_ns;
    const tb_status status = tb_remote_create(&config, max_wait_ns, &self->handle);
    if (status != TB_SUCCESS) tb_remote_config_check(&config, max_wait_ns, &refusal);
    return Py_BuildValue("izz", (int)status, refusal.field, refusal.allowed);
}

static PyObject *remote_exists(PyObject *object, PyObject *none) {
    (void)none;
    return PyBool_FromLong(((Remote *)object)->handle != NULL);
}

static PyObject *remote_limit(PyObject *object, PyObject *none) {
    (void)none;
    tb_config limit = {.struct_size = sizeof limit};
    const tb_status status = tb_remote_get_limit(((Remote *)object)->handle, &limit);
    return tokenbucket_limit(status, &limit);
}

/* ---- Questions about a key --------------------------------------------------------------------------------------- */

typedef tb_status (*Question)(const tb_remote *remote, double n, int64_t *out_arguments, size_t *out_count);

static PyObject *ask(PyObject *object, PyObject *amount, Question question) {
    int64_t arguments[TB_REMOTE_MAX_ARGUMENTS];
    size_t count = 0;
    const double n = PyFloat_AsDouble(amount);
    if (PyErr_Occurred()) return NULL;
    const tb_status status = question(((Remote *)object)->handle, n, arguments, &count);
    return asked(status, arguments, count);
}

static PyObject *remote_take(PyObject *self, PyObject *n) {
    return ask(self, n, tb_remote_take);
}

static PyObject *remote_take_up_to(PyObject *self, PyObject *most) {
    return ask(self, most, tb_remote_take_up_to);
}

static PyObject *remote_charge(PyObject *self, PyObject *n) {
    return ask(self, n, tb_remote_charge);
}

static PyObject *remote_refund(PyObject *self, PyObject *n) {
    return ask(self, n, tb_remote_refund);
}

static PyObject *remote_reset(PyObject *self, PyObject *tokens) {
    return ask(self, tokens, tb_remote_reset);
}

static PyObject *remote_peek(PyObject *self, PyObject *n) {
    return ask(self, n, tb_remote_peek);
}

static PyObject *remote_reserve(PyObject *object, PyObject *args) {
    int64_t arguments[TB_REMOTE_MAX_ARGUMENTS];
    size_t count = 0;
    double n;
    long long max_wait_ns;
    if (!PyArg_ParseTuple(args, "dL:_ask_reserve", &n, &max_wait_ns)) return NULL;
    const tb_status status = tb_remote_reserve(((Remote *)object)->handle, n, max_wait_ns, arguments, &count);
    return asked(status, arguments, count);
}

static PyObject *remote_cancel(PyObject *object, PyObject *promise) {
    int64_t arguments[TB_REMOTE_MAX_ARGUMENTS];
    size_t count = 0;
    tb_reservation reservation;
    if (tokenbucket_to_reservation(promise, &reservation) < 0) return NULL;
    const tb_status status = tb_remote_cancel(((Remote *)object)->handle, &reservation, arguments, &count);
    return asked(status, arguments, count);
}

static PyObject *remote_settle(PyObject *object, PyObject *args) {
    int64_t arguments[TB_REMOTE_MAX_ARGUMENTS];
    size_t count = 0;
    PyObject *promise;
    double actual;
    tb_reservation reservation;
    if (!PyArg_ParseTuple(args, "Od:_ask_settle", &promise, &actual)) return NULL;
    if (tokenbucket_to_reservation(promise, &reservation) < 0) return NULL;
    const tb_status status = tb_remote_settle(((Remote *)object)->handle, &reservation, actual, arguments, &count);
    return asked(status, arguments, count);
}

static PyObject *remote_read(PyObject *object, PyObject *args) {
    PyObject *arguments, *reply, *result = NULL;
    Exchange e;
    if (!PyArg_ParseTuple(args, "OO:_read", &arguments, &reply)) return NULL;
    if (to_exchange(arguments, reply, &e) == 0) {
        tb_remote_answer answer = {0, 0, 0, 0};
        const tb_remote *const remote = ((Remote *)object)->handle;
        const tb_status status = tb_remote_read(remote, e.arguments, e.argument_count, e.reply, e.reply_count, &answer);
        result = Py_BuildValue("iN", (int)status, answer_of(&answer));
    }
    release_exchange(&e);
    return result;
}

static PyObject *remote_read_reservation(PyObject *object, PyObject *args) {
    PyObject *arguments, *reply, *result = NULL;
    Exchange e;
    if (!PyArg_ParseTuple(args, "OO:_read_reservation", &arguments, &reply)) return NULL;
    if (to_exchange(arguments, reply, &e) == 0) {
        tb_reservation reservation = {0, 0, 0, 0};
        const tb_remote *const remote = ((Remote *)object)->handle;
        const tb_status status =
            tb_remote_read_reservation(remote, e.arguments, e.argument_count, e.reply, e.reply_count, &reservation);
        result = tokenbucket_reservation(status, &reservation);
    }
    release_exchange(&e);
    return result;
}

/* ---- Many keys in one call --------------------------------------------------------------------------------------- */

/* Of a list of tuples of a limit, a key and an amount, which must outlive them. The caller frees them; NULL: raised. */
static tb_remote_member *members_of(PyObject *tuples, size_t *out_count) {
    const Py_ssize_t count = PyList_Size(tuples);
    if (count < 0) return NULL;
    tb_remote_member *const members = PyMem_Calloc((size_t)count + 1, sizeof *members);
    if (members == NULL) return (tb_remote_member *)PyErr_NoMemory();
    for (Py_ssize_t i = 0; i < count; ++i) {
        PyObject *remote;
        const char *key;
        Py_ssize_t size;
        if (!PyArg_ParseTuple(PyList_GetItem(tuples, i), "Oy#d:member", &remote, &key, &size, &members[i].n)) {
            PyMem_Free(members);
            return NULL;
        }
        members[i].remote = ((Remote *)remote)->handle;
        members[i].key = key;
        members[i].key_size = (size_t)size;
    }
    *out_count = (size_t)count;
    return members;
}

PyObject *tokenbucket_ask_many(PyObject *module, PyObject *args) {
    (void)module;
    PyObject *tuples, *result = NULL;
    int all;
    size_t count = 0, argument_count = 0;
    if (!PyArg_ParseTuple(args, "O!p:ask_many", &PyList_Type, &tuples, &all)) return NULL;
    tb_remote_member *const members = members_of(tuples, &count);
    if (members == NULL) return NULL;
    int64_t *const arguments = PyMem_Calloc(5 * count + 1, sizeof *arguments);
    if (arguments != NULL) {
        const tb_status status = all ? tb_remote_take_all(members, count, arguments, &argument_count)
                                     : tb_remote_take_each(members, count, arguments, &argument_count);
        result = asked(status, arguments, argument_count);
    } else {
        PyErr_NoMemory();
    }
    PyMem_Free(arguments);
    PyMem_Free(members);
    return result;
}

/* A list with, for each member, its status and its answer; empty if the reply could not be read. */
static PyObject *answers_of(const tb_status *statuses, const tb_remote_answer *answers, size_t count) {
    PyObject *const list = PyList_New((Py_ssize_t)count);
    for (size_t i = 0; list != NULL && i < count; ++i) {
        PyObject *const one = Py_BuildValue("iN", (int)statuses[i], answer_of(&answers[i]));
        if (one == NULL) {
            Py_DECREF(list);
            return NULL;
        }
        PyList_SetItem(list, (Py_ssize_t)i, one);
    }
    return list;
}

PyObject *tokenbucket_read_many(PyObject *module, PyObject *args) {
    (void)module;
    PyObject *tuples, *arguments, *reply, *result = NULL;
    size_t count = 0;
    Exchange e;
    if (!PyArg_ParseTuple(args, "O!OO:read_many", &PyList_Type, &tuples, &arguments, &reply)) return NULL;
    tb_remote_member *const members = members_of(tuples, &count);
    if (members == NULL) return NULL;
    tb_status *const statuses = PyMem_Calloc(count + 1, sizeof *statuses);
    tb_remote_answer *const answers = PyMem_Calloc(count + 1, sizeof *answers);
    const int is_read = to_exchange(arguments, reply, &e) == 0;
    if (statuses == NULL || answers == NULL) {
        PyErr_NoMemory();
    } else if (is_read) {
        const tb_status status = tb_remote_read_many(members, count, e.arguments, e.argument_count, e.reply,
                                                     e.reply_count, statuses, answers);
        result = Py_BuildValue("iN", (int)status, answers_of(statuses, answers, status < 0 ? 0 : count));
    }
    release_exchange(&e);
    PyMem_Free(answers);
    PyMem_Free(statuses);
    PyMem_Free(members);
    return result;
}

/* ---- The script, and the second key ------------------------------------------------------------------------------ */

PyObject *tokenbucket_remote_script(PyObject *module, PyObject *none) {
    (void)module;
    (void)none;
    return Py_BuildValue("ss", tb_remote_script(), tb_remote_script_sha1());
}

PyObject *tokenbucket_queue_key(PyObject *module, PyObject *key) {
    (void)module;
    char *bytes;
    Py_ssize_t key_size;
    size_t size = 0;
    if (PyBytes_AsStringAndSize(key, &bytes, &key_size) < 0) return NULL;
    char *const out = PyMem_Malloc((size_t)key_size + TB_REMOTE_QUEUE_KEY_ADDS);
    if (out == NULL) return PyErr_NoMemory();
    const tb_status status = tb_remote_queue_key(bytes, (size_t)key_size, out, &size);
    PyObject *const result =
        status == TB_SUCCESS ? PyBytes_FromStringAndSize(out, (Py_ssize_t)size) : Py_NewRef(Py_None);
    PyMem_Free(out);
    return result;
}

/* ---- The class --------------------------------------------------------------------------------------------------- */

static PyMethodDef remote_methods[] = {
    {"_open", remote_open, METH_VARARGS, NULL},
    {"_exists", remote_exists, METH_NOARGS, NULL},
    {"_limit", remote_limit, METH_NOARGS, NULL},
    {"_ask_take", remote_take, METH_O, NULL},
    {"_ask_take_up_to", remote_take_up_to, METH_O, NULL},
    {"_ask_charge", remote_charge, METH_O, NULL},
    {"_ask_refund", remote_refund, METH_O, NULL},
    {"_ask_reset", remote_reset, METH_O, NULL},
    {"_ask_peek", remote_peek, METH_O, NULL},
    {"_ask_reserve", remote_reserve, METH_VARARGS, NULL},
    {"_ask_cancel", remote_cancel, METH_O, NULL},
    {"_ask_settle", remote_settle, METH_VARARGS, NULL},
    {"_read", remote_read, METH_VARARGS, NULL},
    {"_read_reservation", remote_read_reservation, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot remote_slots[] = {
    {Py_tp_dealloc, remote_dealloc},
    {Py_tp_methods, remote_methods},
    {0, NULL},
};

PyType_Spec tokenbucket_remote_spec = {
    .name = "tokenbucket._native.Remote",
    .basicsize = sizeof(Remote),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .slots = remote_slots,
};
