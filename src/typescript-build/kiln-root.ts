import path from 'node:path';

/** The directory of the running Kiln, which has its sources and the packages that they use. */
export const kilnRoot = path.resolve(import.meta.dirname, '../..');
