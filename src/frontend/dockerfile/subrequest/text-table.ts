/** Rows whose cells start below each other, `gap` spaces apart; the last cell of a row is not padded. */
export function textTable(rows: readonly (readonly string[])[], gap: number): string {
  const width = (column: number) => Math.max(...rows.map((row) => [...(row[column] ?? '')].length));
  const lines = rows.map((row) =>
    row
      .map((cell, column) =>
        column === row.length - 1 ? cell : cell + ' '.repeat(width(column) + gap - [...cell].length),
      )
      .join(''),
  );
  return lines.map((line) => `${line}\n`).join('');
}
