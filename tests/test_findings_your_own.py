import pandas as pd

from helpers.findings.your_own import answer


def table(values):
    means = pd.Series(values)
    return pd.DataFrame({"mean": means, "low": means, "high": means})


def test_words_follow_the_numbers():
    own = {"photos": table({"stripes": 0.9, "posterized": 0.8})}
    for last, words in ((0.995, "hardly moves"), (0.7, "compression moves")):
        jpeg = {"photos": table({1.0: 0.999, 5.0: last})}
        found = answer(jpeg, own, quality=lambda severity: 95 - 18 * round(severity))
        assert words in found.sentence
        assert found.sentence.endswith("furthest is posterized.")
        assert "quality 5?" in found.findings[0].question
        assert found.findings[1].beside == "least: stripes 0.900 [0.900, 0.900]"
