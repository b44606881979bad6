"""How much a saving run keeps, from a plan and shapes alone: what tracers ask of tensors that are
not there. Shapes may be symbols (torch.SymInt), and so is the answer then.

It is nysjit_saved_size in other words; the expressions are those of runtime/plan/expression.h.
"""

import functools
import json

from nysjit import _library, with_pass


@functools.cache
def completed(spec_json, head_dim, dtype):
    """The spec with these where it has none of its own, as libnysjit_hosts.so completes it."""
    return json.dumps({"head_dim": head_dim, "dtype": dtype, **json.loads(spec_json)})


@functools.cache
def plan_of(spec_json, device):
    """The plan of a spec's saving program."""
    return _library.program_info(with_pass(spec_json, "saving"), device, None)["plan"]


def saved_bytes(spec_json, device, shapes, max_length, least, most):
    """Bytes of `saved`.

    shapes: {argument's name: shape} of the tensors given. max_length: 0 without lengths, which is
    then the rows there are. least, most: of two numbers, for symbols.
    """
    plan = plan_of(spec_json, device)
    symbols = _bind(plan, shapes, max_length)
    step = 256 if plan["target"].startswith("cuda") else 64
    total = 0
    for buffer in plan["buffers"]:
        if buffer.get("saved"):
            bytes_ = evaluate(buffer["bytes"], symbols, least, most)
            total = total + (bytes_ + step - 1) // step * step
    return total


def _bind(plan, shapes, max_length):
    """The value of each symbol that a buffer's size may have."""
    symbols = {}
    for argument in plan["arguments"]:
        shape = shapes.get(argument["name"])
        dimensions = argument["shape"]
        packed = argument.get("packed_symbol")
        if packed and shape is not None:
            symbols.setdefault(packed, int(len(shape) == 3))
            if len(shape) == 3:  # [total, H, d] stands for [1, H, total, d]
                shape = (1, shape[1], shape[0], shape[2])
        if "presence_symbol" in argument:
            symbols[argument["presence_symbol"]] = int(shape is not None)
        for i, name in enumerate(dimensions):
            if isinstance(name, str):
                symbols.setdefault(name, 0 if shape is None else shape[i])
    sequences = plan.get("sequences", {})
    if sequences:
        symbols[sequences["max_length"]] = max_length or symbols[sequences["rows"]]
    if plan.get("saved"):
        symbols[plan["saved"]["symbol"]] = 1
    return symbols


def evaluate(expression, symbols, least, most):
    """An expression of a plan: a number, a symbol's name, or [operator, operands...]."""
    if isinstance(expression, int):
        return expression
    if isinstance(expression, str):
        return symbols[expression]
    operator, *operands = expression
    if operator == "select":
        condition, then, otherwise = operands
        chosen = then if evaluate(condition, symbols, least, most) else otherwise
        return evaluate(chosen, symbols, least, most)
    values = [evaluate(operand, symbols, least, most) for operand in operands]
    if operator in ("min", "max"):
        return (least if operator == "min" else most)(*values)
    return _OPERATIONS[operator](*values)


_OPERATIONS = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "ceildiv": lambda a, b: (a + b - 1) // b,
    "floordiv": lambda a, b: a // b,
    "mod": lambda a, b: a % b,
    "<": lambda a, b: int(bool(a < b)),
    "<=": lambda a, b: int(bool(a <= b)),
    "==": lambda a, b: int(bool(a == b)),
    "and": lambda a, b: int(bool(a) and bool(b)),
    "or": lambda a, b: int(bool(a) or bool(b)),
    "not": lambda a: int(not a),
}
