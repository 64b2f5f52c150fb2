"""All calibrations behind one name each, for a command line and for what is stored.

The families are compared in Guo, Pleiss, Sun & Weinberger, ICML 2017, arXiv 1706.04599, and Kull, Silva Filho & Flach,
AISTATS 2017.
"""

from collections.abc import Mapping
from typing import Any

from metabalance.adjust.base import Calibration
from metabalance.adjust.beta import BetaCalibration
from metabalance.adjust.calibrate import Calibrator
from metabalance.adjust.isotonic import IsotonicCalibration
from metabalance.adjust.sigmoid import SigmoidCalibration
from metabalance.adjust.vector import VectorScaling

__all__ = ["CALIBRATIONS", "get_calibration", "read_calibration"]

CALIBRATIONS: dict[str, type[Calibration]] = {
    mode: kind
    for kind in (Calibrator, VectorScaling, IsotonicCalibration, BetaCalibration, SigmoidCalibration)
    for mode in kind.modes
}


def get_calibration(mode: str = "bias_corrected") -> Calibration:
    """A fresh calibration by its name.

    Args:
        mode: ``"bias_corrected"``, ``"temperature"``, ``"vector"``, ``"isotonic"``, ``"beta"``, ``"sigmoid"`` or
            ``"none"``.

    Raises:
        ValueError: An unknown name.

    >>> get_calibration("isotonic").mode
    'isotonic'
    """
    if mode not in CALIBRATIONS:
        raise ValueError(f"the calibration {mode!r} is unknown; use one of {', '.join(CALIBRATIONS)}")
    kind = CALIBRATIONS[mode]
    return kind(mode) if kind is Calibrator else kind()


def read_calibration(state: Mapping[str, Any]) -> Calibration:
    """The calibration that :meth:`~metabalance.adjust.Calibrator.to_dict` told, of any kind.

    Raises:
        ValueError: A mode that this release does not know.
        KeyError: Something is missing.
    """
    if state["mode"] not in CALIBRATIONS:
        raise ValueError(f"the calibration {state['mode']!r} is unknown to this release; upgrade metabalance")
    return CALIBRATIONS[state["mode"]].from_dict(state)
