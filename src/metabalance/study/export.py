"""A trained model as one file for other runtimes: ONNX, or a program of ``torch.export``.

Preprocessing, network, prior shift, calibration and decision, or values and intervals, are inside one graph, and the
graph is compared with Python on made-up rows before anything is written. What cannot go inside is said in the file,
beside it and on screen.
"""

import contextlib
import io
import json
import logging
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from metabalance import __version__
from metabalance.data.errors import DataError
from metabalance.data.limits import check_size, parse_json
from metabalance.study.export_document import document_of
from metabalance.study.probes import probe_inputs

__all__ = ["FORMATS", "Exported", "export_command", "export_model", "read_document", "run_exported"]

FORMATS = {"onnx": ".onnx", "torch": ".pt2"}
NAME = "metabalance.json"  # of the description, inside a .pt2 and among an ONNX file's metadata
TOLERANCE = 1e-5
PROBES = 200
# Said by torch 2.13 about its own insides, on every export.
KNOWN = (
    (FutureWarning, r"`isinstance\(treespec, LeafSpec\)` is deprecated"),
    (DeprecationWarning, r".*torch\.jit.*is deprecated"),
    (DeprecationWarning, r".*ast\.(Num|Str|Bytes|NameConstant|Ellipsis) is deprecated"),
)


@dataclass(frozen=True, eq=False)
class Exported:
    """A model in the form of another runtime.

    Args:
        content: Of the file.
        document: What it takes and gives, and what stays outside; JSON values only. It is in the file too.
    """

    content: bytes
    document: dict[str, Any]


def export_model(
    model: Any,
    form: str = "onnx",
    pixels: str = "uint8",
    interval: float | None = None,
    interval_by: str | None = None,
) -> Exported:
    """Makes the file's content and compares it with Python on made-up rows.

    Args:
        model: A :class:`~metabalance.study.ship.TrainedModel` or
            :class:`~metabalance.study.values.ship.TrainedRegressor` of tables or images: a network, a logistic or a ridge
            regression.
        form: ``"onnx"`` or ``"torch"``.
        pixels: Type of an image's values: ``"uint8"``, or ``"float32"`` from 0 to 1.
        interval: Level of the intervals of a model of values, by default 0.9.
        interval_by: What they promise, ``"prediction"``, as by default, or ``"target"``.

    Raises:
        DataError: Trees; a part of the model that no graph is known for; a package that is not installed; or a graph
            that does not give Python's probabilities or values.
    """
    import torch

    if form not in FORMATS:
        raise DataError(f"the format {form!r} is unknown; use {' or '.join(FORMATS)}")
    if pixels not in ("uint8", "float32"):
        raise DataError(f"pixels as {pixels!r} are unknown; use uint8, or float32 for values from 0 to 1")
    recipe = model.record["recipe"]
    if recipe in ("lightgbm", "xgboost"):
        files = f"{recipe}-*" if _of_values(model) else f"{recipe}.*"
        raise DataError(
            f"{recipe} has an export of its own, and its trees are no tensors; serve the file {files} in the model "
            "folder with its library (onnxmltools converts it), or fit a network"
        )
    for package in ("onnx", "onnxscript", "onnxruntime") if form == "onnx" else ():
        _needed(package)
    try:
        module, promise = _module(model, interval, interval_by)
    except TypeError as error:
        raise DataError(f"the model cannot be exported: {error}; use metabalance predict") from error
    inputs = probe_inputs(model, PROBES, pixels)
    names, given = list(inputs), tuple(torch.from_numpy(array) for array in inputs.values())
    document = document_of(model, inputs, form, promise)
    with _quiet(), torch.no_grad():
        rows = torch.export.Dim("rows")
        # One shape for each argument of forward(*inputs).
        program = torch.export.export(module, given, dynamic_shapes=(tuple({0: rows} for _ in given),))
        if form == "torch":
            for node in program.graph.nodes:  # where in our sources it comes from: paths of this machine
                node.meta.pop("stack_trace", None)
            document["check"] = _compared(module, _torch_run(program), inputs)
            buffer = io.BytesIO()
            torch.export.save(program, buffer, extra_files={NAME: json.dumps(document)})
            return Exported(buffer.getvalue(), document)
        made = torch.onnx.export(
            program, dynamo=True, input_names=names, output_names=module.after.outputs, verbose=False
        )
    assert made is not None
    proto = made.model_proto
    _cleaned(proto)
    document["opset"] = next(entry.version for entry in proto.opset_import if not entry.domain)
    document["check"] = _compared(module, _onnx_run(proto.SerializeToString()), inputs)
    proto.producer_name, proto.producer_version = "metabalance", __version__
    entry = proto.metadata_props.add()
    entry.key, entry.value = NAME, json.dumps(document)
    return Exported(proto.SerializeToString(), document)


