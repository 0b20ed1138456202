# SPDX-License-Identifier: MIT
"""How far groups' error rates lie apart at one threshold for all: the published formulas.

Every function takes rates [..., G] over the groups in the last axis, 0..1, and returns [...].
FMR, the false match rate: share of impostor pairs accepted. FNMR, the false non-match rate:
share of genuine pairs refused. Undefined values are NaN, ratios to zero are infinite.

These are published proposals. ISO/IEC 19795-10:2024, the standard on measuring demographic
differentials, is sold and was not read; no conformance with it is claimed.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from arcface_fair.evaluation.verification import Floats


def skewed_error_ratio(accuracies: ArrayLike) -> Floats:
    """SER = max_g (1 - accuracy_g) / min_g (1 - accuracy_g); 1 is equal, or no group errs at all.

    GABN (arXiv 2304.02284), section 4.1. Infinite where only some groups have no error.
    """
    errors = 1.0 - np.asarray(accuracies, np.float64)
    return np.where(errors.max(-1) > 0, _ratio(errors.max(-1), errors.min(-1)), 1.0)


def max_min_ratio(rates: ArrayLike) -> Floats:
    """max_g r_g / min_g r_g, the differential that NISTIR 8280 (2019) reports; 1 is equal.

    NaN where all rates are 0, infinite where only some are.
    """
    values = np.asarray(rates, np.float64)
    return _ratio(values.max(-1), values.min(-1))


def max_geomean_ratio(rates: ArrayLike) -> Floats:
    """max_g r_g / (prod_g r_g)^(1/G); 1 is equal.

    The summary that NIST put forward in its draft FRVT part 8 (2022), as reported in the press;
    the draft itself could not be read. NaN where all rates are 0, infinite where only some are.
    """
    values = np.asarray(rates, np.float64)
    with np.errstate(divide="ignore"):
        return _ratio(values.max(-1), np.exp(np.log(values).mean(-1)))


def fairness_discrepancy_rate(fmr: ArrayLike, fnmr: ArrayLike, alpha: float = 0.5) -> Floats:
    """FDR = 1 - (alpha A + (1 - alpha) B); 1 is equal.

    A = max_{i,j} |FMR_i - FMR_j|, B = max_{i,j} |FNMR_i - FNMR_j| at one threshold
    (de Freitas Pereira and Marcel, arXiv 2011.02395, by the documentation of
    bob.bio.demographics). Differences, not ratios: at a small FMR, A is always near 0 and the
    figure is near 1 whatever the groups get.
    """
    a, b = (np.ptp(np.asarray(rates, np.float64), axis=-1) for rates in (fmr, fnmr))
    return 1 - (alpha * a + (1 - alpha) * b)


def gini(rates: ArrayLike) -> Floats:
    """G = n / (n - 1) * sum_ij |r_i - r_j| / (2 n^2 mean(r)), 0 equal .. 1; 0 where all are 0.

    The sample-corrected Gini coefficient that GARBE is made of. NaN for a single group.
    """
    values = np.asarray(rates, np.float64)
    count = values.shape[-1]
    if count < 2:
        return np.full(values.shape[:-1], np.nan)
    total = np.abs(values[..., :, None] - values[..., None, :]).sum((-1, -2))
    scale = 2 * count * (count - 1) * values.mean(-1)
    return np.divide(total, scale, out=np.zeros_like(total), where=scale != 0)


def garbe(fmr: ArrayLike, fnmr: ArrayLike, alpha: float = 0.5) -> Floats:
    """GARBE = alpha G(FMR) + (1 - alpha) G(FNMR); 0 is equal, 1 the most unequal.

    Gini aggregation rate for biometric equitability (Howard et al., arXiv 2203.05051). Only the
    paper's abstract could be read; the formula is the one that independent implementations of it
    give, with G as in `gini`.
    """
    return alpha * gini(fmr) + (1 - alpha) * gini(fnmr)


def inequity_rate(fmr: ArrayLike, fnmr: ArrayLike, alpha: float = 0.5) -> Floats:
    """IR = (max FMR / min FMR)^alpha * (max FNMR / min FNMR)^(1 - alpha); 1 is equal.

    Attributed to NIST by Howard et al. (arXiv 2203.05051, of which the abstract could be read);
    the exponents are those of independent implementations. Infinite or NaN as the ratios are.
    """
    return max_min_ratio(fmr) ** alpha * max_min_ratio(fnmr) ** (1 - alpha)


def _ratio(top: Floats, bottom: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(top / bottom)
