/** The page on which people compare two answers blind, with the keyboard; each vote is saved at once. */
import { z } from "zod";
import { reasonOf, UserError } from "../errors.ts";
import { type AnswerPair, pairProgress } from "./answer_pairs.ts";
import { html, plain, serveLocally } from "./page.ts";
import { choice, readVotes, saveVote, type VoteRecord } from "./votes.ts";

const order = z.strictObject({
  item: z.string(),
  /** Of the two as they were shown; null takes the vote back. */
  better: z.enum(["a", "b", "tie", "both_bad"]).nullable(),
});

/** A page of pairs that is being served. */
export interface PairPage {
  readonly url: string;
  /** Resolves when the voter says that they are finished. */
  readonly finished: Promise<void>;
  stop(): Promise<void>;
}

/**
 * Serves pairs as a page on 127.0.0.1. It shows the next pair that may still change something; where all are decided it
 * says so, and goes on only if the voter wants to.
 *
 * @param folder of the run: votes.jsonl in it takes the votes
 *
 * ```ts ignore
 * const page = servePairs(makePairs(answers, prompts, { runId, rater: "ana", candidates }), folder, { token: crypto.randomUUID(), port: 0 });
 * await page.finished;
 * await page.stop();
 * ```
 */
export function servePairs(
  pairs: readonly AnswerPair[],
  folder: string,
  { token, port }: { token: string; port: number },
): PairPage {
  const finished = Promise.withResolvers<void>();
  const state = (votes: readonly VoteRecord[], onward: boolean) => {
    const { next, ...progress } = pairProgress(pairs, votes, onward);
    const shown = next === null
      ? null
      : { item: next.item, prompt: next.prompt, aspects: next.aspects, a: next.a, b: next.b };
    return Response.json({ ...progress, next: shown });
  };

  async function vote(request: Request, onward: boolean): Promise<Response> {
    const parsed = order.safeParse(await request.json().catch(() => null));
    if (!parsed.success) return plain(400, z.prettifyError(parsed.error));
    const { item, better } = parsed.data;
    const pair = pairs.find((one) => one.item === item);
    if (pair === undefined) return plain(400, `unknown pair ${item}`);
    const isFirst = (better === "a") === (pair.vote.shown_first === "first");
    const chosen = better === "a" || better === "b" ? (isFirst ? "first" : "second") : better;
    try {
      return state(await saveVote(folder, { ...pair.vote, choice: choice.nullable().parse(chosen) }), onward);
    } catch (error) {
      const reason = error instanceof UserError ? error.message : reasonOf(error);
      return plain(500, `the vote is not saved: ${reason}`);
    }
  }

  const server = serveLocally({ token, port }, async (request, path) => {
    switch (path) {
      case "GET ":
        return html(markup);
      case "GET next":
        return state(await readVotes(folder), false);
      case "GET onward":
        return state(await readVotes(folder), true);
      case "POST vote":
        return await vote(request, false);
      case "POST vote-onward":
        return await vote(request, true);
      case "POST done":
        finished.resolve();
        return new Response(null, { status: 204 });
      default:
        return plain(404, "not found");
    }
  });
  return { ...server, finished: finished.promise };
}

const style = `
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; --line: #8886; --accent: #2a78d6; }
body { margin: 0 auto; max-width: 90rem; padding: 0.5rem 1rem 6rem; }
header { display: flex; flex-wrap: wrap; gap: 0 1.5rem; align-items: center; }
header p { margin: 0.3rem 0; }
progress { width: 100%; accent-color: var(--accent); }
main { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr)); gap: 0 1.5rem; }
#case { grid-column: 1 / -1; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; font: inherit; border: 1px solid var(--line); border-radius: 6px;
  padding: 0.6rem; margin: 0.3rem 0 0.8rem; overflow: auto; }
#prompt { max-height: 24vh; }
#a, #b { max-height: 48vh; min-height: 6rem; }
h2 { font-size: 1rem; margin: 0.6rem 0 0; }
nav { position: fixed; inset: auto 0 0 0; display: flex; flex-wrap: wrap; gap: 0.5rem; justify-content: center;
  padding: 0.6rem; background: Canvas; border-top: 1px solid var(--line); }
button { font: inherit; padding: 0.4rem 0.9rem; min-height: 2.4rem; border: 1px solid var(--line); border-radius: 6px;
  background: ButtonFace; color: ButtonText; }
button:disabled { opacity: 0.5; }
button:focus-visible, pre:focus-visible { outline: 2px solid var(--accent); outline-offset: 1px; }
kbd { border: 1px solid var(--line); border-radius: 4px; padding: 0 0.3rem; font-size: 0.85em; }
.failed { color: #c33; font-weight: bold; }
[hidden] { display: none; }
@media (max-width: 30rem) { nav { gap: 0.3rem; } button { padding: 0.3rem 0.55rem; } kbd { display: none; } }
`;

