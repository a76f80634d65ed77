"""Reads a gunicorn.conf.py without running it, and prints what it sets as JSON.

The program is parsed, and of its expressions those are worked out that need
nothing but literals, earlier names, arithmetic, and a few functions that cannot
change anything: what the environment says, how many processors there are, paths.
"""

import ast
import json
import operator
import os
import sys

FUNCTIONS = {
    "multiprocessing.cpu_count": lambda: os.cpu_count() or 1,
    "os.cpu_count": lambda: os.cpu_count() or 1,
    "os.getenv": os.environ.get,
    "os.environ.get": os.environ.get,
    "os.path.join": os.path.join,
    "os.path.dirname": os.path.dirname,
    "os.path.basename": os.path.basename,
    "os.path.abspath": os.path.abspath,
    "os.path.realpath": os.path.realpath,
    "os.path.exists": os.path.exists,
    "os.getcwd": os.getcwd,
    "pathlib.Path": lambda *parts: os.path.join(*parts) if parts else ".",
    "bool": bool,
    "dict": dict,
    "float": float,
    "int": int,
    "len": len,
    "list": list,
    "max": max,
    "min": min,
    "round": round,
    "str": str,
    "tuple": tuple,
}
METHODS = {
    (str, "format"),
    (str, "join"),
    (str, "lower"),
    (str, "replace"),
    (str, "split"),
    (str, "startswith"),
    (str, "endswith"),
    (str, "strip"),
    (str, "title"),
    (str, "upper"),
    (dict, "get"),
}
OPERATORS = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Is: operator.is_,
    ast.IsNot: operator.is_not,
    ast.In: lambda a, b: a in b,
    ast.NotIn: lambda a, b: a not in b,
}
LARGEST = 1 << 16  # of what multiplying texts and lists may come to


class Unknown(Exception):
    """What an expression gives cannot be told without running the program."""


