# SPDX-License-Identifier: MIT
"""RecordIO packs and image folders: reading, writing, checking."""
