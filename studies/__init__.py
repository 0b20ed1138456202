# SPDX-License-Identifier: MIT
"""The benchmark: every method beside its controls on drawn people, and what it is worth.

`rows` names what is compared, `suites` the tables, `plan` turns rows into runs, `runner` does
them in parallel and resumes, `job` is one run, `results` gathers them, `statistics` pairs them by
seed, `text` and `page` show what came out.
"""
