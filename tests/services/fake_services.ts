/**
 * Foundry Local's older services, with the answers that they really gave: 1.x was recorded from the web service of
 * foundry-local-sdk 1.2.4, 0.x follows the SDK of the command line's service up to 0.8.
 */

export interface FakeService {
  readonly baseUrl: string;
  /** Paths that were asked for, in order. */
  readonly asked: readonly string[];
  readonly loaded: Set<string>;
  stop(): Promise<void>;
}

const json = (value: unknown, status = 200) => Response.json(value, { status });
const nothing = (status: number) => new Response(null, { status });

function serve(
  answer: (url: URL, request: Request, loaded: Set<string>) => Response | Promise<Response>,
): FakeService {
  const asked: string[] = [];
  const loaded = new Set<string>();
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, (request) => {
    const url = new URL(request.url);
    asked.push(decodeURIComponent(url.pathname));
    return answer(url, request, loaded);
  });
  const { port } = server.addr;
  return { baseUrl: `http://127.0.0.1:${port}/v1`, asked, loaded, stop: () => server.shutdown() };
}

const NEUTRAL = { IsDelta: false, Successful: true, HttpStatusCode: 0 };
const usage = (tokens: number) => ({
  prompt_tokens: 31,
  completion_tokens: tokens,
  total_tokens: 31 + tokens,
});

/** A chunk of 1.x: the text twice, and usage on every one. */
function chunk1(model: string, content: string | null, tokens: number, finish?: string) {
  const message = { role: "assistant", content, tool_calls: [] };
  const choice = {
    delta: message,
    message,
    index: 0,
    ...(finish === undefined ? {} : { finish_reason: finish }),
  };
  return {
    model,
    choices: content === null ? [] : [choice],
    usage: usage(tokens),
    created: 1795241364,
    CreatedAt: "2026-11-21T06:09:24+00:00",
    id: "chat.id.1",
    ...NEUTRAL,
    object: "chat.completion.chunk",
  };
}

function stream1(model: string): Response {
  const chunks = [
    chunk1(model, "\n", 1),
    chunk1(model, "optic", 2),
    chunk1(model, " •", 3, "length"),
    chunk1(model, null, 3),
  ];
  const text = chunks.map((chunk) => `data: ${JSON.stringify(chunk)}\n\n`).join("") + "data: [DONE]\n\n";
  return new Response(text, { headers: { "content-type": "text/event-stream" } });
}

/** The web service of SDK 1.x: ids are listed without a version, load answers with nothing. */
export function startFake1(ids: readonly string[] = ["smollm2-135m-generic-cpu"]): FakeService {
  const bare = (id: string) => id.replace(/:\d+$/, "");
  return serve(async ({ pathname }, request, loaded) => {
    const path = decodeURIComponent(pathname);
    const [, verb, name = ""] = /^\/models\/(load|unload)\/(.+)$/.exec(path) ?? [];
    if (path === "/status") {
      return json({
        endpoints: [],
        modelDirPath: "/no/such/folder",
        pipeName: null,
        isAutoRegistrationResolved: true,
        autoRegistrationStatus: "No EP bootstrappers configured.",
      });
    }
    if (path === "/v1/models") {
      const data = ids.map((id) => ({
        id,
        owned_by: "byom",
        permission: [],
        created: 1795219200,
        CreatedTime: "2026-11-21T00:00:00+00:00",
        parent: id.replace(/-generic-cpu$/, ""),
        ...NEUTRAL,
        object: "model",
      }));
      return json({ data, ...NEUTRAL, object: "list" });
    }
    if (path === "/models/loaded") return json([...loaded]);
    if (verb !== undefined) {
      if (!ids.includes(bare(name))) return nothing(500);
      if (verb === "load") loaded.add(`${bare(name)}:1`);
      else loaded.delete(`${bare(name)}:1`);
      return nothing(200);
    }
    if (path !== "/v1/chat/completions") return nothing(404);
    const { model } = await request.json();
    if (!loaded.has(`${bare(model)}:1`)) {
      const message = `Failed to handle OpenAI completion: Model '${model}' is not loaded. ` +
        "Please load the model before getting a ChatClient.";
      return json({ error: { message, type: "invalid_request_error", code: null } }, 400);
    }
    return stream1(model);
  });
}

/** The command line's service up to 0.8: a catalogue of its own, and `/openai/…` for everything else. */
export function startFake0(cached: readonly string[]): FakeService {
  const model = (alias: string, device: string, provider: string) => ({
    name: `${alias}-instruct-generic-${device.toLowerCase()}`,
    version: "4",
    alias,
    displayName: alias,
    providerType: "AzureFoundry",
    uri: "azureml://registries/azureml/models/x/versions/4",
    modelType: "ONNX",
    task: "chat-completion",
    license: "apache-2.0",
    fileSizeMb: 822,
    runtime: { deviceType: device, executionProvider: provider },
  });
  const catalogue = [
    model("qwen2.5-0.5b", "GPU", "WebGpuExecutionProvider"),
    model("qwen2.5-0.5b", "CPU", "CPUExecutionProvider"),
  ];
  return serve(({ pathname }, _request, loaded) => {
    const path = decodeURIComponent(pathname);
    const [, verb, name = ""] = /^\/openai\/(load|unload)\/(.+)$/.exec(path) ?? [];
    if (path === "/openai/status") {
      return json({ modelDirPath: "/no/such/folder", pipeName: "inference_agent" });
    }
    if (path === "/foundry/list") return json(catalogue);
    if (path === "/openai/models") return json(cached);
    if (path === "/openai/loadedmodels") return json([...loaded]);
    if (path === "/v1/models") return json({ data: cached.map((id) => ({ id })), object: "list" });
    if (verb === "load") {
      if (!cached.includes(name)) {
        return new Response("No OpenAIService provider found for modelName", { status: 400 });
      }
      loaded.add(name);
      return json({});
    }
    if (verb === "unload") return loaded.delete(name) ? json({}) : nothing(400);
    return nothing(404);
  });
}
