"""The house keeps itself: one place for each thing, few and short files, no name that nobody uses.

Each rule has a short list of exceptions, each with its reason. An exception that no longer is one fails too.
"""

import ast
import re
from collections import Counter
from collections.abc import Iterable
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "kd_lab"

LIBRARY = (
    "optional_torch",
    "arguments",
    "contracts",
    "worlds",
    "models",
    "what",
    "how",
    "where",
    "methods",
    "measure",
    "compress",
)
# The library's files and lines without its later capabilities; raised only by a capability, in its own commit.
LIBRARY_FILES, LIBRARY_LINES = 80, 9_500
CAPABILITIES = {  # files and lines that each has added
    "one way of checking arguments for all public names, from their annotations": (2, 520),
    "batches whose mask is not of their targets, and steps of what is no problem, are refused": (0, 23),
    "text teachers that are believed in nothing, and a server that outlives bad callers": (0, 260),
    "Hugging Face models and their tokenizers": (2, 400),
    "heads that are never materialised in a recipe, with the scales and caps of their families": (1, 92),
    "writing without the logits of the prompt": (0, 25),
    "heads sharded over ranks": (1, 200),
    "long runs: parts, precision, schedules, checkpoints that resume bit for bit": (1, 430),
    "data parallel training, one coin for all ranks": (1, 175),
    "teachers that are caches: of logits, of top-k or sampled ids": (2, 215),
    "cached top-k files that are checked, ragged caches, tails in log space": (2, 370),
    "cache keys that hash functions with their arguments": (1, 150),
    "scales, softcaps and labels in the linear loss": (1, 280),
    "checkpoints that refuse impossible names and clear killed writes; tensors without numbers refused": (0, 20),
    "the share of a performance gap that a student recovers": (0, 45),
    "students that cannot copy: a Gaussian, and a softmax of low rank": (2, 400),
    "few logits without autograd's operations, one more token without modules, sizes before models": (2, 500),
    "a diffusion on the plane with its exact score": (1, 165),
    "a world with a verifier, reinforcement by it (GRPO), and pass@k": (3, 440),
    "labels, weights and statistics in the same pass, on every path; a sixth divergence; NaN alike everywhere": (
        1,
        920,
    ),
    "a watermark in sampled text and the z that finds it; agreement of two models": (1, 170),
    "speculative decoding with any two models, caches that roll back, the acceptance of a draft": (2, 370),
    "what is NumPy alone runs without torch, as in a browser": (3, 85),
    "settings of trainers whose teacher is a server": (1, 100),
    "stored next-token distributions of a real LLM": (1, 140),
    "one mark at the beginning of a prompt, on both sides of the wire": (0, 44),
    "texts of the teacher that one process writes for all": (0, 46),
    "an example in every recipe and loss, chunks by device, and where importance weights are bounded": (0, 73),
    "one answer of a text teacher in a module of its own": (1, 13),
    "texts that a failing call keeps, and the pauses that a server asks for": (0, 52),
    "trainings that were stopped are kept nowhere, whoever caught the interrupt": (0, 37),
    "continuations that keep their first space": (0, 28),
    "answers of a cached teacher for each precision": (0, 5),
    "batches of which nothing counts, and scores that are no numbers, are refused everywhere": (0, 46),
    "texts that differ behind equal prompts, whatever the server does with a seed": (0, 56),
    "narrow weights, a clip of 0, ranks apart and rewards without numbers are refused": (0, 73),
    "options that are handed on have types": (0, 35),
    "sparse losses under torch.func, with their checks; what reaches over ranks refuses it": (0, 45),
    "runs known by all that they are made of, kept where a callback fails; models that end elsewhere": (0, 115),
    "walls before the first mass, labels that are almost certain, any default dtype": (0, 37),
}
FILE_LINES, KERNEL_LINES = 300, 400
FUNCTION_LINES, EXPLORER_LINES = 60, 80
PUBLIC_NAMES = 21  # about twenty
FILE_MIB = 4

