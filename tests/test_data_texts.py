import re
import subprocess
import sys
import warnings
from collections import Counter

import numpy as np
import pytest
from open_clip.tokenizer import SimpleTokenizer

from helpers.checks import WorkbookError
from helpers.clip.embedded.weights import build
from helpers.data.scenes import PROPERTIES
from helpers.data.sources import PHOTOS
from helpers.data.texts import POOLS, Texts, open_texts
from helpers.data.texts.make import MAKERS, with_article, words_of, write
from helpers.data.texts.pools import FOLDER, file_of

CLIP_CONTEXT = 77


@pytest.fixture(params=POOLS)
def pool(request):
    return open_texts(request.param)


def lengths(texts):
    """Return the number of tokens of each text, with start and end."""
    return (SimpleTokenizer(context_length=4 * CLIP_CONTEXT)(list(texts)) != 0).sum(dim=1)


# The workbook's pools


def test_files_are_what_the_script_makes(tmp_path):
    write(tmp_path)
    assert set(MAKERS) == set(POOLS)
    for name in map(file_of, POOLS):
        assert (tmp_path / name).read_bytes() == (FOLDER / name).read_bytes()


def test_every_text_is_different_tagged_and_tidy(pool):
    assert len({text.lower() for text in pool.texts}) == len(pool) == len(pool.properties)
    assert None not in pool.properties
    for text in pool.texts:
        assert text == " ".join(text.split())
        assert not set(text) & set("{}")


def test_general_pool_is_large_and_no_property_fills_it():
    pool = open_texts("general")
    sizes = [len(texts) for texts in pool.vocabulary.values()]
    assert len(pool) >= 3000
    assert len(sizes) >= 25
    assert min(sizes) >= 50
    assert max(sizes) <= 3 * min(sizes)


def test_general_pool_has_many_words_and_few_templates():
    groups = [group for of in words_of("vocabulary.yaml").values() for group in of]
    assert len({word for group in groups for word in group["words"]}) > 2000
    for group in groups:
        assert not [word for word, times in Counter(group["words"]).items() if times > 1]
        for template in group["templates"]:
            assert len(re.findall(r"\{a?\}", template)) == 1


def test_general_texts_fit_clip():
    assert lengths(open_texts("general").texts).max() < CLIP_CONTEXT


def test_articles_follow_the_spelling_but_for_known_words():
    wrong = re.compile(r"\ban? an? |\ba (?!euc|uni|uku)[aeiou]|\ban [^aeiouhx]", re.IGNORECASE)
    letters = re.compile(r"\bletter [A-Z]$")
    for text in open_texts("general").texts:
        assert not wrong.search(letters.sub("", text)), text


@pytest.mark.parametrize(
    "word, phrase",
    [
        ("zebra", "a zebra"),
        ("owl", "an owl"),
        ("university", "a university"),
        ("umbrella", "an umbrella"),
        ("hourglass", "an hourglass"),
        ("x-ray image", "an x-ray image"),
        ("3D printer", "a 3D printer"),
    ],
)
def test_articles(word, phrase):
    assert with_article(word) == phrase


def test_the_embedded_model_knows_every_word_of_the_scenes_pool():
    _, tokenizer = build("embedded")
    pool = open_texts("scenes")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tokens = tokenizer(list(pool.texts))
    assert lengths(pool.texts).max() <= tokens.shape[1]


def test_scenes_pool_names_every_value_equally_often():
    pool = open_texts("scenes").vocabulary
    assert list(pool) == [*PROPERTIES, "photograph"]
    for name, one in PROPERTIES.items():
        prompts = [one.write("{}", value) for value in one.values]
        longest_first = re.compile("|".join(sorted(map(re.escape, prompts), key=len)[::-1]))
        said = Counter(word for text in pool[name] for word in longest_first.findall(text))
        assert set(said) == set(prompts)
        assert len(set(said.values())) == 1
    assert all(any(caption in text for text in pool["photograph"]) for caption in PHOTOS.values())


def test_scenes_pool_is_balanced_and_keeps_the_held_out_prompts_apart():
    pool = open_texts("scenes")
    sizes = [len(texts) for texts in pool.vocabulary.values()]
    assert max(sizes) <= 2.5 * min(sizes)
    held_out = {
        one.write(prompt, value)
        for one in PROPERTIES.values()
        for prompt in one.held_out
        for value in one.values
    }
    assert not held_out & set(pool.texts)


