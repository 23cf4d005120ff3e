/** RFC 3339 with no more decimals than needed, as Go writes times. */
export function formatTime(time: Date): string {
  return time
    .toISOString()
    .replace(/\.(\d*?)0+Z$/, '.$1Z')
    .replace('.Z', 'Z');
}
