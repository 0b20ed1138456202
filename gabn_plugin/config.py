# SPDX-License-Identifier: MIT
"""The settings of GABN: ``config.gabn = dict(...)`` in a run's config."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from arcface_fair.errors import UserError
from arcface_fair.plugin.settings import check_choice, check_range

OBJECTIVES = ("term", "shift", "literal")
ERASING = ("attention", "random", "rolled", "off")


@dataclass(frozen=True, kw_only=True)
class GabnSettings:
    """Which parts of GABN act, how the objective is read, and what each part costs.

    ``objective`` names the reading of eq. (7)-(8); docs/gabn.md says what each one does.

        term     K = shift * L_conf, detached; L_adv is a term of its own, weight * L_adv
        shift    K = shift * (L_conf + L_adv - log G), detached; no gradient through the map
        literal  K = L_conf + L_adv as printed, detached; does not train, for the record

    ``erasing``, ``confidence`` and ``adversarial`` switch the parts on alone (Table 4).
    """

    objective: str = "term"  # term | shift | literal: how K and L_adv enter the loss
    # Erasure (section 3.4).
    # attention: GAM-SFRE | random, rolled: its controls (rectangles anywhere; those of GAM-SFRE
    # moved together to a random place) | off
    erasing: str = "attention"
    rectangles: int = 20  # N, rectangles per image
    height: int = 10  # largest height of a rectangle, pixels; drawn from 1..height
    width: int = 10  # largest width, likewise
    fill: float = 0.0  # what an erased pixel becomes, -1..1; 0 is mid grey
    # Confidence balance (eq. 5).
    confidence: bool = True  # whether L_conf enters K
    threshold: float = 0.7  # T: a row with pmax >= T counts as confident, 0..1
    shift: float | None = None  # rad of K per unit; None: half of the run's ArcFace margin
    shift_gradient: str = "upstream"  # upstream: derivative s | exact: the cosine's own
    # Attention maps (eq. 1-2) and their consistency (section 3.3).
    gam_margin: bool = False  # maps of the margin's probabilities (paper) or of plain cosines
    adversarial: bool = True  # whether the classifier of maps and L_adv (eq. 4) exist
    weight: float = 0.1  # of L_adv with objective "term"
    start: float = 0.25  # share of the run after which L_adv counts; the classifier starts at 0
    every: int = 1  # L_adv acts on every n-th step; its weight is not raised for it
    share: float = 1.0  # of each rank's batch that L_adv is computed on, above 0, up to 1
    second_order: str = "exact"  # exact: double backward | difference: two more passes
    # The classifier of maps: ResNet-18, one channel in.
    num_groups: int | None = None  # None: as many as the group table names
    map_side: int = 112  # maps are averaged down to this side for the classifier, pixels
    classifier_width: int = 64  # channels of its first stage; 64 is ResNet-18
    classifier_balance: bool = True  # in eq. (3) groups count alike | False: maps do, as printed
    classifier_every: int = 1  # it is trained on every n-th step
    classifier_lr: float = 0.1  # of its SGD
    classifier_momentum: float = 0.9  # likewise
    classifier_weight_decay: float = 5e-4  # likewise
    classifier_lr_steps: tuple = (9, 15, 20)  # epochs at which its rate is divided by 10
    seed: int | None = None  # of rectangles and classifier; None: the run's seed

    def __post_init__(self) -> None:
        """Raises UserError for the first value that is out of range."""
        check_choice("gabn.objective", self.objective, OBJECTIVES)
        check_choice("gabn.erasing", self.erasing, ERASING)
        check_choice("gabn.shift_gradient", self.shift_gradient, ("upstream", "exact"))
        check_choice("gabn.second_order", self.second_order, ("exact", "difference"))
        for key in ("rectangles", "height", "width", "every", "classifier_every"):
            check_range(f"gabn.{key}", getattr(self, key), 1)
        for key in ("threshold", "start"):
            check_range(f"gabn.{key}", getattr(self, key), 0, 1)
        for key in ("weight", "classifier_weight_decay"):
            check_range(f"gabn.{key}", getattr(self, key), 0)
        check_range("gabn.fill", self.fill, -1, 1)
        check_range("gabn.share", self.share, 0, 1, open_low=True)
        check_range("gabn.classifier_lr", self.classifier_lr, 0, open_low=True)
        check_range("gabn.classifier_momentum", self.classifier_momentum, 0, 1)
        check_range("gabn.map_side", self.map_side, 14, 112)
        check_range("gabn.classifier_width", self.classifier_width, 4)
        if self.shift is not None:
            check_range("gabn.shift", self.shift, 0, 1.5)
        if self.num_groups is not None:
            check_range("gabn.num_groups", self.num_groups, 2)
        if not (self.confidence or self.adversarial or self.erasing != "off"):
            raise UserError(
                "gabn switches off erasing, confidence and adversarial, expected at least one of "
                "them; turn one on or take gabn_plugin out of config.plugins"
            )

    def classifier_rate_at(self, epoch: int) -> float:
        """The classifier's learning rate during ``epoch`` (from 0)."""
        return self.classifier_lr * 0.1 ** sum(epoch >= step for step in self.classifier_lr_steps)

    @property
    def differentiable(self) -> bool:
        """Whether L_adv reaches the backbone's weights through the maps."""
        return self.adversarial and self.objective == "term" and self.weight > 0


def reads_old(config: Mapping[str, Any]) -> tuple[dict[str, Any], str] | None:
    """The config as it is written since contrast erasing left this plugin, and a sentence.

    None where ``gabn.erasing`` is not "contrast". What is left of GABN goes first, so that it sees
    the clean images as before; where nothing is left, its block and its module go.
    """
    block = config.get("gabn")
    if not isinstance(block, Mapping) or block.get("erasing") != "contrast":
        return None
    own = {**block, "erasing": "off"}
    contrast = {"grey": own.get("fill", 0.0), "seed": own.get("seed")}
    contrast |= dict(own.pop("contrast", {}))
    stays = own.get("confidence", True) or own.get("adversarial", True)
    plugins: list[str] = []
    for name in config["plugins"]:
        if name not in ("gabn_plugin", "gabn"):
            plugins.append(name)
        else:
            plugins += [name, "contrast_plugin"] if stays else ["contrast_plugin"]
    kept = {key: value for key, value in config.items() if key != "gabn"}
    kept |= {"plugins": plugins, "contrast": contrast, **({"gabn": own} if stays else {})}
    return kept, (
        "config.gabn.erasing = 'contrast' is now the plugin contrast_plugin with its block "
        "config.contrast; it is read as that, write it so"
    )