DATA = {"lesson.py", "exercises.py", "questions.py"}  # a lesson's text, cases and questions: as long as what they say

# The exceptions: what → why. A name with a dot at its end stands for all of a package.

FOR_ONE_LESSON = {
    "kd_lab.compress.": "one subject, taught in one lesson; its parts are a library for models of one's own",
    "kd_lab.methods.": "a recipe stands beside its siblings, in whichever lesson it is taught",
    "kd_lab.how.": "the public contract of losses and estimators; lessons are one reader of several",
    "kd_lab.measure.pass_at_k": "measures any model whose texts can be verified",
    "kd_lab.measure.exposure": "measures any student, and the estimates of lesson 05 are checked against it",
    "kd_lab.models.watermark": "marks any teacher's text, and finds the mark in any text",
    "kd_lab.worlds.diffusion": "a world beside its siblings, in whichever lesson it is taught",
    "kd_lab.what.heads": "a signal beside its siblings, for any model with a large vocabulary",
}

LISTS_OF_DIVERGENCES = {
    "kd_lab.bench.losses": "the formulas as others write them, against which ours are timed",
    "kd_lab.viz.style": "colour and line for each name; tests/viz/test_style.py holds it against the table",
    "kd_lab.lessons.l06_gkd.experiment": "the β of each divergence in the stored grid, which is data",
}

LONG_FILES: dict[str, str] = {}

ONE_KERNEL = "one kernel, whose accumulators live from its first line to its last"
LONG_FUNCTIONS = {
    "kd_lab.how.kernels.resident.resident": ONE_KERNEL,
    "kd_lab.how.kernels.streaming.streaming_forward": ONE_KERNEL,
}

INSIDE = "runs inside the kernels, which tests/how/kernels/ holds against fp64 through their operators"
UNTESTED = {
    "kd_lab.bench.__main__": "a list of commands; the benchmarks that it starts have their own tests",
    **{f"kd_lab.how.kernels.{name}": INSIDE for name in ("launch", "resident", "rows", "streaming")},
}

OWN_MODEL = "for pruning or rounding a model of one's own"
UNUSED = {
    **{
        f"kd_lab.compress.prune.{name}": OWN_MODEL
        for name in ("Structures", "channel_scores", "head_scores", "layer_scores", "mask_gradients", "sparsity")
    },
    "kd_lab.compress.quantize.straight_through": OWN_MODEL,
    "kd_lab.how.softmax_kl_with_statistics": "the loss beside its statistics, for a training log",
    "kd_lab.worlds.Language": "the type that `language` returns",
    # public name → for whom it is public
    "kd_lab.classroom.assert_solved": "called in the cells of a graded class's edition",
    "kd_lab.classroom.hand_in": "called in the last cell of a graded class's edition",
    "kd_lab.worlds.text_file": "a learner's own texts",
}


# ---- the tree --------------------------------------------------------------------------------------------------------


def module_of(file: Path) -> str:
    """kd_lab/how/sparse.py → kd_lab.how.sparse."""
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(file): file for file in sorted(PACKAGE.rglob("*.py"))}


@cache
def tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def lines_of(file: Path) -> int:
    return len(file.read_text(encoding="utf-8").splitlines())


def part_of(module: str) -> str:
    """The folder under kd_lab that a module belongs to; of a lesson, the lesson's own."""
    names = module.split(".")
    return ".".join(names[1:3]) if names[1:2] == ["lessons"] else "".join(names[1:2])


def library() -> dict[str, Path]:
    return {module: file for module, file in MODULES.items() if part_of(module) in LIBRARY}


