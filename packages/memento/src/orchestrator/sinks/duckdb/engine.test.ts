import { describe, expect, test } from "vitest";

import { demandVersion, loadDuckdb } from "./engine.ts";

describe("demandVersion()", () => {
  test.each(["v1.5.0", "v1.5.6", "v1.6.0-dev12", "v1.10.0"])("takes DuckDB %s", (version) => {
    expect(() => {
      demandVersion(version);
    }).not.toThrow();
  });

  test.each(["v1.4.4", "v0.10.3", "v2.0.0", "main"])("refuses DuckDB %s by name", (version) => {
    expect(() => {
      demandVersion(version);
    }).toThrow(
      expect.objectContaining({
        code: "ENGINE_UNSUITABLE",
        message: `duckdbTable needs DuckDB 1.5 or newer, before 2; @duckdb/node-api brings ${version} here`,
      }),
    );
  });

  test("takes the one that is installed", async () => {
    await expect(loadDuckdb()).resolves.toHaveProperty("DuckDBInstance");
  });
});
