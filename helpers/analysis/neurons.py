"""Shifts down to the neurons of the MLPs: means over images, and what is beyond an ordinary one.

A neuron n adds a_n G_n to an embedding, where a_n is how strongly it fires, over the final norm's
deviation, and G_n what it writes, through norm and projection. Its share of a shift Δ is
(a'_n - a_n) ⟨G_n, Δ⟩ / ‖Δ‖², and the shares of a layer's neurons sum to its MLP's but for the bias.
"""

import xarray as xr


def merged_moments(moments: xr.DataArray, counts: xr.DataArray) -> xr.Dataset:
    """Put the moments of batches together.

    Parameters
    ----------
    moments : DataArray, (batch, of_source, moment, …, neuron)
        Mean and root mean square over images, in units of one over the number of neurons.
    counts : DataArray, (batch, of_source)
        Images.

    Returns
    -------
    Dataset
        ``share`` and ``error`` (of_source, …, neuron), float64: means over images, and their
        standard errors; NaN where there are fewer than two images. ``images`` (of_source).
    """
    weights = counts / counts.sum("batch")
    scaled = moments.astype(float) / moments.sizes["neuron"]
    mean = (scaled.sel(moment="mean", drop=True) * weights).sum("batch")
    square = ((scaled.sel(moment="root mean square", drop=True) ** 2) * weights).sum("batch")
    images = counts.sum("batch")
    variance = (square - mean**2).clip(0) / (images - 1).where(images > 1)
    return xr.Dataset({"share": mean, "error": variance**0.5, "images": images})
