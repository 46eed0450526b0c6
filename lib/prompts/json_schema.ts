/** A JSON Schema that an answer can be checked against. */
import { z } from "zod";

export const jsonSchema = z.record(z.string(), z.unknown()).superRefine((schema, context) => {
  try {
    z.fromJSONSchema(schema);
  } catch (fault) {
    const why = fault instanceof Error ? fault.message : String(fault);
    context.addIssue({ code: "custom", message: `not a JSON schema that can be checked: ${why}` });
  }
});
