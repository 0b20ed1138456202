# SPDX-License-Identifier: MIT
"""Networks that turn aligned faces into embeddings; importing this fills the registry."""

from arcface_fair.backbones import iresnet, mobilefacenet, small, vit
from arcface_fair.backbones.build import BACKBONES, get_model

__all__ = ["BACKBONES", "get_model", "iresnet", "mobilefacenet", "small", "vit"]
