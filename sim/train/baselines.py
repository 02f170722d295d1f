"""The same network in floating point: SGD with momentum, Adam, Madam, and B-bit Madam as first published.

A baseline has the interface of `sim.train.chip.Chip`, so the training loop does not know which of them it drives.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from sim.train.chip import StepResult, require_same_arrays

Floats = npt.NDArray[Any]


class Optimizer(Protocol):
    """Moves one tensor; t counts from 1."""

    default_lr: float

    def start(self, w: Floats, rng: np.random.Generator) -> Floats:
        """The tensor as this optimizer starts it, with whatever it keeps for it."""

    def step(self, index: int, w: Floats, g: Floats, t: int, lr: float) -> None: ...

    def state(self) -> dict[str, Floats]: ...


class _Keeper:
    """Arrays that an optimizer keeps beside each tensor."""

    def __init__(self) -> None:
        self.kept: dict[str, list[Floats]] = {}

    def keep(self, name: str, w: Floats) -> None:
        self.kept.setdefault(name, []).append(w)

    def start(self, w: Floats, rng: np.random.Generator) -> Floats:
        return w

    def state(self) -> dict[str, Floats]:
        return {f"{name}{i}": array for name, arrays in self.kept.items() for i, array in enumerate(arrays, 1)}


class SGD(_Keeper):
    """Stochastic gradient descent with momentum 0.9: m ← 0.9 m + g; w ← w - lr·m."""

    default_lr = 0.1

    def start(self, w: Floats, rng: np.random.Generator) -> Floats:
        self.keep("momentum", np.zeros_like(w))
        return w

    def step(self, index: int, w: Floats, g: Floats, t: int, lr: float) -> None:
        m = self.kept["momentum"][index]
        m *= 0.9
        m += g
        w -= lr * m


class Adam(_Keeper):
    """Adam (Kingma and Ba 2015, algorithm 1) with beta 0.9 and 0.999, epsilon 1e-8."""

    default_lr = 0.001

    def start(self, w: Floats, rng: np.random.Generator) -> Floats:
        self.keep("first", np.zeros_like(w))
        self.keep("second", np.zeros_like(w))
        return w

    def step(self, index: int, w: Floats, g: Floats, t: int, lr: float) -> None:
        m, v = self.kept["first"][index], self.kept["second"][index]
        m += 0.1 * (g - m)
        v += 0.001 * (g * g - v)
        w -= lr * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)


def normalised(g: Floats, v: Floats, beta: float, t: int, clip: float) -> Floats:
    """g over its running RMS with bias correction, 0 where that is 0/0, within ±clip; v is moved in place."""
    v *= beta
    v += (1 - beta) * g * g
    rms = np.sqrt(v / (1 - beta**t))
    return np.clip(np.divide(g, rms, out=np.zeros_like(g), where=rms > 0), -clip, clip)


class Madam(_Keeper):
    """Madam (Bernstein et al. 2020, algorithm 1): w ← w·exp(-lr·n·sign w), |w| at most 3 times its initial RMS.

    Parameters
    ----------
    beta, clip : float
        Decay of the second moment and bound of the normalised gradient.
    caps : sequence of float, optional
        Caps of |w|, one a tensor, instead of 3·RMS.
    """

    default_lr = 0.01

    def __init__(self, beta: float = 0.999, clip: float = 10.0, caps: Sequence[float] | None = None) -> None:
        super().__init__()
        self.beta, self.clip = beta, clip
        self.given_caps = list(caps) if caps is not None else None
        self.caps: list[float] = []

    def start(self, w: Floats, rng: np.random.Generator) -> Floats:
        self.keep("second", np.zeros_like(w))
        cap = 3 * float(np.sqrt(np.mean(np.square(w)))) if self.given_caps is None else self.given_caps[len(self.caps)]
        self.caps.append(cap)
        return w

    def step(self, index: int, w: Floats, g: Floats, t: int, lr: float) -> None:
        n = normalised(g, self.kept["second"][index], self.beta, t, self.clip)
        w *= np.exp(-lr * n * np.sign(w))
        np.clip(w, -self.caps[index], self.caps[index], out=w)


class BBitMadam(_Keeper):
    """B-bit Madam as first published (Bernstein et al. 2020, section 5): |w| = cap·exp(-base_lr·i) with an integer
    level i.

    i ← clip(i + round_half_even(lr_factor·n)·sign w, 0, levels - 1), levels = 2**bits; base_lr is 0.001 at 12 bits
    and 4 times as much for 2 bits
    less, so that the range stays. Levels start uniform at random, signs are the initial weights'. lr =
    base_lr·lr_factor, 0.016 at the start.
    """

    default_lr = 0.016

    def __init__(self, bits: int) -> None:
        super().__init__()
        self.levels = 1 << bits
        self.base_lr = 0.001 * 2.0 ** (12 - bits)
        self.caps: list[float] = []

    def start(self, w: Floats, rng: np.random.Generator) -> Floats:
        level = rng.integers(0, self.levels, w.shape).astype(w.dtype)
        self.keep("second", np.zeros_like(w))
        self.keep("level", level)
        self.caps.append(3 * float(np.sqrt(np.mean(np.square(w)))))
        return self._value(np.sign(w), level, self.caps[-1])

    def _value(self, sign: Floats, level: Floats, cap: float) -> Floats:
        return sign * cap * np.exp(-self.base_lr * level)

    def step(self, index: int, w: Floats, g: Floats, t: int, lr: float) -> None:
        level, sign = self.kept["level"][index], np.sign(w)
        n = normalised(g, self.kept["second"][index], 0.999, t, 10.0)
        level += np.rint(n * (lr / self.base_lr)) * sign
        np.clip(level, 0, self.levels - 1, out=level)
        w[:] = self._value(sign, level, self.caps[index])


BASELINES: dict[str, tuple[Callable[[], Any], str]] = {
    "float32-sgd": (SGD, "SGD with momentum 0.9, in float32"),
    "float32-adam": (Adam, "Adam, in float32"),
    "float32-madam": (Madam, "Madam, in float32"),
    "bbit-madam12": (lambda: BBitMadam(12), "12-bit Madam as first published, forward and backward in float32"),
    "bbit-madam10": (lambda: BBitMadam(10), "10-bit Madam as first published"),
    "bbit-madam8": (lambda: BBitMadam(8), "8-bit Madam as first published"),
}


class FloatNetwork:
    """A multilayer perceptron with ReLU and softmax cross-entropy, in float32 or float64.

    Parameters
    ----------
    optimizer : Optimizer
    weights : sequence of float arrays, (outputs, inputs + 1)
        Initial weights, the bias in the last column.
    seed : int
        For optimizers that start at random.
    dtype : float32 or float64

    Attributes
    ----------
    products : dict, or None
        Where it is a dict, every matrix product leaves its operands here, under the labels of `Chip.calls`.
    """

    def __init__(self, optimizer: Any, weights: Sequence[Floats], seed: int, dtype: npt.DTypeLike = np.float32) -> None:
        self.optimizer: Optimizer = optimizer
        self.dtype = np.dtype(dtype)
        rng = np.random.default_rng([seed, 0x0B17])
        self.weights = [optimizer.start(np.array(w, self.dtype), rng) for w in weights]
        self.updates = 0
        self.events: dict[str, npt.NDArray[np.int64]] = {}
        self.products: dict[str, tuple[Floats, Floats]] | None = None

    def _product(self, label: str, a: Floats, b: Floats) -> Floats:
        if self.products is not None:
            self.products[label] = (a.copy(), b.copy())
        return a @ b

    def forward(self, x: Floats) -> list[Floats]:
        ones = np.ones((len(x), 1), self.dtype)
        layers = [np.concatenate([x, ones], axis=1)]
        for number, w in enumerate(self.weights, 1):
            sums = self._product(f"forward {number}", layers[-1], w.T)
            hidden = number < len(self.weights)
            layers.append(np.concatenate([np.maximum(sums, 0), ones], axis=1) if hidden else sums)
        return layers

    def gradients(self, x: Floats, targets: npt.NDArray[np.int64]) -> tuple[list[Floats], StepResult]:
        """Gradients of the mean loss, one a layer, and what the batch gave."""
        layers = self.forward(x)
        error, result = self._loss(layers[-1], targets)
        error /= len(x)
        out: list[Floats] = []
        for index in reversed(range(len(self.weights))):
            out.insert(0, self._product(f"gradient {index + 1}", error.T, layers[index]))
            if index:
                below = self._product(f"backward {index + 1}", error, self.weights[index][:, :-1])
                error = below * (layers[index][:, :-1] > 0)
        return out, result

    def step(self, inputs: Floats, targets: npt.NDArray[np.int64], lr: Fraction | None = None) -> StepResult:
        gradients, result = self.gradients(inputs, targets)
        self.updates += 1
        rate = self.optimizer.default_lr if lr is None else float(lr)
        for index, g in enumerate(gradients):
            self.optimizer.step(index, self.weights[index], g, self.updates, rate)
        return result

    def _loss(self, logits: Floats, targets: npt.NDArray[np.int64]) -> tuple[Floats, StepResult]:
        """p - onehot, and the summed loss."""
        shifted = logits - logits.max(axis=1, keepdims=True)
        power = np.exp(shifted)
        total = power.sum(axis=1, keepdims=True)
        rows = np.arange(len(targets))
        loss = float((np.log(total[:, 0]) - shifted[rows, targets]).sum())
        error = power / total
        error[rows, targets] -= 1
        correct = int((np.argmax(logits, axis=1) == targets).sum())
        return error, StepResult(loss, correct, len(targets))

    def encode_inputs(self, x: npt.NDArray[Any], scale: float = 1.0) -> Floats:
        """Inputs as real numbers: level/scale."""
        values = x.astype(self.dtype) / scale
        if np.isnan(values).any():
            raise ValueError(f"inputs hold {int(np.isnan(values).sum())} NaN")
        return values

    def evaluate(self, inputs: Floats, targets: npt.NDArray[np.int64]) -> StepResult:
        return self._loss(self.forward(inputs)[-1], targets)[1]

    def state(self) -> dict[str, npt.NDArray[Any]]:
        weights = {f"weight{i}": w for i, w in enumerate(self.weights, 1)}
        return weights | self.optimizer.state() | {"updates": np.array(self.updates)}

    def load(self, state: dict[str, npt.NDArray[Any]]) -> None:
        """Take over what `state` gave; `ValueError` if it is another network's."""
        own = self.state()
        require_same_arrays(own, state)
        for name, array in own.items():
            if array.ndim:
                array[...] = state[name]
        self.updates = int(state["updates"])
