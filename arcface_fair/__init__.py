# SPDX-License-Identifier: MIT
"""Fairness plugins for face recognition trainers: the shared core.

Read `arcface_fair.plugin.session` first: it draws the training loop and what a plugin sees of it.
"""

__version__ = "0.1.0"
