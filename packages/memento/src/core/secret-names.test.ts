import { describe, expect, test } from "vitest";

import { isNamedLikeASecret, isSecretParameter } from "./secret-names.ts";

describe("isNamedLikeASecret()", () => {
  test.each([
    "password",
    "db_pwd",
    "PWD",
    "userpwd",
    "dbPass",
    "DB_PASS",
    "pw",
    "passphrase",
    "signature",
    "X-Signature",
    "sig",
    "sas",
    "api_key",
    "apiKey",
    "APIKEY",
    "AccountKey",
    "private key",
    "accessKeyId",
    "sharedaccesskey",
    "token",
    "sessionToken",
    "clientSecret",
    "aws-credentials",
    "creds",
    "credentials.user",
  ])("P4: %s", (name) => {
    expect(isNamedLikeASecret(name)).toBe(true);
    expect(isSecretParameter(name)).toBe(true);
  });

  test.each([
    "passengers",
    "passed",
    "design",
    "signals",
    "assigned",
    "primaryKey",
    "keys",
    "author",
    "credits",
    "sasha",
    "rows",
    "",
    "cursor",
    "spwx",
    "offset",
  ])("and not %s, whose changes people have to see", (name) => {
    expect(isNamedLikeASecret(name)).toBe(false);
  });
});

describe("isSecretParameter()", () => {
  test.each(["key", "auth", "sharedKeyName", "sasl.auth", "dbcreds"])("P4: in an address %s too", (name) => {
    expect(isSecretParameter(name)).toBe(true);
  });

  test.each(["authSource", "authMechanism", "sslkey", " host", "sslmode"])("and not %s", (name) => {
    expect(isSecretParameter(name)).toBe(false);
  });
});
