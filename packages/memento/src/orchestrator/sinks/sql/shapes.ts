import { numberOf, type Row } from "../../../store/sql/rows.ts";
import type { SinkDialect } from "./dialect.ts";
import type { SinkSession } from "./session.ts";
import { shapeDigest, type Target } from "./target.ts";

/** A list of columns that rows were written with. */
export interface Shape {
  readonly id: number;
  readonly columns: readonly string[];
}

/** The table that keeps the images of a shape's rows, as SQL writes it. */
export function imageTable(dialect: SinkDialect, { id }: Shape): string {
  return dialect.books(`rows_${id}`);
}

/** The column of the image table that holds the shape's column `name`. */
function imageColumn(shape: Shape, name: string): string {
  return `c${shape.columns.indexOf(name)}`;
}

/** The columns of the image table that hold the columns `names`. */
export function imageColumns(shape: Shape, names: readonly string[] = shape.columns): readonly string[] {
  return names.map((name) => imageColumn(shape, name));
}

/** Every shape that rows of the target were written with, by its id. */
export async function readShapes(
  session: SinkSession,
  dialect: SinkDialect,
  target: Target,
): Promise<ReadonlyMap<number, Shape>> {
  const rows = await session.all(`SELECT id, columns FROM ${dialect.books("shapes")} WHERE target = ?`, target.name);
  return new Map(rows.map(shapeOf).map((shape) => [shape.id, shape]));
}

/** Makes the shape that rows of the target have now, with its table, unless it is there. */
export async function makeShape(session: SinkSession, dialect: SinkDialect, target: Target): Promise<Shape> {
  const digest = shapeDigest(target);
  const shapes = dialect.books("shapes");
  const columns = JSON.stringify(target.columns.map(({ name }) => name));
  await session.run(
    dialect.insertOrNothing(`${shapes} (target, digest, columns) VALUES (?, ?, ?)`),
    target.name,
    digest,
    columns,
  );
  const [row] = await session.all(`SELECT id, columns FROM ${shapes} WHERE digest = ?`, digest);
  const shape = shapeOf(row ?? {});
  const declared = target.columns.map((column, index) => `c${index} ${column.declared}`);
  await session.run(dialect.imageTable(imageTable(dialect, shape), declared));
  return shape;
}

function shapeOf(row: Row): Shape {
  return { id: numberOf(row, "id"), columns: JSON.parse(String(row["columns"])) as string[] };
}
