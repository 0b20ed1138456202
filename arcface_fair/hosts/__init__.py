# SPDX-License-Identifier: MIT
"""The trainers that carry plugins: what both share, the embedded one, and upstream's."""
