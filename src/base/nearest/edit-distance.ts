/**
 * How many characters must be inserted, removed or replaced to turn one text into the other (Levenshtein). With `swaps`, two
 * neighbours that change places count as one edit. Takes time in proportion to the product of both lengths.
 */
export function editDistance(
  from: string,
  to: string,
  { swaps = false }: { readonly swaps?: boolean } = {},
): number {
  let before: number[] = [];
  let previous = Array.from({ length: to.length + 1 }, (_, index) => index);
  for (let row = 1; row <= from.length; row++) {
    const current = [row];
    for (let column = 1; column <= to.length; column++) {
      const same = from[row - 1] === to[column - 1];
      let least = Math.min(
        previous[column]! + 1,
        current[column - 1]! + 1,
        previous[column - 1]! + (same ? 0 : 1),
      );
      if (swaps && row > 1 && column > 1) {
        const swapped = from[row - 1] === to[column - 2] && from[row - 2] === to[column - 1];
        if (swapped) least = Math.min(least, before[column - 2]! + 1);
      }
      current.push(least);
    }
    before = previous;
    previous = current;
  }
  return previous[to.length]!;
}
