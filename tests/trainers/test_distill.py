"""Students and teachers of transformers in every kind of recipe of the library."""

import pytest
import torch

from kd_lab.how import softmax_kl
from kd_lab.methods import distill, fitnets, gkd, minillm, sequence_level, word_level
from kd_lab.models import GPT, CachedTeacher, GPTConfig, HuggingFace, MixtureModel, serve
from kd_lab.models.hugging_face_tokenizer import HuggingFaceTokenizer
from kd_lab.models.watermark import Watermarked, green_lists
from kd_lab.where import TeacherRollouts, TextTeacher
from kd_lab.worlds import World, language

transformers = pytest.importorskip("transformers", reason="transformers is not installed: make trainers")

from tiny_transformers import FAMILIES, tiny_model, tiny_tokenizer  # noqa: E402  (it imports transformers)

TRAIN = [
    "abc",
    "acbd",
    ("ab", "ch"),
    ("a", "dd"),
    [{"role": "user", "content": "g"}, {"role": "assistant", "content": "hg"}],
    [{"role": "system", "content": "a"}, {"role": "user", "content": "ha"}, {"role": "assistant", "content": "a"}],
]
RECIPES = {
    "word level": word_level(),
    "sequence level, samples": sequence_level(decode="sample", size=64),
    "sequence level, beam": sequence_level(decode="beam", size=8, beam_width=3),
    "GKD": gkd(on_policy_fraction=0.5, otherwise=TeacherRollouts(size=8)),
    "MiniLLM": minillm(),
    "features": fitnets(),
}
# they follow the teacher's likeliest texts, or its hidden states, and may leave its distribution behind
OTHERWISE = (RECIPES["sequence level, beam"], RECIPES["features"])


def world() -> World:
    """Free texts, pairs and chats, so prompts of one to nine tokens; the end pads."""
    return HuggingFaceTokenizer(tiny_tokenizer()).world(TRAIN, ["hhh", ("hh", "h")])


def pair(family: str = "llama", seed: int = 0, **student) -> tuple[HuggingFace, HuggingFace]:
    """A student and a teacher of another width, whose heads are filled up to different sizes."""
    return tuple(
        HuggingFace(tiny_model(family, **options), tiny_tokenizer()).eval()
        for options in ({"vocab_size": 20, "seed": seed, **student}, {"vocab_size": 24, "width": 24, "seed": seed + 1})
    )


def gap(student: HuggingFace, teacher: HuggingFace, texts: World) -> float:
    with torch.no_grad():
        return softmax_kl(student(texts.train.inputs), teacher(texts.train.inputs), mask=texts.train.mask).item()


def run(student, teacher, texts, recipe, steps=4, **options):
    return distill(student, teacher, texts, recipe, steps=steps, batch_size=4, progress=False, **options)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_every_kind_of_recipe_trains_a_student_of_each_family(recipe, family: str) -> None:
    student, teacher = pair(family)
    texts = world()
    before = gap(student, teacher, texts)
    kept = {name: weight.clone() for name, weight in teacher.state_dict().items()}
    result = run(student, teacher, texts, recipe, steps=40, learning_rate=1e-2)
    assert (result.history["tokens"] > 0).all()
    if recipe in OTHERWISE:
        assert result.history["loss"][-5:].mean() < 0.8 * result.history["loss"][:5].mean()
    else:
        assert gap(student, teacher, texts) < 0.8 * before
    assert all(torch.equal(weight, kept[name]) for name, weight in teacher.state_dict().items())


@pytest.mark.parametrize("family", FAMILIES)
def test_word_level_brings_a_student_of_each_family_to_its_teacher(family: str) -> None:
    student, teacher = pair(family)
    texts = world()
    before = gap(student, teacher, texts)
    run(student, teacher, texts, word_level(), steps=60, learning_rate=1e-2)
    assert gap(student, teacher, texts) < before / 3


