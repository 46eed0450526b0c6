/** The annotation page itself, its style and its script: one item at a time, text only. */
import type { Rubric } from "../quality/rubric.ts";
import { markup } from "../markup.ts";
import { livePage } from "./live_page.ts";
import { answersStyle } from "./live_style.ts";

/** The page; it fetches items and scores from its own folder. */
export const ratingMarkup = livePage({
  title: "Rate answers",
  assets: "page",
  body: markup`<header>
  <progress id="progress" value="0" max="1"></progress>
  <p><span id="place"></span> <span id="saved" role="status"></span></p>
  <p class="keys"><kbd>1</kbd>–<kbd>5</kbd> score, <kbd>↑</kbd> <kbd>↓</kbd> dimension, <kbd>←</kbd> <kbd>→</kbd> answer,
  <kbd>n</kbd> next unrated, <kbd>c</kbd> comment</p>
</header>
<main>
  <section><h2>The prompt</h2><pre id="prompt" tabindex="0"></pre>
    <details open><summary>A good answer covers</summary><pre id="aspects"></pre></details></section>
  <section><h2>The answer</h2><pre id="answer" tabindex="0"></pre>
    <div id="dimensions"></div>
    <label>Comment <textarea id="comment" rows="2"></textarea></label>
    <p class="ends"><button id="back">← Back</button> <button id="on">Next →</button> <button id="done">Finish</button></p></section>
</main>`,
});

export const ratingStyle = `${answersStyle}
pre { max-height: 38vh; }
fieldset { display: flex; flex-wrap: wrap; gap: 0.5rem; border: 1px solid var(--line); border-radius: 6px; margin: 0 0 0.6rem;
  padding: 0.3rem 0.7rem 0.6rem; min-width: 0; }
fieldset.now { border-color: var(--accent); box-shadow: 0 0 0 1px var(--accent); }
fieldset small { flex-basis: 100%; color: var(--soft); }
fieldset button { min-width: 2.8rem; padding: 0.3rem; }
legend { font-weight: 650; padding: 0 0.3rem; background: var(--ground); }
textarea { display: block; width: 100%; font: inherit; color: inherit; background: var(--ground); border: 1px solid var(--line);
  border-radius: 6px; padding: 0.4rem 0.6rem; }
.ends { display: flex; flex-wrap: wrap; gap: 0.5rem; margin: 0.8rem 0; }
`;

/** The script of the page for one rubric. */
export const ratingScript = (rubric: Rubric): string =>
  `const dimensions = ${JSON.stringify(rubric.dimensions)};${script}`;

// Text is set with textContent alone: an answer is never markup.
const script = `
const $ = (id) => document.getElementById(id);
let items = [], marks = {}, at = 0, row = 0, pending = 0;
// Unsaved changes by item: only these are sent, since another page may fill in the same sheet.
const unsaved = {};

const markOf = () => marks[items[at].item] ?? (marks[items[at].item] = { scores: {}, comment: "" });
const isDone = (mark) => mark && dimensions.every(({ name }) => mark.scores[name]);

for (const [index, { name, question, one, five }] of dimensions.entries()) {
  const field = document.createElement("fieldset");
  const legend = document.createElement("legend");
  legend.textContent = name;
  const hint = document.createElement("small");
  hint.textContent = question + " 1: " + one + "; 5: " + five + ".";
  field.append(legend, hint);
  for (let value = 1; value <= 5; value++) {
    const button = document.createElement("button");
    button.textContent = value;
    button.onclick = () => { row = index; give(value); };
    field.append(button);
  }
  $("dimensions").append(field);
}

function show() {
  const { prompt, aspects, answer } = items[at];
  $("prompt").textContent = prompt;
  $("aspects").textContent = aspects;
  $("aspects").parentElement.hidden = aspects === "";
  $("answer").textContent = answer;
  $("comment").value = markOf().comment;
  const done = items.filter(({ item }) => isDone(marks[item])).length;
  $("place").textContent = "Answer " + (at + 1) + " of " + items.length + ", " + done + " rated.";
  $("progress").max = items.length;
  $("progress").value = done;
  [...$("dimensions").children].forEach((field, index) => {
    field.className = index === row ? "now" : "";
    const given = markOf().scores[dimensions[index].name];
    [...field.querySelectorAll("button")].forEach((button, value) =>
      button.setAttribute("aria-pressed", given === value + 1));
  });
}

async function save(change) {
  const { item } = items[at];
  const open = unsaved[item] ??= { scores: {} };
  Object.assign(open.scores, change.scores);
  if ("comment" in change) open.comment = change.comment;
  const sent = { item, ...open, scores: { ...open.scores } };
  pending++;
  $("saved").className = "";
  $("saved").textContent = "saving …";
  try {
    const response = await fetch("mark", { method: "POST", body: JSON.stringify(sent) });
    if (!response.ok) throw new Error(await response.text());
    for (const name in sent.scores) if (open.scores[name] === sent.scores[name]) delete open.scores[name];
    if (open.comment === sent.comment) delete open.comment;
    if (--pending === 0) $("saved").textContent = "saved";
  } catch (error) {
    pending--;
    $("saved").className = "failed";
    $("saved").textContent = "not saved: " + error.message;
  }
}

function give(value) {
  const { name } = dimensions[row];
  markOf().scores[name] = value;
  save({ scores: { [name]: value } });
  if (row < dimensions.length - 1) row++;
  else if (isDone(markOf()) && at < items.length - 1) { at++; row = 0; }
  show();
}

function go(step) {
  at = Math.min(items.length - 1, Math.max(0, at + step));
  row = 0;
  show();
}

function nextUnrated() {
  const found = items.findIndex(({ item }, index) => index > at && !isDone(marks[item]));
  const again = found < 0 ? items.findIndex(({ item }) => !isDone(marks[item])) : found;
  if (again >= 0) at = again;
  row = 0;
  show();
}

$("comment").onchange = () => {
  const comment = markOf().comment = $("comment").value;
  save({ comment });
};
$("back").onclick = () => go(-1);
$("on").onclick = () => go(1);
$("done").onclick = async () => {
  await fetch("done", { method: "POST" });
  document.body.textContent = "Thank you. The scores are saved; this page can be closed.";
};
document.addEventListener("keydown", (event) => {
  if (event.target === $("comment")) {
    if (event.key === "Escape") $("comment").blur();
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const keys = {
    ArrowLeft: () => go(-1),
    ArrowRight: () => go(1),
    ArrowUp: () => { row = Math.max(0, row - 1); show(); },
    ArrowDown: () => { row = Math.min(dimensions.length - 1, row + 1); show(); },
    n: nextUnrated,
    c: () => $("comment").focus(),
  };
  const act = /^[1-5]$/.test(event.key) ? () => give(Number(event.key)) : keys[event.key];
  if (!act) return;
  event.preventDefault();
  act();
});

fetch("sheet").then((response) => response.json()).then((sheet) => {
  items = sheet.items;
  marks = sheet.marks;
  show();
});
`;
