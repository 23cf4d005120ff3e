const units = ['B', 'kB', 'MB', 'GB', 'TB', 'PB', 'EB'];

/** A number of bytes with two decimals in decimal units (`1.23MB`); below 1,000 plain bytes (`123B`). */
export function formatBytes(bytes: number): string {
  let value = Math.abs(bytes);
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  const sign = bytes < 0 ? '-' : '';
  return `${sign}${unit === 0 ? value : value.toFixed(2)}${units[unit]}`;
}

/** How far a transfer is: `1.20MB / 3.00MB`, `1.20MB`, or nothing. */
export function formatTransfer(current: number, total: number): string {
  if (total !== 0) return `${formatBytes(current)} / ${formatBytes(total)}`;
  return current === 0 ? '' : formatBytes(current);
}
