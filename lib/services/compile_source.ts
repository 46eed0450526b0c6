/** What a model of one's own comes as: a GGUF file, or a Hugging Face folder. */
import { join } from "node:path";
import { z } from "zod";
import { reasonOf, UserError } from "../errors.ts";
import { entriesOf, readIfThere, statIfThere } from "../catalog/files.ts";

/** A model to compile, and what must be known of it before that. */
export interface Source {
  readonly kind: "gguf" | "huggingface";
  readonly path: string;
  readonly parameters: number;
  /** Changes when the source does. */
  readonly mark: string;
}

const hfConfig = z.looseObject({ model_type: z.string() });

/**
 * Looks at what is to be compiled.
 *
 * @throws {UserError} where it is neither
 *
 * ```ts ignore
 * const { kind, parameters } = await describeSource("SmolLM2-135M-Instruct.Q4_1.gguf");
 * ```
 */
export async function describeSource(path: string): Promise<Source> {
  const stat = await statIfThere(path);
  if (stat === null) throw new UserError(`there is no ${path}: give a GGUF file or a Hugging Face folder`);
  const mark = `${stat.size}-${stat.mtime?.getTime() ?? 0}`;
  if (stat.isFile) {
    const { gguf } = await import("@huggingface/gguf");
    const parsed = await gguf(path, { allowLocalFile: true }).catch((cause: unknown) => {
      throw new UserError(`${path} is not a GGUF file: ${reasonOf(cause)}`, 2, { cause });
    });
    const values = (shape: readonly bigint[]) => shape.reduce((product, side) => product * Number(side), 1);
    const parameters = parsed.tensorInfos.reduce((sum, { shape }) => sum + values(shape), 0);
    return { kind: "gguf", path, parameters, mark };
  }
  const config = await readIfThere(join(path, "config.json"));
  const entries = await entriesOf(path);
  const weights = entries.filter(({ name }) => name.endsWith(".safetensors"));
  if (config === null || weights.length === 0 || !isConfig(config)) {
    throw new UserError(
      `${path} is not a Hugging Face model folder: it needs config.json, tokenizer files and *.safetensors`,
    );
  }
  let bytes = 0;
  for (const { name } of weights) bytes += (await Deno.stat(join(path, name))).size;
  // 16-bit weights are the rule; a folder of 32-bit ones is taken for twice its size, on the safe side.
  return { kind: "huggingface", path, parameters: bytes / 2, mark };
}

function isConfig(text: string): boolean {
  try {
    return hfConfig.safeParse(JSON.parse(text)).success;
  } catch {
    return false; // torn: the message says what is needed
  }
}
