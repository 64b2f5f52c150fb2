"""Properties of the elements, from the ``mendeleev`` package (extra ``materials``), as one array.

Mentel, "mendeleev - a Python resource for properties of chemical elements, ions and isotopes", 2014; it names the source
of each property.
"""

import re
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metabalance.systems.materials.formula import SYMBOLS

__all__ = ["PROPERTIES", "element_table"]

Array = NDArray[Any]

# Of the package's table of elements, under its own names.
_GIVEN = (
    "atomic_number", "mendeleev_number", "pettifor_number", "glawe_number", "period", "atomic_weight", "density",
    "covalent_radius_cordero", "covalent_radius_pyykko", "atomic_radius_rahm", "vdw_radius_uff", "en_pauling",
    "en_ghosh", "dipole_polarizability", "electron_affinity", "evaporation_heat", "fusion_heat",
    "heat_of_formation", "molar_heat_capacity", "thermal_conductivity", "lattice_constant", "metallic_radius_c12",
    "en_miedema", "miedema_molar_volume", "miedema_electron_density",
)  # fmt: skip
ORBITALS = "spdf"
_ROOM = dict(zip(ORBITALS, (2, 6, 10, 14)))
PROPERTIES = (
    *_GIVEN,
    "group",
    "atomic_volume",
    "ionization_energy",
    "melting_point",
    *(f"{o}_valence" for o in ORBITALS),
    "valence",
    *(f"{o}_unfilled" for o in ORBITALS),
    "unfilled",
    "transition_metal",
)
_F_BLOCK_GROUP = 3


@lru_cache(maxsize=1)
def element_table() -> Array:
    """``(118, len(PROPERTIES))``, NaN where the package knows no value; rows as in ``SYMBOLS``.

    The group of the f block is 3. Valence electrons are those of the ground state outside the noble gas core and outside
    filled d and f shells below the outermost.

    Raises:
        ImportError: The package is not installed.
    """
    try:
        from mendeleev.fetch import fetch_table
    except ImportError as error:
        raise ImportError(
            "composition features need the properties of the elements; `pip install metabalance[materials]` brings them"
        ) from error
    table = fetch_table("elements").set_index("symbol").loc[list(SYMBOLS)]
    group = np.where(table["block"] == "f", _F_BLOCK_GROUP, table["group_id"].astype(float))
    electrons = np.array([valence(c) for c in table["electronic_configuration"]])
    room = np.array([[_ROOM[o] for o in ORBITALS]])
    unfilled = np.where(electrons > 0, room - electrons, 0)
    phases = fetch_table("phasetransitions")
    melting = phases.groupby("atomic_number")["melting_point"].min().reindex(range(1, len(SYMBOLS) + 1))
    energies = fetch_table("ionizationenergies")
    first = energies[energies["ion_charge"] == 0].groupby("atomic_number")["ionization_energy"].min()
    first = first.reindex(range(1, len(SYMBOLS) + 1))
    columns = [
        *(table[name].to_numpy(dtype=np.float64) for name in _GIVEN),
        group,
        (table["atomic_weight"] / table["density"]).to_numpy(dtype=np.float64),
        first.to_numpy(dtype=np.float64),
        melting.to_numpy(dtype=np.float64),
        *electrons.T,
        electrons.sum(axis=1),
        *unfilled.T,
        unfilled.sum(axis=1),
        (table["block"] == "d").to_numpy(dtype=np.float64),
    ]
    found = np.column_stack(columns).astype(np.float64)
    found.setflags(write=False)
    return found


def valence(configuration: str) -> list[int]:
    """Electrons in the s, p, d and f shells that bond, of a configuration such as ``[Ar] 3d6 4s2``.

    >>> valence("[Ar] 3d6 4s2"), valence("[Ar] 3d10 4s2 4p1"), valence("1s2")
    ([2, 0, 6, 0], [2, 1, 0, 0], [2, 0, 0, 0])
    """
    shells = [
        (int(n), o, int(e or 1)) for n, o, e in re.findall(r"(\d)([spdf])(\d*)", configuration.split("]")[-1])
    ]
    outermost = max(n for n, *_ in shells)
    # Filled d and f shells are core where p electrons, or for f any d, follow.
    has = {o for _, o, _ in shells}
    count = dict.fromkeys(ORBITALS, 0)
    for n, o, e in shells:
        filled = e == _ROOM[o] and n < outermost
        if not (filled and ((o == "d" and "p" in has) or (o == "f" and "d" in has))):
            count[o] += e
    return [count[o] for o in ORBITALS]
