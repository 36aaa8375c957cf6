// Restate on its own terms: the single-node server from its npm package with default settings (its log is synced: the
// default of rocksdb-disable-wal-fsync is false), only addresses and folder are set; the service in a process of its own.
// One HTTP call to the ingress runs all steps, each a ctx.run that the server journals. The time is that of the call.
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { peerFailed } from "../bench-error.ts";
import { ask, freePorts, messageFrom, startChild, stopChild, type Child } from "../children.ts";
import { until, within } from "../deadline.ts";
import type { Scratch } from "../scratch.ts";
import { expectedSum, verifyRecovery, type StagesWork } from "../work.ts";
import type { StepsInput } from "./restate-service.ts";

const SERVICE = fileURLToPath(new URL("../../dist/peers/restate-service.js", import.meta.url));
const LIMIT_MS = 120_000;

export interface Restate extends AsyncDisposable {
  /** Invocations, all at once; milliseconds from the first call to the last result. */
  run(work: StagesWork): Promise<number>;
  /**
   * SIGKILLs the server half-way through such an invocation (the service stays alive, which is to Restate's advantage);
   * milliseconds from the spawn of the next server to the result.
   */
  recover(steps: number): Promise<number>;
}

/** Starts server and service and registers one with the other. Throws an error that names Restate when that fails. */
export async function startRestate(scratch: Scratch): Promise<Restate> {
  const peer = new RestatePeer(scratch, await freePorts(3));
  try {
    await peer.start();
    return peer;
  } catch (cause) {
    await peer[Symbol.asyncDispose]();
    throw peerFailed("restate", "start", cause);
  }
}

class RestatePeer implements Restate {
  readonly #environment: Readonly<Record<string, string>>;
  readonly #ingress: string;
  readonly #admin: string;
  readonly #logFile: string;
  #server: Child | undefined;
  #service: Child | undefined;
  #invocations = 0;

