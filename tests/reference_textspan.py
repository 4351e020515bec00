"""TEXTSPAN as the paper states it: what the workbook's own must choose, and is timed against."""

import numpy as np


def plain_textspan(data, texts, k, rank):
    """Choose k texts for one head (images × features): all data times all texts in every round."""
    _, _, right = np.linalg.svd(data, full_matrices=False)
    texts = texts @ right[:rank].T @ right[:rank]
    data = data - data.mean(axis=0)
    variance = data.var(axis=0).sum()
    indices, explained = [], []
    for _ in range(k):
        chosen = (data @ texts.T).std(axis=0).argmax()
        unit = texts[chosen] / np.linalg.norm(texts[chosen])
        along = data @ unit
        indices.append(chosen)
        explained.append(along.var() / variance)
        data = data - np.outer(along, unit)
        texts = texts - np.outer(texts @ unit, unit)
    return indices, explained
