"""A trained model as one file for other runtimes: ONNX, or a program of ``torch.export``.

Preprocessing, network, prior shift, calibration and decision are inside one graph, and the graph is compared with
Python on made-up rows before anything is written. What cannot go inside is said in the file, beside it and on screen.
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
from metabalance.data.preprocess import TablePreprocessor
from metabalance.study.inputs import table_inputs
from metabalance.study.probes import probe_inputs
from metabalance.study.ship import TrainedModel

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


def export_model(model: TrainedModel, form: str = "onnx", pixels: str = "uint8") -> Exported:
    """Makes the file's content and compares it with Python on made-up rows.

    Args:
        model: A network or a logistic regression, for tables or for images.
        form: ``"onnx"`` or ``"torch"``.
        pixels: Type of an image's values: ``"uint8"``, or ``"float32"`` from 0 to 1.

    Raises:
        DataError: Trees; a part of the model that no graph is known for; a package that is not installed; or a graph
            that does not give Python's probabilities.
    """
    import torch

    from metabalance.study.graph import whole_model

    if form not in FORMATS:
        raise DataError(f"the format {form!r} is unknown; use {' or '.join(FORMATS)}")
    if pixels not in ("uint8", "float32"):
        raise DataError(f"pixels as {pixels!r} are unknown; use uint8, or float32 for values from 0 to 1")
    recipe = model.record["recipe"]
    if recipe in ("lightgbm", "xgboost"):
        raise DataError(
            f"{recipe} has an export of its own, and its trees are no tensors; serve the file {recipe}.* in the model "
            "folder with its library (onnxmltools converts it), or fit a network"
        )
    for package in ("onnx", "onnxscript", "onnxruntime") if form == "onnx" else ():
        _needed(package)
    try:
        module = whole_model(model)
    except TypeError as error:
        raise DataError(f"the model cannot be exported: {error}; use metabalance predict") from error
    inputs = probe_inputs(model, PROBES, pixels)
    names, given = list(inputs), tuple(torch.from_numpy(array) for array in inputs.values())
    document = _document(model, inputs, form)
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
            program, dynamo=True, input_names=names, output_names=["probabilities", "decision"], verbose=False
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


def run_exported(path: Path, inputs: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities ``(N, C)`` and class indices ``(N,)`` by an exported file.

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


def export_command(*, model: Path, form: str, out: Path | None, overwrite: bool, pixels: str) -> None:
    """Writes the file and, beside it, its description."""
    from rich.markup import escape

    from metabalance.study.given import check_goal
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
    trained = TrainedModel.load(model)
    made = export_model(trained, form, pixels)
    write_atomically(goal, made.content)
    write_atomically(beside, json.dumps(made.document, indent=1, ensure_ascii=False).encode())
    check = made.document["check"]
    lines = [
        *(f"input {i['name']} ({', '.join(map(str, i['shape']))}), {i['type']}: {i['how']}" for i in made.document["inputs"]),
        f"inside: {', '.join(made.document['inside'])}.",
        *(f"outside: {text}" for text in made.document["outside"]),
        f"{check['rows']} made-up rows: probabilities differ from Python's by at most {check['difference']:.1e}.",
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


def _document(model: TrainedModel, inputs: dict[str, np.ndarray], form: str) -> dict[str, Any]:
    import torch

    tables = isinstance(model.preprocessor, TablePreprocessor)
    if isinstance(model.preprocessor, TablePreprocessor):
        told = table_inputs(model.preprocessor)
        inside = ["imputation, scaling and missing indicators", "one column per level", "cycles of dates"]
        present = ["numbers" in inputs, "codes" in inputs, "dates" in inputs]
        inside = [text for text, there in zip(inside, present) if there]
        outside = ["reading the table, and numbers and dates out of text"]
        outside += [
            f"{c['name']!r} is free text: its encoder stays in metabalance (study.inputs.inputs_of)"
            for i in told for c in i["columns"] if "outside" in c
        ]  # fmt: skip
        if "codes" in inputs:
            outside.append("the place of a category in its list of levels, which is in the description")
        outside.append(
            f"the check for missing columns (the model's policy is {model.preprocessor.missing_columns})"
        )
    else:
        pixels = inputs["pixels"]
        how = "values from 0 to 255" if pixels.dtype == np.uint8 else "values from 0 to 1"
        told = [
            {"name": "pixels", "type": str(pixels.dtype), "shape": ["rows", *pixels.shape[1:]], "how": how}
        ]
        inside = ["scaling and standardisation of pixels"]
        outside = ["decoding, turning and resizing of pictures"]
    rule = model.decision.to_dict()
    return {
        "format": "metabalance-export",
        "format_version": 1,
        "runtime": form,
        "versions": {"metabalance": __version__, "torch": torch.__version__.split("+")[0]},
        "recipe": model.record["recipe"],
        "kind": "table" if tables else "images",
        "classes": [c.item() if hasattr(c, "item") else c for c in model.classes],
        "positive": model.positive,
        "prior": np.asarray(model.prior).tolist(),
        "inputs": told,
        "outputs": [
            {"name": "probabilities", "type": "float64", "shape": ["rows", len(model.classes)],
             "how": "calibrated, in the order of 'classes', at the class shares 'prior'"},
            {"name": "decision", "type": "int64", "shape": ["rows"], "how": "index in 'classes'"},
        ],
        "decision": {k: rule[k] for k in ("objective", "threshold", "multipliers", "cost", "positive")},
        "inside": [*inside, "network", "prior shift", "calibration", "decision"],
        "outside": [*outside, "other class shares than 'prior'"],
    }  # fmt: skip


def _compared(module: Any, run: Any, inputs: dict[str, np.ndarray]) -> dict[str, Any]:
    """The largest difference to the module on all rows, and on a single one, or an error."""
    import torch

    worst = 0.0
    for rows in (slice(None), slice(0, 1)):
        part = {name: np.ascontiguousarray(array[rows]) for name, array in inputs.items()}
        with torch.no_grad():
            expected = module(*(torch.from_numpy(array) for array in part.values()))[0].numpy()
        found = run(part)[0]
        worst = max(worst, float(abs(found - expected).max()))
    if not worst <= TOLERANCE:  # NaN too
        raise DataError(
            f"the exported graph differs from Python by {worst:.2g}, more than {TOLERANCE:g}; it was not written"
        )
    return {"rows": len(next(iter(inputs.values()))), "difference": worst, "tolerance": TOLERANCE}


def _torch_run(program: Any) -> Any:
    import torch

    module = program.module()

    def run(inputs: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        with torch.no_grad():
            probabilities, decision = module(
                *(torch.from_numpy(np.require(array, requirements="W")) for array in inputs.values())
            )
        return probabilities.numpy(), decision.numpy()

    return run


def _onnx_run(content: bytes) -> Any:
    runtime = _needed("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    session = runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    return lambda inputs: tuple(session.run(["probabilities", "decision"], inputs))


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
