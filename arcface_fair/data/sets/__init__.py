# SPDX-License-Identifier: MIT
"""Evaluation sets and their pair lists."""