// Text is set with textContent alone: an answer is never markup.
const script = `
const $ = (id) => document.getElementById(id);
let now = null, last = null, onward = false, busy = false;

function show(state) {
  now = state.next;
  $("progress").max = state.total;
  $("progress").value = state.voted;
  $("place").textContent = state.voted + " of " + state.total + " pairs voted on. " +
    state.decided + " of " + state.pairs + (state.pairs === 1 ? " comparison is" : " comparisons are") + " decided.";
  $("main").hidden = now === null;
  for (const id of ["better-a", "better-b", "tie", "both_bad"]) $(id).disabled = now === null;
  const all = state.voted === state.total;
  $("end").hidden = now !== null;
  $("end-text").textContent = all ? "You have voted on every pair."
    : "Every comparison is decided: more votes would hardly change the result.";
  $("onward").hidden = all;
  if (now === null) return;
  $("prompt").textContent = now.prompt;
  $("aspects").textContent = now.aspects;
  $("aspects").parentElement.hidden = now.aspects === "";
  for (const id of ["a", "b"]) {
    $(id).textContent = now[id] || "(empty)";
    $(id).scrollTop = 0;
  }
}

async function send(item, better) {
  if (busy) return;
  busy = true;
  $("saved").className = "";
  try {
    const response = await fetch(onward ? "vote-onward" : "vote", { method: "POST", body: JSON.stringify({ item, better }) });
    if (!response.ok) throw new Error(await response.text());
    show(await response.json());
    last = better === null ? null : item;
    $("undo").disabled = last === null;
    $("saved").textContent = better === null ? "taken back" : "saved";
  } catch (error) {
    $("saved").className = "failed";
    $("saved").textContent = "not saved: " + error.message;
  }
  busy = false;
}

const vote = (better) => now && send(now.item, better);
const undo = () => last && send(last, null);
async function goOn() {
  onward = true;
  show(await (await fetch("onward")).json());
}
$("better-a").onclick = () => vote("a");
$("better-b").onclick = () => vote("b");
$("tie").onclick = () => vote("tie");
$("both_bad").onclick = () => vote("both_bad");
$("undo").onclick = undo;
$("onward").onclick = goOn;
$("done").onclick = async () => {
  await fetch("done", { method: "POST" });
  document.body.textContent = "Thank you. The votes are saved; this page can be closed.";
};
const keys = {
  a: () => vote("a"), ArrowLeft: () => vote("a"), b: () => vote("b"), ArrowRight: () => vote("b"),
  t: () => vote("tie"), x: () => vote("both_bad"), z: undo,
};
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || !keys[event.key]) return;
  event.preventDefault();
  keys[event.key]();
});
fetch("next").then((response) => response.json()).then(show);
`;

const markup = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Compare answers</title>
<style>${style}</style>
</head>
<body>
<header>
  <progress id="progress" value="0" max="1" aria-label="Pairs voted on"></progress>
  <p><span id="place"></span> <span id="saved" role="status"></span></p>
</header>
<main id="main">
  <section id="case"><h2>The prompt</h2><pre id="prompt" tabindex="0"></pre>
    <details open><summary>A good answer covers</summary><pre id="aspects"></pre></details></section>
  <section><h2>Answer A</h2><pre id="a" tabindex="0" dir="auto"></pre></section>
  <section><h2>Answer B</h2><pre id="b" tabindex="0" dir="auto"></pre></section>
</main>
<section id="end" hidden><p id="end-text"></p><p><button id="onward">Vote on the others too</button></p></section>
<nav>
  <button id="better-a">A is better <kbd>a</kbd></button>
  <button id="better-b">B is better <kbd>b</kbd></button>
  <button id="tie">Tie <kbd>t</kbd></button>
  <button id="both_bad">Both bad <kbd>x</kbd></button>
  <button id="undo" disabled>Undo <kbd>z</kbd></button>
  <button id="done">Finish</button>
</nav>
<script>${script}</script>
</body>
</html>
`;
