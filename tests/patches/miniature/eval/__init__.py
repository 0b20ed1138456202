# SPDX-License-Identifier: MIT
"""A package of the miniature trainer."""
