"""Find a model's groups of channels: the layers that make, carry and read the same ones.

A convolution makes channels; normalisations, depthwise convolutions, pools and sums hand them on,
each by itself; other convolutions read them. A channel of a group that nothing else touches can be
taken out of all of its layers, and what is left computes the same without it.

Two kinds are worth narrowing. *Expansions* are the channels inside a block, between two 1x1
convolutions with a depthwise one in the middle. *Streams* are those between blocks, which every
block of a residual network reads and adds to.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import keras

from ichlite.compress.fold import parents_of, readers_of

CARRIERS = (
    keras.layers.BatchNormalization,
    keras.layers.DepthwiseConv2D,
    keras.layers.Dropout,
    keras.layers.GlobalAveragePooling2D,
    keras.layers.Identity,
    keras.layers.MaxPooling2D,
    keras.layers.ReLU,
    keras.layers.ZeroPadding2D,
)
"""Keras layers whose output channels correspond one to one to their input channels; a depthwise
convolution may have several outputs for each."""


@dataclass(eq=False, slots=True)
class Group:
    """Set of layers that must keep or lose the same channels together.

    Attributes:
        makers: Convolutions whose filters produce the channels.
        carriers: Layers that pass the channels on, and may have weights for each.
        readers: Convolutions and dense layers that take the channels as input.
        added: Whether feature maps of the group are summed, as in a residual stream.
        fixed: Whether the channels cannot be removed, because they are the model's input or output
            or reach a layer of another kind.
    """

    makers: list[Any] = field(default_factory=list)
    carriers: list[Any] = field(default_factory=list)
    readers: list[Any] = field(default_factory=list)
    added: bool = False
    fixed: bool = False

    @property
    def width(self) -> int:
        """Number of channels."""
        return int(self.makers[0].filters)

    def take_in(self, other: Group) -> None:
        """Merge another group into this one."""
        self.makers += other.makers
        self.carriers += other.carriers
        self.readers += other.readers
        self.added |= other.added
        self.fixed |= other.fixed


def expansions(model: keras.Model) -> tuple[Group, ...]:
    """Return the channels inside each expansion block of a functional model, in order.

    Example:
        >>> from ichlite.models import light_fcn
        >>> [group.width for group in expansions(light_fcn())]
        [32, 64, 128, 256, 512]
    """
    return tuple(
        group
        for group in _free(model)
        if not group.added
        and len(group.makers) == len(group.readers) == 1
        and all(_is_pointwise(layer) for layer in (*group.makers, *group.readers))
        and sum(isinstance(one, keras.layers.DepthwiseConv2D) for one in group.carriers) == 1
    )


def streams(model: keras.Model) -> tuple[Group, ...]:
    """Return the channels of each residual stream of a functional model, in order.

    Example:
        >>> from ichlite.models import light_fcn
        >>> [group.width for group in streams(light_fcn())]
        [32]
    """
    return tuple(group for group in _free(model) if group.added)


def _free(model: keras.Model) -> list[Group]:
    """Return the groups that nothing else needs as they are, by their first maker's place."""
    of: dict[str, Group] = {}
    for layer in model.layers:
        if isinstance(layer, keras.layers.InputLayer):
            of[layer.name] = Group(fixed=True)
            continue
        parents = [of[node.operation.name] for node in parents_of(layer)]
        if _is_full(layer):
            parents[0].readers.append(layer)
            of[layer.name] = Group(makers=[layer])
        elif _hands_on(layer):
            parents[0].carriers.append(layer)
            of[layer.name] = parents[0]
        elif isinstance(layer, keras.layers.Dense):
            parents[0].readers.append(layer)
            of[layer.name] = Group(fixed=True)
        else:
            summed = isinstance(layer, keras.layers.Add)
            joined = _join(parents, of) if summed else Group(fixed=True)
            joined.added |= summed
            for parent in parents:
                parent.fixed |= not summed
            of[layer.name] = joined
    for layer in model.layers:
        if not readers_of(model, layer):
            of[layer.name].fixed = True
    groups = {id(group): group for group in of.values()}
    return [group for group in groups.values() if group.makers and not group.fixed]


def _join(parents: list[Group], of: dict[str, Group]) -> Group:
    """Make one group of those that a sum reads."""
    first = parents[0]
    for other in {id(one): one for one in parents[1:] if one is not first}.values():
        first.take_in(other)
        of.update({name: first for name, group in of.items() if group is other})
    return first


def _hands_on(layer: Any) -> bool:
    """Return whether the channels of a layer's output are those of its input, one for one."""
    return isinstance(layer, CARRIERS) and getattr(layer, "depth_multiplier", 1) == 1


def _is_full(layer: Any) -> bool:
    """Return whether each filter of a layer sees all channels of its input."""
    return (
        isinstance(layer, keras.layers.Conv2D)
        and not isinstance(layer, keras.layers.DepthwiseConv2D)
        and layer.groups == 1
    )


def _is_pointwise(layer: Any) -> bool:
    """Return whether a layer is a 1x1 convolution over all channels."""
    return _is_full(layer) and tuple(layer.kernel_size) == tuple(layer.strides) == (1, 1)
