/** The page of pairs itself, its style and its script: two answers side by side, text only. */
import { markup } from "../markup.ts";
import { livePage } from "./live_page.ts";
import { answersStyle } from "./live_style.ts";

/** The page; it fetches one pair at a time from its own folder. */
export const pairMarkup = livePage({
  title: "Compare answers",
  assets: "page",
  body: markup`<header>
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
</nav>`,
});

export const pairStyle = `${answersStyle}
body { padding-bottom: 6rem; }
#case { grid-column: 1 / -1; }
#prompt { max-height: 24vh; }
#a, #b { max-height: 48vh; min-height: 6rem; }
nav { position: fixed; inset: auto 0 0 0; display: flex; flex-wrap: wrap; gap: 0.5rem; justify-content: center;
  padding: 0.6rem; background: var(--ground); border-top: 1px solid var(--line); }
@media (max-width: 30rem) { button { padding: 0.3rem 0.55rem; } kbd { display: none; } }
`;

// Text is set with textContent alone: an answer is never markup.
export const pairScript = `
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
    : "Every comparison is decided: more votes are unlikely to change the result.";
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
