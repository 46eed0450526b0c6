/**
 * The style sheet and the script of the live page, served from the page's own address, since
 * its policy allows no other.
 */
import { liveStyle } from "./live_style.ts";

/** The live pages' style, large enough for the last row of a classroom. */
export const fleetStyle = `${liveStyle}
:root { font-size: clamp(16px, 1.3vw, 36px); }
.note, figcaption, .sub { font-size: 0.85rem; }
#lost, .notices li { color: var(--alert); font-weight: 600; }
.notices { padding: 0; list-style: none; margin: 0.4rem 0; }
.counts { display: flex; flex-wrap: wrap; gap: 0.3rem 2rem; margin: 0.4rem 0 0; padding: 0; list-style: none; font-size: 1.3rem; }
.counts b { font-size: 2.2rem; font-variant-numeric: tabular-nums; margin-right: 0.4rem; }
.counts .help { color: var(--alert); }
.devices { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 11.5rem), 1fr)); gap: 0.6rem; padding: 0; margin: 0; list-style: none; }
.devices li { background: var(--raised); border-left: 0.35rem solid var(--line); border-radius: 6px; padding: 0.5rem 0.8rem; min-width: 0; max-width: none; }
.devices .done { border-color: var(--accent); }
.devices .help { border-color: var(--alert); }
.devices .name { display: block; font-size: 1.25rem; font-weight: 650; color: inherit; text-decoration: none; overflow-wrap: anywhere; }
.devices .name:hover, .devices .name:focus-visible { text-decoration: underline; }
.devices .status { display: flex; justify-content: space-between; gap: 0.6rem; font-variant-numeric: tabular-nums; }
.devices .help .status, .devices .help .why { color: var(--alert); font-weight: 600; }
.devices .sub { white-space: normal; overflow-wrap: anywhere; }
.devices .why { margin: 0.2rem 0 0; overflow-wrap: anywhere; max-height: 6.2em; overflow-y: auto; }
.figures { grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); align-items: start; }
.figures > figure { max-width: none; }
figure h3 { font-size: 1.15rem; overflow-wrap: anywhere; }
figure svg { font-size: 12px; max-height: 150vh; }
@media (max-width: 40rem) { th, td { padding: 0.4rem; white-space: normal; } tbody th { min-width: 5rem; } }
svg text, svg tspan { white-space: pre; }
`;

/** Replaces the fragments that the hub sends; the keyboard focus stays. */
export const fleetScript = `
const lost = document.getElementById("lost");
const events = new EventSource(document.body.dataset.events);
events.onopen = () => { lost.hidden = true; };
events.onerror = () => { lost.hidden = false; };
events.onmessage = ({ data }) => {
  for (const [id, html] of Object.entries(JSON.parse(data))) {
    const part = document.getElementById(id);
    const link = part.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
    part.innerHTML = html;
    if (link !== null) part.querySelector('a[href="' + CSS.escape(link) + '"]')?.focus();
  }
};
`;
