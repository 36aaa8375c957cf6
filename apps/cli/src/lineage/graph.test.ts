import { describe, expect, test } from "vitest";

import { layOut, NODE_CELL, type GraphNode } from "./graph.ts";

/** `a: b c` reads: a stands on b, and then on c. Newest first. */
function draw(text: string, tips: readonly string[] = []): string {
  const nodes = text
    .trim()
    .split("\n")
    .map((line): GraphNode => {
      const [id = "", parents = ""] = line.trim().split(":");
      return { id, parents: parents.split(" ").filter((parent) => parent !== "") };
    });
  return layOut(nodes, tips)
    .map(({ cells, gaps, node }) => {
      const drawn = cells.map((cell, lane) => (cell === NODE_CELL ? "●" : cell) + (gaps[lane] ?? "")).join("");
      return `${drawn.trimEnd()}${node === null ? "" : ` ${node}`}`;
    })
    .join("\n");
}

const drawing = (...lines: string[]): string => lines.join("\n");

describe("layOut()", () => {
  test("draws one line of descent as one lane", () => {
    expect(draw("c: b\nb: a\na:")).toBe(drawing("● c", "● b", "● a"));
  });

  test("puts what a rollback has left into a lane of its own, which ends at the target", () => {
    expect(draw("r: b d\nd: c\nc: b\nb: a\na:")).toBe(drawing("● r", "├─╮", "│ ● d", "│ ● c", "├─╯", "● b", "● a"));
  });

  test("draws a rollback of a rollback", () => {
    expect(draw("s: d r\nr: b d\nd: c\nc: b\nb:")).toBe(
      drawing("● s", "├─╮", "│ ● r", "│ ├─╮", "├─┼─╯", "● │ d", "● │ c", "├─╯", "● b"),
    );
  });

  test("keeps the first lane for the first tip, though a fork is newer", () => {
    expect(draw("y: x\nx: b\nc: b\nb: a\na:", ["c", "y"])).toBe(
      drawing("  ● y", "  ● x", "● │ c", "├─╯", "● b", "● a"),
    );
  });

  test("a fork of the head bends into a lane that begins there", () => {
    expect(draw("x: a\na:", ["a", "x"])).toBe(drawing("  ● x", "╭─╯", "● a"));
  });

  test("two forks of one memento end in it together", () => {
    expect(draw("z: a\ny: a\nb: a\na:", ["b", "y", "z"])).toBe(
      drawing("    ● z", "  ● │ y", "● │ │ b", "├─┴─╯", "● a"),
    );
  });

  test("crosses lanes that lie between", () => {
    expect(draw("y: x\nc: b\nr: a c\nx: a\na:", ["c", "y"])).toContain("┼");
  });

  test("uses a lane again once it has ended", () => {
    expect(
      draw("r: b c\nc: b\nb: a\nq: a p\np: a\na:")
        .split("\n")
        .every((line) => line.length <= 7),
    ).toBe(true);
  });

  test("passes over parents that are not shown", () => {
    expect(draw("c: b\nb: gone")).toBe(drawing("● c", "● b"));
  });

  test("draws nothing of nothing", () => {
    expect(layOut([])).toEqual([]);
  });
});
