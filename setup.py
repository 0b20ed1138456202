# SPDX-License-Identifier: MIT
"""Packages the three top-level packages, and the shipped configs as `arcface_fair._configs`.

The metadata lives in pyproject.toml. Nothing top-level called ``configs`` is ever installed, since
arcface_torch imports a package of that name from its own folder.
"""

from setuptools import find_packages, setup

setup(
    packages=[
        *find_packages(include=["arcface_fair*", "invreg_plugin*", "gabn_plugin*"]),
        "arcface_fair._configs",
    ],
    package_dir={"arcface_fair._configs": "configs"},
)
