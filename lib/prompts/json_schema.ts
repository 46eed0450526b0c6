/** A JSON Schema that an answer can be checked against. */
import { z } from "zod";

export const jsonSchema = z.record(z.string(), z.unknown()).superRefine((schema, context) => {
  const fault = faultOf(JSON.stringify(schema));
  if (fault !== null) context.addIssue({ code: "custom", message: fault });
});

/** The cases of a job share one schema: it is compiled once. */
let last: { readonly text: string; readonly fault: string | null } = { text: "", fault: null };

function faultOf(text: string): string | null {
  if (text !== last.text) last = { text, fault: compileFault(JSON.parse(text)) };
  return last.fault;
}

function compileFault(schema: Record<string, unknown>): string | null {
  try {
    z.fromJSONSchema(schema);
    return null;
  } catch (fault) {
    const why = fault instanceof Error ? fault.message : String(fault);
    return `not a JSON schema that can be checked: ${why}`;
  }
}
