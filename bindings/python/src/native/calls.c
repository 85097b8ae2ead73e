/* What the methods of buckets and tables share: arguments, answers, events. */
#include "native.h"

/* ---- Arguments --------------------------------------------------------------------------------------------------- */

static int find_name(const char *const *names, PyObject *wanted) {
    int i = 0;
    while (names[i] != NULL && PyUnicode_CompareWithASCIIString(wanted, names[i]) != 0) ++i;
    return i;
}

int tokenbucket_arrange(const char *function, const char *const *names, Py_ssize_t required, Py_ssize_t most,
                        PyObject *const *args, Py_ssize_t count, PyObject *keywords, PyObject **values) {
    if (count > most) {
        PyErr_Format(PyExc_TypeError, "%s() takes at most %zd arguments (%zd given)", function, most, count);
        return -1;
    }
    for (Py_ssize_t i = 0; i < count; ++i) values[i] = args[i];
    const Py_ssize_t named = keywords == NULL ? 0 : PyTuple_Size(keywords);
    for (Py_ssize_t i = 0; i < named; ++i) {
        PyObject *const name = PyTuple_GetItem(keywords, i);
        const int place = find_name(names, name);
        if (names[place] == NULL) {
            PyErr_Format(PyExc_TypeError, "%s() got an unexpected keyword argument '%U'", function, name);
            return -1;
        }
        if (place < count) {
            PyErr_Format(PyExc_TypeError, "%s() got multiple values for argument '%U'", function, name);
            return -1;
        }
        values[place] = args[count + i];
    }
    for (Py_ssize_t i = 0; i < required; ++i) {
        if (values[i] == NULL) {
            PyErr_Format(PyExc_TypeError, "%s() missing a required argument: '%s'", function, names[i]);
            return -1;
        }
    }
    return 0;
}

int tokenbucket_to_tokens(const Imports *imports, const char *argument, PyObject *value, double *out_n) {
    if (value == NULL) {
        *out_n = 1;
        return 0;
    }
    if (PyFloat_CheckExact(value)) {
        *out_n = PyFloat_AsDouble(value);
        return 0;
    }
    if (PyLong_CheckExact(value)) {
        *out_n = PyLong_AsDouble(value);
        if (*out_n != -1 || !PyErr_Occurred()) return 0;
        PyErr_Clear();
    }
    PyObject *const number = PyObject_CallFunction(imports->number, "Os", value, argument);
    if (number == NULL) return -1;
    *out_n = PyFloat_AsDouble(number);
    Py_DECREF(number);
    return 0;
}

int tokenbucket_to_priority(const Imports *imports, PyObject *value, int32_t *out) {
    int64_t priority = 0;
    if (value != NULL &&
        tokenbucket_to_long(PyObject_CallFunctionObjArgs(imports->priority, value, NULL), &priority) < 0)
        return -1;
    *out = (int32_t)priority;
    return 0;
}

int tokenbucket_to_long(PyObject *number, int64_t *out) {
    if (number == NULL) return -1;
    *out = PyLong_AsLongLong(number);
    Py_DECREF(number);
    return PyErr_Occurred() ? -1 : 0;
}

int tokenbucket_to_reservation(PyObject *promise, tb_reservation *out) {
    long long wait_ns, ready_at_ns;
    unsigned long long ticket;
    if (!PyArg_ParseTuple(promise, "dLLK:promise", &out->tokens, &wait_ns, &ready_at_ns, &ticket)) return -1;
    out->wait_ns = wait_ns;
    out->ready_at_ns = ready_at_ns;
    out->ticket = ticket;
    return 0;
}

/* ---- Events ------------------------------------------------------------------------------------------------------ */

/* The library calls on_event on the calling thread, at most once a call for each bucket that takes part, perhaps while
 * the interpreter's lock is released. So events are kept here, and told when the call is over; the caller has the
 * buckets until then. A call that is made in a wake, as by a task that is collected, tells those of both. */
static _Thread_local struct {
    size_t count;
    struct {
        const Limiter *bucket;
        tb_event event;
    } kept[2 * TB_MAX_MEMBERS];
} told;

void tokenbucket_keep_event(void *bucket, const tb_event *event) {
    if (told.count == sizeof told.kept / sizeof told.kept[0]) return;
    told.kept[told.count].bucket = bucket;
    told.kept[told.count++].event = *event;
}

