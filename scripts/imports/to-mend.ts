/**
 * What breaks a rule today. Nothing may be added. What got better must be lowered, what is mended removed; once all of it is empty,
 * this file goes.
 */
export const toMend = {
  /** How many files stand in circles, by room. */
  filesInCircles: {
    'src/solver': 14,
  },
  /** How many files a folder has that has too many. */
  filesInFolder: {
    'src/executor': 26,
    'src/solver': 30,
  },
  /** Names that files of different meaning share. */
  sharedNames: {},
};
