"""How the embedded models were trained and measured, from drawn scenes and photographs.

`train` and `evaluate`, run as modules, make and measure one; `helpers.clip.embedded` opens it, and
its README is their card.
"""