def home_of(module: str, name: str) -> str:
    """The module that defines what `from module import name` gives, seen through the packages that hand it on."""
    if f"{module}.{name}" in MODULES:
        return f"{module}.{name}"
    if MODULES.get(module, PACKAGE).name != "__init__.py":
        return module
    for node in ast.walk(tree(MODULES[module])):
        if isinstance(node, ast.ImportFrom) and name in {given.asname or given.name for given in node.names}:
            return home_of(node.module, name)
    for node in ast.walk(tree(MODULES[module])):  # a table of lazy imports: name → module, or module → names
        if isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                texts = {text.value for text in ast.walk(value) if isinstance(text, ast.Constant)}
                if isinstance(key, ast.Constant) and key.value == name:
                    (home,) = texts & MODULES.keys() or {module}
                    return home_of(home, name)
                if isinstance(key, ast.Constant) and name in texts and key.value in MODULES:
                    return home_of(key.value, name)
    return module


def imported(file: Path) -> set[tuple[str, str]]:
    """(module, name) of everything of kd_lab that a file imports, or reads off a module that it imports."""
    found, bound = set(), {}
    for node in ast.walk(tree(file)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "kd_lab":
            for given in node.names:
                found.add((home_of(node.module, given.name), given.name))
                if f"{node.module}.{given.name}" in MODULES:
                    bound[given.asname or given.name] = f"{node.module}.{given.name}"
        if isinstance(node, ast.Import):
            for given in node.names:
                if given.name.partition(".")[0] == "kd_lab":
                    found.add((given.name, ""))
                    bound[given.asname or given.name] = given.name
    for node in ast.walk(tree(file)):
        if isinstance(node, ast.Attribute) and (module := bound.get(ast.unparse(node.value))):
            found.add((home_of(module, node.attr), node.attr))
    return found


@cache
def users() -> dict[str, dict[str, set[str]]]:
    """Module → name → the other modules that use it. A package that hands a name on does not use it."""
    found: dict[str, dict[str, set[str]]] = {module: {} for module in MODULES}
    for user, file in MODULES.items():
        for module, name in imported(file):
            if module != user and not (file.name == "__init__.py" and module.startswith(user + ".")):
                found[module].setdefault(name, set()).add(user)
    return found


def agree(found: Iterable[str], excused: Iterable[str], remedy: str) -> None:
    """Fail with what breaks a rule, or with an exception that the rule no longer needs.

    Args:
        found: what breaks the rule, each as "name" or "name: measured".
        excused: names, or packages with a dot at their end.
        remedy: what to do about it.
    """
    found, excused = set(found), set(excused)

    def covers(excuse: str, line: str) -> bool:
        name = line.partition(":")[0]
        return name.startswith(excuse) if excuse.endswith(".") else name == excuse

    broken = sorted(line for line in found if not any(covers(excuse, line) for excuse in excused))
    stale = sorted(excuse for excuse in excused if not any(covers(excuse, line) for line in found))
    assert not broken, f"{remedy}:\n  " + "\n  ".join(broken)
    assert not stale, f"no longer an exception, take it off the list: {stale}"


# ---- one place for each thing ----------------------------------------------------------------------------------------


def test_what_one_lesson_alone_uses_stands_in_its_folder():
    alone = set()
    for module in [*library(), *(module for module in MODULES if part_of(module) == "viz")]:
        of_module = {part_of(user) for names in users()[module].values() for user in names}
        if len(of_module) == 1 and min(of_module).startswith("lessons.") and MODULES[module].name != "__init__.py":
            alone.add(f"{module}: {min(of_module)}")
    agree(alone, FOR_ONE_LESSON, "used by one lesson alone: move it into that lesson's folder")


def names_in(node: ast.AST) -> set[str]:
    """The strings that stand side by side in a tuple, list, set or Literal, or as the keys of a dict."""
    parts = node.keys if isinstance(node, ast.Dict) else getattr(node, "elts", ())
    return {part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str)}