def run_exported(path: Path, inputs: dict[str, np.ndarray]) -> tuple[np.ndarray, ...]:
    """Probabilities ``(N, C)`` and class indices ``(N,)`` by an exported file; or predictions, low and high ``(N, T)``.

    Args:
        path: ``.onnx`` or ``.pt2``.
        inputs: The matrices, as :func:`~metabalance.study.inputs.inputs_of` makes them, or ``{"pixels": ...}``.
    """
    content = Path(path).read_bytes()
    if Path(path).suffix == FORMATS["onnx"]:
        return _onnx_run(content)(inputs)
    import torch

    with _quiet():
        return _torch_run(torch.export.load(io.BytesIO(content)))(inputs)


def read_document(path: Path) -> dict[str, Any]:
    """What an exported file says of itself.

    Raises:
        DataError: The file is none of ours.
    """
    path = Path(path)
    try:
        if path.suffix == FORMATS["onnx"]:
            found = {
                p.key: p.value for p in _needed("onnx").load(path, load_external_data=False).metadata_props
            }
        else:
            import zipfile

            with zipfile.ZipFile(path) as archive:
                members = [entry for entry in archive.infolist() if entry.filename.endswith(f"extra/{NAME}")]
                check_size(sum(entry.file_size for entry in members), f"the description in {path.name}")
                found = {NAME: archive.read(members[0]).decode()} if members else {}
        return parse_json(found[NAME])
    except DataError:
        raise
    except Exception as error:  # a damaged file breaks its readers anywhere
        raise DataError(f"{path} is no file that metabalance export wrote; export the model again") from error


def export_command(
    *, model: Path, form: str, out: Path | None, overwrite: bool, pixels: str, interval: float | None = None,
    interval_by: str | None = None,
) -> None:  # fmt: skip
    """Writes the file and, beside it, its description."""
    from rich.markup import escape

    from metabalance.study.given import check_goal
    from metabalance.study.opening import load_model
    from metabalance.study.store import write_atomically
    from metabalance.study.terminal import Console

    if form == "evidently":
        _export_results(model, out, overwrite)
        return
    if form not in FORMATS:
        raise DataError(f"--format {form!r} is unknown; use {', '.join(FORMATS)} or evidently")
    goal = out or Path(f"{model.resolve().name}{FORMATS[form]}")
    if goal.suffix != FORMATS[form]:
        raise DataError(f"--out {goal} must end in {FORMATS[form]} for --format {form}")
    beside = goal.with_name(f"{goal.name}.json")
    for path in (goal, beside):
        check_goal(path, overwrite)
    made = export_model(load_model(model), form, pixels, interval, interval_by)
    write_atomically(goal, made.content)
    write_atomically(beside, json.dumps(made.document, indent=1, ensure_ascii=False).encode())
    check = made.document["check"]
    of_values = made.document.get("task") == "values"
    what, unit = ("values", " of the target's deviation") if of_values else ("probabilities", "")
    lines = [
        *(f"input {i['name']} ({', '.join(map(str, i['shape']))}), {i['type']}: {i['how']}" for i in made.document["inputs"]),
        f"inside: {', '.join(made.document['inside'])}.",
        *(f"outside: {text}" for text in made.document["outside"]),
        f"{check['rows']} made-up rows: {what} differ from Python's by at most {check['difference']:.1e}{unit}.",
        f"Model: {goal} ({len(made.content) / 1024:,.0f} KiB); described in {beside}",
    ]  # fmt: skip
    Console().print(escape("\n".join(lines)), highlight=False, soft_wrap=True)


