/**
 * Jobs that are sent to other machines. A local job's file may name other files and hold code for
 * its checks. A job from elsewhere may do neither, since its sender could otherwise make a device
 * read its files or run code.
 */

/** Fields of a job, or of one of its prompts, that name files. */
const FILE_FIELDS = ["cases", "documents", "schema", "tests", "tools"] as const;

/**
 * Why the text of a job's file may not be sent to other machines; null where it may.
 *
 * ```ts
 * if (carriedJobProblem('["Say hello."]') !== null) throw new Error("prompts alone may");
 * if (!carriedJobProblem('{"prompt": "{{x}}", "cases": "/etc/passwd"}')?.includes("cases")) throw new Error("a file");
 * ```
 */
export function carriedJobProblem(text: string): string | null {
  let job: unknown;
  try {
    job = JSON.parse(text.replace(/^\uFEFF/, ""));
  } catch {
    return "it is not a JSON file";
  }
  const prompts = Array.isArray(job) ? job : fieldOf(job, "prompts");
  const parts = [job, ...(Array.isArray(prompts) ? prompts : [])];
  for (const part of parts) {
    if (typeof part !== "object" || part === null || Array.isArray(part)) continue;
    for (const field of FILE_FIELDS) {
      const value = fieldOf(part, field);
      const names = Array.isArray(value) ? value : [value];
      if (names.some((name) => typeof name === "string")) return `"${field}" names a file or holds code`;
    }
    const checks = fieldOf(part, "checks");
    if (Array.isArray(checks) && checks.some((check) => fieldOf(check, "kind") === "tests")) {
      return 'a check of the kind "tests" holds code';
    }
  }
  return null;
}

const fieldOf = (value: unknown, field: string): unknown =>
  typeof value === "object" && value !== null ? Reflect.get(value, field) : undefined;
