import { describe, expect, test } from "vitest";

import { styleOf } from "./style.ts";
import { renderFacts, renderTable } from "./table.ts";
import { displayWidth } from "./width.ts";

const plain = styleOf({ colours: false });
const colours = styleOf({ colours: true });

describe("renderTable()", () => {
  const columns = [{ head: "NAME" }, { head: "ROWS", align: "right" as const }, { head: "WHERE", shrinks: true }];

  test("aligns columns by what is seen, and leaves no space at the end of lines", () => {
    const rows = [
      ["flights", "39,989", "here"],
      ["日本", "7", ""],
    ];
    expect(renderTable(columns, rows, plain, null)).toBe(
      ["NAME       ROWS  WHERE", "flights  39,989  here", "日本          7"].join("\n"),
    );
  });

  test("colours change no alignment", () => {
    const rows = [
      [colours.green("a"), "1", "x"],
      ["bbbb", "22", colours.red("y")],
    ];
    const lines = renderTable(columns, rows, colours, null).split("\n");
    expect(lines.map((line) => displayWidth(line))).toEqual([17, 13, 13]);
    expect(lines[1]).toContain("\u001b[32ma\u001b[39m");
  });

  test("a column that may shrink gives way to the terminal", () => {
    const rows = [["flights", "1", "sqlite table flights in /a/very/long/path/warehouse.db"]];
    const lines = renderTable(columns, rows, plain, 40).split("\n");
    expect(Math.max(...lines.map((line) => displayWidth(line)))).toBe(40);
    expect(lines[1]).toMatch(/…$/u);
  });
});

describe("renderFacts()", () => {
  test("puts values below each other, further lines too", () => {
    const facts = [
      ["run", "r1"],
      ["params", "{\n  a: 1\n}"],
    ] as const;
    expect(renderFacts(facts, plain)).toBe(["run     r1", "params  {", "          a: 1", "        }"].join("\n"));
  });
});