class Reader:
    def __init__(self, path):
        self.path = path
        self.names = {"__file__": os.path.abspath(path), "__name__": "gunicorn_conf"}
        self.modules = {}  # name in the program: full name
        self.found = []

    def tell(self, node, what, name="", **more):
        source = " ".join(ast.get_source_segment(self.text, node).split())
        self.found.append(
            dict(line=node.lineno, what=what, name=name, source=source, **more)
        )

    def read(self):
        with open(self.path, encoding="utf-8") as file:
            self.text = file.read()
        self.block(ast.parse(self.text, self.path).body)

    def block(self, statements):
        for statement in statements:
            self.statement(statement)

    def statement(self, node):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                self.assign(target, node.value)
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            self.assign(node.target, node.value)
        elif isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
            before = ast.copy_location(ast.Name(node.target.id, ast.Load()), node)
            after = ast.BinOp(before, node.op, node.value)
            self.assign(node.target, ast.copy_location(after, node))
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            self.names.pop(node.name, None)
            self.found.append(
                dict(line=node.lineno, what="function", name=node.name, source="")
            )
        elif isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name if alias.asname else alias.name.split(".")[0]
                self.modules[alias.asname or top] = top
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                full = "%s.%s" % (node.module, alias.name)
                self.modules[alias.asname or alias.name] = full
        elif isinstance(node, ast.If):
            self.choose(node)
        elif isinstance(node, (ast.Pass, ast.ClassDef, ast.AnnAssign)) or (
            isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        ):
            pass
        else:
            self.forget(node)
            self.tell(node, "statement")

    def choose(self, node):
        try:
            holds = self.value(node.test)
        except Unknown:
            self.forget(node)
            self.tell(node.test, "condition")
            return
        self.tell(node.test, "chosen", value=bool(holds))
        self.block(node.body if holds else node.orelse)

    def forget(self, node):
        """Forgets names that the node could give other values."""
        for inner in ast.walk(node):
            if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store):
                self.names.pop(inner.id, None)

    def assign(self, target, node):
        if not isinstance(target, ast.Name):
            self.forget(target)
            self.tell(node, "statement")
            return
        try:
            value = self.value(node)
        except Unknown:
            self.names.pop(target.id, None)
            self.tell(node, "unknown", target.id)
            return
        self.names[target.id] = value
        try:
            json.dumps(value)
        except (TypeError, ValueError):
            self.tell(node, "unknown", target.id)
            return
        literal = not any(
            isinstance(n, (ast.Name, ast.Call, ast.Attribute, ast.BinOp))
            for n in ast.walk(node)
        )
        what = "literal" if literal else "value"
        self.tell(node, what, target.id, value=value)

    def value(self, node):
        work = getattr(self, "value_" + type(node).__name__, None)
        if work is None:
            raise Unknown
        try:
            return work(node)
        except Unknown:
            raise
        except Exception as why:
            raise Unknown from why

    def value_Constant(self, node):
        if isinstance(node.value, (bytes, complex)) or node.value is Ellipsis:
            raise Unknown
        return node.value

    def value_Name(self, node):
        if node.id not in self.names:
            raise Unknown
        return self.names[node.id]

    def value_List(self, node):
        return [self.value(element) for element in node.elts]

    value_Tuple = value_Set = value_List

    def value_Dict(self, node):
        return {self.value(k): self.value(v) for k, v in zip(node.keys, node.values)}

    def value_BinOp(self, node):
        left, right = self.value(node.left), self.value(node.right)
        if isinstance(node.op, ast.Div) and isinstance(left, str):
            return os.path.join(left, right)  # of a pathlib.Path
        if isinstance(node.op, ast.Mult) and not (
            isinstance(left, (int, float)) and isinstance(right, (int, float))
        ):
            sequence, times = (right, left) if isinstance(left, int) else (left, right)
            if len(sequence) * times > LARGEST:
                raise Unknown
        return OPERATORS[type(node.op)](left, right)

    def value_UnaryOp(self, node):
        value = self.value(node.operand)
        if isinstance(node.op, ast.Not):
            return not value
        return -value if isinstance(node.op, ast.USub) else +value

    def value_BoolOp(self, node):
        for part in node.values:
            value = self.value(part)
            if bool(value) == isinstance(node.op, ast.Or):
                break
        return value

    def value_Compare(self, node):
        left = self.value(node.left)
        for op, right in zip(node.ops, node.comparators):
            right = self.value(right)
            if not OPERATORS[type(op)](left, right):
                return False
            left = right
        return True

    def value_IfExp(self, node):
        return self.value(node.body if self.value(node.test) else node.orelse)

    def value_JoinedStr(self, node):
        return "".join(str(self.value(part)) for part in node.values)

    def value_FormattedValue(self, node):
        if node.format_spec is not None or node.conversion != -1:
            raise Unknown
        return self.value(node.value)

    def value_Subscript(self, node):
        if self.full_name(node.value) == "os.environ":
            return os.environ[self.value(node.slice)]
        return self.value(node.value)[self.value(node.slice)]

    def value_Attribute(self, node):
        value = self.value(node.value)
        if isinstance(value, str) and node.attr == "parent":
            return os.path.dirname(value)
        raise Unknown

    def value_Call(self, node):
        arguments = [self.value(a) for a in node.args]
        named = {k.arg: self.value(k.value) for k in node.keywords}
        function = FUNCTIONS.get(self.full_name(node.func))
        if function is not None:
            return function(*arguments, **named)
        if not isinstance(node.func, ast.Attribute):
            raise Unknown
        owner = self.value(node.func.value)
        if isinstance(owner, str) and node.func.attr in ("resolve", "absolute"):
            return os.path.abspath(owner)
        if (type(owner), node.func.attr) not in METHODS:
            raise Unknown
        return getattr(owner, node.func.attr)(*arguments, **named)

    def full_name(self, node):
        """The dotted name of a function, whatever it was imported as."""
        if isinstance(node, ast.Attribute):
            return "%s.%s" % (self.full_name(node.value), node.attr)
        if not isinstance(node, ast.Name) or node.id in self.names:
            return ""
        return self.modules.get(node.id, node.id)


def main():
    reader = Reader(sys.argv[1])
    try:
        reader.read()
    except SyntaxError as why:
        sys.exit("%s:%s: %s" % (sys.argv[1], why.lineno, why.msg))
    except (OSError, ValueError) as why:
        sys.exit(str(why))
    json.dump(reader.found, sys.stdout)


main()
