/** llama.cpp is called directly only where every struct field that is written lies where it is expected. */
import assert from "node:assert/strict";
import { layoutFault } from "../../lib/engine/direct/llama_library.ts";
import {
  contextFields,
  type Field,
  modelFields,
  threadpool,
  writeField,
} from "../../lib/engine/direct/llama_symbols.ts";

/** The structs as the known release of llama.cpp fills them. */
function defaults() {
  const filled = (bytes: number, fields: Readonly<Record<string, Field>>) => {
    const struct = new Uint8Array(bytes);
    for (const field of Object.values(fields)) writeField(struct, field, field.initial);
    return struct;
  };
  const pool = { n_threads: { offset: threadpool.n_threads, type: "i32", initial: 3 } } as const;
  return {
    model: filled(80, modelFields),
    context: filled(160, contextFields),
    threadpool: filled(threadpool.bytes, pool),
  };
}

Deno.test("the known layout is accepted", () => assert.equal(layoutFault(defaults()), null));

Deno.test("a field that holds another default is named", () => {
  for (const name of Object.keys(contextFields) as (keyof typeof contextFields)[]) {
    const structs = defaults();
    writeField(structs.context, contextFields[name], 77);
    assert.match(
      layoutFault(structs) ?? "",
      new RegExp(`^llama_context_params\\.${name} is 77, not -?\\d+$`),
    );
  }
});

Deno.test("a struct that gained a byte in front of its switches is refused", () => {
  const structs = defaults();
  structs.context.copyWithin(129, 128, 159);
  assert.match(layoutFault(structs) ?? "", /llama_context_params\.offload_kqv/);
});

Deno.test("a model or a thread pool of another layout is refused", () => {
  const model = defaults();
  model.model.copyWithin(20, 16, 76);
  model.model.fill(0, 16, 20);
  assert.match(layoutFault(model) ?? "", /llama_model_params\.n_gpu_layers is 0, not -1/);
  const pool = defaults();
  pool.threadpool.fill(0);
  assert.match(layoutFault(pool) ?? "", /ggml_threadpool_params\.n_threads is 0, not 3/);
});
