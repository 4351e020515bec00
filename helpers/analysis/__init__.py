"""Functions on arrays. Reads no file, runs no model.

What knows of arrays alone: `statistics` of samples of images; `proximity`, what lies near what.

Images and changes: `sources` they come from; `scores` of pixels and embeddings, `maps` of
attention; `shifts` of embeddings, their `order`, and what they do by `severity`.

Answers: zero-shot `predictions` and the truth; `flips`, what they become.

Heads: `labels` from TEXTSPAN, the `roles` that these add up to, and `probes` that ask otherwise.

Shifts in parts: `dissection`, the account; `specificity`, what of it is a change's own; `patching`,
what becomes of a shift when something is put back.
"""
