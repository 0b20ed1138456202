# SPDX-License-Identifier: MIT
"""The papers' own rows give the averages, STDs and SERs that the papers print, but for two."""

import numpy as np
import pytest

from arcface_fair.evaluation.metrics import over_accuracies

PRINTED = 0.011  # two decimals in the paper, and a little

# Accuracies per group, then Avg, STD (ddof 1) and SER: GABN (arXiv 2304.02284), tables 1 to 4.
GABN = {
    "table 1, ArcFace": (97.37, 95.68, 94.55, 93.87, 95.37, 1.53, 2.33),
    "table 1, M-RBN": (97.03, 95.58, 94.40, 95.18, 95.55, 1.10, 1.89),
    "table 1, RL-RBN": (97.08, 95.63, 95.57, 94.87, 95.79, 0.93, 1.76),
    "table 1, MBN": (96.87, 96.20, 95.63, 95.00, 95.93, 0.80, 1.60),
    "table 1, GABN": (97.21, 96.06, 95.73, 95.51, 96.13, 0.75, 1.60),
    "table 2, ArcFace": (96.18, 94.67, 93.72, 93.98, 94.64, 1.11, 1.65),
    "table 2, ACNN": (96.12, 94.55, 93.67, 94.00, 94.58, 1.08, 1.63),
    "table 2, PFE": (96.38, 94.60, 94.27, 95.17, 95.11, 0.93, 1.58),
    "table 2, DebFace": (95.95, 94.78, 94.33, 93.67, 94.68, 0.96, 1.56),
    "table 2, GAC": (96.02, 94.22, 94.10, 94.12, 94.62, 0.93, 1.48),
    "table 2, RL-RBN": (96.27, 94.68, 94.82, 95.00, 94.64, 0.73, 1.43),
    "table 2, MBN": (96.25, 95.32, 94.85, 95.38, 95.45, 0.58, 1.37),
    "table 2, GABN": (95.78, 95.21, 94.51, 94.71, 95.05, 0.56, 1.30),
    "table 3, 60 %": (95.21, 94.65, 93.73, 94.05, 94.44, 0.66, 1.31),
    "table 3, 70 %": (96.23, 95.41, 94.66, 95.15, 95.36, 0.65, 1.42),
    "table 3, 75 %": (96.13, 95.06, 94.45, 94.83, 95.12, 0.72, 1.43),
    "table 3, 80 %": (95.61, 94.36, 93.58, 93.88, 94.36, 0.89, 1.46),
    "table 4, random erase": (96.20, 95.40, 94.57, 94.57, 95.18, 0.78, 1.43),
    "table 4, GAM-CT": (95.93, 95.20, 94.41, 94.90, 95.11, 0.63, 1.37),
    "table 4, GAM-SFRE": (96.16, 95.43, 94.63, 95.08, 95.32, 0.64, 1.39),
}
# Accuracies per group, then Avg and Std (ddof 0): INV-REG (ICCV 2023), tables 2 and 3.
INVREG = {
    "table 2, R50 ArcFace": (74.54, 84.43, 81.47, 53.27, 73.43, 12.18),
    "table 2, R50 Ours-ArcFace": (77.00, 85.30, 82.88, 54.93, 75.03, 11.99),
    "table 2, R50 CIFP": (77.26, 85.52, 83.76, 55.74, 75.57, 11.86),
    "table 2, R50 Ours-CIFP": (79.41, 86.53, 84.99, 57.82, 77.19, 11.49),
    "table 2, R100 Anchorface": (79.31, 87.00, 85.59, 59.70, 77.90, 10.90),
    "table 2, R100 ArcFace": (79.12, 87.18, 85.50, 55.81, 76.90, 12.54),
    "table 2, R100 Ours-ArcFace": (81.76, 89.16, 87.64, 59.20, 79.44, 12.01),
    "table 2, R100 CIFP": (82.55, 89.40, 88.77, 60.58, 80.32, 11.71),
    "table 2, R100 Ours-CIFP": (83.70, 90.04, 89.01, 61.91, 81.17, 11.38),
    "table 3, ArcFace": (97.48, 98.80, 97.38, 96.80, 97.61, 0.73),
    "table 3, LDAM-Cosface": (97.80, 98.93, 97.50, 97.23, 97.86, 0.65),
    "table 3, MetaCW": (97.86, 99.13, 98.11, 97.73, 98.20, 0.55),
    "table 3, MvCoM-URFace": (97.18, 98.85, 96.98, 97.15, 97.54, 0.76),
    "table 3, MvCoM-Cosface": (98.06, 99.16, 98.28, 97.78, 98.32, 0.51),
    "table 3, Ours-ArcFace": (98.56, 99.47, 98.76, 98.39, 98.79, 0.41),
}
MISPRINTS = {"table 2, RL-RBN": 95.19, "table 3, 60 %": 94.41}


def over_groups(accuracies):
    found = over_accuracies(np.array([accuracies]) / 100)
    return {key: float(value[0]) for key, value in found.items()}


@pytest.mark.parametrize("name", GABN)
def test_gabns_rows_give_its_std_with_ddof_1_and_its_ser(name):
    table = over_groups(GABN[name][:4])
    mean, std, ser = GABN[name][4:]
    assert 100 * table["STD n-1"] == pytest.approx(std, abs=PRINTED)
    assert table["SER"] == pytest.approx(ser, abs=PRINTED)
    if name not in MISPRINTS:
        assert 100 * table["mean accuracy"] == pytest.approx(mean, abs=PRINTED)


@pytest.mark.parametrize("name", MISPRINTS)
def test_two_averages_of_gabn_are_misprints(name):
    table, printed = over_groups(GABN[name][:4]), GABN[name][4]
    assert 100 * table["mean accuracy"] == pytest.approx(MISPRINTS[name], abs=PRINTED)
    assert abs(100 * table["mean accuracy"] - printed) > 2 * PRINTED


@pytest.mark.parametrize("name", INVREG)
def test_invregs_rows_give_its_std_with_ddof_0(name):
    table = over_groups(INVREG[name][:4])
    mean, std = INVREG[name][4:]
    assert 100 * table["mean accuracy"] == pytest.approx(mean, abs=PRINTED)
    assert 100 * table["STD n"] == pytest.approx(std, abs=PRINTED)


def test_each_paper_is_met_by_its_own_ddof_only():
    gabn = over_groups(GABN["table 1, ArcFace"][:4])
    invreg = over_groups(INVREG["table 3, ArcFace"][:4])
    assert abs(100 * gabn["STD n"] - 1.53) > 0.1
    assert abs(100 * invreg["STD n-1"] - 0.73) > 0.1