def test_the_names_of_the_divergences_stand_in_one_table():
    """kd_lab/how/traits.py holds them; other code asks that table. A few chosen ones are no list."""
    from kd_lab.how.divergences import DIVERGENCES

    lists = {
        module
        for module, file in MODULES.items()
        if module != "kd_lab.how.divergences" and file.name not in (*DATA, "__init__.py")
        for node in ast.walk(tree(file))
        if len(names_in(node) & set(DIVERGENCES)) >= len(DIVERGENCES) - 1
    }
    agree(lists, LISTS_OF_DIVERGENCES, "lists the divergences again: ask kd_lab.how.divergences")


def test_the_documents_name_places_that_exist():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:\w+/)+(?:\w+\.py)?|\w+\.py)`", text))
    made = set((ROOT / ".gitignore").read_text(encoding="utf-8").split())  # by make, and not there in a fresh clone
    gone = [
        place
        for place in named - made
        if "NN" not in place and not (PACKAGE / place).exists() and not (ROOT / place).exists()
    ]
    agree(gone, ("experiment.py",), "CONTRIBUTING.md names what is not there")
    tree = re.findall(r"^  (\w+(?:/|\.py))", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert {name.rstrip("/") for name in tree} == {
        file.name for file in PACKAGE.glob("[a-z]*") if file.name != "py.typed"
    }


# ---- few, and short --------------------------------------------------------------------------------------------------


def test_the_library_keeps_its_budget():
    files = library()
    more_files, more_lines = map(sum, zip(*CAPABILITIES.values(), strict=True))
    assert len(files) <= LIBRARY_FILES + more_files
    assert sum(map(lines_of, files.values())) <= LIBRARY_LINES + more_lines


def test_files_are_short():
    long = []
    for module, file in MODULES.items():
        budget = KERNEL_LINES if module.startswith("kd_lab.how.kernels") else FILE_LINES
        if not part_of(module).startswith("lessons.") and lines_of(file) > budget:
            long.append(f"{module}: {lines_of(file)} lines")
    agree(long, LONG_FILES, f"over {FILE_LINES} lines ({KERNEL_LINES} for kernels): split it, or delete what is dead")


def test_functions_are_short():
    long = []
    for module, file in MODULES.items():
        if file.name in DATA:
            continue
        budget = EXPLORER_LINES if part_of(module).startswith("lessons.") else FUNCTION_LINES
        for node in ast.walk(tree(file)):
            if isinstance(node, ast.FunctionDef) and (lines := node.end_lineno - node.lineno + 1) > budget:
                long.append(f"{module}.{node.name}: {lines} lines")
    agree(long, LONG_FUNCTIONS, f"over {FUNCTION_LINES} lines ({EXPLORER_LINES} in a lesson): name its parts")


def test_no_file_is_large():
    folders = [PACKAGE, ROOT / "tests", ROOT / "lessons", ROOT / ".ci"]
    files = [file for folder in folders for file in folder.rglob("*") if file.is_file()] + list(ROOT.glob("*.*"))
    assert [file.name for file in files if file.is_file() and file.stat().st_size > FILE_MIB * 2**20] == []


# ---- files on every system -------------------------------------------------------------------------------------------

LOCALE = {  # text files that are read or written in the encoding of the system
    "kd_lab/lessons/l08_stacking/lesson.py": "Linux's own account of a cache: digits and a letter",
    "kd_lab/how/kernels/audit/ahead_of_time.py": "PTX, which is ASCII",
}
MODE = re.compile(r"[rwxa][bt+]*")


def forgets_its_encoding(call: ast.Call) -> bool:
    """Whether a call reads or writes text and leaves the encoding to the system: cp1252 on Windows."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    place = {"read_text": 0, "write_text": 1, "open": 3 if isinstance(call.func, ast.Name) else 2}.get(name)
    if place is None or len(call.args) > place or any(one.arg == "encoding" for one in call.keywords):
        return False
    if name != "open":
        return True
    given = [one.value for one in call.keywords if one.arg == "mode"] or call.args[place - 2 : place - 1]
    mode = given[0].value if given and isinstance(given[0], ast.Constant) else "r" if not given else ""
    return isinstance(mode, str) and MODE.fullmatch(mode) is not None and "b" not in mode


@pytest.mark.parametrize(
    ("source", "forgets"),
    [
        ("file.read_text()", True),
        ("file.read_text(encoding='utf-8')", False),
        ("file.read_text('utf-8')", False),
        ("file.write_text(text)", True),
        ("file.write_text(text, 'utf-8')", False),
        ("open(file)", True),
        ("open(file, 'w')", True),
        ("open(file, mode='a', encoding='utf-8')", False),
        ("open(file, 'rb')", False),
        ("file.open()", True),
        ("file.open('w')", True),
        ("file.open('w', encoding='utf-8')", False),
        ("file.open('wb')", False),
        ("Image.open(file)", False),
    ],
)
def test_a_forgotten_encoding_is_seen(source, forgets):
    assert forgets_its_encoding(ast.parse(source, mode="eval").body) is forgets


def test_text_is_utf_8_on_every_system():
    found = [
        f"{file.relative_to(ROOT).as_posix()}: line {node.lineno}"
        for folder in (PACKAGE, ROOT / "tests")
        for file in folder.rglob("*.py")
        for node in ast.walk(tree(file))
        if isinstance(node, ast.Call) and forgets_its_encoding(node)
    ]
    agree(found, LOCALE, 'on Windows that is cp1252: say encoding="utf-8"')


# ---- tested, and used ------------------------------------------------------------------------------------------------


def test_every_module_has_its_test_file():
    """kd_lab/how/sparse.py is tested in tests/how/: by test_sparse.py, or by a file that imports it for its subject.

    A lesson's text and its questions are tested by the tests that run it, and in tests/classroom/test_questions.py.
    """
    without = []
    for module, file in MODULES.items():
        mirror = ROOT / "tests" / file.relative_to(PACKAGE).with_name(f"test_{file.name}")
        if file.name in ("__init__.py", "lesson.py", "questions.py") or mirror.exists():
            continue
        if not any(module == home for test in mirror.parent.glob("test_*.py") for home, _ in imported(test)):
            without.append(f"{module}: no {mirror.relative_to(ROOT)}")
    agree(without, UNTESTED, "no test in the mirrored folder names or imports it")


@cache
def packages() -> list[str]:
    return [module for module, file in MODULES.items() if file.name == "__init__.py" and "lessons" not in module]


@pytest.mark.parametrize("package", packages())
def test_a_package_exports_about_twenty_names(package):
    assert len(getattr(import_module(package), "__all__", ())) <= PUBLIC_NAMES


def test_every_public_name_is_used():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    unused = set()
    for package in packages():
        for name in getattr(import_module(package), "__all__", ()):
            home = home_of(package, name)
            used = users()[home].get(name, set()) | users()[package].get(name, set())
            if not used and name not in readme:
                unused.add(f"{package}.{name}")
    agree(unused, UNUSED, "public, and used by no lesson, no other module and not in the README: take it off __all__")


def test_every_module_of_the_library_is_used():
    """A module that nobody imports is run with python -m, or dead."""
    handed_on = {home_of(package, name) for package in packages() for name in import_module(package).__dict__}
    idle = []
    for module, file in library().items():
        runs = 'if __name__ == "__main__"' in file.read_text(encoding="utf-8")
        if file.name != "__init__.py" and not any(users()[module].values()) and not runs and module not in handed_on:
            idle.append(module)
    agree(idle, (), "no module imports it: dead")


def test_counts_see_what_they_count():
    """The rules above would pass on an empty tree."""
    assert len(MODULES) > 80
    assert home_of("kd_lab.how", "softmax_kl") == "kd_lab.how.softmax_kl"
    assert users()["kd_lab.how.softmax_kl"]["softmax_kl"]
    assert Counter(part_of(module) for module in MODULES)["how"] > 10
