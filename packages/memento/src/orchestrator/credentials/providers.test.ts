import { generateKeyPairSync } from "node:crypto";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import process from "node:process";

import { STSClient } from "@aws-sdk/client-sts";
import { GoogleAuth, JWT } from "google-auth-library";
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from "vitest";

import { requireEngine } from "../../../../../test/harness/engines.ts";
import { minioIsThere, startMinio } from "../../../../../test/harness/servers/minio.ts";
import { s3Account } from "../../../../../test/harness/servers/s3-server.ts";
import { isMementoError } from "../../core/errors.ts";
import { ManualClock } from "../../testing/manual-clock.ts";
import { awsKeys, fromAwsSts } from "./aws-sts.ts";
import { fromAzure, fromGoogle } from "./cloud-tokens.ts";
import { fromCommand } from "./command.ts";
import { fromFile } from "./file.ts";
import { fromHashicorpVault } from "./hashicorp-vault.ts";
import type { AcquireContext, Credential, CredentialProvider } from "./provider.ts";

const SECRET = "s3cr3t-wörd";
const clock = new ManualClock();
const context: AcquireContext = { name: "db", clock, signal: new AbortController().signal };

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), "memento-credential-"));
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

const acquire = async (provider: CredentialProvider): Promise<Credential> => await provider.acquire(context);

/** What the provider says when it has none; fails when that shows the secret. */
async function refusal(provider: CredentialProvider): Promise<string> {
  const error: unknown = await provider.acquire(context).then(
    () => null,
    (cause: unknown) => cause,
  );
  if (!isMementoError(error, "CREDENTIAL_UNAVAILABLE")) throw new Error(`not refused: ${String(error)}`);
  const text = `${error.message} ${JSON.stringify(error)} ${error.stack ?? ""}`;
  expect(text).not.toContain(SECRET);
  expect(error.message).toContain("db");
  return error.message;
}

