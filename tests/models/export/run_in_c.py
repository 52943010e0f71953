"""Runs a SavedModel through TensorFlow's C API alone: python -I -S run_in_c.py LIBRARIES MODEL.

This is the C++ code that TensorFlow Serving loads models with. No TensorFlow for Python is imported, and none
could be: with -I -S only the standard library is on the path.

Reads a list of {"inputs": {"name:0": [type, [value, ...]]}, "outputs": ["name:0", ...]} from standard input,
with the number of the DataType, and writes for each a list of {"shape": [...], "values": [...]}. Strings are
in hexadecimal.
"""

import ctypes
import json
import pathlib
import sys

FLOAT, STRING = 1, 7
NUMBERS = {FLOAT: ctypes.c_float, 3: ctypes.c_int32, 9: ctypes.c_int64}
STRING_SIZE = 24  # sizeof(TF_TString)


class Output(ctypes.Structure):
    """TF_Output."""

    _fields_ = (("operation", ctypes.c_void_p), ("index", ctypes.c_int))


# What functions of the C API return; all others a pointer or nothing.
RETURNS = {
    "TF_Message": ctypes.c_char_p,
    "TF_GetCode": ctypes.c_int,
    "TF_NumDims": ctypes.c_int,
    "TF_TensorType": ctypes.c_int,
    "TF_Dim": ctypes.c_int64,
    "TF_StringGetSize": ctypes.c_size_t,
}


class Api:
    """The functions of the C API by name."""

    def __init__(self, folder: str):
        path = pathlib.Path(folder)
        self._libraries = [
            ctypes.CDLL(str(path / name), mode=ctypes.RTLD_GLOBAL)
            for name in ("libtensorflow_framework.so.2", "libtensorflow_cc.so.2")
        ]
        self.status = ctypes.c_void_p(self("TF_NewStatus"))

    def __call__(self, name: str, *arguments):
        for library in self._libraries:
            if hasattr(library, name):
                function = getattr(library, name)
                function.restype = RETURNS.get(name, ctypes.c_void_p)
                return function(*arguments)
        raise AttributeError(name)

    def check(self) -> None:
        if self("TF_GetCode", self.status):
            sys.exit(self("TF_Message", self.status).decode())


def to_tensor(api: Api, kind: int, values: list) -> ctypes.c_void_p:
    shape = (ctypes.c_int64 * 1)(len(values))
    size = STRING_SIZE if kind == STRING else ctypes.sizeof(NUMBERS[kind])
    tensor = ctypes.c_void_p(api("TF_AllocateTensor", kind, shape, 1, ctypes.c_size_t(size * len(values))))
    data = api("TF_TensorData", tensor)
    if kind != STRING:
        (NUMBERS[kind] * len(values)).from_address(data)[:] = values
        return tensor
    for place, value in enumerate(map(bytes.fromhex, values)):
        slot = ctypes.c_void_p(data + STRING_SIZE * place)
        api("TF_StringInit", slot)
        api("TF_StringCopy", slot, value, ctypes.c_size_t(len(value)))
    return tensor


def read_tensor(api: Api, tensor: ctypes.c_void_p) -> dict:
    shape = [api("TF_Dim", tensor, place) for place in range(api("TF_NumDims", tensor))]
    count = 1
    for size in shape:
        count *= size
    kind, data = api("TF_TensorType", tensor), api("TF_TensorData", tensor)
    if kind == FLOAT:
        values = list((ctypes.c_float * count).from_address(data)) if count else []
    elif kind == STRING:
        values = []
        for place in range(count):
            slot = ctypes.c_void_p(data + STRING_SIZE * place)
            length = api("TF_StringGetSize", slot)
            values.append(ctypes.string_at(api("TF_StringGetDataPointer", slot), length).hex())
    else:
        sys.exit(f"an output of type {kind}")
    return {"shape": shape, "values": values}


def main() -> None:
    folder, model = sys.argv[1:]
    requests = json.load(sys.stdin)
    api = Api(folder)
    graph = ctypes.c_void_p(api("TF_NewGraph"))
    options = ctypes.c_void_p(api("TF_NewSessionOptions"))
    tags = (ctypes.c_char_p * 1)(b"serve")
    session = ctypes.c_void_p(
        api(
            "TF_LoadSessionFromSavedModel",
            options,
            None,
            model.encode(),
            tags,
            1,
            graph,
            None,
            api.status,
        )
    )
    api.check()

    def places(names: list[str]):
        outputs = (Output * len(names))()
        for place, name in enumerate(names):
            operation, _, index = name.partition(":")
            found = api("TF_GraphOperationByName", graph, operation.encode())
            if not found:
                sys.exit(f"no operation {operation} in {model}")
            outputs[place] = Output(found, int(index))
        return outputs

    def run(request: dict) -> list[dict]:
        names, vectors = zip(*request["inputs"].items(), strict=True)
        tensors = [to_tensor(api, kind, values) for kind, values in vectors]
        fed = (ctypes.c_void_p * len(tensors))(*[tensor.value for tensor in tensors])
        results = (ctypes.c_void_p * len(request["outputs"]))()
        api(
            "TF_SessionRun",
            session,
            None,
            places(list(names)),
            fed,
            len(tensors),
            places(request["outputs"]),
            results,
            len(results),
            None,
            0,
            None,
            api.status,
        )
        api.check()
        return [read_tensor(api, ctypes.c_void_p(result)) for result in results]

    json.dump([run(request) for request in requests], sys.stdout)


if __name__ == "__main__":
    main()
