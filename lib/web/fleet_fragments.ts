/**
 * The live page of a fleet as HTML: its parts, which are sent again when they change. Every
 * word of a device is escaped.
 */
import { machineClass } from "../fleet/fleet_evidence.ts";
import { dotPlot } from "../plot/dots.ts";
import { type Figure, shortName, withoutStyles } from "../plot/figure.ts";
import { forestPlot } from "../report/fleet_text.ts";
import { counted, seconds } from "../report/format.ts";
import { breakable, figureMarkup, tableMarkup } from "../report/page_parts.ts";
import { quantile } from "../stats/quantile.ts";
import { type Markup, markup, trusted } from "../markup.ts";
import type { DeviceView, FleetView } from "./fleet_view.ts";
import { livePage } from "./live_page.ts";

/** HTML by the id of the element that it fills. */
export type Fragments = Readonly<Record<string, string>>;

/** Most cards that can be read from a distance; those that need help come first. */
const MOST_CARDS = 60;
/** With more machines than this, each class of machines shares a row. */
const MOST_ROWS = 40;

/**
 * The whole page, as it is before the first event.
 *
 * @param own the id of the learner's device; null on the teacher's screen
 */
export function fleetPageHtml(view: FleetView, parts: Fragments, own: string | null): string {
  const events = own === null ? "/events" : `/device/${own}/events`;
  const main = Object.entries(parts).map(([id, html]) =>
    markup`<section id="${id}">${trusted(html)}</section>\n`
  );
  const body = markup`<header><h1>Fleet ${view.name}</h1>
${own !== null && markup`<p><a href="/">all devices</a></p>`}
<p id="lost" role="alert" hidden>No connection to the hub: what is shown here may be old.</p></header>
<main>
${main}</main>`;
  return livePage({ title: `Fleet ${view.name}`, assets: "/fleet", events, body });
}

/** The parts of the teacher's screen, or of the view of one device, without the results. */
export function statusFragments(view: FleetView, notices: readonly string[], own: string | null): Fragments {
  const alerts = notices.length === 0
    ? ""
    : String(markup`<ul class="notices" role="status">${notices.map((one) => markup`<li>${one}</li>`)}</ul>`);
  if (own === null) {
    return { notices: alerts, counts: String(counts(view)), devices: String(cards(view.devices)) };
  }
  const device = view.devices.filter(({ id }) => id === own);
  return { notices: alerts, own: String(cards(device)), counts: String(counts(view)) };
}

function counts({ devices, plan, unread }: FleetView): Markup {
  const of = (holds: (device: DeviceView) => boolean) => devices.filter(holds).length;
  const help = of(({ needsHelp }) => needsHelp);
  const planText = plan === null
    ? "No plan was sent yet."
    : `${plan.plan.kind} of ${
      plan.plan.models.join(", ")
    }; job ${plan.plan.job.name}; ${plan.outcomes.length} of ${
      counted(plan.devices.length, "device")
    } ended it${plan.stopped ? "; stopped" : ""}.`;
  return markup`<ul class="counts"><li><b>${devices.length}</b>joined</li>
<li><b>${of(({ status }) => status === "running" || status === "sending")}</b>running</li>
<li><b>${of(({ status }) => status === "done")}</b>done</li>
<li class="${help > 0 ? "help" : ""}"><b>${help}</b>${help === 1 ? "needs" : "need"} help</li></ul>
<p class="note">${planText}${unread > 0 && ` ${counted(unread, "more result")} to come.`}</p>`;
}

function cards(devices: readonly DeviceView[]): Markup {
  if (devices.length === 0) return markup`<p class="lede">No device has joined yet.</p>`;
  const more = devices.length - MOST_CARDS;
  return markup`<ul class="devices">${devices.slice(0, MOST_CARDS).map(card)}</ul>
${more > 0 && markup`<p class="note">And ${more} more.</p>`}`;
}

