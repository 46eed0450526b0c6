/** Executes `fit`: the probe on request, the estimates, and their output. */
import {
  type FitReport,
  fitReport,
  type FitRequest,
  type FitRow,
  modelsHere,
} from "../../lib/bench/fit_report.ts";
import { probeModels } from "../../lib/bench/speed_probe.ts";
import { addToCalibration } from "../../lib/catalog/calibration.ts";
import { describeMachine } from "../../lib/catalog/machine.ts";
import { loadRegistry, type Registry } from "../../lib/catalog/registry.ts";
import { defaultStore, openStore, type Store } from "../../lib/catalog/store.ts";
import { prepareEngine } from "../../lib/engine/supervisor.ts";
import { UserError } from "../../lib/errors.ts";
import { fitText } from "../../lib/report/fit_text.ts";
import { interruptSignal, printJson, realClock, sayNext } from "../cli.ts";
import type { FitSettings } from "./options.ts";
import { say, table } from "../terminal.ts";

export async function fit(names: readonly string[], settings: FitSettings): Promise<number> {
  const registry = await loadRegistry(settings.registry);
  const store = await openStore(settings.store ?? defaultStore(Deno.env, Deno.build.os));
  if (settings.probe !== undefined) await probe(registry, store, settings);
  const report = await fitReport(requestOf(names, settings), {
    registry,
    store,
    fetch,
    env: Deno.env,
    note: (line) => console.error(line),
  });
  if (settings.json) printJson(fitJson(report));
  else {
    const text = fitText(report);
    say(text.before.join("\n"));
    if (text.rows.length > 0) console.log(table(text.head, text.rows));
    say(text.after.join("\n"), "  ");
    sayNext("deno task bench --models NAMES measures the ones that you want to compare");
  }
  return 0;
}

function requestOf(names: readonly string[], settings: FitSettings): FitRequest {
  const { task, capability, context, kv, promptTokens, threads, users, ram, vram, bandwidth, minSpeed, out } =
    settings;
  return {
    names: names.length === 0 ? null : names,
    task,
    capability,
    contextTokens: context,
    kvCache: kv,
    promptTokens,
    threads,
    users,
    ramGb: ram,
    vramGb: vram,
    bandwidthGbS: bandwidth,
    minSpeed,
    reports: out,
  };
}

const DEFAULT_PROBE_S = 20;

async function probe(registry: Registry, store: Store, settings: FitSettings): Promise<void> {
  const models = await modelsHere({ registry, store });
  if (models.length === 0) {
    throw new UserError(
      "--probe: no model of the registry is here to measure: deno task models pull smollm2-135m (98 MB), then again",
      1,
    );
  }
  await prepareEngine({ denoPath: Deno.execPath() });
  const samples = await probeModels({
    models,
    ...(settings.threads === undefined ? {} : { threads: settings.threads }),
    seconds: typeof settings.probe === "number" ? settings.probe : DEFAULT_PROBE_S,
    at: new Date().toISOString(),
    note: (line) => console.error(line),
  }, {
    denoPath: Deno.execPath(),
    env: Deno.env,
    clock: realClock,
    fetch,
    random: Math.random,
    signal: interruptSignal(),
  });
  await addToCalibration(store, await describeMachine(), samples);
}

const GB = 2 ** 30;
const round = (value: number, digits = 2) => Number(value.toPrecision(digits + 1));

function fitJson({ machine, conditions, rows, accuracy, calibration, recommended }: FitReport) {
  const { use } = conditions;
  return {
    machine,
    free_disk_gb: round(conditions.freeDiskBytes / 1e9),
    conditions: {
      context_tokens: use.contextTokens,
      kv_cache: use.kvCache,
      users: use.users,
      prompt_tokens: conditions.promptTokens,
      threads: conditions.threads,
      free_ram_gb: conditions.freeRamGb,
      vram_gb: conditions.vramGb,
      bandwidth_gb_s: conditions.bandwidthGbS,
    },
    calibration: {
      models: calibration.models,
      bandwidth_gb_s: calibration.bandwidthGbS === null ? null : round(calibration.bandwidthGbS),
      decode_error: accuracy.decode === null ? null : round(accuracy.decode.medianError),
      ttft_error: accuracy.ttft === null ? null : round(accuracy.ttft.medianError),
    },
    first: rows.find(({ reasons }) => reasons.length === 0)?.model.alias ?? null,
    recommended: recommended === null ? null : {
      alias: recommended.row.model.alias,
      variant: recommended.row.variant.name,
      because: recommended.because,
    },
    models: rows.map(rowJson),
  };
}

function rowJson(row: FitRow) {
  const { parts, decode, decodePerUser, ttft } = row;
  const rate = (one: FitRow["decode"]) =>
    one === null ? null : { tokens_per_s: round(one.tokensPerS), ci90: [round(one.low), round(one.high)] };
  return {
    alias: row.model.alias,
    variant: row.variant.name,
    ok: row.reasons.length === 0,
    here: row.here,
    untried: row.variant.untried,
    basis: row.basis,
    needed_ram_gb: row.neededBytes === null ? null : round(row.neededBytes / GB),
    resident_mb: row.residentBytes === null ? null : Math.round(row.residentBytes / 1e6),
    memory_mb: parts === null
      ? null
      : Object.fromEntries(Object.entries(parts).map(([name, bytes]) => [name, Math.round(bytes / 1e6)])),
    place: row.place,
    largest_context: row.largestContext,
    decode: rate(decode),
    decode_per_user: rate(decodePerUser),
    ttft: ttft === null ? null : { seconds: round(ttft.seconds), ci90: [round(ttft.low), round(ttft.high)] },
    measured: row.measured.map(({ kind, threads, tokens, measuredS, predictedS, low, high }) => ({
      kind,
      threads,
      tokens,
      measured_s: round(measuredS, 3),
      predicted_s: predictedS === null ? null : round(predictedS, 3),
      ci90: low === null || high === null ? null : [round(low, 3), round(high, 3)],
    })),
    measured_resident_mb: row.measuredResidentMb,
    reasons: row.reasons,
  };
}
