/** The levels of each format, and the one that is used when nobody chose. */
export const compressionLevels = {
  gzip: { lowest: 0, highest: 9, usual: 6 },
  zstd: { lowest: 1, highest: 22, usual: 3 },
} as const;
