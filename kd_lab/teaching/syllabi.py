"""Two ways to teach the course: one class a week for 6 or for 14 weeks. The lessons are data, their minutes are not."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Week:
    """A week: what is taught in class, and what students do alone."""

    theme: str
    in_class: tuple[tuple[str, int], ...]  # lesson and route, in minutes
    at_home: tuple[str, ...] = ()  # whole lessons after the class, as on their cards
    later: tuple[str, ...] = ()  # lessons of which only the optional part or the second sitting is for home
    note: str = ""


SIX_WEEKS = (
    Week(
        "A tree of distributions, and what can be copied",
        (("00", 90),),
        ("01",),
    ),
    Week("Which divergence", (("03", 90),), ("02",), note="Section 4 of lesson 02 may wait."),
    Week("Whose texts", (("05", 90),), ("03b",), note="The discussion of lesson 02 opens the class."),
    Week("Both knobs at once", (("06", 50),), ("07",), note="The rest of the class belongs to the projects."),
    Week("Reasoning traces, and teachers weaker than their students", (("09", 50), ("10", 10)), ("10",)),
    Week("Small and fast: compression and serving", (("08", 50), ("11", 10)), ("11",), note="Projects are presented."),
)

FOURTEEN_WEEKS = (
    Week("The map", (("00", 90),)),
    Week("WHAT: logits, features, relations", (("01", 90),)),
    Week("Words and sequences", (("02", 90),)),
    Week("HOW: which KL", (("03", 90),)),
    Week("Between the KLs", (("03b", 90),)),
    Week(
        "A kernel",
        (("04", 90),),
        later=("04",),
        note="For groups without an interest in GPUs, exchange 04 and 04b for the project.",
    ),
    Week("WHERE: whose prefixes", (("05", 90),), ("04b",), note="Lesson 04b is optional."),
    Week("Two knobs", (("06", 90),), note="Projects are chosen."),
    Week("The future return", (("07", 90),)),
    Week("Stacking with quantization and pruning", (("08", 90),)),
    Week("Reasoning traces", (("09", 90),), ("09b",)),
    Week("Weak to strong, and what is passed on", (("10", 90),), ("10b",)),
    Week("Serving, and few steps", (("11", 90),), ("11b",)),
    Week(
        "The whole field, and a real LLM",
        (("12", 50), ("13", 10)),
        ("13",),
        note="Projects are presented in the other 30 minutes.",
    ),
)

SYLLABI = {6: SIX_WEEKS, 14: FOURTEEN_WEEKS}
