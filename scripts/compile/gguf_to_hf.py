"""Turns a GGUF file into a Hugging Face folder (32-bit weights, tokenizer, configuration), without network.

usage: gguf_to_hf.py MODEL.gguf OUT_DIR        needs transformers 4.57: later ones refuse to write such a model out

The weights are exact: what the quantised file means, written as 32-bit numbers. The tokenizer needs care. For
byte-level ones with the "smollm" splitting, transformers builds another tokenizer than the model was trained
with: other end token, no splitting of digits, a beginning-of-text token that nobody asked for. It is rebuilt here
from what the GGUF file itself says.
"""
import json
import os
import sys

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRANSFORMERS_OFFLINE"] = "1"

import torch
from gguf import GGUFReader
from transformers import AutoModelForCausalLM, AutoTokenizer

# How each splitting of the GGUF file is written in a tokenizer.json: (splits digits one by one)
BYTE_LEVEL = {"smollm": True, "gpt-2": False}
SPECIAL = {"bos": "bos_token", "eos": "eos_token", "unknown": "unk_token", "padding": "pad_token"}


def text_of(reader, key):
    field = reader.get_field(key)
    return None if field is None else field.contents()


def special_tokens(reader, vocabulary):
    """The tokens that the file itself names as beginning, end, unknown and padding."""
    ids = {name: text_of(reader, f"tokenizer.ggml.{name}_token_id") for name in SPECIAL}
    return {SPECIAL[name]: vocabulary[number] for name, number in ids.items() if number is not None}


def rebuild(out, splitting, specials, template, context):
    """Writes a byte-level tokenizer as the model was trained with."""
    path = os.path.join(out, "tokenizer.json")
    with open(path, encoding="utf-8") as file:
        whole = json.load(file)
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    digits = [{"type": "Digits", "individual_digits": True}] if BYTE_LEVEL[splitting] else []
    whole.update(
        normalizer=None,
        pre_tokenizer={"type": "Sequence", "pretokenizers": [*digits, byte_level]},
        post_processor=None,
        decoder={**byte_level, "add_prefix_space": True},
    )
    whole["model"].update(fuse_unk=False, byte_fallback=False)
    with open(path, "w", encoding="utf-8") as file:
        json.dump(whole, file, ensure_ascii=False)
    kept = ("content", "lstrip", "normalized", "rstrip", "single_word", "special")
    added = {str(token["id"]): {key: token[key] for key in kept} for token in whole["added_tokens"]}
    settings = {
        **specials,
        "add_prefix_space": False,
        "added_tokens_decoder": added,
        "clean_up_tokenization_spaces": False,
        "model_max_length": context,
        "tokenizer_class": "GPT2Tokenizer",
        "chat_template": template,
    }
    with open(os.path.join(out, "tokenizer_config.json"), "w", encoding="utf-8") as file:
        json.dump(settings, file, indent=1)
    with open(os.path.join(out, "special_tokens_map.json"), "w", encoding="utf-8") as file:
        json.dump(specials, file)


def main(source, out):
    folder, name = os.path.split(os.path.abspath(source))
    reader = GGUFReader(source)
    vocabulary = text_of(reader, "tokenizer.ggml.tokens")
    template = text_of(reader, "tokenizer.chat_template")
    if template is None:
        sys.exit("the GGUF file has no chat template: a service could not chat with it")
    print("reading", name, flush=True)
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=name)
    model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=name, dtype=torch.float32)
    specials = special_tokens(reader, vocabulary)
    for side in (model.config, model.generation_config):
        for which in ("bos", "eos", "pad"):
            token = specials.get(f"{which}_token")
            if token is not None:
                setattr(side, f"{which}_token_id", vocabulary.index(token))
    print("writing", sum(p.numel() for p in model.parameters()), "parameters", flush=True)
    model.save_pretrained(out, safe_serialization=True)
    tokenizer.save_pretrained(out)
    splitting = text_of(reader, "tokenizer.ggml.pre")
    if text_of(reader, "tokenizer.ggml.model") == "gpt2" and splitting in BYTE_LEVEL:
        rebuild(out, splitting, specials, template, model.config.max_position_embeddings)
    else:
        print(f"note: the tokenizer ({splitting}) is as transformers reads it", flush=True)
    with open(os.path.join(out, "chat_template.jinja"), "w", encoding="utf-8") as file:
        file.write(template)
    copied = os.path.join(out, "tokenizer.model")  # transformers copies the whole GGUF file to this name
    if os.path.exists(copied):
        os.remove(copied)


if __name__ == "__main__":
    main(*sys.argv[1:3])
