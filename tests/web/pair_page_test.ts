/** The page that takes votes on pairs: what it saves, and what it does not tell. */
import assert from "node:assert/strict";
import { makePairs } from "../../lib/quality/answer_pairs.ts";
import { readVotes } from "../../lib/quality/votes.ts";
import { servePairs } from "../../lib/web/pair_page.ts";

const cases = [1, 2, 3, 4];
const answers = ["a", "b", "c"].flatMap((candidate) =>
  cases.map((at) => ({
    id: `${at}${candidate}`,
    candidate,
    prompt_id: `p${at}`,
    phase: "timed" as const,
    round: 1,
    content: `answer ${candidate}`,
    reasoning: "",
  }))
);
const prompts = cases.map((at) => ({
  id: `p${at}`,
  messages: [{ role: "user" as const, content: "?" }],
  aspects: [],
}));
const pairs = makePairs(answers, prompts, { runId: "run", rater: "ana", candidates: ["a", "b", "c"] });
const place = {
  token: "secret",
  port: 0,
  clock: () => performance.now(),
  onFault: (error: unknown) => assert.fail(String(error)),
};

Deno.test("the page takes votes and takes them back, and says nothing about candidates", async () => {
  const folder = await Deno.makeTempDir();
  const page = await servePairs(pairs, folder, place);
  try {
    const get = async (path: string) => await (await fetch(page.url + path)).text();
    assert.doesNotMatch(await get("") + await get("next"), /"candidate|shown_first|"answers"/);
    const first = JSON.parse(await get("next"));
    const send = (body: unknown) => fetch(`${page.url}vote`, { method: "POST", body: JSON.stringify(body) });
    const after = await (await send({ item: first.next.item, better: "b" })).json();
    assert.equal(after.voted, 1);
    assert.notEqual(after.next.item, first.next.item);
    const [saved] = await readVotes(folder);
    const chosen = saved?.choice === "first" ? saved.candidates[0] : saved?.candidates[1];
    assert.equal(first.next.b, `answer ${chosen}`, "the vote is for the candidate that was shown as B");
    assert.equal((await (await send({ item: first.next.item, better: null })).json()).voted, 0);
    assert.deepEqual(await readVotes(folder), []);
    for (const body of [{ item: "other", better: "a" }, { item: first.next.item, better: "c" }, 3]) {
      const response = await send(body);
      assert.equal(response.status, 400);
      await response.body?.cancel();
    }
    const elsewhere = await fetch(page.url.replace("secret", "guess"));
    assert.equal(elsewhere.status, 404);
    await elsewhere.body?.cancel();
  } finally {
    await page.stop();
    await Deno.remove(folder, { recursive: true });
  }
});
