import path from 'node:path';

const root = path.resolve(import.meta.dirname, '../..');

/** The checkout under test. */
export const project = {
  root,
  kiln: path.join(root, 'bin/kiln'),
  kilnd: path.join(root, 'bin/kilnd'),
} as const;