function card({ id, name, machine, status, progress, note, needsHelp }: DeviceView): Markup {
  const mark = needsHelp ? "! " : status === "done" ? "✓ " : "";
  const kind = needsHelp ? "help" : status === "done" ? "done" : "";
  const going = status === "running" || status === "sending" ? progress : null;
  return markup`<li class="${kind}"><a class="name" href="/device/${id}">${name}</a>
<span class="status"><span>${mark}${status}</span>${
    going !== null && markup`<span>${going.done}/${going.total}</span>`
  }</span>
${
    going !== null &&
    markup`<progress value="${going.done}" max="${going.total}" aria-label="requests of ${name}"></progress>`
  }
<span class="sub">${machineClass(machine)}; ${machine.cpu}</span>
${note !== null && markup`<p class="why">${note}</p>`}</li>`;
}

/**
 * Results of complete runs: dots of mean latency by machine and model, and the forest
 * plot of the first comparison.
 *
 * @param own the highlighted device; null for none
 */
export function resultFragments(view: FleetView, own: string | null): Fragments {
  if (view.results.length === 0) {
    return { results: String(markup`<h2>Results</h2><p class="lede">No run is complete yet.</p>`) };
  }
  const figures = [latencyDots(view, own), forest(view, own)].filter((figure) => figure !== null);
  return {
    results: String(markup`<h2>Results of ${counted(view.results.length, "device")}</h2>
${own !== null && ownTable(view, own)}
<div class="figures">${
      figures.map((figure) => figureMarkup({ ...figure, svg: withoutStyles(figure) }))
    }</div>`),
  };
}

/** Mean latencies by device and candidate, where there are any. */
function latencies({ results }: FleetView) {
  return results.flatMap(({ device, summary }) =>
    summary.candidates.flatMap(({ id, latency_s: { mean } }) =>
      mean === null ? [] : [{ device, candidate: id, mean }]
    )
  );
}

function latencyDots(view: FleetView, own: string | null): Figure | null {
  const all = latencies(view);
  if (all.length === 0) return null;
  const byClass = view.results.length > MOST_ROWS;
  const dots = all.map(({ device, candidate, mean }) => ({
    row: byClass && device.id !== own ? machineClass(device.machine) : device.id,
    series: candidate,
    value: mean,
  }));
  const order = (key: string) => key === own ? "" : labelOf(key, view, own);
  const rows = [...new Set(dots.map(({ row }) => row))]
    .sort((a, b) => order(a).localeCompare(order(b), "en", { numeric: true }))
    .map((key) => ({ key, label: labelOf(key, view, own) }));
  return dotPlot(dots, {
    title: `Mean E2E latency by ${byClass ? "class of machine" : "machine"}`,
    label: "seconds; less is better",
    rows,
    series: [...new Set(all.map(({ candidate }) => candidate))],
    marked: own !== null && rows.some(({ key }) => key === own) ? own : null,
    caption: "Each dot is the mean over the timed requests of one model on one machine.",
  });
}

function forest(view: FleetView, own: string | null): Figure | null {
  if (view.comparison === null) return null;
  const { a, b, devices } = view.comparison;
  const named = devices.map((one) => ({ ...one, name: labelOf(one.device, view, own) }));
  return forestPlot({ ...view.comparison, a: shortName(a, 120), b: shortName(b, 120), devices: named });
}

/** The name of a device, marked where it is the highlighted one; a class of machines has no other name. */
function labelOf(key: string, { devices }: FleetView, own: string | null): string {
  return `${key === own ? "▶ " : ""}${devices.find(({ id }) => id === key)?.name ?? key}`;
}

/** The learner's own figures next to those of all. */
function ownTable(view: FleetView, own: string): Markup {
  const all = latencies(view);
  const rows = all.filter(({ device }) => device.id === own).map(({ candidate, mean }) => ({
    candidate,
    mean,
    means: all.filter((one) => one.candidate === candidate).map((one) => one.mean),
  }));
  if (rows.length === 0) return markup`<p class="lede">The run of this device is not complete yet.</p>`;
  return tableMarkup("Mean E2E latency", rows, [
    ["model", ({ candidate }) => breakable(candidate)],
    ["this device", ({ mean }) => seconds(mean)],
    ["median of all", ({ means }) => seconds(quantile(means, 0.5))],
    ["place", ({ means, mean }) => `${1 + means.filter((one) => one < mean).length} of ${means.length}`],
  ]);
}
