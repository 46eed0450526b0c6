/** Which program uses the processor most, besides Podium and its candidates. */
import type { Clock } from "../clock.ts";
import type { RunProgram } from "../program.ts";

/** A program, by its file name, and the cores that it used during the search. */
export interface BusyProgram {
  readonly program: string;
  readonly cores: number;
}

/** Finds the program that uses most of the processor now, apart from the processes named; null where unknown. */
export type FindBusiest = (ownPids: readonly number[]) => Promise<BusyProgram | null>;

/** Shortest time between two searches, in ms: each costs processor time itself. */
const SEARCH_EVERY_MS = 5000;
/** A program that uses less than this doesn't explain a disturbance. */
const BUSY_CORES = 0.05;

/** The command of each system that prints one line per process: id, share of a core in percent, name. */
const LIST_COMMANDS: Readonly<Record<string, readonly string[]>> = {
  linux: ["top", "-b", "-n", "2", "-d", "0.3", "-w", "200"],
  darwin: ["ps", "-A", "-o", "pid=,pcpu=,comm=", "-r"],
  windows: [
    "powershell",
    "-NoProfile",
    "-Command",
    "Get-CimInstance Win32_PerfFormattedData_PerfProc_Process | Sort-Object PercentProcessorTime -Descending | " +
    'Select-Object -First 12 | ForEach-Object { "$($_.IDProcess) $($_.PercentProcessorTime) $($_.Name)" }',
  ],
};

/**
 * Finds the busiest program with the system's own tools: at most every five seconds, and only when asked.
 * Linux was tested; macOS and Windows were not.
 *
 * ```ts ignore
 * const find = busiestFinder(runProgram, () => performance.now(), Deno.build.os);
 * console.log(await find([Deno.pid])); // { program: "firefox", cores: 0.62 }
 * ```
 */
export function busiestFinder(run: RunProgram, clock: Clock, system: string): FindBusiest {
  let last: { readonly atMs: number; readonly found: BusyProgram | null } | null = null;
  return async (ownPids) => {
    const command = LIST_COMMANDS[system];
    if (command === undefined) return null;
    if (last !== null && clock() - last.atMs < SEARCH_EVERY_MS) return last.found;
    const end = await run(command, { timeoutMs: 3000 });
    last = { atMs: clock(), found: end === null ? null : parseBusiest(end.stdout, ownPids) };
    return last.found;
  };
}

/**
 * The busiest program of what `top -b`, or one line per process (number, percent, name), shows.
 *
 * ```ts
 * const top = "  PID USER PR NI VIRT RES SHR S %CPU %MEM TIME+ COMMAND\n" +
 *   "    7 ana 20 0 1g 9m 8m R 99.0 0.3 0:01.02 deno\n   12 ana 20 0 1g 9m 8m S 61.5 0.3 0:09.02 firefox\n";
 * const busy = parseBusiest(top, [7]);
 * if (busy?.program !== "firefox" || busy.cores !== 0.615) throw new Error(JSON.stringify(busy));
 * ```
 */
export function parseBusiest(text: string, ownPids: readonly number[]): BusyProgram | null {
  const second = text.lastIndexOf("%CPU");
  const lines = (second < 0 ? text : text.slice(second)).split("\n");
  const found = lines.flatMap((line) => {
    const fields = line.trim().split(/\s+/);
    const isTop = fields.length >= 12;
    const [pid, percent] = [Number(fields[0]), Number(isTop ? fields[8] : fields[1])];
    const name = fields.slice(isTop ? 11 : 2).join(" ").replace(/^.*[\\/]/, "");
    if (!Number.isInteger(pid) || !Number.isFinite(percent) || ownPids.includes(pid)) return [];
    // Rows to skip: the command itself, idle time and the total.
    if (name === "" || /^(top|ps|powershell.*|Idle|_Total)$/i.test(name)) return [];
    return [{ program: name.slice(0, 40), cores: percent / 100 }];
  });
  const busiest = found.toSorted((a, b) => b.cores - a.cores)[0] ?? null;
  return busiest === null || busiest.cores < BUSY_CORES ? null : busiest;
}
