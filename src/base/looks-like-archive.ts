const magics: readonly (readonly number[])[] = [
  [0x42, 0x5a, 0x68],
  [0x1f, 0x8b, 0x08],
  [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00],
  [0x28, 0xb5, 0x2f, 0xfd],
];

/** Whether data that starts so is a tar archive, plain or packed with bzip2, gzip, xz or zstd. `start` holds its first 512 bytes or more. */
export function looksLikeArchive(start: Uint8Array): boolean {
  if (magics.some((magic) => magic.every((byte, at) => start[at] === byte))) return true;
  return start.length >= 512 && isTarHeader(start.subarray(0, 512));
}

/** A tar header holds the sum of its own bytes, with the field of the sum taken as blanks. */
function isTarHeader(header: Uint8Array): boolean {
  const field = Buffer.from(header.subarray(148, 156)).toString('latin1');
  const expected = Number.parseInt(field.replaceAll('\0', ' ').trim(), 8);
  const sum = header.reduce((total, byte, at) => total + (at >= 148 && at < 156 ? 0x20 : byte), 0);
  return sum === expected;
}
