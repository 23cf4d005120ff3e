import { bind } from '../linux/libc.ts';

const klogctl = bind('int klogctl(int type, void *buffer, int length)');

const readAll = 3;
const bufferSize = 10;

/** What the kernel last said, as dmesg(1) shows it; empty where reading it is not allowed. */
export function kernelLog(): string {
  const size = klogctl(bufferSize, null, 0);
  if (size <= 0) return '';
  const buffer = Buffer.allocUnsafe(size);
  const length = klogctl(readAll, buffer, size);
  return length > 0 ? buffer.toString('latin1', 0, length) : '';
}
