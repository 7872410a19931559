"""4 000 combinations, of which those that make no sense say so in their set-up."""

import operator

OPERATIONS = {
    "add": operator.add, "sub": operator.sub, "mul": operator.mul, "truediv": operator.truediv,
    "floordiv": operator.floordiv, "mod": operator.mod, "and": operator.and_, "or": operator.or_,
    "xor": operator.xor, "lshift": operator.lshift,
}
BITS = ("and", "or", "xor", "lshift")
TYPES = ["bool", "int8", "int16", "int32", "int64", "huge", "float16", "float32", "float64", "complex"]
SIZES = [1, 2, 3, 5, 10, 20, 30, 50, 70, 100]


def values(kind, size):
    if kind == "bool":
        return [True] * size
    if kind.startswith("int"):
        return list(range(1, size + 1))
    if kind == "huge":
        return [10**30 + i for i in range(size)]
    return [complex(i, 1) if kind == "complex" else i + 0.5 for i in range(size)]


class Binary:
    """The operator of each pair of values."""

    params = (list(OPERATIONS), TYPES, SIZES, ("list", "tuple", "iterator", "dict"))
    param_names = ("operation", "type", "size", "container")

    def setup(self, operation, kind, size, container):
        inexact = kind.startswith(("float", "complex"))
        if operation in BITS and inexact:
            raise NotImplementedError("%s has no bits" % kind)
        if kind == "complex" and operation in ("floordiv", "mod"):
            raise NotImplementedError
        if container == "dict" and size > 50:
            raise NotImplementedError("too many keys")
        made = values(kind, size)
        self.right = [2] * size
        self.left = dict.fromkeys(range(size), made[0]).values() if container == "dict" else (
            tuple(made) if container == "tuple" else made)
        self.operation = OPERATIONS[operation]

    def time_operation(self, operation, kind, size, container):
        left = iter(self.left) if container == "iterator" else self.left
        list(map(self.operation, left, self.right))