static void tell(const Limiter *self, const tb_event *event) {
    if (self->imports->tell == NULL) return; /* The interpreter is shutting down. */
    PyObject *const done = PyObject_CallFunction(self->imports->tell, "OidL", self->on_event, (int)event->status,
                                                 event->n, (long long)event->waited_ns);
    if (done == NULL) PyErr_WriteUnraisable(self->on_event);
    Py_XDECREF(done);
}

/* What is called may make calls that tell, so each is taken out first. */
void tokenbucket_tell_all_kept(void) {
    while (told.count > 0) {
        const Limiter *const bucket = told.kept[0].bucket;
        const tb_event event = told.kept[0].event;
        memmove(told.kept, told.kept + 1, --told.count * sizeof told.kept[0]);
        tell(bucket, &event);
    }
}

void tokenbucket_tell_kept(const Limiter *self) {
    if (self->on_event != NULL) tokenbucket_tell_all_kept();
}

/* ---- Answers ----------------------------------------------------------------------------------------------------- */

PyObject *tokenbucket_fail(Limiter *self, const Key *key, tb_status status, double n, const char *argument) {
    PyObject *const raise = self->imports->fail;
    if (key == NULL) return PyObject_CallFunction(raise, "Oidis", self, (int)status, n, -1, argument);
    return PyObject_CallFunction(raise, "Oidisy#", self, (int)status, n, -1, argument, key->bytes, key->size);
}

PyObject *tokenbucket_answer(Limiter *self, const Key *key, tb_status status, double n) {
    if (status == TB_SUCCESS) Py_RETURN_TRUE;
    if (status == TB_DENIED || status == TB_EXCEEDS_CAPACITY) Py_RETURN_FALSE;
    return tokenbucket_fail(self, key, status, n, "tokens");
}

/* Takes over the values; if one is NULL so is the tuple. */
static PyObject *tuple_of(PyObject *const *values, Py_ssize_t count) {
    PyObject *const tuple = PyTuple_New(count);
    int is_whole = tuple != NULL;
    for (Py_ssize_t i = 0; i < count; ++i) {
        is_whole = is_whole && values[i] != NULL;
        if (tuple != NULL)
            PyTuple_SetItem(tuple, i, values[i]);
        else
            Py_XDECREF(values[i]);
    }
    if (is_whole) return tuple;
    Py_XDECREF(tuple);
    return NULL;
}

/* Decision.__new__ would have to be called as a Python function; tuple's makes the same object. */
static PyObject *new_decision(const Imports *imports, const tb_decision *d) {
    if (imports->decision == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "the interpreter is shutting down");
        return NULL;
    }
    PyObject *const values[] = {Py_NewRef(d->status == TB_SUCCESS ? Py_True : Py_False),
                                PyFloat_FromDouble(d->remaining), PyLong_FromLongLong(d->retry_after_ns),
                                PyLong_FromLongLong(d->reset_after_ns)};
    PyObject *const fields = tuple_of(values, 4);
    if (fields == NULL) return NULL;
    PyObject *const arguments = tuple_of(&fields, 1);
    if (arguments == NULL) return NULL;
    PyObject *const decision = imports->new_tuple((PyTypeObject *)imports->decision, arguments, NULL);
    Py_DECREF(arguments);
    return decision;
}

PyObject *tokenbucket_decision(Limiter *self, const Key *key, tb_status status, double n, const tb_decision *d) {
    if (status == TB_SUCCESS || status == TB_DENIED || status == TB_EXCEEDS_CAPACITY)
        return new_decision(self->imports, d);
    return tokenbucket_fail(self, key, status, n, "tokens");
}

PyObject *tokenbucket_status(tb_status status) {
    return PyLong_FromLong(status);
}

PyObject *tokenbucket_promise(const tb_reservation *r) {
    return Py_BuildValue("dLLK", r->tokens, (long long)r->wait_ns, (long long)r->ready_at_ns,
                         (unsigned long long)r->ticket);
}

PyObject *tokenbucket_reservation(tb_status status, const tb_reservation *r) {
    return Py_BuildValue("iN", (int)status, tokenbucket_promise(r));
}

PyObject *tokenbucket_limit(tb_status status, const tb_config *limit) {
    return Py_BuildValue("iddL", (int)status, limit->capacity, limit->rate_tokens, (long long)limit->rate_period_ns);
}

PyObject *tokenbucket_opened(tb_status status, const tb_config_fault *refusal, int32_t fault) {
    return Py_BuildValue("izzi", (int)status, refusal->field, refusal->allowed, (int)fault);
}

PyMemberDef tokenbucket_limiter_members[] = {
    {"_clock", T_OBJECT, offsetof(Limiter, clock), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};
