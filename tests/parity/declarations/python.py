"""Reads the declarations for ctypes in the Python binding, in its spelling of types."""

import ast

from table import Binding, Unreadable, put

SCALARS = {
    "double": "c_double",
    "int32_t": "c_int32",
    "int64_t": "c_int64",
    "uint32_t": "c_uint32",
    "uint64_t": "c_uint64",
    "size_t": "c_size_t",
    "void": "None",
    "void *": "c_void_p",
    "const char *": "c_char_p",
}
CONSTANTS = {"double": "float", "int32_t": "int", "int64_t": "int", "uint32_t": "int", "tb_status": "int"}


def read(text):
    table = {}
    for statement in ast.parse(text).body:
        if not read_statement(table, statement):
            raise Unreadable(f"python: {ast.unparse(statement)[:80]}")
    return table


def read_statement(table, statement):
    """Whether it is one of the forms that the binding's files are written in."""
    if isinstance(statement, ast.Assign) and len(statement.targets) == 1 and isinstance(statement.targets[0], ast.Name):
        return read_assignment(table, statement.targets[0].id, statement.value)
    if isinstance(statement, ast.ClassDef):
        return read_class(table, statement)
    is_docstring = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    is_callback = isinstance(statement, ast.FunctionDef) and statement.name == "callback"
    return is_docstring or is_callback or isinstance(statement, ast.ImportFrom)


def read_assignment(table, name, value):
    spelling = f"{name} = {ast.unparse(value)}"
    if name == "FUNCTIONS":
        for key, signature in zip(value.keys, value.values):
            function = ast.literal_eval(key)
            spelling = f"{function}: {ast.unparse(signature)}"
            put(table, function, "function", signature_of(signature.elts), spelling)
    elif isinstance(value, ast.Call) and ast.unparse(value.func) == "callback":
        put(table, name, "callback", signature_of(value.args), spelling)
    elif name.startswith("TB_"):
        number = constant(value)
        put(table, name, "constant", ((number, type(number).__name__),), spelling)
    elif isinstance(value, ast.Name):
        put(table, name, "alias", (("", value.id),), spelling)
    else:
        return False
    return True


def constant(value):
    text = ast.unparse(value)
    if text == "2 ** 63 - 1":
        return 2**63 - 1
    try:
        number = ast.literal_eval(value)
    except ValueError:
        number = None
    if type(number) not in (int, float):
        raise Unreadable(f"python: a constant is {text}")
    return number


def signature_of(elements):
    """A result, then (name, type) pairs."""
    result, *parameters = elements
    return (("", ast.unparse(result)), *map(pair, parameters))


def pair(element):
    if not isinstance(element, ast.Tuple) or len(element.elts) != 2:
        raise Unreadable(f"python: no (name, type): {ast.unparse(element)}")
    name, type_ = element.elts
    return ast.literal_eval(name), ast.unparse(type_)


def read_class(table, statement):
    """A structure with its fields and nothing else, such as _pack_, or without any: opaque."""
    bases, body = [ast.unparse(base) for base in statement.bases], statement.body
    if bases != ["Structure"] or statement.decorator_list or len(body) != 1:
        return False
    if isinstance(body[0], ast.Pass):
        put(table, statement.name, "opaque", (), f"class {statement.name}: pass")
        return True
    if not isinstance(body[0], ast.Assign) or ast.unparse(body[0].targets[0]) != "_fields_":
        return False
    fields = [pair(element) for element in body[0].value.elts]
    put(table, statement.name, "struct", fields, f"class {statement.name}: {ast.unparse(body[0])}")
    return True


def accepts(ctype, type_):
    if type_ in ("int", "float"):
        return CONSTANTS.get(ctype) == type_
    if ctype in SCALARS:
        return type_ == SCALARS[ctype]
    target = ctype.removeprefix("const ")
    if target.endswith("*"):
        is_pointer = type_.startswith("POINTER(") and type_.endswith(")")
        return is_pointer and accepts(target[:-1].rstrip(), type_[len("POINTER(") : -1])
    return type_ == target


# ctypes has no const, and a function that is not used is not declared.
BINDING = Binding(
    name="python",
    files="bindings/python/src/tokenbucket/_[cd]*s.py",
    read=read,
    is_complete=False,
    accepts=accepts,
)
