# SPDX-License-Identifier: MIT
"""Batches for training."""