def test_only_the_adapters_of_a_lora_student_are_trained() -> None:
    peft = pytest.importorskip("peft", reason="peft is not installed: make trainers")
    student, teacher = pair()
    lora = peft.LoraConfig(r=2, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
    student = HuggingFace(peft.get_peft_model(student.model, lora), student.tokenizer)
    before = {name: weight.clone() for name, weight in student.state_dict().items()}
    run(student, teacher, world(), gkd())
    moved = {name for name, weight in student.state_dict().items() if not torch.equal(weight, before[name])}
    assert moved
    assert all("lora_" in name for name in moved)


def test_checkpointing_of_activations_changes_no_step() -> None:
    losses, reads = [], []
    for checkpointed in (False, True):
        student, teacher = pair()
        if checkpointed:
            student.model.gradient_checkpointing_enable()
        read = []  # by the first block: once in the forward pass, and once more in the backward pass
        block = student.model.model.layers[0]
        block.input_layernorm.register_forward_hook(lambda *_, read=read: read.append(torch.is_grad_enabled()))
        losses.append(run(student, teacher, world(), word_level()).history["loss"])
        reads.append(len(read))
    assert losses[0] == pytest.approx(losses[1], abs=1e-6)
    assert reads == [4, 8]


def test_a_model_of_another_tokenizer_is_refused_by_name() -> None:
    student, _ = pair()
    stranger = HuggingFace(tiny_model(), tiny_tokenizer(letters="abxdefgh "))
    with pytest.raises(ValueError, match=r"the teacher does not share the tokenizer of the texts.*id 8.*'x'.*'c'"):
        run(student, stranger, world(), word_level())
    with pytest.raises(ValueError, match=r"the student does not share the tokenizer of the texts.*Vocabulary"):
        run(student, None, language("echo").world(rows=8), word_level())


@pytest.mark.parametrize(
    "wrap",
    [
        CachedTeacher,
        lambda model: Watermarked(model, green_lists(model.vocab_size, key=0)),
        lambda model: MixtureModel(pair()[1], model, share=0.5),
    ],
    ids=["with a memory", "with a watermark", "of two"],
)
def test_a_teacher_made_of_a_model_of_another_tokenizer_is_refused_as_that_model_is(wrap) -> None:
    """Its vocabulary has as many ids, and others: nothing else would tell."""
    student, _ = pair()
    stranger = HuggingFace(tiny_model(), tiny_tokenizer(letters="abxdefgh "))
    with pytest.raises(ValueError, match=r"the teacher does not share the tokenizer of the texts.*id 8.*'x'.*'c'"):
        run(student, wrap(stranger), world(), word_level())


def test_a_gpt_of_the_library_learns_from_a_teacher_of_transformers() -> None:
    _, teacher = pair()
    texts = world()
    student = GPT(GPTConfig(vocab_size=len(texts.vocabulary), context=texts.context, layers=1, heads=1, width=8))
    before = gap(student, teacher, texts)
    run(student, teacher, texts, word_level(), steps=60, learning_rate=1e-2)
    assert gap(student, teacher, texts) < before / 2


def test_a_teacher_behind_an_endpoint_answers_chats_and_their_prompts_do_not_count() -> None:
    """The ends between the turns of a prompt end no text, and encoding adds no beginning to a prompt without one."""
    student, teacher = pair()
    texts = world()
    prompts, lengths = texts.train.prompts(texts.vocabulary.pad)
    known = {tuple(row[:length].tolist()) for row, length in zip(prompts, lengths, strict=True)}
    with serve(teacher, teacher.tokenizer) as url:
        answerer = TextTeacher(url)
        written = TeacherRollouts(size=32).bind(texts, student, answerer, seed=0)(32)
        run(student, answerer, texts, sequence_level(decode="sample", size=8))
    given = {tuple(row[:length].tolist()) for row, length in zip(written.tokens, written.prompt_lengths, strict=True)}
    assert len(given) > 3
    assert given <= known
