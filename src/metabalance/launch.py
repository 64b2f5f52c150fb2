"""One fit in several processes of this machine, started for it; what the first of them learned comes back.

The only file that reads a pickle: bytes that a process started here sends back through its own pipe, never a file.
"""

import contextlib
import multiprocessing
import pickle
from multiprocessing.connection import Connection
from threading import Thread
from typing import Any

import torch
from torch.multiprocessing import ProcessExitedException, ProcessRaisedException

__all__ = ["fit_in_processes"]


def fit_in_processes(
    model: Any, devices: int, accelerator: str, data: tuple, more: dict[str, Any]
) -> dict[str, Any]:
    """Calls ``model.fit(*data, **more)`` in each of ``devices`` processes.

    Args:
        model: Has ``fit``, and trains with the other processes of ``torch.distributed``.
        devices: Processes, each on a device of its own.
        accelerator: Of Fabric: ``auto``, ``cpu`` or ``cuda``.
        data, more: Arguments of ``fit``.

    Returns:
        The learned attributes, whose names end with an underscore.

    Raises:
        ValueError: Something in the model or the data cannot be sent to another process, or ``fit`` raised one.
        RuntimeError: ``fit`` raised something else, or a process was ended.
    """
    from lightning_fabric import Fabric

    fabric: Any = Fabric(accelerator=accelerator, devices=devices, strategy="ddp_spawn")
    # Not by the value that launch returns: it is read when the processes have ended, and they cannot end before more of
    # it than a pipe holds, 64 KiB, has been read.
    ours, theirs = multiprocessing.get_context("spawn").Pipe(duplex=False)
    received: list[bytes] = []

    def receive() -> None:
        with contextlib.suppress(EOFError):  # the process failed, which launch raises
            received.append(ours.recv_bytes())

    reader = Thread(target=receive)
    reader.start()
    try:
        fabric.launch(_fit_here, theirs, model, data, more)
    except (AttributeError, pickle.PickleError) as error:
        raise ValueError(
            f"with devices={devices} the settings and the data go to other processes, but something in them cannot be "
            f"sent there ({error}); use functions and classes of a module, no lambda"
        ) from error
    except ProcessRaisedException as error:
        name, _, text = str(error).strip().splitlines()[-1].partition(": ")
        kind = next(
            (kind for kind in (ValueError, FloatingPointError) if kind.__name__ == name), RuntimeError
        )
        raise kind(text or name) from error
    except ProcessExitedException as error:
        raise RuntimeError(f"a process of the training ended ({error}); out of memory?") from error
    finally:
        theirs.close()
        reader.join()
        ours.close()
    return pickle.loads(received[0])


def _fit_here(fabric: Any, pipe: Connection, model: Any, data: tuple, more: dict[str, Any]) -> None:
    torch.set_num_threads(max(1, torch.get_num_threads() // fabric.world_size))
    learned = {name: value for name, value in vars(model.fit(*data, **more)).items() if name.endswith("_")}
    if fabric.is_global_zero:
        # As bytes: a tensor would be shared memory, gone with this process before the other has opened it.
        pipe.send_bytes(pickle.dumps(learned))
