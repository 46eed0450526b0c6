/**
 * The style of report.html. Tabular digits, one accent colour, tables that scroll in a box of their own,
 * light and dark by the reader's setting (a `data-theme` attribute on the root overrides it).
 */
const dark = `
  --ink: #e6e9ed; --soft: #9aa5b1; --line: #2c333b; --ground: #0f1317; --raised: #171c22;
  --accent: #7db8e8; --alert: #f0935a; --shade: rgb(255 255 255 / 25%); color-scheme: dark;`;

export const pageStyle = `
:root {
  --ink: #1a1f25; --soft: #5a6570; --line: #dde2e7; --ground: #ffffff; --raised: #f5f7f9;
  --accent: #0b5f9e; --alert: #b34a08; --shade: rgb(0 0 0 / 25%); color-scheme: light;
}
@media (prefers-color-scheme: dark) { :root:not([data-theme="light"]) {${dark} } }
:root[data-theme="dark"] {${dark} }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body {
  margin: 0 auto; padding: 2.5rem 1.25rem 5rem; max-width: 67rem; background: var(--ground); color: var(--ink);
  font: 1rem/1.55 ui-sans-serif, system-ui, "Segoe UI", Roboto, "Helvetica Neue", sans-serif;
  overflow-wrap: break-word;
}
h1, h2, h3 { line-height: 1.2; text-wrap: balance; }
h1 { font-size: 1.9rem; font-weight: 650; letter-spacing: -0.015em; margin: 0 0 0.4rem; overflow-wrap: anywhere; }
h2 {
  font-size: 1.2rem; font-weight: 650; margin: 3.2rem 0 0.8rem; padding-top: 0.9rem;
  border-top: 1px solid var(--line);
}
h3 { font-size: 1rem; font-weight: 650; margin: 1.6rem 0 0.5rem; }
p, li { max-width: 46rem; }
p { margin: 0.5rem 0; }
a { color: var(--accent); }
code { font: 0.92em ui-monospace, "SF Mono", Menlo, Consolas, monospace; overflow-wrap: anywhere; }
.flag { white-space: nowrap; }
.kicker { color: var(--soft); font-size: 0.875rem; letter-spacing: 0.02em; margin: 0 0 0.6rem; }
.lede { color: var(--soft); margin: 0.2rem 0 1.6rem; }
.note, figcaption, .sub, dt { color: var(--soft); font-size: 0.8125rem; line-height: 1.45; }
.note { margin-top: 0.6rem; }
.sub { display: block; font-weight: 400; white-space: nowrap; }
.highlights { padding: 0; margin: 0; list-style: none; }
.highlights li { padding: 0.2rem 0 0.2rem 1rem; border-left: 3px solid var(--line); margin: 0.55rem 0; max-width: 52rem; }
.highlights .finding { border-color: var(--accent); }
.highlights .failure, .highlights .caution, .highlights .qualification { border-color: var(--alert); }
.highlights .qualification { margin-left: 1.2rem; }
/* Shadows say that a table continues sideways: two covers scroll along with it, two shadows stay at the edges. */
.scroll {
  overflow-x: auto; margin: 0.8rem 0; background:
    linear-gradient(to right, var(--ground) 40%, transparent) left / 3rem 100% no-repeat local,
    linear-gradient(to left, var(--ground) 40%, transparent) right / 3rem 100% no-repeat local,
    linear-gradient(to right, var(--shade), transparent) left / 0.7rem 100% no-repeat scroll,
    linear-gradient(to left, var(--shade), transparent) right / 0.7rem 100% no-repeat scroll;
}
.more { display: none; font-weight: 400; color: var(--accent); position: sticky; }
/* Where a browser can tell that a table is wider than its box, it says so in words too. */
@supports (animation-timeline: scroll(self inline)) {
  .scroll { animation: overflowing linear; animation-timeline: scroll(self inline); }
  @keyframes overflowing { from, to { --overflows: inline; } }
  .more { display: var(--overflows, none); }
}
.scroll:focus-visible, summary:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
table { border-collapse: collapse; font-size: 0.9rem; font-variant-numeric: tabular-nums; min-width: 100%; }
caption { text-align: left; font-weight: 600; padding-bottom: 0.3rem; }
th, td { padding: 0.5rem 0.8rem; text-align: right; vertical-align: top; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { font-weight: 600; white-space: nowrap; }
thead th { color: var(--soft); font-size: 0.8125rem; font-weight: 500; vertical-align: bottom; }
th:first-child, td.text, th.text { text-align: left; }
th:first-child { padding-left: 0; position: sticky; left: 0; background: var(--ground); }
tbody th { width: 17rem; min-width: 11rem; max-width: 17rem; white-space: normal; overflow-wrap: anywhere; }
tbody th .sub { white-space: normal; }
td.text { white-space: normal; overflow-wrap: anywhere; min-width: 9rem; }
.failed td { color: var(--alert); text-align: left; white-space: normal; }
.swatch { display: inline-block; width: 0.8rem; height: 0.8rem; margin-right: 0.4rem; vertical-align: -0.08rem; }
.figures { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 26rem), 1fr)); gap: 1.6rem 2rem; }
.reading { margin: 0 0 1.4rem; }
figure { margin: 0.4rem 0; min-width: 0; }
figure h3 { margin: 0 0 0.5rem; }
figure svg { display: block; width: 100%; height: auto; overflow: visible; }
figcaption { margin-top: 0.4rem; }
details { border-bottom: 1px solid var(--line); }
summary { cursor: pointer; padding: 0.7rem 0; font-weight: 600; }
summary .sub { display: inline; margin-left: 0.4rem; white-space: normal; }
.answers { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 18rem), 1fr)); gap: 1rem; padding-bottom: 1.2rem; }
.answer { background: var(--raised); border-radius: 6px; padding: 0.8rem 1rem; min-width: 0; }
.answer h4 { margin: 0 0 0.4rem; font-size: 0.875rem; font-weight: 600; overflow-wrap: anywhere; }
.text-block { margin: 0; white-space: pre-wrap; overflow-wrap: anywhere; font: inherit; font-size: 0.9rem; max-height: 24rem; overflow-y: auto; }
.filters { display: flex; flex-wrap: wrap; gap: 0.6rem 1rem; margin: 0.8rem 0 1rem; }
.filters fieldset { border: 1px solid var(--line); border-radius: 6px; padding: 0.3rem 0.8rem 0.5rem; margin: 0; min-width: 0; }
.filters legend { color: var(--soft); font-size: 0.8125rem; padding: 0 0.3rem; }
.filters label { display: inline-block; margin-right: 0.9rem; font-size: 0.9rem; overflow-wrap: anywhere; }
.error { border-top: 1px solid var(--line); padding-bottom: 0.4rem; }
.error h3 { margin: 0.9rem 0 0.2rem; overflow-wrap: anywhere; }
.error h3 .sub { display: inline; margin-left: 0.6rem; white-space: normal; }
.error .note { margin: 0.2rem 0; max-width: none; }
.error .answers { padding-bottom: 0.8rem; }
.error .text-block { max-height: 14rem; font: 0.85rem/1.45 ui-monospace, "SF Mono", Menlo, Consolas, monospace; }
.question { color: var(--soft); font-size: 0.9rem; max-width: none; }
.diff del { background: color-mix(in srgb, var(--accent) 22%, transparent); }
.diff ins { background: color-mix(in srgb, var(--alert) 25%, transparent); text-decoration: none; font-weight: 600; }
.prompt { border-left: 3px solid var(--line); padding: 0.1rem 0 0.1rem 1rem; margin: 0 0 1rem; max-width: 46rem; }
dl { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 15rem), 1fr)); gap: 0.9rem 2rem; margin: 0.8rem 0; }
dd { margin: 0.1rem 0 0; font-size: 0.9rem; overflow-wrap: anywhere; }
.warnings { padding: 0; list-style: none; }
.warnings li { margin: 0.9rem 0; }
.warnings strong { font-weight: 600; }
@media (max-width: 40rem) {
  body { padding: 1.4rem 1rem 3rem; }
  h1 { font-size: 1.5rem; }
  th, td { padding: 0.45rem 0.6rem; }
  tbody th { min-width: 8.5rem; max-width: 9.5rem; }
  .sub { white-space: normal; }
  td .sub { white-space: nowrap; }
}
@media print { body { max-width: none; padding: 0; } .text-block { max-height: none; } }
`;