  constructor(scratch: Scratch, [ingress, admin, node]: readonly number[]) {
    this.#ingress = `http://127.0.0.1:${ingress}`;
    this.#admin = `http://127.0.0.1:${admin}`;
    this.#logFile = join(scratch.path, "restate.log");
    this.#environment = {
      RESTATE_BASE_DIR: scratch.folder("restate"),
      RESTATE_INGRESS__BIND_ADDRESS: `127.0.0.1:${ingress}`,
      RESTATE_ADMIN__BIND_ADDRESS: `127.0.0.1:${admin}`,
      RESTATE_BIND_ADDRESS: `127.0.0.1:${node}`,
      RESTATE_ADVERTISED_ADDRESS: `http://127.0.0.1:${node}`,
      RESTATE_LISTEN_MODE: "tcp",
      RESTATE_LOG_FILTER: "warn",
      RESTATE_DISABLE_TELEMETRY: "true",
      DO_NOT_TRACK: "1",
    };
  }

  async start(): Promise<void> {
    this.#server = await this.#startServer();
    this.#service = await startChild({
      name: "Restate service",
      command: process.execPath,
      args: [SERVICE],
      env: { RESTATE_LOGGING: "ERROR" },
      logFile: this.#logFile,
      talks: "messages",
    });
    const { port } = (await messageFrom(this.#service, LIMIT_MS)) as { port: number };
    await this.#untilAnswers(`${this.#admin}/health`);
    await this.#untilAnswers(`${this.#ingress}/restate/health`);
    await post(`${this.#admin}/deployments`, { uri: `http://127.0.0.1:${port}` });
    // The first invocation can be refused until the registration has reached the ingress.
    await until(() => this.run({ stages: 10 }).catch(notFoundYet), {
      limitMs: LIMIT_MS,
      pauseMs: 100,
      what: "the first invocation",
    });
  }

  async run({ stages: steps, runs = 1, rows = 0 }: StagesWork): Promise<number> {
    const start = performance.now();
    const sums = await Promise.all(
      Array.from({ length: runs }, () => {
        const input: StepsInput = { steps, rows, id: this.#nextId() };
        return post(`${this.#ingress}/bench/steps`, input);
      }),
    );
    const ms = performance.now() - start;
    for (const sum of sums)
      if (sum !== expectedSum(steps)) throw peerFailed("restate", "run the steps", `the result is ${String(sum)}`);
    return ms;
  }

  async recover(steps: number): Promise<number> {
    const id = this.#nextId();
    const { server, service } = this;
    const input: StepsInput = { steps, id, killPid: server.pid };
    const { invocationId } = (await post(`${this.#ingress}/bench/steps/send`, input)) as { invocationId: string };
    await within(server.gone, LIMIT_MS, "the kill of the Restate server");
    const start = performance.now();
    this.#server = await this.#startServer();
    const sum = await this.#resultOf(invocationId);
    const ms = performance.now() - start;
    const { stepsRun } = (await ask(service, { stepsRunOf: id }, LIMIT_MS)) as { stepsRun: number };
    verifyRecovery("restate", `done ${String(sum)} ${stepsRun}`, steps);
    return ms;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#service !== undefined) await stopChild(this.#service, "SIGKILL");
    if (this.#server !== undefined) await stopChild(this.#server, "SIGTERM");
  }

  get server(): Child {
    if (this.#server === undefined) throw new Error("the Restate server is not started");
    return this.#server;
  }

  get service(): Child {
    if (this.#service === undefined) throw new Error("the Restate service is not started");
    return this.#service;
  }

  #startServer(): Promise<Child> {
    return startChild({
      name: "Restate server",
      command: serverBinary(),
      args: ["--no-logo"],
      env: this.#environment,
      logFile: this.#logFile,
    });
  }

  // Attaching waits on the server, so what is polled here is only its coming back.
  #resultOf(invocationId: string): Promise<unknown> {
    return until(
      async () => {
        const response = await this.#get(`${this.#ingress}/restate/invocation/${invocationId}/attach`);
        return response === undefined ? undefined : await response.json();
      },
      { limitMs: LIMIT_MS, pauseMs: 5, what: "the recovered invocation" },
    );
  }

  #untilAnswers(url: string): Promise<Response> {
    return until(() => this.#get(url), { limitMs: LIMIT_MS, pauseMs: 20, what: `an answer from ${url}` });
  }

  /** The response when it is a good one, `undefined` while the server is not up; an error once the server is gone. */
  async #get(url: string): Promise<Response | undefined> {
    if (this.server.process.exitCode !== null)
      throw new Error(`the server ended with ${this.server.process.exitCode}: ${this.server.lastWords()}`);
    try {
      const response = await fetch(url, { signal: AbortSignal.timeout(LIMIT_MS) });
      if (response.ok) return response;
      await response.arrayBuffer();
      return undefined;
    } catch (error) {
      if (error instanceof TypeError) return undefined; // fetch's word for a refused or broken connection
      throw error;
    }
  }

  #nextId(): string {
    return `invocation-${this.#invocations++}`;
  }
}

class HttpError extends Error {
  readonly status: number;

  constructor(status: number, body: string) {
    super(`HTTP ${status}: ${body.slice(0, 300)}`);
    this.status = status;
  }
}

function notFoundYet(error: unknown): undefined {
  if (error instanceof HttpError && (error.status === 404 || error.status === 503)) return undefined;
  throw error;
}

async function post(url: string, body: unknown): Promise<unknown> {
  const response = await fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(LIMIT_MS),
  });
  const text = await response.text();
  if (!response.ok) throw new HttpError(response.status, text);
  return text === "" ? undefined : JSON.parse(text);
}

/** The binary itself, which the npm package's launcher would only wrap in one more process. */
function serverBinary(): string {
  const platformPackage = `@restatedev/restate-server-${process.platform}-${process.arch}`;
  try {
    const require = createRequire(import.meta.resolve("@restatedev/restate-server/package.json"));
    return require.resolve(`${platformPackage}/bin/restate-server`);
  } catch (cause) {
    throw new Error(`the package ${platformPackage} is not installed. In bench/: npm ci`, { cause });
  }
}
