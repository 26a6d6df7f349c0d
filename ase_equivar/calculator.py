"""The ASE calculator: Z* and ε∞ of any Atoms, and the forces of a static electric field."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase import Atoms
from ase.calculators.calculator import BaseCalculator, Calculator, all_changes
from numpy.typing import ArrayLike, NDArray

from ase_equivar.arguments import whole_number
from ase_equivar.ase_properties import CLAMPED_PIEZO, UNCERTAINTY
from ase_equivar.available_properties import AvailableProperties
from ase_equivar.graph.geometry import changed_parts
from ase_equivar.inference.batches import predict_many
from ase_equivar.inference.prediction import Diagnostics, Prediction, RawPrediction
from ase_equivar.inference.predictor import MAX_EDGES, Predictor
from ase_equivar.inference.warnings import WarnOnce, warn_of_first_structure
from ase_equivar.settings import Settings, checked_charge, checked_field
from ase_equivar.static_field import add_field
from ase_equivar.structures.conversion import as_atoms
from ase_equivar.structures.validation import check_full_occupancy
from ase_equivar.wrapped_calculator import WrappedCalculator


class EquivarCalculator(Calculator):
    """Born effective charges and ε∞ from a network, beside the properties of any calculator.

    Properties: ``born_charges`` and ``born_effective_charges`` (one array, |e|, row = field,
    column = displacement, float64, shape=(N, 3, 3), summing to `total_charge`);
    ``dielectric_tensor`` (ε∞, relative, shape=(3, 3)) if the model predicts it;
    ``born_charges_uncertainty`` (expected root mean square error of the components of each Z*, |e|,
    shape=(N,)) if the model is calibrated, at little cost (on a GPU, the network is called where a
    CUDA graph would be replayed); and whatever the wrapped calculator lists, passed through.

    A polar model, whose Z* are the derivative of a polarization P, gives three more.
    ``polarization`` (C/m², shape=(3,)) of a crystal and ``dipole`` (|e|·Å, shape=(3,)) of a
    molecule refer to the periodic images given: see `docs/howto/polarization.md`.
    ``piezoelectric_tensor_clamped`` (C/m², shape=(3, 6), row = polarization, columns xx yy zz yz xz
    xy) is the proper tensor at fixed reduced coordinates. ``universal`` gives the last one too, by
    a head that was trained on such tensors.

    With a field, ``forces`` are those of the wrapped calculator plus `field_forces`. All other
    properties are those *without* field, the energy too: its part −Ω E·P is defined only up to
    multiples of the polarization quantum in a periodic cell, and most models have no P. Hence
    forces are not minus the gradient of this energy while a field is on, unless
    `polarization_energy` is set.

    Each thread needs an instance of its own, which keeps its latest results.

    Parameters
    ----------
    calculator : ase calculator, optional
        Gives energy, forces, stress, and so on.
    model : str, pathlib.Path or torch.nn.Module
        Name of a bundled model, folder of a saved one, or a network, of which a copy is used.
    device : torch.device or str, optional
        Default: CUDA if there is any, else the CPU.
    dtype : torch.dtype or str, optional
        Of the network: "float32" (default) or "float64", as text or as torch's. Results are float64
        always.
    backend : str, optional
        What computes the network. Default: compiled kernels where they work, "numba" on the CPU and
        "triton" on a GPU, else "torch": equal to rounding, 6 to 20 times slower, more for large
        structures. On a CPU whose cache has no kernels for the model, PyTorch computes the first
        200 000 directed bonds (some 3500 atoms, in all calls together); then kernels are compiled.
        "numba" compiles them at once. "e3nn": the layers of e3nn itself; slow, the reference of the
        tests.
    electric_field : array_like, optional
        Static uniform macroscopic field in V/Å, Cartesian, shape=(3,).
    total_charge : float
        Net charge of the cell in |e|, which Z* sum to.
    stress_without_field : bool
        With a field on, stress is refused, because the field's part of it is the piezoelectric
        response, which Z* do not contain. True: give the wrapped calculator's instead.
    polarization_energy : bool
        With a field on, add −Ω E·P, with P of a polar model, to ``energy`` and ``free_energy``, so
        that forces are minus their gradient; and to ``stress`` its strain derivative at constant
        voltage across the cell, −E·e with the clamped-ion tensor above. The energy is that at
        constant E, so that line searches do not work where the cell changes.

    Raises
    ------
    ValueError, FileNotFoundError, TypeError
        If an argument is wrong, or `polarization_energy` is set where there is no P: the model is
        not polar or the cell is charged. See also `ase_equivar.inference.predictor.Predictor`.
    """

    def __init__(
        self,
        calculator: BaseCalculator | None = None,
        *,
        model: str | Path | torch.nn.Module = "universal",
        device: torch.device | str | None = None,
        dtype: torch.dtype | str | None = None,
        backend: str | None = None,
        electric_field: ArrayLike | None = None,
        total_charge: float = 0.0,
        stress_without_field: bool = False,
        polarization_energy: bool = False,
    ) -> None:
        super().__init__()
        self._wrapped = WrappedCalculator(calculator, stress_without_field, polarization_energy)
        self.results: dict[str, Any] = {}
        self._changed_settings: list[str] = []
        self._warn_once = WarnOnce()
        field, charge = checked_field(electric_field), checked_charge(total_charge)
        self._use(Settings(Predictor(model, device, dtype, backend), field, charge))

    @property
    def calculator(self) -> BaseCalculator | None:
        """The wrapped calculator."""
        return self._wrapped.calculator

    @property
    def model(self) -> str:
        """Name, or path, of the model. A new one may be set, in any form that `__init__` takes."""
        return self._settings.predictor.name

    @model.setter
    def model(self, model: str | Path | torch.nn.Module) -> None:
        self.set(model=model)

    @property
    def predictor(self) -> Predictor:
        """The network on its device, for engines that have atoms in another form than ASE's."""
        return self._settings.predictor

    @property
    def electric_field(self) -> NDArray[np.float64] | None:
        """Static field in V/Å, shape=(3,), or None. Set it as a whole: its array is read-only."""
        return self._settings.electric_field

    @electric_field.setter
    def electric_field(self, field: ArrayLike | None) -> None:
        self.set(electric_field=field)

    @property
    def total_charge(self) -> float:
        """Net charge of the cell in |e|."""
        return self._settings.total_charge

    @total_charge.setter
    def total_charge(self, charge: float) -> None:
        self.set(total_charge=charge)

    @property
    def implemented_properties(self) -> list[str]:
        """Names of all properties that this instance can give as it stands."""
        return self._available.names()

    @property
    def diagnostics(self) -> Diagnostics:
        """How the latest Z* came about.

        Raises
        ------
        RuntimeError
            If none have been calculated yet.
        """
        latest = self.predictor.latest
        if latest is None:
            raise RuntimeError("no Z* have been calculated yet; ask for 'born_charges' first")
        return latest.diagnostics(self.total_charge)

    def set(self, **settings: Any) -> dict[str, Any]:
        """Change settings in ASE's way, all or, if one of them is refused, none.

        The same as assigning to the attributes of these names.
        """
        if not settings:  # as ASE's own __init__ asks for
            return settings
        self._use(self._settings.changed(settings))
        if "model" in settings:
            self._warn_once = WarnOnce()
        self.results = {}
        self._changed_settings += list(settings)
        return settings

    def todict(self, skip_default: bool = True) -> dict[str, Any]:
        """Return the settings as plain data; ASE stores them beside results."""
        settings: dict[str, Any] = {"model": self.model, "total_charge": self.total_charge}
        if self.electric_field is not None:
            settings["electric_field"] = self.electric_field.tolist()
        if self._wrapped.polarization_energy:
            settings["polarization_energy"] = True
        if self._wrapped.stress_without_field:
            settings["stress_without_field"] = True
        if self.calculator is not None:
            kind = type(self.calculator).__name__
            settings["calculator"] = getattr(self.calculator, "name", kind)
        return settings

    def check_state(self, atoms: Atoms, tol: float = 1e-15) -> list[str]:
        """List what changed, be it little: `atoms`, settings, or something in the wrapped one."""
        changes = [*changed_parts(self.atoms, atoms), *self._changed_settings]
        if not changes and not all(name in self._available.of_model for name in self.results):
            changes += ["calculator"] if self._wrapped.changed(atoms) else []
        return changes

    def get_property(
        self, name: str, atoms: Atoms | None = None, allow_calculation: bool = True
    ) -> Any:
        """Give one property; see `ase.calculators.calculator.Calculator.get_property`.

        Raises
        ------
        ase.calculators.calculator.PropertyNotImplementedError
            If this instance cannot give it as it stands, saying why.
        ValueError
            As `calculate`.
        """
        self._available.require(name)
        # asked without atoms, ASE would not look whether anything has changed
        if atoms is None and self.atoms is not None:
            if not allow_calculation and self.check_state(self.atoms):
                return None
            atoms = self.atoms
        if atoms is not None:  # also where results are there, of full sites at the same places
            atoms = as_atoms(atoms)
            check_full_occupancy(atoms)
        return super().get_property(name, atoms, allow_calculation)

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("born_charges",),
        system_changes: Sequence[str] = all_changes,
    ) -> None:
        """Calculate the properties asked for, and nothing that costs more.

        Raises
        ------
        ase.calculators.calculator.PropertyNotImplementedError
            If a property cannot be given.
        ValueError
            If the structure makes no sense or has elements that the model has never seen.
        """
        self._available.require(*properties)
        atoms = self.atoms if atoms is None else atoms
        if atoms is None:
            raise ValueError("the calculator has no structure yet; give it one: atoms.calc = calc")
        super().calculate(atoms, properties, system_changes)
        if system_changes:
            self.results = {}
        self._changed_settings = []
        try:
            self._fill(atoms, properties)
        except BaseException:
            self.results = {}  # forces among them may still lack the field
            raise

    def _fill(self, atoms: Atoms, properties: Sequence[str]) -> None:
        """Put the properties asked for in the results."""
        available, of_model = self._available, self._available.of_model
        available.require_for(atoms, properties)
        with_field = available.with_field(properties)
        uncertainty = UNCERTAINTY in properties and UNCERTAINTY in of_model
        raw = None
        if with_field or any(name in of_model for name in properties):
            raw = self._predict(atoms, uncertainty=uncertainty)
        if CLAMPED_PIEZO in properties and available.has_head:
            self.results[CLAMPED_PIEZO] = self.predictor.piezoelectric_tensor(atoms)
        others = [name for name in properties if name not in of_model]
        polarization = None
        if raw is not None and with_field and self._wrapped.polarization_energy:
            polarization = raw.polarization
        ready = []
        if others:
            ready = self._wrapped.fill(
                self.results,
                atoms,
                others,
                of_model,
                in_field=self._settings.in_field,
                has_polarization=polarization is not None,
            )
        if raw is not None and self.electric_field is not None and with_field:
            names = {*with_field, *ready}
            add_field(self.results, names, atoms, self.electric_field, polarization)

    def dielectric_tensor_parts(self, atoms: Atoms) -> NDArray[np.float64] | None:
        """Give the ε∞ that parts of the model predict, each with some channels left out.

        Their spread tells how sure the model is of what is made of ε∞, such as Raman tensors.

        Returns
        -------
        numpy.ndarray or None
            shape=(S, 3, 3). None for a model without ε∞, or that was trained without dropout:
            what is left of it says nothing.

        Raises
        ------
        ValueError
            As `calculate`.
        """
        return self.predictor.dielectric_tensors_of_parts(atoms)

    def predict(self, images: Iterable[Atoms], *, max_edges: int = MAX_EDGES) -> list[Prediction]:
        """Predict many structures, several in one call of the network.

        The cached results of the calculator stay as they are. Long lists get a progress bar.

        Parameters
        ----------
        images : iterable of ase.Atoms
            All are checked before the first is predicted.
        max_edges : int
            Bound on the edges of one call, and so on memory. A larger structure goes alone.

        Returns
        -------
        list of Prediction
            In the order of `images`, each summing to `total_charge`.

        Raises
        ------
        ValueError
            If a structure makes no sense or has unknown elements, saying which.
        """
        bound = whole_number("max_edges", max_edges, at_least=1)
        return predict_many(self.predictor, images, self.total_charge, bound)

    def _use(self, settings: Settings) -> None:
        """Take a network, an electric field and the charge of the cell from now on."""
        self._available = AvailableProperties(settings, self._wrapped)
        self._settings = settings

    def _predict(self, atoms: Atoms, *, uncertainty: bool) -> RawPrediction:
        """Put the tensors of `atoms` in the results; the network runs for a new geometry only."""
        predictor, charge = self.predictor, self.total_charge
        raw = predictor.evaluate(atoms, uncertainty=uncertainty).raw
        found = Prediction.from_raw(raw, charge, predictor.calibration)
        self.results |= found.properties()
        if raw.polarization is not None and charge == 0:
            self.results |= raw.polarization.properties(atoms)
        warn_of_first_structure(self._warn_once, atoms, found, raw.unusual_pairs, predictor, charge)
        return raw
