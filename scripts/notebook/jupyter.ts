/**
 * JupyterLab in the ignored folder .venv, installed by uv where there is uv, else by Python, in exact versions. Nothing
 * is written to the home directory, and no setting in it is read. Tested on Linux; not tested on Windows and macOS.
 */
import { delimiter, dirname, join } from "node:path";
import { UserError } from "../../lib/errors.ts";

/** What a Jupyter program needs: the venv's Python, and its environment variables. */
export interface Jupyter {
  readonly python: string;
  readonly env: Readonly<Record<string, string>>;
}

/** The folders and files of JupyterLab, for a project at `root`. */
function paths(root: string) {
  const own = join(root, ".venv");
  const venv = join(own, "jupyter");
  return {
    own,
    venv,
    python: Deno.build.os === "windows" ? join(venv, "Scripts", "python.exe") : join(venv, "bin", "python"),
    stamp: join(venv, "podium-requirements.txt"),
    requirements: join(root, "notebooks", "jupyter", "requirements.txt"),
  };
}

/** Files that Jupyter, pip and uv would otherwise put into the home directory go into .venv. */
function environment(root: string): Record<string, string> {
  const { own } = paths(root);
  const state = join(own, "state");
  return {
    // The kernelspec says just `deno`: it means the Deno that runs this.
    PATH: `${dirname(Deno.execPath())}${delimiter}${Deno.env.get("PATH") ?? ""}`,
    JUPYTER_PATH: join(root, "notebooks", "jupyter"),
    JUPYTER_CONFIG_PATH: join(root, "notebooks", "jupyter", "config"),
    JUPYTER_CONFIG_DIR: join(state, "config"),
    JUPYTER_DATA_DIR: join(state, "data"),
    JUPYTER_RUNTIME_DIR: join(state, "runtime"),
    IPYTHONDIR: join(state, "ipython"),
    PYTHONNOUSERSITE: "1",
    PIP_CACHE_DIR: join(own, "pip-cache"),
    PIP_DISABLE_PIP_VERSION_CHECK: "1",
    UV_CACHE_DIR: join(own, "uv-cache"),
    UV_PYTHON_INSTALL_DIR: join(own, "python"),
  };
}

/**
 * Creates the venv unless it already holds exactly the listed versions.
 *
 * @throws {UserError} where there is neither uv nor Python 3.10 or newer, or an installation fails.
 */
export async function prepareJupyter(root: string, report: (line: string) => void): Promise<Jupyter> {
  const { own, venv, python, stamp, requirements } = paths(root);
  const env = environment(root);
  const wanted = await Deno.readTextFile(requirements);
  await Deno.mkdir(join(own, "state"), { recursive: true });
  // Programs of JupyterLab's that run in Node must not take the project's package.json for their own.
  await Deno.writeTextFile(join(own, "package.json"), '{ "private": true, "type": "commonjs" }\n');
  if (await readIfThere(stamp) === wanted) return { python, env };

  const uv = await answers(["uv", "--version"], env);
  const make = uv ? ["uv", "venv", "--quiet", "--python", ">=3.10", venv] : [...await findPython(env), venv];
  const fill = uv
    ? ["uv", "pip", "install", "--quiet", "--python", python, "-r", requirements]
    : [python, "-m", "pip", "install", "--quiet", "-r", requirements];
  report(`Installing JupyterLab into .venv with ${uv ? "uv" : "pip"} (once, about 240 MB) …`);
  await Deno.remove(venv, { recursive: true }).catch(ignoreMissing);
  await install(make, env);
  await install(fill, env);
  await Deno.writeTextFile(stamp, wanted);
  return { python, env };
}

const checkVersion = ["-c", "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))"];

async function findPython(env: Record<string, string>): Promise<string[]> {
  const names = Deno.build.os === "windows" ? [["py", "-3"], ["python"]] : [["python3"], ["python"]];
  for (const name of names) {
    if (await answers([...name, ...checkVersion], env)) return [...name, "-m", "venv"];
  }
  throw new UserError(
    "JupyterLab needs uv, or Python 3.10 or newer with its venv module, and neither was found: install one " +
      "of them (on Debian and Ubuntu: apt install python3-venv) and run this again",
  );
}

async function answers([program = "", ...args]: readonly string[], env: Record<string, string>) {
  try {
    const { success } = await new Deno.Command(program, { args, env, stdout: "null", stderr: "null" })
      .output();
    return success;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

async function install([program = "", ...args]: readonly string[], env: Record<string, string>) {
  const command = new Deno.Command(program, {
    args,
    env,
    stdin: "null",
    stdout: "inherit",
    stderr: "inherit",
  });
  const { success, code } = await command.output();
  if (success) return;
  throw new UserError(
    `${program} ${args.slice(0, 3).join(" ")} … ended with exit code ${code}, its output is above: ` +
      "check the network or the package index that pip or uv is set to use, and run this again",
    1,
  );
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

function ignoreMissing(error: unknown): void {
  if (!(error instanceof Deno.errors.NotFound)) throw error;
}