def test_texts_are_opened_without_torch():
    script = (
        "import sys, helpers.data.texts as t; t.open_texts('scenes'); print('torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"


# Texts


@pytest.mark.parametrize("pool", POOLS)
def test_wordings_of_one_value_share_it_and_name_it(pool):
    texts = open_texts(pool)
    named = set(zip(texts.properties, texts.values, strict=True))
    assert len(named) < len(texts) * 0.7
    # A caption's template may change the word itself: "one" is written "one object".
    words = [
        value.split()[0].lower() in text.lower()
        for text, value in zip(texts.texts, texts.values, strict=True)
    ]
    assert np.mean(words) > 0.99


def test_vocabulary_leaves_untagged_texts_out():
    names = ("a red cat", "a cup", "a blue cat")
    texts = Texts("some", names, ("colour", None, "colour"), ("red", "a cup", "blue"))
    assert len(texts) == 3
    assert dict(texts.vocabulary) == {"colour": ("a red cat", "a blue cat")}


def test_fingerprint_follows_the_contents_and_not_the_name():
    said = (("a", "b"), ("x", None), ("u", "v"))
    first = Texts("first", *said)
    assert len(first.fingerprint) == 64
    assert Texts("second", *said).fingerprint == first.fingerprint
    changes = [("b", "a"), (None, "x"), ("u", "u")]
    others = [(*said[:at], change, *said[at + 1 :]) for at, change in enumerate(changes)]
    assert first.fingerprint not in {Texts("first", *other).fingerprint for other in others}


# A user's files


def file(folder, name, content):
    path = folder / name
    path.write_text(content, encoding="utf-8")
    return path


def test_text_file_has_a_text_a_line(tmp_path):
    texts = open_texts(file(tmp_path, "mine.txt", "a cat, asleep\n\n  a café \r\n"))
    assert texts == Texts(
        "mine.txt", ("a cat, asleep", "a café"), (None, None), ("a cat, asleep", "a café")
    )


def test_csv_file_has_texts_and_perhaps_properties(tmp_path):
    content = '\ufeffproperty, Text, value\nanimals,"a cat, asleep",cat\n\n,a cup\n'
    texts = open_texts(str(file(tmp_path, "mine.CSV", content)))
    assert texts == Texts(
        "mine.CSV", ("a cat, asleep", "a cup"), ("animals", None), ("cat", "a cup")
    )
    without = open_texts(file(tmp_path, "plain.csv", "text\na cat\n"))
    assert without.properties == (None,)


@pytest.mark.parametrize(
    "name, content, sentence",
    [
        ("empty.txt", "\n \n", r"holds no texts; write at least one\.$"),
        ("empty.csv", "", r"holds no texts; write at least one\.$"),
        ("header.csv", "text,property\n", r"holds no texts; write at least one\.$"),
        ("column.csv", "name,b\na cat,c\n", r"has no column 'text', only 'name', 'b'; name the c"),
        ("lines.csv", '"a\nb",c\na cat,d\n', r"has no column 'text', only 'a\\nb', 'c'; name the"),
        ("twice.txt", "A  cat\na dog\na Cat\n", r"has the text 'a cat' more than once .* once\.$"),
        ("twice.csv", "text\na\na\nb\nb\nb\n", r"has the text 'a' and 1 more more than once"),
        ("comma.csv", "text\na cat\na cat, asleep\n", r"has 2 cells in line 3 and 1 columns; put "),
        ("hole.csv", "text,property\n,animals\n", r"has no text in line 2; complete or remove"),
        ("quote.csv", 'text\n"a cat\n', r"is no valid CSV: unexpected end of data\.$"),
    ],
)
def test_a_bad_file_is_told_in_a_sentence(tmp_path, name, content, sentence):
    path = file(tmp_path, name, content)
    with pytest.raises(WorkbookError, match=f"^Texts file {str(path)!r} {sentence}"):
        open_texts(path)


def test_a_missing_file_or_folder_is_told(tmp_path):
    with pytest.raises(WorkbookError, match=r"nowhere.txt' can't be read: No such file"):
        open_texts(tmp_path / "nowhere.txt")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(WorkbookError, match=r"folder.csv' can't be read: Is a directory"):
        open_texts(tmp_path / "folder.csv")


def test_a_file_of_another_encoding_is_told(tmp_path):
    (tmp_path / "latin.txt").write_bytes("café".encode("latin-1"))
    with pytest.raises(WorkbookError, match=r"latin.txt' is no UTF-8 text; save it"):
        open_texts(tmp_path / "latin.txt")


@pytest.mark.parametrize("source", ["genral", "texts.json", ""])
def test_an_unknown_pool_is_told_with_the_valid_ones(source):
    options = r"choose one of general, scenes, FILE\.txt, FILE\.csv\."
    with pytest.raises(WorkbookError, match=f"texts has no value {source!r}; {options}"):
        open_texts(source)


@pytest.mark.parametrize("source", [None, 3, ["general"]])
def test_what_is_no_name_is_told(source):
    with pytest.raises(
        WorkbookError, match=r"texts has no value .*; choose one of general, scenes"
    ):
        open_texts(source)
