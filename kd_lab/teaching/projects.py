"""Briefs for the projects of a course: a question each, the control that it needs, and what a null result would be."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Project:
    """A brief; its texts are Markdown of one line. Names of the library stand there in full, between backticks."""

    title: str
    after: str  # the lesson that it begins from
    question: str
    uses: str
    first: str  # an experiment of minutes on two cores
    control: str
    null: str
    hand_in: str


PROJECTS = (
    Project(
        title="An entry for the contest",
        after="12",
        question="Which recipe beats word-level distillation under the contest's budget, on prompts that nobody has "
        "seen?",
        uses="The contest itself: `kd_lab.lessons.l12_the_whole_field.tournament` trains and ranks a folder of "
        "entries; `kd_lab.lessons.l12_the_whole_field.submission.Budget` holds the limits.",
        first="Copy the entries of lesson 12 into a folder, add one of your own, and run `python -m "
        "kd_lab.lessons.l12_the_whole_field.tournament FOLDER`.",
        control="Your entry with one setting at a time put back to that of “by the book”, with the same five seeds. "
        "Choose by one judge's seed, and report another's.",
        null="The board calls your entry and “by the book” tied.",
        hand_in="The entry, the two boards, a page on which setting carried the gain, and on how many entries you "
        "tried.",
    ),
    Project(
        title="A row of the grid in another world",
        after="06",
        question="Does the share λ of the student's own texts help reverse KL and forward KL alike, in a language "
        "that is not in lesson 06's grid?",
        uses='`kd_lab.worlds.language("brackets")`, whose texts can all be listed; `kd_lab.models.TabularModel` as '
        "its teacher, `kd_lab.methods.gkd`, and `kd_lab.measure.sequence_kl` for exact numbers. "
        "`kd_lab.lessons.l06_gkd.experiment.train_cell` shows a cell.",
        first="Two divergences, λ = 0 and λ = 1, four seeds, 150 steps each, with a student of one layer and width 16.",
        control="All cells of one seed begin with the same student, trained on the labels for 60 steps: read "
        "differences within a seed. Train one row with twice the steps, to see that λ = 0 is not merely slower.",
        null="The interval of the paired difference between λ = 1 and λ = 0 holds zero, for either divergence.",
        hand_in="The row as a table with paired intervals, beside lesson 06's, and what differs between the two "
        "worlds.",
    ),
    Project(
        title="The missing control",
        after="00",
        question="A student with 250 names gains more than a bit per character from a teacher. Is it softness, or is "
        "it the names that only the teacher has seen?",
        uses="`kd_lab.worlds.surnames` and its `subset`, `kd_lab.methods.labels_only`, `kd_lab.methods.word_level`, "
        "`kd_lab.load_teacher`, `kd_lab.measure.bits_per_character`.",
        first="Three students of one shape on the same 250 names: by labels, by the shipped teacher, and by a second "
        "teacher of its shape that was trained on these 250 names alone.",
        control="The second teacher is the control. Stop both teachers' students by the same rule, and give the "
        "second teacher its best number of steps: one that has overfitted hands on its overfitting.",
        null="The student of the second teacher is as good as the one by labels: then nothing of the gain was "
        "softness.",
        hand_in="Bits per character on held-out names with intervals over at least five seeds and subsets, and the "
        "share of the gain that remains.",
    ),
    Project(
        title="The order of a stack",
        after="08",
        question="Prune, heal and then round, or round first: does the order change what a small file is worth?",
        uses="`kd_lab.lessons.l08_stacking.stack.cut`, `kd_lab.lessons.l08_stacking.stack.healed`, "
        "`kd_lab.compress.quantize.round_to_nearest`, `kd_lab.compress.quantize.save_quantized`, "
        "`kd_lab.measure.bits_per_character`.",
        first="The surname teacher with half its heads and channels, in 4 bits, in both orders; in the second, heal "
        "the model that `dequantize` returns, and round it again.",
        control="Files of the same bytes, and the same number of healing steps in both orders. Add the rung that is "
        "rounded and not pruned, at the same size.",
        null="Both orders lie within each other's interval over three seeds of the healing.",
        hand_in="Bits per character against bytes for both orders at 4, 3 and 2 bits, and where training through the "
        "rounding (`kd_lab.compress.quantize.prepare_qat`) changes the answer.",
    ),
    Project(
        title="A draft for a model of your own",
        after="11",
        question="Does a draft that is distilled from your own model guess better than one trained on the same "
        "texts, and is the model faster for it?",
        uses="`kd_lab.worlds.text_file` for your lines, `kd_lab.distill`, `kd_lab.measure.acceptance.acceptance`, "
        "`kd_lab.measure.acceptance.speedup`, `kd_lab.models.speculate`.",
        first="A target of four layers on a few thousand lines; a draft of one layer by labels, and one by "
        "`kd_lab.methods.word_level`. Read the acceptance of both on texts that the target writes.",
        control="Two drafts of the same shape, beginning, steps and batches, that differ in the loss alone. Compare "
        "the speed with plain decoding in turns, as `kd_lab.measure.clock.in_turns` does.",
        null="The drafts' acceptances do not differ; or they do, and a call of the draft costs so much that neither "
        "pays.",
        hand_in="Acceptance and measured speed for one to eight guesses beside the predicted speed, and an account "
        "of the difference.",
    ),
    Project(
        title="A black box, asked again",
        after="02",
        question="A teacher sells texts only. Is it better to ask once about many prompts, or eight times about an "
        "eighth of them?",
        uses="`kd_lab.where.TextTeacher` in front of `kd_lab.models.serve`, or `kd_lab.generate` in its place; "
        "`kd_lab.worlds.Batch.from_tokens`, whose prompts may be the first letters of names; "
        "`kd_lab.methods.labels_only` on what was bought.",
        first="1,024 texts of the surname teacher, as continuations of 1,024 prompts of three letters, and as eight "
        "of each of 128. Train one student on either.",
        control="The same number of texts and of steps, and prompts of the small set drawn from the large one. Judge "
        "on prompts of which none was asked.",
        null="The paired difference of the students over five draws of the prompts holds zero.",
        hand_in="Bits per character by the number of answers per prompt (1, 2, 4, 8), and the price of a text at "
        "which you would choose otherwise.",
    ),
    Project(
        title="Traces first, and then reinforcement",
        after="09",
        question="Of one budget of token passes, how much should a student spend on traces before GRPO begins?",
        uses="`kd_lab.worlds.moves` with `rewards` of its module, `kd_lab.methods.labels_only`, "
        "`kd_lab.methods.grpo`, `kd_lab.measure.pass_at_k.pass_at_k`.",
        first="A small GPT with 50, 150 and 300 steps on traces, each followed by 50 steps of GRPO; pass@1 and "
        "pass@16 before and after.",
        control="The budget counts every pass, those of writing too, as lesson 09 does. One arm spends all of it on "
        "traces.",
        null="No split is better than traces alone; or GRPO raises pass@1 and leaves pass@16 where it was.",
        hand_in="Both measures against the share spent on traces, with intervals over seeds, and the share of groups "
        "in which all texts had the same reward.",
    ),
    Project(
        title="What the temperature does",
        after="01",
        question="Does τ = 2 make a better student of names than τ = 1, or only another size of step?",
        uses="`kd_lab.methods.word_level`, which takes τ; `kd_lab.distill`, `kd_lab.measure.bits_per_character`, "
        "`kd_lab.measure.calibration_error`.",
        first="τ = 1, 2 and 4 on 1,000 names, one student of two layers each, 300 steps, at the learning rates "
        "0.001, 0.003 and 0.01.",
        control="Each τ at its own best learning rate, chosen on seeds that are not reported: the loss carries τ², "
        "and its gradient still changes size with τ.",
        null="At their best learning rates the students are tied, whatever one learning rate for all had shown.",
        hand_in="The table τ × learning rate, the comparison at the best of each, and calibration beside bits per "
        "character.",
    ),
)
