"""Asks the original and the compiled model the same questions, and says how far they agree.

usage: compare.py HF_DIR ONNX_DIR MAX_TOKENS PROMPTS.json        (a JSON array of prompts)

Prints one JSON document: for each prompt both greedy answers, their speed, and `agreement`: the share of the
original's tokens that the compiled model would have chosen too, given the same text before (teacher forcing).
Two answers may part after one near tie and both be good; the agreement does not punish what follows.
"""
import json
import os
import sys
import time

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRANSFORMERS_OFFLINE"] = "1"

import numpy
import onnxruntime_genai as og
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer


def original_answer(model, ids, most):
    started = time.perf_counter()
    with torch.inference_mode():
        whole = model.generate(torch.tensor([ids]), max_new_tokens=most, do_sample=False)
    return whole[0][len(ids):].tolist(), time.perf_counter() - started


def generator(model, most):
    params = og.GeneratorParams(model)
    params.set_search_options(max_length=most, do_sample=False)
    return og.Generator(model, params)


def compiled_answer(model, ids, most):
    started = time.perf_counter()
    search = generator(model, len(ids) + most)
    search.append_tokens(numpy.array(ids, dtype=numpy.int32))
    tokens = []
    while not search.is_done() and len(tokens) < most:
        search.generate_next_token()
        tokens.append(int(search.get_next_tokens()[0]))
    return tokens, time.perf_counter() - started


def agreement(model, ids, answer):
    """How many of the answer's tokens are the compiled model's first choice at their place."""
    search = generator(model, len(ids) + len(answer) + 1)
    agreed = 0
    fed = ids
    for token in answer:
        search.append_tokens(numpy.array(fed, dtype=numpy.int32))
        logits = numpy.asarray(search.get_logits())
        last = logits.reshape(-1, logits.shape[-1])[-1]
        agreed += int(last.argmax()) == token
        fed = [token]
    return agreed / max(1, len(answer))


def main(original_dir, compiled_dir, most, prompts):
    tokenizer = AutoTokenizer.from_pretrained(original_dir)
    original = AutoModelForCausalLM.from_pretrained(original_dir, dtype=torch.float32)
    compiled = og.Model(compiled_dir)
    rows = []
    with open(prompts, encoding="utf-8") as file:
        asked = json.load(file)
    for prompt in asked:
        messages = [{"role": "user", "content": prompt}]
        text = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
        ids = tokenizer(text, add_special_tokens=False).input_ids
        first, first_s = original_answer(original, ids, most)
        second, second_s = compiled_answer(compiled, ids, most)
        rows.append({
            "prompt": prompt,
            "original": tokenizer.decode(first, skip_special_tokens=True),
            "compiled": tokenizer.decode(second, skip_special_tokens=True),
            "agreement": agreement(compiled, ids, first),
            "original_tokens_per_s": len(first) / first_s,
            "compiled_tokens_per_s": len(second) / second_s,
        })
        print("asked", len(rows), file=sys.stderr, flush=True)
    print(json.dumps(rows))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4])
