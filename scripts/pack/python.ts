/** The Python whose wheels are packed. */
import { UserError } from "../../lib/errors.ts";

export interface PythonCommand {
  readonly command: readonly string[];
  /** As in "3.11": wheels hold for it. */
  readonly version: string;
}

const asks = "import sys, pip; print('%d.%d' % sys.version_info[:2]); sys.exit(sys.version_info < (3, 10))";

/** @throws {UserError} where there is no Python 3.10 or newer with pip */
export async function pythonOf(): Promise<PythonCommand> {
  const names = Deno.build.os === "windows" ? [["py", "-3"], ["python"]] : [["python3"], ["python"]];
  for (const command of names) {
    const [program = "", ...first] = command;
    try {
      const { success, stdout } = await new Deno.Command(program, {
        args: [...first, "-c", asks],
        stderr: "null",
      }).output();
      if (success) return { command, version: new TextDecoder().decode(stdout).trim() };
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  throw new UserError(
    "JupyterLab's wheels need Python 3.10 or newer with pip, and none was found: install it, or pack without " +
      "JupyterLab with --no-jupyter",
    1,
  );
}
