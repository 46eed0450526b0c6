/** When an answer ends, what of it is seen, and how many tokens it has. */
import assert from "node:assert/strict";
import { GrowingAnswer } from "../../lib/engine/growing_answer.ts";
import { StopScanner, TokenDecoder } from "../../lib/openai/streamed_text.ts";
import { defaultThreads } from "../../lib/engine/options.ts";

/** Does with a token what the engine does; true while the answer continues. */
function take(answer: GrowingAnswer<string>, picked: string): boolean {
  if (!answer.accept(picked)) return false;
  answer.say(picked);
  return answer.finish === null;
}

function answer({ stops = [], maxTokens = 10 }: { stops?: string[]; maxTokens?: number }) {
  const said: string[] = [];
  return {
    said,
    answer: new GrowingAnswer<string>({
      decoder: new TokenDecoder<string>((tokens) => tokens.join(""), []),
      scanner: new StopScanner(stops),
      isEnd: (token) => token === "<end>",
      maxTokens,
      emit: (text) => said.push(text),
    }),
  };
}

Deno.test("the model's end token ends the answer and is no part of it", () => {
  const { answer: it, said } = answer({});
  assert.equal(take(it, "a"), true);
  assert.equal(take(it, "<end>"), false);
  it.close();
  assert.deepEqual([it.count, it.finish, said], [1, "stop", ["a"]]);
});

Deno.test("a stop string at the very limit is a stop, and its tokens are counted", () => {
  const { answer: it, said } = answer({ stops: ["bc"], maxTokens: 3 });
  for (const token of ["a", "b", "c"]) take(it, token);
  it.close();
  it.close();
  assert.deepEqual([it.count, it.finish, said.join("")], [3, "stop", "a"]);
});

Deno.test("text held back for a stop string that did not come is handed out at the end", () => {
  for (const last of ["b", "<end>"]) {
    const { answer: it, said } = answer({ stops: ["bbb"], maxTokens: 3 });
    for (const token of ["a", "b", last]) take(it, token);
    it.close();
    assert.equal(said.join(""), last === "b" ? "abb" : "ab");
  }
});

Deno.test("one core stays free for handing the tokens out, and one thread is the least", () => {
  assert.deepEqual([1, 2, 4, 16].map(defaultThreads), [1, 1, 3, 15]);
});
