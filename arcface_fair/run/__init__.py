# SPDX-License-Identifier: MIT
"""The folder of a run: checkpoints, weights, and what is read back from them."""
