# SPDX-License-Identifier: MIT
"""The report that goes with a model: one HTML page, JSON and CSV. Needs the `report` extra."""

from arcface_fair.report.content import Model, Report, build_report
from arcface_fair.report.files import write_csv, write_json
from arcface_fair.report.page import write_html

__all__ = ["Model", "Report", "build_report", "write_csv", "write_html", "write_json"]