/** A server on loopback that answers as `answer` says; gives its address. */
async function serve(answer: (request: IncomingMessage, response: ServerResponse) => void): Promise<string> {
  const server: Server = createServer(answer);
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  onTestFinished(
    async () =>
      await new Promise<void>((resolve) => {
        server.closeAllConnections();
        server.close(() => {
          resolve();
        });
      }),
  );
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

describe("fromFile()", () => {
  test("reads the file anew each time, without one line end at its end", async () => {
    const file = path.join(folder, "password");
    writeFileSync(file, `${SECRET}\r\n`);
    const provider = fromFile(file, { scope: "db:write", lifetimeMs: 1_000 });
    expect(await acquire(provider)).toEqual({ value: SECRET, scope: "db:write", expiresAt: clock.now() + 1_000 });
    writeFileSync(file, "another\n\n");
    expect((await acquire(provider)).value).toBe("another\n");
  });

  test("refuses a file that is missing, empty or a folder, by its name", async () => {
    const file = path.join(folder, "password");
    expect(await refusal(fromFile(file))).toContain(`${file}, which cannot be read (ENOENT)`);
    writeFileSync(file, "\n");
    expect(await refusal(fromFile(file))).toContain("which is empty");
    expect(await refusal(fromFile(folder))).toContain("EISDIR");
  });
});

describe("fromCommand()", () => {
  test("runs a program without a shell, and reads what it prints", async () => {
    const script = "process.stdout.write(process.argv[1] + process.env.MORE + '\\n')";
    const environment = { ...process.env, MORE: "!" };
    const provider = fromCommand(process.execPath, ["-e", script, `${SECRET}; $HOME`], { environment });
    expect(await acquire(provider)).toEqual({ value: `${SECRET}; $HOME!`, scope: process.execPath, expiresAt: null });
  });

  test("reads value and expiry out of the output", async () => {
    const output = JSON.stringify({ token: SECRET, until: "2026-01-01T01:00:00Z" });
    const parse = (text: string): Omit<Credential, "scope"> => {
      const { token, until } = JSON.parse(text) as { token: string; until: string };
      return { value: token, expiresAt: Date.parse(until) };
    };
    const provider = fromCommand(process.execPath, ["-p", JSON.stringify(output)], { parse, scope: "api" });
    expect(await acquire(provider)).toEqual({ value: SECRET, scope: "api", expiresAt: Date.UTC(2026, 0, 1, 1) });
  });

  test("refuses what fails, hangs, prints nothing or nonsense, without its output", async () => {
    const node = (script: string): CredentialProvider => fromCommand(process.execPath, ["-e", script]);
    expect(await refusal(node(`console.log("${SECRET}"); console.error("${SECRET}"); process.exit(3)`))).toContain(
      "ended with code 3",
    );
    expect(await refusal(node(""))).toContain("printed nothing");
    expect(await refusal(fromCommand(path.join(folder, "none")))).toContain("could not be run (ENOENT)");
    const hanging = fromCommand(process.execPath, ["-e", "setInterval(() => {}, 1000)"], { timeoutMs: 300 });
    expect(await refusal(hanging)).toContain("did not end within 300 ms");
    const parse = (text: string): Omit<Credential, "scope"> => JSON.parse(text) as Omit<Credential, "scope">;
    const nonsense = fromCommand(process.execPath, ["-p", JSON.stringify(SECRET)], { parse });
    expect(await refusal(nonsense)).toContain("could not be understood");
    const file = path.join(folder, "not-executable");
    writeFileSync(file, "");
    chmodSync(file, 0o600);
    expect(await refusal(fromCommand(file))).toContain("could not be run (EACCES)");
  });
});

describe("fromHashicorpVault()", () => {
  test("reads a field of KV 2, of KV 1, and one that was made with a lease", async () => {
    const asked: unknown[] = [];
    const answers: Record<string, unknown> = {
      "/v1/secret/data/ware%20house": {
        lease_duration: 0,
        data: { data: { password: SECRET, port: 5432 }, metadata: { version: 3 } },
      },
      "/v1/kv/warehouse": { lease_duration: 2_764_800, data: { password: SECRET } },
      "/v1/database/creds/loader": { lease_duration: 3_600, data: { username: "v-loader", password: SECRET } },
    };
    const address = await serve((request, response) => {
      asked.push([request.method, request.headers["x-vault-token"], request.headers["x-vault-namespace"]]);
      response.end(JSON.stringify(answers[request.url ?? ""]));
    });
    const environment = { VAULT_ADDR: `${address}/`, VAULT_TOKEN: "t", VAULT_NAMESPACE: "team" };
    const at = (secret: string, field?: string): CredentialProvider =>
      fromHashicorpVault({ path: secret, environment, ...(field === undefined ? {} : { field }) });
    expect(await acquire(at("secret/data/ware house", "password"))).toEqual({
      value: SECRET,
      scope: "secret/data/ware house",
      expiresAt: null,
    });
    expect((await acquire(at("secret/data/ware house", "port"))).value).toBe("5432");
    expect((await acquire(at("kv/warehouse", "password"))).expiresAt).toBe(clock.now() + 2_764_800_000);
    const made = await acquire(at("database/creds/loader"));
    expect(JSON.parse(made.value)).toEqual({ username: "v-loader", password: SECRET });
    expect(asked[0]).toEqual(["GET", "t", "team"]);
  });

  test("refuses by the status alone, and names what is missing", async () => {
    const address = await serve((_request, response) => {
      response.statusCode = 403;
      response.end(JSON.stringify({ errors: [`permission denied for ${SECRET}`] }));
    });
    const environment = { VAULT_ADDR: address, VAULT_TOKEN: SECRET };
    expect(await refusal(fromHashicorpVault({ path: "secret/data/x", environment }))).toContain("answered 403");
    expect(await refusal(fromHashicorpVault({ path: "x", environment: { VAULT_ADDR: address } }))).toContain(
      "no token",
    );
    const empty = await serve((_request, response) => response.end(JSON.stringify({ data: {} })));
    expect(await refusal(fromHashicorpVault({ path: "x", field: "f", address: empty, environment }))).toContain(
      "the field f of x",
    );
    expect(await refusal(fromHashicorpVault({ path: "x", address: "http://127.0.0.1:1", environment }))).toContain(
      "did not answer",
    );
    expect(() => fromHashicorpVault({ path: "x", address: "ftp://u:p@h" })).toThrow("http or https");
  });
});

const minio = await requireEngine("MinIO", minioIsThere);

describe.runIf(minio)("fromAwsSts() on MinIO's own STS", () => {
  test("gives keys of a session with their expiry, and names a refusal by its code", async () => {
    await using server = await startMinio();
    const client = new STSClient({
      region: "us-east-1",
      endpoint: server.endpoint,
      credentials: s3Account,
    });
    onTestFinished(() => client.destroy());
    const roleArn = "arn:aws:iam::000000000000:role/loader";
    const before = Date.now();
    const credential = await acquire(fromAwsSts({ roleArn, durationSeconds: 900, client }));
    const keys = awsKeys(credential);
    expect(Object.values<string>({ ...keys }).every((part) => part.length > 10)).toBe(true);
    expect(credential.expiresAt).toBeGreaterThan(before + 600_000);
    const stranger = new STSClient({
      region: "us-east-1",
      endpoint: server.endpoint,
      credentials: { accessKeyId: "nobody-here", secretAccessKey: SECRET },
    });
    onTestFinished(() => stranger.destroy());
    expect(await refusal(fromAwsSts({ roleArn, client: stranger }))).toContain("which refused: ");
  }, 60_000);
});

describe("fromGoogle()", () => {
  test("asks the account's token server, and reads the expiry", async () => {
    let grants = 0;
    const address = await serve((request, response) => {
      request.resume();
      grants += 1;
      response.setHeader("content-type", "application/json");
      response.end(JSON.stringify({ access_token: SECRET, expires_in: 3_600, token_type: "Bearer" }));
    });
    const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2_048 });
    const key = privateKey.export({ type: "pkcs8", format: "pem" });
    const client = new JWT({ email: "loader@project.iam.gserviceaccount.com", key, scopes: ["bigquery"] });
    // The client signs for Google's own address; the test's server stands in its place.
    client.transporter.interceptors.request.add({
      resolved: async (options) => ({ ...options, url: new URL(`${address}/token`) }),
    });
    const auth = new GoogleAuth({ authClient: client });
    const before = Date.now();
    const credential = await acquire(fromGoogle({ scopes: ["bigquery"], auth }));
    expect(credential).toMatchObject({ value: SECRET, scope: "bigquery" });
    expect(credential.expiresAt).toBeGreaterThan(before + 3_000_000);
    expect(grants).toBe(1);
  });
});

describe("fromAzure()", () => {
  test("hands the scope on, and reads the expiry", async () => {
    const scope = "https://storage.azure.com/.default";
    const expiresOnTimestamp = clock.now() + 60_000;
    const credential = {
      getToken: async (asked: string | string[]) => ({ token: `${SECRET} ${String(asked)}`, expiresOnTimestamp }),
    };
    expect(await acquire(fromAzure({ scope, credential }))).toEqual({
      value: `${SECRET} ${scope}`,
      scope,
      expiresAt: expiresOnTimestamp,
    });
  });

  test("refuses without what the client says", async () => {
    const refusing = { getToken: async () => await Promise.reject(new Error(`no token for ${SECRET}`)) };
    expect(await refusal(fromAzure({ scope: "s", credential: refusing }))).toContain("gave no token (Error)");
    const empty = { getToken: async () => null };
    expect(await refusal(fromAzure({ scope: "s", credential: empty }))).toContain("gave no token");
  });
});
