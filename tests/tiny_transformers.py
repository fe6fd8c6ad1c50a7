"""Tiny models and tokenizers of transformers, made in memory: nothing is downloaded."""

import pytest
import torch
from torch import nn

transformers = pytest.importorskip("transformers")
tokenizers = pytest.importorskip("tokenizers")

LETTERS = "abcdefgh "
CHAT = (
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}<end>{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)
MARKS = ("<end>", "<pad>", "<begin>", "<system>", "<user>", "<assistant>")
FAMILIES = ("llama", "qwen2", "qwen3", "gpt2")
BENT = {  # families whose logits are more than a product, with the option that makes it plain
    "Gemma2": {"final_logit_softcapping": 1.5, "head_dim": 8},
    "Cohere": {"logit_scale": 0.25},
    "Granite": {"logits_scaling": 3.0},  # divides
    "HyperCLOVAX": {"logits_scaling": 3.0, "head_dim": 8},  # multiplies
    "Phi": {},  # has a bias
}
BENT = {family: options for family, options in BENT.items() if hasattr(transformers, f"{family}Config")}


def tiny_tokenizer(letters: str = LETTERS, **marks: str) -> transformers.PreTrainedTokenizerFast:
    """A tokenizer of single letters: 15 tokens, with a chat template. `marks` such as pad_token="<pad>"."""
    ids = {token: i for i, token in enumerate((*MARKS, *letters))}
    backend = tokenizers.Tokenizer(tokenizers.models.WordLevel(ids, unk_token="<end>"))
    backend.pre_tokenizer = tokenizers.pre_tokenizers.Split("", "isolated")
    backend.decoder = tokenizers.decoders.Fuse()
    backend.add_special_tokens(list(MARKS))
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend, eos_token="<end>", chat_template=CHAT, **marks
    )


def chat_tokenizer(writes: bool, adds: str = "") -> transformers.PreTrainedTokenizerFast:
    """The tiny tokenizer whose template writes <begin>, or does not, and that adds "begin", "end", both or none."""
    tokenizer = tiny_tokenizer(bos_token="<begin>", pad_token="<pad>")
    if writes:
        tokenizer.chat_template = "{{ bos_token }}" + CHAT
    single = ["<begin>"] * ("begin" in adds) + ["$A"] + ["<end>"] * ("end" in adds)
    marks = [(mark, MARKS.index(mark)) for mark in ("<begin>", "<end>")]
    tokenizer.backend_tokenizer.post_processor = tokenizers.processors.TemplateProcessing(
        single=" ".join(single), special_tokens=marks
    )
    return tokenizer


WORDS = ("▁The", "▁capital", "▁is", "▁Paris", ".")


def word_tokenizer(decoder: str, begins: bool = True) -> transformers.PreTrainedTokenizerFast:
    """A tokenizer of words that carry the space before them, as SentencePiece has them: 11 tokens.

    Its decoder is "metaspace", as in newer conversions, or "strip", that of Llama 2 and of Mistral 7B. Both leave out
    the first space of a text. With `begins` it puts <begin> before a text, as theirs do.
    """
    ids = {token: i for i, token in enumerate((*MARKS, *WORDS))}
    backend = tokenizers.Tokenizer(tokenizers.models.WordLevel(ids, unk_token="<end>"))
    backend.pre_tokenizer = tokenizers.pre_tokenizers.Sequence(
        [tokenizers.pre_tokenizers.Metaspace(), tokenizers.pre_tokenizers.Punctuation("isolated")]
    )
    parts = tokenizers.decoders
    backend.decoder = {
        "metaspace": parts.Metaspace(),
        "strip": parts.Sequence([parts.Replace("▁", " "), parts.ByteFallback(), parts.Fuse(), parts.Strip(" ", 1, 0)]),
    }[decoder]
    backend.add_special_tokens(list(MARKS))
    if begins:
        backend.post_processor = tokenizers.processors.TemplateProcessing(
            single="<begin> $A", special_tokens=[("<begin>", MARKS.index("<begin>"))]
        )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend, eos_token="<end>", bos_token="<begin>", pad_token="<pad>"
    )


def tiny_model(family: str = "llama", vocab_size: int = 15, width: int = 16, seed: int = 0, **options) -> nn.Module:
    """Two blocks of random weights, large enough that tokens and positions matter to the logits."""
    shape = {
        "vocab_size": vocab_size,
        "hidden_size": width,
        "intermediate_size": 2 * width,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "max_position_embeddings": 32,
        "initializer_range": 0.3,
        "bos_token_id": 2,
        "eos_token_id": 0,
        "pad_token_id": 1,
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        match family:
            case "llama":
                return transformers.LlamaForCausalLM(transformers.LlamaConfig(**shape | options))
            case "qwen2":
                return transformers.Qwen2ForCausalLM(
                    transformers.Qwen2Config(**shape | options, tie_word_embeddings=True)
                )
            case "qwen3":
                return transformers.Qwen3ForCausalLM(transformers.Qwen3Config(**shape | options, head_dim=8))
            case "gpt2":
                del shape["intermediate_size"], shape["num_key_value_heads"]  # GPT-2 has none
                return transformers.GPT2LMHeadModel(transformers.GPT2Config(**shape | options))
            case _:
                config = getattr(transformers, f"{family}Config")(**shape | BENT[family] | options)
                model = getattr(transformers, f"{family}ForCausalLM")(config)
                if family == "Phi":
                    torch.nn.init.normal_(model.lm_head.bias)
                return model
