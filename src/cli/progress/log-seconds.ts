/** Seconds in about five characters: `0.123`, `12.34`, `123.4`. */
export function formatSeconds(seconds: number): string {
  return seconds.toFixed(seconds < 10 ? 3 : seconds < 100 ? 2 : 1);
}
