"""Methods that say which heads matter to a property, held against what is known of the heads.

`methods` score heads, `comparison` compares the scores; heads are known by patching, by `planting`
and by `retraining`. `judging`, run as a module, measures all of it once. `scoring` holds analyses
of heads against the masks and properties of drawn scenes, and `on_scenes` does so for a run.
"""
