"""What the figures show of the stored results."""

import numpy as np

from kd_lab.lessons.l11b_few_steps.figures import quality_figure
from kd_lab.lessons.l11b_few_steps.results import load_results


def test_most_sets_of_exact_samples_lie_in_the_band_that_is_named_after_them():
    """It was made of five of the ten, which happened to agree: four of the others lay above it."""
    results = load_results()
    left, _ = quality_figure(results).axes
    (band,) = (patch for patch in left.patches if patch.get_label() == "exact samples")
    low, high = band.get_extents().transformed(left.transData.inverted()).intervaly
    exact = np.concatenate([results.exact(0), results.exact(1)])
    assert ((low <= exact) & (exact <= high)).sum() >= 9