def _export_results(source: Path, out: Path | None, overwrite: bool) -> None:
    """Figures of a run or a history, for evidently."""
    from metabalance.study.given import check_goal
    from metabalance.study.interchange import evidently_of
    from metabalance.study.store import write_atomically

    goal = out or Path(f"{source.resolve().stem}.evidently.json")
    check_goal(goal, overwrite)
    snapshot = evidently_of(source)
    write_atomically(goal, json.dumps(snapshot, indent=1).encode())
    print(f"{len(snapshot['metric_results'])} figures: {goal}")


def _of_values(model: Any) -> bool:
    return getattr(model, "kind", "classes") == "values"


def _module(
    model: Any, interval: float | None, interval_by: str | None
) -> tuple[Any, tuple[str, float] | None]:
    """The model as a module, and what its intervals promise.

    Raises:
        TypeError: No graph is known for it.
        DataError: Intervals that it does not have.
    """
    if _of_values(model):
        from metabalance.study.values.graph import whole_values

        promise = model.promise(interval, interval_by)
        return whole_values(model, interval, interval_by), promise
    from metabalance.study.graph import whole_model

    for option, given in (("--interval", interval), ("--interval-by", interval_by)):
        if given is not None:
            raise DataError(f"{option} is for models of values, but this is a model of classes; leave it out")
    return whole_model(model), None


def _compared(module: Any, run: Any, inputs: dict[str, np.ndarray]) -> dict[str, Any]:
    """The largest difference to the module on all rows, and on a single one, or an error."""
    import torch

    worst = 0.0
    for rows in (slice(None), slice(0, 1)):
        part = {name: np.ascontiguousarray(array[rows]) for name, array in inputs.items()}
        with torch.no_grad():
            expected = tuple(o.numpy() for o in module(*map(torch.from_numpy, part.values())))
        worst = np.maximum(worst, module.after.distance(run(part), expected))
    if not worst <= TOLERANCE:  # NaN too
        raise DataError(
            f"the exported graph differs from Python by {worst:.2g}, more than {TOLERANCE:g}; it was not written"
        )
    return {"rows": len(next(iter(inputs.values()))), "difference": float(worst), "tolerance": TOLERANCE}


def _torch_run(program: Any) -> Any:
    import torch

    module = program.module()

    def run(inputs: dict[str, np.ndarray]) -> tuple[np.ndarray, ...]:
        with torch.no_grad():
            outputs = module(
                *(torch.from_numpy(np.require(array, requirements="W")) for array in inputs.values())
            )
        return tuple(output.numpy() for output in outputs)

    return run


def _onnx_run(content: bytes) -> Any:
    runtime = _needed("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    session = runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    return lambda inputs: tuple(session.run(None, inputs))


def _cleaned(proto: Any) -> None:
    """Takes out what the exporter notes about its own sources: paths of this machine among it."""
    graphs = [proto.graph, *proto.functions]
    for graph in graphs:
        for entry in [
            *graph.node,
            *graph.value_info,
            *getattr(graph, "input", []),
            *getattr(graph, "output", []),
        ]:
            if hasattr(entry, "metadata_props"):
                del entry.metadata_props[:]
                entry.doc_string = ""
    for entry in [*proto.graph.initializer, proto.graph]:
        del entry.metadata_props[:]
    del proto.metadata_props[:]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without what the exporter is known to say about itself; anything else is still heard."""
    registry = logging.getLogger("torch.onnx._internal.exporter._registration")
    before = registry.level
    with warnings.catch_warnings():
        for category, message in KNOWN:
            warnings.filterwarnings("ignore", message=message, category=category)
        registry.setLevel(logging.ERROR)  # that torchvision is not installed, once for each of its operators
        try:
            yield
        finally:
            registry.setLevel(before)


def _needed(package: str) -> Any:
    try:
        return import_module(package)
    except ImportError as error:
        raise DataError(f"{package} is not installed; pip install 'metabalance[export]' brings it") from error
