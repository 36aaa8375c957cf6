import { inspect } from "node:util";

import { describe, expect, test } from "vitest";

import { MementoError } from "../../core/errors.ts";
import { Redaction } from "./redaction.ts";

const redactionOf = (...values: string[]): Redaction =>
  new Redaction(
    Object.fromEntries(values.map((value, index) => [`c${index}`, { value, scope: "", expiresAt: null }] as const)),
  );

describe("Redaction.json()", () => {
  test("takes a secret out of texts and keys, however deep, and leaves the rest as it is", () => {
    const secret = "hunter2-Secret";
    const rows = 2n ** 53n + 1n;
    const fields = { rows, at: new Date(0), list: [1, null, { text: `by ${secret}`, [`key ${secret}`]: true }] };
    expect(redactionOf(secret).json(fields as never)).toEqual({
      rows,
      at: "1970-01-01T00:00:00.000Z",
      list: [1, null, { text: "by ***", "key ***": true }],
    });
  });
});

describe("Redaction.text()", () => {
  const secret = "p@ss w'rd/ö+(1)!";

  test.each<[string, string]>([
    ["as it is", secret],
    ["in a URL's parameter", encodeURIComponent(secret)],
    ["in a URL's account", new URL(`http://u:${encodeURIComponent(secret)}@h/`).password],
    ["in a URL's account that a client has encoded", Object.assign(new URL("http://u@h/"), { password: secret }).href],
    ["in a form", new URLSearchParams({ k: secret }).toString()],
    ["with small digits", encodeURIComponent(secret).replaceAll(/%../gu, (byte) => byte.toLowerCase())],
    ["in JSON", JSON.stringify({ secret })],
    ["as base64", Buffer.from(secret).toString("base64")],
    ["as base64url", Buffer.from(secret).toString("base64url")],
    ["as base64 behind one byte", Buffer.from(`:${secret}`).toString("base64")],
    ["as base64 behind two bytes", Buffer.from(`a:${secret}!`).toString("base64")],
    ["as Basic authorization", `Basic ${Buffer.from(`loader:${secret}`).toString("base64")}`],
    ["as hex", Buffer.from(secret).toString("hex")],
    ["as large hex", Buffer.from(secret).toString("hex").toUpperCase()],
  ])("takes a secret out %s", (_how, text) => {
    const clean = redactionOf(secret).text(`before ${text} after`);
    expect(clean).toContain("***");
    for (const piece of ["p@ss", "p%40ss", "cEBzcyB3", "w'rd", "w%27rd", "70407373"])
      expect(clean).not.toContain(piece);
  });

  test.each<[string, string, readonly string[]]>([
    ["a URL", "postgres://etl:hunter2%2FSecret@db.internal/warehouse", ["hunter2/Secret", "hunter2%2FSecret"]],
    ["a URL of several hosts", "mongodb://etl:hunter2-Secret@a:1,b:2/db", ["hunter2-Secret"]],
    ["a URL with a token for its user", "https://ghp-s3cret@host/repository", ["ghp-s3cret"]],
    ["a URL's query", "https://a.blob/c?sv=2024&sig=hunter2%3DSecret&se=x", ["hunter2=Secret"]],
    ["a connection string", "AccountName=etl;AccountKey=hunter2Secret==;Suffix=x", ["hunter2Secret=="]],
    ["a connection string with spaces", "host=db user=etl password='hunter2 Secret'", ["hunter2 Secret"]],
    ["a JSON object", '{"user":"x","password":"hunter2-Secret"}', ["hunter2-Secret"]],
    ["a JSON array", '["hunter2-Secret",["other-Secret"]]', ["hunter2-Secret", "other-Secret"]],
    ["a URL in JSON", '{"url":"redis://:hunter2-Secret@h"}', ["hunter2-Secret"]],
  ])("takes out what is secret in %s by itself", (_what, credential, secrets) => {
    for (const part of secrets) expect(redactionOf(credential).text(`failed for ${part}.`)).toBe("failed for ***.");
  });

  test("leaves ordinary texts as they are: what is short, empty or no secret is not taken out", () => {
    const redaction = redactionOf(
      "postgres://etl_loader:@db.internal/warehouse?sslmode=require",
      "postgres://root:pw@db.internal:5432/warehouse",
      '{"a":"b","c":""}',
      "abc",
      "",
      "user=x;password=;token=1",
      "https://host.internal/path?mail=a@b",
      "%zz%",
    );
    const text = "root cannot reach db.internal:5432/warehouse (sslmode=require): 401 for abc, a@b, 1, pw, x";
    expect(redaction.text(text)).toBe(text);
  });
});

describe("Redaction.error()", () => {
  const secret = "tok-3f9c-very-secret";
  const redaction = redactionOf(secret);

  test("gives a MementoError with its code, and without the secret in message, hint, details, stack and causes", () => {
    const cause = new TypeError(`no ${secret}`, { cause: `${secret} it was` });
    const details = { status: 422, header: `Bearer ${secret}`, deep: { list: [secret] }, at: new Date(0) };
    const thrown = new MementoError("RECORD_INVALID", `refused ${secret}`, { cause, details, hint: `mend ${secret}` });
    const clean = redaction.error(thrown) as MementoError;
    expect(clean).toBeInstanceOf(MementoError);
    expect(clean).toMatchObject({ code: "RECORD_INVALID", message: "refused ***", hint: "mend ***", retryable: false });
    expect(clean.details).toEqual({ status: 422, header: "Bearer ***", deep: "***", at: new Date(0) });
    expect(clean.cause).toMatchObject({ name: "TypeError", message: "no ***", cause: "*** it was" });
    expect(clean.stack).toContain("redaction.test.ts");
    expect(inspect(clean, { depth: 9 })).not.toContain(secret);
    expect(inspect(thrown, { depth: 9 })).toContain(secret);
  });

  test("leaves out what a client adds to its errors, where that holds the secret", () => {
    const thrown = Object.assign(new Error("Request failed with status 500"), {
      config: { headers: { authorization: secret } },
    });
    const clean = redaction.error(new AggregateError([thrown], "all failed")) as Error;
    expect(clean.message).toBe("all failed");
    expect(inspect(clean, { depth: 9 })).not.toContain(secret);
  });

  test("gives the very error where it holds none, and where there is no credential", () => {
    const harmless = new MementoError("LOCKED", "held", { cause: new Error("why"), details: { owner: "x" } });
    expect(redaction.error(harmless)).toBe(harmless);
    const open = new Error(secret);
    expect(redactionOf().error(open)).toBe(open);
  });
});
