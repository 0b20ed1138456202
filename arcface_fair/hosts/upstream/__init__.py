# SPDX-License-Identifier: MIT
"""InsightFace's own `train_v2.py`, patched: what its inserted lines call."""
