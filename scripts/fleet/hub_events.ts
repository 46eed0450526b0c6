/** The output of a hub while it runs: one line per event that matters to people. */
import type { HubEvent } from "../../lib/fleet/hub.ts";

const said = new Map<string, string>();

/** A line, or null where there is nothing new. */
export function eventLine(event: HubEvent): string | null {
  switch (event.kind) {
    case "joined": {
      const { id, name, machine, tags } = event.statement;
      return `joined    ${nameOf(id, name)}: ${machine.cpu}, ${machine.cores} cores, ${machine.ram_gb} GB (${
        tags.join(", ")
      })`;
    }
    case "not joined":
      return `refused   a device: ${event.reason}`;
    case "state": {
      const { doing, plan, note } = event.state;
      const line = `${doing.padEnd(10)}${event.device}${plan === null ? "" : `: ${plan}`}${
        note === null ? "" : `: ${note}`
      }`;
      return news(event.device, line);
    }
    case "ended":
      return news(
        `${event.device} ${event.plan}`,
        `${event.status.padEnd(10)}${event.device}: ${event.plan}${
          event.reasons.length === 0 ? "" : `: ${event.reasons.join("; ")}`
        }`,
      );
    case "refused":
      return news(`refused ${event.device}`, `refused   ${event.device}: ${event.reason}`);
    case "can't write":
      return news("can't write", `! can't write: ${event.reason}; trying again`);
    case "records":
      said.delete("can't write");
      return null;
  }
}

const nameOf = (id: string, name: string | null) => name === null ? id : `${name} (${id})`;

/** Whether a line differs from the last one about the same thing. */
function news(about: string, line: string): string | null {
  if (said.get(about) === line) return null;
  said.set(about, line);
  return line;
}
